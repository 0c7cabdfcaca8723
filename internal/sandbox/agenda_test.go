package sandbox

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Tasks run when they are due, the earliest first, and those of one instant in
// the order in which they were added.
func TestAgendaOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type planned struct{ due, nth int }
		began := time.Unix(1_700_000_000, 0)
		clock := NewManualClock(began)
		a := newAgenda(clock)
		var want, got []planned
		for nth, due := range rapid.SliceOf(rapid.IntRange(0, 5)).Draw(t, "due") {
			p := planned{due, nth}
			want = append(want, p)
			a.add(began.Add(time.Duration(due)*time.Second), func() {
				got = append(got, p)
				a.finish()
			})
		}
		slices.SortStableFunc(want, func(x, y planned) int { return x.due - y.due })
		for second := range 6 {
			a.runDue(nil)
			for _, p := range got {
				if p.due > second {
					t.Fatalf("task due at %d ran at %d", p.due, second)
				}
			}
			clock.Advance(time.Second)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("ran %v, want %v", got, want)
		}
		if err := a.settled(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

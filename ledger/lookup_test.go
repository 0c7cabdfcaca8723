package ledger_test

import (
	"slices"
	"testing"
	"time"

	"payrun/ledger"
)

// Where more payouts are in doubt than the pace can look up, those under way
// still come to their end.
func TestDoubtsDoNotStarvePayoutsUnderWay(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("many", sheet("m", 12))
		for i, claim := range o.claim(12) {
			state := ledger.Unknown
			if i >= 10 {
				state = ledger.Accepted
			}
			o.put(claim, state)
		}
		c.advance(time.Minute)
		due, err := o.DueLookups(t.Context(), ledger.LookupOrder{Max: 8, Lease: time.Minute})
		must(t, err)
		states := map[ledger.State]int{}
		for _, l := range due {
			states[l.State]++
		}
		if states[ledger.Unknown] != 6 || states[ledger.Accepted] != 2 || due[0].State != ledger.Unknown {
			t.Errorf("looked up %v, first one %s", states, due[0].State)
		}
		due, err = o.DueLookups(t.Context(), ledger.LookupOrder{Max: 8, Lease: time.Minute})
		must(t, err)
		if len(due) != 4 {
			t.Errorf("%d look-ups with nothing under way, want the 4 doubts that are left", len(due))
		}
	})
}

// A slow pace has seconds without a slot for look-ups. Who comes by in one of
// them every time, as a job does that runs every minute, still finds its turn.
func TestNoPhaseOfThePaceStarvesLookups(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("phase", sheet("p", 1))
		o.put(o.claim(1)[0], ledger.Unknown)
		asked := ledger.LookupOrder{Max: 8, Pace: ledger.Pace{Interval: 500 * time.Millisecond, Percent: 40}, Lease: time.Minute}
		for range 25 { // the pattern of slots repeats every 2.5 s
			c.advance(time.Minute + 100*time.Millisecond)
			due, err := o.DueLookups(t.Context(), asked)
			must(t, err)
			if len(due) != 1 {
				t.Fatalf("at %s nothing is looked up", c.now().UTC().Format("05.0"))
			}
		}
	})
}

func TestTheNextLookupIsTheEarliestInAnyState(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("next", sheet("n", 3))
		want := c.now().Add(time.Minute).UTC()
		for _, state := range []ledger.State{ledger.Review, ledger.Unknown, ledger.Accepted} {
			o.put(o.claim(1)[0], state)
			next, err := o.NextLookup(t.Context())
			must(t, err)
			if !next.Time().Equal(want) {
				t.Errorf("with one %s more, the next look-up is at %s, want %s", state, next, want)
			}
			c.advance(time.Second)
		}
	})
}

func TestLookupsComeInTheOrderOfDoubt(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("due", sheet("d", 4))
		claims := o.claim(4)
		for i, state := range []ledger.State{ledger.Accepted, ledger.Unknown, ledger.Review, ledger.Sending} {
			o.put(claims[i], state)
		}
		next, err := o.NextLookup(t.Context())
		must(t, err)
		if want := c.now().Add(time.Minute).UTC(); !next.Time().Equal(want) {
			t.Errorf("next look-up %s, want %s", next, want)
		}
		asked := ledger.LookupOrder{Max: 10, Pace: ledger.PaceOf(time.Second, 5), Lease: time.Minute}
		take := func() []ledger.Lookup {
			due, err := o.DueLookups(t.Context(), asked)
			must(t, err)
			return due
		}
		if due := take(); len(due) != 0 {
			t.Errorf("%d look-ups a minute early", len(due))
		}
		c.advance(time.Minute)
		var states []ledger.State
		var slots []time.Time
		for _, l := range take() {
			states, slots = append(states, l.State), append(slots, l.Slot)
		}
		if first := time.Until(slots[0]); first > 200*time.Millisecond || slots[1].Sub(slots[0]) != 200*time.Millisecond || slots[2].Sub(slots[1]) != 200*time.Millisecond {
			t.Errorf("looked up at %v, the first one in %s", slots, first)
		}
		if want := []ledger.State{ledger.Unknown, ledger.Review, ledger.Accepted}; !slices.Equal(states, want) {
			t.Errorf("looked up %v, want %v", states, want)
		}
		c.advance(59 * time.Second)
		if due := take(); len(due) != 0 {
			t.Errorf("%d look-ups while another worker has them", len(due))
		}
		c.advance(time.Second)
		if due := take(); len(due) != 3 {
			t.Errorf("%d look-ups after the lease, want 3", len(due))
		}
	})
}

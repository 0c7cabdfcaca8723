package ledger_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"payrun/internal/database"
	"payrun/ledger"
)

// sends remembers when payouts may leave, by the test's clock.
type sends struct {
	mu    sync.Mutex
	slots []time.Time
}

func (s *sends) add(made time.Time, claims []ledger.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		s.slots = append(s.slots, made.Add(c.SendAfter))
	}
}

// crowded returns the first second that holds more slots than allowed.
func (s *sends) crowded(allowed int) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.slots, time.Time.Compare)
	for i := allowed; i < len(s.slots); i++ {
		if s.slots[i].Sub(s.slots[i-allowed]) < time.Second {
			return s.slots[i-allowed], true
		}
	}
	return time.Time{}, false
}

// In every second, over all workers and however they claim, no more payouts
// may leave than the pace allows.
func TestThePaceHoldsInEverySecond(t *testing.T) {
	t.Parallel()
	o, c := officeAt(t, "sqlite")
	o.exec("UPDATE balances SET reported = 1000000000000000")
	must(t, o.Fund(t.Context(), o.admin, 1_000_000_00, "USD", "for many claims"))
	sheets := 0
	lives(t, 30, func(rt *rapid.T) {
		// Each case starts alike, or rapid could not find the smallest one.
		o.exec("DELETE FROM budgets")
		c.advance(time.Duration(5_000_000-c.micros.Load()%1_000_000) * time.Microsecond)
		perSecond := rapid.SampledFrom([]int{1, 2, 3, 7, 10, 19, 60}).Draw(rt, "per second")
		var all sends
		for range rapid.IntRange(1, 8).Draw(rt, "rounds") {
			c.advance(time.Duration(rapid.IntRange(0, 1_500_000).Draw(rt, "microseconds")) * time.Microsecond)
			for range 2 {
				max := rapid.IntRange(1, 20).Draw(rt, "max")
				if o.count("SELECT count(*) FROM payouts WHERE state = 'UNSENT'") < int64(max) {
					sheets++
					o.approved(fmt.Sprint("pace", sheets), sheet(fmt.Sprint("pace", sheets), 100))
				}
				asked := order(max)
				asked.Pace, asked.LimitsAge = ledger.PaceOf(time.Second, perSecond), 1000*time.Hour
				got, err := o.Claim(t.Context(), asked)
				if err != nil {
					rt.Fatal(err)
				}
				if len(got.Claims) > min(max, perSecond+1) {
					rt.Fatalf("%d claims at %d a second, at most %d wanted", len(got.Claims), perSecond, max)
				}
				for _, claim := range got.Claims {
					if claim.SendAfter < 0 || claim.SendAfter > time.Second || claim.SendBy != claim.SendAfter+asked.Patience {
						rt.Fatalf("slot in %s, to be sent by %s", claim.SendAfter, claim.SendBy)
					}
				}
				all.add(c.now(), got.Claims)
			}
		}
		if at, yes := all.crowded(perSecond); yes {
			rt.Fatalf("more than %d payouts leave in the second from %s: %v", perSecond, at, all.slots)
		}
	})
}

func TestThePaceHoldsBetweenConcurrentWorkers(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		const perSecond = 7
		o.approved("workers", sheet("w", 120))
		var all sends
		for range 5 {
			made := c.now()
			together(t, 2, func(int) error {
				asked := order(20)
				asked.Pace = ledger.PaceOf(time.Second, perSecond)
				got, err := o.Claim(t.Context(), asked)
				all.add(made, got.Claims)
				return err
			})
			c.advance(400 * time.Millisecond)
		}
		if at, yes := all.crowded(perSecond); yes {
			t.Errorf("more than %d payouts leave in the second from %s: %v", perSecond, at, all.slots)
		}
		if len(all.slots) < perSecond {
			t.Errorf("only %d slots were given out in two seconds", len(all.slots))
		}
		o.sound()
	})
}

// Sends, look-ups and calls that take a slot of their own never get the same
// one, so that together they keep the pace, however slow it is.
func TestSharesNeverMeet(t *testing.T) {
	t.Parallel()
	o, c := officeAt(t, "sqlite")
	o.exec("UPDATE balances SET reported = 1000000000000000")
	must(t, o.Fund(t.Context(), o.admin, 1_000_000_00, "USD", "for many claims"))
	o.approved("shares", sheet("s", 2000))
	lives(t, 30, func(rt *rapid.T) {
		interval := time.Duration(rapid.IntRange(100_000, 2_000_000).Draw(rt, "interval in µs")) * time.Microsecond
		share := rapid.IntRange(5, 95).Draw(rt, "look-ups in percent")
		lookups := ledger.Pace{Interval: interval, Percent: share}
		sends := ledger.Pace{Interval: interval, Percent: share, Others: true}
		o.exec("DELETE FROM budgets")
		taken, owned := map[int64]bool{}, map[bool]int{}
		var first, last time.Time
		take := func(at time.Time, forSends bool) {
			number := at.Add(interval/2).UnixMicro() / interval.Microseconds() // our clock read it a moment late
			if taken[number] {
				rt.Fatalf("slot %d was given out twice", number)
			}
			taken[number] = true
			owned[forSends]++
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
		for range rapid.IntRange(1, 10).Draw(rt, "rounds") {
			c.advance(time.Duration(rapid.IntRange(0, 3_000_000).Draw(rt, "pause in µs")) * time.Microsecond)
			asked := order(5)
			asked.Pace, asked.LimitsAge = sends, 1000*time.Hour
			got, err := o.Claim(t.Context(), asked)
			must(t, err)
			for _, claim := range got.Claims {
				take(c.now().Add(claim.SendAfter), true)
			}
			for _, kind := range []struct {
				share ledger.Share
				pace  ledger.Pace
			}{{ledger.ForLookups, lookups}, {ledger.ForSends, sends}} {
				asking := time.Now()
				turns, err := o.Turns(t.Context(), kind.share, kind.pace, rapid.IntRange(1, 4).Draw(rt, "turns"), 0)
				must(t, err)
				for _, turn := range turns {
					take(c.now().Add(turn.Sub(asking)), kind.share == ledger.ForSends)
				}
			}
		}
		slots := int(last.Sub(first)/interval) + 1
		if got, most := owned[false], slots*share/100+2; got > most {
			rt.Errorf("look-ups got %d of %d slots, their share is %d percent", got, slots, share)
		}
	})
}

func TestMissedSlotsAreDropped(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("missed", sheet("m", 60))
		asked := order(30)
		asked.Pace = ledger.PaceOf(time.Second, 10)
		claim := func() int {
			t.Helper()
			got, err := o.Claim(t.Context(), asked)
			must(t, err)
			return len(got.Claims)
		}
		first := claim()
		c.advance(time.Minute) // 600 slots that nobody used
		if got := claim(); got != first {
			t.Errorf("%d slots after a pause, %d before it", got, first)
		}
		if got := claim(); got != 0 {
			t.Errorf("%d slots although the next second is given out", got)
		}
	})
}

// A claim that waits for another worker's transaction finds its slots gone by;
// it must take those that are free when it gets its turn.
func TestSlotsAreCountedFromTheTurnNotFromTheWait(t *testing.T) {
	t.Parallel()
	o, c := officeAt(t, "postgres")
	o.approved("turn", sheet("t", 60))
	asked := order(30)
	asked.Pace, asked.LimitsAge = ledger.PaceOf(time.Second, 10), time.Hour
	_, err := o.Claim(t.Context(), asked) // makes the budget's row
	must(t, err)
	c.advance(2 * time.Second)

	holding, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := o.db.InTx(t.Context(), func(tx *database.Tx) error {
			_, err := tx.Exec(t.Context(), "UPDATE budgets SET next_free_at = next_free_at")
			close(holding)
			<-release
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-holding
	var waited ledger.Claimed
	all.Go(func() {
		var err error
		if waited, err = o.Claim(t.Context(), asked); err != nil {
			t.Error(err)
		}
	})
	o.waitForLocks(1)
	c.advance(10 * time.Second)
	close(release)
	all.Wait()
	next, err := o.Claim(t.Context(), asked)
	must(t, err)
	const allowed = 10 + 1 // the slots of the next second, both ends
	if n := len(waited.Claims) + len(next.Claims); n > allowed {
		t.Errorf("%d payouts may leave within one second, at most %d may", n, allowed)
	}
}

// waitForLocks returns when so many sessions of this database wait for a lock.
func (o *office) waitForLocks(sessions int64) {
	o.t.Helper()
	for o.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") < sessions {
		if err := o.t.Context().Err(); err != nil {
			o.t.Fatal(err)
		}
	}
}

func TestSlowDownHoldsEveryoneBack(t *testing.T) {
	for _, pace := range []ledger.Pace{{}, ledger.PaceOf(time.Second, 50)} {
		t.Run(pace.Interval.String(), func(t *testing.T) {
			eachAt(t, func(t *testing.T, o *office, c *clock) {
				o.approved("slow", sheet("s", 10))
				sent := o.claim(1)[0]
				f := answered(sent, ledger.Accepted, ledger.ByAcceptance)
				f.NextLookup = time.Second
				o.record(f)
				must(t, o.SlowDown(t.Context(), 10*time.Second))
				must(t, o.SlowDown(t.Context(), time.Second)) // does not shorten the first
				asked := order(5)
				asked.Pace = pace
				lookups := ledger.LookupOrder{Max: 5, Pace: pace, Lease: time.Minute}
				c.advance(5 * time.Second)
				claimed, err := o.Claim(t.Context(), asked)
				must(t, err)
				due, err := o.DueLookups(t.Context(), lookups)
				must(t, err)
				if len(claimed.Claims)+len(due) != 0 {
					t.Errorf("%d claims and %d look-ups while the gateway asked for rest", len(claimed.Claims), len(due))
				}
				c.advance(5 * time.Second)
				claimed, err = o.Claim(t.Context(), asked)
				must(t, err)
				due, err = o.DueLookups(t.Context(), lookups)
				must(t, err)
				if len(claimed.Claims) != 5 || len(due) != 1 {
					t.Errorf("%d claims and %d look-ups afterwards", len(claimed.Claims), len(due))
				}
			})
		})
	}
}

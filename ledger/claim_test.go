package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"payrun/internal/database"
	"payrun/internal/money"
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

// usd10 is a payout of 10.00 and 0.50 fee that a case changes.
func usd10(name string, changes ...func(*ledger.NewPayout)) []ledger.NewPayout {
	rows := sheet(name, 1)
	for _, change := range changes {
		change(&rows[0])
	}
	return rows
}

// What keeps a payout from being claimed, and what Waiting says about it.
func TestWhatPayoutsWaitFor(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		today := c.now().Format("2006-01-02")
		tests := []struct {
			name, reason string
			row          func(*ledger.NewPayout)
			hinder       func(ledger.Batch)
			relieve      func(ledger.Batch)
		}{
			{"everything is stopped", "stopped", nil,
				func(ledger.Batch) { must(t, o.PlaceStop(ctx, o.maker, ledger.Everything, "", "fire")) },
				func(ledger.Batch) { must(t, o.LiftStop(ctx, o.checker, ledger.Everything, "")) }},
			{"its channel is stopped", "stopped", nil,
				func(ledger.Batch) { must(t, o.PlaceStop(ctx, o.checker, ledger.OneChannel, "11", "down")) },
				func(ledger.Batch) { must(t, o.LiftStop(ctx, o.checker, ledger.OneChannel, "11")) }},
			{"its batch is stopped", "stopped", nil,
				func(b ledger.Batch) { must(t, o.PlaceStop(ctx, o.checker, ledger.OneBatch, fmt.Sprint(b.ID), "wait")) },
				func(b ledger.Batch) { must(t, o.LiftStop(ctx, o.checker, ledger.OneBatch, fmt.Sprint(b.ID))) }},
			{"its day has not come", "the pay date", func(p *ledger.NewPayout) { p.PayDate = c.now().AddDate(0, 0, 1).Format("2006-01-02") }, nil,
				func(ledger.Batch) { c.advance(24 * time.Hour); o.refresh() }},
			{"the limits are stale", "fresh limits of the channel", nil,
				func(ledger.Batch) {
					c.advance(6 * time.Minute)
					must(t, o.SetGatewayBalance(ctx, "USD", topUp, ledger.AllCommitted))
				},
				func(ledger.Batch) { o.refresh() }},
			{"the amount is below the limit", "wider limits: the amount is outside", nil,
				func(ledger.Batch) { o.limit(11_00, 20_00) }, func(ledger.Batch) { o.limit(10_00, 20_00) }},
			{"the amount is above the limit", "wider limits: the amount is outside", nil,
				func(ledger.Batch) { o.limit(1, 9_99) }, func(ledger.Batch) { o.limit(1, 10_00) }},
			{"the balance is stale", "a fresh balance from the gateway", nil,
				func(ledger.Batch) { c.advance(6 * time.Minute); o.limit(1, 20_00) },
				func(ledger.Batch) { o.refresh() }},
			{"the balance lacks the fee", "a higher balance at the gateway", nil,
				func(ledger.Batch) { must(t, o.SetGatewayBalance(ctx, "USD", 10_49, ledger.AllCommitted)) },
				func(ledger.Batch) { must(t, o.SetGatewayBalance(ctx, "USD", 10_50, ledger.AllCommitted)) }},
			{"nothing", "its turn", func(p *ledger.NewPayout) { p.PayDate = today }, nil, nil},
		}
		for _, tt := range tests {
			o.refresh()
			change := tt.row
			if change == nil {
				change = func(*ledger.NewPayout) {}
			}
			batch := o.approved(tt.name, usd10(tt.name, change))
			if tt.hinder != nil {
				tt.hinder(batch)
				claimed, err := o.Claim(ctx, order(5))
				must(t, err)
				if len(claimed.Claims) != 0 || !claimed.Waiting {
					t.Errorf("%s: claimed %d, waiting %t", tt.name, len(claimed.Claims), claimed.Waiting)
				}
			}
			waiting, err := o.Waiting(ctx, []string{"11", "16"}, order(5).LimitsAge)
			must(t, err)
			want := []ledger.Waiting{{Channel: "11", Currency: "USD", Reason: tt.reason, Payouts: 1,
				Meant: slices.Contains([]string{"stopped", "the pay date", "its turn"}, tt.reason)}}
			if !slices.Equal(waiting, want) {
				t.Errorf("%s: waiting for %+v, want %+v", tt.name, waiting, want)
			}
			if tt.relieve != nil {
				tt.relieve(batch)
			}
			claims := o.claim(5)
			if len(claims) != 1 {
				t.Fatalf("%s: %d payouts were claimed once it was over", tt.name, len(claims))
			}
			o.put(claims[0], ledger.Succeeded)
		}
		o.sound()
	})
}

// limit sets fresh limits of channel 11.
func (o *office) limit(minimum, maximum money.Amount) {
	o.t.Helper()
	must(o.t, o.SetLimits(o.t.Context(), []ledger.Limit{{
		Channel: "11", Currency: "USD", Minimum: minimum, Maximum: maximum, Source: ledger.FromConfiguration,
	}}))
}

func TestClaimedSaysWhetherPayoutsAreLeft(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		claimed := func(max int) ledger.Claimed {
			got, err := o.Claim(ctx, order(max))
			must(t, err)
			return got
		}
		if got := claimed(5); got.Waiting {
			t.Error("something waits in an empty ledger")
		}
		o.approved("left", sheet("l", 3))
		if got := claimed(2); len(got.Claims) != 2 || !got.Waiting {
			t.Errorf("claimed %d of 3, waiting %t", len(got.Claims), got.Waiting)
		}
		must(t, o.PlaceStop(ctx, o.maker, ledger.Everything, "", "fire"))
		if got := claimed(5); len(got.Claims) != 0 || !got.Waiting {
			t.Errorf("everything stopped: claimed %d, waiting %t", len(got.Claims), got.Waiting)
		}
		must(t, o.LiftStop(ctx, o.checker, ledger.Everything, ""))
		if got := claimed(5); len(got.Claims) != 1 || got.Waiting {
			t.Errorf("claimed the last %d, waiting %t", len(got.Claims), got.Waiting)
		}
		if got := claimed(5); len(got.Claims) != 0 || got.Waiting {
			t.Errorf("all under way: claimed %d, waiting %t", len(got.Claims), got.Waiting)
		}
	})
}

// A brake that holds nothing is worse than none.
func TestAStopThatWouldHoldNothingIsRefused(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("stop", sheet("s", 1))
		stops := []struct {
			scope   ledger.Scope
			subject string
		}{
			{ledger.Everything, "all"}, {ledger.OneChannel, ""}, {ledger.OneBatch, ""}, {ledger.OneBatch, "0"},
			{ledger.OneBatch, fmt.Sprintf("0%d", batch.ID)}, {ledger.OneBatch, fmt.Sprintf("%d ", batch.ID)},
			{ledger.OneBatch, fmt.Sprint(batch.ID + 1)}, {"world", ""},
		}
		for _, s := range stops {
			if err := o.PlaceStop(t.Context(), o.checker, s.scope, s.subject, "brake"); err == nil {
				t.Errorf("%s %q is said to be stopped", s.scope, s.subject)
			}
		}
	})
}

func TestStopsHoldOnlyWhatTheyName(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.approved("first", sheet("f", 2))
		second := o.approved("second", sheet("s", 2))
		must(t, o.PlaceStop(ctx, o.checker, ledger.OneBatch, fmt.Sprint(first.ID), "wait"))
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneChannel, "16", "down"))
		claims := o.claim(10)
		if len(claims) != 1 || claims[0].BatchID != second.ID || claims[0].Channel != "11" {
			t.Errorf("claimed %+v", claims)
		}
		for _, by := range []ledger.User{o.maker, o.admin} {
			if err := o.LiftStop(ctx, by, ledger.OneChannel, "16"); err == nil {
				t.Errorf("%s let the channel go again", by.Name)
			}
		}
		must(t, o.LiftStop(ctx, o.checker, ledger.OneChannel, "16"))
		if claims := o.claim(10); len(claims) != 1 || claims[0].Channel != "16" || claims[0].BatchID != second.ID {
			t.Errorf("claimed %+v", claims)
		}
	})
}

// Money that lacks in one place must not keep the rest from being paid.
func TestAPayoutThatCannotBePaidDoesNotBlockOthers(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		must(t, o.Fund(ctx, o.admin, topUp, "EUR", "bank reference 2"))
		must(t, o.SetGatewayBalance(ctx, "EUR", topUp, ledger.AllCommitted))
		must(t, o.SetLimits(ctx, []ledger.Limit{{Channel: "16", Currency: "EUR", Minimum: 1, Maximum: 5_000_00, Source: ledger.FromGateway}}))
		large := usd10("large", func(p *ledger.NewPayout) { p.Amount = 4_000_00 })
		o.approved("dollars", append(append(large, sheet("d", 3)...)[:1:1], sheet("d", 4)[1:]...))
		o.approved("euros", usd10("e", func(p *ledger.NewPayout) { p.Channel, p.Currency = "16", "EUR" }))
		must(t, o.SetGatewayBalance(ctx, "USD", 15_00, ledger.AllCommitted))

		var paid []string
		for range 5 { // one place each time: the first in line must not take it for good
			for _, c := range o.claim(1) {
				paid = append(paid, fmt.Sprintf("%s %s", money.Format(c.Amount, c.Currency), c.Currency))
			}
		}
		slices.Sort(paid)
		if want := []string{"10.00 EUR", "10.00 USD"}; !slices.Equal(paid, want) {
			t.Errorf("claimed %q, want %q", paid, want)
		}
	})
}

func TestClaimsStayWithinTheGatewaysBalance(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("balance", sheet("b", 10))
		must(t, o.SetGatewayBalance(t.Context(), "USD", 25_00, ledger.AllCommitted))
		if n := len(o.claim(1)) + len(o.claim(10)) + len(o.claim(10)); n != 2 {
			t.Errorf("%d payouts of 10.50 claimed on 25.00", n)
		}
		must(t, o.SetGatewayBalance(t.Context(), "USD", 10_50, ledger.AllCommitted))
		if n := len(o.claim(10)); n != 1 {
			t.Errorf("%d payouts of 10.50 claimed on 10.50", n)
		}
		o.sound()
	})
}

// A row that somebody edited after the approval is not sent; the others are.
func TestAnEditedRowIsNotSent(t *testing.T) {
	edits := map[string]string{
		"amount": "amount = 9900", "account": "account = 'P1MALLORY'", "channel": "channel = '16'", "fee": "fee_estimate = 51",
		"payee": "payee = 'Mallory'", "remark": "remark = 'x'", "reference": "reference = 'x'", "pay date": "pay_date = '2026-01-01'",
		"sheet": "sheet = 'Other'", "row": "row_no = 99", "digest": "row_digest = 'x'",
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := officeAt(t, "sqlite")
			o.approved(name, sheet("e", 4))
			const edited = 1_0000_0001
			o.tamper("UPDATE payouts SET " + edit + " WHERE id = 100000001")
			claims := append(o.claim(1), o.claim(10)...)
			for _, c := range claims {
				if c.ID == edited {
					t.Errorf("claimed %+v", c)
				}
			}
			if len(claims) != 3 {
				t.Errorf("%d other payouts were claimed, want 3", len(claims))
			}
			if got := o.exceptionsOf(edited); got != ledger.ExceptionTampered {
				t.Errorf("exceptions %q", got)
			}
			waiting, err := o.Waiting(t.Context(), []string{"11", "16"}, time.Hour)
			must(t, err)
			if len(waiting) != 1 || waiting[0].Reason != ledger.BlockedTampered {
				t.Errorf("waiting %+v", waiting)
			}
		})
	}
}

func TestAnEditedRowIsNotSentFromPostgreSQLEither(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("edited", sheet("e", 4))
		o.tamper("UPDATE payouts SET amount = amount + 1 WHERE id IN (100000001, 100000004)")
		if n := len(o.claim(10)) + len(o.claim(10)); n != 2 {
			t.Errorf("%d payouts were claimed, want the 2 that nobody edited", n)
		}
		for _, id := range []int64{100000001, 100000004} {
			if got := o.exceptionsOf(id); got != ledger.ExceptionTampered {
				t.Errorf("payout %d: exceptions %q", id, got)
			}
		}
	})
}

// The number under which a gateway may have a payout already is never changed:
// under another one it would be paid again.
func TestABatchWhoseOrderNumbersWereEditedIsNotSent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("numbers", sheet("n", 2))
		c := o.claim(1)[0]
		o.put(c, ledger.Approved)
		o.tamper("UPDATE batches SET order_prefix = 'AAAAAAAAAAAAAAAA' WHERE id = " + fmt.Sprint(batch.ID))
		for _, again := range o.claim(10) {
			t.Errorf("payout %d goes out as %s, it was approved as %s%08d", again.ID, again.OrderNo(), batch.OrderPrefix, again.Ordinal)
		}
	})
}

func TestManyWorkersNeverClaimTheSamePayout(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const payouts, workers = 96, 8
		o.approved("race", sheet("r", payouts))
		var mu sync.Mutex
		times := map[int64]int{}
		together(t, workers, func(i int) error {
			for {
				asked := order(5)
				asked.Worker = fmt.Sprint("w", i)
				got, err := o.Claim(t.Context(), asked)
				if err != nil || len(got.Claims) == 0 {
					return err
				}
				mu.Lock()
				for _, c := range got.Claims {
					times[c.ID]++
				}
				mu.Unlock()
			}
		})
		for id, n := range times {
			if n != 1 {
				t.Errorf("payout %d was claimed %d times", id, n)
			}
		}
		attempts := o.count("SELECT count(*) FROM attempts WHERE number = 1")
		if len(times) != payouts || attempts != payouts || o.count("SELECT count(*) FROM attempts") != payouts {
			t.Errorf("%d of %d payouts were claimed, with %d attempts", len(times), payouts, attempts)
		}
		o.sound()
	})
}

// A drained batch is not looked at again, until a payout of it comes back.
func TestADrainedBatchWakesUp(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("drained", sheet("d", 2))
		drained := func() bool {
			return o.count("SELECT count(*) FROM batches WHERE drained_at > 0 AND id = ?", batch.ID) == 1
		}
		claims := o.claim(2)
		if o.claim(2); !drained() {
			t.Error("a batch with nothing to send is not drained")
		}
		o.put(claims[0], ledger.Approved)
		if drained() {
			t.Error("a batch with a payout to send is drained")
		}
		again := o.claim(2)
		if len(again) != 1 || again[0].ID != claims[0].ID || again[0].Number != 2 || again[0].OrderNo() != claims[0].OrderNo() {
			t.Errorf("claimed %+v", again)
		}
		o.sound()
	})
}

// While one worker finds a batch empty, others put its payouts back: none may
// be forgotten.
func TestABatchNeverSleepsOverAPayout(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const payouts = 8
		o.approved("asleep", sheet("a", payouts))
		for range 3 {
			claims := o.claim(payouts)
			if len(claims) != payouts {
				t.Fatalf("claimed %d of %d", len(claims), payouts)
			}
			together(t, payouts+4, func(i int) error {
				if i >= payouts {
					asked := order(1)
					asked.Channels = []string{"none"} // looks for empty batches only
					_, err := o.Claim(t.Context(), asked)
					return err
				}
				_, err := o.Record(t.Context(), "worker:w1", []ledger.Finding{answered(claims[i], ledger.Approved, ledger.ByNotSending)})
				return err
			})
			if n := o.count("SELECT count(*) FROM batches WHERE drained_at > 0"); n != 0 {
				t.Fatal("the batch is drained, its payouts are not sent")
			}
		}
		o.sound()
	})
}

// Once a claim is committed its payouts must reach the worker, whatever
// housekeeping fails afterwards: else they are in doubt for nothing.
func TestACommittedClaimIsNeverReturnedWithAnError(t *testing.T) {
	t.Parallel()
	o, _ := officeAt(t, "sqlite")
	o.approved("empty", sheet("e", 1))
	o.claim(1)
	o.approved("full", sheet("f", 1))
	o.exec("CREATE TRIGGER broken BEFORE UPDATE OF drained_at ON batches BEGIN SELECT RAISE(ABORT, 'disk trouble'); END")
	got, err := o.Claim(context.WithoutCancel(t.Context()), order(5))
	if err != nil && o.count("SELECT count(*) FROM payouts WHERE state = 'SENDING'") == 2 {
		t.Errorf("%d payouts are claimed, the worker is told %v", len(got.Claims), err)
	}
}

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

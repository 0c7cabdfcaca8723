package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

var brakes = ledger.Brakes{
	Window: 10 * time.Minute, Minimum: 10, InDoubtPercent: 30, RefusedPercent: 50, BadSignatures: 3, BalancePercent: 1,
}

// braked is an office whose sending stops by itself.
func braked(t *testing.T, test func(*testing.T, *office, *clock)) {
	t.Helper()
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.Book = ledger.New(o.db, ledger.Config{Brakes: brakes})
		test(t, o, c)
	})
}

func refused(c ledger.Claim) ledger.Finding {
	f := answered(c, ledger.Unknown, ledger.ByDoubt)
	f.Evidence.Heard = ledger.HeardRejected
	return f
}

func leftInDoubt(c ledger.Claim) ledger.Finding {
	f := answered(c, ledger.Unknown, ledger.ByDoubt)
	f.Evidence.Heard = "unknown"
	return f
}

func badlySigned(c ledger.Claim) ledger.Finding {
	f := leftInDoubt(c)
	f.Evidence.Reason = ledger.ReasonBadSignature
	return f
}

func good(c ledger.Claim) ledger.Finding { return answered(c, ledger.Accepted, ledger.ByAcceptance) }

func TestSendingStopsByItself(t *testing.T) {
	type step struct {
		n    int
		how  func(ledger.Claim) ledger.Finding
		wait time.Duration
	}
	for name, c := range map[string]struct {
		steps []step
		want  string // scope and subject of the stop
		says  string
	}{
		"few in doubt":            {[]step{{70, good, 0}, {30, leftInDoubt, 0}}, "", ""},
		"many in doubt":           {[]step{{60, good, 0}, {31, leftInDoubt, 0}}, "channel 11", "26 of 86 payouts sent in 10m0s were left in doubt"},
		"one of one":              {[]step{{9, leftInDoubt, 0}}, "", ""},
		"spread over minutes":     {[]step{{4, leftInDoubt, 3 * time.Minute}, {4, leftInDoubt, 3 * time.Minute}, {4, leftInDoubt, 0}}, "channel 11", "10 of 10"},
		"too long ago":            {[]step{{6, leftInDoubt, 12 * time.Minute}, {8, leftInDoubt, 0}}, "", ""},
		"few refused":             {[]step{{10, good, 0}, {10, refused, 0}}, "", ""},
		"many refused":            {[]step{{10, good, 0}, {11, refused, 0}}, "channel 11", "11 of 21 payouts sent in 10m0s were refused"},
		"two wrongly signed":      {[]step{{50, good, 0}, {2, badlySigned, 0}}, "", ""},
		"three wrongly signed":    {[]step{{50, good, 0}, {3, badlySigned, 0}}, "everything ", "3 of the gateway's answers in 10m0s were wrongly signed"},
		"not sent does not count": {[]step{{20, func(c ledger.Claim) ledger.Finding { return answered(c, ledger.Approved, ledger.ByNotSending) }, 0}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			braked(t, func(t *testing.T, o *office, clock *clock) {
				rows := sheet("h", 100)
				for i := range rows {
					rows[i].Channel = "11"
				}
				o.approved("health", rows)
				var findings []ledger.Finding
				for _, s := range c.steps {
					o.refresh()
					for _, claim := range o.claim(s.n) {
						findings = append(findings, s.how(claim))
					}
					for i, f := range findings { // one after the other, by two workers
						_, err := o.Record(t.Context(), fmt.Sprint("worker:w", i%2), []ledger.Finding{f})
						must(t, err)
					}
					findings = nil
					clock.advance(s.wait)
				}
				stops, err := o.Stops(t.Context())
				must(t, err)
				got, reason := "", ""
				if len(stops) > 0 {
					got, reason = string(stops[0].Scope)+" "+stops[0].Subject, stops[0].Reason
				}
				if got != c.want || len(stops) > 1 || !strings.Contains(reason, c.says) {
					t.Fatalf("stopped %q since %q, want %q since %q", got, reason, c.want, c.says)
				}
				cases := o.count("SELECT count(*) FROM exceptions WHERE kind = 'stopped' AND closed_at = 0")
				if cases != int64(len(stops)) {
					t.Errorf("%d cases for %d stops", cases, len(stops))
				}
				if len(stops) == 0 {
					return
				}
				o.refresh()
				if claims := o.claim(1); len(claims) != 0 {
					t.Error("it was claimed in spite of the stop")
				}
				// A checker has looked: what was counted before counts no more.
				must(t, o.LiftStop(t.Context(), o.checker, stops[0].Scope, stops[0].Subject))
				clock.advance(time.Minute)
				o.refresh()
				claims := o.claim(1)
				if len(claims) == 1 {
					o.record(leftInDoubt(claims[0]))
				}
				if stops, err = o.Stops(t.Context()); err != nil || len(stops) != 0 || len(claims) != 1 {
					t.Errorf("stopped again at once: %+v, %v; %d claims", stops, err, len(claims))
				}
				if open := o.count("SELECT count(*) FROM exceptions WHERE kind = 'stopped' AND closed_at = 0"); open != 0 {
					t.Errorf("%d cases are open after the stop was lifted", open)
				}
				o.sound()
			})
		})
	}
}

// Each step reports a balance, as the limits job does every minute.
func TestABalanceThatFallsWithoutReasonStopsEverything(t *testing.T) {
	braked(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		o.approved("balance", sheet("b", 60))
		real := topUp
		report := func() int {
			t.Helper()
			c.advance(time.Minute)
			explained, err := o.Explained(ctx)
			must(t, err)
			must(t, o.SetGatewayBalance(ctx, "USD", real, ledger.AllCommitted))
			must(t, o.WatchBalance(ctx, "USD", real, explained["USD"]))
			limits, err := o.Limits(ctx)
			must(t, err)
			must(t, o.SetLimits(ctx, limits))
			stops, err := o.Stops(ctx)
			must(t, err)
			return len(stops)
		}
		quiet := func(what string) {
			t.Helper()
			if report() != 0 {
				stops, _ := o.Stops(ctx)
				t.Fatalf("%s: %s", what, stops[0].Reason)
			}
		}
		quiet("the first report")
		claims := o.claim(20)
		quiet("claimed, not taken yet")
		real -= 10 * 10_50
		quiet("some are taken, not answered yet")
		for i, claim := range claims[:10] {
			o.put(claim, []ledger.State{ledger.Accepted, ledger.Succeeded}[i%2])
		}
		real -= 10 * 10_50
		quiet("all are taken")
		real += 3 * 10_50
		for _, claim := range claims[10:13] {
			o.put(claim, ledger.Failed)
		}
		quiet("three failed and came back")
		for _, claim := range claims[13:16] {
			f := answered(claim, ledger.Succeeded, ledger.BySuccess)
			f.Fee = 3_50 // was estimated at 0.50
			real -= 3_00
			o.record(f)
		}
		quiet("fees higher than estimated")
		real -= topUp / 200
		quiet("half a percent")
		real += 5_000_00
		quiet("a top-up")
		real -= (topUp + 5_000_00) * 2 / 100
		if report() != 1 {
			t.Fatal("two percent went elsewhere, and nothing stopped")
		}
		stops, err := o.Stops(ctx)
		must(t, err)
		if s := stops[0]; s.Scope != ledger.Everything || s.PlacedBy != "system" || !strings.Contains(s.Reason, "more than all our claims explain: it held 14") {
			t.Errorf("stopped %+v", s)
		}
		raised, err := o.Raise(ctx, ledger.AlertRules{})
		must(t, err)
		if told := raised[len(raised)-1]; told.Kind != ledger.AlertStopped || told.Detail != stops[0].Reason {
			t.Errorf("what people are told is masked: %s", told.Detail)
		}
		must(t, o.LiftStop(ctx, o.checker, ledger.Everything, ""))
		quiet("a checker has looked")
		real -= money.Amount(1_000_00)
		if report() != 1 {
			t.Error("it fell again, and nothing stopped")
		}
	})
}

func TestOldCountsAreForgotten(t *testing.T) {
	braked(t, func(t *testing.T, o *office, c *clock) {
		o.approved("old", sheet("o", 2))
		o.record(good(o.claim(1)[0]))
		must(t, o.ForgetCalls(t.Context()))
		before := o.count("SELECT count(*) FROM channel_minutes")
		c.advance(2 * time.Hour)
		must(t, o.ForgetCalls(t.Context()))
		if after := o.count("SELECT count(*) FROM channel_minutes"); before != 1 || after != 0 {
			t.Errorf("%d counts, %d after two hours", before, after)
		}
	})
}

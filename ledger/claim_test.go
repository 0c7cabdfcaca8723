package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

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
			if tt.reason == "the pay date" {
				want[0].Date = c.now().AddDate(0, 0, 1).Format("2006-01-02")
			}
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

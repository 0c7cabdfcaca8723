package ledger_test

import (
	"strings"
	"testing"

	"payrun/internal/money"
	"payrun/ledger"
)

// cancelled is a payout that was taken back, and that the gateway then says it
// paid.
func (o *office) cancelled(name string, rows []ledger.NewPayout) (orders []string) {
	o.t.Helper()
	batch := o.approved(name, rows)
	o.takenBack(batch)
	for i := range rows {
		orders = append(orders, numbered(batch, i+1))
		must(o.t, o.Notify(o.t.Context(), orders[i], notifiedPaid()))
	}
	return orders
}

func (o *office) takenBack(batch ledger.Batch) {
	o.t.Helper()
	_, err := o.Cancel(o.t.Context(), o.checker, batch.ID, "wrong month")
	must(o.t, err)
}

// What two people may say about a payout that was cancelled here and that the
// gateway speaks of, and where the money is then. Nothing is held any more.
func TestWhatTwoPeopleDecideAboutACancelledPayout(t *testing.T) {
	tests := []struct {
		name    string
		outcome ledger.Outcome
		fee     money.Amount // -1: nobody names it
		to      ledger.State
		booked  ledger.Balances
	}{
		{"it was paid", ledger.OutcomePaid, -1, ledger.Succeeded, ledger.Balances{Available: -10_50, Paid: 10_00, Fees: 50}},
		{"it was paid with another fee", ledger.OutcomePaid, 70, ledger.Succeeded, ledger.Balances{Available: -10_70, Paid: 10_00, Fees: 70}},
		{"it was paid without a fee", ledger.OutcomePaid, 0, ledger.Succeeded, ledger.Balances{Available: -10_00, Paid: 10_00}},
		{"it was not paid", ledger.OutcomeFailed, -1, ledger.Cancelled, ledger.Balances{}},
	}
	each(t, func(t *testing.T, o *office) {
		orders := o.cancelled("c", sheet("c", len(tests)))
		for i, tt := range tests {
			before, id := o.usd(), o.payout(orders[i]).ID
			if kinds := o.exceptionsOf(id); kinds != ledger.ExceptionContrary {
				t.Fatalf("%s: the open cases are %q", tt.name, kinds)
			}
			p := said(tt.outcome)
			if tt.fee >= 0 {
				p.Fee, p.FeeKnown = tt.fee, true
			}
			o.decide(orders[i], p)
			after := o.usd()
			got := ledger.Balances{
				Available: after.Available - before.Available, Held: after.Held - before.Held,
				Paid: after.Paid - before.Paid, Fees: after.Fees - before.Fees, Suspense: after.Suspense - before.Suspense,
			}
			if state := o.payout(orders[i]).State; state != tt.to || got != tt.booked {
				t.Errorf("%s: is %s, moved %+v; want %s, %+v", tt.name, state, got, tt.to, tt.booked)
			}
			if kinds := o.exceptionsOf(id); kinds != "" {
				t.Errorf("%s: cases left: %s", tt.name, kinds)
			}
		}
		o.sound()
	})
}

// The correction is linked to the entry that gave the hold back, and can be
// corrected itself, to and fro.
func TestACancelledPayoutIsCorrectedInLinkedEntries(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		no := o.cancelled("c", sheet("c", 1))[0]
		for _, outcome := range []ledger.Outcome{ledger.OutcomePaid, ledger.OutcomeFailed, ledger.OutcomePaid} {
			o.decide(no, said(outcome))
			o.sound()
		}
		id := o.payout(no).ID
		linked := o.count(`SELECT count(*) FROM entries c JOIN entries e ON e.id = c.corrects AND e.payout_id = c.payout_id WHERE c.payout_id = ?`, id)
		if got := o.usd(); linked != 3 || got.Paid != 10_00 || got.Fees != 50 || got.Held != 0 {
			t.Errorf("%d linked entries, balances %+v", linked, got)
		}
	})
}

// A claim that was proven not to have left does not change any of it.
func TestACancelledPayoutThatWasClaimedOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("c", sheet("c", 1))
		o.put(o.claim(1)[0], ledger.Approved)
		o.takenBack(batch)
		no := numbered(batch, 1)
		must(t, o.Notify(t.Context(), no, notifiedPaid()))
		o.decide(no, said(ledger.OutcomePaid))
		if p := o.payout(no); p.State != ledger.Succeeded {
			t.Errorf("is %s", p.State)
		}
		o.sound()
	})
}

// The case says what happened and how it ends, for a person.
func TestTheCaseOfACancelledPayoutSaysHowItEnds(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		no := o.cancelled("c", sheet("c", 1))[0]
		open, err := o.Exceptions(t.Context())
		must(t, err)
		if len(open) != 1 || open[0].Detail != "cancelled here, now the gateway says status 7" ||
			!strings.Contains(open[0].NextStep, "payrun payout decide "+no+" --as paid") || !strings.Contains(open[0].NextStep, "--as failed") {
			t.Errorf("cases %+v", open)
		}
	})
}

// A re-pay that was cancelled leaves its payout free to be paid again. Should
// the gateway then say that it paid the cancelled one, what takes its place
// stays here; and once that was sent, both are flagged.
func TestACancelledRepayThatWasPaidStopsTheOneInItsPlace(t *testing.T) {
	for name, paid := range map[string]func(*office, string){
		"notified": func(o *office, no string) { must(o.t, o.Notify(o.t.Context(), no, notifiedPaid())) },
		"decided": func(o *office, no string) {
			must(o.t, o.Notify(o.t.Context(), no, notifiedPaid()))
			o.exec("UPDATE payouts SET blocked = '' WHERE blocked <> ''") // as if nobody had noticed
			o.decide(no, said(ledger.OutcomePaid))
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				cancelled, second := o.replaced()
				paid(o, cancelled)
				o.stopped(second)
				o.exec("UPDATE payouts SET blocked = '' WHERE blocked <> ''") // the claim looks too
				o.stopped(second)
				number := o.propose(o.maker, second, said(ledger.OutcomeUnblock))
				o.refused("let go", o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, cancelled)
				must(t, o.Withdraw(t.Context(), o.maker, number))
				o.decide(second, said(ledger.OutcomeCancel))
				o.sound()
			})
		})
	}
}

// replaced is a failed payout's re-pay that was cancelled, and the approved
// one that takes its place.
func (o *office) replaced() (cancelled, second string) {
	o.t.Helper()
	first := o.failed("first", 1)[0]
	batch := o.again(first)
	o.takenBack(batch)
	other := o.repaid(first)
	must(o.t, o.AllowRepeat(o.t.Context(), o.checker, other.ID, "it was cancelled"))
	must(o.t, o.Submit(o.t.Context(), o.maker, other.ID))
	must(o.t, o.Approve(o.t.Context(), o.checker, other.ID))
	other, err := o.Batch(o.t.Context(), other.ID)
	must(o.t, err)
	return numbered(batch, 1), numbered(other, 1)
}

func TestACancelledRepayThatWasPaidIsFlaggedWithTheOneInItsPlace(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		cancelled, second := o.replaced()
		o.put(o.claim(1)[0], ledger.Succeeded)
		must(t, o.Notify(t.Context(), cancelled, notifiedPaid()))
		o.decide(cancelled, said(ledger.OutcomePaid))
		for _, no := range []string{cancelled, second} {
			if kinds := o.exceptionsOf(o.payout(no).ID); kinds != ledger.ExceptionPaidTwice {
				t.Errorf("%s: open cases %q", no, kinds)
			}
		}
		o.sound()
		o.decide(second, said(ledger.OutcomeFailed)) // it came back
		o.decide(cancelled, said(ledger.OutcomePaid))
		o.sound()
	})
}

package ledger_test

import (
	"testing"

	"payrun/internal/money"
	"payrun/ledger"
)

// Bugs that other payout systems had, where no other test of ours covers them.

// A column that was too narrow cut 1,000.00 off at 999.99, and a floating one
// lost the cent behind 2^53.
func TestAmountsAreStoredExactlyHoweverLarge(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const most = money.Amount(1<<63 - 1)
		amounts := []money.Amount{1, 999_99, 1_000_00, 1<<53 + 1}
		left := most
		for _, a := range amounts {
			left -= a
		}
		amounts = append(amounts, left)
		rows := sheet("large", len(amounts))
		for i := range rows {
			rows[i].Amount, rows[i].FeeEstimate, rows[i].Channel = amounts[i], 0, "11"
		}
		batch := o.imported("large", rows)
		must(t, o.Submit(t.Context(), o.maker, batch.ID))
		must(t, o.EachPayout(t.Context(), batch.ID, func(p *ledger.Payout) error {
			if want := amounts[p.Ordinal-1]; p.Amount != want {
				t.Errorf("payout %d: %d is stored as %d", p.Ordinal, want, p.Amount)
			}
			return nil
		}))
		totals, err := o.Totals(t.Context(), batch.ID)
		must(t, err)
		progress, err := o.Progress(t.Context(), batch.ID)
		must(t, err)
		if len(totals) != 1 || totals[0].Amount != most || len(progress) != 1 || progress[0].Amount != most {
			t.Errorf("they add up to %+v and %+v", totals, progress)
		}
		o.sound()
	})
}

// A payout that was tried again stood in lists once per attempt, and totals
// counted it as often.
func TestAPayoutTriedOftenIsListedOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("often", sheet("often", 3))
		for _, c := range o.claim(3) { // each is tried, and comes back
			o.put(c, ledger.Approved)
		}
		again := o.claim(3)
		o.put(again[0], ledger.Unknown)
		o.put(again[1], ledger.Accepted)
		o.put(again[2], ledger.Succeeded)
		for range 2 { // look-ups that find nothing new
			for i, state := range []ledger.State{ledger.Unknown, ledger.Accepted} {
				if n := o.record(looked(again[i], state, state, "")); n != 1 {
					t.Fatalf("%d look-ups are recorded", n)
				}
			}
		}
		listed := map[string]int{}
		must(t, o.EachPayout(t.Context(), batch.ID, func(p *ledger.Payout) error {
			listed[p.OrderNo()]++
			return nil
		}))
		progress, err := o.Progress(t.Context(), batch.ID)
		must(t, err)
		var payouts int64
		var amount money.Amount
		for _, p := range progress {
			payouts, amount = payouts+p.Payouts, amount+p.Amount
		}
		if len(listed) != 3 || payouts != 3 || amount != 30_00 {
			t.Errorf("listed %v, %d payouts of %d in all", listed, payouts, amount)
		}
		for number, times := range listed {
			if times != 1 {
				t.Errorf("%s is listed %d times", number, times)
			}
		}
		o.sound()
	})
}

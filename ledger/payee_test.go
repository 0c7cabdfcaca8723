package ledger_test

import (
	"testing"

	"payrun/ledger"
)

// TestAWalletHasAHistory of what was approved and of what was paid.
func TestAWalletHasAHistory(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		history := func(channel, account string, want ledger.WalletHistory) {
			t.Helper()
			if got, err := o.WalletHistory(t.Context(), channel, account); err != nil || got != want {
				t.Errorf("%s on channel %s: %+v, %v; want %+v", account, channel, got, err, want)
			}
		}
		b := o.scrutinized("a", pays("P1 10", "P1 20", "P2 30"), ledger.Scrutiny{})
		history("16", "P1", ledger.WalletHistory{})
		must(t, o.Submit(t.Context(), o.maker, b.ID))
		must(t, o.Approve(t.Context(), o.checker, b.ID))
		o.put(o.claim(1)[0], ledger.Succeeded)
		history("16", "p1", ledger.WalletHistory{Approved: 2, Paid: 1})
		history("16", "P2", ledger.WalletHistory{Approved: 1})
		history("11", "P1", ledger.WalletHistory{})
	})
}

package ledger_test

import (
	"testing"

	"payrun/ledger"
)

// More findings than one statement of an engine takes are all recorded, with
// all that belongs to them.
func TestManyFindingsAreRecordedTogether(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const payouts = 1234
		must(t, o.Fund(t.Context(), o.admin, payouts*10_50, "USD", "for many"))
		must(t, o.SetGatewayBalance(t.Context(), "USD", payouts*10_50, ledger.AllCommitted))
		o.approved("many", sheet("m", payouts))
		claims := o.claim(payouts)
		findings := make([]ledger.Finding, len(claims))
		for i, c := range claims {
			findings[i] = answered(c, ledger.Succeeded, ledger.BySuccess)
		}
		if n := o.record(findings...); n != payouts {
			t.Errorf("%d findings took effect, want %d", n, payouts)
		}
		if got := o.usd(); got.Held != 0 || got.Paid != payouts*10_00 || got.Fees != payouts*50 {
			t.Errorf("balances %+v", got)
		}
		o.sound()
	})
}

package ledger_test

import (
	"strings"
	"testing"

	"payrun/ledger"
)

// People call a payout by what is in front of them: an order number, the
// gateway's list, their sheet.
func TestAPayoutIsFoundByWhatPeopleCallIt(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("first", sheet("a", 2))
		again := sheet("a", 2)
		again[0].Amount++
		o.approved("second", again)
		discarded := o.imported("discarded", sheet("d", 1))
		must(t, o.Discard(t.Context(), o.maker, discarded.ID, "wrong"))
		c := o.claim(1)[0]
		paid := answered(c, ledger.Accepted, ledger.ByAcceptance)
		paid.GatewayOrder = "Gate-77"
		o.record(paid)
		for _, tt := range []struct {
			name string
			want int
		}{
			{c.OrderNo(), 1},
			{" " + strings.ToLower(c.OrderNo()) + "\n", 1},
			{"Gate-77", 1},
			{"gate-77", 1},
			{c.Reference, 2}, // of both batches
			{strings.ToUpper(c.Reference), 2},
			{"d-1", 0}, // nobody pays it any more
			{"gate-7", 0},
			{"%", 0},
			{"", 0},
		} {
			found, err := o.Find(t.Context(), tt.name, 10)
			must(t, err)
			if len(found) != tt.want || tt.want == 1 && found[0].ID != c.ID || tt.want == 2 && found[1].ID != c.ID {
				t.Errorf("%q: found %+v, want %d", tt.name, found, tt.want)
			}
		}
		if found, err := o.Find(t.Context(), c.Reference, 1); err != nil || len(found) != 1 || found[0].BatchID != 2 {
			t.Errorf("the newest: %+v, %v", found, err)
		}
	})
}

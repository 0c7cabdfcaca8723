package reports_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/internal/money"
	"payrun/ledger"
	"payrun/reports"
)

// warned imports a sheet with a warning in row 2, another that is confirmed
// twice in row 3, and a refused row 9 that has a warning too.
func (o *office) warned(name string, fee money.Amount) {
	o.t.Helper()
	rows := sheet(name, 3)
	for i := range rows {
		rows[i].FeeEstimate = fee
	}
	s, err := o.Stage(o.t.Context(), o.maker, name, "acct@example.com")
	must(o.t, err)
	must(o.t, s.Add(o.t.Context(), rows))
	must(o.t, s.AddWarnings(o.t.Context(), []ledger.SheetWarning{{Code: "account-length", Row: 2}, {Code: "payee-repeated", Row: 3}}))
	must(o.t, s.AddProblems(o.t.Context(), []ledger.Problem{
		{Code: "account-length", Severity: "warning", Row: 2, Message: "odd"},
		{Code: "payee-repeated", Severity: "warning", Row: 3, Message: "twice"},
		{Code: "account-length", Severity: "warning", Row: 9, Message: "odd as well"},
		{Code: "amount-missing", Severity: "row rejected", Row: 9, Message: "no amount"},
	}))
	_, err = s.Publish(o.t.Context(), ledger.Counts{SourceDigest: "source of " + name, Read: 4, Accepted: 3, Rejected: 1})
	must(o.t, err)
}

func TestApprovalsNameEverybody(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(20)
		var order string
		for no, p := range o.payouts() {
			if p.State == ledger.Succeeded {
				order = no
			}
		}
		proposal, digest := o.correct(order), strings.Repeat("ab", 32)
		path, _ := o.workbook(reports.Filter{})
		batch, err := o.Batch(t.Context(), 1)
		must(t, err)
		position, head, err := o.Head(t.Context())
		must(t, err)
		found := map[string]bool{}
		for _, row := range cells(t, path, "Approvals and audit") {
			line := strings.Join(row, "|")
			found["people"] = found["people"] || strings.HasPrefix(line, "1|November salaries|APPROVED|mia|mia|charles|")
			found["content"] = found["content"] || strings.HasPrefix(line, "1|November salaries|"+batch.ContentDigest)
			found["event"] = found["event"] || strings.Contains(line, "|1|SUBMITTED|APPROVED|user:charles|approved|") && strings.Contains(line, batch.ContentDigest)
			found["decision"] = found["decision"] || strings.HasPrefix(line, fmt.Sprint(proposal)+"|"+order+"|failed|SUCCEEDED|mia|confirmed|") &&
				strings.Contains(line, "|charles|") && strings.Contains(line, "|came back||line 7||"+digest)
			found["audit"] = found["audit"] || strings.HasPrefix(line, fmt.Sprint(position)+"|") && strings.HasSuffix(line, head)
		}
		for _, what := range []string{"people", "content", "event", "decision", "audit"} {
			if !found[what] {
				t.Errorf("%s not found", what)
			}
		}
	})
}

// What two people found that a payee got instead of what was ordered is told
// where they decided it, and nothing where they named no other amount.
func TestDecisionsNameTheAmountThatReallyMoved(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		want := map[string]string{}
		for no, p := range o.payouts() {
			switch p.State {
			case ledger.Review:
				proposal, err := o.Propose(t.Context(), o.maker, no, ledger.Proposal{
					Outcome: ledger.OutcomePaid, Reason: "so it says", Evidence: "line 9", Moved: p.Amount - 2_50,
				})
				must(t, err)
				must(t, o.Confirm(t.Context(), o.checker, proposal))
				want[no] = number(p.Amount-2_50, p.Currency)
			case ledger.Succeeded:
				o.correct(no)
				want[no] = ""
			}
		}
		path, _ := o.workbook(reports.Filter{})
		rows := cells(t, path, "Approvals and audit")
		head := slices.IndexFunc(rows, func(row []string) bool { return len(row) > 0 && row[0] == "Proposal" })
		got := map[string]string{}
		for _, line := range table(rows[head:])[:len(want)] {
			got[line["Order number"]] = line["Really paid"]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

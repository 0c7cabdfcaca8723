package jobs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
	"payrun/internal/sheets"
)

// TestReasons reads what lies beside a refused sheet. A maker took warnings for
// mistakes, and did not know how much of the sheet was good.
func TestReasons(t *testing.T) {
	t.Parallel()
	bad := importers.Problem{Severity: importers.RowRejected, Row: 4, Column: "D", Heading: "Amount", Message: "The amount is zero."}
	odd := importers.Problem{Severity: importers.Warning, Row: 3, Column: "C", Message: "Check it with the payee, then confirm."}
	counted := importers.Result{Accepted: 3, Rejected: 2, Warnings: 1, Totals: []importers.Total{{Channel: "16", Currency: "USD", Count: 3, Amount: 3150}}}
	tests := []struct {
		name string
		j    sheets.Judgement
		want string
	}{
		{"rejections and warnings", sheets.Judgement{Reason: "why", Sheet: counted, Problems: []importers.Problem{odd, bad, bad}, Found: 3},
			"why\nNothing was imported. Rows: 3 good, 2 bad, 31.50 USD. Warnings: 1.\n" +
				"\nTo be corrected:\n- row 4, column D (Amount): The amount is zero.\n- row 4, column D (Amount): The amount is zero.\n" +
				"\nTo be confirmed by name, once the sheet is imported:\n- row 3, column C: Check it with the payee, then confirm.\n"},
		{"more than are kept", sheets.Judgement{Reason: "why", Sheet: importers.Result{Rejected: 3}, Problems: []importers.Problem{bad}, Found: 3},
			"why\nNothing was imported. Rows: 0 good, 3 bad. Warnings: 0.\n\nTo be corrected:\n- row 4, column D (Amount): The amount is zero.\n\n2 more problems are not listed.\n"},
		{"no sheet", sheets.Judgement{Reason: "The file is a PDF document."}, "The file is a PDF document.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, reasons(tt.j)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

package sheets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
)

// withoutHeadings reads account, amount and remark.
func withoutHeadings() (rules importers.Rules) {
	rules.Profile = importers.Profile{NoHeadings: true, Channel: "16", Currency: "USD",
		Letters: map[string]importers.Field{"A": importers.FieldAccount, "B": importers.FieldAmount, "C": importers.FieldRemark}}
	return rules
}

// Without headings Payrun knows its column by what stands there. What a user
// wrote looks like that now and then, and must reach the payout all the same.
func TestACopyTakesNoColumnOfTheUsers(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a currency in brackets":       "(EUR) invoice: 55",
		"words of a copy, pasted":      "[B] amount-zero: The amount is zero.",
		"a code that does not exist":   "(EUR) pre-paid: 55",
		"a sentence about imports":     "We: Imported as batch 7",
		"something in another bracket": "(row) seat-12: aisle",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sheet.csv")
			must(t, os.WriteFile(path, []byte("P10000001,1.00,"+text+"\nP10000002,0,two\n"), 0o600))
			fixed := edited(t, annotated(t, path, withoutHeadings()), func(file *excelize.File) {
				sheet := file.GetSheetName(0)
				if got := cell(t, file, sheet, "C1"); got != text {
					t.Errorf("the remark became %q", got)
				}
				if got := cell(t, file, sheet, "D2"); !strings.HasPrefix(got, "[B] amount-zero: ") {
					t.Errorf("beside the row stands %q", got)
				}
				must(t, file.SetCellStr(sheet, "B2", "2.00"))
			})
			j, rows := judge(t, fixed, withoutHeadings())
			if len(rows) != 2 || rows[0].Remark != text || rows[1].Remark != "two" || rows[0].Beside+rows[1].Beside != "" {
				t.Errorf("%v, payouts %+v", findings(j), rows)
			}
		})
	}
}

// copyOfImported is the annotated copy of a sheet without headings whose good
// rows became batch 7.
func copyOfImported(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sheet.csv")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	j, _ := judge(t, path, withoutHeadings())
	j.Batch = 7
	return annotate(t, path, withoutHeadings(), j)
}

// What somebody wrote into Payrun's column stays, and what Payrun said there goes.
func TestANoteInOurColumnStays(t *testing.T) {
	t.Parallel()
	noted := edited(t, copyOfImported(t, "P10000001,1.00,one\nP10000002,0,two\nP10000003,0,three\n"), func(file *excelize.File) {
		sheet := file.GetSheetName(0)
		must(t, file.SetCellStr(sheet, "B2", "2.00"))
		must(t, file.SetCellStr(sheet, "D2", "asked Eve"))
	})
	again, rows := judge(t, noted, withoutHeadings())
	if len(rows) != 1 || rows[0].Beside != "D: asked Eve" {
		t.Errorf("%v, payouts %+v", findings(again), rows)
	}
	file := open(t, annotate(t, noted, withoutHeadings(), again))
	for at, want := range map[string]string{"D1": "", "D2": "asked Eve", "D3": "", "E1": "Imported as batch 7. ", "E2": "(D) column-unnamed: ", "E3": "[B] amount-zero: "} {
		if got := cell(t, file, file.GetSheetName(0), at); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s says %q, want %q", at, got, want)
		}
	}
}

// A profile that gained a letter since makes Payrun's column the user's. What
// was imported is rejected even so, and its mark stays.
func TestAMarkInAColumnThatGainedAMeaning(t *testing.T) {
	t.Parallel()
	copied := copyOfImported(t, "P10000001,1.00,one\nP10000002,0,two\n")
	rules := withoutHeadings()
	rules.Letters["D"] = importers.FieldPayee
	again, rows := judge(t, copied, rules)
	if got := strings.Join(findings(again), ", "); got != "1 row-imported, B2 amount-zero" || len(rows) != 0 {
		t.Errorf("%s, payouts %+v", got, rows)
	}
	third, rows := judge(t, annotate(t, copied, rules, again), rules)
	if got := strings.Join(findings(third), ", "); got != "1 row-imported, B2 amount-zero" || len(rows) != 0 {
		t.Errorf("in a copy of the copy: %s, payouts %+v", got, rows)
	}
}

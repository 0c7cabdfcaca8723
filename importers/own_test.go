package importers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
)

// annotatedHead is the header of a sheet that came back once.
const annotatedHead = "Reference,Channel,Account,Amount,Currency,Payrun problems\n"

// What Payrun wrote beside a row must not change what the row means, whatever
// it says and wherever it stands.
func TestTheColumnOfProblemsMeansNothing(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, row, want string }{
		{"a fixed row", "A1,16,P10000001,1.00,USD,[D] amount-zero: The amount is zero.", ""},
		{"words of a total beside a row without account", "A1,16,,1.00,USD,Total: control-total-unchecked.", "account-empty"},
		{"words of a total beside nothing but an amount", ",,,1.00,,Total", "control-total-unchecked"}, // a total all the same, by its shape
		{"an emptied row", ",,,,,[D] amount-zero: The amount is zero.", ""},
		{"a formula", "A1,16,P10000001,1.00,USD,=1+1", ""},
		{"the mark inside a sentence", "A1,16,P10000001,1.00,USD,Not Imported as batch 1", ""},
		{"the mark", "A1,16,P10000001,1.00,USD,Imported as batch 7. Delete this row.", "row-imported"},
		{"the mark and a warning", "A1,16,P10000001,1.00,USD,\"Imported as batch 7.\n(D) payee-repeated: …\"", "row-imported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, "a.csv", []byte(annotatedHead+"A0,16,P10000000,1.00,USD,\n"+tt.row+"\n"), importers.Rules{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range sink.problems {
				got = append(got, string(p.Code))
			}
			if list := strings.Join(got, " "); list != tt.want {
				t.Errorf("problems %q, want %q", list, tt.want)
			}
		})
	}
}

// A column of another name is the user's, and two of ours are one too many.
func TestOnlyTheExactHeadingIsOurs(t *testing.T) {
	t.Parallel()
	theirs := strings.Replace(annotatedHead, "Payrun problems", "Problems", 1) + ",,,,,Imported as batch 7\n"
	result, _, err := readContent(t, "a.csv", []byte(theirs), importers.Rules{})
	if err != nil || result.Rejected != 1 || result.Columns[5].Field != importers.FieldIgnored {
		t.Errorf("a row with the user's own words was dropped: %+v, %v", result, err)
	}
	twice := strings.Replace(annotatedHead, "\n", ",payrun PROBLEMS\n", 1) + "A1,16,P10000001,1.00,USD,,Imported as batch 7\n"
	if _, _, err := readContent(t, "a.csv", []byte(twice), importers.Rules{}); refusal(err) != importers.HeaderDoubled {
		t.Errorf("two columns of ours: %v", err)
	}
}

// Words like those of a copy are the user's where the profile says what the
// column means, and elsewhere unless they name a code that there is.
func TestWithoutHeadingsOnlyOurWordsAreOurs(t *testing.T) {
	t.Parallel()
	rules := importers.Rules{Profile: importers.Profile{NoHeadings: true, Channel: "16", Currency: "USD",
		Letters: map[string]importers.Field{"A": importers.FieldAccount, "B": importers.FieldAmount, "C": importers.FieldRemark}}}
	const ours = "[B] amount-zero: The amount is zero."
	tests := []struct{ name, remark, unused, code, beside string }{
		{"our words, pasted", ours, ours, "", ""},
		{"a currency in brackets", "(EUR) invoice: 55", "(EUR) invoice: 55", "", "D: (EUR) invoice: 55"},
		{"a code that there is not", "one", "[B] amount-fine: 55", "", "D: [B] amount-fine: 55"},
		{"no column", "one", "[Row] amount-zero: 55", "", "D: [Row] amount-zero: 55"},
		{"a warning", "one", "(B) payee-repeated: …", "", ""},
		{"a row", "one", "[row] row-hidden: …", "", ""},
		{"the mark", "one", "Imported as batch 7. Delete this row.", "row-imported", ""},
		{"the mark as a remark", "Imported as batch 7. Delete this row.", "x", "row-imported", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, "a.csv", fmt.Appendf(nil, "P10000001,1.00,%s,%s\n", tt.remark, tt.unused), rules)
			if err != nil {
				t.Fatal(err)
			}
			if tt.code != "" {
				if len(sink.problems) != 1 || string(sink.problems[0].Code) != tt.code {
					t.Errorf("problems %v, want %s", sink.codes(), tt.code)
				}
				return
			}
			if len(sink.rows) != 1 || sink.rows[0].Remark != tt.remark || sink.rows[0].Beside != tt.beside {
				t.Errorf("%v, payouts %+v", sink.codes(), sink.rows)
			}
		})
	}
}

// namedSheets is a workbook with the given sheets, each with the same payout.
func namedSheets(names ...string) *book {
	var content []string
	for range names {
		content = append(content, sheetXML("", headerCells+payoutRow(2), ""))
	}
	b := newBookOf(content...)
	for i, name := range names {
		b.edit("xl/workbook.xml", fmt.Sprintf(`"Sheet%d"`, i+1), `"`+name+`"`)
	}
	return b
}

func TestSheetsThatPayrunWroteAreNotRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		sheets []string
		asked  string
		read   string
		code   importers.Code
	}{
		{"template", []string{"Payouts", "Payrun instructions"}, "", "Payouts", ""},
		{"annotated copy", []string{"Payrun problems", "November"}, "", "November", ""},
		{"other letters", []string{"Payouts", "PAYRUN Problems"}, "", "Payouts", ""},
		{"nothing else", []string{"Payrun instructions", "Payrun problems"}, "", "", importers.NoData},
		{"a name that resembles", []string{"Payouts", "Payrun problems 2"}, "", "", importers.SeveralSheets},
		{"asked for by name", []string{"Payouts", "Payrun problems"}, "Payrun problems", "Payrun problems", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var rules importers.Rules
			rules.Sheet = tt.asked
			result, _, err := readContent(t, "a.xlsx", namedSheets(tt.sheets...).bytes(t), rules)
			if refusal(err) != tt.code || tt.code == "" && result.Sheet != tt.read {
				t.Errorf("read %q, %v", result.Sheet, err)
			}
		})
	}
}

// A hidden sheet of ours is as little data as an open one, but damage in it
// is damage of the file.
func TestSheetsThatPayrunWroteAreStillScanned(t *testing.T) {
	t.Parallel()
	damaged := namedSheets("Payouts", "Payrun problems").edit("xl/worksheets/sheet2.xml", "</sheetData>", "")
	if _, _, err := readContent(t, "a.xlsx", damaged.bytes(t), importers.Rules{}); refusal(err) != importers.XMLDamaged {
		t.Errorf("damage in a sheet that is not read: %v", err)
	}
}

func TestExampleAccountsAreNeverPaid(t *testing.T) {
	t.Parallel()
	for account, want := range map[string]string{
		"P0000000": "account-example", "FP0000": "account-example", "U000000000000": "account-example", "0000000": "account-example",
		"P0000001": "", "P10000000": "",
	} {
		row := csvRow{"Account": account}
		if strings.HasPrefix(account, "F") {
			row["Channel"] = "FasaPay"
		}
		_, sink, err := readContent(t, "a.csv", []byte(row.sheet()), importers.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimPrefix(strings.Join(sink.codes(), " "), "2C "); got != want {
			t.Errorf("%s: %q, want %q", account, got, want)
		}
	}
}

// The summary of a reading counts what the sink saw, row by row.
func TestTheSummaryOfTroubleAddsUp(t *testing.T) {
	t.Parallel()
	result, sink, err := readFile(t, "testdata/trouble.xlsx", importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[importers.Code]int{}
	for _, p := range sink.problems {
		counts[p.Code]++
	}
	for _, kind := range result.Kinds {
		if counts[kind.Code] != kind.Count || len(kind.Rows) != kind.Count {
			t.Errorf("%+v, but the sink saw %d", kind, counts[kind.Code])
		}
		delete(counts, kind.Code)
	}
	if len(counts) > 0 {
		t.Errorf("no kind for %v", counts)
	}
	if first, last := result.Kinds[0], result.Kinds[len(result.Kinds)-1]; first.Count != 2 || last.Severity != importers.Warning {
		t.Errorf("the frequent come first and the warnings last, but the list goes from %+v to %+v", first, last)
	}
	want := []importers.RejectedTotal{
		{Channel: "", Currency: "USD", Count: 1, Amount: 1000},
		{Channel: "11", Currency: "USD", Count: 2, Amount: 2100},
		{Channel: "16", Currency: "USD", Count: 10, Amount: 100_000_059_00, Unreadable: 3},
		{Channel: "18", Count: 1, Unreadable: 1},
		{Channel: "18", Currency: "USD", Count: 7, Amount: -500, Unreadable: 5},
	}
	if diff := cmp.Diff(want, result.RejectedTotals); diff != "" {
		t.Errorf("rejected totals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]importers.RowRange{{From: 2, To: 2}, {From: 5, To: 5}, {From: 22, To: 22}}, result.AcceptedRows); diff != "" {
		t.Errorf("accepted rows (-want +got):\n%s", diff)
	}
}

// A kind names its first rows and counts the rest.
func TestAKindNamesItsFirstRows(t *testing.T) {
	t.Parallel()
	sheet := "Reference,Channel,Account,Amount,Currency\n"
	for i := range 30 {
		sheet += fmt.Sprintf("A%d,16,P1000%04d,0,USD\n", i, i)
	}
	result, _, err := readContent(t, "a.csv", []byte(sheet), importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	want := []importers.Kind{{Code: importers.AmountZero, Severity: importers.RowRejected, Count: 30, Rows: []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}}
	if diff := cmp.Diff(want, result.Kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEachRowSeesEveryRow(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"testdata/payouts-sep-line.csv":      "1:",
		"testdata/payouts-excel-unicode.txt": "1:",
		"testdata/payouts-november.xlsx":     "1:",
	} {
		seen := ""
		rows := 0
		result, _, err := readFile(t, path, importers.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		err = importers.EachRow(context.Background(), path, importers.Rules{TempDir: t.TempDir()}, func(row int, cells []string) error {
			if rows++; rows == 1 {
				seen = fmt.Sprintf("%d:", row)
			}
			if row == result.HeaderRow && cells[0] != result.Columns[0].Heading {
				t.Errorf("%s: heading %q, want %q", path, cells[0], result.Columns[0].Heading)
			}
			return nil
		})
		if filled := result.Titles + 1 + result.ControlRows + result.Accepted + result.Rejected; err != nil || seen != want || rows < filled {
			t.Errorf("%s: %d rows from %q, want at least %d: %v", path, rows, seen, filled, err)
		}
	}
	if err := importers.EachRow(context.Background(), "testdata/old-format.xls", importers.Rules{}, nil); refusal(err) != importers.FormatOldExcel {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// Where the headings cannot be read the fields can, so that a copy can be made.
func TestEachRowNeedsNoHeadings(t *testing.T) {
	t.Parallel()
	for delimiter, name := range map[string]string{",": ",", ";": ";", "\t": "tab", "|": "|"} {
		path := filepath.Join(t.TempDir(), "a.csv")
		text := strings.ReplaceAll("Payouts, November\nChannel;Account;Betrog;Currency\nPayeer;P10000001;5;USD\n", ";", delimiter)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, _, err := readFile(t, path, importers.Rules{})
		if refusal(err) != importers.HeaderMissing || !strings.Contains(err.Error(), "row 2: ") || result.Delimiter != name {
			t.Errorf("delimiter %q: %v", result.Delimiter, err)
		}
		last := 0
		err = importers.EachRow(context.Background(), path, importers.Rules{}, func(row int, cells []string) error {
			if last = row; row > 1 && len(cells) != 4 {
				t.Errorf("row %d: %q", row, cells)
			}
			return nil
		})
		if err != nil || last != 3 {
			t.Errorf("%d rows, %v", last, err)
		}
	}
}

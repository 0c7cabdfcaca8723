package importers_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
)

// TestOfficeSheets reads sheets that LibreOffice wrote: testdata/office/make
// says how.
func TestOfficeSheets(t *testing.T) {
	t.Parallel()
	profile := func(charset string) importers.Rules {
		return importers.Rules{Profile: importers.Profile{Charset: charset}}
	}
	tests := []struct {
		file     string
		rules    importers.Rules
		code     importers.Code // of a refusal
		accepted int
		payee    string // of the first row
	}{
		{"merged-title.xlsx", importers.Rules{}, "", 2, "Ann Example"},
		{"empty-sheets.xlsx", importers.Rules{}, "", 2, "Ann Example"},
		{"sum-right.xlsx", importers.Rules{}, "", 2, "Ann Example"},
		{"hidden-sheet.xlsx", importers.Rules{Profile: importers.Profile{Sheet: "Payouts"}}, "", 2, "Ann Example"},
		{"two-sheets.xlsx", importers.Rules{Profile: importers.Profile{Sheet: "More"}}, "", 2, "Ann Example"},
		{"sum-wrong.xlsx", importers.Rules{}, importers.ControlTotalWrong, 0, ""},
		{"merged.xlsx", importers.Rules{}, importers.MergedCells, 0, ""},
		{"hidden-column.xlsx", importers.Rules{}, importers.HiddenColumn, 0, ""},
		{"hidden-sheet.xlsx", importers.Rules{}, importers.HiddenSheet, 0, ""},
		{"two-sheets.xlsx", importers.Rules{}, importers.SeveralSheets, 0, ""},
		{"macros.xlsm", importers.Rules{}, importers.FormatMacros, 0, ""},
		{"opendocument.ods", importers.Rules{}, importers.FormatOpenDocument, 0, ""},

		{"comma.csv", importers.Rules{}, "", 3, "Зоя Петрова"},
		{"semicolon.csv", importers.Rules{}, "", 3, "Зоя Петрова"},
		{"sep-line.csv", importers.Rules{}, "", 3, "Зоя Петрова"},
		{"tabs-utf16.txt", importers.Rules{}, "", 3, "Зоя Петрова"},
		{"windows-1251.csv", profile("windows-1251"), "", 3, "Зоя Петрова"},
		{"koi8-u.csv", profile("koi8-u"), "", 3, "Зоя Петрова"},
		{"windows-1252.csv", profile("windows-1252"), "", 2, "Jörg Müller"},
		{"windows-1251.csv", importers.Rules{}, importers.EncodingInvalid, 0, ""},
		{"koi8-u.csv", importers.Rules{}, importers.EncodingInvalid, 0, ""},
		{"windows-1252.csv", importers.Rules{}, importers.EncodingInvalid, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+string(tt.code), func(t *testing.T) {
			t.Parallel()
			result, sink, err := readFile(t, filepath.Join("testdata", "office", tt.file), tt.rules)
			if refusal(err) != tt.code {
				t.Fatalf("got %v, want code %q", err, tt.code)
			}
			if tt.code == "" && (result.Accepted != tt.accepted || len(sink.problems) > 0 || sink.rows[0].Payee != tt.payee) {
				t.Errorf("%d accepted, first %+v, problems %v", result.Accepted, sink.rows, sink.problems)
			}
		})
	}
}

// TestOfficeCells names what is odd about each row; the sheet's own last
// column says it for people.
func TestOfficeCells(t *testing.T) {
	t.Parallel()
	result, sink, err := readFile(t, "testdata/office/cells.xlsx", importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"3D cell-formula", "4D cell-formula", "5D cell-boolean", "6D amount-date", "7D amount-percent", "9D amount-format", "10D amount-display",
		"14D amount-negative", "15D amount-zero", "16D amount-empty", "17C account-number", "18C account-space", "19C text-reserved",
		"20C account-look-alike", "21C cell-formula", "23A reference-number", "25G text-reserved", "26E currency-case",
		"28H date-unreadable", "29 row-hidden", "30 row-hidden",
	}
	if diff := cmp.Diff(want, sink.codes()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if result.Accepted != 10 {
		t.Errorf("%d rows accepted", result.Accepted)
	}
	for _, row := range sink.rows {
		if row.Number == 12 && row.Amount != 58 || row.Number == 27 && row.PayDate != "2026-11-30" || row.Number == 24 && row.Remark != "Bonus" {
			t.Errorf("read %+v", row)
		}
	}
}

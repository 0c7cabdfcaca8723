package importers_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
	"payrun/internal/money"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestSamples reads sheets made by spreadsheet programs and compares
// everything that comes back with testdata/golden.
func TestSamples(t *testing.T) {
	t.Parallel()
	comma := importers.Rules{Profile: importers.Profile{DecimalMark: ","}}
	tests := []struct {
		name, path         string
		rules              importers.Rules
		accepted, rejected int
	}{
		{"november", "testdata/payouts-november.xlsx", importers.Rules{}, 120, 0},
		{"aliases", "testdata/payouts-aliases.xlsx", importers.Rules{}, 40, 0},
		{"plain", "testdata/payouts-plain.csv", importers.Rules{}, 30, 0},
		{"europe declared", "testdata/payouts-excel-europe.csv", comma, 30, 0},
		{"europe undeclared", "testdata/payouts-excel-europe.csv", importers.Rules{}, 0, 30},
		{"unicode text", "testdata/payouts-excel-unicode.txt", importers.Rules{}, 30, 0},
		{"sep line", "testdata/payouts-sep-line.csv", importers.Rules{}, 10, 0},
		{"cyrillic", "testdata/payouts-cyrillic.csv", importers.Rules{}, 20, 0},
		{"libreoffice", "testdata/payouts-libreoffice.xlsx", importers.Rules{}, 60, 0},
		{"doubles", "testdata/payouts-excel-doubles.xlsx", importers.Rules{}, 6, 0},
		{"trouble", "testdata/trouble.xlsx", importers.Rules{}, 3, 21},
		{"old format", "testdata/old-format.xls", importers.Rules{}, 0, 0},
		{"example workbook", "../examples/payouts.xlsx", importers.Rules{}, 194, 6},
		{"example csv", "../examples/payouts.csv", importers.Rules{}, 30, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result, sink, err := readFile(t, tt.path, tt.rules)
			if result.Accepted != tt.accepted || result.Rejected != tt.rejected {
				t.Errorf("accepted %d and rejected %d rows, want %d and %d", result.Accepted, result.Rejected, tt.accepted, tt.rejected)
			}
			compareGolden(t, strings.ReplaceAll(tt.name, " ", "-"), describe(result, sink, err))
		})
	}
}

// compareGolden compares text with a golden file, or rewrites the file.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

// describe writes a reading down, line by line.
func describe(result importers.Result, sink *collector, err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "error: %v\nformat: %s %s %s\nsheet: %s\ndigest: %s\n", err, result.Format, result.Encoding, result.Delimiter, result.Sheet, result.Digest)
	fmt.Fprintf(&b, "rows: %d = %d titles + header in row %d + %d controls + %d blank + %d accepted + %d rejected; %d warnings\n",
		result.Rows, result.Titles, result.HeaderRow, result.ControlRows, result.Blank, result.Accepted, result.Rejected, result.Warnings)
	for _, c := range result.Columns {
		fmt.Fprintf(&b, "column %s: %q is %s\n", c.Letter, c.Heading, c.Field)
	}
	for _, c := range result.ControlTotals {
		fmt.Fprintf(&b, "control %s%d: %s %s given, %s found, agrees: %t\n", c.Column, c.Row, c.Kind, c.Given, c.Found, c.Agrees)
	}
	for _, total := range result.Totals {
		fmt.Fprintf(&b, "total %s %s: %d payouts, %s\n", total.Channel, total.Currency, total.Count, money.Format(total.Amount, total.Currency))
	}
	for _, p := range sink.problems {
		fmt.Fprintf(&b, "%s %s [%s] %s\n", p.Severity, p.Code, p.Value, p)
	}
	for _, row := range sink.rows {
		fmt.Fprintf(&b, "%d|%s|%s|%s|%s %s|%s|%s|%s\n", row.Number, row.Reference, row.Channel, row.Account,
			money.Format(row.Amount, row.Currency), row.Currency, row.Payee, row.Remark, row.PayDate)
	}
	return b.String()
}

// TestTroubleNamesEveryBadRow holds the sample against its own last column.
func TestTroubleNamesEveryBadRow(t *testing.T) {
	t.Parallel()
	_, sink, err := readFile(t, "testdata/trouble.xlsx", importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"3C account-prefix", "4C account-number", "5C account-length", "6D cell-formula", "7D amount-zero", "8D amount-negative",
		"9D amount-decimals", "10D amount-format", "11D amount-space", "12E currency-case", "12D amount-percent", "13 row-hidden",
		"13E currency-unknown", "14B channel-unknown", "15C account-empty", "16C text-invisible", "17C account-look-alike",
		"18F text-reserved", "19F cell-formula", "20D amount-too-large", "21A reference-repeated", "22D payee-repeated",
		"23D amount-empty", "24D cell-boolean", "25D amount-decimals",
	}
	if diff := cmp.Diff(want, sink.codes()); diff != "" {
		t.Errorf("problems differ (-want +got):\n%s", diff)
	}
}

package importers_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
	"payrun/internal/money"
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
		{"encrypted.xlsx", importers.Rules{}, importers.FormatEncrypted, 0, ""},
		{"external-link.xlsx", importers.Rules{}, importers.ExternalLinks, 0, ""},
		{"headings-only.xlsx", importers.Rules{}, importers.NoData, 0, ""},
		{"header-missing.xlsx", importers.Rules{}, importers.HeaderMissing, 0, ""},
		{"header-doubled.xlsx", importers.Rules{}, importers.HeaderDoubled, 0, ""},
		{"header-ambiguous.xlsx", importers.Rules{}, importers.HeaderAmbiguous, 0, ""},
		{"cells.xlsx", importers.Rules{MaxBytes: 2_000}, importers.FileTooLarge, 0, ""},
		{"cells.xlsx", importers.Rules{MaxUnzipped: 10_000}, importers.ZipTooLarge, 0, ""},
		{"cells.xlsx", importers.Rules{MaxEntries: 5}, importers.ZipTooManyEntries, 0, ""},
		{"cells.xlsx", importers.Rules{MaxRows: 5}, importers.TooManyRows, 0, ""},
		{"cells.xlsx", importers.Rules{MaxColumns: 5}, importers.TooManyColumns, 0, ""},

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

// TestOfficeFilesUnderAnotherName: what a file is called is no matter of taste.
func TestOfficeFilesUnderAnotherName(t *testing.T) {
	t.Parallel()
	for file, name := range map[string]string{"merged-title.xlsx": "payouts.csv", "comma.csv": "payouts.xlsx"} {
		content, err := os.ReadFile(filepath.Join("testdata", "office", file))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := readContent(t, name, content, importers.Rules{}); refusal(err) != importers.FormatMismatch {
			t.Errorf("%s called %s: got %v, want code %s", file, name, err, importers.FormatMismatch)
		}
	}
}

// TestOfficeCells names what is odd about each row; the sheet's own last
// column says it for people.
func TestOfficeCells(t *testing.T) {
	t.Parallel()
	result, sink := readOffice(t, "cells.xlsx", importers.Rules{})
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

// TestMoreOfficeCells goes on where the first sheet of cells ended.
func TestMoreOfficeCells(t *testing.T) {
	t.Parallel()
	result, sink := readOffice(t, "more-cells.xlsx", importers.Rules{})
	want := []string{
		"3D amount-negative", "4D amount-decimals", "5D amount-format", "6D amount-notation", "7D amount-notation", "8D amount-notation",
		"9D amount-notation", "10D amount-format", "11D amount-format", "12D amount-format", "13D amount-format", "14D amount-format",
		"15D amount-digits", "16D amount-digits", "17D amount-too-large", "18E currency-unknown", "19E currency-channel", "20E currency-empty",
		"21B channel-unknown", "22B channel-empty", "23C account-empty", "24C account-number", "25C account-number", "26C account-prefix",
		"27C account-prefix", "28C account-length", "29C text-invisible", "30C text-invisible", "31C text-reserved", "32G text-reserved",
		"33G text-formula", "34G text-too-long", "36C account-look-alike", "37A reference-repeated", "38D payee-repeated",
		"39H date-unreadable", "40C account-example",
	}
	if diff := cmp.Diff(want, sink.codes()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if result.Accepted != 5 {
		t.Errorf("%d rows accepted", result.Accepted)
	}
}

// TestOfficeRowsAgainstRules provokes what depends on who pays and whom.
func TestOfficeRowsAgainstRules(t *testing.T) {
	t.Parallel()
	bounded := func(limit importers.Limit) importers.Rules {
		channels := importers.DefaultChannels()
		for i := range channels {
			channels[i].Limits = map[money.Currency]importers.Limit{"USD": limit}
		}
		return importers.Rules{Channels: channels}
	}
	for name, tt := range map[string]struct {
		rules importers.Rules
		code  importers.Code
	}{
		"more than the maker may pay": {importers.Rules{MaxAmounts: map[money.Currency]money.Amount{"USD": 1}}, importers.AmountAboveRole},
		"below the limit":             {bounded(importers.Limit{Min: 10_000_000}), importers.AmountBelowLimit},
		"above the limit":             {bounded(importers.Limit{Max: 1}), importers.AmountAboveLimit},
		"our own wallet":              {importers.Rules{OwnAccounts: []string{"P10000002"}}, importers.AccountOwn},
		"a stopped wallet":            {importers.Rules{BlockedAccounts: []string{"P10000002"}}, importers.AccountBlocked},
	} {
		_, sink := readOffice(t, "cells.xlsx", tt.rules)
		if len(sink.problems) == 0 || sink.problems[0].Row != 2 || sink.problems[0].Code != tt.code {
			t.Errorf("%s: got %v, want code %s in row 2", name, sink.codes(), tt.code)
		}
	}
}

// readOffice reads a sheet that is not refused as a whole.
func readOffice(t *testing.T, file string, rules importers.Rules) (importers.Result, *collector) {
	t.Helper()
	result, sink, err := readFile(t, filepath.Join("testdata", "office", file), rules)
	if err != nil {
		t.Fatal(err)
	}
	return result, sink
}

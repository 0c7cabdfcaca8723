package sheets_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"html"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"payrun/importers"
	"payrun/internal/money"
	"payrun/internal/sheets"
)

func template(t testing.TB, rules importers.Rules, choice sheets.TemplateChoice) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template.xlsx")
	must(t, sheets.Template(path, rules, choice))
	return path
}

// fill writes one payout per channel, as a person would: by typing into cells.
func fill(t testing.TB) func(*excelize.File) {
	return func(file *excelize.File) {
		for _, row := range filledRows() {
			set := func(column string, value any) {
				t.Helper()
				must(t, file.SetCellValue(sheets.PayoutsSheet, fmt.Sprintf("%s%d", column, row.Number), value))
			}
			set("A", row.Reference)
			set("B", map[string]string{"11": "Perfect Money", "12": "Advcash", "16": "Payeer", "18": "FasaPay"}[row.Channel])
			set("C", row.Account)
			set("D", float64(row.Amount)/100)
			set("E", string(row.Currency))
			set("F", row.Payee)
			set("G", row.Remark)
			if row.PayDate != "" {
				set("H", 46356) // 30 November 2026, as a spreadsheet stores it
			}
		}
		must(t, file.SetCellValue(sheets.PayoutsSheet, "A6", "Total"))
		must(t, file.SetCellValue(sheets.PayoutsSheet, "D6", 1271.98))
	}
}

func filledRows() []importers.Row {
	return []importers.Row{
		{Number: 2, Reference: "0001", Channel: "11", Account: "U1234567", Amount: 58, Currency: "USD", Payee: "Ann Example", Remark: "Bonus"},
		{Number: 3, Reference: "0002", Channel: "12", Account: "U123456789012", Amount: 1_000_00, Currency: "USD", Payee: "Боб", PayDate: "2026-11-30"},
		{Number: 4, Reference: "0003", Channel: "16", Account: "P12345678", Amount: 270_40, Currency: "USD"},
		{Number: 5, Reference: "0004", Channel: "18", Account: "FP12345", Amount: 1_00, Currency: "USD", Remark: "a, \"b\" and c"},
	}
}

// copyExamples copies the examples of the instructions among the payouts.
func copyExamples(t testing.TB) func(*excelize.File) {
	return func(file *excelize.File) {
		rows, err := file.GetRows(importers.InstructionsSheet)
		must(t, err)
		at := 2
		for _, row := range rows {
			if len(row) > 1 && strings.HasPrefix(row[0], "EXAMPLE") {
				must(t, file.SetSheetRow(sheets.PayoutsSheet, fmt.Sprintf("A%d", at), &[]any{row[0], row[1], row[2], 12.5, row[4]}))
				at++
			}
		}
	}
}

// dropDowns lists the choices of each column. LibreOffice cuts the range down
// to a thousand rows below the last one in use.
func dropDowns(t testing.TB, path string) map[string]string {
	t.Helper()
	checks, err := open(t, path).GetDataValidations(sheets.PayoutsSheet)
	must(t, err)
	lists := map[string]string{}
	for _, check := range checks {
		if check.Type == "list" {
			column, last, err := excelize.SplitCellName(check.Sqref[strings.Index(check.Sqref, ":")+1:])
			must(t, err)
			if !strings.HasPrefix(check.Sqref, column+"2:") || last < 1001 {
				t.Errorf("the drop-down covers only %s", check.Sqref)
			}
			lists[column] = html.UnescapeString(check.Formula1)
		}
	}
	return lists
}

func TestAnEmptyTemplateHasNoPayouts(t *testing.T) {
	t.Parallel()
	j, rows := judge(t, template(t, importers.Rules{}, sheets.TemplateChoice{}), importers.Rules{})
	if j.Refused == nil || j.Refused.Code != importers.NoData || len(rows) != 0 {
		t.Errorf("%+v", j.Refused)
	}
	for _, column := range j.Sheet.Columns {
		if column.Field == importers.FieldIgnored {
			t.Errorf("the importer does not know the heading %q", column.Heading)
		}
	}
	if len(j.Sheet.Columns) != 8 {
		t.Errorf("columns %v", j.Sheet.Columns)
	}
}

// Eight columns do not fit on a page upright, and unpackers complain of a day
// that no calendar has.
func TestATemplatePrintsOnePageWideAndHasDates(t *testing.T) {
	t.Parallel()
	path := template(t, importers.Rules{}, sheets.TemplateChoice{})
	edited(t, path, func(file *excelize.File) {
		for _, name := range file.GetSheetList() {
			page, err := file.GetPageLayout(name)
			must(t, err)
			props, err := file.GetSheetProps(name)
			must(t, err)
			if *page.Orientation != "landscape" || *page.FitToWidth != 1 || *page.FitToHeight != 0 || !*props.FitToPage {
				t.Errorf("%s: %s, %d pages wide", name, *page.Orientation, *page.FitToWidth)
			}
		}
	})
	archive, err := zip.OpenReader(path)
	must(t, err)
	defer archive.Close()
	for _, entry := range archive.File {
		if entry.Modified.Format("2006-01-02") != "1980-01-01" {
			t.Errorf("%s is of %s", entry.Name, entry.Modified)
		}
	}
}

func TestAFilledTemplateIsImported(t *testing.T) {
	t.Parallel()
	path := edited(t, template(t, importers.Rules{}, sheets.TemplateChoice{}), fill(t))
	j, rows := judge(t, path, importers.Rules{})
	for i := range rows {
		rows[i].Sheet = ""
	}
	if diff := cmp.Diff(filledRows(), rows); diff != "" || len(j.Problems) > 0 {
		t.Errorf("problems %v, rows (-filled +imported):\n%s", findings(j), diff)
	}
	if totals := j.Sheet.ControlTotals; len(totals) != 1 || !totals[0].Agrees {
		t.Errorf("the total row: %+v", totals)
	}
}

func TestExamplesCopiedAmongThePayoutsAreRefused(t *testing.T) {
	t.Parallel()
	j, rows := judge(t, edited(t, template(t, importers.Rules{}, sheets.TemplateChoice{}), copyExamples(t)), importers.Rules{})
	want := []string{"C2 account-example", "C3 account-example", "C4 account-example", "C5 account-example"}
	if diff := cmp.Diff(want, findings(j)); diff != "" || len(rows) != 0 {
		t.Errorf("%d rows accepted, problems (-want +got):\n%s", len(rows), diff)
	}
}

// A newcomer typed the examples' first two columns into each other's place.
func TestExamplesHaveTheOrderOfTheSheet(t *testing.T) {
	t.Parallel()
	byHand := importers.Rules{Profile: importers.Profile{Channel: "16", Columns: map[string]importers.Field{"Kwota": importers.FieldAmount}}}
	for name, tt := range map[string]struct {
		rules          importers.Rules
		heads, example []string
	}{
		"all columns": {importers.Rules{}, []string{"Reference", "Channel", "Account", "Amount", "Currency", "Remark"},
			[]string{"EXAMPLE-3", "Payeer", "P0000000", "12.50 ", "USD", "November, invoice 17"}},
		"by a profile": {byHand, []string{"Reference", "Account", "Kwota", "Currency", "Remark"},
			[]string{"EXAMPLE-1", "P0000000", "12.50 ", "USD", "November, invoice 17"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, err := open(t, template(t, tt.rules, sheets.TemplateChoice{})).GetRows(importers.InstructionsSheet)
			must(t, err)
			at := slices.IndexFunc(rows, func(row []string) bool { return len(row) > 0 && row[0] == "Examples" })
			if diff := cmp.Diff(tt.heads, rows[at+2]); diff != "" {
				t.Errorf("headings (-want +got):\n%s", diff)
			}
			if !slices.ContainsFunc(rows[at+3:], func(row []string) bool { return slices.Equal(row, tt.example) }) {
				t.Errorf("no row %q in %q", tt.example, rows[at+3:])
			}
		})
	}
}

// What the instructions call refused is refused, and nothing else of it.
func TestTheInstructionsSayWhereCharactersAreRefused(t *testing.T) {
	t.Parallel()
	path := template(t, importers.Rules{}, sheets.TemplateChoice{})
	rows, err := open(t, path).GetRows(importers.InstructionsSheet)
	must(t, err)
	const sentence = "Line breaks, and text that begins with = + - or @. In an account or a remark also the characters & and = anywhere."
	if !slices.ContainsFunc(rows, func(row []string) bool { return len(row) > 0 && row[0] == sentence }) {
		t.Errorf("the instructions do not say %q", sentence)
	}
	odd := edited(t, path, func(file *excelize.File) {
		must(t, file.SetSheetRow(sheets.PayoutsSheet, "A2", &[]any{"a=b&c", "Payeer", "P12345678", 1, "USD", "Tom & Jerry = us", "a&b"}))
		must(t, file.SetSheetRow(sheets.PayoutsSheet, "A3", &[]any{"=1", "Payeer", "P1234&5678", 2, "USD", "-Tom", "a=b"}))
	})
	j, _ := judge(t, odd, importers.Rules{})
	want := []string{"G2 text-reserved", "C3 text-reserved", "A3 text-formula", "F3 text-formula", "G3 text-reserved"}
	if diff := cmp.Diff(want, findings(j)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestATemplateIsNarrowedDown(t *testing.T) {
	t.Parallel()
	wide := importers.DefaultChannels()
	wide[0].Currencies = []money.Currency{"USD", "EUR"}
	wide[2].Currencies = []money.Currency{"JPY"}
	var fixed, byHand importers.Rules
	fixed.Channel, fixed.Currency = "16", "USD"
	byHand.Columns = map[string]importers.Field{"Kwota": importers.FieldAmount, "Portfel": importers.FieldAccount}
	const all = `"Perfect Money,Advcash,Payeer,FasaPay"`
	tests := []struct {
		name                 string
		rules                importers.Rules
		choice               sheets.TemplateChoice
		channels, currencies string // of the drop-downs
		headings             string
	}{
		{"default", importers.Rules{}, sheets.TemplateChoice{}, all, `"USD"`, "Reference Channel Account Amount Currency Payee Remark Pay date"},
		{"several currencies", importers.Rules{Channels: wide}, sheets.TemplateChoice{}, all, `"EUR,JPY,USD"`, "Reference Channel Account Amount Currency Payee Remark Pay date"},
		{"one channel", importers.Rules{Channels: wide}, sheets.TemplateChoice{Channel: "perfect money"}, `"Perfect Money"`, `"EUR,USD"`, "Reference Channel Account Amount Currency Payee Remark Pay date"},
		{"by code", importers.Rules{Channels: wide}, sheets.TemplateChoice{Channel: "16"}, `"Payeer"`, `"JPY"`, "Reference Channel Account Amount Currency Payee Remark Pay date"},
		{"one currency", importers.Rules{Channels: wide}, sheets.TemplateChoice{Currency: "EUR"}, `"Perfect Money"`, `"EUR"`, "Reference Channel Account Amount Currency Payee Remark Pay date"},
		{"both fixed by the rules", fixed, sheets.TemplateChoice{}, "", "", "Reference Account Amount Payee Remark Pay date"},
		{"headings by hand", byHand, sheets.TemplateChoice{}, all, `"USD"`, "Reference Channel Portfel Kwota Currency Payee Remark Pay date"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := template(t, tt.rules, tt.choice)
			var lists []string
			for _, list := range dropDowns(t, path) {
				lists = append(lists, list)
			}
			want := slices.DeleteFunc([]string{tt.channels, tt.currencies}, func(s string) bool { return s == "" })
			slices.Sort(lists)
			slices.Sort(want)
			if !slices.Equal(lists, want) {
				t.Errorf("drop-downs %q, want %q", lists, want)
			}
			rows, err := open(t, path).GetRows(sheets.PayoutsSheet)
			must(t, err)
			if got := strings.Join(rows[0], " "); got != tt.headings {
				t.Errorf("headings %q, want %q", got, tt.headings)
			}
			if j, _ := judge(t, path, tt.rules); j.Refused == nil || j.Refused.Code != importers.NoData {
				t.Errorf("the rules of the template do not read it: %+v", j.Refused)
			}
		})
	}
}

func TestATemplateFollowsTheCurrencysDecimals(t *testing.T) {
	t.Parallel()
	for currency, want := range map[money.Currency]string{"USD": "0.00", "JPY": "0", "KWD": "0.000"} {
		channels := importers.DefaultChannels()[2:3]
		channels[0].Currencies = []money.Currency{currency}
		file := open(t, template(t, importers.Rules{Channels: channels}, sheets.TemplateChoice{}))
		for column, want := range map[string]string{"D": want, "A": "@", "C": "@"} {
			id, err := file.GetColStyle(sheets.PayoutsSheet, column)
			must(t, err)
			style, err := file.GetStyle(id)
			must(t, err)
			if style.CustomNumFmt == nil && style.NumFmt == 49 {
				style.CustomNumFmt = &want
			}
			if style.CustomNumFmt == nil || *style.CustomNumFmt != want {
				t.Errorf("%s: column %s has the format %v, want %s", currency, column, style.CustomNumFmt, want)
			}
		}
	}
}

// Amounts in minor units would be a hundred times too small or too large.
func TestAProfileWithoutATemplate(t *testing.T) {
	t.Parallel()
	for name, profile := range map[string]importers.Profile{
		"no headings": {NoHeadings: true}, "letters": {Letters: map[string]importers.Field{"A": importers.FieldAccount}}, "minor units": {MinorUnits: true},
	} {
		path := filepath.Join(t.TempDir(), "template.xlsx")
		if err := sheets.Template(path, importers.Rules{Profile: profile}, sheets.TemplateChoice{}); !errors.Is(err, sheets.ErrNoForm) || !strings.Contains(err.Error(), "not in cents") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATemplateThatNobodyCouldUse(t *testing.T) {
	t.Parallel()
	for _, choice := range []sheets.TemplateChoice{{Channel: "99"}, {Currency: "EUR"}, {Channel: "Payeer", Currency: "GBP"}} {
		path := filepath.Join(t.TempDir(), "template.xlsx")
		if err := sheets.Template(path, importers.Rules{}, choice); !errors.Is(err, sheets.ErrNoSuchChoice) {
			t.Errorf("%+v: %v", choice, err)
		}
	}
}

// A text that is saved as the instructions say is read by the same rules.
func TestTheInstructionsNameTheCharset(t *testing.T) {
	t.Parallel()
	for charset, want := range map[string]string{"": "CSV in UTF-8,", "windows-1251": "CSV in windows-1251,", "utf-16le": "CSV in utf-16le,"} {
		var rules importers.Rules
		rules.Charset = charset
		target := filepath.Join(t.TempDir(), "template.xlsx")
		must(t, sheets.Template(target, rules, sheets.TemplateChoice{}))
		if text := sheetText(t, open(t, target), importers.InstructionsSheet); !strings.Contains(text, want) {
			t.Errorf("%q: the instructions do not say %q:\n%s", charset, want, text)
		}
	}
}

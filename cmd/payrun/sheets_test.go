package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
	"payrun/internal/sheets"
)

// beside lists what lies in a sheet's folder.
func beside(t *testing.T, sheet string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(sheet))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestABadSheetComesBack goes the way of a maker: hand in, correct what is
// marked in the copy, hand the copy in.
func TestABadSheetComesBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	path := p.sheet(append(goodRows(2), badRow)...)
	p.as(maker).run("import", path).exits(exitSheet).says("payouts.csv.problems.xlsx", "correct them there")
	p.as(maker).run("import", path).exits(exitSheet).says("payouts.csv.problems-2.xlsx")
	copied := path + ".problems.xlsx"
	p.as(maker).run("import", copied).exits(exitSheet).says("payouts.csv.problems-3.xlsx")
	want := []string{"payouts.csv", "payouts.csv.problems-2.xlsx", "payouts.csv.problems-3.xlsx", "payouts.csv.problems.xlsx"}
	if got := beside(t, path); !slices.Equal(got, want) {
		t.Errorf("beside the sheet lie %q, want %q", got, want)
	}
	correct(t, copied)
	p.as(maker).must("import", copied).says("3 good rows, 0 rejected", "payrun batch submit")
}

// correct writes an amount where the copy says there is none.
func correct(t *testing.T, path string) {
	t.Helper()
	file, err := excelize.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := errors.Join(file.SetCellStr(sheets.PayoutsSheet, "D4", "5.00"), file.Save()); err != nil {
		t.Fatal(err)
	}
}

// The good rows of a sheet are paid once, though the copy is handed in whole.
func TestTheCopyOfAPartlyImportedSheet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	path := p.sheet(append(goodRows(2), badRow)...)
	p.as(maker).must("import", "--good-rows", "--totals", "2 good, 1 bad, 21.50 USD", path).says("payouts.csv.problems.xlsx", "payrun batch submit 1")
	copied := path + ".problems.xlsx"
	correct(t, copied)
	p.as(maker).run("import", copied).exits(exitSheet).says("1 good row, 2 rejected", "imported already")
	var document importedView
	p.as(maker).must("import", "--json", "--good-rows", "--totals", "1 good, 2 bad, 5.00 USD", copied).document(&document)
	if document.Accepted != 1 || document.Batch == nil || document.Batch.Accepted != 1 || document.Kinds[0].Code != importers.RowImported {
		t.Errorf("%+v", document)
	}
}

// What a maker did who worked on with the first copy of a sheet: its good rows
// had been imported since, and would have been paid a second time.
func TestAnOldCopyDoesNotPayTwice(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, checker := p.people()
	path := p.sheet(append(goodRows(2), badRow)...)
	p.as(maker).run("import", path).exits(exitSheet).says("payouts.csv.problems.xlsx")
	p.as(maker).run("import", "--good-rows", path).exits(exitSheet).complains("2 good, 1 bad, 21.50 USD")
	if got := beside(t, path); len(got) != 2 {
		t.Errorf("a copy more, though only the totals are missing: %q", got)
	}
	p.as(maker).must("import", "--good-rows", "--totals", "2 good, 1 bad, 21.50 USD", path).
		says("payouts.csv.problems-2.xlsx from now on. Throw the older copies away", "\n  ", "payouts.csv.problems.xlsx\n")

	old := path + ".problems.xlsx"
	correct(t, old)
	const twice = "PAID TWICE? 2 of these 3 rows are in batch 1 already (VALID)"
	p.as(maker).must("import", old).says("3 good rows", twice, "21.50 USD would be paid a second time")
	p.must("batch", "show", "2").says(twice)
	p.must("batch", "show", "1").says("2 of these 2 rows are in batch 2 already")
	p.must("batch", "warnings", "2", "--limit", "1").says("1 more is not shown: payrun batch warnings 2 --limit 2, or --kind KIND", `row 2  10.25 USD to ****0907, "Payee 1"  payee-waiting`)
	p.as(maker).run("batch", "confirm", "2", "--all").exits(exitRefused).complains("payee-waiting may be the same payments again")
	p.as(maker).must("batch", "confirm", "2", "--kind", "payee-waiting").says("2 of payee-waiting, 21.50 USD")
	p.as(maker).must("batch", "submit", "2")
	p.as(checker).run("batch", "approve", "2", "--confirm-warnings").exits(exitRefused).says("21.50 USD would be paid a second time").complains("payee-waiting may be the same")
	p.as(checker).run("batch", "approve", "2").exits(exitRefused).complains("2 of payee-waiting")
}

// A file that is refused for its headings comes back too; or else its maker hears why not.
func TestAFileRefusedForItsHeadingsComesBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	const text = "Channel;Account;Betrog;Currency\nPayeer;P10000001;5;USD\n"
	path := p.file("h.csv", text, 0o600)
	p.as(maker).run("import", path).exits(exitSheet).says("The problems are marked in", "h.csv.problems.xlsx").complains("no column for: amount")
	copied := path + ".problems.xlsx"
	file, err := excelize.OpenFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.SetCellStr(sheets.PayoutsSheet, "C1", "Amount"), file.Save(), file.Close()); err != nil {
		t.Fatal(err)
	}
	p.as(maker).must("import", copied).says("1 good row, 0 rejected")

	broken := p.file("b.csv", text+strings.Repeat("Payeer;P10000001;5;USD\n", 60)+`"`, 0o600)
	p.as(maker).run("import", broken).exits(exitSheet).says("There is no annotated copy: problems cannot be marked in such a file", "A quotation mark")
	if done := p.as(maker).run("import", p.file("fake.xlsx", "PK\x03\x04 nonsense", 0o600)).exits(exitSheet); strings.Contains(done.out, "annotated copy") {
		t.Errorf("of a file in which nothing could be marked anyway:\n%s", done.out)
	}
}

// A sheet without room for Payrun's column gets no copy that could not tell
// which rows were imported, and its maker hears of both.
func TestASheetThatIsTooWideToMark(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "PAYRUN_SHEETS_MAX_COLUMNS=6")
	_, maker, _ := p.people()
	path := p.sheet(append(goodRows(2), badRow)...)
	p.as(maker).run("import", path).exits(exitSheet).says("There is no annotated copy: the sheet has as many columns")
	p.as(maker).must("import", "--good-rows", "--totals", "2 good, 1 bad, 21.50 USD", path).
		says("There is no annotated copy: the sheet has as many columns", "Delete its good rows, which are imported, before you hand the sheet in again.")
	if got := beside(t, path); len(got) != 1 {
		t.Errorf("beside the sheet lie %q", got)
	}
}

// Every older copy is named, though one between them was thrown away, and
// whatever letters the sheet's name has.
func TestNoOldCopyIsOverlooked(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	const heading = "reference,channel,account,amount,currency,payee\n"
	path := p.file("pay[1]*.csv", heading+badRow+"\n", 0o600)
	for range 3 {
		p.as(maker).run("import", path).exits(exitSheet)
	}
	if err := errors.Join(os.Remove(path+".problems.xlsx"), os.WriteFile(path+"2.problems.xlsx", nil, 0o600),
		os.WriteFile(path, []byte(heading+goodRows(1)[0]+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	imported := p.as(maker).must("import", path).says("Throw the older copies away", "pay[1]*.csv.problems-2.xlsx\n", "pay[1]*.csv.problems-3.xlsx\n")
	if strings.Contains(imported.out, "pay[1]*.csv2") {
		t.Errorf("the copy of another sheet is to be thrown away:\n%s", imported.out)
	}
}

func TestWhereTheCopyGoes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	path := p.sheet(append(goodRows(2), badRow)...)
	p.run("import", "--dry-run", path).exits(exitSheet)
	if got := beside(t, path); len(got) != 1 {
		t.Errorf("a dry run left %q", got)
	}
	target := filepath.Join(t.TempDir(), "marked.xlsx")
	p.run("import", "--dry-run", "--annotated", target, path).exits(exitSheet).says("marked.xlsx")
	p.run("import", "--dry-run", "--annotated", target, path).exits(exitSheet).complains("marked.xlsx: file already exists")
	lost := filepath.Join(t.TempDir(), "gone", "marked.xlsx")
	if done := p.run("import", "--dry-run", "--annotated", lost, path).exits(exitSheet).complains("no annotated copy"); strings.Contains(done.out, lost) {
		t.Errorf("a copy that was not written is offered:\n%s", done.out)
	}
	p.run("import", "--dry-run", "--annotated", "marked.csv", path).exits(exitUsage).complains("ends in .xlsx")
	p.run("import", "--dry-run", "--annotated", target, path, path).exits(exitUsage).complains("--annotated names one file")
	good := p.sheet(goodRows(2)...)
	other := filepath.Join(t.TempDir(), "none.xlsx")
	p.must("import", "--dry-run", "--annotated", other, good)
	if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a good sheet came back: %v", err)
	}
	p.run("run", path).exits(exitSheet).says("payouts.csv.problems.xlsx")
}

// What the command prints is the document that lies beside a refused sheet.
func TestTheDocumentOfAnImport(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	path := p.sheet(append(goodRows(2), badRow)...)
	var document, refused importedView
	p.as(maker).run("import", "--json", path).exits(exitSheet).document(&document)
	if document.File != path || document.Annotated != path+".problems.xlsx" || document.Batch != nil || document.Reason == "" ||
		document.Rejected != 1 || document.RejectedTotals[0].Rows != 1 || document.Totals[0].Amount != "21.50" || len(document.Digest) != 64 {
		t.Errorf("%+v", document)
	}
	p.as(maker).run("import", "--json", "../../importers/testdata/old-format.xls").exits(exitSheet).document(&refused)
	if refused.Refused == nil || refused.Refused.Code != importers.FormatOldExcel || refused.Annotated != "" {
		t.Errorf("%+v", refused)
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	path := filepath.Join(t.TempDir(), "payouts.xlsx")
	p.must("template", path).says("payouts.xlsx", "payrun import")
	p.run("import", "--dry-run", path).exits(exitSheet).complains("no payout rows")
	p.run("template", path).exits(exitUsage).complains("exists")
	p.run("template", path+".csv").exits(exitUsage).complains(".xlsx")
	p.run("template", "--channel", "99", path+".xlsx").exits(exitUsage).complains("no channel fits", "11 Perfect Money")
	var written map[string]string
	p.must("template", "--json", "--channel", "Payeer", "--currency", "usd", path+".xlsx").document(&written)
	if written["template"] != path+".xlsx" {
		t.Errorf("%v", written)
	}
	if _, err := os.Stat(p.data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a template made a database: %v", err)
	}
}

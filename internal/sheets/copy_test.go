package sheets_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"payrun/importers"
	"payrun/internal/sheets"
)

func TestACopyNeverReplacesAFile(t *testing.T) {
	t.Parallel()
	path := november(t)
	j, _ := judge(t, path, byNovember())
	folder := t.TempDir()
	target := filepath.Join(folder, "mine.xlsx")
	must(t, os.WriteFile(target, []byte("mine"), 0o600))
	for name, write := range map[string]func() error{
		"copy":     func() error { return sheets.Annotate(t.Context(), path, target, byNovember(), j) },
		"twin":     func() error { return sheets.WriteTwin(target, j) },
		"template": func() error { return sheets.Template(target, importers.Rules{}, sheets.TemplateChoice{}) },
	} {
		if err := write(); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if content, err := os.ReadFile(target); err != nil || string(content) != "mine" {
		t.Errorf("the file reads %q, %v", content, err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestACopyIsOfTheJudgedFile(t *testing.T) {
	t.Parallel()
	path := november(t)
	j, _ := judge(t, path, byNovember())
	changed := edited(t, path, fixNovember(t))
	err := sheets.Annotate(t.Context(), changed, filepath.Join(t.TempDir(), "copy.xlsx"), byNovember(), j)
	if !errors.Is(err, sheets.ErrChanged) || !sheets.NoCopy(err) {
		t.Errorf("another file than was judged: %v", err)
	}
}

func TestALargeSheetGetsNoCopy(t *testing.T) {
	t.Parallel()
	const rows = 90_000
	var text strings.Builder
	text.WriteString("Reference,Channel,Account,Amount,Currency,Remark\n")
	for i := range rows {
		fmt.Fprintf(&text, "R%d,16,P1%07d,0,USD,%s\n", i, i, strings.Repeat("long ", 12))
	}
	path := filepath.Join(t.TempDir(), "large.csv")
	must(t, os.WriteFile(path, []byte(text.String()), 0o600))
	rules := importers.Rules{MaxRows: rows, TempDir: t.TempDir()}
	j, _ := judge(t, path, rules)
	err := sheets.Annotate(context.Background(), path, filepath.Join(t.TempDir(), "copy.xlsx"), rules, j)
	if !errors.Is(err, sheets.ErrTooLarge) || !sheets.NoCopy(err) {
		t.Errorf("%d bytes of csv: %v", text.Len(), err)
	}
	if left, err := os.ReadDir(rules.TempDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The library fills the gaps in rows with cells, so a small file can stand for
// gigabytes; an empty row at the end of a sheet, which programs leave there, is none.
func TestAGridOfGapsGetsNoCopy(t *testing.T) {
	t.Parallel()
	var gaps strings.Builder
	for row := 100; row < 12_500; row++ {
		fmt.Fprintf(&gaps, `<row r="%d"><c r="AX%d"/></row>`, row, row)
	}
	for name, tt := range map[string]struct {
		rows string
		want error
	}{
		"gaps":     {gaps.String(), sheets.ErrTooLarge},
		"last row": {`<row r="1048576" ht="15" customHeight="1"/>`, nil},
	} {
		path := rezipped(t, november(t), func(part, content string) (string, string) {
			return part, strings.Replace(content, "</row></sheetData>", "</row>"+tt.rows+"</sheetData>", 1)
		})
		j, _ := judge(t, path, byNovember())
		if len(j.Problems) != 4 {
			t.Fatalf("%s: %v, %v", name, findings(j), j.Refused)
		}
		err := sheets.Annotate(t.Context(), path, filepath.Join(t.TempDir(), "copy.xlsx"), byNovember(), j)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A workbook on which the library panics gets no copy, and the program lives.
func TestAPanicOfTheLibraryIsNoCopy(t *testing.T) {
	t.Parallel()
	bad := rezipped(t, november(t), func(name, content string) (string, string) {
		return name, strings.Replace(content, `authorId="0"`, `authorId="-1"`, 1)
	})
	j, _ := judge(t, bad, byNovember())
	err := sheets.Annotate(t.Context(), bad, filepath.Join(t.TempDir(), "copy.xlsx"), byNovember(), j)
	if !errors.Is(err, sheets.ErrUnsuitable) || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("a comment without an author: %v", err)
	}
}

// Only the rows above the headings were read when a file is refused for those.
// The reason is part of a sentence, and so ends without a full stop.
func TestWhatCannotBeReadIsNoCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sheet.csv")
	must(t, os.WriteFile(path, []byte("Channel,Account,Betrog,Currency\n"+strings.Repeat("Payeer,P10000001,5,USD\n", 60)+"\""), 0o600))
	j, _ := judge(t, path, importers.Rules{})
	if j.Refused == nil || j.Refused.Code != importers.HeaderMissing {
		t.Fatalf("refused for %+v", j.Refused)
	}
	err := sheets.Annotate(t.Context(), path, filepath.Join(t.TempDir(), "copy.xlsx"), importers.Rules{}, j)
	if !errors.Is(err, sheets.ErrUnsuitable) || !strings.Contains(err.Error(), "row 62: A quotation mark") || strings.HasSuffix(err.Error(), ".") {
		t.Errorf("a mistake below the rows that were read: %v", err)
	}
}

// Some programs merge a single cell.
func TestAMergedSingleCellIsNoHindrance(t *testing.T) {
	t.Parallel()
	path := rezipped(t, november(t), func(name, content string) (string, string) {
		return name, strings.Replace(content, `ref="A1:H1"`, `ref="A1"`, 1)
	})
	if heading := cell(t, open(t, annotated(t, path, byNovember())), "November", "H3"); heading != importers.ProblemsHeading {
		t.Errorf("the column is headed %q", heading)
	}
}

// Programs that name the parts of comments otherwise get no comments, rather
// than damaged ones; the column says it all.
func TestCommentsOfUnknownMakeStay(t *testing.T) {
	t.Parallel()
	path := rezipped(t, november(t), func(name, content string) (string, string) {
		move := strings.NewReplacer("xl/comments1.xml", "xl/comments/comment1.xml", "../comments1.xml", "/xl/comments/comment1.xml", "/xl/comments1.xml", "/xl/comments/comment1.xml")
		return move.Replace(name), move.Replace(content)
	})
	j, _ := judge(t, path, byNovember())
	if j.Sheet.Rejected != 2 {
		t.Fatalf("%v", j.Refused)
	}
	copied := annotate(t, path, byNovember(), j)
	file := open(t, copied)
	if comments := commentsOf(t, file, "November"); len(comments) != 1 || comments["D5"] != "is that right?" {
		t.Errorf("comments %v", comments)
	}
	if _, orphan := parts(t, copied)["xl/comments1.xml"]; orphan {
		t.Error("comments were written that belong to nothing")
	}
	if text := cell(t, file, "November", "I5"); !strings.Contains(text, "amount-negative") {
		t.Errorf("the column says %q", text)
	}
}

// The library numbers comments by counting. Where only the second sheet has
// some, it would write into those.
func TestCommentsOfAnotherSheetStay(t *testing.T) {
	t.Parallel()
	file := excelize.NewFile()
	must(t, file.SetSheetName("Sheet1", "November"))
	must(t, file.SetSheetRow("November", "A1", &[]string{"Reference", "Channel", "Account", "Amount", "Currency"}))
	must(t, file.SetSheetRow("November", "A2", &[]string{"N-1", "Payeer", "P10000001", "0", "USD"}))
	_, err := file.NewSheet("Rates")
	must(t, err)
	must(t, file.AddComment("Rates", excelize.Comment{Cell: "A1", Author: "Ann", Text: "from the bank"}))
	first := filepath.Join(t.TempDir(), "first.xlsx")
	must(t, errors.Join(file.SaveAs(first), file.Close()))
	path := rezipped(t, first, func(name, content string) (string, string) {
		second := strings.NewReplacer("comments1.xml", "comments2.xml", "vmlDrawing1.vml", "vmlDrawing2.vml")
		return second.Replace(name), second.Replace(content)
	})
	copied := open(t, annotated(t, path, byNovember()))
	if comments := commentsOf(t, copied, "Rates"); len(comments) != 1 || comments["A1"] != "from the bank" {
		t.Errorf("the other sheet's comments: %v", comments)
	}
}

// Text from a sheet is text in the copy, whatever it looks like.
func TestACopyHoldsNoFormulaFromText(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "evil.csv")
	must(t, os.WriteFile(path, []byte("Reference,Channel,Account,Amount,Currency\n"+
		"=cmd|' /C calc'!A0,\"=HYPERLINK(\"\"http://x\"\",\"\"a\"\")\",+P1,@1,-USD\n00012,16,P10000001,1.00,USD\n"), 0o600))
	copied := annotated(t, path, importers.Rules{})
	for name, content := range parts(t, copied) {
		if strings.HasPrefix(name, "xl/worksheets/") && (strings.Contains(content, "<f>") || strings.Contains(content, "<f ")) {
			t.Errorf("%s has a formula in a cell", name)
		}
	}
	file := open(t, copied)
	if got := cell(t, file, sheets.PayoutsSheet, "A3"); got != "00012" {
		t.Errorf("the reference 00012 became %q", got)
	}
	if kind, err := file.GetCellType(sheets.PayoutsSheet, "A3"); err != nil || kind != excelize.CellTypeSharedString {
		t.Errorf("its type is %v, %v", kind, err)
	}
}

// Rows stand where the csv has them, blank lines and line breaks included.
func TestACopyOfTextKeepsTheRowNumbers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gaps.csv")
	must(t, os.WriteFile(path, []byte("\xef\xbb\xbfsep=;\nReference;Channel;Account;Amount;Currency;Remark\n\nA1;16;P10000001;1.00;USD;\"two\nlines\"\n\nA2;16;P10000002;0;USD;x\n"), 0o600))
	j, _ := judge(t, path, importers.Rules{})
	again, _ := judge(t, annotate(t, path, importers.Rules{}, j), importers.Rules{})
	if diff := cmp.Diff(findings(j), findings(again)); diff != "" || len(j.Problems) != 2 {
		t.Errorf("(-sheet +copy):\n%s", diff)
	}
}

// What was found but not kept is counted, so that nobody takes the marks for all there is.
func TestACopyCountsWhatItDoesNotList(t *testing.T) {
	t.Parallel()
	path := november(t)
	j, _ := judge(t, path, byNovember())
	j.Problems, j.Found = j.Problems[:1], 1_234
	summary := sheetText(t, open(t, annotate(t, path, byNovember(), j)), importers.ProblemsSheet)
	if !strings.Contains(summary, "1233 more problems") {
		t.Errorf("the summary reads\n%s", summary)
	}
}

// A sheet as wide as the importer takes one has no room for the column, and a
// copy without it would not tell which rows were imported.
func TestAWideSheetGetsNoCopy(t *testing.T) {
	t.Parallel()
	path := november(t) // with a title over eight columns
	for columns, want := range map[int]error{8: sheets.ErrTooWide, 9: nil} {
		rules := byNovember()
		rules.MaxColumns = columns
		j, _ := judge(t, path, rules)
		if j.Sheet.Rejected != 2 {
			t.Fatalf("%v, %v", findings(j), j.Refused)
		}
		copied := filepath.Join(t.TempDir(), "copy.xlsx")
		err := sheets.Annotate(t.Context(), path, copied, rules, j)
		if !errors.Is(err, want) || sheets.NoCopy(err) != (want != nil) || errors.Is(err, sheets.ErrUnsuitable) {
			t.Errorf("%d columns: %v, want %v", columns, err, want)
		}
		if want == nil {
			again, _ := judge(t, copied, rules)
			if diff := cmp.Diff(findings(j), findings(again)); diff != "" {
				t.Errorf("the copy has other problems (-sheet +copy):\n%s", diff)
			}
		}
	}
}

// On paper the sentences stand beside their rows, unless the sheet's author
// has fitted it to paper already.
func TestACopyPrintsWithItsSentences(t *testing.T) {
	t.Parallel()
	page := func(path string) (orientation string, tall int) {
		layout, err := open(t, path).GetPageLayout("November")
		must(t, err)
		props, err := open(t, path).GetSheetProps("November")
		must(t, err)
		if !*props.FitToPage || *layout.FitToWidth != 1 {
			t.Errorf("%s: the columns do not fit on the paper", path)
		}
		return *layout.Orientation, *layout.FitToHeight
	}
	if orientation, tall := page(annotated(t, november(t), byNovember())); orientation != "landscape" || tall != 0 {
		t.Errorf("printed %s, %d pages tall", orientation, tall)
	}
	hers := edited(t, november(t), func(file *excelize.File) {
		fit, portrait, one, two := true, "portrait", 1, 2
		must(t, file.SetSheetProps("November", &excelize.SheetPropsOptions{FitToPage: &fit}))
		must(t, file.SetPageLayout("November", &excelize.PageLayoutOptions{Orientation: &portrait, FitToWidth: &one, FitToHeight: &two}))
	})
	if orientation, tall := page(annotated(t, hers, byNovember())); orientation != "portrait" || tall != 2 {
		t.Errorf("her own layout became %s, %d pages tall", orientation, tall)
	}
}

package sheets_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"payrun/importers"
	"payrun/internal/sheets"
)

// TestACopyGoesThroughLibreOffice does what a finance person does: open the
// copy, save, correct the cells, save, hand in.
func TestACopyGoesThroughLibreOffice(t *testing.T) {
	t.Parallel()
	path := november(t)
	j, _ := judge(t, path, byNovember())
	copied := annotate(t, path, byNovember(), j)
	resaved := saved(t, copied, "xlsx")
	again, _ := judge(t, resaved, byNovember())
	if diff := cmp.Diff(findings(j), findings(again)); diff != "" {
		t.Errorf("saved by LibreOffice the copy has other problems (-sheet +copy):\n%s", diff)
	}
	survives(t, copied, resaved)
	namesEveryProblemBut(t, resaved, again, "D5")

	fixed := saved(t, edited(t, resaved, fixNovember(t)), "xlsx")
	if j, rows := judge(t, fixed, byNovember()); j.Faulty() || len(rows) != 4 {
		t.Errorf("corrected: %d rows, %v, %v", len(rows), findings(j), j.Refused)
	}
	half := edited(t, resaved, func(file *excelize.File) {
		must(t, file.SetCellValue("November", "C6", "P10000003"))
		must(t, file.SetCellValue("November", "E6", "USD"))
	})
	copiedAgain := annotated(t, half, byNovember())
	third, _ := judge(t, copiedAgain, byNovember())
	namesEveryProblemBut(t, copiedAgain, third, "D5")
	if comment, there := commentsOf(t, open(t, copiedAgain), "November")["C6"]; there {
		t.Errorf("the corrected cell still has the comment %q", comment)
	}
	if list := open(t, copiedAgain).GetSheetList(); !slices.Equal(list, []string{"November", "Rates", "Payrun problems"}) {
		t.Errorf("a copy of what LibreOffice saved has the sheets %q", list)
	}
}

// survives compares a copy with what LibreOffice made of it.
func survives(t *testing.T, copied, resaved string) {
	t.Helper()
	ours, theirs := open(t, copied), open(t, resaved)
	const sheet = "November"
	if diff := cmp.Diff(commentsOf(t, ours, sheet), commentsOf(t, theirs, sheet)); diff != "" {
		t.Errorf("comments (-ours +theirs):\n%s", diff)
	}
	if diff := cmp.Diff(ours.GetSheetList(), theirs.GetSheetList()); diff != "" {
		t.Errorf("sheets (-ours +theirs):\n%s", diff)
	}
	if diff := cmp.Diff(rules(t, ours, sheet), rules(t, theirs, sheet)); diff != "" {
		t.Errorf("rules that colour the cells (-ours +theirs):\n%s", diff)
	}
	for _, colour := range []string{"F8B4B4", "FDE9A9", "EEF0F3"} {
		if !strings.Contains(parts(t, resaved)["xl/styles.xml"], colour) {
			t.Errorf("the colour %s is gone", colour)
		}
	}
	for _, letter := range []string{"C", "I"} {
		a, err := ours.GetColWidth(sheet, letter)
		must(t, err)
		b, err := theirs.GetColWidth(sheet, letter)
		must(t, err)
		if a-b > 1 || b-a > 1 {
			t.Errorf("column %s is %v wide, LibreOffice made it %v", letter, a, b)
		}
	}
	if a, b := sheetText(t, ours, importers.ProblemsSheet), sheetText(t, theirs, importers.ProblemsSheet); a != b {
		t.Errorf("the summary differs (-ours +theirs):\n%s", cmp.Diff(a, b))
	}
	if value := cell(t, theirs, "Rates", "A1"); value != "0.1" {
		t.Errorf("another sheet holds %q", value)
	}
}

// rules lists the formulas that colour cells.
func rules(t *testing.T, file *excelize.File, sheet string) []string {
	t.Helper()
	formats, err := file.GetConditionalFormats(sheet)
	must(t, err)
	var list []string
	for _, options := range formats {
		for _, o := range options {
			if o.Type != "formula" {
				continue
			}
			list = append(list, o.Criteria)
		}
	}
	slices.Sort(list)
	return list
}

// TestTheTemplateGoesThroughLibreOffice fills in the template as LibreOffice
// saved it, lets it save the result as a workbook and as csv, and imports both.
func TestTheTemplateGoesThroughLibreOffice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "template.xlsx")
	must(t, sheets.Template(path, importers.Rules{}, sheets.TemplateChoice{}))
	resaved := saved(t, path, "xlsx")
	if got, want := dropDowns(t, resaved), dropDowns(t, path); !cmp.Equal(got, want) {
		t.Errorf("drop-downs (-ours +theirs):\n%s", cmp.Diff(want, got))
	}
	filled := edited(t, resaved, fill(t))
	for _, format := range []string{"xlsx", "csv:Text - txt - csv (StarCalc):44,34,76"} {
		j, rows := judge(t, saved(t, filled, format), importers.Rules{})
		if j.Refused != nil || len(j.Problems) > 0 {
			t.Errorf("%s: %v, %v", format, findings(j), j.Refused)
			continue
		}
		for i := range rows {
			rows[i].Sheet = ""
		}
		if diff := cmp.Diff(filledRows(), rows); diff != "" {
			t.Errorf("%s (-filled +imported):\n%s", format, diff)
		}
	}
}

// An example that was copied among the payouts is refused, whatever program
// saved it.
func TestAnExampleSavedByLibreOfficeIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "template.xlsx")
	must(t, sheets.Template(path, importers.Rules{}, sheets.TemplateChoice{}))
	j, rows := judge(t, saved(t, edited(t, path, copyExamples(t)), "xlsx"), importers.Rules{})
	if len(rows) != 0 || j.Sheet.Rejected != 4 {
		t.Errorf("%d examples were accepted, %v", len(rows), j.Refused)
	}
	for _, p := range j.Problems {
		if p.Code != importers.AccountExample {
			t.Errorf("an example is refused as %s", p)
		}
	}
}

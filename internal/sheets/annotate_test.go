package sheets_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"payrun/importers"
	"payrun/internal/sheets"
)

const samples = "../../importers/testdata/"

// findings lists problems as "cell code".
func findings(j sheets.Judgement) []string {
	var list []string
	for _, p := range j.Problems {
		list = append(list, fmt.Sprintf("%s%d %s", p.Column, p.Row, p.Code))
	}
	return list
}

// TestEverySampleComesBack annotates all sheets made by spreadsheet programs.
// The copy must be judged exactly as the sheet was, and name every problem in
// its row, on its cell and in the summary.
func TestEverySampleComesBack(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(samples + "*.*")
	must(t, err)
	if len(paths) < 10 {
		t.Fatalf("only %d samples", len(paths))
	}
	for _, path := range append(paths, "../../examples/payouts.xlsx") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			j, rows := judge(t, path, importers.Rules{})
			if j.Refused != nil {
				refusesToAnnotate(t, path, j)
				return
			}
			copied := annotate(t, path, importers.Rules{}, j)
			again, sameRows := judge(t, copied, importers.Rules{})
			if diff := cmp.Diff(findings(j), findings(again)); diff != "" {
				t.Errorf("the copy has other problems (-sheet +copy):\n%s", diff)
			}
			for i := range rows {
				rows[i].Sheet = again.Sheet.Sheet // csv has none
			}
			if diff := cmp.Diff(rows, sameRows); diff != "" {
				t.Errorf("the copy has other payouts (-sheet +copy):\n%s", diff)
			}
			namesEveryProblem(t, copied, again)
		})
	}
}

func refusesToAnnotate(t *testing.T, path string, j sheets.Judgement) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "copy.xlsx")
	if err := sheets.Annotate(t.Context(), path, target, importers.Rules{}, j); !errors.Is(err, sheets.ErrUnsuitable) || !sheets.NoCopy(err) {
		t.Errorf("a refused file: %v", err)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a copy was written: %v", err)
	}
}

// namesEveryProblem holds a copy against its judgement.
func namesEveryProblem(t *testing.T, path string, j sheets.Judgement) {
	t.Helper()
	file := open(t, path)
	beside := ""
	for _, column := range j.Sheet.Columns {
		if column.Field == importers.FieldProblems {
			beside = column.Letter
		}
	}
	comments := commentsOf(t, file, j.Sheet.Sheet)
	summary := sheetText(t, file, importers.ProblemsSheet)
	for _, p := range j.Problems {
		if p.Code == importers.ControlTotalUnchecked && p.Column == "" {
			continue
		}
		sentence := cell(t, file, j.Sheet.Sheet, fmt.Sprintf("%s%d", beside, p.Row))
		if !strings.Contains(sentence, string(p.Code)+": "+p.Message) {
			t.Errorf("row %d: %q does not name %s", p.Row, sentence, p.Code)
		}
		if p.Column != "" && !strings.Contains(sentence, "["+p.Column+"] ") && !strings.Contains(sentence, "("+p.Column+") ") {
			t.Errorf("row %d: %q does not name column %s", p.Row, sentence, p.Column)
		}
		at := fmt.Sprintf("%s%d", p.Column, p.Row)
		if p.Column == "" {
			at = fmt.Sprintf("A%d", p.Row)
		}
		if !strings.Contains(comments[at], p.Message) {
			t.Errorf("%s: the comment %q does not say %q", at, comments[at], p.Message)
		}
		if !strings.Contains(summary, p.Message) || !strings.Contains(summary, string(p.Code)) {
			t.Errorf("the summary lacks %s: %s", at, p.Message)
		}
	}
	if formats, err := file.GetConditionalFormats(j.Sheet.Sheet); err != nil || len(formats) == 0 {
		t.Errorf("nothing colours the cells: %v, %v", formats, err)
	}
}

func commentsOf(t *testing.T, file *excelize.File, sheet string) map[string]string {
	t.Helper()
	comments, err := file.GetComments(sheet)
	must(t, err)
	texts := map[string]string{}
	for _, c := range comments {
		if _, twice := texts[c.Cell]; twice {
			t.Errorf("%s has two comments", c.Cell)
		}
		texts[c.Cell] = c.Text
		for _, run := range c.Paragraph {
			texts[c.Cell] += run.Text
		}
	}
	return texts
}

func sheetText(t *testing.T, file *excelize.File, sheet string) string {
	t.Helper()
	rows, err := file.GetRows(sheet)
	must(t, err)
	var text strings.Builder
	for _, row := range rows {
		text.WriteString(strings.Join(row, "|") + "\n")
	}
	return text.String()
}

// november is a sheet as teams keep them: a merged title, a note, formats,
// widths, a formula beside the table, a total, another sheet with a chart's
// worth of numbers, a comment of a colleague, and two bad rows.
func november(t testing.TB) string {
	t.Helper()
	file := excelize.NewFile()
	defer file.Close()
	const sheet = "November"
	must(t, file.SetSheetName("Sheet1", sheet))
	set := func(at string, value any) { t.Helper(); must(t, file.SetCellValue(sheet, at, value)) }
	set("A1", "Payouts November")
	must(t, file.MergeCell(sheet, "A1", "H1"))
	must(t, file.SetSheetRow(sheet, "A3", &[]string{"Reference", "Channel", "Account", "Amount", "Currency", "Remark", "Twice"}))
	for i, row := range [][]any{
		{"N-1", "Payeer", "P10000001", 10.5, "USD", "ok"},
		{"N-2", "Payeer", "P10000002", -4, "USD", "negative"},
		{"N-3", "Payeer", "U10000003", 7, "usd", "two problems"},
		{"N-4", "Payeer", "P10000001", 10.5, "USD", "again"},
	} {
		must(t, file.SetSheetRow(sheet, fmt.Sprintf("A%d", i+4), &row))
	}
	must(t, file.SetCellFormula(sheet, "G4", "D4*2"))
	money, err := file.NewStyle(&excelize.Style{NumFmt: 4, Font: &excelize.Font{Bold: true, Color: "0000FF"}, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{"DDFFDD"}}})
	must(t, err)
	must(t, file.SetCellStyle(sheet, "D4", "D7", money))
	must(t, file.SetColWidth(sheet, "C", "C", 31))
	must(t, file.SetRowHeight(sheet, 5, 44))
	must(t, file.AddComment(sheet, excelize.Comment{Cell: "D5", Author: "Ann", Text: "is that right?"}))
	red, err := file.NewConditionalStyle(&excelize.Style{Font: &excelize.Font{Color: "FF0000"}})
	must(t, err)
	must(t, file.SetConditionalFormat(sheet, "D4:D7", []excelize.ConditionalFormatOptions{{Type: "cell", Criteria: ">", Value: "1000", Format: &red}}))
	_, err = file.NewSheet("Rates")
	must(t, err)
	must(t, file.SetCellFormula("Rates", "B2", "SUM(A1:A9)"))
	must(t, file.SetCellValue("Rates", "A1", 0.1))
	path := filepath.Join(t.TempDir(), "november.xlsx")
	must(t, file.SaveAs(path))
	return path
}

// byNovember reads the one sheet of november that holds payouts.
func byNovember() (rules importers.Rules) {
	rules.Sheet = "November"
	return rules
}

// looksOf describes everything about the cells of a sheet: values, formulas,
// formats, widths, heights and merges.
func looksOf(t *testing.T, file *excelize.File, sheet, to string) map[string]any {
	t.Helper()
	all := map[string]any{}
	columns, rows, err := excelize.CellNameToCoordinates(to)
	must(t, err)
	for row := 1; row <= rows; row++ {
		for column := 1; column <= columns; column++ {
			at, err := excelize.CoordinatesToCellName(column, row)
			must(t, err)
			formula, err := file.GetCellFormula(sheet, at)
			must(t, err)
			id, err := file.GetCellStyle(sheet, at)
			must(t, err)
			style, err := file.GetStyle(id)
			must(t, err)
			all[at] = []any{cell(t, file, sheet, at), formula, style}
		}
		letter, err := excelize.ColumnNumberToName(min(row, columns))
		must(t, err)
		width, err := file.GetColWidth(sheet, letter)
		must(t, err)
		all["width of "+letter] = width
	}
	merged, err := file.GetMergeCells(sheet, true)
	must(t, err)
	all["merged"] = merged
	return all
}

func TestACopyKeepsTheWorkbook(t *testing.T) {
	t.Parallel()
	path := november(t)
	before, err := os.ReadFile(path)
	must(t, err)
	copied := annotated(t, path, byNovember())
	theirs, ours := open(t, path), open(t, copied)
	if diff := cmp.Diff(looksOf(t, theirs, "November", "H9"), looksOf(t, ours, "November", "H9")); diff != "" {
		t.Errorf("the sheet changed (-sheet +copy):\n%s", diff)
	}
	if diff := cmp.Diff(looksOf(t, theirs, "Rates", "C3"), looksOf(t, ours, "Rates", "C3")); diff != "" {
		t.Errorf("another sheet changed (-sheet +copy):\n%s", diff)
	}
	if list := ours.GetSheetList(); !slices.Equal(list, []string{"November", "Rates", "Payrun problems"}) {
		t.Errorf("sheets %q", list)
	}
	if heading := cell(t, ours, "November", "I3"); heading != importers.ProblemsHeading {
		t.Errorf("the column beside the merged title is headed %q", heading)
	}
	if comment := commentsOf(t, ours, "November")["D5"]; comment != "is that right?" {
		t.Errorf("the colleague's comment reads %q", comment)
	}
	formats, err := ours.GetConditionalFormats("November")
	must(t, err)
	if len(formats["D4:D7"]) != 1 || len(formats) != 2 {
		t.Errorf("conditional formats %+v", formats)
	}
	if height, err := ours.GetRowHeight("November", 5); err != nil || height != 44 {
		t.Errorf("the high row is %v high, %v", height, err)
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if string(before) != string(after) {
		t.Error("the sheet that was handed in changed")
	}
}

// fixNovember corrects both bad rows.
func fixNovember(t testing.TB) func(*excelize.File) {
	return func(file *excelize.File) {
		must(t, file.SetCellValue("November", "D5", 4))
		must(t, file.SetCellValue("November", "C6", "P10000003"))
		must(t, file.SetCellValue("November", "E6", "USD"))
	}
}

func TestACorrectedCopyIsAccepted(t *testing.T) {
	t.Parallel()
	fixed := edited(t, annotated(t, november(t), byNovember()), fixNovember(t))
	j, rows := judge(t, fixed, byNovember())
	if j.Refused != nil || j.Sheet.Rejected != 0 || len(rows) != 4 {
		t.Errorf("%d rows, %v", len(rows), findings(j))
	}
}

// A copy of a copy says what is wrong now, once, and nothing of what was.
func TestACopyOfACopySaysWhatIsWrongNow(t *testing.T) {
	t.Parallel()
	half := edited(t, annotated(t, november(t), byNovember()), func(file *excelize.File) {
		must(t, file.SetCellValue("November", "C6", "P10000003"))
		must(t, file.SetCellValue("November", "E6", "USD"))
	})
	j, _ := judge(t, half, byNovember())
	copied := annotate(t, half, byNovember(), j)
	again, _ := judge(t, copied, byNovember())
	namesEveryProblemBut(t, copied, again, "D5") // where a colleague's comment stands
	file := open(t, copied)
	if text := cell(t, file, "November", "I6"); text != "" {
		t.Errorf("the corrected row still says %q", text)
	}
	if _, there := commentsOf(t, file, "November")["C6"]; there {
		t.Error("the corrected cell still has its comment")
	}
	if list := file.GetSheetList(); !slices.Equal(list, []string{"November", "Rates", "Payrun problems"}) {
		t.Errorf("sheets %q", list)
	}
	formats, err := file.GetConditionalFormats("November")
	must(t, err)
	if rules := formats["A1:H1048576"]; len(rules) != 4 {
		t.Errorf("%d rules colour the cells", len(rules))
	}
	if strings.Contains(sheetText(t, file, importers.ProblemsSheet), "C6") {
		t.Error("the summary speaks of a corrected cell")
	}
}

func namesEveryProblemBut(t *testing.T, path string, j sheets.Judgement, commented string) {
	t.Helper()
	j.Problems = slices.DeleteFunc(slices.Clone(j.Problems), func(p importers.Problem) bool {
		return fmt.Sprintf("%s%d", p.Column, p.Row) == commented
	})
	namesEveryProblem(t, path, j)
}

// Good rows that were imported are marked, and the mark keeps them from being
// imported again with the corrected ones.
func TestAnImportedRowIsNotImportedAgain(t *testing.T) {
	t.Parallel()
	path := november(t)
	j, rows := judge(t, path, byNovember())
	if len(rows) != 2 {
		t.Fatalf("%d good rows", len(rows))
	}
	j.Batch = 7
	copied := annotate(t, path, byNovember(), j)
	again, rows := judge(t, edited(t, copied, fixNovember(t)), byNovember())
	if len(rows) != 2 || rows[0].Number != 5 || rows[1].Number != 6 {
		t.Errorf("the corrected rows are 5 and 6, but these were accepted: %+v", rows)
	}
	if got := strings.Join(findings(again), ", "); got != "4 row-imported, 7 row-imported" {
		t.Errorf("problems %s", got)
	}
	third, _ := judge(t, annotate(t, edited(t, copied, fixNovember(t)), byNovember(), again), byNovember())
	if got := strings.Join(findings(third), ", "); got != "4 row-imported, 7 row-imported" {
		t.Errorf("in a copy of the copy: problems %s", got)
	}
	cleaned := edited(t, edited(t, copied, fixNovember(t)), func(file *excelize.File) {
		must(t, file.RemoveRow("November", 7))
		must(t, file.RemoveRow("November", 4))
	})
	if j, rows := judge(t, cleaned, byNovember()); len(rows) != 2 || j.Faulty() {
		t.Errorf("without the imported rows: %d rows, %v", len(rows), findings(j))
	}
}

// It does so too where something is wrong with the headings, which is said in
// the very cell by which the column is known.
func TestAnImportedRowIsKnownBelowOddHeadings(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odd.csv")
	must(t, os.WriteFile(path, []byte("Channel,Account,Amount / Kwota,Currency,\nPayeer,P10000001,5.00,USD,seen\nPayeer,P10000002,0,USD,\n"), 0o600))
	j, _ := judge(t, path, importers.Rules{})
	if got := strings.Join(findings(j), ", "); got != "C1 heading-in-part, C3 amount-zero, E1 column-unnamed" {
		t.Fatalf("found %s", got)
	}
	j.Batch = 7
	copied := annotate(t, path, importers.Rules{}, j)
	for range 2 { // a copy, and a copy of the copy
		again, rows := judge(t, copied, importers.Rules{})
		if got := strings.Join(findings(again), ", "); len(rows) != 0 || got != "C1 heading-in-part, 2 row-imported, C3 amount-zero" {
			t.Errorf("%d payouts; found %s", len(rows), got)
		}
		copied = annotate(t, copied, importers.Rules{}, again)
	}
	if got := cell(t, open(t, copied), sheets.PayoutsSheet, "F1"); strings.Count(got, "Payrun problems") != 1 || !strings.Contains(got, "(C) heading-in-part: ") {
		t.Errorf("the heading is %q", got)
	}
}

// The same holds of a sheet without headings, whose first row is a payout.
func TestAnImportedRowIsKnownWithoutHeadings(t *testing.T) {
	t.Parallel()
	rules := withoutHeadings()
	for name, tt := range map[string]struct{ text, column, next string }{
		"with a further column":     {"P10000001,1.00,one,x\nP10000002,2.005,two,\nP10000003,3.00,three,\n", "E", "F"},
		"without its last column":   {"P10000001,1.00\nP10000002,2.005\nP10000003,3.00\n", "D", "E"},
		"of which none has remarks": {"P10000001,1.00,\nP10000002,2.005,\nP10000003,3.00,\n", "D", "E"},
	} {
		t.Run(name, func(t *testing.T) { marksStay(t, tt.text, tt.column, tt.next, rules) })
	}
}

func marksStay(t *testing.T, text, column, next string, rules importers.Rules) {
	path := filepath.Join(t.TempDir(), "sheet.csv")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	j, rows := judge(t, path, rules)
	if len(rows) != 2 {
		t.Fatalf("%d good rows", len(rows))
	}
	j.Batch = 7
	copied := annotate(t, path, rules, j)
	corrected := edited(t, copied, func(file *excelize.File) {
		must(t, file.SetCellStr(file.GetSheetName(0), "B2", "2.00"))
	})
	again, rows := judge(t, corrected, rules)
	if got := strings.Join(findings(again), ", "); got != "1 row-imported, 3 row-imported" || len(rows) != 1 || rows[0].Number != 2 || rows[0].Beside != "" {
		t.Errorf("%v, good rows %+v", got, rows)
	}
	second := open(t, annotate(t, corrected, rules, again))
	if sheet := second.GetSheetName(0); !strings.HasPrefix(cell(t, second, sheet, column+"1"), "Imported as batch 7. ") || cell(t, second, sheet, next+"1") != "" {
		t.Errorf("beside row 1: %q, %q", cell(t, second, sheet, column+"1"), cell(t, second, sheet, next+"1"))
	}
}

// Refusals that speak of a cell are marked there; the sheet is sound but for that.
func TestARefusedSheetIsMarkedWhereItCan(t *testing.T) {
	t.Parallel()
	const heading = "Reference,Channel,Account,Amount,Currency\n"
	good := heading + "A1,16,P10000001,1.00,USD\n"
	tests := []struct {
		name, content, cell string
		code                importers.Code
		column              bool
	}{
		{"wrong total", good + "Total,,,9.00,USD\n", "D3", importers.ControlTotalWrong, true},
		{"a heading that nobody knows", "Payouts; November\n" + strings.ReplaceAll(strings.Replace(good, "Amount", "Betrog", 1), ",", ";"), "A2", importers.HeaderMissing, false},
		{"two account columns", "", "A1", importers.HeaderDoubled, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sheet.csv")
			must(t, os.WriteFile(path, []byte(tt.content), 0o600))
			if tt.content == "" {
				path = doubledHeadings(t)
			}
			j, _ := judge(t, path, importers.Rules{})
			if j.Refused == nil || j.Refused.Code != tt.code {
				t.Fatalf("refused for %+v", j.Refused)
			}
			file := open(t, annotate(t, path, importers.Rules{}, j))
			sheet := file.GetSheetName(0)
			if comment := commentsOf(t, file, sheet)[tt.cell]; !strings.Contains(comment, j.Refused.Message) {
				t.Errorf("the comment at %s reads %q", tt.cell, comment)
			}
			summary := sheetText(t, file, importers.ProblemsSheet)
			if !strings.Contains(summary, j.Refused.Message) {
				t.Error("the summary does not say why")
			}
			if got := strings.Contains(summary, "and the column"); got != tt.column {
				t.Errorf("the summary speaks of a column: %t, want %t", got, tt.column)
			}
			if got := strings.Contains(sheetText(t, file, sheet), importers.ProblemsHeading); got != tt.column {
				t.Errorf("a column of problems: %t, want %t", got, tt.column)
			}
		})
	}
}

func doubledHeadings(t *testing.T) string {
	return edited(t, november(t), func(file *excelize.File) {
		must(t, file.DeleteSheet("Rates"))
		must(t, file.UnmergeCell("November", "A1", "H1"))
		must(t, file.RemoveRow("November", 1))
		must(t, file.RemoveRow("November", 1))
		must(t, file.SetCellValue("November", "F1", "Account"))
	})
}

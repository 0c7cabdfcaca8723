package sheets

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
)

// writeColumn writes what is wrong with each row beside it. Every sentence
// begins with the column it speaks of, which is what the marks look for.
func (a *annotation) writeColumn() error {
	if a.column == 0 {
		return nil
	}
	letter, err := excelize.ColumnNumberToName(a.column)
	if err != nil {
		return err
	}
	if err := a.file.SetColWidth(a.sheet, letter, letter, sentenceWidth); err != nil {
		return err
	}
	if a.Sheet.HeaderRow > 0 {
		if err := a.put(a.column, a.Sheet.HeaderRow, importers.ProblemsHeading, headingLook); err != nil {
			return err
		}
	}
	sentences := a.sentences()
	for _, row := range slices.Sorted(maps.Keys(sentences)) {
		text := strings.Join(sentences[row], "\n")
		if row == a.Sheet.HeaderRow { // by which the column is known again
			text = importers.ProblemsHeading + "\n" + text
		}
		if err := errors.Join(a.put(a.column, row, text, adviceLook), a.raise(row, text)); err != nil {
			return err
		}
	}
	return nil
}

// sentenceWidth is the width of the column.
const sentenceWidth = 90

// heightOf is what a row needs for its sentences, in points. Not every
// program works that out for itself.
func heightOf(text string) float64 {
	const lineHeight = 15
	return min(float64(linesOf(text, sentenceWidth))*lineHeight, excelize.MaxRowHeight)
}

// raise makes a row high enough for its sentences.
func (a *annotation) raise(row int, text string) error {
	height, err := a.file.GetRowHeight(a.sheet, row)
	if need := heightOf(text); err == nil && height < need {
		err = a.file.SetRowHeight(a.sheet, row, need)
	}
	return err
}

// lower takes back what raise did for sentences that an earlier copy had.
func (a *annotation) lower(row int, text string) error {
	height, err := a.file.GetRowHeight(a.sheet, row)
	if raised := heightOf(text); err == nil && math.Abs(height-raised) < 0.5 {
		err = a.file.SetRowHeight(a.sheet, row, -1)
	}
	return err
}

// sentences lists what to write beside each row: that it was imported, now or
// before, and its problems.
func (a *annotation) sentences() map[int][]string {
	sentences := map[int][]string{}
	for row, mark := range a.marks {
		sentences[row] = []string{mark}
	}
	if a.Batch != 0 {
		imported := fmt.Sprintf("%s%d. Delete this row before the sheet is handed in again; only if that batch was discarded, clear this mark instead.", importers.ImportedMark, a.Batch)
		for _, run := range a.Sheet.AcceptedRows {
			for row := run.From; row <= run.To; row++ {
				sentences[row] = []string{imported}
			}
		}
	}
	for _, p := range a.every() {
		if p.Row > 0 && (p.Code != importers.RowImported || a.marks[p.Row] == "") {
			sentences[p.Row] = append(sentences[p.Row], fmt.Sprintf("%s %s: %s", place(p), p.Code, p.Message))
		}
	}
	return sentences
}

// place is how a sentence names its cell: in square brackets where the row
// cannot be paid, in round ones where it only needs confirmation.
func place(p importers.Problem) string {
	at := cmp.Or(p.Column, "row")
	if p.Severity == importers.Warning {
		return "(" + at + ")"
	}
	return "[" + at + "]"
}

func (a *annotation) put(column, row int, text string, l look) error {
	cell, err := excelize.CoordinatesToCellName(column, row)
	if err != nil {
		return err
	}
	style, err := a.looks.of(l, 0)
	return errors.Join(err, a.file.SetCellStr(a.sheet, cell, text), a.file.SetCellStyle(a.sheet, cell, cell, style))
}

// mark colours the cells that the sentences name. It is a conditional format
// over the whole table, so that every cell keeps the format its author gave it
// and the colour goes when the sentence goes.
func (a *annotation) mark() error {
	if a.column < 2 {
		return nil
	}
	beside, err := excelize.ColumnNumberToName(a.column)
	if err != nil {
		return err
	}
	end, err := excelize.CoordinatesToCellName(a.column-1, excelize.TotalRows)
	if err != nil {
		return err
	}
	there, _ := a.file.GetConditionalFormats(a.sheet) // what cannot be read is not ours
	var missing []excelize.ConditionalFormatOptions
	for _, rule := range markRules("$" + beside + "1") {
		if slices.ContainsFunc(flat(there), func(o excelize.ConditionalFormatOptions) bool { return o.Criteria == rule.formula }) {
			continue
		}
		look, err := a.file.NewConditionalStyle(rule.style())
		if err != nil {
			return err
		}
		missing = append(missing, excelize.ConditionalFormatOptions{Type: "formula", Criteria: rule.formula, Format: &look})
	}
	if len(missing) == 0 {
		return nil
	}
	return a.file.SetConditionalFormat(a.sheet, "A1:"+end, missing)
}

func flat(formats map[string][]excelize.ConditionalFormatOptions) []excelize.ConditionalFormatOptions {
	var all []excelize.ConditionalFormatOptions
	for _, options := range formats {
		all = append(all, options...)
	}
	return all
}

// markRule colours the cells for which its formula is true.
type markRule struct{ formula, fill, font string }

// markRules look into the sentence beside a cell for the cell's own column
// letter. The worst comes first.
func markRules(sentence string) []markRule {
	const letter = `SUBSTITUTE(ADDRESS(1,COLUMN(),4),"1","")`
	named := func(before, after string) string {
		return `ISNUMBER(FIND("` + before + `"&` + letter + `&"` + after + `",` + sentence + `))`
	}
	return []markRule{
		{named("[", "]"), rejectedFill, rejectedInk},
		{`ISNUMBER(FIND("[row]",` + sentence + `))`, rejectedFill, rejectedInk},
		{named("(", ")"), warningFill, warningInk},
		{`LEFT(` + sentence + `,` + strconv.Itoa(len(importers.ImportedMark)) + `)="` + importers.ImportedMark + `"`, importedFill, faded},
	}
}

func (rule markRule) style() *excelize.Style {
	return &excelize.Style{
		Font: &excelize.Font{Color: rule.font},
		Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{rule.fill}},
	}
}

package sheets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
)

// Why a sheet gets no annotated copy. The text is a sentence for the maker.
var (
	// ErrUnsuitable: the file as a whole is such that nothing can be marked in it.
	ErrUnsuitable = errors.New("problems cannot be marked in such a file")
	// ErrTooLarge: marking takes the whole workbook into memory, and this one takes more of it, or of time, than it may.
	ErrTooLarge = errors.New("marking the sheet takes too much memory or time; split it to get one")
	// ErrTooWide: a column more than the sheet has would not be read again.
	ErrTooWide = errors.New("the sheet has as many columns as are read, and the problems need one more; delete one that no payout needs")
	// ErrChanged: the file is not the one that was judged.
	ErrChanged = errors.New("the sheet changed after it was judged")
)

// NoCopy tells whether an error of [Annotate] only means that this sheet can
// have no copy, as opposed to a disk that is full.
func NoCopy(err error) bool {
	return slices.ContainsFunc(noCopy(), func(reason error) bool { return errors.Is(err, reason) })
}

func noCopy() []error { return []error{ErrUnsuitable, ErrTooLarge, ErrTooWide, ErrChanged} }

// Annotate writes a copy of the sheet at source, with its problems marked, to
// a new file, which is always a workbook: of a csv file it has the rows, every
// cell as text. The rules are those that the sheet was read with.
//
// It returns [ErrUnsuitable], [ErrTooLarge], [ErrTooWide] or [ErrChanged] if
// there can be no copy, and fs.ErrExist if target is the name of something
// already. Calls are independent of each other. The whole workbook is taken
// into memory: use [Apart] for a file that somebody else made.
func Annotate(ctx context.Context, source, target string, rules importers.Rules, j Judgement) error {
	if err := j.copyable(); err != nil {
		return err
	}
	return create(target, func(draft *os.File) error { return writeCopy(ctx, source, draft, rules, j) })
}

// copyable tells without a look at the file why there can be no copy.
func (j Judgement) copyable() error {
	switch {
	case !j.Markable():
		return ErrUnsuitable
	case j.Sheet.Cells > mostCells:
		return ErrTooLarge
	}
	return nil
}

func writeCopy(ctx context.Context, source string, draft io.Writer, rules importers.Rules, j Judgement) error {
	book, err := openCopy(ctx, source, rules, j)
	if err != nil {
		return err
	}
	defer book.close()
	switch err := book.annotate(); {
	case errors.Is(err, ErrTooWide):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnsuitable, err)
	}
	return save(book.file, draft)
}

// Markable tells whether the file is sound, as far as it was read, but for what
// its judgement names.
func (j Judgement) Markable() bool {
	if j.Refused == nil {
		return len(j.Sheet.Columns) > 0
	}
	sound := []importers.Code{
		importers.ControlTotalWrong, importers.MergedCells,
		importers.HeaderMissing, importers.HeaderDoubled, importers.HeaderAmbiguous,
	}
	return slices.Contains(sound, j.Refused.Code) && j.Refused.Row > 0
}

// annotation is an annotated copy under way.
type annotation struct {
	Judgement
	file     *excelize.File
	temp     string // the library's folder for large parts
	sheet    string // on which the payouts stand
	looks    looks
	columns  int                 // the most that the importer takes
	assigned int                 // the last column that the profile gives a meaning
	channels []importers.Channel // for their names
	column   int                 // of the sentences, from 1; 0 where the table is not known
	marks    map[int]string      // by row: that it was imported before
}

// annotate adds to the workbook. The library has panicked on odd workbooks
// before; such a one gets no copy.
func (a *annotation) annotate() (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = errors.New("the spreadsheet library gave up on it")
		}
	}()
	for _, step := range []func() error{a.dropOld, a.findColumn, a.writeColumn, a.layOut, a.mark, a.comment, a.summarize} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// dropOld takes away the summary that an earlier copy had.
func (a *annotation) dropOld() error {
	if at, err := a.file.GetSheetIndex(importers.ProblemsSheet); err != nil || at < 0 {
		return err
	}
	return a.file.DeleteSheet(importers.ProblemsSheet)
}

// findColumn empties what an earlier copy said, and chooses the column for the
// sentences: that one, or the first that nothing reaches, not even a merged
// title or the profile.
func (a *annotation) findColumn() error {
	rows, err := a.file.GetRows(a.sheet, excelize.Options{RawCellValue: true})
	if err != nil || len(a.Sheet.Columns) == 0 { // refused before it was known where its table stands
		return err
	}
	fields, err := a.fields()
	if err != nil {
		return err
	}
	end, theirs := a.assigned, map[int]bool{}
	for i, row := range rows {
		for j, text := range row {
			switch column := j + 1; {
			case text != "" && a.ours(fields[column], text):
				a.column = max(a.column, column)
				if err := a.drop(column, i+1, text); err != nil {
					return err
				}
			case text != "" || column == len(row): // at the end stands at least a formula
				end, theirs[column] = max(end, column), true
			}
		}
	}
	if a.column > 0 && !theirs[a.column] {
		return nil
	}
	merged, err := a.file.GetMergeCells(a.sheet, true)
	if err != nil {
		return err
	}
	for _, cells := range merged {
		ends := strings.Split(cells[0], ":") // of a single cell there is only one
		column, _, err := excelize.CellNameToCoordinates(ends[len(ends)-1])
		if err != nil {
			return err
		}
		end = max(end, column)
	}
	if a.column = end + 1; a.column > a.columns {
		return ErrTooWide
	}
	return nil
}

// fields tells what each column means, from 1.
func (a *annotation) fields() (map[int]importers.Field, error) {
	fields := map[int]importers.Field{}
	for _, column := range a.Sheet.Columns {
		at, err := excelize.ColumnNameToNumber(column.Letter)
		if err != nil {
			return nil, err
		}
		fields[at] = column.Field
	}
	return fields, nil
}

// ours tells whether an earlier copy wrote a cell. Without headings only its
// words can tell, and what has a meaning to a payout is the user's all the same.
func (a *annotation) ours(field importers.Field, text string) bool {
	if a.Sheet.HeaderRow > 0 {
		return field == importers.FieldProblems
	}
	return field == importers.FieldIgnored && importers.IsOwnWord(text)
}

// drop empties a cell of an earlier copy. What it says of an import stays true.
func (a *annotation) drop(column, row int, text string) error {
	if first, _, _ := strings.Cut(strings.TrimSpace(text), "\n"); strings.HasPrefix(first, importers.ImportedMark) {
		a.marks[row] = first
	}
	cell, err := excelize.CoordinatesToCellName(column, row)
	return errors.Join(err, a.file.SetCellValue(a.sheet, cell, nil), a.lower(row, text))
}

// layOut keeps the column on the same sheet of paper as its rows, unless the
// sheet's author has fitted it to paper already.
func (a *annotation) layOut() error {
	if a.column == 0 {
		return nil
	}
	props, err := a.file.GetSheetProps(a.sheet)
	if err != nil || props.FitToPage != nil && *props.FitToPage {
		return err
	}
	return printOnePageWide(a.file, a.sheet)
}

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
	// ErrChanged: the file is not the one that was judged.
	ErrChanged = errors.New("the sheet changed after it was judged")
)

// NoCopy tells whether an error of [Annotate] only means that this sheet can
// have no copy, as opposed to a disk that is full.
func NoCopy(err error) bool {
	return slices.ContainsFunc(noCopy(), func(reason error) bool { return errors.Is(err, reason) })
}

func noCopy() []error { return []error{ErrUnsuitable, ErrTooLarge, ErrChanged} }

// Annotate writes a copy of the sheet at source, with its problems marked, to
// a new file, which is always a workbook: of a csv file it has the rows, every
// cell as text. The rules are those that the sheet was read with.
//
// It returns [ErrUnsuitable], [ErrTooLarge] or [ErrChanged] if there can be no
// copy, and fs.ErrExist if target is the name of something already. Calls are
// independent of each other. The whole workbook is taken into memory: use
// [Apart] for a file that somebody else made.
func Annotate(ctx context.Context, source, target string, rules importers.Rules, j Judgement) error {
	if err := j.copyable(); err != nil {
		return err
	}
	return create(target, func(draft *os.File) error { return writeCopy(ctx, source, draft, rules, j) })
}

// copyable tells without a look at the file why there can be no copy.
func (j Judgement) copyable() error {
	switch {
	case !j.markable():
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
	if err := book.annotate(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsuitable, err)
	}
	return save(book.file, draft)
}

// markable tells whether the file is sound but for what its judgement names.
// Every sheet was then scanned to its end before any row was judged.
func (j Judgement) markable() bool {
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
	column   int                 // of the sentences, from 1; 0 for none
	last     int                 // row of the sheet's end
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

// findColumn chooses the column for the sentences: the one of an earlier copy,
// or the first that nothing reaches, not even a merged title or the profile.
func (a *annotation) findColumn() error {
	rows, err := a.file.GetRows(a.sheet, excelize.Options{RawCellValue: true})
	if err != nil {
		return err
	}
	a.last = len(rows)
	if len(a.Sheet.Columns) == 0 {
		return nil // it was refused before it was known where its table stands
	}
	if a.column, err = a.oldColumn(rows); err != nil || a.column > 0 {
		return err
	}
	a.column = a.assigned
	for _, row := range rows {
		a.column = max(a.column, len(row))
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
		a.column = max(a.column, column)
	}
	if a.column++; a.column > a.columns {
		a.column = 0 // the importer would not take one more
	}
	return nil
}

// oldColumn is the one of an earlier copy, 0 for none.
func (a *annotation) oldColumn(rows [][]string) (int, error) {
	for _, column := range a.Sheet.Columns {
		if column.Field == importers.FieldProblems {
			return excelize.ColumnNameToNumber(column.Letter)
		}
	}
	if a.Sheet.HeaderRow > 0 {
		return 0, nil
	}
	for _, row := range rows {
		if at := slices.IndexFunc(row, importers.IsOwnWord); at >= 0 {
			return at + 1, nil
		}
	}
	return 0, nil
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

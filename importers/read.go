package importers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Rows and problems go to the sink in batches of this many, so that a
// receiver can store them with one statement.
const batchSize = 512

// The header must stand within this many filled rows from the top.
const longestPreamble = 50

// read reads an open file; its path only gives the extension.
func read(ctx context.Context, file *os.File, path string, rules Rules, sink Sink) (result Result, err error) {
	set, err := rules.compile()
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w (%v)", readerFailed(), fault)
		}
	}()
	r := &reader{rules: set, sink: sink, repeats: newRepeats(set.TempDir)}
	defer func() { err = errors.Join(err, r.repeats.close()) }()
	err = r.read(ctx, file, path)
	r.result.Totals, r.result.RejectedTotals = r.accepted.list(), r.refused.list()
	r.result.Kinds = r.kinds.list()
	if refusal, ok := errors.AsType[*FileError](err); ok {
		refusal.Problem.Sheet = r.result.Sheet
	}
	if err != nil {
		return r.result, fmt.Errorf("read sheet: %w", err)
	}
	return r.result, nil
}

// reader carries one sheet from its source to the sink.
type reader struct {
	rules  *ruleset
	sink   Sink
	source source
	result Result

	date1904     bool // days are counted from 1904 in this workbook
	layout       *layout
	titles       []title    // filled rows above the header so far
	headerFault  *FileError // why the most promising row was not the header
	headingsSeen int        // headings recognised in that row

	last     int // last row that was not blank
	accepted totals
	refused  rejectedTotals
	kinds    kinds
	controls controls
	repeats  *repeats

	rows     []Row
	problems []Problem
	rejected bool  // the row at hand has a rejecting problem
	imported bool  // it is marked as imported already
	meant    meant // it would pay this
}

func (r *reader) read(ctx context.Context, file *os.File, path string) (err error) {
	if err := r.open(file, path); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.source.close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := r.source.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = r.take(row)
		}
		if err != nil {
			return err
		}
	}
	return r.finish()
}

// take puts a row into exactly one of the result's counts.
func (r *reader) take(row *record) error {
	r.dropOwn(row)
	if row.blank() {
		return nil
	}
	r.result.Blank += row.number - r.last - 1
	r.last, r.result.Rows = row.number, row.number
	switch {
	case r.layout == nil:
		return r.takeTitle(row)
	case r.takeControl(row):
		r.result.ControlRows++
		return nil
	}
	return r.takeData(row)
}

// takeTitle looks for the header; rows above it are titles.
func (r *reader) takeTitle(row *record) error {
	layout, fault, known := r.rules.matchHeader(row)
	switch {
	case layout != nil && r.rules.NoHeadings:
		r.layout, r.result.Columns = layout, layout.columns
		return r.takeData(row)
	case layout != nil:
		r.layout, r.result.HeaderRow, r.result.Columns = layout, row.number, layout.columns
		if layout.doubt != nil {
			r.report(*layout.doubt)
		}
		r.judgeTitles()
		return nil
	case r.rules.NoHeadings:
		return fault
	}
	if fault != nil && known > r.headingsSeen {
		r.headerFault, r.headingsSeen = fault, known
	}
	r.result.Titles++
	r.titles = append(r.titles, title{row.number, slices.Clone(row.cells)})
	if len(r.titles) >= longestPreamble {
		return r.noHeader()
	}
	r.takeTitleControl(row)
	return nil
}

func (r *reader) noHeader() error {
	if r.headerFault != nil {
		return r.headerFault
	}
	return refuse(HeaderMissing, "No row of headings was found. Put a row above the payouts that names the columns: %s; or say what the columns are (--map, or an import profile).",
		"Reference, Channel, Account, Amount, Currency")
}

func (r *reader) takeData(row *record) error {
	if row.merged {
		return refuse(MergedCells, "Cells are merged in a payout row, so that values may be hidden beneath them. Unmerge all cells below the headings.").at(row.number)
	}
	if r.result.Accepted+r.result.Rejected == r.rules.MaxRows {
		return refuse(TooManyRows, "The sheet has more than %d payout rows. Split it.", r.rules.MaxRows).at(row.number)
	}
	r.rejected, r.meant = false, meant{}
	payout := r.judge(row)
	if err := r.repeats.fault(); err != nil {
		return err
	}
	if r.rejected {
		r.result.Rejected++
		r.refused.add(payout.Channel, r.meant)
	} else {
		r.result.Accepted++
		r.accepted.add(payout)
		(*rowRuns)(&r.result.AcceptedRows).add(payout.Number)
		r.rows = append(r.rows, payout)
	}
	if len(r.rows) >= batchSize || len(r.problems) >= batchSize {
		return r.flush()
	}
	return nil
}

// report notes a problem of the row at hand and, if it is more than a
// warning, marks the row as rejected.
func (r *reader) report(p Problem) {
	p.Sheet = r.result.Sheet
	switch p.Severity {
	case RowRejected:
		r.rejected = true
	case Warning:
		r.result.Warnings++
	}
	r.kinds.add(p)
	r.problems = append(r.problems, p)
}

func (r *reader) flush() error {
	err := passOn(r.sink, r.rows, r.problems)
	clear(r.rows)
	clear(r.problems)
	r.rows, r.problems = r.rows[:0], r.problems[:0]
	return err
}

func passOn(sink Sink, rows []Row, problems []Problem) error {
	if len(rows) > 0 {
		if err := sink.Rows(rows); err != nil {
			return fmt.Errorf("pass on rows: %w", err)
		}
	}
	if len(problems) > 0 {
		if err := sink.Problems(problems); err != nil {
			return fmt.Errorf("pass on problems: %w", err)
		}
	}
	return nil
}

func (r *reader) finish() error {
	switch {
	case r.last == 0:
		return refuse(NoData, "The sheet is empty.")
	case r.layout == nil:
		return r.noHeader()
	case r.result.Accepted+r.result.Rejected == 0:
		return refuse(NoData, "The sheet has headings but no payout rows below them.").at(r.result.HeaderRow)
	}
	r.checkTitleControls()
	r.warnOfUnnamed()
	if err := r.flush(); err != nil {
		return err
	}
	if wrong := r.controls.wrong; wrong != nil {
		return wrong
	}
	return nil
}

// totals sums accepted rows by channel and currency.
type totals []Total

func (t *totals) add(row Row) {
	for i := range *t {
		sum := &(*t)[i]
		if sum.Channel == row.Channel && sum.Currency == row.Currency {
			sum.Count++
			sum.Amount += row.Amount // cannot overflow: rows and digits of an amount are capped
			return
		}
	}
	*t = append(*t, Total{row.Channel, row.Currency, 1, row.Amount})
}

func (t totals) list() []Total {
	slices.SortFunc(t, func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Currency, b.Currency))
	})
	return t
}

package reports

import (
	"context"
	"errors"

	"github.com/xuri/excelize/v2"

	"payrun/internal/database"
)

// workbook fills the sheets in their order, except that the first one, the
// Summary, is written when everything else has been counted and checked.
func (r *report) workbook(ctx context.Context, d *draft) (err error) {
	maxRows := r.maxRows
	if maxRows == 0 {
		maxRows = excelize.TotalRows
	}
	b := newBook(d.folder, r.options.zone(), maxRows)
	defer func() { err = errors.Join(err, b.file.Close()) }()
	if err := b.addSheet(summarySheet); err != nil {
		return err
	}
	for _, write := range []func(context.Context, *book) error{
		r.payouts, r.writeExceptions, r.journal, r.trialBalance, r.approvals, r.writeSummary,
	} {
		if err := write(ctx, b); err != nil {
			return err
		}
	}
	if err := errors.Join(r.manifest(b), r.setProperties(b.file)); err != nil {
		return err
	}
	out, err := d.create()
	if err != nil {
		return err
	}
	a, err := newArchive(d.folder)
	if err != nil {
		return err
	}
	return a.write(b.file, out)
}

// setProperties replaces what excelize would say about itself.
func (r *report) setProperties(f *excelize.File) error {
	at := database.Instant.Time(r.snapshot.AsOf).Format("2006-01-02T15:04:05Z")
	return errors.Join(
		f.SetDocProps(&excelize.DocProperties{Title: summaryTitle, Creator: "payrun", LastModifiedBy: "payrun", Created: at, Modified: at}),
		f.SetAppProps(&excelize.AppProperties{Application: "payrun"}),
	)
}

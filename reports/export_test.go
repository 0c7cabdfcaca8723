package reports

import (
	"context"

	"payrun/internal/database"
)

// WorkbookOfShortSheets is Workbook with another length of sheets than the
// format's, which no test could fill.
func WorkbookOfShortSheets(ctx context.Context, db *database.DB, path string, rows int, options Options) (Summary, error) {
	return produce(ctx, db, path, Filter{}, options, func(r *report, ctx context.Context, d *draft) error {
		r.maxRows = rows
		return r.workbook(ctx, d)
	})
}

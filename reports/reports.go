package reports

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

// ErrMismatch: what was written does not agree with the ledger. No file was
// left. Run the ledger's own checks (Book.Verify) to find the row.
var ErrMismatch = errors.New("the report does not agree with the ledger")

// Options say how a report presents itself. They change no number. The zero
// value is usable.
type Options struct {
	// By names who asked for the report, for example "user:mia".
	By string
	// GatewayAccount names the account at the gateway, shown as given.
	GatewayAccount string
	// Channels names channel codes, for example "11": "Perfect Money". A
	// code that is missing stands for itself.
	Channels map[string]string
	// Zone is the business zone in which times are shown. Default UTC.
	Zone *time.Location
	// Version of the software that makes the report.
	Version string
}

func (o Options) zone() *time.Location {
	if o.Zone == nil {
		return time.UTC
	}
	return o.Zone
}

func (o Options) channel(code string) string {
	if name := o.Channels[code]; name != "" {
		return name
	}
	return code
}

// Total is the count and sum of the payouts of one currency and state.
type Total struct {
	Currency money.Currency
	State    ledger.State
	Payouts  int64
	Amount   money.Amount
	Fees     money.Amount // taken, or held for what may still be sent
}

// Summary says what a report holds.
type Summary struct {
	Payouts int64   // rows of the Payouts sheet, or of the csv
	Totals  []Total // by currency, then in the order of a payout's life
	// SHA256 of the file, in lower-case hex.
	SHA256 string
	// AsOf is when the newest record of the snapshot was made.
	AsOf database.Instant
	// The audit chain's newest link in the snapshot.
	AuditPosition int64
	AuditHead     string
}

// Workbook writes the reconciliation workbook to path and returns what is in
// it. The file is readable by its owner only and replaces an older one of that
// name. It returns ErrMismatch when the file would not agree with the ledger,
// and ledger.ErrInvalid for a filter that makes no sense.
func Workbook(ctx context.Context, db *database.DB, path string, filter Filter, options Options) (Summary, error) {
	return produce(ctx, db, path, filter, options, (*report).workbook)
}

// CSV writes the Payouts sheet of the same workbook as csv: UTF-8, commas, one
// heading line, times in UTC with microseconds, amounts with all decimals.
// Its SHA-256 is the one that the workbook's Manifest names for the Payouts
// sheet. It returns what Workbook returns.
func CSV(ctx context.Context, db *database.DB, path string, filter Filter, options Options) (Summary, error) {
	return produce(ctx, db, path, filter, options, (*report).csv)
}

func produce(ctx context.Context, db *database.DB, path string, filter Filter, options Options,
	write func(*report, context.Context, *draft) error) (Summary, error) {
	if err := filter.check(); err != nil {
		return Summary{}, err
	}
	var summary Summary
	err := offer(path, func(d *draft) error {
		return db.Snapshot(ctx, func(tx *database.Tx) error {
			r := &report{tx: tx, filter: filter, options: options, tally: tally{}, batches: map[int64]string{}}
			var err error
			if r.snapshot, err = readSnapshot(ctx, tx); err != nil {
				return err
			}
			if err := write(r, ctx, d); err != nil {
				return err
			}
			summary = r.summary()
			summary.SHA256, err = d.sha256()
			return err
		})
	})
	if err != nil {
		return Summary{}, fmt.Errorf("report: %w", err)
	}
	return summary, nil
}

// report is one report under way, on one snapshot. One goroutine uses it.
type report struct {
	tx       *database.Tx
	filter   Filter
	options  Options
	snapshot snapshot
	maxRows  int // of a sheet; 0 for as many as the format allows

	accounts   []accountRow     // see accountRows
	tally      tally            // of the payouts that were written
	checks     []check          // that were made
	exceptions []kindCount      // that were written
	batches    map[int64]string // names of the batches that were written
}

func (r *report) summary() Summary {
	s := Summary{AsOf: r.snapshot.AsOf, AuditPosition: r.snapshot.Position, AuditHead: r.snapshot.Head}
	for _, group := range r.tally.by(byState) {
		s.Payouts += group.Payouts
		s.Totals = append(s.Totals, Total{group.Currency, group.State, group.Payouts, group.Amount, group.Fees})
	}
	return s
}

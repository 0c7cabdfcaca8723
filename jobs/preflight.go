package jobs

import (
	"context"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

// Preflight is what a maker and a checker look at before money moves.
type Preflight struct {
	Batch    ledger.Batch
	Totals   []ledger.Total
	Limits   []ledger.Limit
	Funds    []Funds
	Warnings []ledger.WarningKind // that people have to confirm
	Overlaps []ledger.Overlap     // what another batch pays too
	// Duration is how long sending takes at the configured rate; 0 when the
	// rate is not limited.
	Duration time.Duration
}

// Funds compares what a batch needs in one currency with what there is.
type Funds struct {
	Currency  money.Currency
	Needed    money.Amount // amounts and estimated fees
	Available money.Amount // in our books
	AtGateway money.Amount // as the gateway last said
}

// Enough reports whether the batch could be approved and sent now.
func (f Funds) Enough() bool { return f.Available >= f.Needed && f.AtGateway >= f.Needed }

// Preflight gathers it for one batch.
func (e *Engine) Preflight(ctx context.Context, batch int64) (Preflight, error) {
	var p Preflight
	var err error
	if p.Batch, err = e.Book.Batch(ctx, batch); err != nil {
		return p, err
	}
	if p.Totals, err = e.Book.Totals(ctx, batch); err != nil {
		return p, err
	}
	if p.Limits, err = e.Book.Limits(ctx); err != nil {
		return p, err
	}
	if p.Warnings, err = e.Book.WarningKinds(ctx, batch); err != nil {
		return p, err
	}
	if p.Overlaps, err = e.Book.Overlaps(ctx, batch); err != nil {
		return p, err
	}
	p.Duration = time.Duration(p.Batch.Accepted) * e.Rate.Sends().Average()
	p.Funds, err = e.funds(ctx, p.Totals)
	return p, err
}

func (e *Engine) funds(ctx context.Context, totals []ledger.Total) ([]Funds, error) {
	ours, err := e.Book.Balances(ctx)
	if err != nil {
		return nil, err
	}
	theirs, err := e.Book.GatewayBalances(ctx)
	if err != nil {
		return nil, err
	}
	var funds []Funds
	for _, t := range totals { // sorted by currency
		if len(funds) == 0 || funds[len(funds)-1].Currency != t.Currency {
			funds = append(funds, Funds{Currency: t.Currency})
		}
		last := &funds[len(funds)-1]
		last.Needed += t.Amount + t.Fees
	}
	for i := range funds {
		for _, b := range ours {
			if b.Currency == funds[i].Currency {
				funds[i].Available = b.Available
			}
		}
		for _, b := range theirs {
			if b.Currency == funds[i].Currency {
				funds[i].AtGateway = b.Reported - b.Committed
			}
		}
	}
	return funds, nil
}

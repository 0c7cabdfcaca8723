package main

import (
	"fmt"

	"payrun/ledger"
)

// repayCmd pays failed payouts again.
type repayCmd struct {
	Orders []string `arg:"" optional:"" name:"order" help:"Order numbers of failed payouts."`
	Batch  int64    `help:"All failed payouts of this batch that were not paid again yet, instead of order numbers."`
	withReason
}

// Run makes a batch of them.
func (c *repayCmd) Run(a *app) error {
	if (len(c.Orders) == 0) == (c.Batch == 0) {
		return usagef("name order numbers, or a batch with --batch")
	}
	user, err := a.user()
	if err != nil {
		return err
	}
	orders := c.Orders
	if c.Batch != 0 {
		if orders, err = a.failedOf(c.Batch); err != nil {
			return err
		}
	}
	batch, err := a.book.Repay(a.ctx, user, orders, a.scrutiny(), c.Reason)
	if err != nil {
		return err
	}
	next, err := a.nextOfBatch(batch.ID)
	if err != nil {
		return err
	}
	return a.show(viewBatch(batch, ledger.Ended{}), func() {
		a.sayf("Batch %d pays %s again, under new order numbers.", batch.ID, counted(batch.Accepted, "payout", "payouts"))
		if batch.Repeats > 0 {
			a.sayf("The same payouts were paid again before, as batch %d.", batch.Repeats)
		}
		a.sayf("%s", next)
	})
}

// failedPayouts finds those of a batch, or with 0 of all, that nothing pays
// again: so many of them, or with 0 all.
func (a *app) failedPayouts(batch int64, most int) ([]ledger.Payout, error) {
	return a.book.Payouts(a.ctx, ledger.PayoutFilter{
		Batch: batch, States: []ledger.State{ledger.Failed, ledger.FailedFee}, NotRepaid: true, Most: most,
	})
}

// failedOf lists the order numbers of a batch's failed payouts.
func (a *app) failedOf(batch int64) ([]string, error) {
	failed, err := a.failedPayouts(batch, 0)
	if err == nil && len(failed) == 0 {
		if _, err = a.book.Batch(a.ctx, batch); err == nil {
			err = fmt.Errorf("%w: no failed payout of batch %d is left to pay again", ledger.ErrConflict, batch)
		}
	}
	orders := make([]string, len(failed))
	for i, p := range failed {
		orders[i] = p.OrderNo()
	}
	return orders, err
}

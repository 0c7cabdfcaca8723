package reports

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"payrun/internal/money"
	"payrun/ledger"
)

// check compares what the ledger says with what was written. Everything is
// whole numbers: payouts, or minor units of the currency.
type check struct {
	what         string
	currency     money.Currency
	counts       bool // payouts, not money
	headline     bool // shown on the Summary; the Manifest has all
	ledger, file int64
}

func (c check) difference() int64 { return c.file - c.ledger }

func (c check) value(n int64) value {
	if c.counts {
		return count(n)
	}
	return amount(money.Amount(n), c.currency)
}

// checkColumns are those of the checks on the Summary and the Manifest.
var checkColumns = []column{
	left("Currency", 0), left("What", 0), left("", 0), right("Ledger says", 0), right("This file says", 0), right("Difference", 0),
}

// values fill them with the check.
func (c check) values() []value {
	return []value{text(string(c.currency)), text(c.what), {}, c.value(c.ledger), c.value(c.file), c.value(c.difference()).as(good)}
}

// sortedChecks are the checks by currency, otherwise in the order in which
// they were made.
func (r *report) sortedChecks() []check {
	return slices.SortedStableFunc(slices.Values(r.checks), func(a, b check) int { return cmp.Compare(a.currency, b.currency) })
}

// compare notes a comparison of amounts, compareCounts one of payouts.
func (r *report) compare(what string, currency money.Currency, ledger, file money.Amount) {
	r.checks = append(r.checks, check{what: what, currency: currency, ledger: int64(ledger), file: int64(file), headline: headlines[what]})
}

func (r *report) compareCounts(what string, currency money.Currency, ledger, file int64) {
	r.checks = append(r.checks, check{what: what, currency: currency, counts: true, ledger: ledger, file: file, headline: headlines[what]})
}

// What is compared.
const (
	checkCount    = "payouts"
	checkAmount   = "amount"
	checkPaid     = "paid to payees, as posted"
	checkFees     = "fees taken, as posted"
	checkHeld     = "held for open payouts"
	checkSuspense = "in suspense, as posted"
	checkDebits   = "journal, debits"
	checkCredits  = "journal, credits"
)

// headlines are the comparisons that the Summary shows.
var headlines = map[string]bool{
	checkCount: true, checkAmount: true, checkPaid: true, checkFees: true, checkHeld: true, checkDebits: true, checkCredits: true,
}

// agreed returns ErrMismatch with the first check that failed.
func (r *report) agreed() error {
	for _, c := range r.checks {
		if c.difference() != 0 {
			return fmt.Errorf("%w: %s %s: the ledger says %s, the file says %s",
				ErrMismatch, c.what, c.currency, c.value(c.ledger).csv(), c.value(c.file).csv())
		}
	}
	return nil
}

// checkPayouts compares the rows that were written with what the database
// adds up on its own, with the totals fixed at import, and with the postings.
func (r *report) checkPayouts(ctx context.Context) error {
	for _, compare := range []func(context.Context) error{r.checkStates, r.checkImported, r.checkPostings, r.checkHolds} {
		if err := compare(ctx); err != nil {
			return fmt.Errorf("check the payouts: %w", err)
		}
	}
	return r.agreed()
}

// aggregate is a sum that the database made.
type aggregate struct {
	Currency money.Currency
	State    ledger.State
	Payouts  int64
	Amount   money.Amount
	Fees     money.Amount
}

func (r *report) checkStates(ctx context.Context) error {
	where := r.filter.payouts()
	var groups []aggregate
	err := r.tx.Select(ctx, &groups, "SELECT p.currency, "+stateOf+` AS state, count(*) AS payouts, sum(p.amount) AS amount
		FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE `+where.text+" GROUP BY 1, 2 ORDER BY 1, 2", where.args...)
	if err != nil {
		return err
	}
	ledger, file := map[money.Currency]sums{}, map[group]sums{}
	for _, g := range r.tally.by(byState) {
		file[g.group] = g.sums
	}
	for _, g := range groups {
		key := group{Currency: g.Currency, State: g.State}
		all := ledger[g.Currency]
		if err := all.add(sums{Payouts: g.Payouts, Amount: g.Amount}); err != nil {
			return err
		}
		ledger[g.Currency] = all
		r.compareCounts("payouts "+string(g.State), g.Currency, g.Payouts, file[key].Payouts)
		r.compare("amount "+string(g.State), g.Currency, g.Amount, file[key].Amount)
		delete(file, key)
	}
	for key, s := range file {
		r.compareCounts("payouts "+string(key.State), key.Currency, 0, s.Payouts)
	}
	for _, g := range r.tally.by(byCurrency) {
		r.compareCounts(checkCount, g.Currency, ledger[g.Currency].Payouts, g.Payouts)
		r.compare(checkAmount, g.Currency, ledger[g.Currency].Amount, g.Amount)
	}
	return nil
}

// checkImported compares with the totals that were fixed when the sheets were
// imported; they exist per batch only.
func (r *report) checkImported(ctx context.Context) error {
	if r.filter.From != 0 || r.filter.To != 0 || r.filter.Channel != "" || len(r.filter.States) > 0 {
		return nil
	}
	where := r.filter.batches()
	var imported []aggregate
	err := r.tx.Select(ctx, &imported, `SELECT t.currency, sum(t.payouts) AS payouts, sum(t.amount) AS amount, sum(t.fees) AS fees
		FROM batch_totals t JOIN batches b ON b.id = t.batch_id WHERE `+where.text+" GROUP BY t.currency ORDER BY t.currency", where.args...)
	if err != nil {
		return err
	}
	file := r.perCurrency(func(ledger.State) bool { return true })
	for _, t := range imported {
		r.compareCounts("payouts imported", t.Currency, t.Payouts, file[t.Currency].Payouts)
		r.compare("amount imported", t.Currency, t.Amount, file[t.Currency].Amount)
		r.compare("fees estimated at import", t.Currency, t.Fees, file[t.Currency].Estimates)
	}
	return nil
}

// moved is the money that the books say has moved for single payouts.
type moved struct {
	Currency             money.Currency
	Paid, Fees, Suspense money.Amount
}

// checkPostings compares the states of the payouts that are shown with the
// money that the books say has moved for them.
func (r *report) checkPostings(ctx context.Context) error {
	booked, err := r.movedMoney(ctx)
	if err != nil {
		return err
	}
	paid := r.perCurrency(in(ledger.Succeeded))
	ended := r.perCurrency(in(ledger.Succeeded, ledger.Failed, ledger.FailedFee))
	closed := r.perCurrency(in(ledger.Closed))
	silent := r.perCurrency(in(ledger.Succeeded, ledger.Failed, ledger.FailedFee, ledger.Closed))
	for _, m := range booked {
		r.compare(checkPaid, m.Currency, m.Paid, paid[m.Currency].Paid)
		r.compare(checkFees, m.Currency, m.Fees, ended[m.Currency].Fees)
		r.compare(checkSuspense, m.Currency, m.Suspense, closed[m.Currency].Amount+closed[m.Currency].Estimates)
		delete(silent, m.Currency)
	}
	for currency, s := range silent {
		r.compareCounts("payouts that ended without a posting", currency, 0, s.Payouts)
	}
	return nil
}

// movedMoney sums up the postings for the payouts that are shown: from the
// accounts where these are all, else payout by payout.
func (r *report) movedMoney(ctx context.Context) ([]moved, error) {
	var booked []moved
	if !r.filter.whole() {
		signed := func(kind ledger.Kind) string {
			return "sum(CASE WHEN a.kind <> '" + string(kind) + "' THEN 0 WHEN l.side = 'debit' THEN l.amount ELSE -l.amount END) AS " + string(kind)
		}
		where := r.filter.payouts()
		err := r.tx.Select(ctx, &booked, "SELECT p.currency, "+signed(ledger.Paid)+", "+signed(ledger.Fees)+", "+signed(ledger.Suspense)+`
			FROM entries e JOIN lines l ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id
			JOIN payouts p ON p.id = e.payout_id JOIN batches b ON b.id = p.batch_id
			WHERE e.payout_id > 0 AND `+where.text+" GROUP BY p.currency ORDER BY p.currency", where.args...)
		return booked, err
	}
	rows, err := r.accountRows(ctx)
	for _, row := range rows {
		if n := len(booked); n == 0 || booked[n-1].Currency != row.Currency {
			booked = append(booked, moved{Currency: row.Currency})
		}
		last := &booked[len(booked)-1]
		switch row.Kind {
		case ledger.Paid:
			last.Paid = row.Moved
		case ledger.Fees:
			last.Fees = row.Moved
		case ledger.Suspense:
			last.Suspense = row.Moved
		}
	}
	return booked, err
}

// checkHolds compares what is held with what open payouts need. It needs all of
// them: holds are made per batch.
func (r *report) checkHolds(ctx context.Context) error {
	if !r.filter.whole() {
		return nil
	}
	var held []struct {
		Currency money.Currency
		Balance  money.Amount
	}
	if err := r.tx.Select(ctx, &held, "SELECT currency, balance FROM accounts WHERE kind = 'held' ORDER BY currency"); err != nil {
		return err
	}
	open := r.perCurrency(in(ledger.Approved, ledger.Sending, ledger.Unknown, ledger.Accepted, ledger.Review))
	for _, h := range held {
		r.compare(checkHeld, h.Currency, h.Balance, open[h.Currency].Amount+open[h.Currency].Estimates)
	}
	return nil
}

func in(wanted ...ledger.State) func(ledger.State) bool {
	return func(state ledger.State) bool { return slices.Contains(wanted, state) }
}

// perCurrency sums up what was written in some of the states.
func (r *report) perCurrency(wanted func(ledger.State) bool) map[money.Currency]sums {
	totals := map[money.Currency]sums{}
	for _, g := range r.tally.by(byState) {
		if wanted(g.State) {
			t := totals[g.Currency]
			_ = t.add(g.sums) // a part of a sum that fitted
			totals[g.Currency] = t
		}
	}
	return totals
}

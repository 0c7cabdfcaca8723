package ledger

import (
	"context"

	"payrun/internal/money"
)

// Overlap is what a batch and another live batch would both pay: the same
// reference, wallet and amount, in one currency.
type Overlap struct {
	Batch    int64 // the other one
	State    State
	Currency money.Currency
	Payouts  int64
	Amount   money.Amount // in minor units
}

// overlaps starts from the warnings of a batch, and from the warnings about
// it: it reads as much as two batches have in common, whatever the history
// holds. What failed or was taken back is not paid, so that it does not count.
const overlaps = `SELECT x.other AS batch, o.state, x.currency, count(*) AS payouts, sum(x.amount) AS amount FROM (
	SELECT p.id, e.batch_id AS other, p.currency, p.amount FROM warnings w
	JOIN payouts p ON p.id = w.payout_id JOIN payouts e ON e.id = w.repeats
	WHERE w.batch_id = ? AND w.repeats > 0 AND ` + samePayment + `
	UNION
	SELECT p.id, e.batch_id AS other, p.currency, p.amount FROM warnings w
	JOIN payouts p ON p.id = w.repeats JOIN payouts e ON e.id = w.payout_id
	WHERE w.repeats BETWEEN ? AND ? AND w.repeats > 0 AND ` + samePayment + `) x
	JOIN batches o ON o.id = x.other AND o.state NOT IN ('STAGING', 'CANCELLED')
	GROUP BY x.other, o.state, x.currency ORDER BY x.other, x.currency`

const samePayment = "e.account = p.account AND e.channel = p.channel AND e.currency = p.currency AND e.amount = p.amount AND e.reference = p.reference AND e.state NOT IN (" + unpaid + ") AND p.state NOT IN (" + unpaid + ")"

// unpaid are the states in which a payout does not, and will not, pay.
const unpaid = "'FAILED', 'FAILED_FEE', 'CANCELLED'"

// Overlaps lists what a batch would pay a second time, by batch and currency.
// It knows what was looked for when the two were imported: see
// [Scrutiny].
func (b *Book) Overlaps(ctx context.Context, batch int64) ([]Overlap, error) {
	var all []Overlap
	err := b.db.Select(ctx, &all, overlaps, batch, firstID(batch), lastID(batch))
	return all, err
}

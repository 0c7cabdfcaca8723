package ledger

import (
	"context"

	"payrun/internal/money"
)

// Overlap is what a batch and another live batch would both pay: the same
// reference, wallet and amount, in one currency.
type Overlap struct {
	Batch      int64 // the other one
	State      State
	Currency   money.Currency
	Payouts    int64
	Referenced int64        // of them, that have a reference
	Amount     money.Amount // in minor units
}

// overlaps starts from the rows that a warning of the batch is about, or one
// about it, and finds each other batch that pays them too, whichever of these
// the warning names. It sorts instead of joining, as findWaiting does, and goes
// to what was approved by the payees, as far back as the import looked: it
// reads what waits, and as much as two batches have in common, whatever the
// history holds. What failed or was taken back is not paid, so that it does
// not count.
const overlaps = `WITH asked AS (
		SELECT w.payout_id AS id FROM warnings w WHERE w.batch_id = ? AND w.repeats > 0 AND w.payout_id > 0
		UNION SELECT w.repeats FROM warnings w WHERE w.repeats BETWEEN ? AND ? AND w.repeats > 0 AND w.payout_id > 0
	), ours AS (
		SELECT ` + payment + `, count(*) AS payouts FROM asked a JOIN payouts p ON p.id = a.id
		WHERE p.state NOT IN (` + unpaid + `) GROUP BY ` + payment + `
	)
	SELECT x.batch, b.state, x.currency, sum(x.payouts) AS payouts, sum(x.payouts * x.amount) AS amount,
		sum(CASE WHEN x.reference <> '' THEN x.payouts ELSE 0 END) AS referenced FROM (
		SELECT p.batch, p.currency, p.amount, p.reference, max(p.payouts) OVER (PARTITION BY ` + payment + `) AS payouts FROM (
			SELECT 0 AS batch, ` + payment + `, p.payouts FROM ours p
			UNION SELECT p.batch_id, ` + payment + `, 0 FROM payouts p WHERE p.state = 'UNSENT' AND (SELECT count(*) FROM ours) > 0
				AND p.batch_id IN (SELECT id FROM batches WHERE state IN ('VALID', 'SUBMITTED') AND id <> ?)
			UNION SELECT e.batch_id, ` + payment + `, 0 FROM ours p
				JOIN payees o ON ` + samePayee + ` AND o.reference = p.reference
				JOIN payouts e ON e.id = o.payout_id AND e.batch_id <> ? AND e.state NOT IN (` + unpaid + `)
				WHERE o.approved_at >= coalesce((SELECT repeats_since FROM readings WHERE batch_id = ?), 0)
				OR o.reference <> '' AND o.approved_at >= coalesce((SELECT references_since FROM readings WHERE batch_id = ?), 0)
		) p) x
	JOIN batches b ON b.id = x.batch WHERE x.payouts > 0 GROUP BY x.batch, b.state, x.currency ORDER BY x.batch, x.currency`

// payment is what makes a payout p the same payment as another.
const payment = "p.account, p.channel, p.currency, p.amount, p.reference"

// unpaid are the states in which a payout does not, and will not, pay.
const unpaid = "'FAILED', 'FAILED_FEE', 'CANCELLED'"

// Overlaps lists what a batch would pay a second time, by batch and currency.
// It knows what was looked for when the two were imported: see
// [Scrutiny].
func (b *Book) Overlaps(ctx context.Context, batch int64) ([]Overlap, error) {
	var all []Overlap
	err := b.db.Select(ctx, &all, overlaps, batch, firstID(batch), lastID(batch), batch, batch, batch, batch)
	return all, err
}

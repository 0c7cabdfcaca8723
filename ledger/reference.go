package ledger

import (
	"context"

	"payrun/internal/database"
)

// findReferenceUsed goes from each staged row to the payees of its reference,
// as findPaid does to those of its account, and names the latest. That a
// batch is looked at last, by itself, keeps every plan from beginning there.
var findReferenceUsed = `INSERT INTO warnings (batch_id, code, row_no, payout_id, repeats)
	SELECT p.batch_id, '` + ReferenceUsed + `', p.row_no, p.id, max(e.id) FROM payouts p
	JOIN payees o ON o.reference = p.reference AND o.reference <> '' AND o.approved_at >= ?
	JOIN payouts e ON e.id = o.payout_id AND ` + mayBePaid + `
	WHERE p.id BETWEEN ? AND ? AND (SELECT b.gateway_account FROM batches b WHERE b.id = e.batch_id) = ? GROUP BY p.batch_id, p.row_no, p.id`

// unlessPaid leaves the rows to findPaid that it names for the same payment.
const unlessPaid = ` HAVING max(CASE WHEN o.approved_at >= ? AND o.account = p.account AND o.channel = p.channel
	AND o.currency = p.currency AND o.amount = p.amount THEN 1 ELSE 0 END) = 0`

// findReferenceWaiting sorts instead of joining, as findWaiting does; what
// several batches have is sorted once more.
const findReferenceWaiting = `INSERT INTO warnings (batch_id, code, row_no, payout_id, repeats)
	SELECT w.batch_id, '` + ReferenceWaiting + `', w.row_no, w.id, w.other FROM (
		SELECT r.id, r.batch_id, r.row_no, r.other,
			max(CASE WHEN r.batch_id <> ? THEN r.id END) OVER (PARTITION BY r.reference, r.account, r.channel, r.currency, r.amount) AS same
		FROM (SELECT p.id, p.batch_id, p.row_no, p.reference, p.account, p.channel, p.currency, p.amount,
				max(CASE WHEN p.batch_id <> ? THEN p.id END) OVER (PARTITION BY p.reference) AS other,
				max(CASE WHEN p.batch_id = ? THEN 1 END) OVER (PARTITION BY p.reference) AS ours
			FROM payouts p WHERE p.state = 'UNSENT' AND p.reference <> ''
			AND p.batch_id IN (SELECT id FROM batches WHERE gateway_account = ? AND (state IN ('VALID', 'SUBMITTED') OR id = ?))) r
		WHERE r.ours = 1 AND r.other IS NOT NULL) w
	WHERE w.batch_id = ?`

// unlessWaiting leaves the rows to findWaiting that it names likewise.
const unlessWaiting = " AND w.same IS NULL"

func (s *Staging) reviewWaitingReferences(ctx context.Context, tx *database.Tx, look Scrutiny) error {
	query := findReferenceWaiting
	if look.Repeats > 0 {
		query += unlessWaiting
	}
	_, err := tx.Exec(ctx, query, s.batch, s.batch, s.batch, s.account, s.batch, s.batch)
	return err
}

func (s *Staging) reviewUsedReferences(ctx context.Context, tx *database.Tx, look Scrutiny, now database.Instant) error {
	query, args := findReferenceUsed, []any{now.Add(-look.References), firstID(s.batch), lastID(s.batch), s.account}
	if look.Repeats > 0 {
		query += unlessPaid
		args = append(args, now.Add(-look.Repeats))
	}
	_, err := tx.Exec(ctx, query, args...)
	return err
}

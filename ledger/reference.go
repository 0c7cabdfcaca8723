package ledger

import (
	"context"
	"time"

	"payrun/internal/database"
)

// findReferenceUsed looks for the payees of each staged row's reference, and
// names the latest, unless findPaid names one of them for the same payment. It
// asks for each row by itself: joined, a plan could begin with the payees and
// read all staged rows for each of them.
var findReferenceUsed = `INSERT INTO warnings (batch_id, code, row_no, payout_id, repeats)
	WITH w AS MATERIALIZED (SELECT p.batch_id, p.row_no, p.id, (
			SELECT CASE WHEN max(CASE WHEN ` + samePayee + ` AND o.approved_at >= ? THEN 1 ELSE 0 END) = 0 THEN max(e.id) END
			FROM payees o JOIN payouts e ON e.id = o.payout_id AND ` + mayBePaid + `
			WHERE o.reference = p.reference AND o.reference <> '' AND o.approved_at >= ?
			AND (SELECT b.gateway_account FROM batches b WHERE b.id = e.batch_id) = ?) AS used
		FROM payouts p WHERE p.id BETWEEN ? AND ?)
	SELECT w.batch_id, '` + ReferenceUsed + `', w.row_no, w.id, w.used FROM w WHERE w.used IS NOT NULL`

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
	paid := now.Add(time.Microsecond) // nothing was approved later: findPaid names nothing
	if look.Repeats > 0 {
		paid = now.Add(-look.Repeats)
	}
	_, err := tx.Exec(ctx, findReferenceUsed, paid, now.Add(-look.References), s.account, firstID(s.batch), lastID(s.batch))
	return err
}

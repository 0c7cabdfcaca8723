package ledger

import (
	"context"
	"strconv"

	"payrun/internal/database"
)

// reviewSheet looks for another batch that the sheet as a whole may be, and
// that does not have the same rows: such a one is held by [Staging.Publish]
// anyway. Of another batch it says one thing, the strongest.
func (s *Staging) reviewSheet(ctx context.Context, tx *database.Tx, counts Counts, rowsDigest string) error {
	if len(s.repays) > 0 { // no sheet
		return nil
	}
	if err := s.warnOfBatch(ctx, tx, FileUsed, sameFile, s.account, rowsDigest, counts.SourceDigest); err != nil {
		return err
	}
	if counts.Scrutiny.Repeats == 0 || s.added < 2 {
		return nil
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	return s.warnOfBatch(ctx, tx, TotalsRepeated, sameTotals, s.account, rowsDigest,
		s.added, now.Add(-counts.Scrutiny.Repeats), counts.SourceDigest, s.batch)
}

// warnOfBatch stages a warning about the latest batch b that is alike.
func (s *Staging) warnOfBatch(ctx context.Context, tx *database.Tx, code, alike string, args ...any) error {
	var other int64
	if err := tx.Get(ctx, &other, liveBatch+alike, args...); err != nil || other == 0 {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO warnings (batch_id, code, row_no, payout_id, repeats) VALUES (?, ?, 0, 0, ?)", s.batch, code, firstID(other))
	return err
}

// liveBatch finds the latest batch of a gateway account, with other rows than
// some, of which something may be paid.
var liveBatch = "SELECT coalesce(max(b.id), 0) FROM batches b WHERE b.gateway_account = ? AND b.rows_digest <> ? AND " + paysSomething

// paysSomething is SQL for a batch b of which something may be paid: it looks
// along the primary key, where EXISTS would leave it to the planner to look
// elsewhere.
var paysSomething = "(b.state IN ('VALID', 'SUBMITTED', 'APPROVED') AND coalesce((SELECT min(e.id) FROM payouts e WHERE e.id BETWEEN " +
	idOf("b", "0") + " AND " + idOf("b", strconv.Itoa(maxOrdinal)) + " AND " + mayBePaid + "), 0) > 0)"

const sameFile = " AND b.source_digest = ?"

// sameTotals is SQL for a batch that waits or was approved lately, with as
// many payouts as there are here, whose totals by channel and currency are
// all those of the batch of this sheet.
const sameTotals = ` AND b.accepted = ? AND (b.approved_at = 0 OR b.approved_at >= ?) AND b.source_digest <> ?
	AND NOT EXISTS (SELECT 1 FROM batch_totals m WHERE m.batch_id = ? AND NOT EXISTS (SELECT 1 FROM batch_totals t
		WHERE t.batch_id = b.id AND t.channel = m.channel AND t.currency = m.currency AND t.payouts = m.payouts AND t.amount = m.amount))`

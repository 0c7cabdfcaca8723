package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
)

// cancelChunk bounds how many payouts one transaction cancels.
const cancelChunk = 1000

// Cancel takes back the payouts of an approved batch that were never sent, and
// gives their money back: no attempt was made, or there is proof for each that
// no byte left, and the gateway does not say that it has them. It stops the
// batch first, so that nothing is claimed meanwhile; payouts that are under
// way go on. It returns how many it cancelled.
func (b *Book) Cancel(ctx context.Context, by User, batch int64, reason string) (int, error) {
	if reason == "" {
		return 0, fmt.Errorf("%w: a reason is needed", ErrInvalid)
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error { return authorize(ctx, tx, by, "cancel a batch", Checker) })
	if err != nil {
		return 0, err
	}
	head, err := b.Batch(ctx, batch)
	if err != nil {
		return 0, err
	}
	if head.State != Approved {
		return 0, fmt.Errorf("%w: batch %d is %s; only an APPROVED one can be cancelled", ErrConflict, batch, head.State)
	}
	if head.StopReason == "" {
		if err := b.PlaceStop(ctx, by, OneBatch, fmt.Sprint(batch), "cancelled: "+reason); err != nil {
			return 0, err
		}
	}
	cancelled := 0
	for {
		n, err := b.cancelSome(ctx, by, batch, reason)
		cancelled += n
		if err != nil || n == 0 {
			return cancelled, err
		}
	}
}

// neverLeft holds for a payout p of which no byte ever left.
const neverLeft = `(p.attempts = (SELECT count(*) FROM events e
	WHERE e.payout_id = p.id AND e.payout_id > 0 AND e.reason = 'not-sent')
	AND NOT EXISTS (SELECT 1 FROM evidence c WHERE c.payout_id = p.id AND c.kind = 'callback'))`

func (b *Book) cancelSome(ctx context.Context, by User, batch int64, reason string) (int, error) {
	var unsent []Payout
	err := b.db.Select(ctx, &unsent, `SELECT p.id, p.attempt_id FROM payouts p WHERE p.batch_id = ? AND p.state = 'UNSENT' AND p.blocked <> ?
		AND `+neverLeft+` ORDER BY p.channel, p.currency, p.ordinal LIMIT ?`, batch, BlockedKnown, cancelChunk)
	if err != nil {
		return 0, fmt.Errorf("cancel batch %d: %w", batch, err)
	}
	findings := make([]Finding, len(unsent))
	for i, p := range unsent {
		findings[i] = Finding{PayoutID: p.ID, AttemptID: p.AttemptID, From: Approved, To: Cancelled, Reason: ByCancellation, Note: reason}
	}
	n, err := b.Record(ctx, by.actor(), findings)
	if err != nil {
		return n, fmt.Errorf("cancel batch %d: %w", batch, err)
	}
	if n > 0 {
		err = b.Note(ctx, by.actor(), "batch.cancel", fmt.Sprint("batch ", batch), fmt.Sprintf("%d payouts: %s", n, reason))
	}
	return n, err
}

package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
)

// cancelChunk bounds how many payouts one transaction cancels.
const cancelChunk = 1000

// Cancel takes back the payouts of an approved batch that were never sent and
// gives their money back. It stops the batch first, so that nothing is
// claimed meanwhile; payouts that are under way go on. It returns how many it
// cancelled.
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

func (b *Book) cancelSome(ctx context.Context, by User, batch int64, reason string) (int, error) {
	var unsentIDs []int64
	err := b.db.Select(ctx, &unsentIDs, `SELECT id FROM payouts WHERE batch_id = ? AND state = 'UNSENT' AND attempts = 0
		ORDER BY channel, id LIMIT ?`, batch, cancelChunk)
	if err != nil {
		return 0, fmt.Errorf("cancel batch %d: %w", batch, err)
	}
	findings := make([]Finding, len(unsentIDs))
	for i, payout := range unsentIDs {
		findings[i] = Finding{PayoutID: payout, From: Approved, To: Cancelled, Reason: ByCancellation, Note: reason}
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

package ledger

import (
	"context"
	"fmt"
	"strings"

	"payrun/internal/database"
)

// cancelChunk bounds how many payouts one transaction cancels.
const cancelChunk = 1000

// Cancel takes back the payouts of an approved batch that were never sent, and
// gives their money back: no attempt was made, or there is proof for each that
// no byte left, and the gateway does not say that it has them. It stops the
// batch first, so that nothing is claimed meanwhile; payouts that are under
// way go on. The stop goes when nothing of the batch may be sent any more. It
// returns how many it cancelled, and ErrConflict, having changed nothing, when
// there is nothing to take back.
func (b *Book) Cancel(ctx context.Context, by User, batch int64, reason string) (int, error) {
	if reason == "" {
		return 0, fmt.Errorf("%w: a reason is needed", ErrInvalid)
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error { return authorize(ctx, tx, by, "cancel a batch", Checker) })
	if err != nil {
		return 0, err
	}
	head, err := b.cancellable(ctx, batch)
	if err != nil {
		return 0, err
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
		if err != nil {
			return cancelled, err
		}
		if n == 0 {
			return cancelled, b.liftIfCancelled(ctx, by, batch)
		}
	}
}

// cancellable finds a batch of which something can be taken back.
func (b *Book) cancellable(ctx context.Context, batch int64) (Batch, error) {
	head, err := b.Batch(ctx, batch)
	if err != nil {
		return head, err
	}
	if head.State != Approved {
		return head, fmt.Errorf("%w: batch %d is %s; only an APPROVED one can be cancelled", ErrConflict, batch, head.State)
	}
	unsent, err := b.neverSent(ctx, batch, 1)
	if err != nil || len(unsent) > 0 {
		return head, err
	}
	progress, err := b.Progress(ctx, batch)
	if err != nil {
		return head, err
	}
	return head, fmt.Errorf("%w: batch %d has nothing left that could be taken back: %s", ErrConflict, batch, inWords(progress))
}

// whereabouts are what a payout that cannot be cancelled is doing, in words.
var whereabouts = []struct {
	state State
	words string
}{
	{Succeeded, "paid"}, {Failed, "failed"}, {FailedFee, "failed, the fee kept"}, {Closed, "closed, in suspense"}, {Cancelled, "cancelled"},
	{Approved, "not sent, but perhaps known to the gateway"}, {Sending, "being sent"}, {Unknown, "in doubt"},
	{Accepted, "under way at the gateway"}, {Review, "under review"},
}

// inWords counts payouts, such as "29 paid, 1 failed".
func inWords(progress []Progress) string {
	payouts := map[State]int64{}
	for _, p := range progress {
		payouts[p.State] += p.Payouts
	}
	var parts []string
	for _, s := range whereabouts {
		if n := payouts[s.state]; n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", s.words))
		}
	}
	return strings.Join(parts, ", ")
}

// liftIfCancelled lifts the stop of a batch of which nothing may be sent any
// more: it holds nothing. That it was stopped meanwhile is not news; that the
// batch has ended is told.
func (b *Book) liftIfCancelled(ctx context.Context, by User, batch int64) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		var left int64
		err := tx.Get(ctx, &left, `SELECT count(*) FROM payouts WHERE id BETWEEN ? AND ?
			AND state IN ('UNSENT', 'SENDING', 'UNKNOWN', 'REVIEW')`, firstID(batch), lastID(batch))
		if err != nil || left > 0 {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE stops SET alert_at = 0 WHERE scope = 'batch' AND subject = ? AND lifted_at = 0", fmt.Sprint(batch)); err != nil {
			return err
		}
		return liftOfEnded(ctx, tx, by.actor(), batch)
	})
	if err != nil {
		return fmt.Errorf("lift the stop of batch %d: %w", batch, err)
	}
	return nil
}

// liftOfEnded lifts the stop of a batch that it cannot hold any more.
func liftOfEnded(ctx context.Context, tx *database.Tx, actor string, batch int64) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, "UPDATE stops SET lifted_by = ?, lifted_at = ? WHERE scope = 'batch' AND subject = ? AND lifted_at = 0",
		actor, now, fmt.Sprint(batch))
	if err != nil || n == 0 {
		return err
	}
	return audit(ctx, tx, actor, "stop.lift", fmt.Sprint("batch ", batch), "nothing of it is left to send")
}

// neverLeft holds for a payout p of which no byte ever left.
const neverLeft = `(p.attempts = (SELECT count(*) FROM events e
	WHERE e.payout_id = p.id AND e.payout_id > 0 AND e.reason = 'not-sent')
	AND NOT EXISTS (SELECT 1 FROM evidence c WHERE c.payout_id = p.id AND c.kind = 'callback'))`

// neverSent finds payouts of a batch that can be taken back.
func (b *Book) neverSent(ctx context.Context, batch int64, most int) ([]Payout, error) {
	var unsent []Payout
	err := b.db.Select(ctx, &unsent, `SELECT p.id, p.attempt_id FROM payouts p WHERE p.batch_id = ? AND p.state = 'UNSENT' AND p.blocked <> ?
		AND `+neverLeft+` ORDER BY p.channel, p.currency, p.ordinal LIMIT ?`, batch, BlockedKnown, most)
	if err != nil {
		return nil, fmt.Errorf("cancel batch %d: %w", batch, err)
	}
	return unsent, nil
}

func (b *Book) cancelSome(ctx context.Context, by User, batch int64, reason string) (int, error) {
	unsent, err := b.neverSent(ctx, batch, cancelChunk)
	if err != nil || len(unsent) == 0 {
		return 0, err
	}
	findings := make([]Finding, len(unsent))
	for i, p := range unsent {
		findings[i] = Finding{PayoutID: p.ID, AttemptID: p.AttemptID, From: Approved, To: Cancelled, Reason: ByCancellation, Note: reason}
	}
	cancelled := 0
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		r := recording{book: b, tx: tx, actor: by.actor(), findings: findings}
		err := r.run(ctx)
		cancelled = len(r.changed)
		if err != nil || cancelled == 0 {
			return err
		}
		return audit(ctx, tx, by.actor(), "batch.cancel", fmt.Sprint("batch ", batch), fmt.Sprintf("%d payouts: %s", cancelled, reason))
	})
	if err != nil {
		return 0, fmt.Errorf("cancel batch %d: %w", batch, err)
	}
	return cancelled, nil
}

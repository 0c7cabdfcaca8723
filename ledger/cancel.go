package ledger

import (
	"context"
	"fmt"
	"slices"
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
// there is nothing to take back, or after a restore: what was lost with it may
// have sent any of them, so two people take single ones back with the gateway's
// word.
func (b *Book) Cancel(ctx context.Context, by User, batch int64, reason string) (int, error) {
	if reason == "" {
		return 0, errNoReason
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
	if err := b.db.Snapshot(ctx, func(tx *database.Tx) error { return b.refuseRestored(ctx, tx, batch) }); err != nil {
		return head, err
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

// refuseRestored keeps a batch from being taken back while it may have been
// sent by a newer copy of the store, which claims ask the gateway about.
func (b *Book) refuseRestored(ctx context.Context, tx *database.Tx, batch int64) error {
	restored, err := b.restored(ctx, tx)
	if err != nil || restored == 0 {
		return err
	}
	return fmt.Errorf("%w: a backup was restored at %s, and what was lost with it may have sent payouts of batch %d; the gateway is asked about "+
		"each before it is sent. To keep them from being sent: payrun batch pause %d --reason …. To take one back, with the gateway's word "+
		"that it has no such order: payrun payout decide ORDER --as cancel --reason … --evidence …, which a second person confirms",
		ErrConflict, restored.Time().Format("2006-01-02 15:04 UTC"), batch, batch)
}

// inWords counts payouts, such as "29 paid, 1 failed": first those that have
// ended.
func inWords(progress []Progress) string {
	payouts := map[State]int64{}
	for _, p := range progress {
		payouts[p.State] += p.Payouts
	}
	var ended, open []string
	for _, w := range States {
		switch n := payouts[w.State]; {
		case n == 0:
		case w.State.Final():
			ended = append(ended, fmt.Sprint(n, " ", w.inSentence()))
		default:
			open = append(open, fmt.Sprint(n, " ", w.inSentence()))
		}
	}
	return strings.Join(append(ended, open...), ", ")
}

// liftIfCancelled lifts the stop of a batch of which nothing may be sent any
// more: it holds nothing. That it was stopped meanwhile is not news; that the
// batch has ended is told.
func (b *Book) liftIfCancelled(ctx context.Context, by User, batch int64) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		var left int64
		err := tx.Get(ctx, &left, `SELECT count(*) FROM payouts WHERE id BETWEEN ? AND ?
			AND state IN ('UNSENT', 'SENDING', 'UNKNOWN', 'REVIEW')`, firstID(batch), lastID(batch))
		if err != nil {
			return err
		}
		if err := lookAgainAbout(ctx, tx, by.Actor(), batch); err != nil || left > 0 {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE stops SET alert_at = 0 WHERE scope = 'batch' AND subject = ? AND lifted_at = 0", fmt.Sprint(batch)); err != nil {
			return err
		}
		return liftOfEnded(ctx, tx, by.Actor(), batch)
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

// neverLeft holds for a payout p of which no byte ever left, as far as the
// gateway says nothing else.
const neverLeft = `p.attempts = (SELECT count(*) FROM events e
	WHERE e.payout_id = p.id AND e.payout_id > 0 AND e.reason = 'not-sent')`

// spokenOf holds for a payout p that the gateway notified about, also before
// any sheet had its number.
var spokenOf = `(EXISTS (SELECT 1 FROM evidence n WHERE n.payout_id = p.id AND n.kind = 'callback')
	OR EXISTS (SELECT 1 FROM exceptions o JOIN batches b ON b.id = p.batch_id WHERE o.kind = 'orphan' AND o.subject = ` + orderNoOf("b", "p") + `))`

// provenAbsent holds for a payout p of which each attempt stayed here, or was
// proven not to be at the gateway, which released it.
const provenAbsent = `NOT EXISTS (SELECT 1 FROM attempts t WHERE t.payout_id = p.id AND ` + mayHaveLeft + `
	AND NOT EXISTS (SELECT 1 FROM events r WHERE r.payout_id > 0 AND r.payout_id = t.payout_id AND r.reason = 'released' AND r.id > t.id))`

// takeable holds for a payout p that can be taken back.
var takeable = "(p.state = 'UNSENT' AND p.blocked <> '" + BlockedKnown + "' AND " + neverLeft + " AND NOT " + spokenOf + ")"

// neverSent finds payouts of a batch that can be taken back.
func (b *Book) neverSent(ctx context.Context, batch int64, most int) ([]Payout, error) {
	var unsent []Payout
	err := b.db.Select(ctx, &unsent, `SELECT p.id, p.attempt_id FROM payouts p WHERE p.batch_id = ?
		AND `+takeable+` ORDER BY p.channel, p.currency, p.ordinal LIMIT ?`, batch, most)
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
		r := recording{book: b, tx: tx, actor: by.Actor(), findings: slices.Clone(findings), guard: b.stillTakeable}
		err := r.run(ctx)
		cancelled = len(r.changed)
		if err != nil || cancelled == 0 {
			return err
		}
		return audit(ctx, tx, by.Actor(), "batch.cancel", fmt.Sprint("batch ", batch), fmt.Sprintf("%d payouts: %s", cancelled, reason))
	})
	if err != nil {
		return 0, fmt.Errorf("cancel batch %d: %w", batch, err)
	}
	return cancelled, nil
}

// stillTakeable keeps the findings about payouts that can be taken back now
// that they are locked: the gateway may have spoken of one meanwhile, or a
// restore may have been noticed.
func (b *Book) stillTakeable(ctx context.Context, tx *database.Tx, findings []Finding) ([]Finding, error) {
	payouts := make([]int64, len(findings))
	for i, f := range findings {
		payouts[i] = f.PayoutID
	}
	if err := lockPayouts(ctx, tx, payouts); err != nil {
		return nil, err
	}
	if err := b.refuseRestored(ctx, tx, batchOf(payouts[0])); err != nil {
		return nil, err
	}
	given := database.Rows{database.Ints("v_payout", payouts)}
	still, err := database.Select[int64](ctx, tx, given, "SELECT p.id FROM v JOIN payouts p ON p.id = v_payout WHERE "+takeable)
	if err != nil {
		return nil, fmt.Errorf("see what can still be taken back: %w", err)
	}
	return slices.DeleteFunc(findings, func(f Finding) bool { return !slices.Contains(still, f.PayoutID) }), nil
}

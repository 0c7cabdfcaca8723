package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
)

// Exception is a case that a person has to look at, open until it is settled.
type Exception struct {
	ID         int64
	Kind       string
	BatchID    int64  `db:"batch_id"`
	PayoutID   int64  `db:"payout_id"` // 0 when it concerns no single payout
	OrderNo    string `db:"order_no"`  // of the payout
	Subject    string // what it is about when neither batch nor payout says it
	Detail     string
	NextStep   string           `db:"next_step"`
	OpenedAt   database.Instant `db:"opened_at"`
	ClosedAt   database.Instant `db:"closed_at"`
	Resolution string
}

// The kinds of exceptions.
const (
	ExceptionInDoubt  = "in-doubt"           // a send whose outcome is not known
	ExceptionReview   = "review"             // evidence that contradicts itself
	ExceptionTampered = "tampered"           // a row changed after approval
	ExceptionOrphan   = "orphan"             // a signed notification about an order that is not ours
	ExceptionHeldBack = "held-back"          // approved payouts that cannot be sent for now
	ExceptionUnusual  = "unusual"            // a gateway status that needs watching
	ExceptionContrary = "contrary"           // the gateway says otherwise about a payout that has ended
	ExceptionBlocked  = "blocked"            // an approved payout that cannot be sent as it is
	ExceptionStuck    = "stuck"              // under way at the gateway for too long
	ExceptionPending  = "pending-withdrawal" // the payee does not take the money
	ExceptionStopped  = "stopped"            // sending stopped by itself; a checker has to look
	ExceptionBraked   = "braked"             // it would have stopped by itself, had people not stopped it before
	ExceptionRestored = "restored"           // a backup was restored, or a standby took over
	ExceptionClosed   = "closed"             // the gateway closed it, and nobody says what became of the money
	// ExceptionPaidTwice: a payout that failed was paid again, and then turned
	// out to have been paid.
	ExceptionPaidTwice = "paid-twice"
)

// Exceptions lists the open exceptions, oldest first. Where somebody has
// proposed what to do about the payout, the next step is to confirm that.
func (b *Book) Exceptions(ctx context.Context) ([]Exception, error) {
	var open []Exception
	err := b.db.Select(ctx, &open, `SELECT x.id, x.kind, x.batch_id, x.payout_id, x.subject, x.detail, x.opened_at, x.closed_at, `+nextStepNow+`,
		x.resolution, CASE WHEN p.id IS NULL THEN '' ELSE `+orderNoOf("b", "p")+` END AS order_no
		FROM exceptions x LEFT JOIN payouts p ON p.id = x.payout_id LEFT JOIN batches b ON b.id = p.batch_id
		WHERE x.closed_at = 0 ORDER BY x.opened_at, x.id`)
	return open, err
}

// nextStepNow is the next step of a case x: to confirm what somebody has
// proposed about its payout, where somebody has, once what it rests on is
// proven.
const nextStepNow = `coalesce((SELECT 'a checker other than ' || u.name || ': payrun decision confirm ' || q.id
	|| CASE WHEN q.outcome IN ('failed', 'send-again') AND substr(x.next_step, 1, 5) = 'wait,' THEN ', but first ' || x.next_step ELSE '' END
	FROM open_proposals w JOIN proposals q ON q.id = w.proposal_id JOIN users u ON u.id = q.proposed_by
	WHERE x.payout_id > 0 AND w.payout_id = x.payout_id), x.next_step) AS next_step`

// openException opens a case unless it is open already.
func openException(ctx context.Context, tx *database.Tx, e Exception) error {
	return openExceptions(ctx, tx, []Exception{e})
}

// OpenException opens a case unless the same one is open already.
func (b *Book) OpenException(ctx context.Context, e Exception) error {
	return b.db.InTx(ctx, func(tx *database.Tx) error { return openException(ctx, tx, e) })
}

// CloseExceptions closes the open cases of a kind that concern no single
// payout, because what they waited for has happened.
func (b *Book) CloseExceptions(ctx context.Context, kind, closedBy, resolution string) error {
	return b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE exceptions SET closed_at = ?, closed_by = ?, resolution = ?
			WHERE kind = ? AND payout_id = 0 AND closed_at = 0`, now, closedBy, resolution, kind)
		return err
	})
}

// closeExceptions closes all cases about payouts that are settled now.
func closeExceptions(ctx context.Context, tx *database.Tx, payouts []int64, closedBy, resolution string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	given := database.Rows{database.Ints("v_payout", payouts)}
	_, err = given.Exec(ctx, tx, `UPDATE exceptions SET closed_at = ?, closed_by = ?, resolution = ?
		FROM v WHERE exceptions.payout_id = v_payout AND exceptions.closed_at = 0`, now, closedBy, resolution)
	if err != nil {
		return fmt.Errorf("close exceptions: %w", err)
	}
	return nil
}

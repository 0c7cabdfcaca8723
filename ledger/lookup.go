package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"payrun/internal/database"
)

// LookupOrder says what a worker is ready to look up.
type LookupOrder struct {
	Max   int
	Pace  Pace          // of look-ups, over all workers
	Lease time.Duration // another worker may look again only after it
}

// Lookup is one payout to ask the gateway about.
type Lookup struct {
	Payout
	After     time.Duration    // its slot in the shared budget
	StatusAt  database.Instant `db:"status_at"` // when the gateway's status was first seen
	StatusAge time.Duration    // how long ago that was
}

// DueLookups takes payouts whose next look-up is due, those in doubt first,
// and keeps other workers from looking them up meanwhile. Only payouts
// without an open attempt are due, so a create call and a look-up of one
// order are never under way together.
func (b *Book) DueLookups(ctx context.Context, order LookupOrder) ([]Lookup, error) {
	var lookups []Lookup
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		reserved, err := reserve(ctx, tx, budgetLookups, order.Pace, order.Max)
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		var due []Lookup
		for _, state := range []State{Unknown, Review, Accepted} {
			found, err := lockDue(ctx, tx, state, now, reserved.count-len(due))
			if err != nil {
				return err
			}
			due = append(due, found...)
		}
		payouts := make([]int64, len(due))
		for i := range due {
			payouts[i] = due[i].ID
			due[i].After, due[i].StatusAge = reserved.at(i).Sub(now), now.Sub(due[i].StatusAt)
		}
		lookups = due
		given := database.Rows{database.Ints("v_payout", payouts)}
		_, err = given.Exec(ctx, tx, "UPDATE payouts SET next_lookup_at = ? FROM v WHERE payouts.id = v_payout", now.Add(order.Lease))
		if err != nil {
			return err
		}
		return reserved.use(ctx, tx, budgetLookups, len(due))
	})
	if err != nil {
		return nil, fmt.Errorf("take due look-ups: %w", err)
	}
	return lookups, nil
}

func lockDue(ctx context.Context, tx *database.Tx, state State, now database.Instant, most int) ([]Lookup, error) {
	if most <= 0 {
		return nil, nil
	}
	var due []Lookup
	err := tx.Select(ctx, &due, fmt.Sprintf(`SELECT p.id, p.batch_id, p.ordinal, p.channel, p.account, p.amount, p.currency,
		p.fee_estimate, p.state, p.attempts, p.attempt_id, p.gateway_order_no, p.gateway_status, p.status_at, p.lookups, p.next_lookup_at, p.sent_at,
		(SELECT b.order_prefix FROM batches b WHERE b.id = p.batch_id) AS order_prefix
		FROM payouts p WHERE p.state = '%s' AND p.next_lookup_at > 0 AND p.next_lookup_at <= ?
		ORDER BY p.next_lookup_at LIMIT %d`, state, most)+tx.Dialect.SkipLocked, now)
	return due, err
}

// NextLookup returns when the next look-up is due, or zero when none is.
func (b *Book) NextLookup(ctx context.Context) (database.Instant, error) {
	var next []database.Instant
	for _, state := range []State{Unknown, Review, Accepted} {
		err := b.db.Select(ctx, &next, fmt.Sprintf(`SELECT next_lookup_at FROM payouts WHERE state = '%s' AND next_lookup_at > 0
			ORDER BY next_lookup_at LIMIT 1`, state))
		if err != nil {
			return 0, fmt.Errorf("find the next look-up: %w", err)
		}
	}
	if len(next) == 0 {
		return 0, nil
	}
	return slices.Min(next), nil
}

// Notify keeps a verified notification as evidence and makes the payout's
// look-up due at once. It moves no money and changes no state: only an answer
// to our own question does. A notification about an order that is not ours
// opens an exception.
func (b *Book) Notify(ctx context.Context, orderNo string, e Evidence) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		p, err := notified(ctx, tx, orderNo)
		if err != nil {
			return err
		}
		numbers, err := ids(ctx, tx, "ids", 1)
		if err != nil {
			return err
		}
		if err := insertEvidence(ctx, tx, numbers, []Finding{{PayoutID: p.ID, AttemptID: p.AttemptID, Evidence: &e}}); err != nil {
			return err
		}
		switch {
		case p.ID == 0:
			return openException(ctx, tx, Exception{
				Kind: ExceptionOrphan, Subject: orderNo, Detail: "signed notification about order " + orderNo,
				NextStep: "ask the gateway who ordered it: nobody here did",
			})
		case p.State == unsent:
			return blockKnown(ctx, tx, p, e)
		case p.State.Final() && e.Status != p.Status:
			return openException(ctx, tx, contrary(p.ID, p.BatchID, fmt.Sprintf("ended as %s with the gateway's status %s, now it says %s", p.State, p.Status, e.Status)))
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE payouts SET next_lookup_at = ? WHERE id = ? AND state IN ('UNKNOWN', 'ACCEPTED', 'REVIEW')
			AND (next_lookup_at > ? OR next_lookup_at = 0)`, now, p.ID, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("store a notification: %w", err)
	}
	return nil
}

// blockKnown keeps a payout from being sent that the gateway says it has:
// after a restored backup, say, it may have been sent before.
func blockKnown(ctx context.Context, tx *database.Tx, p Payout, e Evidence) error {
	n, err := tx.Exec(ctx, "UPDATE payouts SET blocked = ? WHERE id = ? AND state = 'UNSENT'", BlockedKnown, p.ID)
	if err != nil || n == 0 {
		return err
	}
	return openException(ctx, tx, contrary(p.ID, p.BatchID, "not sent by this ledger, but the gateway notifies status "+e.Status))
}

func contrary(payout, batch int64, detail string) Exception {
	return Exception{
		Kind: ExceptionContrary, BatchID: batch, PayoutID: payout, Detail: detail,
		NextStep: "ask the gateway which is true; a correction takes two people",
	}
}

// notified finds the payout of an order number; a zero one when it is not ours.
func notified(ctx context.Context, tx *database.Tx, orderNo string) (Payout, error) {
	var p Payout
	prefix, ordinal, ok := splitOrderNo(orderNo)
	if !ok {
		return p, nil
	}
	// Locked, so that an end that is being recorded meanwhile is seen.
	err := tx.Get(ctx, &p, `SELECT id, batch_id, attempt_id, state, gateway_status FROM payouts
		WHERE id = (SELECT b.id * 100000000 + ? FROM batches b WHERE b.order_prefix = ?)`+tx.Dialect.ForUpdate, ordinal, prefix)
	if errors.Is(err, ErrNotFound) {
		return Payout{}, nil
	}
	return p, err
}

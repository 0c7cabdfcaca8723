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
	// Control leaves a slot free before the first and after the last look-up
	// when some of them are in doubt, to ask about an order that is known.
	Control bool
}

// Lookup is one payout to ask the gateway about.
type Lookup struct {
	Payout
	// Slot is its slot in the shared budget by this process's clock; Before and
	// After are those around it, which control look-ups use.
	Slot, Before, After time.Time

	StatusAge time.Duration    // since the gateway's status was first seen
	SentAge   time.Duration    // since it was claimed
	SendBy    database.Instant `db:"send_by"` // of the newest attempt
	// SendByAge is how long ago nothing of it could leave any more; negative
	// while it still might.
	SendByAge time.Duration
	// Notified is the end that a notification told, "" while none has; and
	// Conflicts how many look-ups in a row told another one.
	Notified  string `db:"notified_status"`
	Conflicts int64
}

// InDoubt reports whether nobody knows whether the gateway has it, or what.
func (l Lookup) InDoubt() bool { return l.State == Unknown || l.State == Review }

// fewest is how many look-ups may be taken at once however slow the pace is:
// they share two control look-ups.
const fewest = 5

// DueLookups takes payouts whose next look-up is due, those in doubt first,
// and keeps other workers from looking them up meanwhile. Only payouts
// without an open attempt are due, so a create call and a look-up of one
// order are never under way together.
func (b *Book) DueLookups(ctx context.Context, order LookupOrder) ([]Lookup, error) {
	var lookups []Lookup
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		reserved, err := reserve(ctx, tx, ForLookups, order.Pace, order.Max)
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		most := 0
		if reserved.soon() {
			most = min(order.Max, max(reserved.count, fewest))
		}
		due, err := lockDue(ctx, tx, now, most)
		if err != nil {
			return err
		}
		taken := order.schedule(due, &reserved, now)
		lookups = due
		given := database.NewRows(len(due), "v_payout", "")
		for _, l := range due {
			given.AddInts(l.ID)
		}
		_, err = given.Exec(ctx, tx, "UPDATE payouts SET next_lookup_at = ? FROM v WHERE payouts.id = v_payout", now.Add(order.Lease))
		if err != nil {
			return err
		}
		return reserved.use(ctx, tx, ForLookups, taken)
	})
	if err != nil {
		return nil, fmt.Errorf("take due look-ups: %w", err)
	}
	return lookups, nil
}

// schedule gives look-ups their slots, with one before and one after them for
// control look-ups where those are needed, and returns how many that takes.
func (o LookupOrder) schedule(due []Lookup, reserved *slots, now database.Instant) int {
	before, taken := 0, len(due)
	if o.Control && slices.ContainsFunc(due, Lookup.InDoubt) {
		before, taken = 1, taken+2
	}
	for i := range due {
		l := &due[i]
		l.Slot, l.StatusAge = reserved.local(before+i), now.Sub(l.StatusAt)
		l.Before, l.After = reserved.local(max(0, before+i-1)), reserved.local(before+i+1)
		l.SentAge, l.SendByAge = now.Sub(l.SentAt), now.Sub(l.SendBy)
	}
	return taken
}

// lockDue locks what is due: those in doubt first, but a quarter of the places
// is for payouts under way, or many doubts would keep them from ever ending.
func lockDue(ctx context.Context, tx *database.Tx, now database.Instant, most int) ([]Lookup, error) {
	var doubts []Lookup
	for _, state := range []State{Unknown, Review} {
		found, err := lockDueIn(ctx, tx, state, now, most-len(doubts))
		if err != nil {
			return nil, err
		}
		doubts = append(doubts, found...)
	}
	accepted, err := lockDueIn(ctx, tx, Accepted, now, max(most/4, most-len(doubts)))
	if err != nil {
		return nil, err
	}
	return append(doubts[:min(len(doubts), most-len(accepted))], accepted...), nil
}

func lockDueIn(ctx context.Context, tx *database.Tx, state State, now database.Instant, most int) ([]Lookup, error) {
	if most <= 0 {
		return nil, nil
	}
	var due []Lookup
	err := tx.Select(ctx, &due, fmt.Sprintf(`SELECT p.id, p.batch_id, p.ordinal, p.channel, p.account, p.amount, p.currency,
		p.fee_estimate, p.state, p.attempts, p.attempt_id, p.gateway_order_no, p.gateway_status, p.status_at, p.lookups, p.next_lookup_at, p.sent_at,
		p.notified_status, p.conflicts, (SELECT a.send_by FROM attempts a WHERE a.id = p.attempt_id) AS send_by,
		(SELECT b.order_prefix FROM batches b WHERE b.id = p.batch_id) AS order_prefix
		FROM payouts p WHERE p.state = '%s' AND p.next_lookup_at > 0 AND p.next_lookup_at <= ?
		ORDER BY p.next_lookup_at LIMIT %d`, state, most)+tx.Dialect.SkipLocked, now)
	return due, err
}

// NextLookup returns when the next look-up is due, or zero when none is.
func (b *Book) NextLookup(ctx context.Context) (database.Instant, error) {
	var earliest database.Instant
	for _, state := range []State{Unknown, Review, Accepted} {
		var next []database.Instant
		err := b.db.Select(ctx, &next, fmt.Sprintf(`SELECT next_lookup_at FROM payouts WHERE state = '%s' AND next_lookup_at > 0
			ORDER BY next_lookup_at LIMIT 1`, state))
		if err != nil {
			return 0, fmt.Errorf("find the next look-up: %w", err)
		}
		if len(next) > 0 && (earliest == 0 || next[0] < earliest) {
			earliest = next[0]
		}
	}
	return earliest, nil
}

// KnownOrders returns a few payouts that the gateway is known to have, the
// newest ones: look-ups of them must succeed, which leaves out those that it
// has otherwise than we ordered them. It reads the ends that were
// booked last and the payouts under way, never the whole history.
func (b *Book) KnownOrders(ctx context.Context, account string) ([]Payout, error) {
	const columns = `SELECT p.id, p.batch_id, p.ordinal, p.channel, p.account, p.amount, p.currency, p.gateway_order_no, b.order_prefix `
	var ended, open []Payout
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		ended, open = nil, nil
		err := tx.Select(ctx, &ended, columns+`FROM (SELECT e.id AS entry, e.payout_id FROM entries e ORDER BY e.id DESC LIMIT 1000) n
			JOIN payouts p ON p.id = n.payout_id AND p.gateway_order_no <> '' AND p.moved = 0 AND p.state IN ('SUCCEEDED', 'FAILED', 'FAILED_FEE', 'CLOSED')
			JOIN batches b ON b.id = p.batch_id AND b.gateway_account = ? ORDER BY n.entry DESC LIMIT 3`, account)
		if err != nil {
			return err
		}
		return tx.Select(ctx, &open, columns+`FROM payouts p JOIN batches b ON b.id = p.batch_id AND b.gateway_account = ?
			WHERE p.state = 'ACCEPTED' AND p.next_lookup_at > 0 AND p.gateway_order_no <> '' ORDER BY p.next_lookup_at DESC LIMIT 3`, account)
	})
	if err != nil {
		return nil, fmt.Errorf("find orders that the gateway knows: %w", err)
	}
	return append(ended, open...), nil
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
			return openException(ctx, tx, orphaned(orderNo))
		case p.State == unsent:
			return blockKnown(ctx, tx, p, e)
		case p.State.Final() && e.Status != p.Status:
			if err := openException(ctx, tx, contrary(p.ID, p.BatchID, p.saysOtherwise(e.Status))); err != nil {
				return err
			}
			return blockRepays(ctx, tx, p)
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE payouts SET next_lookup_at = CASE WHEN state = 'SENDING' OR next_lookup_at BETWEEN 1 AND ? THEN next_lookup_at ELSE ? END,
			conflicts = CASE WHEN ? IN ('', notified_status) THEN conflicts ELSE 0 END,
			notified_status = CASE WHEN ? = '' THEN notified_status ELSE ? END
			WHERE id = ? AND state IN ('SENDING', 'UNKNOWN', 'ACCEPTED', 'REVIEW')`, now, now, e.ended(), e.ended(), e.ended(), p.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("store a notification: %w", err)
	}
	return nil
}

// orphaned is an order that the gateway has and no payout here is. Should a
// sheet get the number later, the gateway is asked before anything is sent.
func orphaned(orderNo string) Exception {
	return Exception{
		Kind: ExceptionOrphan, Subject: orderNo, Detail: "signed notification about order " + orderNo,
		NextStep: "ask the gateway who ordered it: nobody here did",
	}
}

// blockKnown keeps a payout from being sent that the gateway says it has:
// after a restored backup, say, it may have been sent before.
func blockKnown(ctx context.Context, tx *database.Tx, p Payout, e Evidence) error {
	n, err := tx.Exec(ctx, "UPDATE payouts SET blocked = ? WHERE id = ? AND state = 'UNSENT'", BlockedKnown, p.ID)
	if err != nil || n == 0 {
		return err
	}
	detail := "not sent by this ledger"
	if p.Attempts > 0 {
		detail = "released to be sent again"
	}
	known := contrary(p.ID, p.BatchID, detail+", but the gateway notifies status "+e.Status)
	known.NextStep = "ask the gateway since when it has it; then let it go, which asks the gateway once more before anything is sent: " + decideAs(OutcomeUnblock, anOrder)
	return openException(ctx, tx, known)
}

// saysOtherwise tells a status that does not fit the payout's end.
func (p Payout) saysOtherwise(status string) string {
	if p.State == Cancelled {
		return "cancelled here, now the gateway says status " + status
	}
	return fmt.Sprintf("ended as %s with the gateway's status %s, now it says %s", p.State, p.Status, status)
}

func contrary(payout, batch int64, detail string) Exception {
	return Exception{
		Kind: ExceptionContrary, BatchID: batch, PayoutID: payout, Detail: detail,
		NextStep: "ask the gateway which is true, then two people decide: " + decideAs(OutcomePaid, anOrder) + " or " + decideWithEvidence(OutcomeFailed, anOrder),
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
	err := tx.Get(ctx, &p, `SELECT id, batch_id, ordinal, attempts, attempt_id, state, gateway_status, repays FROM payouts
		WHERE id = (SELECT `+idOf("b", "?")+` FROM batches b WHERE b.order_prefix = ?)`+tx.Dialect.ForUpdate, ordinal, prefix)
	if errors.Is(err, ErrNotFound) {
		return Payout{}, nil
	}
	p.OrderPrefix = prefix
	return p, err
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"payrun/internal/database"
)

// PayoutFilter says which payouts to list; its conditions add up.
type PayoutFilter struct {
	Batch  int64   // 0 for all
	States []State // none for all
	InCase bool    // only those that an open case is about
	// NotRepaid leaves out those that are paid again.
	NotRepaid bool
	Most      int // how many; 0 for all
}

// Payouts lists payouts in the order of batches and sheets.
func (b *Book) Payouts(ctx context.Context, f PayoutFilter) ([]Payout, error) {
	where, args := "b.state <> 'STAGING'", []any{}
	if f.Batch != 0 {
		where, args = where+" AND p.id BETWEEN ? AND ?", append(args, firstID(f.Batch), lastID(f.Batch))
	}
	if len(f.States) > 0 {
		where += " AND CASE WHEN p.state = 'UNSENT' THEN b.state ELSE p.state END IN (?" + strings.Repeat(", ?", len(f.States)-1) + ")"
		for _, state := range f.States {
			args = append(args, string(state))
		}
	}
	if f.InCase {
		where += " AND p.id IN (SELECT x.payout_id FROM exceptions x WHERE x.closed_at = 0 AND x.payout_id > 0)"
	}
	if f.NotRepaid {
		where += " AND NOT EXISTS (SELECT 1 FROM payouts r JOIN batches rb ON rb.id = r.batch_id WHERE r.repays <> '' AND r.repays = " +
			orderNoOf("b", "p") + " AND rb.state <> 'STAGING' AND " + live("rb", "r") + ")"
	}
	where += " ORDER BY p.id"
	if f.Most > 0 {
		where, args = where+" LIMIT ?", append(args, f.Most)
	}
	var found []Payout
	err := b.db.Select(ctx, &found, "SELECT "+payoutColumns+" FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list payouts: %w", err)
	}
	return found, nil
}

// Find looks for the payouts that a person may mean by an order number, the
// gateway's number or a reference, in upper or lower case: at most so many,
// newest first. Unless it is an order number it reads all payouts, so it is
// for people and not for loops.
func (b *Book) Find(ctx context.Context, name string, most int) ([]Payout, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return nil, nil
	}
	p, err := b.Payout(ctx, strings.ToUpper(name))
	if err == nil {
		return []Payout{p}, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	var found []Payout
	err = b.db.Select(ctx, &found, "SELECT "+payoutColumns+` FROM payouts p JOIN batches b ON b.id = p.batch_id
		WHERE b.state <> 'STAGING' AND b.order_prefix <> '' AND (lower(p.gateway_order_no) = lower(?) OR lower(p.reference) = lower(?))
		ORDER BY p.id DESC LIMIT ?`, name, name, most)
	if err != nil {
		return nil, fmt.Errorf("find payout %s: %w", name, err)
	}
	return found, nil
}

// SettleException closes a case that is about no single payout, with a
// reason; a case about one ends with what two people decide about it. Only a
// checker may.
func (b *Book) SettleException(ctx context.Context, by User, number int64, reason string) error {
	reason = strings.TrimSpace(storable(reason))
	if reason == "" {
		return errNoReason
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "close a case", Checker); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE exceptions SET closed_at = ?, closed_by = ?, resolution = ?
			WHERE id = ? AND payout_id = 0 AND closed_at = 0`, now, by.Actor(), reason, number)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: no open case about no single payout has this number; a case about a payout ends with payrun payout decide", ErrConflict)
		}
		return audit(ctx, tx, by.Actor(), "case.close", fmt.Sprint("case ", number), reason)
	})
	if err != nil {
		return fmt.Errorf("close case %d: %w", number, err)
	}
	return nil
}

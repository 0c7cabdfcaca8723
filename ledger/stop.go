package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"payrun/internal/database"
)

// Scope of a stop.
type Scope string

// The scopes, from the widest to the narrowest.
const (
	Everything Scope = "everything"
	OneChannel Scope = "channel"
	OneBatch   Scope = "batch"
)

// Stop keeps payouts from being claimed until it is lifted. It takes effect
// before the next claim; calls already under way go on.
type Stop struct {
	Scope    Scope
	Subject  string // channel code or batch id; "" for everything
	Reason   string
	PlacedBy string           `db:"placed_by"`
	PlacedAt database.Instant `db:"placed_at"`
}

// Holds reports whether the stop keeps the payout from being sent.
func (s Stop) Holds(p Payout) bool {
	return s.Scope == Everything || s.Scope == OneChannel && s.Subject == p.Channel ||
		s.Scope == OneBatch && s.Subject == strconv.FormatInt(p.BatchID, 10)
}

func (s Stop) key() string { return string(s.Scope) + " " + s.Subject }

// Stops returns the stops in force.
func (b *Book) Stops(ctx context.Context) ([]Stop, error) {
	var stops []Stop
	err := b.db.Select(ctx, &stops, selectStops+" ORDER BY placed_at")
	return stops, err
}

const selectStops = "SELECT scope, subject, reason, placed_by, placed_at FROM stops WHERE lifted_at = 0"

func stopsInForce(ctx context.Context, tx *database.Tx) (map[string]bool, error) {
	var stops []Stop
	if err := tx.Select(ctx, &stops, selectStops); err != nil {
		return nil, fmt.Errorf("read stops: %w", err)
	}
	keys := map[string]bool{}
	for _, s := range stops {
		keys[s.key()] = true
	}
	return keys, nil
}

// PlaceStop stops sending. Makers and checkers may both pull the brake.
func (b *Book) PlaceStop(ctx context.Context, by User, scope Scope, subject, reason string) error {
	if reason == "" {
		return fmt.Errorf("%w: a reason is needed", ErrInvalid)
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "stop payouts", Maker, Checker); err != nil {
			return err
		}
		if err := checkStop(ctx, tx, scope, subject); err != nil {
			return err
		}
		placed, err := insertStop(ctx, tx, Stop{Scope: scope, Subject: subject, Reason: reason, PlacedBy: by.actor()})
		if err != nil {
			return err
		}
		if !placed {
			return fmt.Errorf("%w: %s %s is stopped already", ErrConflict, scope, subject)
		}
		return audit(ctx, tx, by.actor(), "stop.place", string(scope)+" "+subject, reason)
	})
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// Brake stops a channel on behalf of a worker that found it in trouble. A
// checker lifts it; a channel that is stopped already stays so.
func (b *Book) Brake(ctx context.Context, actor, channel, reason string) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		placed, err := insertStop(ctx, tx, Stop{Scope: OneChannel, Subject: channel, Reason: reason, PlacedBy: actor})
		if err != nil || !placed {
			return err
		}
		return audit(ctx, tx, actor, "stop.brake", string(OneChannel)+" "+channel, reason)
	})
	if err != nil {
		return fmt.Errorf("stop channel %s: %w", channel, err)
	}
	return nil
}

// insertStop returns false when the same is stopped already.
func insertStop(ctx context.Context, tx *database.Tx, s Stop) (placed bool, err error) {
	number, now, err := stamp(ctx, tx)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `INSERT INTO stops (id, scope, subject, reason, placed_by, placed_at)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, number, s.Scope, s.Subject, s.Reason, s.PlacedBy, now)
	return n > 0, err
}

// checkStop refuses a stop that would hold nothing: claims compare subjects
// to the letter.
func checkStop(ctx context.Context, tx *database.Tx, scope Scope, subject string) error {
	switch scope {
	case Everything:
		if subject == "" {
			return nil
		}
	case OneChannel:
		if subject != "" {
			return nil
		}
	case OneBatch:
		var batch int64
		err := tx.Get(ctx, &batch, "SELECT id FROM batches WHERE CAST(id AS TEXT) = ?", subject)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return fmt.Errorf("%w: there is nothing called %s %q to stop", ErrInvalid, scope, subject)
}

// LiftStop lets payouts go again. Only a checker may.
func (b *Book) LiftStop(ctx context.Context, by User, scope Scope, subject string) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "let payouts go again", Checker); err != nil {
			return err
		}
		if scope == Everything {
			if err := settleRestore(ctx, tx, by); err != nil {
				return err
			}
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE stops SET lifted_by = ?, lifted_at = ? WHERE scope = ? AND subject = ? AND lifted_at = 0`,
			by.actor(), now, scope, subject)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %s %s is not stopped", ErrConflict, scope, subject)
		}
		return audit(ctx, tx, by.actor(), "stop.lift", string(scope)+" "+subject, "")
	})
	if err != nil {
		return fmt.Errorf("lift stop: %w", err)
	}
	return nil
}

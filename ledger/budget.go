package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payrun/internal/database"
)

// Pace is how fast calls of one kind may leave, over all processes that
// share the store.
type Pace struct {
	// Interval between two calls; 0 means as fast as they come.
	Interval time.Duration
}

// PaceOf spreads so many calls over a period. Instants are whole
// microseconds, so the interval is one too, rounded up.
func PaceOf(period time.Duration, calls int) Pace {
	n := time.Duration(calls) * time.Microsecond
	return Pace{Interval: (period + n - 1) / n * time.Microsecond}
}

// The two shares of the budget: looking up what is in doubt is never starved
// by new sends.
const (
	budgetSends   = "sends"
	budgetLookups = "lookups"
)

// horizon is how far ahead slots are given out.
const horizon = time.Second

// slots are reserved times at which calls may leave.
type slots struct {
	first    database.Instant
	interval time.Duration
	count    int
}

func (s slots) at(i int) database.Instant { return s.first.Add(time.Duration(i) * s.interval) }

// reserve locks a budget until the transaction ends and returns the slots
// that are free within the horizon, at most max. Slots that nobody used are
// gone: a pause is never caught up with a burst.
func reserve(ctx context.Context, tx *database.Tx, name string, pace Pace, max int) (slots, error) {
	free, err := lockBudget(ctx, tx, name)
	if err != nil {
		return slots{}, err
	}
	now, err := tx.Now(ctx) // after the wait for the lock: slots never lie in the past
	if err != nil {
		return slots{}, err
	}
	s := slots{first: now, interval: pace.Interval, count: max}
	if free > now {
		s.first = free
	}
	ahead := now.Add(horizon).Sub(s.first)
	switch {
	case ahead < 0:
		s.count = 0
	case pace.Interval > 0:
		s.count = min(max, int(ahead/pace.Interval)+1)
	}
	return s, nil
}

func lockBudget(ctx context.Context, tx *database.Tx, name string) (free database.Instant, err error) {
	const query = "SELECT next_free_at FROM budgets WHERE name = ?"
	err = tx.Get(ctx, &free, query+tx.Dialect.ForUpdate, name)
	if errors.Is(err, ErrNotFound) {
		if _, err = tx.Exec(ctx, "INSERT INTO budgets (name, next_free_at) VALUES (?, 0) ON CONFLICT DO NOTHING", name); err != nil {
			return 0, err
		}
		err = tx.Get(ctx, &free, query+tx.Dialect.ForUpdate, name)
	}
	if err != nil {
		return 0, fmt.Errorf("lock the budget for %s: %w", name, err)
	}
	return free, nil
}

// use takes the first n reserved slots.
func (s slots) use(ctx context.Context, tx *database.Tx, name string, n int) error {
	if n == 0 || s.interval == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE budgets SET next_free_at = ? WHERE name = ?", s.at(n), name)
	return err
}

// SlowDown keeps every worker from calling the gateway for a while, as it
// asked for.
func (b *Book) SlowDown(ctx context.Context, pause time.Duration) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		for _, name := range []string{budgetLookups, budgetSends} {
			if _, err := lockBudget(ctx, tx, name); err != nil {
				return err
			}
			until := now.Add(pause)
			if _, err := tx.Exec(ctx, "UPDATE budgets SET next_free_at = ? WHERE name = ? AND next_free_at < ?", until, name, until); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("slow down: %w", err)
	}
	return nil
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payrun/internal/database"
)

// Pace is how fast calls of one kind may leave, over all processes that
// share the store. Time is a grid of slots, the same for everybody; a call
// needs a slot that belongs to its kind, so that two kinds never leave
// together, and no second holds more than its slots.
type Pace struct {
	// Interval between two slots, whoever they belong to; 0 means as fast as
	// calls come.
	Interval time.Duration
	// Percent of the slots, spread evenly, are ours; 0 means all of them.
	Percent int
	// Others: ours are all slots but those.
	Others bool
}

// PaceOf spreads so many calls over a period. Instants are whole
// microseconds, so the interval is one too, rounded up.
func PaceOf(period time.Duration, calls int) Pace {
	n := time.Duration(calls) * time.Microsecond
	return Pace{Interval: (period + n - 1) / n * time.Microsecond}
}

// Average is the time between two slots that are ours, on the average.
func (p Pace) Average() time.Duration {
	switch {
	case p.Percent == 0:
		return p.Interval
	case p.Others:
		return p.Interval * 100 / time.Duration(100-p.Percent)
	}
	return p.Interval * 100 / time.Duration(p.Percent)
}

// owns reports whether a slot, by its number since 1970, is ours.
func (p Pace) owns(slot int64) bool {
	percent := int64(p.Percent)
	return percent == 0 || (slot*percent%100 < percent) != p.Others
}

// Share is a kind of calls that has slots of its own: looking up what is in
// doubt is never starved by new sends.
type Share string

// The two shares of the budget.
const (
	ForSends   Share = "sends"
	ForLookups Share = "lookups" // and for limits and balances
)

// horizon is how far ahead slots are given out.
const horizon = time.Second

// slots are reserved times at which calls may leave.
type slots struct {
	pace  Pace
	now   database.Instant
	read  time.Time          // when that was, by this process's clock
	count int                // within the horizon
	times []database.Instant // those that were asked for; see at
}

// at returns a slot, also one beyond those that were counted.
func (s *slots) at(i int) database.Instant {
	for len(s.times) <= i {
		s.times = append(s.times, s.after(s.times[len(s.times)-1]))
	}
	return s.times[i]
}

func (s *slots) after(t database.Instant) database.Instant {
	if s.pace.Interval == 0 {
		return t
	}
	return s.from(t + 1)
}

// from returns the first slot that is ours and not before t.
func (s *slots) from(t database.Instant) database.Instant {
	interval := database.Instant(s.pace.Interval.Microseconds())
	if interval == 0 {
		return t
	}
	slot := (t + interval - 1) / interval
	for !s.pace.owns(int64(slot)) {
		slot++
	}
	return slot * interval
}

// local returns a slot by this process's clock, never earlier than it is.
func (s *slots) local(i int) time.Time { return s.read.Add(s.at(i).Sub(s.now)) }

// reserve locks a share until the transaction ends and returns the slots
// that are free within the horizon, at most max. Slots that nobody used are
// gone: a pause is never caught up with a burst.
func reserve(ctx context.Context, tx *database.Tx, share Share, pace Pace, max int) (slots, error) {
	s, err := lockSlots(ctx, tx, share, pace, 0)
	if err != nil {
		return slots{}, err
	}
	for s.count < max && s.at(s.count) <= s.now.Add(horizon) {
		s.count++
	}
	return s, nil
}

// soon reports whether the next slot is no further away than the pace makes
// it: a slow pace has seconds without a slot, but only a gateway that asked for
// silence has more of them. Whoever comes by at the same phase of the pace each
// time would otherwise never find one.
func (s *slots) soon() bool { return s.at(0) <= s.now.Add(max(horizon, 2*s.pace.Average())) }

// lockSlots locks a share and finds its first free slot, lead or more ahead.
func lockSlots(ctx context.Context, tx *database.Tx, share Share, pace Pace, lead time.Duration) (slots, error) {
	free, err := lockBudget(ctx, tx, share)
	if err != nil {
		return slots{}, err
	}
	now, err := tx.Now(ctx) // after the wait for the lock: slots never lie in the past
	if err != nil {
		return slots{}, err
	}
	s := slots{pace: pace, now: now, read: time.Now()}
	s.times = []database.Instant{s.from(max(free, now.Add(lead)))}
	return s, nil
}

func lockBudget(ctx context.Context, tx *database.Tx, name Share) (free database.Instant, err error) {
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
func (s *slots) use(ctx context.Context, tx *database.Tx, share Share, n int) error {
	if n == 0 || s.pace.Interval == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE budgets SET next_free_at = ? WHERE name = ?", s.at(n), share)
	return err
}

// Turns takes the next n free slots of a share that lie lead or more ahead,
// and returns when they are by this process's clock. It is for calls that no
// claim took a slot for, and for those that missed theirs.
func (b *Book) Turns(ctx context.Context, share Share, pace Pace, n int, lead time.Duration) ([]time.Time, error) {
	var turns []time.Time
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSlots(ctx, tx, share, pace, lead)
		if err != nil {
			return err
		}
		turns = make([]time.Time, n)
		for i := range turns {
			turns[i] = s.local(i)
		}
		return s.use(ctx, tx, share, n)
	})
	if err != nil {
		return nil, fmt.Errorf("take a slot for %s: %w", share, err)
	}
	return turns, nil
}

// SlowDown keeps every worker from calling the gateway for a while, as it
// asked for.
func (b *Book) SlowDown(ctx context.Context, pause time.Duration) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		for _, name := range []Share{ForLookups, ForSends} {
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

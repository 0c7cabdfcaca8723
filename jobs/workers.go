package jobs

import (
	"context"
	"fmt"
	"time"

	"payrun/internal/database"
)

// Worker is a process that runs the schedule, or did.
type Worker struct {
	Name      string
	StartedAt database.Instant `db:"started_at"`
	SeenAt    database.Instant `db:"seen_at"`
	StoppedAt database.Instant `db:"stopped_at"` // 0 unless it ended in peace
	Silent    bool             // it neither ended nor was seen lately: dead, or cut off
}

const (
	// seenEvery is how often a worker says that it is there.
	seenEvery = 15 * time.Second
	// silentAfter is how long it may say nothing.
	silentAfter = 4 * seenEvery
	// forgottenAfter is how long its name is kept.
	forgottenAfter = 30 * 24 * time.Hour
)

// Workers lists those that are there, and those that went silent within a
// day, the oldest first.
func Workers(ctx context.Context, db *database.DB) ([]Worker, error) {
	now, err := db.Now(ctx)
	if err != nil {
		return nil, err
	}
	var workers []Worker
	err = db.Select(ctx, &workers, `SELECT name, started_at, seen_at, stopped_at FROM workers
		WHERE stopped_at = 0 AND seen_at > ? ORDER BY started_at, name`, now.Add(-24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	for i := range workers {
		workers[i].Silent = now.Sub(workers[i].SeenAt) > silentAfter
	}
	return workers, nil
}

// ForgetWorkers empties the list of workers. A restored copy has it from the
// time of the backup; those that are there are back on it within seconds.
func ForgetWorkers(ctx context.Context, db *database.DB) error {
	err := db.InTx(ctx, func(tx *database.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM workers")
		return err
	})
	if err != nil {
		return fmt.Errorf("forget workers: %w", err)
	}
	return nil
}

// beSeen keeps this process in the list of workers until ctx ends.
func (s *Scheduler) beSeen() {
	s.seen(s.ctx, false)
	repeat(s.ctx, seenEvery, func() { s.seen(s.ctx, false) })
	// A store that is away now is no reason to hold up the end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), time.Second)
	defer cancel()
	s.seen(ctx, true)
}

func (s *Scheduler) seen(ctx context.Context, last bool) {
	err := s.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		var stopped database.Instant
		if last {
			stopped = now
		}
		_, err = tx.Exec(ctx, `INSERT INTO workers (name, started_at, seen_at, stopped_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, stopped_at = excluded.stopped_at`, s.worker, now, now, stopped)
		if err == nil {
			_, err = tx.Exec(ctx, "DELETE FROM workers WHERE seen_at < ?", now.Add(-forgottenAfter))
		}
		return err
	})
	if err != nil && s.ctx.Err() == nil {
		s.log.Warn("this worker cannot say that it is there", "worker", s.worker, "error", err)
	}
}

package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"payrun/internal/database"
)

// Missed says what happens to a run whose time passed while nothing ran.
type Missed string

// The policies for missed runs.
const (
	RunOnce  Missed = "run once" // as soon as possible, however many were missed
	SkipLate Missed = "skip"     // wait for the next one
)

// Plan is when a job runs.
type Plan struct {
	Job string
	// Spec is a cron line of five fields or "@every 10s"; CRON_TZ= in front
	// sets its zone, otherwise UTC.
	Spec   string
	Missed Missed
	Run    func(context.Context) (detail string, err error)
}

// lateAfter is how late a run counts as missed.
const lateAfter = time.Minute

// parse reads a cron line. The library panics on some malformed zones and
// accepts dates that never come; both are plain errors here.
func parse(spec string) (schedule cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("schedule %q is malformed", spec)
		}
	}()
	if schedule, err = cron.ParseStandard(spec); err != nil {
		return nil, fmt.Errorf("schedule %q: %w", spec, err)
	}
	if schedule.Next(time.Now()).IsZero() {
		return nil, fmt.Errorf("schedule %q never comes due", spec)
	}
	return schedule, nil
}

// turn is one due instant of a job that this process has won.
type turn struct {
	due  database.Instant
	skip string // why it is not run; "" when it is
}

// errTaken: another process was first.
var errTaken = errors.New("another process runs it")

// notDueError: the job's time has not come.
type notDueError struct{ in time.Duration }

func (e notDueError) Error() string { return "due in " + e.in.String() }

// takeTurn decides, in the database, whether a job is due and whether it is
// ours: the due instant is stored, so downtime cannot lose it, and its row in
// job_runs is inserted once, so two processes cannot both run it.
func takeTurn(ctx context.Context, db *database.DB, plan Plan, schedule cron.Schedule, worker string) (turn, error) {
	var won turn
	var refused error // committed all the same: a new job's first due instant is stored here
	err := db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		due, err := nextDue(ctx, tx, plan, schedule, now)
		if err != nil {
			return err
		}
		won, refused = turn{due: due}, nil
		if due > now {
			refused = notDueError{due.Sub(now)}
			return nil
		}
		if plan.Missed == SkipLate && now.Sub(due) > lateAfter {
			won.skip = "missed by " + now.Sub(due).Truncate(time.Second).String()
		}
		finished, outcome := database.Instant(0), ""
		if won.skip != "" {
			finished, outcome = now, "skipped"
		}
		n, err := tx.Exec(ctx, `INSERT INTO job_runs (job, due_at, worker, started_at, finished_at, outcome, detail)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, plan.Job, due, worker, now, finished, outcome, won.skip)
		if err != nil {
			return err
		}
		if n == 0 {
			refused = errTaken
		}
		next := database.InstantOf(schedule.Next(now.Time()))
		_, err = tx.Exec(ctx, "UPDATE schedules SET next_due_at = ? WHERE job = ?", next, plan.Job)
		return err
	})
	return won, errors.Join(err, refused)
}

// nextDue reads the stored instant. A new job, or one whose schedule was
// changed, is first due at its next regular time.
func nextDue(ctx context.Context, tx *database.Tx, plan Plan, schedule cron.Schedule, now database.Instant) (database.Instant, error) {
	var stored struct {
		Spec      string
		NextDueAt database.Instant `db:"next_due_at"`
	}
	err := tx.Get(ctx, &stored, "SELECT spec, next_due_at FROM schedules WHERE job = ?"+tx.Dialect.ForUpdate, plan.Job)
	if err == nil && stored.Spec == plan.Spec {
		return stored.NextDueAt, nil
	}
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return 0, err
	}
	next := database.InstantOf(schedule.Next(now.Time()))
	_, err = tx.Exec(ctx, `INSERT INTO schedules (job, spec, next_due_at) VALUES (?, ?, ?)
		ON CONFLICT (job) DO UPDATE SET spec = excluded.spec, next_due_at = excluded.next_due_at`, plan.Job, plan.Spec, next)
	return next, err
}

func finishTurn(ctx context.Context, db *database.DB, plan Plan, t turn, detail string, runErr error) error {
	outcome := "done"
	if runErr != nil {
		outcome, detail = "failed", runErr.Error()
	}
	return db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE job_runs SET finished_at = ?, outcome = ?, detail = ? WHERE job = ? AND due_at = ?",
			now, outcome, detail, plan.Job, t.due)
		return err
	})
}

// JobRun is one due instant of a job and what became of it.
type JobRun struct {
	Job        string
	DueAt      database.Instant `db:"due_at"`
	Worker     string
	StartedAt  database.Instant `db:"started_at"`
	FinishedAt database.Instant `db:"finished_at"`
	Outcome    string
	Detail     string
}

// JobStatus is when a job runs next and how its last run went.
type JobStatus struct {
	Job       string
	Spec      string
	NextDueAt database.Instant `db:"next_due_at"`
	Last      *JobRun          `db:"-"`
}

// JobStatuses answers "why did it (not) run" for every job ever scheduled.
func JobStatuses(ctx context.Context, db *database.DB) ([]JobStatus, error) {
	var statuses []JobStatus
	err := db.Snapshot(ctx, func(tx *database.Tx) (err error) {
		statuses, err = jobStatuses(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return statuses, nil
}

func jobStatuses(ctx context.Context, tx *database.Tx) ([]JobStatus, error) {
	var statuses []JobStatus
	if err := tx.Select(ctx, &statuses, "SELECT job, spec, next_due_at FROM schedules ORDER BY job"); err != nil {
		return nil, err
	}
	for i := range statuses {
		var last JobRun
		err := tx.Get(ctx, &last, `SELECT job, due_at, worker, started_at, finished_at, outcome, detail FROM job_runs
			WHERE job = ? ORDER BY due_at DESC LIMIT 1`, statuses[i].Job)
		switch {
		case err == nil:
			statuses[i].Last = &last
		case !errors.Is(err, database.ErrNotFound):
			return nil, err
		}
	}
	return statuses, nil
}

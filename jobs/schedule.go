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
	due   database.Instant
	tries int64  // runs in a row, this one included, of which all others were lost
	skip  string // why it is not run; "" when it is
	lost  string // what became of the run before, when its process died
}

// Why a turn is not ours.
var (
	errTaken = errors.New("another process was first")
	errAlive = errors.New("the run before is still going")
)

// notDueError: the job's time has not come.
type notDueError struct{ in time.Duration }

func (e notDueError) Error() string { return "due in " + e.in.String() }

const (
	// runLease is how long a run counts as alive after its process last said
	// so, which it does three times as often.
	runLease = time.Minute
	// mostTries is how often in a row a job is run whose process dies each
	// time, before it waits for its next regular time: it may be the reason.
	mostTries = 3
)

// takeTurn decides, in the database, whether a job is due and whether it is
// ours: the due instant is stored, so downtime cannot lose it, and its row in
// job_runs is inserted once, so two processes cannot both run it. A job whose
// run is still going elsewhere stays due; one whose run was lost runs again at
// once, or as its policy says.
func takeTurn(ctx context.Context, db *database.DB, plan Plan, schedule cron.Schedule, worker string) (turn, error) {
	var won turn
	var refused error // committed all the same: a new job's first due instant is stored here
	err := db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		due, err := nextDue(ctx, tx, plan, schedule, now) // its row lock makes schedulers queue
		if err != nil {
			return err
		}
		won, refused = turn{due: due, tries: 1}, nil
		before, alive, err := loseRun(ctx, tx, plan, now)
		if err != nil || alive {
			refused = errAlive
			return err
		}
		won.lost = before.Detail
		switch again := before.Job != "" && plan.Missed == RunOnce && before.Tries < mostTries; {
		case again:
			won.due, won.tries = now, before.Tries+1
		case due > now:
			refused = notDueError{due.Sub(now)}
			return nil
		case plan.Missed == SkipLate && now.Sub(due) > lateAfter:
			won.skip = "missed by " + now.Sub(due).Truncate(time.Second).String()
		}
		if inserted, err := insertRun(ctx, tx, plan, won, worker, now); err != nil || !inserted {
			refused = errTaken
			return err
		}
		if due > now {
			return nil // a lost run was repeated before its next time
		}
		next := database.InstantOf(schedule.Next(now.Time()))
		_, err = tx.Exec(ctx, "UPDATE schedules SET next_due_at = ? WHERE job = ?", next, plan.Job)
		return err
	})
	return won, errors.Join(err, refused)
}

// loseRun finds the run of the job that has not ended. It is alive while its
// process says so; otherwise it is recorded as lost, once, and returned.
func loseRun(ctx context.Context, tx *database.Tx, plan Plan, now database.Instant) (lost JobRun, alive bool, err error) {
	var open JobRun
	err = tx.Get(ctx, &open, "SELECT "+runColumns+" FROM job_runs WHERE job = ? AND outcome = ''", plan.Job)
	switch {
	case errors.Is(err, database.ErrNotFound):
		return JobRun{}, false, nil
	case err != nil:
		return JobRun{}, false, err
	case open.LeaseUntil >= now:
		return open, true, nil
	}
	open.Detail = "worker " + open.Worker + " stopped in the middle of it"
	_, err = tx.Exec(ctx, "UPDATE job_runs SET finished_at = ?, outcome = 'lost', detail = ? WHERE job = ? AND due_at = ? AND outcome = ''",
		now, open.Detail, open.Job, open.DueAt)
	return open, false, err
}

func insertRun(ctx context.Context, tx *database.Tx, plan Plan, t turn, worker string, now database.Instant) (bool, error) {
	finished, outcome := database.Instant(0), ""
	if t.skip != "" {
		finished, outcome = now, "skipped"
	}
	n, err := tx.Exec(ctx, `INSERT INTO job_runs (job, due_at, worker, started_at, finished_at, outcome, detail, lease_until, tries)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		plan.Job, t.due, worker, now, finished, outcome, t.skip, now.Add(runLease), t.tries)
	return n > 0, err
}

// renewTurn says that a run is alive. It returns false when the run was given
// up, since its process stood still for too long.
func renewTurn(ctx context.Context, db *database.DB, plan Plan, t turn, worker string) (ours bool, err error) {
	err = db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE job_runs SET lease_until = ? WHERE job = ? AND due_at = ? AND worker = ? AND outcome = ''",
			now.Add(runLease), plan.Job, t.due, worker)
		ours = n > 0
		return err
	})
	return ours, err
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

// finishTurn records the end of a run, unless it was given up meanwhile.
func finishTurn(ctx context.Context, db *database.DB, plan Plan, t turn, worker, detail string, runErr error) error {
	outcome := "done"
	if runErr != nil {
		outcome, detail = "failed", runErr.Error()
	}
	return db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE job_runs SET finished_at = ?, outcome = ?, detail = ?
			WHERE job = ? AND due_at = ? AND worker = ? AND outcome = ''`, now, outcome, detail, plan.Job, t.due, worker)
		if err == nil && n == 0 {
			err = fmt.Errorf("it ended as %s after another process had given it up", outcome)
		}
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
	LeaseUntil database.Instant `db:"lease_until"` // alive until then, while it has no outcome
	Outcome    string           // "" while it runs, then done, failed, skipped or lost
	Detail     string
	Tries      int64 // runs in a row, this one included, of which all others were lost
}

const runColumns = "job, due_at, worker, started_at, finished_at, lease_until, outcome, detail, tries"

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
		err := tx.Get(ctx, &last, "SELECT "+runColumns+` FROM job_runs WHERE job = ? ORDER BY due_at DESC LIMIT 1`, statuses[i].Job)
		switch {
		case err == nil:
			statuses[i].Last = &last
		case !errors.Is(err, database.ErrNotFound):
			return nil, err
		}
	}
	return statuses, nil
}

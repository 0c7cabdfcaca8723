package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"

	"payrun/internal/database"
)

// Scheduler runs plans at their times. Cron only wakes it up; the database
// decides what is due and which process runs it.
type Scheduler struct {
	db     *database.DB
	worker string
	log    *slog.Logger
	cron   *cron.Cron
	plans  []scheduled

	ctx     context.Context
	running sync.WaitGroup
}

type scheduled struct {
	Plan
	schedule cron.Schedule
	wake     cron.Job
}

// NewScheduler checks the plans. It starts nothing.
func NewScheduler(db *database.DB, worker string, log *slog.Logger, plans ...Plan) (*Scheduler, error) {
	s := &Scheduler{db: db, worker: worker, log: log, cron: cron.New(cron.WithLocation(time.UTC))}
	for _, plan := range plans {
		schedule, err := parse(plan.Spec)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", plan.Job, err)
		}
		p := scheduled{Plan: plan, schedule: schedule}
		// Recover inside SkipIfStillRunning: the other way round one panic
		// would keep the job's token, and it would never run again.
		chain := cron.NewChain(cron.SkipIfStillRunning(cron.DiscardLogger), cron.Recover(panicLog{log, plan.Job}))
		p.wake = chain.Then(cron.FuncJob(func() { s.runIfDue(p) }))
		s.cron.Schedule(schedule, p.wake)
		s.cron.Schedule(cron.Every(time.Minute), p.wake) // a turn that was missed meanwhile
		s.plans = append(s.plans, p)
	}
	return s, nil
}

// Run runs what came due while nothing ran, then everything at its time,
// until ctx ends. It returns when no job runs any more.
func (s *Scheduler) Run(ctx context.Context) {
	s.ctx = ctx
	s.running.Go(s.beSeen)
	for _, p := range s.plans {
		s.running.Go(p.wake.Run)
	}
	s.cron.Start()
	<-ctx.Done()
	<-s.cron.Stop().Done()
	s.running.Wait()
}

func (s *Scheduler) runIfDue(p scheduled) {
	turn, err := s.takeTurn(p)
	switch {
	case errors.As(err, new(notDueError)) || errors.Is(err, errTaken) || errors.Is(err, errAlive) || s.ctx.Err() != nil:
		return
	case err != nil:
		s.log.Error("job cannot be scheduled", "job", p.Job, "error", err)
		return
	}
	if turn.lost != "" {
		s.log.Warn("job's last run was lost", "job", p.Job, "why", turn.lost)
	}
	if turn.skip != "" {
		s.log.Warn("job skipped", "job", p.Job, "due", turn.due.String(), "why", turn.skip)
		return
	}
	start := time.Now()
	detail, err := s.runAlive(p.Plan, turn)
	if err != nil {
		s.log.Error("job failed", "job", p.Job, "took", time.Since(start), "error", err)
	} else {
		s.log.Info("job done", "job", p.Job, "took", time.Since(start), "detail", detail)
	}
	if err := s.finish(p.Plan, turn, detail, err); err != nil {
		s.log.Error("job's end is not recorded", "job", p.Job, "error", err)
	}
}

// runAlive runs a job and says meanwhile that it is alive. A run that was
// given up is told to stop: another process may have begun it anew.
func (s *Scheduler) runAlive(p Plan, t turn) (string, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	renewing := make(chan struct{})
	defer func() { cancel(); <-renewing }()
	go func() {
		defer close(renewing)
		repeat(ctx, runLease/3, func() {
			if ours, err := renewTurn(ctx, s.db, p, t, s.worker); err == nil && !ours {
				cancel()
			}
		})
	}()
	return s.runSafely(ctx, p)
}

// finish tries for a while: a run whose end is not recorded counts as lost.
func (s *Scheduler) finish(p Plan, t turn, detail string, runErr error) error {
	ctx := context.WithoutCancel(s.ctx)
	var err error
	for try := range 6 {
		if err = finishTurn(ctx, s.db, p, t, s.worker, detail, runErr); !database.IsConnection(err) && !database.IsRetryable(err) {
			return err
		}
		_ = sleep(ctx, 100*time.Millisecond<<try)
	}
	return err
}

// repeat calls f again and again until ctx ends.
func repeat(ctx context.Context, pause time.Duration, f func()) {
	for sleep(ctx, pause) == nil {
		f()
	}
}

// takeTurn allows for a wake-up that is a little early by the database's clock.
func (s *Scheduler) takeTurn(p scheduled) (turn, error) {
	won, err := takeTurn(s.ctx, s.db, p.Plan, p.schedule, s.worker)
	var early notDueError
	if !errors.As(err, &early) || early.in > wakeSkew {
		return won, err
	}
	if err := sleep(s.ctx, early.in+time.Millisecond); err != nil {
		return turn{}, err
	}
	return takeTurn(s.ctx, s.db, p.Plan, p.schedule, s.worker)
}

// wakeSkew is how far our clock may be ahead of the database's.
const wakeSkew = 5 * time.Second

// runSafely turns a panic into the run's error, so that the run is recorded
// as failed and the job comes due again.
func (s *Scheduler) runSafely(ctx context.Context, p Plan) (detail string, err error) {
	err = safely(func() (err error) {
		detail, err = p.Run(ctx)
		return err
	})
	return detail, err
}

func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// panicLog reports a panic outside a job's own run.
type panicLog struct {
	log *slog.Logger
	job string
}

func (panicLog) Info(string, ...any) {}

func (p panicLog) Error(err error, msg string, _ ...any) {
	p.log.Error("scheduler panicked", "job", p.job, "error", err, "message", msg)
}

// Loop runs a job again and again, with a pause after each run and a longer
// one after a failure, until ctx ends. A value on wake ends a pause early.
func Loop(ctx context.Context, log *slog.Logger, job string, pause time.Duration, wake <-chan struct{}, run func(context.Context) error) {
	wait := pause
	for ctx.Err() == nil {
		if err := safely(func() error { return run(ctx) }); err != nil && ctx.Err() == nil {
			wait = max(pause, min(max(2*wait, time.Second), 30*time.Second))
			log.Error("job failed", "job", job, "next try in", wait, "error", err)
		} else {
			wait = pause
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

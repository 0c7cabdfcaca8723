package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

// verifyJob is the job whose age is watched.
const verifyJob = "verify"

// Watch looks at what no single event tells: balances that are low, runs that
// were missed or fail, and a ledger that was not verified for long. It opens a
// case for what lasts, and closes it when it has passed.
func (a *Alerts) Watch(ctx context.Context) error {
	a.defaults()
	err := errors.Join(a.watchBalances(ctx), a.watchRuns(ctx), a.watchVerification(ctx))
	return ignoreStop(ctx, err)
}

func (a *Alerts) actor() string { return "worker:" + a.Worker }

func (a *Alerts) watchBalances(ctx context.Context) error {
	low, err := a.Book.BalancesLow(ctx, a.Floors)
	if err != nil {
		return err
	}
	return a.Book.KeepCases(ctx, a.actor(), ledger.ExceptionBalanceLow, low)
}

func (a *Alerts) watchRuns(ctx context.Context) error {
	statuses, err := JobStatuses(ctx, a.DB)
	if err != nil {
		return err
	}
	now, err := a.DB.Now(ctx)
	if err != nil {
		return err
	}
	var failing []ledger.Exception
	for _, s := range statuses {
		if !slices.Contains(a.Jobs, s.Job) { // scheduled by an earlier configuration
			continue
		}
		if missed, ok := a.missed(s, now); ok {
			if err := a.raiseMissed(ctx, missed); err != nil {
				return err
			}
		}
		last, err := newestEnded(ctx, a.DB, s.Job)
		if err != nil {
			return err
		}
		// A ledger that breaks a promise has a case of its own.
		if (last.Outcome == "failed" || last.Outcome == "lost") && s.Job != verifyJob {
			failing = append(failing, ledger.Exception{
				Subject: "job " + s.Job, Detail: last.Detail, NextStep: "correct what it names; payrun job run " + s.Job + " tries it now",
			})
		}
	}
	return a.Book.KeepCases(ctx, a.actor(), ledger.ExceptionRunFailed, failing)
}

// missed tells of a run that did not happen, or happened much too late.
func (a *Alerts) missed(s JobStatus, now database.Instant) (ledger.Alert, bool) {
	due, why := s.NextDueAt, ""
	switch last := s.Last; {
	case now.Sub(s.NextDueAt) > a.LateAfter && last != nil && last.FinishedAt == 0:
		why = "its run of " + moment(last.DueAt) + " by " + last.Worker + " has not ended"
	case now.Sub(s.NextDueAt) > a.LateAfter:
		why = "nothing has run it since"
	case last == nil:
	case last.Outcome == "skipped":
		due, why = last.DueAt, "it was skipped: "+last.Detail
	case last.StartedAt.Sub(last.DueAt) > a.LateAfter && !strings.HasPrefix(s.Spec, "@every"):
		due, why = last.DueAt, "it ran only at "+moment(last.StartedAt)+", because nothing was running"
	}
	return ledger.Alert{
		Once: fmt.Sprintf("run %s due %d", s.Job, due), Kind: ledger.AlertRunMissed, Subject: "job " + s.Job, Since: due,
		Summary: "Run missed: job " + s.Job + ", due at " + moment(due), Detail: why,
		NextStep: "see that payrun serve is running; payrun job list says what ran when, payrun job run " + s.Job + " runs it now",
	}, why != ""
}

func moment(at database.Instant) string { return at.Time().Format("2006-01-02 15:04 UTC") }

func (a *Alerts) raiseMissed(ctx context.Context, missed ledger.Alert) error {
	raised, err := a.Book.RaiseAlert(ctx, missed)
	if raised {
		a.logged(ctx, missed)
	}
	return err
}

// newestEnded is the job's newest run that has ended; a zero one when none has.
func newestEnded(ctx context.Context, db *database.DB, job string) (JobRun, error) {
	var last JobRun
	err := db.Get(ctx, &last, "SELECT "+runColumns+` FROM job_runs
		WHERE job = ? AND finished_at > 0 ORDER BY due_at DESC LIMIT 1`, job)
	if errors.Is(err, database.ErrNotFound) {
		return JobRun{}, nil
	}
	return last, err
}

// watchVerification keeps a case while the last good verification is too old.
// A ledger that was never verified is as old as its first audit record.
func (a *Alerts) watchVerification(ctx context.Context) error {
	if !slices.Contains(a.Jobs, verifyJob) {
		return nil
	}
	now, err := a.DB.Now(ctx)
	if err != nil {
		return err
	}
	since, err := lastVerified(ctx, a.DB)
	if err != nil {
		return err
	}
	var cases []ledger.Exception
	if since > 0 && now.Sub(since) > a.VerifiedWithin {
		cases = append(cases, ledger.Exception{
			Subject: "ledger", Detail: fmt.Sprintf("no scheduled verification was passed since %s, %s ago", moment(since), now.Sub(since).Truncate(time.Minute)),
			NextStep: "payrun job list says why job verify did not run or what it found; payrun verify checks now",
		})
	}
	return a.Book.KeepCases(ctx, a.actor(), ledger.ExceptionUnchecked, cases)
}

func lastVerified(ctx context.Context, db *database.DB) (database.Instant, error) {
	var since database.Instant
	err := db.Get(ctx, &since, `SELECT coalesce((SELECT max(started_at) FROM job_runs WHERE job = ? AND outcome = 'done'),
		(SELECT created_at FROM audit WHERE position = 1), 0)`, verifyJob)
	if err != nil {
		return 0, fmt.Errorf("find the last verification: %w", err)
	}
	return since, nil
}

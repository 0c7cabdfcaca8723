package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"payrun/jobs"
	"payrun/ledger"
	"payrun/reports"
)

// jobCmd shows and runs jobs.
type jobCmd struct {
	List jobListCmd `cmd:"" help:"When each job runs next, how its last run went, and what waits."`
	Why  jobWhyCmd  `cmd:"" help:"Why a job ran, or did not: its last runs, in sentences."`
	Run  jobRunCmd  `cmd:"" help:"Run a job now, in this process."`
}

type jobListCmd struct{}

type jobView struct {
	Job      string `json:"job"`
	Schedule string `json:"schedule"`
	Missed   string `json:"missed"`
	Next     string `json:"next"`
	Last     string `json:"last,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Worker   string `json:"worker,omitempty"`
}

func (a *app) viewJob(s jobs.JobStatus) jobView {
	v := jobView{Job: s.Job, Schedule: s.Spec, Missed: string(a.missed(s.Job)), Next: instant(s.NextDueAt)}
	if s.Last != nil {
		v.Last, v.Outcome, v.Detail, v.Worker = instant(s.Last.StartedAt), outcome(s.Last), s.Last.Detail, s.Last.Worker
	}
	return v
}

type workerView struct {
	Name   string `json:"name"`
	Since  string `json:"since"`
	Seen   string `json:"seen"`
	Silent bool   `json:"silent"`
}

func viewWorker(w jobs.Worker) workerView {
	return workerView{w.Name, instant(w.StartedAt), instant(w.SeenAt), w.Silent}
}

func outcome(r *jobs.JobRun) string { return cmp.Or(r.Outcome, "running") }

type waitingView struct {
	Channel  string `json:"channel"`
	Currency string `json:"currency"`
	Reason   string `json:"reason"`
	Payouts  int64  `json:"payouts"`
}

// Run lists jobs.
func (c *jobListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	statuses, err := jobs.JobStatuses(a.ctx, a.db)
	if err != nil {
		return err
	}
	waiting, err := a.book.Waiting(a.ctx, a.enabledChannels(), a.config.Gateway.LimitsAge)
	if err != nil {
		return err
	}
	stops, err := a.book.Stops(a.ctx)
	if err != nil {
		return err
	}
	workers, err := jobs.Workers(a.ctx, a.db)
	if err != nil {
		return err
	}
	document := map[string]any{
		"jobs":    views(statuses, a.viewJob),
		"workers": views(workers, viewWorker),
		"waiting": views(waiting, func(w ledger.Waiting) waitingView {
			return waitingView{w.Channel, string(w.Currency), w.Reason, w.Payouts}
		}),
	}
	return a.show(document, func() {
		a.printJobs(statuses)
		a.printWorkers(workers)
		for _, w := range waiting {
			a.sayf("  %s approved on %s in %s %s.", counted(w.Payouts, "payout", "payouts"), a.channelName(w.Channel), w.Currency, a.waitingWords(w, stops))
		}
	})
}

func (a *app) printJobs(statuses []jobs.JobStatus) {
	if len(statuses) == 0 {
		a.sayf("No job was ever scheduled here: payrun serve does that.")
		return
	}
	t := newTable(a.out, "job", "schedule", "if missed", "next", "last", "outcome", "detail")
	for _, s := range statuses {
		if s.Last == nil {
			t.row(s.Job, s.Spec, string(a.missed(s.Job)), a.localTime(s.NextDueAt), "-", "not run on schedule yet", "")
			continue
		}
		t.row(s.Job, s.Spec, string(a.missed(s.Job)), a.localTime(s.NextDueAt), a.localTime(s.Last.StartedAt), outcome(s.Last), s.Last.Detail)
	}
	t.flush()
}

func (a *app) printWorkers(workers []jobs.Worker) {
	if len(workers) == 0 {
		a.sayf("No process runs the schedule: payrun serve and payrun work do.")
	}
	for _, w := range workers {
		if w.Silent {
			a.sayf("  worker %s is SILENT since %s: it died, or cannot reach the database", w.Name, a.localTime(w.SeenAt))
		} else {
			a.sayf("  worker %s works since %s", w.Name, a.localTime(w.StartedAt))
		}
	}
}

type jobWhyCmd struct {
	Name string `arg:"" name:"job" help:"Name of the job, as payrun job list has it."`
}

// Run tells the job's last runs and what it waits for.
func (c *jobWhyCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	sentences, err := a.why(c.Name)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"job": c.Name, "why": sentences}, func() {
		for _, sentence := range sentences {
			a.sayf("%s", sentence)
		}
	})
}

// why also knows of jobs that no schedule is about.
func (a *app) why(job string) ([]string, error) {
	switch {
	case job == "disburse" || job == "track":
		return []string{"It has no schedule: it runs all the time in payrun serve and payrun work. payrun job list says what payouts wait for."}, nil
	case job == "import" && a.config.Inbox.Folder == "":
		return nil, fmt.Errorf("job import: %w: inbox.folder is not set, so there is no inbox to import from", ledger.ErrNotFound)
	}
	sentences, err := jobs.Why(a.ctx, a.db, job, a.localTime)
	if !errors.Is(err, ledger.ErrNotFound) {
		return sentences, err
	}
	names := []string{"import", "disburse", "track"}
	for _, p := range a.plans("why", nil) {
		names = append(names, p.Job)
	}
	if slices.Contains(names, job) {
		return nil, err
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%w: there is no job %q; the jobs are %s", ledger.ErrNotFound, job, strings.Join(slices.Compact(names), ", "))
}

type jobRunCmd struct {
	Name string `arg:"" name:"job" enum:"import,limits,disburse,track,settle,report,verify" help:"import, limits, disburse, track, settle, report or verify."`
}

// Run runs one job once. Only those that talk to the gateway need it, and with
// it the right to be the one process that does.
func (c *jobRunCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	detail, err := a.runJob(c.Name)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"job": c.Name, "result": detail}, func() { a.sayf("%s: %s", c.Name, cmp.Or(detail, "done")) })
}

func (a *app) runJob(name string) (string, error) {
	switch name {
	case "disburse", "track", "limits":
		return a.runGatewayJob(name)
	case "import":
		if a.config.Inbox.Folder == "" {
			return "", usagef("inbox.folder is not set: there is no inbox to import from")
		}
	}
	plans := a.plans(workerName(), nil)
	i := slices.IndexFunc(plans, func(p jobs.Plan) bool { return p.Job == name })
	return plans[i].Run(a.ctx)
}

func (a *app) runGatewayJob(name string) (string, error) {
	engine, err := a.openEngine(a.config.Gateway.NotifyURL)
	if err != nil {
		return "", err
	}
	if name == "limits" {
		return "", a.explainGateway(a.limitsJob(engine.Gateway).Run(a.ctx))
	}
	if name == "track" {
		done, err := engine.Track(a.ctx)
		text := fmt.Sprintf("%d looked up, %d ended, %d taken over from a silent worker", done.LookedUp, done.Ended, done.Expired)
		if done.Released > 0 {
			text += fmt.Sprintf(", %d proven absent and to be sent again", done.Released)
		}
		return text, err
	}
	done, err := engine.Disburse(a.ctx)
	text := fmt.Sprintf("%d sent, %d accepted, %d refused, %d in doubt", done.Sent, done.Accepted, done.Refused, done.InDoubt)
	if done.Waiting {
		text += "; others wait, payrun job list says for what"
	}
	return text, err
}

// disburse and track are an engine's jobs as jobs.Loop wants them.
func disburse(e *jobs.Engine) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := e.Disburse(ctx)
		return err
	}
}

func track(e *jobs.Engine) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := e.Track(ctx)
		return err
	}
}

// plans are the jobs that run at set times, each in exactly one process.
func (a *app) plans(worker string, gateway jobs.Gateway) []jobs.Plan {
	plan := func(job string, run func(context.Context) (string, error)) jobs.Plan {
		return jobs.Plan{Job: job, Spec: a.config.Schedules[job], Missed: a.missed(job), Run: run}
	}
	plans := []jobs.Plan{
		plan("limits", func(ctx context.Context) (string, error) { return "", a.limitsJob(gateway).Run(ctx) }),
		plan("settle", func(context.Context) (string, error) {
			day, err := a.settle("worker:" + worker)
			return "day " + day.BusinessDay, err
		}),
		plan("report", func(context.Context) (string, error) {
			path, summary, err := a.writeReport(reports.Filter{}, "", "worker:"+worker)
			return fmt.Sprintf("%s, %d payouts", path, summary.Payouts), err
		}),
		plan("verify", (&jobs.Verify{Book: a.book, Heads: a.heads(), Actor: "worker:" + worker}).Run),
	}
	if a.config.Inbox.Folder != "" {
		plans = append(plans, plan("import", a.inboxes))
	}
	return plans
}

// missed is what happens to a job's run whose time passed while nothing ran.
func (a *app) missed(job string) jobs.Missed {
	if slices.Contains(a.config.SkipMissed, job) {
		return jobs.SkipLate
	}
	return jobs.RunOnce
}

// checkSchedules names a schedule that makes no sense before anything runs.
func (a *app) checkSchedules() error {
	if err := a.openStore(); err != nil {
		return err
	}
	if _, err := jobs.NewScheduler(a.db, "check", a.log, a.plans("check", nil)...); err != nil {
		return usageError{err}
	}
	return nil
}

package main

import (
	"slices"
	"time"

	"payrun/internal/config"
	"payrun/jobs"
)

// jobCmd shows and runs jobs.
type jobCmd struct {
	List jobListCmd `cmd:"" help:"When each job runs next, and how its last run went."`
	Run  jobRunCmd  `cmd:"" help:"Run a job now, in this process."`
}

type jobListCmd struct{}

// Run lists jobs.
func (c *jobListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	statuses, err := jobs.JobStatuses(a.ctx, a.db)
	if err != nil {
		return err
	}
	waiting, err := a.book.Waiting(a.ctx, a.enabledChannels(), 5*time.Minute)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"jobs": statuses, "waiting": waiting}, func() {
		t := newTable(a.out, "job", "schedule", "next", "last", "outcome", "detail")
		for _, s := range statuses {
			last, outcome, detail := "-", "never ran", ""
			if s.Last != nil {
				last, outcome, detail = a.localTime(s.Last.StartedAt), s.Last.Outcome, s.Last.Detail
				if outcome == "" {
					outcome = "running on " + s.Last.Worker
				}
			}
			t.row(s.Job, s.Spec, a.localTime(s.NextDueAt), last, outcome, detail)
		}
		t.flush()
		for _, w := range waiting {
			a.sayf("  %d approved payouts on %s in %s wait for %s.", w.Payouts, a.channelName(w.Channel), w.Currency, w.Reason)
		}
	})
}

func (a *app) enabledChannels() []string {
	var codes []string
	for _, c := range a.config.Channels {
		if c.Enabled {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

type jobRunCmd struct {
	Name string `arg:"" enum:"import,limits,disburse,track,settle,report" help:"import, limits, disburse, track, settle or report."`
}

// Run runs one job once.
func (c *jobRunCmd) Run(a *app) error {
	engine, err := a.openEngine(a.configuredNotifyURL())
	if err != nil {
		return err
	}
	result, err := a.runJob(engine, c.Name)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"job": c.Name, "result": result}, func() { a.sayf("%s: %v", c.Name, result) })
}

func (a *app) configuredNotifyURL() string {
	if a.log == nil {
		if err := a.loadConfig(); err != nil {
			return ""
		}
	}
	return a.config.Gateway.NotifyURL
}

func (a *app) runJob(engine *jobs.Engine, name string) (any, error) {
	switch name {
	case "disburse":
		done, err := engine.Disburse(a.ctx)
		return done, err
	case "track":
		done, err := engine.Track(a.ctx)
		return done, err
	case "import":
		if a.config.Inbox.Folder == "" {
			return nil, &config.Error{Problems: []string{"inbox.folder is not set: there is no inbox to import from"}}
		}
	}
	plans := a.plans(engine)
	i := slices.IndexFunc(plans, func(p jobs.Plan) bool { return p.Job == name })
	return plans[i].Run(a.ctx)
}

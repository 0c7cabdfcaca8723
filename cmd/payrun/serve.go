package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"payrun/internal/web"
	"payrun/jobs"
	"payrun/reports"
)

// serveCmd is everything in one process.
type serveCmd struct{}

// Run serves until it is told to stop; then nothing new is sent, and what is
// under way is recorded.
func (c *serveCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", a.config.Listen)
	if err != nil {
		return fmt.Errorf("%w: listen: %w; set listen to a free address", errUsage, err)
	}
	a.onClose(func() error { return ignoreClosed(listener.Close()) })
	notifyURL := a.config.Gateway.NotifyURL
	if a.config.Gateway.Sandbox() {
		notifyURL = "http://" + listener.Addr().String() + "/notify/epay"
		a.sayf("No gateway is configured: this runs on the SANDBOX, no real money moves.")
	}
	engine, err := a.openEngine(notifyURL)
	if err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	wakeUp := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	server, err := web.New(web.Config{Book: a.book, Notifier: engine, Wake: wakeUp, Counters: &engine.Counters, Log: a.log})
	if err != nil {
		return err
	}
	scheduler, err := jobs.NewScheduler(a.db, engine.Worker, a.log, a.plans(engine)...)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	a.log.Info("serving", "address", listener.Addr().String(), "worker", engine.Worker, "gateway", a.gatewayInWords())
	a.serve(engine, wake, scheduler, func(ctx context.Context) { err = server.Serve(ctx, listener) })
	a.log.Info("stopped")
	return err
}

// serve runs all of it until the context ends, and waits for all of it.
func (a *app) serve(engine *jobs.Engine, wake <-chan struct{}, scheduler *jobs.Scheduler, listen func(context.Context)) {
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { defer stop(); listen(ctx) })
	running.Go(func() { scheduler.Run(ctx) })
	running.Go(func() {
		jobs.Loop(ctx, a.log, "disburse", time.Second, nil, func(ctx context.Context) error {
			_, err := engine.Disburse(ctx)
			return err
		})
	})
	running.Go(func() {
		jobs.Loop(ctx, a.log, "track", 2*time.Second, wake, func(ctx context.Context) error {
			_, err := engine.Track(ctx)
			return err
		})
	})
	running.Wait()
}

// plans are the jobs that run at set times, each in exactly one process.
func (a *app) plans(engine *jobs.Engine) []jobs.Plan {
	spec := a.config.Schedules
	plans := []jobs.Plan{
		{Job: "limits", Spec: spec["limits"], Missed: jobs.RunOnce, Run: func(ctx context.Context) (string, error) {
			return "", a.limitsJob(engine.Gateway).Run(ctx)
		}},
		{Job: "settle", Spec: spec["settle"], Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
			day, err := a.settle("worker:" + engine.Worker)
			return "day " + day.BusinessDay, err
		}},
		{Job: "report", Spec: spec["report"], Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
			path, summary, err := a.writeReport(reports.Filter{}, "", "worker:"+engine.Worker)
			return fmt.Sprintf("%s, %d payouts", path, summary.Payouts), err
		}},
	}
	if a.config.Inbox.Folder != "" {
		plans = append(plans, jobs.Plan{Job: "import", Spec: spec["import"], Missed: jobs.RunOnce, Run: a.inbox().Run})
	}
	return plans
}

func (a *app) inbox() *jobs.Inbox {
	return &jobs.Inbox{Import: a.importJob(), Book: a.book, Folder: a.config.Inbox.Folder, Owner: a.config.Inbox.Owner}
}

package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"payrun/internal/web"
	"payrun/jobs"
	"payrun/ledger"
)

// serveCmd is everything in one process.
type serveCmd struct{}

// service is what one process runs side by side: sending, tracking and the
// schedule, and the web server where something shall listen.
type service struct {
	*app
	engine    *jobs.Engine
	scheduler *jobs.Scheduler
	web       *web.Server // nil: nothing listens
	alerts    *jobs.Alerts
	listener  net.Listener  // nil likewise
	wake      chan struct{} // a look-up is due
}

// Run serves until it is told to stop; then nothing new is sent, and what is
// under way is recorded.
func (c *serveCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	return a.work("serving", a.config.Listen)
}

// work runs a service until the process is told to stop.
func (a *app) work(what, listen string) error {
	s, err := a.newService(listen)
	if err != nil {
		return err
	}
	a.warnAboutPeople()
	a.log.Info(what, "address", s.address(), "worker", s.engine.Worker, "gateway", a.gatewayInWords())
	if err := s.run(a.ctx); err != nil {
		a.log.Error("stopped", "error", err)
		return err
	}
	a.log.Info("stopped")
	return nil
}

// newService opens all that a service needs; with listen "" nothing listens.
func (a *app) newService(listen string) (*service, error) {
	s := &service{app: a, wake: make(chan struct{}, 1)}
	if err := s.listen(listen); err != nil {
		return nil, err
	}
	notifyURL := a.config.Gateway.NotifyURL
	if a.config.Gateway.Sandbox() {
		notifyURL = notifyAddress(s.listener)
	}
	if err := a.checkSchedules(); err != nil {
		return nil, err
	}
	var err error
	if s.engine, err = a.openEngine(notifyURL); err != nil {
		return nil, err
	}
	if s.scheduler, err = jobs.NewScheduler(a.db, s.engine.Worker, a.log, a.plans(s.engine.Worker, s.engine.Gateway)...); err != nil {
		return nil, err
	}
	if s.alerts, err = a.newAlerts(s.engine.Worker); err != nil {
		return nil, err
	}
	if s.listener == nil {
		return s, nil
	}
	s.web, err = web.New(web.Config{
		Book: a.book, Notifier: s.engine, Wake: ring(s.wake), Counters: &s.engine.Counters, Log: a.log,
		NotificationsPerSecond: a.notificationsPerSecond(),
	})
	return s, err
}

func (s *service) listen(address string) error {
	if address == "" {
		return nil
	}
	var err error
	if s.listener, err = net.Listen("tcp", address); err != nil {
		return usagef("%w; set listen (PAYRUN_LISTEN, or --listen of payrun work) to a free address", err)
	}
	s.onClose(func() error { return ignoreClosed(s.listener.Close()) })
	return nil
}

func (s *service) address() string {
	if s.listener == nil {
		return "none"
	}
	return s.listener.Addr().String()
}

// run runs all of it until ctx ends or the listener fails, and waits for all
// of it.
func (s *service) run(ctx context.Context) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	if s.web != nil {
		running.Go(func() {
			defer stop()
			if err = s.web.Serve(ctx, s.listener); err != nil {
				err = fmt.Errorf("%w: %w", errListener, err)
			}
		})
	}
	running.Go(func() { s.scheduler.Run(ctx) })
	running.Go(func() { s.alerts.Run(ctx) })
	running.Go(func() {
		s.askLimits(ctx)
		jobs.Loop(ctx, s.log, "disburse", time.Second, nil, disburse(s.engine))
	})
	running.Go(func() { jobs.Loop(ctx, s.log, "track", 2*time.Second, s.wake, track(s.engine)) })
	running.Wait()
	return err
}

// askLimits asks for limits and balances at once, since nothing is sent before
// they are known. A gateway that is away now is asked again by the schedule.
func (s *service) askLimits(ctx context.Context) {
	if err := s.limitsJob(s.engine.Gateway).Run(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("limits and balances are not known, nothing is sent until they are", "error", s.explainGateway(err))
	}
}

// warnAboutPeople: serving works without people, but nobody can pay.
func (a *app) warnAboutPeople() {
	users, err := a.book.Users(a.ctx)
	if err != nil {
		a.log.Warn("people cannot be listed", "error", err)
		return
	}
	if makers, checkers := countRoles(users); makers == 0 || checkers == 0 {
		a.log.Warn("nobody can pay yet: a maker and a checker are needed, see payrun user add", "makers", makers, "checkers", checkers)
	}
}

func countRoles(users []ledger.User) (makers, checkers int) {
	for _, u := range users {
		if u.Is(ledger.Maker) {
			makers++
		}
		if u.Is(ledger.Checker) {
			checkers++
		}
	}
	return makers, checkers
}

// notificationsPerSecond is what the gateway may post: more than it can have
// reason to at our rate, and always more than the web server's default.
func (a *app) notificationsPerSecond() uint64 {
	const (
		perCall   = 5
		unlimited = 10_000
	)
	calls := a.config.Gateway.CallsPerSecond
	if calls == 0 {
		return unlimited
	}
	return uint64(max(50, perCall*calls))
}

func (a *app) gatewayInWords() string {
	if a.config.Gateway.Sandbox() {
		return "the SANDBOX: no real money moves"
	}
	return a.config.Gateway.URL + " as " + a.config.Gateway.Account
}

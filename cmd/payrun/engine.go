package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"payrun/epay"
	"payrun/internal/config"
	"payrun/internal/database"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// openEngine opens store and gateway and builds what sends and tracks. Only
// one process at a time may run an engine on an embedded database; people's
// commands work beside it.
func (a *app) openEngine(notifyURL string) (*jobs.Engine, error) {
	if err := a.openStore(); err != nil {
		return nil, err
	}
	if err := a.db.CheckDurable(a.ctx); err != nil {
		return nil, err
	}
	if err := a.lockEngine(); err != nil {
		return nil, err
	}
	if err := a.noticeRestore(); err != nil {
		return nil, err
	}
	gateway, err := a.openGateway(notifyURL)
	if err != nil {
		return nil, err
	}
	if a.config.Gateway.Sandbox() {
		if err := a.learnSandbox(gateway); err != nil {
			return nil, err
		}
	}
	e := a.newEngine(gateway)
	return e, e.Defaults()
}

// learnSandbox learns how the sandbox says "not found". A live gateway teaches
// it to a person who runs payrun check.
func (a *app) learnSandbox(gateway jobs.Gateway) error {
	known, err := a.book.Learned(a.ctx, a.gatewayAccount())
	if err != nil || known.ID != 0 {
		return err
	}
	shape, _, err := jobs.Learn(a.ctx, gateway)
	if err != nil {
		return fmt.Errorf("%w: %w", errGateway, err)
	}
	_, err = a.book.Learn(a.ctx, ledger.User{}, a.gatewayAccount(), shape)
	return err
}

// newEngine builds an engine, for sending or only for looking ahead.
func (a *app) newEngine(gateway jobs.Gateway) *jobs.Engine {
	g, t := a.config.Gateway, a.config.Tracking
	return &jobs.Engine{
		Book: a.book, Gateway: gateway, Account: a.gatewayAccount(), Worker: workerName(), Log: a.log, InFlight: g.InFlight, CallTimeout: g.Timeout,
		Rate: a.rate(), Channels: a.enabledChannels(), LimitsAge: g.LimitsAge,
		Judge: jobs.Judge{
			Accepted: t.Accepted, InDoubt: t.InDoubt, Conflict: t.Conflict, ClosedAgain: t.ClosedAgain, Stuck: t.Stuck, Pending: t.PendingWithdrawal,
		},
	}
}

func (a *app) rate() jobs.Rate {
	g := a.config.Gateway
	return jobs.Rate{CallsPerSecond: g.CallsPerSecond, HeadroomPercent: g.HeadroomPercent, LookupPercent: g.LookupPercent}
}

// workerName tells processes apart, also on one machine and after a restart.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}

// lockEngine keeps a second process from running jobs on one SQLite file.
func (a *app) lockEngine() error {
	path := a.db.Path()
	if path == "" || a.locked {
		return nil
	}
	f, err := os.OpenFile(path+".engine.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", database.ErrUnusable, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%w (%s): stop it first, or use PostgreSQL for more than one process", errEngineBusy, path), f.Close())
	}
	a.locked = true
	a.onClose(f.Close)
	return nil
}

// openGateway returns the configured gateway, or the sandbox when none is.
func (a *app) openGateway(notifyURL string) (jobs.Gateway, error) {
	g := a.config.Gateway
	if g.Sandbox() {
		if err := a.openSandbox(); err != nil {
			return nil, err
		}
		g.URL, g.Account, g.Key, g.PreviousKey = a.sandbox.URL(), sandbox.DefaultAccount, sandbox.DefaultKey, ""
	}
	client, err := epay.New(epay.Config{
		BaseURL: g.URL, Account: g.Account, Key: string(g.Key), PreviousKey: string(g.PreviousKey),
		Separator: epay.Separator(g.Separator), ReplySignature: epay.ReplySignature(g.ReplySignature),
		Timeout: g.Timeout, MaxConnections: 2 * g.InFlight,
	})
	if err != nil {
		return nil, a.gatewaySettings(err)
	}
	a.onClose(func() error { client.Close(); return nil })
	gateway, closeLimit, err := jobs.Throttle(jobs.NewEPAY(client, notifyURL, g.ProvenRefusals...), a.book, a.rate())
	if err != nil {
		return nil, err
	}
	a.onClose(func() error { return closeLimit(context.WithoutCancel(a.ctx)) })
	return gateway, nil
}

// gatewaySettings names our setting where the client names its own field.
func (a *app) gatewaySettings(err error) error {
	var invalid *epay.InvalidError
	if !errors.As(err, &invalid) {
		return usageError{err}
	}
	key := map[string]string{"BaseURL": "gateway.url", "Account": "gateway.account", "Key": "gateway.key"}[invalid.Field]
	if key == "" {
		return usageError{err}
	}
	return usagef("%s %s", key, invalid.Problem)
}

// openSandbox starts the sandbox gateway in this process, with its book in
// the data folder. One process at a time may use that book.
func (a *app) openSandbox() error {
	if a.sandbox != nil {
		return nil
	}
	if err := os.MkdirAll(a.config.Data, 0o700); err != nil {
		return fmt.Errorf("%w: %w", database.ErrUnusable, err)
	}
	settings := sandbox.Demo()
	settings.BookPath = filepath.Join(a.config.Data, "sandbox-book.jsonl")
	server, err := a.startSandbox(settings, "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("%w: start the sandbox: %w", errGateway, err)
	}
	a.sandbox = server
	return nil
}

func (a *app) startSandbox(settings sandbox.Config, address string) (*sandbox.Server, error) {
	server, err := sandbox.New(settings)
	if err != nil {
		return nil, err
	}
	a.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
		defer cancel()
		return server.Close(ctx)
	})
	return server, server.Start(address)
}

// suitSandbox gives settings that nobody made the values that suit the
// sandbox: it is fast, local, and its fees are known.
func suitSandbox(c *config.Config, settings sandbox.Config) {
	suit(c, "gateway.calls_per_second", &c.Gateway.CallsPerSecond, 100)
	suit(c, "gateway.in_flight", &c.Gateway.InFlight, 16)
	const second = time.Second
	suit(c, "tracking.accepted", &c.Tracking.Accepted, []time.Duration{second, second, 2 * second, 3 * second, 5 * second, 10 * second})
	suit(c, "tracking.in_doubt", &c.Tracking.InDoubt, []time.Duration{second, 2 * second, 5 * second, 10 * second})
	suit(c, "tracking.closed_again", &c.Tracking.ClosedAgain, 2*second)
	suit(c, "tracking.conflict", &c.Tracking.Conflict, []time.Duration{2 * second, 5 * second, 10 * second})
	suit(c, "resend_grace", &c.Resend.Grace, 15*second)
	for i := range c.Channels {
		channel := &c.Channels[i]
		fee := settings.Fees[channel.Code]
		suit(c, "channels."+channel.Code+".fee_flat", &channel.FeeFlat, fee.Flat)
		suit(c, "channels."+channel.Code+".fee_percent", &channel.FeePPM, fee.PartsPerMillion)
	}
}

func suit[T any](c *config.Config, key string, field *T, value T) {
	if !c.IsSet(key) {
		*field = value
	}
}

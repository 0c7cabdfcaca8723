package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"payrun/epay"
	"payrun/importers"
	"payrun/internal/config"
	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/migrations"
)

// app is what the commands share: settings, and whatever of the store and the
// gateway a command has asked for.
type app struct {
	ctx         context.Context
	cli         *cli
	environ     []string
	out, errOut io.Writer

	config  config.Config
	log     *slog.Logger
	db      *database.DB
	book    *ledger.Book
	sandbox *sandbox.Server
	closers []func() error
}

var (
	errGateway = errors.New("the gateway cannot be used")
	errSheet   = errors.New("the sheet was not imported")
)

// close undoes what was opened, newest first.
func (a *app) close() error {
	var err error
	for i := len(a.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, a.closers[i]())
	}
	a.closers = nil
	return err
}

func (a *app) onClose(f func() error) { a.closers = append(a.closers, f) }

func (a *app) sayf(format string, args ...any) {
	if !a.cli.JSON {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// loadConfig reads the settings once.
func (a *app) loadConfig() error {
	if a.log != nil {
		return nil
	}
	var err error
	if a.config, err = config.Load(a.cli.Config, a.environ); err != nil {
		return err
	}
	if a.config.Gateway.Sandbox() {
		a.adaptToSandbox(sandbox.Demo())
	}
	a.log = logger(a.config, a.errOut)
	return nil
}

// openStore opens the database and brings an embedded one up to date. A
// server's schema changes only when somebody runs payrun migrate.
func (a *app) openStore() error {
	if a.book != nil {
		return nil
	}
	if err := a.loadConfig(); err != nil {
		return err
	}
	db, err := database.Open(a.ctx, database.Config{URL: a.config.DatabaseURL, MaxConnections: a.config.Connections})
	if err != nil {
		return fmt.Errorf("%s: %w", database.Redacted(a.config.DatabaseURL), err)
	}
	a.onClose(db.Close)
	if db.Path() != "" {
		_, err = migrations.Up(a.ctx, db)
	} else {
		err = migrations.Check(a.ctx, db)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", database.Redacted(a.config.DatabaseURL), err)
	}
	a.db, a.book = db, ledger.New(db, ledger.Config{Zone: a.config.Zone})
	return nil
}

// user is the person whose token was given.
func (a *app) user() (ledger.User, error) {
	if err := a.openStore(); err != nil {
		return ledger.User{}, err
	}
	token, err := a.token()
	if err != nil {
		return ledger.User{}, err
	}
	return a.book.Authenticate(a.ctx, token)
}

func (a *app) token() (string, error) {
	if a.cli.Token != "" {
		return a.cli.Token, nil
	}
	if path := a.cli.TokenIn; path != "" {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errUsage, err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return "", fmt.Errorf("%w: %s can be read by others; run chmod 600 %s", errUsage, path, path)
		}
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	}
	for _, pair := range a.environ {
		if token, ok := strings.CutPrefix(pair, "PAYRUN_TOKEN="); ok && token != "" {
			return token, nil
		}
	}
	return "", errNoToken
}

// openEngine opens store and gateway and builds what sends and tracks. Only
// one process at a time may run an engine on an embedded database.
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
	gateway, err := a.openGateway(notifyURL)
	if err != nil {
		return nil, err
	}
	g := a.config.Gateway
	e := &jobs.Engine{
		Book: a.book, Gateway: gateway, Worker: workerName(), Log: a.log, InFlight: g.InFlight, CallTimeout: g.Timeout,
		Rate:  a.rate(),
		Judge: jobs.Judge{Accepted: a.config.Tracking.Accepted, InDoubt: a.config.Tracking.InDoubt, ClosedAgain: a.config.Tracking.ClosedAgain},
	}
	for _, c := range a.config.Channels {
		if c.Enabled {
			e.Channels = append(e.Channels, c.Code)
		}
	}
	return e, e.Defaults()
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

// lockEngine keeps a second process from running jobs on one SQLite file;
// people's commands work beside it.
func (a *app) lockEngine() error {
	path := a.db.Path()
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path+".engine.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", database.ErrUnusable, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("%w (%s): stop it first, or use PostgreSQL for more than one process", errEngineBusy, path), f.Close())
	}
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
		g.URL, g.Account, g.Key = a.sandbox.URL(), sandbox.DefaultAccount, sandbox.DefaultKey
		g.NotifyURL = notifyURL
	}
	client, err := epay.New(epay.Config{
		BaseURL: g.URL, Account: g.Account, Key: g.Key, PreviousKey: g.PreviousKey, Separator: epay.Separator(g.Separator),
		ReplySignature: epay.ReplySignature(g.ReplySignature), Timeout: g.Timeout, MaxConnections: 2 * g.InFlight,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	a.onClose(func() error { client.Close(); return nil })
	gateway, closeLimit, err := jobs.Throttle(jobs.NewEPAY(client, g.NotifyURL), a.rate())
	if err != nil {
		return nil, err
	}
	a.onClose(func() error { return closeLimit(context.WithoutCancel(a.ctx)) })
	return gateway, nil
}

// openSandbox starts the sandbox gateway in this process, with its book in
// the data folder.
func (a *app) openSandbox() error {
	settings := sandbox.Demo()
	settings.BookPath = filepath.Join(a.config.Data, "sandbox-book.jsonl")
	if err := os.MkdirAll(a.config.Data, 0o700); err != nil {
		return fmt.Errorf("%w: %w", database.ErrUnusable, err)
	}
	server, err := sandbox.New(settings)
	if err != nil {
		return fmt.Errorf("%w: start the sandbox: %w", errGateway, err)
	}
	a.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
		defer cancel()
		return server.Close(ctx)
	})
	if err := server.Start("127.0.0.1:0"); err != nil {
		return fmt.Errorf("%w: start the sandbox: %w", errGateway, err)
	}
	a.sandbox = server
	return nil
}

// adaptToSandbox gives settings that nobody made the values that suit the
// sandbox: it is fast, local, and its fees are known.
func (a *app) adaptToSandbox(settings sandbox.Config) {
	c := &a.config
	unset := func(key string) bool { return c.Sources[key] == "" }
	if unset("gateway.calls_per_second") {
		c.Gateway.CallsPerSecond = 100
	}
	if unset("gateway.in_flight") {
		c.Gateway.InFlight = 16
	}
	second := time.Second
	if unset("tracking.accepted") {
		c.Tracking.Accepted = []time.Duration{second, second, 2 * second, 3 * second, 5 * second, 10 * second}
	}
	if unset("tracking.in_doubt") {
		c.Tracking.InDoubt = []time.Duration{second, 2 * second, 5 * second, 10 * second}
	}
	if unset("tracking.closed_again") {
		c.Tracking.ClosedAgain = 2 * second
	}
	for i := range c.Channels {
		channel := &c.Channels[i]
		fee := settings.Fees[channel.Code]
		if unset("channels." + channel.Code + ".fee_flat") {
			channel.FeeFlat = fee.Flat
		}
		if unset("channels." + channel.Code + ".fee_percent") {
			channel.FeePPM = fee.PartsPerMillion
		}
	}
}

func (a *app) gatewayAccount() string {
	if a.config.Gateway.Sandbox() {
		return sandbox.DefaultAccount
	}
	return a.config.Gateway.Account
}

// importJob reads sheets by the configured channels.
func (a *app) importJob() *jobs.Import {
	im := &jobs.Import{Book: a.book, GatewayAccount: a.gatewayAccount(), Fees: map[string]jobs.Fee{}}
	standard := importers.DefaultChannels()
	for i, c := range a.config.Channels {
		im.Fees[c.Code] = jobs.Fee{Flat: c.FeeFlat, PartsPerMillion: c.FeePPM}
		channel := standard[i]
		channel.Currencies = c.Currencies
		if c.Enabled {
			im.Rules.Channels = append(im.Rules.Channels, channel)
		}
	}
	return im
}

// limitsJob refreshes every market that is switched on.
func (a *app) limitsJob(gateway jobs.Gateway) *jobs.Limits {
	l := &jobs.Limits{Book: a.book, Gateway: gateway}
	for _, c := range a.config.Channels {
		if !c.Enabled {
			continue
		}
		for i, currency := range c.Currencies {
			m := jobs.Market{Channel: c.Code, Currency: currency, AskGateway: c.AskLimits}
			if i == 0 { // configured limits are in the first currency
				m.Configured = jobs.Bounds{Minimum: c.Minimum, Maximum: c.Maximum}
			}
			l.Markets = append(l.Markets, m)
		}
	}
	return l
}

func (a *app) channelName(code string) string {
	for _, c := range a.config.Channels {
		if c.Code == code {
			return c.Name
		}
	}
	return "channel " + code
}

func (a *app) channelNames() map[string]string {
	names := map[string]string{}
	for _, c := range a.config.Channels {
		names[c.Code] = c.Name
	}
	return names
}

// amount writes an amount with its currency.
func amount(a money.Amount, c money.Currency) string { return money.Format(a, c) + " " + string(c) }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"payrun/internal/config"
	"payrun/internal/database"
	"payrun/internal/sandbox"
	"payrun/ledger"
	"payrun/migrations"
)

// app is what the commands share: settings, and whatever of the store and the
// gateway a command has asked for. One command uses it, from one goroutine.
type app struct {
	ctx         context.Context
	cli         *cli
	environ     []string
	in          io.Reader
	out, errOut io.Writer

	config  config.Config
	log     *slog.Logger // set when the settings are read
	db      *database.DB
	book    *ledger.Book
	locked  bool // this process runs the jobs
	sandbox *sandbox.Server
	closers []func() error
}

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

// sayf prints a line for people.
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
		suitSandbox(&a.config, sandbox.Demo())
	}
	a.log = logger(a.config, a.errOut)
	return nil
}

// loadQuietly is loadConfig for commands that talk to a person at a terminal:
// unless asked for, logs speak only when something is wrong.
func (a *app) loadQuietly() error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	if !a.config.IsSet("log.level") {
		a.config.LogLevel = slog.LevelWarn
		a.log = logger(a.config, a.errOut)
	}
	return nil
}

// logger writes to standard error, so that results on standard output stay
// clean.
func logger(c config.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// openStore opens the database and brings an embedded one up to date. A
// server's schema changes only when somebody runs payrun migrate.
func (a *app) openStore() error {
	if a.book != nil {
		return nil
	}
	if err := a.openDatabase(); err != nil {
		return err
	}
	var err error
	if a.db.Path() != "" {
		_, err = migrations.Up(a.ctx, a.db)
	} else {
		err = migrations.Check(a.ctx, a.db)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", a.databaseName(), err)
	}
	a.book = ledger.New(a.db, a.ledgerConfig())
	return nil
}

func (a *app) ledgerConfig() ledger.Config {
	r := a.config.Resend
	c := ledger.Config{
		Zone: a.config.Zone, Resend: ledger.ResendManual, AlertTo: a.alertTo(),
		Proof:          ledger.Proof{Answers: r.Answers, Over: r.Grace, Attempts: r.Attempts},
		GenerationFile: a.config.GenerationFile, AskFirst: a.config.AskAfterRestore, Brakes: ledger.Brakes(a.config.Brakes),
	}
	if r.Automatic {
		c.Resend = ledger.ResendAutomatic
	}
	return c
}

// openDatabase connects, whatever schema there is.
func (a *app) openDatabase() error {
	if a.db != nil {
		return nil
	}
	if err := a.loadConfig(); err != nil {
		return err
	}
	db, err := database.Open(a.ctx, database.Config{URL: string(a.config.DatabaseURL), MaxConnections: a.config.Connections})
	if err != nil {
		return fmt.Errorf("%s: %w", a.databaseName(), err)
	}
	a.onClose(db.Close)
	a.db = db
	return nil
}

// databaseName is the database's address without its password.
func (a *app) databaseName() string { return database.Redacted(string(a.config.DatabaseURL)) }

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

// userUnlessFirst is the token's owner, or nobody in a store where nobody has
// a token yet.
func (a *app) userUnlessFirst() (ledger.User, error) {
	user, err := a.user()
	if !errors.Is(err, errNoToken) {
		return user, err
	}
	fresh, freshErr := a.book.Fresh(a.ctx)
	if freshErr != nil || fresh {
		return ledger.User{}, freshErr
	}
	return ledger.User{}, err
}

// userIfGiven is the token's owner, or nobody when no token was given.
func (a *app) userIfGiven() (user ledger.User, given bool, err error) {
	user, err = a.user()
	if errors.Is(err, errNoToken) {
		return ledger.User{}, false, nil
	}
	return user, err == nil, err
}

// actor is what the audit trail calls whoever calls.
func (a *app) actor() (string, error) {
	user, given, err := a.userIfGiven()
	if err == nil && !given {
		return "command line", nil
	}
	return user.Actor(), err
}

func (a *app) token() (string, error) {
	if path := a.cli.TokenFile; path != "" {
		token, problem := config.ReadSecret(path)
		if problem != "" {
			return "", usagef("--token-file: %s", problem)
		}
		return strings.TrimSpace(token), nil
	}
	for _, pair := range a.environ {
		if token, ok := strings.CutPrefix(pair, "PAYRUN_TOKEN="); ok && token != "" {
			return token, nil
		}
	}
	return "", errNoToken
}

// Command payrun pays people's e-wallets from a spreadsheet and keeps books
// that prove it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"payrun/internal/config"
)

// version is set by the release build.
var version = "development"

// cli is every command and flag; the help text is made from it.
type cli struct {
	Config  string `help:"Configuration file; without one Payrun runs on its sandbox." type:"path" env:"PAYRUN_CONFIG" placeholder:"FILE"`
	JSON    bool   `help:"Print results as JSON, for programs." name:"json"`
	Token   string `kong:"-"` // PAYRUN_TOKEN or --token-file: never on the command line
	TokenIn string `help:"File with your token, mode 600 (or set PAYRUN_TOKEN)." name:"token-file" type:"path" placeholder:"FILE"`

	Demo    demoCmd    `cmd:"" help:"Everything on the sandbox, from nothing to a finished workbook."`
	Run     runCmd     `cmd:"" help:"The same with your own sheet; on a live gateway it stops at submitted."`
	Import  importCmd  `cmd:"" help:"Turn sheets into batches, or name what is wrong with them."`
	Batch   batchCmd   `cmd:"" help:"List, show and decide about batches."`
	Payout  payoutCmd  `cmd:"" help:"Tell one payout's story."`
	Stop    stopCmd    `cmd:"" help:"Stop sending: everything, a channel or a batch; lift it again."`
	Funds   fundsCmd   `cmd:"" help:"Show balances, book top-ups."`
	Job     jobCmd     `cmd:"" help:"See what runs when, or run a job now."`
	Settle  settleCmd  `cmd:"" help:"Close the business day."`
	Report  reportCmd  `cmd:"" help:"Write the reconciliation workbook."`
	Verify  verifyCmd  `cmd:"" help:"Check every promise of the ledger; name the row that breaks one."`
	Check   checkCmd   `cmd:"" help:"Check settings, database, gateway and balance before anything runs."`
	Serve   serveCmd   `cmd:"" help:"Run everything: schedules, sending, tracking, notifications, metrics."`
	Migrate migrateCmd `cmd:"" help:"Bring the database to this version."`
	User    userCmd    `cmd:"" help:"Manage people and their tokens."`
	Sandbox sandboxCmd `cmd:"" help:"Run the sandbox gateway alone."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args, environ []string, out, errOut io.Writer) (code int) {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("payrun"), kong.UsageOnError(), kong.Writers(out, errOut),
		kong.Description("Pays people's e-wallets from a spreadsheet and keeps books that prove it.\n\nExit codes: "+exitCodes()),
		kong.Exit(func(code int) { exited = code; panic(exitEarly{}) }))
	if err != nil {
		fmt.Fprintln(errOut, "payrun:", err)
		return exitFailure
	}
	defer func() { // kong prints --help and then exits
		if r := recover(); r != nil {
			if _, ok := r.(exitEarly); !ok {
				panic(r)
			}
			code = exited
		}
	}()
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(errOut, "payrun:", err)
		return exitUsage
	}
	a := &app{ctx: ctx, cli: &c, environ: environ, out: out, errOut: errOut}
	err = errors.Join(parsed.Run(a), a.close())
	return a.report(err)
}

type exitEarly struct{}

// report prints an error for a person, or for a program with --json, and
// returns the exit code it stands for.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	text := strings.TrimSpace(err.Error())
	if a.cli.JSON {
		printJSON(a.errOut, map[string]any{"error": text, "exit_code": code})
		return code
	}
	fmt.Fprintln(a.errOut, "payrun: "+strings.ReplaceAll(text, "\n", "\npayrun: "))
	return code
}

// logger writes logs to standard error, so that results on standard output
// stay clean.
func logger(c config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checked when the settings were read
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Command payrun pays people's e-wallets from a spreadsheet and keeps books
// that prove it.
//
// This package is wiring: it reads the command line and the settings, opens
// what a command needs, calls one function of another package, and prints the
// result. Start reading at run; app.go opens things, flow.go is the demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	_ "time/tzdata" // business zones, also in an image without them

	"github.com/alecthomas/kong"
)

// version is set by the release build.
var version = "development"

// cli is every command and flag; the help text is made from it.
type cli struct {
	Config    string `help:"Configuration file (or PAYRUN_CONFIG). Without a live gateway in it Payrun runs on its sandbox." placeholder:"FILE"`
	JSON      bool   `help:"Print results as JSON, one document each, for programs." name:"json"`
	TokenFile string `help:"File with your token, mode 600 (or PAYRUN_TOKEN)." placeholder:"FILE"`

	Demo       demoCmd       `cmd:"" help:"Everything on the sandbox, from nothing to a finished workbook."`
	Run        runCmd        `cmd:"" help:"The same with your own sheet; on a live gateway it stops at submitted."`
	Import     importCmd     `cmd:"" help:"Turn sheets into batches, or name what is wrong with them."`
	Template   templateCmd   `cmd:"" help:"Write an empty sheet to fill in, with drop-downs and instructions."`
	Profile    profileCmd    `cmd:"" help:"Say once how a team writes its sheets."`
	Batch      batchCmd      `cmd:"" help:"List, show and decide about batches."`
	Payout     payoutCmd     `cmd:"" help:"List payouts, tell one payout's story, propose a decision about it."`
	Decision   decisionCmd   `cmd:"" help:"Confirm or refuse what somebody proposed about a payout."`
	Exceptions exceptionsCmd `cmd:"" help:"What needs a person: open cases with their age and next step."`
	Repay      repayCmd      `cmd:"" help:"Pay failed payouts again, in a batch with new order numbers (maker)."`
	Stop       stopCmd       `cmd:"" help:"Stop sending: everything, or what you name; lift it again."`
	Funds      fundsCmd      `cmd:"" help:"Show balances, book top-ups."`
	Job        jobCmd        `cmd:"" help:"See what runs when, or run a job now."`
	Settle     settleCmd     `cmd:"" help:"Close the business day (checker or admin)."`
	Report     reportCmd     `cmd:"" help:"Write the reconciliation workbook."`
	Verify     verifyCmd     `cmd:"" help:"Check every promise of the ledger; name the row that breaks one."`
	Alert      alertCmd      `cmd:"" help:"What people were told; try whether alerts arrive."`
	Check      checkCmd      `cmd:"" help:"Check settings, database, gateway and limits before anything runs."`
	Serve      serveCmd      `cmd:"" help:"Run everything: schedules, sending, tracking, notifications, metrics."`
	Work       workCmd       `cmd:"" help:"One more process that sends, tracks and runs the schedule, over a shared PostgreSQL."`
	Backup     backupCmd     `cmd:"" help:"Copy the database to a file, checked, while everything runs."`
	Restored   restoredCmd   `cmd:"" help:"Tell that a backup was restored, or a standby took over (admin or checker)."`
	Migrate    migrateCmd    `cmd:"" help:"Bring the database to this version."`
	User       userCmd       `cmd:"" help:"Manage people and their tokens."`
	Sandbox    sandboxCmd    `cmd:"" help:"Run the sandbox gateway alone."`
	Version    versionCmd    `cmd:"" help:"Print the version."`

	ReadSheet readSheetCmd `cmd:"" hidden:"" help:"Read one sheet for another payrun process."`
	MarkSheet markSheetCmd `cmd:"" hidden:"" help:"Make one annotated copy for another payrun process."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	a := &app{ctx: ctx, cli: &cli{}, environ: environ, in: os.Stdin, out: out, errOut: errOut}
	command, code, err := parse(a.cli, args, out, errOut)
	if err != nil {
		a.cli.JSON = a.cli.JSON || slices.Contains(args, "--json")
		return a.report(usageError{inWords(err)})
	}
	if command == nil {
		return code
	}
	err = command.Run(a)
	return a.report(errors.Join(err, a.close()))
}

// inWords says what is wrong with a command line.
func inWords(err error) error {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && err.Error() == "missing flags: --reason=STRING" {
		var command []string
		for _, node := range wrong.Context.Path {
			if node.Command != nil {
				command = append(command, node.Command.Name)
			}
		}
		return fmt.Errorf("a reason is missing: --reason \"…\" (payrun %s --help)", strings.Join(command, " "))
	}
	return fmt.Errorf("%w; payrun --help lists the commands", err)
}

// parse reads the command line. Without a command to run, which is after
// --help, it returns the exit code.
func parse(into *cli, args []string, out, errOut io.Writer) (command *kong.Context, code int, err error) {
	type exit struct{ code int }
	defer func() { // kong prints the help and then exits
		switch r := recover().(type) {
		case nil:
		case exit:
			command, code, err = nil, r.code, nil
		default:
			panic(r)
		}
	}()
	parser, err := kong.New(into, kong.Name("payrun"), kong.Writers(out, errOut),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Description("Pays people's e-wallets from a spreadsheet and keeps books that prove it.\n\n"+
			"New here? payrun demo shows all of it on this machine, without real money.\n\nExit codes: "+exitCodes()),
		kong.Exit(func(code int) { panic(exit{code}) }))
	if err != nil {
		return nil, exitFailure, fmt.Errorf("read the command line: %w", err)
	}
	command, err = parser.Parse(args)
	return command, exitUsage, err
}

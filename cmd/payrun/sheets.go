package main

import (
	"errors"
	"fmt"
	"os"

	"payrun/importers"
	"payrun/jobs"
	"payrun/ledger"
)

// demoCmd is the whole way on the sandbox, with the sheet that ships with
// Payrun.
type demoCmd struct {
	Sheet string `help:"Another sheet to pay." default:"examples/payouts.xlsx" type:"path"`
}

// Run ignores a live gateway even when one is configured.
func (c *demoCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	if !a.config.Gateway.Sandbox() {
		return fmt.Errorf("%w: the demo never touches a live gateway; run it without --config and without PAYRUN_GATEWAY_URL", errUsage)
	}
	if _, err := os.Stat(c.Sheet); err != nil {
		return fmt.Errorf("%w: %w; run the demo in Payrun's own folder, or name a sheet with --sheet", errSheet, err)
	}
	a.sayf("Payrun demo: the sandbox gateway on this machine, an SQLite file in %s, no real money.", a.config.Data)
	f, err := a.newFlow(jobs.ImportChoice{GoodRows: true})
	if err != nil {
		return err
	}
	a.sayf("Rows with problems are named and left out; on your own sheets that is a choice (--good-rows).")
	return f.run(c.Sheet)
}

// runCmd takes a sheet of the user's own.
type runCmd struct {
	File     string `arg:"" help:"Sheet to pay, xlsx or csv." type:"path"`
	GoodRows bool   `help:"Import the good rows of a sheet that has bad ones too."`
}

// Run goes the whole way on the sandbox. On a live gateway it ends with a
// submitted batch, which a second person approves.
func (c *runCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	choice := jobs.ImportChoice{GoodRows: c.GoodRows}
	if a.config.Gateway.Sandbox() {
		a.sayf("No gateway is configured: this runs on the SANDBOX, no real money moves.")
		f, err := a.newFlow(choice)
		if err != nil {
			return err
		}
		return f.run(c.File)
	}
	return a.runLive(c.File, choice)
}

func (a *app) runLive(path string, choice jobs.ImportChoice) error {
	maker, err := a.user()
	if err != nil {
		return err
	}
	e, err := a.openEngine(a.config.Gateway.NotifyURL)
	if err != nil {
		return err
	}
	if err := a.limitsJob(e.Gateway).Run(a.ctx); err != nil {
		return fmt.Errorf("%w: %w", errGateway, err)
	}
	imported, err := a.importJob().File(a.ctx, maker, path, choice)
	if !a.cli.JSON {
		printProblems(a.out, imported)
	}
	if err != nil {
		return err
	}
	id := imported.Batch.ID
	p, err := e.Preflight(a.ctx, id)
	if err != nil {
		return err
	}
	if err := a.book.Submit(a.ctx, maker, id); err != nil {
		return err
	}
	return a.show(p, func() {
		a.printPreflight(p)
		a.sayf("\nBatch %d is submitted. A second person approves it: payrun batch approve %d", id, id)
	})
}

// importCmd turns sheets into batches.
type importCmd struct {
	Files    []string `arg:"" help:"Sheets, xlsx or csv." type:"path"`
	DryRun   bool     `help:"Judge the sheets without touching the database."`
	GoodRows bool     `help:"Import the good rows of a sheet that has bad ones too."`
}

// Run imports each sheet on its own; one that is refused does not keep the
// next from being imported.
func (c *importCmd) Run(a *app) error {
	im, maker, err := c.open(a)
	if err != nil {
		return err
	}
	var failed error
	for _, path := range c.Files {
		var done jobs.Imported
		var err error
		if c.DryRun {
			done, err = im.Check(a.ctx, path)
		} else {
			done, err = im.File(a.ctx, maker, path, jobs.ImportChoice{GoodRows: c.GoodRows})
		}
		a.printImported(path, done, err)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", path, err))
		} else if c.DryRun && done.Sheet.Rejected > 0 {
			failed = errors.Join(failed, fmt.Errorf("%s: %w: %d of %d", path, jobs.ErrRowsRejected, done.Sheet.Rejected, done.Sheet.Accepted+done.Sheet.Rejected))
		}
	}
	return failed
}

func (c *importCmd) open(a *app) (*jobs.Import, ledger.User, error) {
	if c.DryRun {
		if err := a.loadConfig(); err != nil {
			return nil, ledger.User{}, err
		}
		return a.importJob(), ledger.User{}, nil
	}
	maker, err := a.user()
	if err != nil {
		return nil, maker, err
	}
	return a.importJob(), maker, nil
}

func (a *app) printImported(path string, done jobs.Imported, err error) {
	if a.cli.JSON {
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		printJSON(a.out, map[string]any{"file": path, "sheet": done.Sheet, "problems": done.Problems, "found": done.Found, "batch": done.Batch, "error": problem})
		return
	}
	var refused *importers.FileError
	if errors.As(err, &refused) {
		return // the sentence is printed at the end, with the exit code
	}
	printProblems(a.out, done)
	s := done.Sheet
	a.sayf("%s: %d good rows, %d rejected, %d warnings", path, s.Accepted, s.Rejected, s.Warnings)
	for _, t := range s.Totals {
		a.sayf("  %-14s %6d payouts  %s", a.channelName(t.Channel), t.Count, amount(t.Amount, t.Currency))
	}
	for _, t := range s.ControlTotals {
		verdict := "agrees"
		if !t.Agrees {
			verdict = "DIFFERS: the rows add up to " + t.Found
		}
		a.sayf("  control %s in row %d: %s %s", t.Kind, t.Row, t.Given, verdict)
	}
	if b := done.Batch; b != nil {
		a.sayf("  batch %d, not submitted yet: payrun batch submit %d", b.ID, b.ID)
		if b.Repeats > 0 {
			a.sayf("  The same rows were imported before, as batch %d: a checker has to allow the repeat (payrun batch allow-repeat %d --reason …).", b.Repeats, b.ID)
		}
	}
}

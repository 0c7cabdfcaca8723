package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"payrun/importers"
	"payrun/internal/database"
	"payrun/jobs"
	"payrun/ledger"
)

// demoCmd is the whole way on the sandbox, with the sheet that ships with
// Payrun.
type demoCmd struct {
	Sheet string `help:"Another sheet to pay." default:"examples/payouts.xlsx" placeholder:"FILE"`
}

// Run never touches a live gateway, even when one is configured.
func (c *demoCmd) Run(a *app) error {
	if err := a.loadQuietly(); err != nil {
		return err
	}
	if !a.config.Gateway.Sandbox() {
		return usagef("the demo never touches a live gateway; run it without --config and without PAYRUN_GATEWAY_URL")
	}
	if err := findSheet(c.Sheet); err != nil {
		return fmt.Errorf("%w; run the demo in Payrun's own folder, or name a sheet with --sheet", err)
	}
	a.sayf("Payrun demo, no real money: the gateway is a sandbox on this machine,\nthe books are in %s.", a.databaseName())
	f, err := a.newFlow(jobs.ImportChoice{GoodRows: true, Totals: jobs.AnyTotals})
	if err != nil {
		return err
	}
	return f.run(c.Sheet)
}

// runCmd takes a sheet of the user's own.
type runCmd struct {
	File string `arg:"" help:"Sheet to pay, xlsx or csv."`
	howRead
	ConfirmWarnings bool `help:"Confirm all warnings but repeats as the maker (on the sandbox that is done anyway)."`
}

// Run goes the whole way on the sandbox. On a live gateway it ends with a
// submitted batch, which a second person approves.
func (c *runCmd) Run(a *app) error {
	if err := a.loadQuietly(); err != nil {
		return err
	}
	if err := findSheet(c.File); err != nil { // before anything is opened
		return err
	}
	choice, err := c.choice(a)
	if err != nil {
		return err
	}
	if !a.config.Gateway.Sandbox() {
		return a.runLive(c.File, choice, c.ConfirmWarnings)
	}
	if choice.Totals == "" {
		choice.Totals = jobs.AnyTotals // no money is at stake
	}
	a.sayf("No gateway is configured: this runs on the SANDBOX, no real money moves.")
	f, err := a.newFlow(choice)
	if err != nil {
		return err
	}
	f.annotates = true
	return f.run(c.File)
}

// findSheet names a sheet that is not there before anything is done.
func findSheet(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no file called %s", errSheet, path)
	case err != nil:
		return fmt.Errorf("%w: %w", errSheet, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a file", errSheet, path)
	}
	return nil
}

// sheetError tells a sheet that cannot be read from a store that is away.
func sheetError(path string, err error) error {
	if errors.Is(err, errSheet) {
		return err
	}
	if refusal, ok := errors.AsType[*importers.FileError](err); ok { // its sentence says it all
		return fmt.Errorf("%s: %w", relative(path), refusal)
	}
	if as[*fs.PathError](err) && !errors.Is(err, database.ErrUnusable) {
		return fmt.Errorf("%w: %w", errSheet, err)
	}
	return fmt.Errorf("%s: %w", relative(path), err)
}

// runLive sends nothing, so it works beside a payrun serve on the same store.
func (a *app) runLive(path string, choice jobs.ImportChoice, confirm bool) error {
	maker, err := a.user()
	if err != nil {
		return err
	}
	gateway, err := a.openGateway(a.config.Gateway.NotifyURL)
	if err != nil {
		return err
	}
	if _, err := a.askGateway(gateway); err != nil {
		return err
	}
	a.sayf("Importing %s as %s.", relative(path), maker.Name)
	imported, err := a.importJob().File(a.ctx, maker, path, choice)
	if !a.cli.JSON {
		printProblems(a.out, imported)
		copied := a.annotateBeside(path, imported, err)
		a.printCopy(copied)
		a.printStaleCopies(path, copied.path, imported.Batch)
	}
	if err != nil {
		return sheetError(path, err)
	}
	p, err := a.newEngine(gateway).Preflight(a.ctx, imported.Batch.ID)
	if err != nil {
		return err
	}
	return a.submitLive(maker, p, confirm)
}

func (a *app) submitLive(maker ledger.User, p jobs.Preflight, confirm bool) error {
	id := p.Batch.ID
	if !a.cli.JSON {
		a.printPreflight(p)
	}
	if p.Batch.Repeats > 0 {
		return fmt.Errorf("%w: the same rows were imported before, as batch %d; batch %d waits for a checker: payrun batch allow-repeat %d --reason …",
			ledger.ErrConflict, p.Batch.Repeats, id, id)
	}
	if confirm {
		if err := a.confirmAll(maker, id, ""); err != nil {
			return err
		}
	}
	if err := a.hintConfirming(id, a.book.Submit(a.ctx, maker, id)); err != nil {
		return err
	}
	var err error
	if p.Batch, err = a.book.Batch(a.ctx, id); err != nil {
		return err
	}
	next, err := a.nextOfBatch(id)
	if err != nil {
		return err
	}
	return a.show(viewPreflight(p), func() {
		a.sayf("\nBatch %d is submitted by %s. %s", id, maker.Name, next)
	})
}

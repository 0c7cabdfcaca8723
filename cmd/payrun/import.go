package main

import (
	"errors"
	"fmt"
	"io"

	"payrun/importers"
	"payrun/jobs"
	"payrun/ledger"
)

// importCmd turns sheets into batches.
type importCmd struct {
	Files  []string `arg:"" help:"Sheets, xlsx or csv."`
	DryRun bool     `help:"Judge the sheets without touching the database."`
	howRead
}

// Run imports each sheet on its own; one that is refused does not keep the
// next from being imported.
func (c *importCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	choice, err := c.choice(a)
	if err != nil {
		return err
	}
	if c.DryRun && choice.Totals == "" {
		choice.Totals = jobs.AnyTotals // they are what somebody wants to know
	}
	var maker ledger.User
	if !c.DryRun {
		if maker, err = a.user(); err != nil {
			return err
		}
	}
	var failed error
	for _, path := range c.Files {
		imported, err := c.one(a, maker, path, choice)
		if err != nil {
			err = sheetError(path, err)
			failed = errors.Join(failed, err)
		}
		a.printImported(path, imported, err)
		if c.DryRun && !a.cli.JSON {
			a.printDryRun(imported.Sheet, choice)
		}
	}
	return failed
}

func (c *importCmd) one(a *app, maker ledger.User, path string, choice jobs.ImportChoice) (jobs.Imported, error) {
	if err := findSheet(path); err != nil {
		return jobs.Imported{}, err
	}
	if c.DryRun {
		return a.importJob().Check(a.ctx, path, choice)
	}
	return a.importJob().File(a.ctx, maker, path, choice)
}

type importedView struct {
	File     string           `json:"file"`
	Batch    *batchView       `json:"batch"` // null when nothing was imported
	Accepted int              `json:"accepted"`
	Rejected int              `json:"rejected"`
	Blank    int              `json:"blank"`
	Warnings int              `json:"warnings"`
	Columns  []columnView     `json:"columns"`
	Totals   []totalView      `json:"totals"`
	Problems []rowProblemView `json:"problems"`
	Found    int              `json:"problems_found"` // problems lists the first ones
	Error    string           `json:"error,omitempty"`
}

func viewImported(path string, im jobs.Imported, err error) importedView {
	s := im.Sheet
	v := importedView{
		File: path, Accepted: s.Accepted, Rejected: s.Rejected, Blank: s.Blank, Warnings: s.Warnings,
		Problems: views(im.Problems, viewFound), Found: im.Found, Columns: views(s.Columns, viewColumn),
		Totals: views(s.Totals, func(t importers.Total) totalView {
			return totalView{Channel: t.Channel, Currency: t.Currency, Payouts: int64(t.Count), Amount: decimal(t.Amount, t.Currency)}
		}),
	}
	if im.Batch != nil {
		b := viewBatch(*im.Batch)
		v.Batch = &b
	}
	if err != nil {
		v.Error = err.Error()
	}
	return v
}

func (a *app) printImported(path string, done jobs.Imported, err error) {
	if a.cli.JSON {
		printJSON(a.out, viewImported(path, done, err))
		return
	}
	s := done.Sheet
	if s.Accepted+s.Rejected == 0 {
		return // the sentence is printed at the end, with the exit code
	}
	a.sayf("%s: %s, %s rejected, %s", relative(path), counted(s.Accepted, "good row", "good rows"), count(s.Rejected), counted(s.Warnings, "warning", "warnings"))
	t := newTable(a.out, "channel", "payouts ", "amount ", "currency")
	for _, total := range s.Totals {
		t.row(a.channelName(total.Channel), count(total.Count), grouped(total.Amount, total.Currency), total.Currency)
	}
	t.flush()
	for _, total := range s.ControlTotals {
		verdict := "agrees"
		if !total.Agrees {
			verdict = "DIFFERS: the rows add up to " + total.Found
		}
		a.sayf("  control %s in row %d: %s %s", total.Kind, total.Row, total.Given, verdict)
	}
	printProblems(a.out, done)
	a.printNext(done.Batch, done.ToConfirm)
}

// printNext says who has to do what with a new batch.
func (a *app) printNext(b *ledger.Batch, toConfirm int64) {
	switch {
	case b == nil:
	case b.Repeats > 0:
		a.sayf("\nBatch %d. The same rows were imported before, as batch %d:\na checker has to allow the repeat (payrun batch allow-repeat %d --reason …),\nthen: payrun batch submit %d", b.ID, b.Repeats, b.ID, b.ID)
	case toConfirm > 0:
		a.sayf("\nBatch %d, not submitted yet. %s to confirm first: payrun batch warnings %d", b.ID, counted(toConfirm, "warning", "warnings"), b.ID)
	default:
		a.sayf("\nBatch %d, not submitted yet. Next: payrun batch submit %d", b.ID, b.ID)
	}
}

// shownProblems is how many problems of a sheet fit on a screen.
const shownProblems = 50

func printProblems(w io.Writer, im jobs.Imported) {
	if im.Found == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", counted(im.Found, "problem", "problems"))
	for i, p := range im.Problems {
		if i == shownProblems {
			break
		}
		mark := "rejected"
		if p.Severity == importers.Warning {
			mark = "warning "
		}
		fmt.Fprintf(w, "  %s  %s\n%s\n", mark, p.Where(), wrapped(p.Message, "            "))
	}
	if im.Found > shownProblems {
		fmt.Fprintf(w, "  … and %s more\n", count(im.Found-shownProblems))
	}
}

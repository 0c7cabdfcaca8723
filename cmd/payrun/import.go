package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"payrun/importers"
	"payrun/internal/sheets"
	"payrun/jobs"
	"payrun/ledger"
)

// importCmd turns sheets into batches.
type importCmd struct {
	Files  []string `arg:"" help:"Sheets, xlsx or csv."`
	DryRun bool     `help:"Judge the sheets without touching the database."`
	howRead
	// An import that leaves something to correct writes the copy beside the
	// sheet; a dry run only where it is told to.
	Annotated string `help:"Where the copy with the problems marked goes (default: beside a sheet that has any; a dry run writes none)." placeholder:"FILE.xlsx"`
}

// Run imports each sheet on its own; one that is refused does not keep the
// next from being imported.
func (c *importCmd) Run(a *app) error {
	if c.Annotated != "" && len(c.Files) > 1 {
		return usagef("--annotated names one file, but %d sheets are imported", len(c.Files))
	}
	if c.Annotated != "" && !strings.EqualFold(filepath.Ext(c.Annotated), ".xlsx") {
		return usagef("the annotated copy is a workbook: give --annotated a name that ends in .xlsx")
	}
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
		copied, copyErr := c.annotate(a, path, imported, err)
		failed = errors.Join(failed, copyErr)
		a.printImported(path, copied, imported, err)
		if imported.Batch != nil && !a.cli.JSON {
			a.printStaleCopies(path, copied.path, imported.Batch)
			failed = errors.Join(failed, a.warnOfOverlaps(imported.Batch.ID))
		}
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

// markedCopy is the annotated copy of a sheet. Both are zero when there is
// nothing to correct.
type markedCopy struct {
	path    string
	options string // that it needs to be read as the sheet was
	missing error  // why there is none
}

// annotate writes the copy with the problems marked, if there is something to
// correct. Only one that was asked for by name is an error when it is missing.
func (c *importCmd) annotate(a *app, path string, done jobs.Imported, importErr error) (markedCopy, error) {
	switch {
	case c.Annotated != "":
		if j := done.Judgement(path, importErr); j.Faulty() {
			if err := done.Annotate(a.ctx, path, c.Annotated, j); err != nil {
				return markedCopy{}, fmt.Errorf("there is no annotated copy: %w", err)
			}
			return markedCopy{path: c.Annotated, options: j.Options}, nil
		}
	case !c.DryRun:
		return a.annotateBeside(path, done, importErr), nil
	}
	return markedCopy{}, nil
}

// annotateBeside writes the copy beside the sheet, under a name that is free.
func (a *app) annotateBeside(path string, done jobs.Imported, importErr error) markedCopy {
	j := done.Judgement(path, importErr)
	switch {
	case !j.Faulty(), errors.Is(importErr, jobs.ErrTotals): // only a word is missing, to import it as it is
		return markedCopy{}
	case !j.Markable():
		return markedCopy{} // why the file was refused says it all
	}
	for n := 1; ; n++ {
		target := copyName(path, n)
		err := done.Annotate(a.ctx, path, target, j)
		switch {
		case err == nil:
			return markedCopy{path: target, options: j.Options}
		case !errors.Is(err, fs.ErrExist):
			return markedCopy{missing: err}
		}
	}
}

var copyEnding = regexp.MustCompile(`\.problems(-\d+)?\.xlsx$`)

// copyName names the nth copy of a sheet; the copy of a copy has the first
// sheet's name.
func copyName(path string, n int) string {
	path = copyEnding.ReplaceAllString(path, "")
	if n == 1 {
		return path + ".problems.xlsx"
	}
	return fmt.Sprintf("%s.problems-%d.xlsx", path, n)
}

// importedView is the sheet's twin, and what the store made of it.
type importedView struct {
	sheets.Twin
	Batch     *batchView `json:"batch"` // null when nothing was imported
	Annotated string     `json:"annotated,omitempty"`
}

func viewImported(path string, copied markedCopy, done jobs.Imported, err error) importedView {
	v := importedView{Twin: done.Judgement(path, err).Twin(), Annotated: copied.path}
	v.File = path
	if done.Batch != nil {
		b := viewBatch(*done.Batch, ledger.Ended{})
		v.Batch = &b
	}
	return v
}

func (a *app) printImported(path string, copied markedCopy, done jobs.Imported, err error) {
	if a.cli.JSON {
		printJSON(a.out, viewImported(path, copied, done, err))
		return
	}
	s := done.Sheet
	if s.Accepted+s.Rejected == 0 {
		a.printCopy(copied)
		return // the sentence is printed at the end, with the exit code
	}
	a.sayf("%s: %s, %s rejected, %s", relative(path), counted(s.Accepted, "good row", "good rows"), count(s.Rejected), counted(s.Warnings, "warning", "warnings"))
	t := newTable(a.out, "channel", "payouts ", "amount ", "currency")
	for _, total := range s.Totals {
		t.row(a.channelName(total.Channel), count(total.Count), grouped(total.Amount, total.Currency), total.Currency)
	}
	t.flush()
	for _, total := range s.ControlTotals {
		a.sayf("  control %s in row %d: %s %s", total.Kind, total.Row, cmp.Or(total.Given, "(empty)"), controlVerdict(total))
	}
	a.printIgnored(done.Reading)
	printProblems(a.out, done)
	a.printCopy(copied)
	if copied.missing != nil && done.Batch != nil { // no mark in a copy keeps them from being imported again
		a.sayf("Delete its good rows, which are imported, before you hand the sheet in again.")
	}
	a.printNext(done.Batch, done.Reading.Warnings)
}

// controlVerdict says what came of comparing a total, and of which rows.
func controlVerdict(total importers.ControlTotal) string {
	unread := counted(total.Unread, "row", "rows") + " without a readable amount"
	switch {
	case total.Unchecked && total.Unread > 0:
		return fmt.Sprintf("could not be checked: there is %s, the others add up to %s", unread, total.Found)
	case total.Unchecked:
		return "could not be compared"
	case !total.Agrees && total.Kind == importers.ControlCount:
		return "DIFFERS: there are " + total.Found + " payout rows"
	case !total.Agrees:
		return "DIFFERS: the rows add up to " + total.Found
	case total.Unread > 0:
		return "agrees, but leaves out " + unread
	case total.Below > 0:
		return "agrees with the rows above it, but " + counted(total.Below, "payout row stands", "payout rows stand") + " below it"
	}
	return "agrees"
}

func (a *app) printCopy(copied markedCopy) {
	switch {
	case copied.path != "" && copied.options != "":
		a.sayf("\nThe problems are marked in %s: correct them there and hand that in,\nas before with %s.", relative(copied.path), copied.options)
	case copied.path != "":
		a.sayf("\nThe problems are marked in %s: correct them there and hand that in.", relative(copied.path))
	case copied.missing != nil:
		a.sayf("\nThere is no annotated copy: %v.\nThe first 1,000 problems are listed by payrun import --dry-run --json.", copied.missing)
	}
}

// printNext says who has to do what with a new batch.
func (a *app) printNext(b *ledger.Batch, toConfirm int64) {
	switch {
	case b == nil:
	case b.Repeats > 0:
		a.sayf("\nBatch %d. The same rows were imported before, as batch %d:\na checker has to allow the repeat: payrun batch allow-repeat %d --reason …,\nwhich says what comes next", b.ID, b.Repeats, b.ID)
	case toConfirm > 0:
		a.sayf("\nBatch %d, not submitted yet. %s to confirm first: payrun batch warnings %d", b.ID, counted(toConfirm, "warning", "warnings"), b.ID)
	default:
		a.sayf("\nBatch %d, not submitted yet. Next: payrun batch submit %d", b.ID, b.ID)
	}
}

// shownProblems is how many kinds of problems of a sheet fit on a screen.
const shownProblems = 50

func printProblems(w io.Writer, im jobs.Imported) {
	if im.Found == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", counted(im.Found, "problem", "problems"))
	shown := 0
	for i, same := range sameProblems(im.Problems) {
		if i == shownProblems {
			break
		}
		mark := "rejected"
		if same[0].Severity == importers.Warning {
			mark = "warning "
		}
		fmt.Fprintf(w, "  %s  %s\n%s\n", mark, whereAll(same), wrapped(same[0].Message, "            "))
		shown += len(same)
	}
	if im.Found > shown {
		fmt.Fprintf(w, "  … and %s more\n", count(im.Found-shown))
	}
}

// sameProblems puts together what is wrong in the same way in many rows of a
// column, in the order of the first ones.
func sameProblems(problems []importers.Problem) [][]importers.Problem {
	var all [][]importers.Problem
	at := map[importers.Problem]int{}
	for _, p := range problems {
		key := importers.Problem{Code: p.Code, Severity: p.Severity, Sheet: p.Sheet, Column: p.Column, Message: p.Message}
		i, known := at[key]
		if !known {
			i = len(all)
			at[key] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], p)
	}
	return all
}

// listedRows is how many rows are named one by one.
const listedRows = 10

// whereAll names the rows of problems that are the same but for those.
func whereAll(same []importers.Problem) string {
	var rows []int
	for _, p := range same {
		rows = append(rows, p.Row)
	}
	slices.Sort(rows) // totals above the headings are judged last
	if rows = slices.Compact(rows); len(rows) == 1 {
		return same[0].Where()
	}
	first, last := rows[0], rows[len(rows)-1]
	list := importers.RowList(rows)
	if len(rows) > listedRows && last-first >= len(rows) { // and not one run
		list = fmt.Sprintf("%s rows from %d to %d", count(len(rows)), first, last)
	}
	return strings.Replace(same[0].Where(), fmt.Sprintf("row %d", same[0].Row), list, 1)
}

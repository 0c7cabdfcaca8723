package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"payrun/internal/money"
	"payrun/ledger"
)

// printOverlaps says what a batch that is not approved yet would pay again.
func (a *app) printOverlaps(b ledger.Batch, overlaps []ledger.Overlap) {
	if b.State != ledger.Valid && b.State != ledger.Submitted {
		return
	}
	for _, o := range overlaps {
		a.sayf("\nPAID TWICE? %s in batch %d already (%s), %s: %s would be paid a second time.",
			overlapping(o.Payouts, b.Accepted), o.Batch, o.State, alike(o), amount(o.Amount, o.Currency))
	}
}

// overlapping says how many of a batch's rows some are.
func overlapping(rows, of int64) string {
	switch {
	case of == 1:
		return "The only row is"
	case rows == 1:
		return fmt.Sprintf("1 of these %s rows is", count(of))
	}
	return fmt.Sprintf("%s of these %s rows are", count(rows), count(of))
}

// alike says in what the payments of two batches are the same.
func alike(o ledger.Overlap) string {
	switch o.Referenced {
	case 0:
		return "same wallet and amount"
	case o.Payouts:
		return "same reference,\nwallet and amount"
	}
	return "same wallet,\namount and, where they have one, reference"
}

// warnOfOverlaps says the same to who is about to decide, or has just made it.
func (a *app) warnOfOverlaps(batch int64) error {
	b, err := a.book.Batch(a.ctx, batch)
	if err != nil {
		return err
	}
	overlaps, err := a.book.Overlaps(a.ctx, batch)
	if err != nil {
		return err
	}
	a.printOverlaps(b, overlaps)
	return nil
}

type overlapView struct {
	Batch    int64          `json:"batch"`
	State    ledger.State   `json:"state"`
	Payouts  int64          `json:"payouts"`
	Amount   string         `json:"amount"`
	Currency money.Currency `json:"currency"`
}

func viewOverlap(o ledger.Overlap) overlapView {
	return overlapView{o.Batch, o.State, o.Payouts, decimal(o.Amount, o.Currency), o.Currency}
}

// printStaleCopies names the copies of a sheet that were written before its
// rows were imported. They do not know that, so that correcting one of them
// would pay the same rows again.
func (a *app) printStaleCopies(path, copied string, done *ledger.Batch) {
	if done == nil {
		return
	}
	first := copyName(path, 1)
	entries, err := os.ReadDir(filepath.Dir(first))
	if err != nil {
		return // a hint is no reason to fail
	}
	var stale []string
	for _, entry := range entries {
		name := filepath.Join(filepath.Dir(first), entry.Name())
		theirs := !copyEnding.MatchString(name) || copyName(name, 1) != filepath.Clean(first)
		if theirs || name == filepath.Clean(copied) || name == filepath.Clean(path) && done.Rejected == 0 {
			continue
		}
		stale = append(stale, relative(name))
	}
	if len(stale) == 0 {
		return
	}
	use := ""
	if copied != "" {
		use = "Use only " + relative(copied) + " from now on. "
	}
	a.sayf("%sThrow the older copies away, they do not know what was imported:\n  %s", use, strings.Join(stale, "\n  "))
}

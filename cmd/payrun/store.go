package main

import (
	"errors"
	"fmt"

	"payrun/jobs"
	"payrun/ledger"
	"payrun/migrations"
)

// migrateCmd brings the database up to date.
type migrateCmd struct{}

// Run migrates.
func (c *migrateCmd) Run(a *app) error {
	if err := a.openDatabase(); err != nil {
		return err
	}
	applied, err := migrations.Up(a.ctx, a.db)
	if err != nil {
		return fmt.Errorf("%s: %w", a.databaseName(), err)
	}
	if applied == nil {
		applied = []int64{}
	}
	return a.show(map[string]any{"applied": applied}, func() {
		if len(applied) == 0 {
			a.sayf("The database is up to date.")
			return
		}
		a.sayf("The database is up to date; applied versions %v.", applied)
	})
}

// verifyCmd checks the ledger.
type verifyCmd struct{}

type verifyView struct {
	Checks   []verifiedView `json:"checks"`
	Breaches []breachView   `json:"breaches"`
}

type verifiedView struct {
	Name     string `json:"name"`
	Promise  string `json:"promise"`
	Breaches int    `json:"breaches"`
}

type breachView struct {
	Check string `json:"check"`
	Row   string `json:"row"`
	Wrong string `json:"wrong"`
}

func viewBreach(b ledger.Breach) breachView { return breachView{b.Check, b.Row, b.Wrong} }

func (a *app) printBreaches(breaches []breachView) {
	for _, b := range breaches {
		a.sayf("%s: %s: %s", b.Check, b.Row, b.Wrong)
	}
}

// Run checks every promise and names the rows that break one.
func (c *verifyCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	verify := jobs.Verify{Book: a.book, Heads: a.heads()}
	checks, breaches, err := verify.Look(a.ctx)
	if err != nil {
		return err
	}
	if len(breaches) > 0 {
		err = errBreach
	}
	view := verifyView{
		Checks:   views(checks, func(c ledger.Check) verifiedView { return verifiedView{c.Name, c.Promise, c.Breaches} }),
		Breaches: views(breaches, viewBreach),
	}
	return errors.Join(a.show(view, func() { a.printVerified(view) }), err)
}

func (a *app) printVerified(v verifyView) {
	t := newTable(a.out, "", "check", "promise")
	for _, check := range v.Checks {
		verdict := "ok"
		if check.Breaches > 0 {
			verdict = "FAIL"
		}
		t.row(verdict, check.Name, check.Promise)
	}
	t.flush()
	a.sayf("")
	a.printBreaches(v.Breaches)
	if len(v.Breaches) == 0 {
		a.sayf("All %d checks passed.", len(v.Checks))
	}
}

// versionCmd prints the version.
type versionCmd struct{}

// Run prints it.
func (c *versionCmd) Run(a *app) error {
	return a.show(map[string]string{"version": version}, func() { a.sayf("payrun %s", version) })
}

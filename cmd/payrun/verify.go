package main

import (
	"errors"

)

// verifyCmd checks the ledger.
type verifyCmd struct{}

// Run checks every promise and names the rows that break one.
func (c *verifyCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	checks, breaches, err := a.book.Verify(a.ctx)
	if err != nil {
		return err
	}
	if len(breaches) > 0 {
		err = errBreach
	}
	return errors.Join(a.show(map[string]any{"checks": checks, "breaches": breaches}, func() {
		for _, check := range checks {
			verdict := "ok  "
			if check.Breaches > 0 {
				verdict = "FAIL"
			}
			a.sayf("  %s  %-14s %s", verdict, check.Name, check.Promise)
		}
		for _, b := range breaches {
			a.sayf("  %s: %s: %s", b.Check, b.Row, b.Wrong)
		}
		if len(breaches) == 0 {
			a.sayf("All %d checks passed.", len(checks))
		}
	}), err)
}

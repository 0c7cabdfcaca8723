package main

import (
	"cmp"
	"strings"

	"payrun/internal/database"
	"payrun/ledger"
)

// exceptionsCmd shows what a person has to look at.
type exceptionsCmd struct {
	List  exceptionsListCmd  `cmd:"" default:"withargs" help:"Open cases, oldest first: what is wrong, since when, and what to do next."`
	Close exceptionsCloseCmd `cmd:"" help:"Close a case that is about no single payout (checker)."`
}

type exceptionsListCmd struct {
	Limit int `help:"How many to print at most; --json has all." default:"100"`
}

// Run lists cases.
func (c *exceptionsListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	open, err := a.book.Exceptions(a.ctx)
	if err != nil {
		return err
	}
	now, err := a.book.Now(a.ctx)
	if err != nil {
		return err
	}
	return a.show(views(open, viewException), func() {
		if len(open) == 0 {
			a.sayf("Nothing needs a person.")
		}
		for i, e := range open {
			if i == c.Limit {
				a.sayf("%s, opened later: --limit %d shows all", counted(len(open)-i, "more case", "more cases"), len(open))
				break
			}
			a.printCase(e, now)
		}
	})
}

func (a *app) printCase(e ledger.Exception, now database.Instant) {
	about := cmp.Or(strings.TrimSpace(e.Subject), "everything")
	switch {
	case e.OrderNo != "":
		about = "payout " + e.OrderNo
	case e.BatchID != 0:
		about = "batch " + count(e.BatchID)
	}
	a.sayf("Case %d, %s, for %s: %s", e.ID, e.Kind, shortAge(now.Sub(e.OpenedAt)), about)
	a.sayf("%s", wrapped(e.Detail, "  "))
	a.sayf("  Next: %s", e.NextStep)
}

type exceptionsCloseCmd struct {
	Case int64 `arg:"" help:"Number of the case."`
	withReason
}

// Run closes a case.
func (c *exceptionsCloseCmd) Run(a *app) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := a.book.SettleException(a.ctx, user, c.Case, c.Reason); err != nil {
		return err
	}
	return a.show(map[string]any{"case": c.Case, "closed": true, "by": user.Name}, func() { a.sayf("Case %d is closed by %s.", c.Case, user.Name) })
}

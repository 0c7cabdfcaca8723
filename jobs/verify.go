package jobs

import (
	"context"
	"errors"
	"fmt"

	"payrun/ledger"
)

// ErrBreach: the ledger breaks a promise.
var ErrBreach = errors.New("the ledger breaks a promise")

// Verify checks every promise of the ledger. A case is open while one is
// broken.
type Verify struct {
	Book  *ledger.Book
	Heads Heads // of the closed days; "" for none
	Actor string
}

// Look makes every check: those of the ledger itself, and what is kept of it
// outside.
func (v *Verify) Look(ctx context.Context) ([]ledger.Check, []ledger.Breach, error) {
	checks, breaches, err := v.Book.Verify(ctx)
	if err != nil || v.Heads == "" {
		return checks, breaches, err
	}
	check, found, err := v.Heads.compare(ctx, v.Book)
	return append(checks, check), append(breaches, found...), err
}

// Run returns how many checks were made, or ErrBreach with the first row that
// breaks a promise.
func (v *Verify) Run(ctx context.Context) (detail string, err error) {
	checks, breaches, err := v.Look(ctx)
	if err != nil {
		return "", err
	}
	var cases []ledger.Exception
	if len(breaches) > 0 {
		first := breaches[0]
		err = fmt.Errorf("%w: %d rows, the first: %s: %s: %s", ErrBreach, rowsBroken(checks), first.Check, first.Row, first.Wrong)
		cases = append(cases, ledger.Exception{
			Subject: "ledger", Detail: err.Error(),
			NextStep: "payrun verify names every row; until it is explained, payrun stop everything --reason … sends nothing more",
		})
	}
	if keepErr := v.Book.KeepCases(ctx, v.Actor, ledger.ExceptionNotVerified, cases); keepErr != nil {
		return "", errors.Join(err, keepErr)
	}
	return fmt.Sprintf("%d checks passed", len(checks)), err
}

func rowsBroken(checks []ledger.Check) (rows int) {
	for _, c := range checks {
		rows += c.Breaches
	}
	return rows
}

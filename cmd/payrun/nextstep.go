package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"payrun/ledger"
)

// nextOf says who has to do what about a batch before it is sent, with a
// command that works as it stands; "" once it is approved or dropped.
func nextOf(b ledger.Batch, kinds []ledger.WarningKind) string {
	checker := "Next, a checker other than " + b.Maker + ": "
	switch {
	case b.State == ledger.Valid && b.Repeats > 0 && b.RepeatNumber == 0:
		return fmt.Sprintf("%spayrun batch allow-repeat %d --reason …", checker, b.ID)
	case b.State == ledger.Valid && unconfirmed(b, kinds) != "":
		return fmt.Sprintf("Next, %s: payrun batch warnings %d, then %s, then payrun batch submit %d", b.Maker, b.ID, confirmCommands(b, kinds), b.ID)
	case b.State == ledger.Valid:
		return fmt.Sprintf("Next, %s: payrun batch submit %d", b.Maker, b.ID)
	case b.State == ledger.Submitted && slices.ContainsFunc(kinds, func(k ledger.WarningKind) bool { return k.Open > 0 }):
		return fmt.Sprintf("%spayrun batch reject %d --reason …, as what its maker confirmed has ended since", checker, b.ID)
	case b.State == ledger.Submitted && unconfirmed(b, kinds) != "":
		return fmt.Sprintf("%spayrun batch warnings %d, then %s, then payrun batch approve %d", checker, b.ID, confirmCommands(b, kinds), b.ID)
	case b.State == ledger.Submitted:
		return fmt.Sprintf("%spayrun batch approve %d", checker, b.ID)
	}
	return ""
}

// unconfirmed names the kinds of warnings that somebody has to confirm now.
func unconfirmed(b ledger.Batch, kinds []ledger.WarningKind) string {
	var open []string
	for _, k := range kinds {
		if waits(b, k) {
			open = append(open, k.Code)
		}
	}
	return strings.Join(open, " ")
}

// confirmCommands are the commands that confirm them, one for each kind.
func confirmCommands(b ledger.Batch, kinds []ledger.WarningKind) string {
	var commands []string
	for _, code := range strings.Fields(unconfirmed(b, kinds)) {
		commands = append(commands, fmt.Sprintf("payrun batch confirm %d --kind %s", b.ID, code))
	}
	return strings.Join(commands, ", ")
}

// nextOfBatch reads what nextOf needs.
func (a *app) nextOfBatch(id int64) (string, error) {
	b, err := a.book.Batch(a.ctx, id)
	if err != nil {
		return "", err
	}
	kinds, err := a.book.WarningKinds(a.ctx, id)
	return nextOf(b, kinds), err
}

// hintedError knows what to do about it.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Unwrap() error { return e.error }

// hintConfirming adds, to the refusal of a batch whose warnings are not
// confirmed, the commands that confirm them.
func (a *app) hintConfirming(id int64, err error) error {
	if !errors.Is(err, ledger.ErrUnconfirmed) {
		return err
	}
	b, readErr := a.book.Batch(a.ctx, id)
	if readErr != nil {
		return err
	}
	kinds, readErr := a.book.WarningKinds(a.ctx, id)
	if readErr != nil || unconfirmed(b, kinds) == "" {
		return err
	}
	return hintedError{err, fmt.Sprintf("payrun batch warnings %d lists them; %s confirms them, by name", id, confirmCommands(b, kinds))}
}

// nextOfFailed says how the failed payouts of a batch are paid again; "" if
// none is left that can be.
func (a *app) nextOfFailed(batch int64) (string, error) {
	const most = 1000
	failed, err := a.failedPayouts(batch, most)
	if err != nil || len(failed) == 0 {
		return "", err
	}
	for _, p := range failed {
		if p.GatewayOrder == "" {
			return fmt.Sprintf("Next: payrun payout list --batch %d says how each failed payout is paid again", batch), nil
		}
	}
	return fmt.Sprintf("Next, a maker: payrun repay --batch %d --reason …", batch), nil
}

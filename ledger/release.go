package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"payrun/internal/database"
)

// Resend says who lets a payout that is proven absent be sent again.
type Resend string

// The ways to release.
const (
	// ResendManual waits for two people. It is the default, because no
	// document promises that a gateway refuses an order number it has seen.
	ResendManual Resend = "manual"
	// ResendAutomatic is for gateways that have confirmed that they do.
	ResendAutomatic Resend = "automatic"
)

// Concluded counts what became of payouts whose absence was proven.
type Concluded struct{ Released, Failed int }

// Conclude ends the doubt about those of the payouts that are proven absent,
// as far as nobody has to be asked: one whose every attempt was refused with a
// code that is proven to mean "not created" has failed, and with
// ResendAutomatic any other is released to be sent again, under the same order
// number and to the letter. The rest keep their cases.
func (b *Book) Conclude(ctx context.Context, actor string, payouts []int64) (Concluded, error) {
	var done Concluded
	findings, err := b.conclusions(ctx, payouts)
	if err != nil || len(findings) == 0 {
		return done, err
	}
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		r := recording{book: b, tx: tx, actor: actor, findings: slices.Clone(findings), guard: b.stillProven}
		if err := r.run(ctx); err != nil {
			return err
		}
		done = Concluded{}
		r.eachChange(func(_ int, f Finding, _ changedPayout) {
			if f.To == Failed {
				done.Failed++
			} else {
				done.Released++
			}
		})
		return nil
	})
	if err != nil {
		return Concluded{}, fmt.Errorf("conclude doubts: %w", err)
	}
	return done, nil
}

// conclusions is what could be concluded, judged without any lock.
func (b *Book) conclusions(ctx context.Context, payouts []int64) (findings []Finding, err error) {
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		findings, err = b.conclude(ctx, tx, payouts)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find what can be concluded: %w", err)
	}
	return findings, nil
}

func (b *Book) conclude(ctx context.Context, tx *database.Tx, payouts []int64) ([]Finding, error) {
	all, err := readGrounds(ctx, tx, payouts)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, g := range all {
		f := Finding{
			PayoutID: g.ID, AttemptID: g.Attempt, From: Unknown, basis: g.Newest,
			Note: fmt.Sprintf("the gateway said \"not found\" %d times within %s", g.Answers, g.Last.Sub(g.First).Round(time.Second)),
		}
		switch {
		case g.State != Unknown || b.proof.missing(g) != "":
			continue
		case g.Sent > 0 && g.Sent == g.NotCreated:
			f.To, f.Reason = Failed, ByProof
		case b.resend == ResendAutomatic && b.proof.spent(g) == "":
			f.To, f.Reason = Approved, ByRelease
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings, nil
}

// stillProven keeps the findings that hold now that the payouts are locked: a
// notification may have come, or another worker was faster.
func (b *Book) stillProven(ctx context.Context, tx *database.Tx, findings []Finding) ([]Finding, error) {
	payouts := make([]int64, len(findings))
	for i, f := range findings {
		payouts[i] = f.PayoutID
	}
	if err := lockPayouts(ctx, tx, payouts); err != nil {
		return nil, err
	}
	now, err := b.conclude(ctx, tx, payouts)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(now, func(f Finding) bool { return !slices.Contains(findings, f) }), nil
}

// lockPayouts locks them in one order for all transactions.
func lockPayouts(ctx context.Context, tx *database.Tx, payouts []int64) error {
	given := database.Rows{database.Ints("v_payout", slices.Sorted(slices.Values(payouts)))}
	_, err := database.Select[int64](ctx, tx, given,
		"SELECT p.id FROM payouts p WHERE p.id IN (SELECT v_payout FROM v) ORDER BY p.id"+tx.Dialect.ForUpdate)
	return err
}

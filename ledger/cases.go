package ledger

import (
	"context"
	"fmt"
	"slices"

	"payrun/internal/database"
)

// updateExceptions opens a case for each doubt, keeps its next step up to
// date, and closes those that ended.
func (r *recording) updateExceptions(ctx context.Context) error {
	if err := r.closeSettled(ctx); err != nil {
		return err
	}
	doubts, err := r.doubts(ctx)
	if err != nil {
		return err
	}
	return openExceptions(ctx, r.tx, slices.Concat(r.unusual(), r.blocked(), r.closed(), doubts))
}

// closeSettled closes the cases of payouts that are out of doubt or ended.
func (r *recording) closeSettled(ctx context.Context) error {
	settled := map[string][]int64{}
	r.eachChange(func(_ int, f Finding, p changedPayout) {
		switch {
		case r.decided.note != "":
			settled[r.decided.note] = append(settled[r.decided.note], p.ID)
		case f.Reason == ByRelease:
			settled["released to be sent again"] = append(settled["released to be sent again"], p.ID)
		case f.Reason == ByProof:
			settled["proven that the gateway never had it"] = append(settled["proven that the gateway never had it"], p.ID)
		case f.From == Unknown || f.From == Review || f.To.Final():
			settled["settled by the gateway's answer"] = append(settled["settled by the gateway's answer"], p.ID)
		case f.To == Review:
			settled["under review now"] = append(settled["under review now"], p.ID)
		}
	})
	for resolution, payouts := range settled {
		if err := closeExceptions(ctx, r.tx, payouts, r.actor, resolution); err != nil {
			return err
		}
	}
	return nil
}

// unusual are the cases of payouts that go on but should be watched.
func (r *recording) unusual() (cases []Exception) {
	for _, f := range r.findings {
		if p, ok := r.changed[f.PayoutID]; ok && f.Unusual != "" && !f.To.Final() {
			kind := f.UnusualKind
			if kind == "" {
				kind = ExceptionUnusual
			}
			cases = append(cases, Exception{
				Kind: kind, BatchID: p.BatchID, PayoutID: p.ID, Detail: f.Unusual,
				NextStep: "it is looked up again by itself; if it stays so, ask the gateway about it",
			})
		}
	}
	return cases
}

// blocked are the cases of payouts that cannot be sent as they are.
func (r *recording) blocked() (cases []Exception) {
	r.eachChange(func(_ int, f Finding, p changedPayout) {
		if f.Block != "" {
			cases = append(cases, blockedCase(p.ID, f.Block, f.Note))
		}
	})
	return cases
}

// closed are the cases of payouts whose money is in suspense.
func (r *recording) closed() (cases []Exception) {
	r.eachChange(func(_ int, f Finding, p changedPayout) {
		if f.To == Closed {
			cases = append(cases, Exception{
				Kind: ExceptionClosed, BatchID: p.BatchID, PayoutID: p.ID, Detail: "closed by the gateway with status " + f.Status + "; amount and fee are in suspense",
				NextStep: "get a statement line or the gateway's written word, then two people decide: " +
					decideAs(OutcomePaid, anOrder) + " or " + decideWithEvidence(OutcomeFailed, anOrder),
			})
		}
	})
	return cases
}

// doubts are the cases of payouts in doubt or under review, with what has to
// happen next as the proof grows.
func (r *recording) doubts(ctx context.Context) ([]Exception, error) {
	var payouts []int64
	for _, f := range r.findings {
		if _, ok := r.changed[f.PayoutID]; ok && (f.To == Unknown || f.To == Review) {
			payouts = append(payouts, f.PayoutID)
		}
	}
	if len(payouts) == 0 {
		return nil, nil
	}
	all, err := readGrounds(ctx, r.tx, payouts)
	if err != nil {
		return nil, err
	}
	steps := make(map[int64]string, len(all))
	for _, g := range all {
		steps[g.ID] = r.book.nextStep(g)
	}
	var cases []Exception
	for _, f := range r.findings {
		p, ok := r.changed[f.PayoutID]
		if !ok || steps[f.PayoutID] == "" {
			continue
		}
		e := Exception{Kind: ExceptionInDoubt, BatchID: p.BatchID, PayoutID: p.ID, Detail: f.Note, NextStep: steps[f.PayoutID]}
		if f.To == Review {
			e.Kind = ExceptionReview
		}
		cases = append(cases, e)
	}
	return cases, nil
}

// nextStep tells a person how a doubt ends.
func (b *Book) nextStep(g grounds) string {
	paid, failed := decideAs(OutcomePaid, g.OrderNo()), decideAs(OutcomeFailed, g.OrderNo())
	missing, spent := b.proof.missing(g), b.proof.spent(g)
	switch {
	case g.State == Review && missing == "":
		return "the gateway says that it has no such order; two people may call it failed: " + failed
	case g.State == Review:
		return "compare our data with the gateway's, then two people decide: " + paid + " (and --amount where it paid another one than we ordered) or " + failed
	case g.Notified > 0:
		return missing + "; with its word two people decide: " + paid + " or " + failed
	case missing != "":
		return "wait, the money stays held: " + missing + "; if a statement shows it paid: " + paid
	case spent != "":
		return "proven absent, but not to be sent again: " + spent + "; two people may call it failed: " + failed
	case b.resend == ResendAutomatic:
		return "proven absent; it is sent again by itself"
	}
	return "proven absent; two people may send it again: " + decideAs(OutcomeSendAgain, g.OrderNo()) + ", or call it failed: " + failed
}

// anOrder stands in a next step for the order number of the case's payout.
const anOrder = "ORDER"

// openExceptions opens cases. Of one that is open already only the next step
// changes: what it was opened for stays.
func openExceptions(ctx context.Context, tx *database.Tx, cases []Exception) error {
	cases = distinct(cases)
	n := len(cases)
	if n == 0 {
		return nil
	}
	numbers, err := ids(ctx, tx, "ids", n)
	if err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	given := database.NewRows(n, "v_id v_batch v_payout", "v_kind v_subject v_detail v_step")
	for i, e := range cases {
		given.AddInts(numbers[i], e.BatchID, e.PayoutID)
		given.AddTexts(e.Kind, storable(e.Subject), storable(e.Detail), storable(e.NextStep))
	}
	_, err = given.Exec(ctx, tx, `INSERT INTO exceptions (id, kind, batch_id, payout_id, subject, detail, next_step, opened_at)
		SELECT v_id, v_kind, v_batch, v_payout, v_subject, v_detail, replace(v_step, '`+anOrder+`',
			coalesce((SELECT `+orderNoOf("b", "p")+` FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE p.id = v_payout), '`+anOrder+`')), ?
		FROM v WHERE true
		ON CONFLICT (kind, batch_id, payout_id, subject) WHERE closed_at = 0 DO UPDATE SET next_step = excluded.next_step
		WHERE exceptions.next_step <> excluded.next_step`, now)
	if err != nil {
		return fmt.Errorf("open %d cases: %w", n, err)
	}
	return nil
}

// distinct keeps the first of equal cases: one statement may not touch a row
// twice.
func distinct(cases []Exception) []Exception {
	type key struct {
		kind, subject string
		batch, payout int64
	}
	seen := map[key]bool{}
	var once []Exception
	for _, e := range cases {
		k := key{e.Kind, e.Subject, e.BatchID, e.PayoutID}
		if !seen[k] {
			seen[k] = true
			once = append(once, e)
		}
	}
	return once
}

package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
	"payrun/internal/money"
)

func (b *Book) raiseApprovals(ctx context.Context, rules AlertRules) (raised []Alert, err error) {
	now, err := b.db.Now(ctx)
	if err != nil {
		return nil, err
	}
	var waiting []dueBatch
	err = b.db.Select(ctx, &waiting, `SELECT b.id, b.name, u.name AS submitter, b.submitted_at FROM batches b JOIN users u ON u.id = b.submitted_by
		WHERE b.state = 'SUBMITTED' AND b.submitted_at <= ?
		AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.once = 'waiting batch ' || b.id || ' since ' || b.submitted_at)
		ORDER BY b.submitted_at LIMIT 500`, now.Add(-rules.Approval))
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		totals, err := totalsInWords(ctx, tx, waiting)
		if err != nil {
			return err
		}
		alerts := make([]Alert, len(waiting))
		for i, w := range waiting {
			alerts[i] = w.waits(totals[w.ID])
		}
		raised, err = b.insertAlerts(ctx, tx, alerts)
		return err
	})
	return raised, err
}

func (w dueBatch) waits(totals string) Alert {
	return Alert{
		Once: fmt.Sprintf("waiting batch %d since %d", w.ID, w.SubmittedAt),
		Kind: AlertApproval, Subject: w.subject(), BatchID: w.ID, Since: w.SubmittedAt,
		Summary:  fmt.Sprintf("Waiting for approval: batch %d (%s)", w.ID, w.Name),
		Detail:   totals + "; handed in by " + w.Submitter,
		NextStep: fmt.Sprintf("another person looks at it with payrun batch show %d and decides: payrun batch approve %d, or payrun batch reject %d --reason …", w.ID, w.ID, w.ID),
	}
}

// totalsInWords says what batches amount to, such as "3 payouts, 30.00 USD".
func totalsInWords(ctx context.Context, tx *database.Tx, batches []dueBatch) (map[int64]string, error) {
	numbers := make([]int64, len(batches))
	for i, w := range batches {
		numbers[i] = w.ID
	}
	type total struct {
		Batch    int64
		Currency money.Currency
		Payouts  int64
		Amount   money.Amount
	}
	given := database.Rows{database.Ints("v_batch", numbers)}
	totals, err := database.Select[total](ctx, tx, given, `SELECT v_batch AS batch, currency, CAST(sum(payouts) AS BIGINT) AS payouts, CAST(sum(amount) AS BIGINT) AS amount
		FROM v JOIN batch_totals ON batch_id = v_batch GROUP BY v_batch, currency ORDER BY v_batch, currency`)
	words := map[int64]string{}
	for _, t := range totals {
		if words[t.Batch] != "" {
			words[t.Batch] += "; "
		}
		words[t.Batch] += fmt.Sprintf("%s, %s %s", payoutCount(t.Payouts), money.Format(t.Amount, t.Currency), t.Currency)
	}
	return words, err
}

// raiseProposals tells what waits for a second person to confirm or refuse it.
func (b *Book) raiseProposals(ctx context.Context, rules AlertRules) (raised []Alert, err error) {
	now, err := b.db.Now(ctx)
	if err != nil {
		return nil, err
	}
	var waiting []Decision
	err = b.db.Select(ctx, &waiting, SelectDecisions+whereOpen+` AND q.created_at <= ?
		AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.once = 'proposal ' || q.id) ORDER BY q.id LIMIT 500`, now.Add(-rules.Approval))
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	alerts := make([]Alert, len(waiting))
	for i, d := range waiting {
		alerts[i] = d.waits()
	}
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		raised, err = b.insertAlerts(ctx, tx, alerts)
		return err
	})
	return raised, err
}

func (d Decision) waits() Alert {
	subject := "payout " + d.OrderNo()
	return Alert{
		Once: fmt.Sprint("proposal ", d.Proposal), Kind: AlertProposal, Subject: subject, BatchID: d.BatchID, OrderNo: d.OrderNo(), Since: d.ProposedAt,
		Summary: fmt.Sprintf("Waiting for a second person: %q for %s, %s %s to %s, batch %d", d.Outcome, subject,
			money.Format(d.Amount, d.Currency), d.Currency, d.MaskedAccount(), d.BatchID),
		Detail: "proposed by " + d.Proposer + ": " + discreet(d.Reason),
		NextStep: fmt.Sprintf("somebody else looks at it with payrun payout show %s and decides: payrun decision confirm %d, or payrun decision refuse %d --reason …",
			d.OrderNo(), d.Proposal, d.Proposal),
	}
}

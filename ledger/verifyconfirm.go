package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
)

// checkConfirmations recomputes the seals of readings and confirmations, and
// holds what was confirmed against what had to be.
func checkConfirmations(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	err := database.Each(ctx, tx, "SELECT "+readingColumns+" FROM readings ORDER BY batch_id", nil, func(r *reading) error {
		if r.seal() != r.Seal {
			all = append(all, found{fmt.Sprint("batch ", r.BatchID), "the record of how its sheet was read was edited or forged"})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = database.Each(ctx, tx, "SELECT "+confirmationColumns+" FROM confirmations ORDER BY id", nil, func(c *confirmation) error {
		if c.seal() != c.Seal {
			all = append(all, found{fmt.Sprint("batch ", c.BatchID), fmt.Sprintf("its confirmation %d was edited or forged", c.ID)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	wrong, err := rows(confirmationsWrong)(ctx, tx)
	return append(all, wrong...), err
}

// confirmationsWrong finds warnings that disappeared or that nobody is on
// record for, and confirmations that the audit trail does not know. One that
// names something else since it was handed in is confirmed before the approval.
var confirmationsWrong = `
	SELECT 'batch ' || r.batch_id AS row, 'had ' || r.warnings || ' warnings, ' || count(w.batch_id) || ' are kept' AS wrong
	FROM readings r LEFT JOIN warnings w ON w.batch_id = r.batch_id GROUP BY r.batch_id, r.warnings HAVING r.warnings <> count(w.batch_id)
	UNION ALL
	SELECT 'batch ' || w.batch_id, 'has warnings, but no record of how its sheet was read' FROM warnings w
	JOIN batches b ON b.id = w.batch_id AND b.state <> 'STAGING'
	WHERE NOT EXISTS (SELECT 1 FROM readings r WHERE r.batch_id = w.batch_id) GROUP BY w.batch_id
	UNION ALL
	SELECT 'batch ' || w.batch_id, 'was handed in with ' || count(*) || ' warnings that no maker confirmed' FROM warnings w
	JOIN batches b ON b.id = w.batch_id AND b.submitted_at > 0
	WHERE (w.since = 0 OR b.approved_at > 0) AND NOT ` + confirmedBy(Maker) + ` GROUP BY w.batch_id
	UNION ALL
	SELECT 'batch ' || w.batch_id, 'was approved with ' || count(*) || ' repeated payments that its approver did not confirm' FROM warnings w
	JOIN batches b ON b.id = w.batch_id AND b.approved_at > 0 JOIN users u ON u.id = b.approved_by
	WHERE w.code IN ('` + quotedTwice + `') AND NOT ` + confirmedBy(Checker, " AND c.actor = 'user:' || u.name") + ` GROUP BY w.batch_id
	UNION ALL
	SELECT 'batch ' || c.batch_id, 'confirmation ' || c.id || ' is not in the audit trail' FROM confirmations c
	WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.action = 'batch.confirm' AND a.actor = c.actor AND a.subject = 'batch ' || c.batch_id AND a.created_at = c.created_at)`

const payeesWrong = `
	SELECT 'payout ' || p.id AS row, 'is approved, but not on the record of payees' AS wrong FROM payouts p
	JOIN batches b ON b.id = p.batch_id AND b.approved_at > 0
	WHERE NOT EXISTS (SELECT 1 FROM payees o WHERE o.account = p.account AND o.channel = p.channel AND o.currency = p.currency
		AND o.amount = p.amount AND o.payout_id = p.id AND o.reference = p.reference)
	UNION ALL
	SELECT 'payout ' || o.payout_id, 'stands on the record of payees with what it is not' FROM payees o
	WHERE NOT EXISTS (SELECT 1 FROM payouts p JOIN batches b ON b.id = p.batch_id AND b.approved_at = o.approved_at
		WHERE p.id = o.payout_id AND p.account = o.account AND p.channel = o.channel AND p.currency = o.currency AND p.amount = o.amount
		AND p.reference = o.reference)`

package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
)

func checkDecisionSeals(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	err := database.Each(ctx, tx, "SELECT "+proposalColumns+" FROM proposals ORDER BY id", nil, func(p *proposal) error {
		if p.seal() != p.Seal {
			all = append(all, found{fmt.Sprint("payout ", p.PayoutID), fmt.Sprintf("proposal %d about it was edited or forged", p.ID)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = database.Each(ctx, tx, "SELECT "+decisionColumns+" FROM decisions ORDER BY proposal_id", nil, func(d *decision) error {
		if d.seal() != d.Seal {
			all = append(all, found{fmt.Sprint("proposal ", d.ProposalID), "its verdict was edited or forged"})
		}
		return nil
	})
	return all, err
}

// correctionsWrong: each correcting entry names the payout's entry before it,
// and over all of them the payout has moved exactly what its state asks for.
const correctionsWrong = `
	SELECT 'entry ' || c.id AS row, 'corrects entry ' || c.corrects || ', the one before it is ' || coalesce(c.before, 0) AS wrong
	FROM (SELECT e.id, e.corrects, lag(e.id) OVER (PARTITION BY e.payout_id ORDER BY e.id) AS before
		FROM entries e WHERE e.payout_id > 0 AND e.payout_id IN (SELECT k.payout_id FROM entries k WHERE k.corrects > 0)) c
	WHERE c.corrects > 0 AND c.corrects <> coalesce(c.before, 0)
	UNION ALL
	SELECT 'payout ' || p.id, 'is ' || p.state || ', its entries and corrections add up to something else' FROM payouts p JOIN (
		SELECT e.payout_id, sum(CASE WHEN a.kind = 'held' THEN l.signed ELSE 0 END) AS held,
			sum(CASE WHEN a.kind = 'paid' THEN l.signed ELSE 0 END) AS paid,
			sum(CASE WHEN a.kind = 'fees' THEN l.signed ELSE 0 END) AS fees,
			sum(CASE WHEN a.kind = 'suspense' THEN l.signed ELSE 0 END) AS suspended
		FROM entries e JOIN (SELECT entry_id, account_id, CASE side WHEN 'debit' THEN amount ELSE -amount END AS signed FROM lines) l
			ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id
		WHERE e.payout_id > 0 AND e.payout_id IN (SELECT k.payout_id FROM entries k WHERE k.corrects > 0) GROUP BY e.payout_id) j ON j.payout_id = p.id
	WHERE j.held <> -(p.amount + p.fee_estimate) OR j.fees <> p.fee OR j.suspended <> 0 OR p.state NOT IN ('SUCCEEDED', 'FAILED')
		OR j.paid <> CASE WHEN p.state <> 'SUCCEEDED' THEN 0 WHEN p.moved > 0 THEN p.moved ELSE p.amount END`

// proposalsWrong finds what took two people and had only one, or none.
const proposalsWrong = `
	SELECT 'proposal ' || d.proposal_id AS row, 'is ' || d.verdict || ' by ' || u.name || ', who proposed it' AS wrong
	FROM decisions d JOIN proposals q ON q.id = d.proposal_id JOIN users u ON u.id = d.decided_by
	WHERE d.verdict IN ('confirmed', 'refused', 'void') AND d.decided_by = q.proposed_by
	UNION ALL
	SELECT 'payout ' || v.payout_id, 'event ' || v.id || ' took two people, and no confirmed proposal asks for it' FROM events v
	WHERE v.payout_id > 0 AND (v.reason IN ('decided-by-two', 'corrected') OR v.reason = 'released' AND v.actor LIKE 'user:%')
	AND NOT EXISTS (SELECT 1 FROM decisions d JOIN proposals q ON q.id = d.proposal_id JOIN users u ON u.id = d.decided_by
		WHERE d.event_id = v.id AND d.verdict = 'confirmed' AND q.payout_id = v.payout_id AND q.state = v.from_state AND 'user:' || u.name = v.actor)
	UNION ALL
	SELECT 'proposal ' || q.id, 'is ' || d.verdict || ', and its payout does not show it' FROM proposals q
	JOIN decisions d ON d.proposal_id = q.id JOIN users u ON u.id = d.decided_by
	WHERE (d.event_id > 0 OR d.verdict = 'confirmed' AND q.outcome <> 'unblock'
		AND NOT (q.outcome = 'paid' AND q.state = 'SUCCEEDED') AND NOT (q.outcome = 'failed' AND q.state IN ('FAILED', 'FAILED_FEE', 'CANCELLED')))
	AND NOT EXISTS (SELECT 1 FROM events v WHERE v.id = d.event_id AND d.verdict = 'confirmed' AND v.payout_id = q.payout_id AND v.from_state = q.state
		AND v.id > q.event_id AND v.created_at = d.created_at AND v.actor = 'user:' || u.name
		AND v.to_state = CASE WHEN q.outcome = 'failed' AND q.state = 'REVIEW' AND q.fee > 0 THEN 'FAILED_FEE' ELSE
			CASE q.outcome WHEN 'paid' THEN 'SUCCEEDED' WHEN 'failed' THEN 'FAILED' WHEN 'send-again' THEN 'APPROVED' ELSE 'CANCELLED' END END)
	UNION ALL
	SELECT 'proposal ' || q.id, 'the audit trail does not know that it was made' FROM proposals q JOIN users u ON u.id = q.proposed_by
	WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.action = 'decision.propose' AND a.actor = 'user:' || u.name
		AND a.created_at = q.created_at AND a.detail LIKE 'proposal ' || q.id || ', ' || q.outcome || ': %')
	UNION ALL
	SELECT 'proposal ' || d.proposal_id, 'the audit trail does not know its verdict' FROM decisions d JOIN users u ON u.id = d.decided_by
	WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.actor = 'user:' || u.name AND a.created_at = d.created_at
		AND a.action = CASE d.verdict WHEN 'confirmed' THEN 'decision.confirm' WHEN 'refused' THEN 'decision.refuse'
			WHEN 'withdrawn' THEN 'decision.withdraw' ELSE 'decision.void' END
		AND a.detail LIKE 'proposal ' || d.proposal_id || ' by %')
	UNION ALL
	SELECT 'proposal ' || q.id, 'waits for a second person, and nobody is shown it' FROM proposals q
	WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.proposal_id = q.id) AND NOT EXISTS (SELECT 1 FROM open_proposals w
		WHERE w.proposal_id = q.id AND w.payout_id = q.payout_id)
	UNION ALL
	SELECT 'proposal ' || w.proposal_id, 'has its verdict, and people are shown it as if it waited' FROM open_proposals w
	WHERE EXISTS (SELECT 1 FROM decisions d WHERE d.proposal_id = w.proposal_id)
	UNION ALL
	SELECT 'proposal ' || q.id, 'is about no payout' FROM proposals q WHERE NOT EXISTS (SELECT 1 FROM payouts p WHERE p.id = q.payout_id)
	UNION ALL
	SELECT 'proposal ' || q.id, 'is open beside another one about the same payout' FROM proposals q
	WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.proposal_id = q.id) AND EXISTS (SELECT 1 FROM proposals o
		WHERE o.payout_id = q.payout_id AND o.id < q.id AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.proposal_id = o.id))`

// repaysWrong compares each payout that pays another one again with that one.
// A cancelled re-pay that the gateway paid after all stands beside the one that
// took its place: the cases about it are what people need.
var repaysWrong = `
	SELECT 'payout ' || p.id AS row, 'pays ' || p.repays || ' again, which is no payout of this ledger' AS wrong
	FROM payouts p JOIN batches b ON b.id = p.batch_id AND b.state <> 'STAGING' WHERE p.repays <> '' AND NOT EXISTS (SELECT 1 FROM batches ob JOIN payouts o ON o.batch_id = ob.id
		WHERE ob.order_prefix = substr(p.repays, 1, 16) AND o.ordinal = CAST(nullif(substr(p.repays, 17), '') AS BIGINT))
	UNION ALL
	SELECT 'payout ' || p.id, 'pays ' || p.repays || ' again, with another payee or amount' FROM payouts p
	JOIN batches ob ON p.repays <> '' AND ob.order_prefix = substr(p.repays, 1, 16)
	JOIN payouts o ON o.batch_id = ob.id AND o.ordinal = CAST(nullif(substr(p.repays, 17), '') AS BIGINT)
	WHERE o.channel <> p.channel OR o.account <> p.account OR o.amount <> p.amount OR o.currency <> p.currency
	UNION ALL
	SELECT 'payout ' || p.id, p.repays || ' is paid again by another payout too' FROM payouts p JOIN batches b ON b.id = p.batch_id
	WHERE p.repays <> '' AND b.state <> 'STAGING' AND ` + live("b", "p") + ` AND ` + neverCancelled("p") + ` AND EXISTS (SELECT 1 FROM payouts o JOIN batches ob ON ob.id = o.batch_id
		WHERE o.repays <> '' AND o.repays = p.repays AND o.id <> p.id AND ob.state <> 'STAGING' AND ` + live("ob", "o") + `
		AND ` + neverCancelled("o") + `)`

// neverCancelled is SQL for a payout p that no correction brought back.
func neverCancelled(p string) string {
	return "NOT EXISTS (SELECT 1 FROM events c WHERE c.payout_id > 0 AND c.payout_id = " + p + ".id AND c.from_state = 'CANCELLED')"
}

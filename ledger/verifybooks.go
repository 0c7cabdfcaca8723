package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
	"payrun/internal/money"
)

func checkAttempts(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	type attempt struct {
		Payout
		Count     int64
		OrderNo   string `db:"order_no"`
		Params    string `db:"params_digest"`
		Different int64
		Newest    int64
	}
	err := database.Each(ctx, tx, "SELECT "+payoutColumns+`, a.count, a.order_no, a.params_digest, a.different, a.newest FROM payouts p
		JOIN batches b ON b.id = p.batch_id
		JOIN (SELECT payout_id, count(*) AS count, max(id) AS newest, max(order_no) AS order_no, max(params_digest) AS params_digest,
			count(DISTINCT order_no) + count(DISTINCT params_digest) - 2 AS different FROM attempts GROUP BY payout_id) a ON a.payout_id = p.id
		ORDER BY p.id`, nil, func(a *attempt) error {
		switch {
		case a.Count != a.Attempts:
			all = append(all, found{payoutName(&a.Payout), fmt.Sprintf("%d attempts are counted, %d are kept", a.Attempts, a.Count)})
		case a.Newest != a.AttemptID:
			all = append(all, found{payoutName(&a.Payout), "another attempt than the newest counts as its newest"})
		case a.Different != 0 || a.OrderNo != a.Payout.OrderNo() || a.Params != a.paramsDigest():
			all = append(all, found{payoutName(&a.Payout), "an attempt went out under another order number or with other content"})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	missing, err := rows(`SELECT 'payout ' || p.id AS row, 'is ' || p.state || ' with no attempt kept' AS wrong FROM payouts p
		WHERE (p.attempts > 0 OR p.state NOT IN ('UNSENT', 'CANCELLED') AND `+neverCancelled("p")+`)
		AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.payout_id = p.id)`)(ctx, tx)
	return append(all, missing...), err
}

// checkEvidence: what the gateway is said to have answered is on file, as it
// was answered.
func checkEvidence(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	err := database.Each(ctx, tx, "SELECT "+evidenceColumns+" FROM evidence ORDER BY id", nil, func(a *answer) error {
		if a.seal() != a.Seal {
			all = append(all, found{fmt.Sprint("payout ", a.PayoutID), fmt.Sprintf("its evidence %d was edited or forged", a.ID)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	missing, err := rows(`SELECT 'payout ' || e.payout_id AS row, 'event ' || e.id || ' to ' || e.to_state || ' has no evidence on file' AS wrong
		FROM events e WHERE e.payout_id > 0 AND (e.evidence_id > 0 OR e.to_state IN ('ACCEPTED', 'SUCCEEDED', 'FAILED', 'FAILED_FEE', 'CLOSED'))
		AND NOT EXISTS (SELECT 1 FROM evidence v WHERE v.id = e.evidence_id AND v.payout_id = e.payout_id)`)(ctx, tx)
	return append(all, missing...), err
}

// journalLine is a line with its entry, as the checks read the journal.
type journalLine struct {
	Entry     int64
	Day       int64 `db:"day_id"`
	Kind      string
	Currency  money.Currency
	Batch     int64 `db:"batch_id"`
	Payout    int64 `db:"payout_id"`
	Corrects  int64
	Note      string
	Actor     string
	CreatedAt database.Instant `db:"created_at"`
	Digest    string
	Account   Kind
	Side      Side
	Amount    money.Amount
}

const selectJournal = `SELECT e.id AS entry, e.day_id, e.kind, e.currency, e.batch_id, e.payout_id, e.corrects, e.note, e.actor,
	e.created_at, e.digest, coalesce(a.kind, '') AS account, coalesce(l.side, '') AS side, coalesce(l.amount, 0) AS amount
	FROM entries e LEFT JOIN lines l ON l.entry_id = e.id LEFT JOIN accounts a ON a.id = l.account_id AND a.currency = e.currency
	ORDER BY e.id, l.position`

// eachEntry reads the journal entry by entry.
func eachEntry(ctx context.Context, tx *database.Tx, f func(entry, string)) error {
	var current entry
	var kept string
	err := database.Each(ctx, tx, selectJournal, nil, func(l *journalLine) error {
		if l.Entry != current.id {
			if current.id != 0 {
				f(current, kept)
			}
			current = entry{id: l.Entry, day: l.Day, kind: l.Kind, currency: l.Currency, batch: l.Batch, payout: l.Payout,
				corrects: l.Corrects, note: l.Note, actor: l.Actor, at: l.CreatedAt}
			kept = l.Digest
		}
		current.lines = append(current.lines, Line{l.Account, l.Side, l.Amount})
		return nil
	})
	if err == nil && current.id != 0 {
		f(current, kept)
	}
	return err
}

func checkEntries(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	err := eachEntry(ctx, tx, func(e entry, kept string) {
		row := fmt.Sprint("entry ", e.id)
		if err := balanced(e.lines); err != nil {
			all = append(all, found{row, err.Error()})
		}
		if e.digest() != kept {
			all = append(all, found{row, "the entry or its lines were changed after it was written"})
		}
	})
	return all, err
}

// checkPostings derives from each final payout the entry it must have.
func checkPostings(ctx context.Context, tx *database.Tx) ([]found, error) {
	return rows(`SELECT 'payout ' || p.id AS row, 'is ' || p.state || ', its entry says otherwise' AS wrong
		FROM payouts p JOIN batches b ON b.id = p.batch_id LEFT JOIN (
			SELECT e.payout_id, sum(CASE WHEN a.kind = 'held' AND l.side = 'credit' THEN l.amount ELSE 0 END) AS released,
				sum(CASE WHEN a.kind = 'paid' AND l.side = 'debit' THEN l.amount ELSE 0 END) AS paid,
				sum(CASE WHEN a.kind = 'fees' AND l.side = 'debit' THEN l.amount ELSE 0 END) AS fees,
				sum(CASE WHEN a.kind = 'suspense' AND l.side = 'debit' THEN l.amount ELSE 0 END) AS suspended
			FROM entries e JOIN lines l ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id
			WHERE e.payout_id > 0 AND e.corrects = 0 GROUP BY e.payout_id) j ON j.payout_id = p.id
		WHERE p.state IN ('SUCCEEDED', 'FAILED', 'FAILED_FEE', 'CLOSED', 'CANCELLED') AND b.approved_at > 0
		AND NOT EXISTS (SELECT 1 FROM entries c WHERE c.payout_id = p.id AND c.corrects > 0)
		AND (j.payout_id IS NULL OR p.moved <> 0 OR j.released <> p.amount + p.fee_estimate
			OR j.paid <> CASE p.state WHEN 'SUCCEEDED' THEN p.amount ELSE 0 END
			OR j.fees <> CASE WHEN p.state IN ('SUCCEEDED', 'FAILED_FEE') THEN p.fee ELSE 0 END
			OR j.suspended <> CASE p.state WHEN 'CLOSED' THEN p.amount + p.fee_estimate ELSE 0 END)
		UNION ALL
		SELECT 'payout ' || p.id, 'is ' || p.state || ' but its hold was resolved' FROM payouts p
		JOIN entries e ON e.payout_id > 0 AND e.payout_id = p.id AND e.corrects = 0
		WHERE p.state IN ('UNSENT', 'SENDING', 'UNKNOWN', 'ACCEPTED', 'REVIEW')`)(ctx, tx)
}

func checkDays(ctx context.Context, tx *database.Tx) ([]found, error) {
	var days []Day
	if err := tx.Select(ctx, &days, "SELECT "+dayColumns+" FROM days WHERE closed_at > 0 ORDER BY id"); err != nil {
		return nil, err
	}
	var all []found
	for _, day := range days {
		digest, entries, err := dayDigest(ctx, tx, day)
		if err != nil {
			return nil, err
		}
		if digest != day.Digest || entries != day.Entries {
			all = append(all, found{"day " + day.BusinessDay, "its entries are not those it was closed with"})
			continue
		}
		var closings int64
		err = tx.Get(ctx, &closings, "SELECT count(*) FROM audit WHERE action = 'day.close' AND actor = ? AND created_at = ? AND detail LIKE ?",
			day.ClosedBy, day.ClosedAt, "%digest "+day.Digest)
		if err != nil {
			return nil, err
		}
		if closings != 1 {
			all = append(all, found{"day " + day.BusinessDay, "the audit trail does not say that it was closed so"})
		}
	}
	return all, nil
}

func checkAudit(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	previous, position := "", int64(0)
	err := database.Each(ctx, tx, "SELECT position, actor, action, subject, detail, created_at, digest FROM audit ORDER BY position", nil,
		func(r *AuditRecord) error {
			position++
			if r.Position != position || r.chained(previous) != r.Digest {
				all = append(all, found{fmt.Sprint("audit record ", r.Position), "changed, or a record before it is missing"})
				position = r.Position
			}
			previous = r.Digest
			return nil
		})
	if err != nil {
		return nil, err
	}
	var head struct {
		Position int64
		Digest   string
	}
	if err := tx.Get(ctx, &head, "SELECT position, digest FROM audit_head WHERE id = 1"); err != nil {
		return nil, err
	}
	if head.Position != position || head.Digest != previous {
		all = append(all, found{"audit trail", "its newest records are missing"})
	}
	return all, nil
}

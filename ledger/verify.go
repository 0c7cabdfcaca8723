package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"payrun/internal/database"
)

// Breach is a row that breaks a promise of the ledger.
type Breach struct {
	Check string // name of the check
	Row   string // which row
	Wrong string // what is wrong with it
}

// Check is one promise, as Verify checks it.
type Check struct {
	Name     string
	Promise  string
	Breaches int // found; at most maxBreaches are described
}

const maxBreaches = 100

// Verify checks every promise of the ledger on one snapshot and returns the
// checks that were made and the rows that break them. A ledger that nobody
// tampered with has none.
func (b *Book) Verify(ctx context.Context) (checks []Check, breaches []Breach, err error) {
	err = b.db.Snapshot(ctx, func(tx *database.Tx) error {
		for _, p := range slices.Concat(promises, doubtPromises) {
			found, err := p.check(ctx, tx)
			if err != nil {
				return fmt.Errorf("verify %s: %w", p.name, err)
			}
			checks = append(checks, Check{p.name, p.promise, len(found)})
			for _, f := range found[:min(len(found), maxBreaches)] {
				row, err := nameRow(ctx, tx, f.Row)
				if err != nil {
					return err
				}
				breaches = append(breaches, Breach{p.name, row, f.Wrong})
			}
		}
		return nil
	})
	return checks, breaches, err
}

// nameRow turns a payout's number into the order number that people and
// commands use.
func nameRow(ctx context.Context, tx *database.Tx, row string) (string, error) {
	id, ok := strings.CutPrefix(row, "payout ")
	number, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil {
		return row, nil
	}
	var p Payout
	err = tx.Get(ctx, &p, "SELECT p.id, p.ordinal, b.order_prefix FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE p.id = ?", number)
	if errors.Is(err, ErrNotFound) {
		return row, nil
	}
	return payoutName(&p), err
}

type promise struct {
	name, promise string
	check         func(context.Context, *database.Tx) ([]found, error)
}

type found struct{ Row, Wrong string }

// promises in the order in which a person would want to read them. Most are
// one query for the rows that break them.
var promises = []promise{
	{"guards", "insert-only tables and approved rows are protected by triggers", checkGuards},
	{"sheet rows", "rows read = accepted + rejected + blank, and every accepted row is a payout", rows(`
		SELECT 'batch ' || b.id AS row, b.accepted || ' rows accepted, ' || count(p.id) || ' payouts' AS wrong
		FROM batches b LEFT JOIN payouts p ON p.batch_id = b.id WHERE b.state <> 'STAGING'
		GROUP BY b.id, b.accepted, b.rows_read, b.rejected, b.blank
		HAVING count(p.id) <> b.accepted OR b.rows_read <> b.accepted + b.rejected + b.blank
		UNION ALL
		SELECT DISTINCT 'batch ' || p.batch_id, 'has payouts, but there is no such batch' FROM payouts p
		WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = p.batch_id)`)},
	{"totals", "a batch's totals are the sums of its payouts", rows(`
		SELECT 'batch ' || t.batch_id || ' channel ' || t.channel AS row,
		       'total ' || t.amount || ' of ' || t.payouts || ', rows add up to ' || coalesce(p.amount, 0) || ' of ' || coalesce(p.payouts, 0) AS wrong
		FROM batch_totals t LEFT JOIN (SELECT batch_id, channel, currency, count(*) AS payouts, sum(amount) AS amount, sum(fee_estimate) AS fees
			FROM payouts GROUP BY batch_id, channel, currency) p
		ON p.batch_id = t.batch_id AND p.channel = t.channel AND p.currency = t.currency
		WHERE t.amount <> coalesce(p.amount, 0) OR t.payouts <> coalesce(p.payouts, 0) OR t.fees <> coalesce(p.fees, 0)
		UNION ALL
		SELECT DISTINCT 'batch ' || p.batch_id || ' channel ' || p.channel, 'has payouts, but no total' FROM payouts p
		JOIN batches b ON b.id = p.batch_id AND b.state <> 'STAGING'
		WHERE NOT EXISTS (SELECT 1 FROM batch_totals t WHERE t.batch_id = p.batch_id AND t.channel = p.channel AND t.currency = p.currency)`)},
	{"approved rows", "every row is as it was imported, and as the checker approved it", eachBatch(checkBatch)},
	{"decisions", "a batch stands where its recorded decisions lead, made by the people it names", eachBatch(checkDecisions)},
	{"four eyes", "whoever approved a batch neither made nor submitted it", rows(`
		SELECT 'batch ' || id AS row, 'approved by its maker or submitter, or by nobody' AS wrong FROM batches
		WHERE approved_at > 0 AND (approved_by IN (made_by, submitted_by) OR approved_by = 0)
		   OR state = 'APPROVED' AND approved_at = 0`)},
	{"seals", "no event, attempt, proposal or decision was edited", checkSeals},
	{"confirmations", "every warning is on record, and was confirmed before its batch went on", checkConfirmations},
	{"payees", "every approved payout, and no other, is on the record by which repeats are found", rows(payeesWrong)},
	{"states", "a payout's state is what its events add up to", checkStates},
	{"attempts", "every sent payout has its attempts, numbered, under one order number and with one content", checkAttempts},
	{"evidence", "the answer that a state stands on is kept, and its digest fits", checkEvidence},
	{"entries", "every entry balances and is as it was written", checkEntries},
	{"balances", "an account's balance is the sum of its lines", rows(`
		SELECT a.currency || ' ' || a.kind AS row, 'balance ' || a.balance || ', lines add up to ' || coalesce(l.total, 0) AS wrong
		FROM accounts a LEFT JOIN (SELECT account_id, sum(CASE side WHEN 'debit' THEN amount ELSE -amount END) AS total
			FROM lines GROUP BY account_id) l ON l.account_id = a.id
		WHERE a.balance <> coalesce(l.total, 0)`)},
	{"postings", "every final payout has the entry its state asks for, and only one", checkPostings},
	{"corrections", "a correction is linked to the entry before it, and together they book what the state asks for", rows(correctionsWrong)},
	{"proposals", "what two people decided was proposed by one and confirmed by another, as the audit trail says", rows(proposalsWrong)},
	{"re-pays", "what is paid again is the same payout, and nothing is paid again twice", rows(repaysWrong)},
	{"holds", "what is held is what approved, unfinished payouts need", rows(`
		SELECT a.currency || ' held' AS row, 'held ' || a.balance || ', needed ' || coalesce(n.total, 0) AS wrong
		FROM accounts a LEFT JOIN (SELECT p.currency, sum(p.amount + p.fee_estimate) AS total
			FROM payouts p JOIN batches b ON b.id = p.batch_id AND b.approved_at > 0
			WHERE p.state IN ('UNSENT', 'SENDING', 'UNKNOWN', 'ACCEPTED', 'REVIEW') GROUP BY p.currency) n ON n.currency = a.currency
		WHERE a.kind = 'held' AND a.balance <> coalesce(n.total, 0)`)},
	{"hold entries", "an approval holds exactly the batch's totals", rows(`
		SELECT 'batch ' || t.batch_id || ' ' || t.currency AS row, 'needs ' || t.total || ', held ' || coalesce(h.total, 0) AS wrong
		FROM (SELECT t.batch_id, t.currency, sum(t.amount + t.fees) AS total FROM batch_totals t
			JOIN batches b ON b.id = t.batch_id AND b.approved_at > 0 GROUP BY t.batch_id, t.currency) t
		LEFT JOIN (SELECT e.batch_id, e.currency, sum(l.amount) AS total FROM entries e
			JOIN lines l ON l.entry_id = e.id AND l.side = 'debit' WHERE e.kind = 'hold' GROUP BY e.batch_id, e.currency) h
		ON h.batch_id = t.batch_id AND h.currency = t.currency
		WHERE t.total <> coalesce(h.total, 0)`)},
	{"doubt", "nothing is in doubt, or under review, without an open case", rows(`
		SELECT 'payout ' || p.id AS row, p.state || ' without an open exception' AS wrong FROM payouts p
		WHERE p.state IN ('UNKNOWN', 'REVIEW') AND NOT EXISTS
			(SELECT 1 FROM exceptions x WHERE x.payout_id = p.id AND x.closed_at = 0)`)},
	{"following", "every payout the gateway has will be looked up again", rows(`
		SELECT 'payout ' || id AS row, state || ' without a next look-up' AS wrong FROM payouts
		WHERE state IN ('UNKNOWN', 'ACCEPTED') AND next_lookup_at = 0`)},
	{"top-ups", "every top-up was booked by a person the audit trail names, every other entry by an event", rows(`
		SELECT 'entry ' || e.id AS row, 'no audit record of its booking' AS wrong FROM entries e WHERE e.kind = 'funding'
		AND NOT EXISTS (SELECT 1 FROM audit a WHERE a.action = 'funds.add' AND a.actor = e.actor AND a.created_at = e.created_at
			AND a.subject = e.currency AND substr(a.detail, length(a.detail) - length(e.note) - 1) = ': ' || e.note)
		UNION ALL
		SELECT 'entry ' || e.id, 'nothing that happened asks for it' FROM entries e WHERE e.kind NOT IN ('hold', 'funding')
		AND NOT EXISTS (SELECT 1 FROM events v WHERE v.payout_id > 0 AND v.payout_id = e.payout_id AND v.reason = e.kind AND v.created_at = e.created_at)`)},
	{"sending", "no batch with unsent payouts is out of sight, nothing is blocked without a case", rows(`
		SELECT 'batch ' || b.id AS row, 'marked as sent, but has unsent payouts' AS wrong FROM batches b
		WHERE b.drained_at > 0 AND EXISTS (SELECT 1 FROM payouts p WHERE p.batch_id = b.id AND p.state = 'UNSENT')
		UNION ALL
		SELECT 'payout ' || p.id, 'blocked without an open exception' FROM payouts p
		WHERE p.blocked <> '' AND p.state = 'UNSENT' AND NOT EXISTS (SELECT 1 FROM exceptions x WHERE x.payout_id = p.id AND x.closed_at = 0)
		UNION ALL
		SELECT 'payout ' || p.id, 'its lease ended before it was sent' FROM payouts p
		WHERE p.state = 'SENDING' AND p.lease_until < p.sent_at`)},
	{"restores", "every restore that was noticed or declared is as it was written, and audited", checkRestores},
	{"alerts", "every open case and every stop in force was told or will be, and no batch is called finished that is not", rows(`
		SELECT 'case ' || x.id AS row, x.kind || ' is open, and nobody was told or will be' AS wrong FROM exceptions x
		WHERE x.closed_at = 0 AND x.alert_at = 0 AND x.kind <> 'stopped' AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.once = 'case ' || x.id)
		UNION ALL
		SELECT 'stop of ' || s.scope || ' by ' || s.placed_by, 'is in force, and nobody was told or will be' FROM stops s
		WHERE s.lifted_at = 0 AND s.alert_at = 0 AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.once = 'stop ' || s.id)
		UNION ALL
		SELECT 'batch ' || b.id, 'called finished, but has payouts that have not ended' FROM batches b
		WHERE b.finished_at > 0 AND EXISTS (SELECT 1 FROM payouts p WHERE p.batch_id = b.id
			AND p.state IN ('UNSENT', 'SENDING', 'UNKNOWN', 'ACCEPTED', 'REVIEW'))`)},
	{"days", "a closed day's digest covers exactly its entries", checkDays},
	{"audit", "the audit trail is one unbroken chain", checkAudit},
}

// rows makes a check of a query for the rows that break a promise.
func rows(query string) func(context.Context, *database.Tx) ([]found, error) {
	return func(ctx context.Context, tx *database.Tx) ([]found, error) {
		var all []found
		err := tx.Select(ctx, &all, query)
		return all, err
	}
}

// guards lists the triggers that are there, enabled, and refuse something.
var guards = map[string]string{
	database.SQLite.Name: "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT, %'",
	database.Postgres.Name: `SELECT t.tgname FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
		WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND f.prosrc LIKE '%RAISE EXCEPTION%'
		AND (t.tgname NOT LIKE '%_insert_only' OR t.tgtype & 56 = 56)`, // update, delete and truncate
}

// insertOnly are the tables whose rows never change.
var insertOnly = []string{
	"audit", "batch_totals", "attempts", "evidence", "events", "entries", "lines",
	"learned", "restores", "proposals", "decisions", "readings", "confirmations", "payees",
}

// guardNames lists the triggers there must be.
func guardNames(engine string) []string {
	names := []string{
		"batches_frozen", "payouts_frozen", "payouts_repays_frozen", "payouts_kept", "payouts_only_staged", "problems_frozen", "problems_kept",
		"warnings_frozen", "warnings_settled", "warnings_kept", "warnings_only_staged", "extras_frozen", "extras_kept", "extras_only_staged",
		"stops_frozen", "stops_kept", "stops_lifted_once",
	}
	for _, table := range insertOnly {
		if engine == database.SQLite.Name {
			names = append(names, table+"_no_update", table+"_no_delete")
		} else {
			names = append(names, table+"_insert_only")
		}
	}
	if engine == database.Postgres.Name {
		names = append(names, "payouts_no_truncate")
	}
	return names
}

func checkGuards(ctx context.Context, tx *database.Tx) ([]found, error) {
	var names []string
	if err := tx.Select(ctx, &names, guards[tx.Dialect.Name]); err != nil {
		return nil, err
	}
	var missing []found
	for _, name := range guardNames(tx.Dialect.Name) {
		if !slices.Contains(names, name) {
			table, insertOnly := strings.CutSuffix(strings.NewReplacer("_no_update", "_insert_only", "_no_delete", "_insert_only").Replace(name), "_insert_only")
			if insertOnly {
				missing = append(missing, found{"table " + table, "its insert-only trigger " + name + " is missing, disabled or hollow"})
			} else {
				missing = append(missing, found{"trigger " + name, "missing, disabled or hollow"})
			}
		}
	}
	return missing, nil
}

// eachBatch makes a check of all batches from that of one.
func eachBatch(check func(context.Context, *database.Tx, Batch) ([]found, error)) func(context.Context, *database.Tx) ([]found, error) {
	return func(ctx context.Context, tx *database.Tx) ([]found, error) {
		var batches []Batch
		if err := tx.Select(ctx, &batches, selectBatches+" WHERE b.state <> 'STAGING' ORDER BY b.id"); err != nil {
			return nil, err
		}
		var all []found
		for _, batch := range batches {
			found, err := check(ctx, tx, batch)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}
}

// checkBatch recomputes the digest of every row, and for what people signed,
// the digest of all rows of the batch.
func checkBatch(ctx context.Context, tx *database.Tx, batch Batch) ([]found, error) {
	var all []found
	approved, imported := newContent(batch.OrderPrefix), newIdentity()
	err := eachPayout(ctx, tx, batch.ID, func(p *Payout) error {
		imported.add(p)
		if actual := p.rowDigest(); actual != p.RowDigest {
			all = append(all, found{payoutName(p), fmt.Sprintf("row %d of batch %d was changed after it was imported", p.Row, batch.ID)})
			p.RowDigest = actual
		}
		return approved.add(p)
	})
	if err != nil {
		return nil, err
	}
	var signed []string
	err = tx.Select(ctx, &signed, `SELECT digest FROM events WHERE batch_id = ? AND payout_id = 0
		AND reason IN ('submitted', 'approved') ORDER BY id DESC LIMIT 1`, batch.ID)
	if err != nil {
		return nil, err
	}
	if wrong := batchWrong(batch, approved.sum(), imported.sum(), signed, len(all) > 0); wrong != "" {
		all = append(all, found{fmt.Sprint("batch ", batch.ID), wrong})
	}
	return all, nil
}

func batchWrong(batch Batch, content, rows string, signed []string, rowsNamed bool) string {
	switch {
	case batch.SubmittedAt > 0 && batch.State != Cancelled && content != batch.ContentDigest:
		return "its rows are not those that were submitted"
	case len(signed) > 0 && batch.State != Cancelled && signed[0] != batch.ContentDigest:
		return "its content is not what people signed"
	case rowsNamed:
		return ""
	}
	return identityWrong(batch, rows)
}

// identityWrong compares a batch with what makes its order numbers.
func identityWrong(batch Batch, rowsDigest string) string {
	if rowsDigest != batch.RowsDigest {
		return "its rows are not those that were imported"
	}
	if batch.OrderPrefix != "" && batch.OrderPrefix != orderPrefix(batch.GatewayAccount, batch.RowsDigest, batch.RepeatNumber) {
		return "its order numbers do not follow from its rows"
	}
	return ""
}

func payoutName(p *Payout) string {
	if no := p.OrderNo(); no != "" {
		return "payout " + no
	}
	return fmt.Sprint("payout ", p.ID)
}

// checkDecisions folds the events of a batch, and compares who made them with
// the people the batch names.
func checkDecisions(ctx context.Context, tx *database.Tx, batch Batch) ([]found, error) {
	var events []event
	err := tx.Select(ctx, &events, "SELECT "+eventColumns+" FROM events WHERE batch_id = ? AND payout_id = 0 ORDER BY id", batch.ID)
	if err != nil {
		return nil, err
	}
	if wrong := decisionsWrong(batch, events); wrong != "" {
		return []found{{fmt.Sprint("batch ", batch.ID), wrong}}, nil
	}
	return nil, nil
}

func decisionsWrong(batch Batch, events []event) string {
	var state State
	people := map[Reason]string{byImport: batch.Maker}
	if batch.SubmittedAt > 0 {
		people[BySubmission] = batch.Submitter
	}
	if batch.ApprovedAt > 0 {
		people[ByApproval] = batch.Approver
	}
	decided := map[Reason]string{}
	for _, e := range events {
		if e.From != state {
			return fmt.Sprintf("event %d leaves %s, the batch was %s", e.ID, e.From, state)
		}
		if _, err := transition(e.From, e.To, e.Reason); err != nil && e.Reason != byImport {
			return fmt.Sprintf("event %d goes from %s to %s as %s, which is not allowed", e.ID, e.From, e.To, e.Reason)
		}
		state = e.To
		decided[e.Reason] = strings.TrimPrefix(e.Actor, "user:")
	}
	if state != batch.State {
		return fmt.Sprintf("is %s, its decisions end in %s", batch.State, state)
	}
	for reason, name := range people {
		if decided[reason] != name {
			return fmt.Sprintf("%s by %q, the record says %q", reason, name, decided[reason])
		}
	}
	return ""
}

// checkSeals recomputes the seal of every insert-only row that has one.
func checkSeals(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	err := database.Each(ctx, tx, "SELECT "+eventColumns+" FROM events ORDER BY id", nil, func(e *event) error {
		switch {
		case e.seal() == e.Seal:
		case e.PayoutID == 0:
			all = append(all, found{fmt.Sprint("batch ", e.BatchID), fmt.Sprintf("its event %d was edited or forged", e.ID)})
		default:
			all = append(all, found{fmt.Sprint("payout ", e.PayoutID), fmt.Sprintf("its event %d was edited or forged", e.ID)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = database.Each(ctx, tx, "SELECT "+attemptColumns+" FROM attempts ORDER BY id", nil, func(a *attempt) error {
		if a.seal() != a.Seal {
			all = append(all, found{fmt.Sprint("payout ", a.PayoutID), fmt.Sprintf("its attempt %d was edited or forged", a.ID)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	edited, err := checkDecisionSeals(ctx, tx)
	return append(all, edited...), err
}

// checkStates folds the events of each payout: every event starts where the
// one before ended, along the table, and the last one ends where the payout
// stands.
func checkStates(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	legal := map[string]bool{}
	for _, t := range Transitions {
		legal[string(t.From)+" "+string(t.To)+" "+string(t.Reason)] = true
	}
	type event struct {
		Payout    int64
		FromState State `db:"from_state"`
		ToState   State `db:"to_state"`
		Reason    string
		Current   State
		Previous  State
		Last      int64
		EventID   int64 `db:"id"`
	}
	err := database.Each(ctx, tx, `SELECT e.id, p.id AS payout, e.from_state, e.to_state, e.reason,
		CASE WHEN p.state = 'UNSENT' THEN 'APPROVED' ELSE p.state END AS current,
		lag(e.to_state, 1, 'APPROVED') OVER (PARTITION BY e.payout_id ORDER BY e.id) AS previous,
		CASE WHEN lead(e.id) OVER (PARTITION BY e.payout_id ORDER BY e.id) IS NULL THEN 1 ELSE 0 END AS last
		FROM events e JOIN payouts p ON p.id = e.payout_id WHERE e.payout_id > 0 ORDER BY e.payout_id, e.id`, nil,
		func(e *event) error {
			row := fmt.Sprint("payout ", e.Payout)
			switch {
			case e.FromState != e.Previous:
				all = append(all, found{row, fmt.Sprintf("event %d leaves %s, the payout was %s", e.EventID, e.FromState, e.Previous)})
			case !legal[string(e.FromState)+" "+string(e.ToState)+" "+e.Reason]:
				all = append(all, found{row, fmt.Sprintf("event %d goes from %s to %s as %s, which is not allowed", e.EventID, e.FromState, e.ToState, e.Reason)})
			case e.Last == 1 && e.ToState != e.Current:
				all = append(all, found{row, fmt.Sprintf("is %s, its events end in %s", e.Current, e.ToState)})
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	silent, err := rows(`SELECT 'payout ' || e.payout_id AS row, 'has events, but there is no such payout' AS wrong FROM events e
		WHERE e.payout_id > 0 AND NOT EXISTS (SELECT 1 FROM payouts p WHERE p.id = e.payout_id)
		UNION ALL
		SELECT 'payout ' || p.id AS row, 'is ' || p.state || ' without any event' AS wrong
		FROM payouts p WHERE p.state <> 'UNSENT' AND NOT EXISTS (SELECT 1 FROM events e WHERE e.payout_id > 0 AND e.payout_id = p.id)`)(ctx, tx)
	return append(all, silent...), err
}

package ledger_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// scene is a ledger in the middle of its life: payouts in every state, batches
// in every state, a closed day and an open one.
type scene struct {
	*office
	no map[ledger.State]string // an order number of batch 1 per state
}

// The payouts of batch 1 by state.
var sceneIDs = map[ledger.State]int64{
	ledger.Succeeded: 1_0000_0001, ledger.Failed: 1_0000_0003, ledger.FailedFee: 1_0000_0005, ledger.Closed: 1_0000_0007,
	ledger.Accepted: 1_0000_0009, ledger.Unknown: 1_0000_0002, ledger.Review: 1_0000_0004, ledger.Sending: 1_0000_0006,
	ledger.Approved: 1_0000_0008,
}

func newScene(t *testing.T, engine string) *scene {
	t.Helper()
	o, c := officeAt(t, engine)
	s := &scene{o, map[ledger.State]string{}}
	_, err := o.Learn(t.Context(), ledger.User{}, "acct@example.com", notFound)
	must(t, err)
	batch := o.approved("paying", sheet("p", 10)) // 1
	for state, id := range sceneIDs {
		s.no[state] = fmt.Sprintf("%s%08d", batch.OrderPrefix, id%100_000_000)
	}
	claims := map[int64]ledger.Claim{}
	for _, claim := range o.claim(8) {
		claims[claim.ID] = claim
	}
	for _, state := range []ledger.State{ledger.Succeeded, ledger.Failed, ledger.FailedFee, ledger.Accepted, ledger.Sending} {
		o.put(claims[sceneIDs[state]], state)
	}
	cancelled := o.approved("cancelled", sheet("c", 2)) // 2
	_, err = o.Cancel(t.Context(), o.checker, cancelled.ID, "wrong sheet")
	must(t, err)
	must(t, o.PlaceStop(t.Context(), o.checker, ledger.OneBatch, "2", "wrong sheet"))
	c.advance(24 * time.Hour)
	_, err = o.CloseDay(t.Context(), "system")
	must(t, err)
	for _, state := range []ledger.State{ledger.Closed, ledger.Unknown, ledger.Review} {
		o.put(claims[sceneIDs[state]], state)
	}
	submitted := o.imported("submitted", sheet("s", 2)) // 3
	must(t, o.Submit(t.Context(), o.maker, submitted.ID))
	o.imported("valid", sheet("v", 2)) // 4
	return s
}

// digested is the ledger's digest, which anybody can compute who can read.
func digested(fields ...any) string {
	h := sha256.New()
	for _, field := range fields {
		text := fmt.Sprint(field)
		fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// forgery is something done behind the ledger's back, and what Verify must
// say to it.
type forgery struct {
	name  string
	edit  []string // SQL
	check string   // that finds it; "" for any
	rows  []string // that this check names, and no others
}

func edit(statements ...string) []string { return statements }

// forgeries are single rows that somebody edited by SQL.
func (s *scene) forgeries() []forgery {
	id := func(state ledger.State) string { return fmt.Sprint(sceneIDs[state]) }
	of := func(state ledger.State) string { return " WHERE payout_id = " + id(state) }
	at := func(state ledger.State) string { return " WHERE id = " + id(state) }
	byNo := func(state ledger.State) string { return "payout " + s.no[state] }
	entryOf := func(state ledger.State) int64 { return s.count("SELECT id FROM entries" + of(state)) }
	hold := s.count("SELECT id FROM entries WHERE kind = 'hold' AND batch_id = 1")
	funding := s.count("SELECT id FROM entries WHERE kind = 'funding'")
	newest := s.count("SELECT max(position) FROM audit")
	paid, fresh := entryOf(ledger.Succeeded), entryOf(ledger.Closed)
	entry := func(n int64) string { return fmt.Sprint("entry ", n) }
	line := func(n, position int64) string {
		return fmt.Sprintf(" WHERE entry_id = %d AND position = %d", n, position)
	}
	lastEvent := func(state ledger.State) string {
		return fmt.Sprint(" WHERE id = ", s.count("SELECT max(id) FROM events"+of(state)))
	}
	// Forged rows are sealed as the ledger would seal them.
	newEvent := func(batch, payout int64, from, to ledger.State, reason ledger.Reason) string {
		seal := digested(999999, batch, payout, from, to, reason, "", "user:mallory", 0, 0, "", 1)
		return fmt.Sprintf(`INSERT INTO events (id, batch_id, payout_id, from_state, to_state, reason, note, actor, attempt_id, evidence_id, digest, created_at, seal)
			VALUES (999999, %d, %d, '%s', '%s', '%s', '', 'user:mallory', 0, 0, '', 1, '%s')`, batch, payout, from, to, reason, seal)
	}
	newAttempt := func(state ledger.State, number int) string {
		p := s.payout(s.no[state])
		content := digested(p.OrderNo(), p.Channel, p.Account, int64(p.Amount), string(p.Currency))
		seal := digested(999999, p.ID, number, p.OrderNo(), content, "gateway", "w9", 1, 1)
		return fmt.Sprintf(`INSERT INTO attempts (id, payout_id, number, order_no, params_digest, limits_source, worker, send_by, created_at, seal)
			VALUES (999999, %d, %d, '%s', '%s', 'gateway', 'w9', 1, 1, '%s')`, p.ID, number, p.OrderNo(), content, seal)
	}

	all := []forgery{
		// Alerts that somebody kept from being sent.
		{"a case is hidden", edit("UPDATE exceptions SET alert_at = 0 WHERE payout_id = " + id(ledger.Unknown)), "alerts",
			[]string{fmt.Sprint("case ", s.count("SELECT id FROM exceptions"+of(ledger.Unknown)))}},
		{"a stop is hidden", edit("UPDATE stops SET alert_at = 0"), "alerts", []string{"stop of batch by user:charles"}},
		{"a batch is called finished", edit("UPDATE batches SET finished_at = 1 WHERE id = 1"), "alerts", []string{"batch 1"}},

		// Rows that people approved.
		{"amount of a payout", edit("UPDATE payouts SET amount = 9900" + at(ledger.Approved)), "approved rows", []string{byNo(ledger.Approved), "batch 1"}},
		{"amount of a paid payout", edit("UPDATE payouts SET amount = 9900" + at(ledger.Succeeded)), "approved rows", []string{byNo(ledger.Succeeded), "batch 1"}},
		{"account of a payout", edit("UPDATE payouts SET account = 'P1MALLORY'" + at(ledger.Approved)), "approved rows", []string{byNo(ledger.Approved), "batch 1"}},
		{"account of a payout that nobody submitted yet", edit("UPDATE payouts SET account = 'P1MALLORY' WHERE id = 400000001"), "approved rows", []string{s.orderNo(4, 1)}},
		{"account of a payout, with its digest", s.reaccount(1, 8), "approved rows", []string{"batch 1"}},
		{"account of a submitted payout, with its digest", s.reaccount(3, 1), "approved rows", []string{"batch 3"}},
		{"account of an imported payout, with its digest", s.reaccount(4, 1), "", []string{"batch 4"}},
		{"order numbers of an approved batch", edit("UPDATE batches SET order_prefix = 'AAAAAAAAAAAAAAAA' WHERE id = 1"), "approved rows", []string{"batch 1"}},
		{"order numbers of an imported batch", edit("UPDATE batches SET order_prefix = 'AAAAAAAAAAAAAAAA' WHERE id = 4"), "", []string{"batch 4"}},
		{"content digest", edit("UPDATE batches SET content_digest = 'x' WHERE id = 1"), "approved rows", []string{"batch 1"}},
		{"payout deleted", edit("DELETE FROM payouts WHERE id = 400000002"), "sheet rows", []string{"batch 4"}},
		{"payout added", edit(`INSERT INTO payouts (id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, row_digest)
			SELECT 400000003, batch_id, 3, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, row_digest
			FROM payouts WHERE id = 400000002`), "sheet rows", []string{"batch 4"}},
		{"payout of no batch", edit(`INSERT INTO payouts (id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, row_digest)
			SELECT 9900000001, 99, 1, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, row_digest
			FROM payouts WHERE id = 400000002`), "sheet rows", []string{"batch 99"}},
		{"rows that were read", edit("UPDATE batches SET rows_read = 99 WHERE id = 1"), "sheet rows", []string{"batch 1"}},
		{"total of a channel", edit("UPDATE batch_totals SET amount = amount + 1 WHERE batch_id = 1 AND channel = '11'"), "totals", []string{"batch 1 channel 11"}},
		{"total fees of a channel", edit("UPDATE batch_totals SET fees = fees + 1 WHERE batch_id = 3 AND channel = '16'"), "totals", []string{"batch 3 channel 16"}},
		{"total deleted", edit("DELETE FROM batch_totals WHERE batch_id = 3 AND channel = '16'"), "totals", []string{"batch 3 channel 16"}},
		{"all totals deleted", edit("DELETE FROM batch_totals WHERE batch_id = 4"), "totals", []string{"batch 4 channel 11", "batch 4 channel 16"}},

		// Who decided.
		{"approved by the maker", edit("UPDATE batches SET approved_by = made_by WHERE id = 1"), "four eyes", []string{"batch 1"}},
		{"approved by the submitter", edit("UPDATE batches SET submitted_by = approved_by WHERE id = 1"), "four eyes", []string{"batch 1"}},
		{"approved by nobody", edit("UPDATE batches SET approved_by = 0 WHERE id = 1"), "four eyes", []string{"batch 1"}},
		{"approved by somebody else", edit(fmt.Sprint("UPDATE batches SET approved_by = ", s.both.ID, " WHERE id = 1")), "", []string{"batch 1"}},
		{"state of a batch", edit("UPDATE batches SET state = 'VALID' WHERE id = 3"), "", []string{"batch 3"}},
		{"a batch approved by hand", edit(fmt.Sprint("UPDATE batches SET state = 'APPROVED', approved_at = 1, approved_by = ", s.checker.ID, " WHERE id = 3")),
			"hold entries", []string{"batch 3 USD"}},
		{"approval deleted", edit("DELETE FROM events WHERE batch_id = 1 AND payout_id = 0 AND reason = 'approved'"), "", []string{"batch 1"}},
		{"approver's name in the approval", edit("UPDATE events SET actor = 'user:bo' WHERE batch_id = 1 AND payout_id = 0 AND reason = 'approved'"), "", []string{"batch 1"}},
		{"batch event forged", edit(newEvent(4, 0, ledger.Valid, ledger.Submitted, ledger.BySubmission)), "", []string{"batch 4"}},

		// State = fold(events).
		{"state of a paid payout", edit("UPDATE payouts SET state = 'FAILED'" + at(ledger.Succeeded)), "states", []string{byNo(ledger.Succeeded)}},
		{"state: paid by hand", edit("UPDATE payouts SET state = 'SUCCEEDED'" + at(ledger.Accepted)), "states", []string{byNo(ledger.Accepted)}},
		{"state: sent again", edit("UPDATE payouts SET state = 'UNSENT'" + at(ledger.Unknown)), "states", []string{byNo(ledger.Unknown)}},
		{"state: never sent", edit("UPDATE payouts SET state = 'SUCCEEDED'" + at(ledger.Approved)), "states", []string{byNo(ledger.Approved)}},
		{"first event deleted", edit("DELETE FROM events" + of(ledger.Succeeded) + " AND reason = 'claimed'"), "states", []string{byNo(ledger.Succeeded)}},
		{"last event deleted", edit("DELETE FROM events" + lastEvent(ledger.Succeeded)), "states", []string{byNo(ledger.Succeeded)}},
		{"only event deleted", edit("DELETE FROM events" + of(ledger.Sending)), "states", []string{byNo(ledger.Sending)}},
		{"middle event deleted", edit("DELETE FROM events" + of(ledger.Closed) + " AND to_state = 'ACCEPTED'"), "states", []string{byNo(ledger.Closed)}},
		{"illegal event forged", edit(newEvent(1, sceneIDs[ledger.Succeeded], ledger.Succeeded, ledger.Accepted, ledger.ByFinding)), "states", []string{byNo(ledger.Succeeded)}},
		{"legal event forged", edit(newEvent(1, sceneIDs[ledger.Accepted], ledger.Accepted, ledger.Succeeded, ledger.BySuccess)), "states", []string{byNo(ledger.Accepted)}},
		{"event of an unsent payout forged", edit(newEvent(1, sceneIDs[ledger.Approved], ledger.Approved, ledger.Sending, ledger.ByClaim)), "states", []string{byNo(ledger.Approved)}},
		{"event of no payout forged", edit(newEvent(1, 1_0000_0099, ledger.Approved, ledger.Sending, ledger.ByClaim)), "", []string{"payout 100000099"}},
		{"reason of an event", edit("UPDATE events SET reason = 'corrected'" + lastEvent(ledger.Succeeded)), "states", []string{byNo(ledger.Succeeded)}},
		{"actor of an event", edit("UPDATE events SET actor = 'user:mallory'" + lastEvent(ledger.Succeeded)), "", []string{byNo(ledger.Succeeded)}},

		// Attempts and evidence.
		{"order number of an attempt", edit("UPDATE attempts SET order_no = 'X'" + of(ledger.Succeeded)), "attempts", []string{byNo(ledger.Succeeded)}},
		{"content of an attempt", edit("UPDATE attempts SET params_digest = 'x'" + of(ledger.Accepted)), "attempts", []string{byNo(ledger.Accepted)}},
		{"attempt deleted", edit("DELETE FROM attempts" + of(ledger.Unknown)), "attempts", []string{byNo(ledger.Unknown)}},
		{"attempt forged", edit(newAttempt(ledger.Unknown, 2)), "attempts", []string{byNo(ledger.Unknown)}},
		{"attempt of an unsent payout forged", edit(newAttempt(ledger.Approved, 1)), "", []string{byNo(ledger.Approved)}},
		{"attempts that are counted", edit("UPDATE payouts SET attempts = 2" + at(ledger.Unknown)), "attempts", []string{byNo(ledger.Unknown)}},
		{"attempt that is current", edit("UPDATE payouts SET attempt_id = attempt_id + 1" + at(ledger.Accepted)), "", []string{byNo(ledger.Accepted)}},
		{"evidence deleted", edit("DELETE FROM evidence" + of(ledger.Succeeded)), "evidence", []string{byNo(ledger.Succeeded)}},
		{"evidence of a doubt deleted", edit("DELETE FROM evidence" + of(ledger.Unknown)), "evidence", []string{byNo(ledger.Unknown)}},
		{"evidence of another payout", edit("UPDATE evidence SET payout_id = " + id(ledger.Failed) + of(ledger.Succeeded)), "evidence",
			[]string{byNo(ledger.Succeeded), byNo(ledger.Failed)}},
		{"body of the evidence", edit("UPDATE evidence SET body = 'status=6'" + of(ledger.Succeeded)), "evidence", []string{byNo(ledger.Succeeded)}},
		{"status in the evidence", edit("UPDATE evidence SET gateway_status = '6'" + of(ledger.Succeeded)), "evidence", []string{byNo(ledger.Succeeded)}},

		// The books.
		{"amount of one line", edit("UPDATE lines SET amount = amount + 1" + line(paid, 1)), "entries", []string{entry(paid)}},
		{"amounts of two lines", edit("UPDATE lines SET amount = 1 WHERE entry_id = " + fmt.Sprint(hold)), "entries", []string{entry(hold)}},
		{"account of a line", edit("UPDATE lines SET account_id = (SELECT id FROM accounts WHERE currency = 'USD' AND kind = 'suspense')" + line(paid, 1)), "entries", []string{entry(paid)}},
		{"line deleted", edit("DELETE FROM lines" + line(paid, 1)), "entries", []string{entry(paid)}},
		{"all lines deleted", edit("DELETE FROM lines WHERE entry_id = " + fmt.Sprint(paid)), "entries", []string{entry(paid)}},
		{"line added", edit(fmt.Sprintf("INSERT INTO lines SELECT entry_id, 9, account_id, side, amount FROM lines WHERE entry_id = %d AND position = 1", paid)), "entries", []string{entry(paid)}},
		{"note of an entry", edit("UPDATE entries SET note = 'bank reference 9' WHERE id = " + fmt.Sprint(funding)), "entries", []string{entry(funding)}},
		{"actor of an entry", edit("UPDATE entries SET actor = 'user:mallory' WHERE id = " + fmt.Sprint(paid)), "entries", []string{entry(paid)}},
		{"time of an entry", edit("UPDATE entries SET created_at = created_at + 1 WHERE id = " + fmt.Sprint(paid)), "entries", []string{entry(paid)}},
		{"payout of an entry", edit("UPDATE entries SET payout_id = " + id(ledger.Accepted) + " WHERE id = " + fmt.Sprint(paid)), "entries", []string{entry(paid)}},
		{"digest of an entry", edit("UPDATE entries SET digest = 'x' WHERE id = " + fmt.Sprint(paid)), "entries", []string{entry(paid)}},
		{"balance of an account", edit("UPDATE accounts SET balance = balance + 1 WHERE currency = 'USD' AND kind = 'available'"), "balances", []string{"USD available"}},
		{"entry of a payout deleted", deleted(fresh), "postings", []string{byNo(ledger.Closed)}},
		{"hold changed", edit("UPDATE lines SET amount = amount - 1 WHERE entry_id = " + fmt.Sprint(hold)), "hold entries", []string{"batch 1 USD"}},
		{"hold deleted", deleted(hold), "hold entries", []string{"batch 1 USD"}},
		{"fee of a paid payout", edit("UPDATE payouts SET fee = 49" + at(ledger.Succeeded)), "postings", []string{byNo(ledger.Succeeded)}},
		{"a top-up that nobody booked", s.forgedTopUp(), "", []string{"entry 999999"}},

		// Days.
		{"entry of a closed day deleted", deleted(paid), "days", []string{"day 2026-11-02"}},
		{"entry added to a closed day", edit("UPDATE entries SET day_id = (SELECT min(id) FROM days) WHERE id = " + fmt.Sprint(fresh)), "days", []string{"day 2026-11-02"}},
		{"entry taken out of a closed day", edit("UPDATE entries SET day_id = (SELECT max(id) FROM days) WHERE id = " + fmt.Sprint(paid)), "days", []string{"day 2026-11-02"}},
		{"digest of a closed day", edit("UPDATE days SET digest = 'x' WHERE closed_at > 0"), "days", []string{"day 2026-11-02"}},
		{"entries of a closed day", edit("UPDATE days SET entries = 0 WHERE closed_at > 0"), "days", []string{"day 2026-11-02"}},
		{"who closed a day", edit("UPDATE days SET closed_by = 'user:mallory' WHERE closed_at > 0"), "days", []string{"day 2026-11-02"}},

		// The audit trail.
		{"audit record deleted", edit("DELETE FROM audit WHERE position = 3"), "audit", []string{"audit record 4"}},
		{"first audit record deleted", edit("DELETE FROM audit WHERE position = 1"), "audit", []string{"audit record 2"}},
		{"audit record changed", edit("UPDATE audit SET actor = 'user:mallory' WHERE position = 3"), "audit", []string{"audit record 3"}},
		{"digest of an audit record", edit("UPDATE audit SET digest = 'x' WHERE position = 3"), "audit", []string{"audit record 3", "audit record 4"}},
		{"newest audit record deleted", edit(fmt.Sprint("DELETE FROM audit WHERE position = ", newest)), "audit", []string{"audit trail"}},
		{"audit record added", edit(fmt.Sprintf("INSERT INTO audit VALUES (%d, 'user:ada', 'x', '', '', 1, 'x')", newest+1)), "audit", []string{fmt.Sprint("audit record ", newest+1), "audit trail"}},

		// What would be forgotten.
		{"doubt without a case", edit("DELETE FROM exceptions" + of(ledger.Unknown)), "doubt", []string{byNo(ledger.Unknown)}},
		{"doubt with a closed case", edit("UPDATE exceptions SET closed_at = 1" + of(ledger.Unknown)), "doubt", []string{byNo(ledger.Unknown)}},
		{"review without a case", edit("DELETE FROM exceptions" + of(ledger.Review)), "doubt", []string{byNo(ledger.Review)}},
		{"accepted, never looked up again", edit("UPDATE payouts SET next_lookup_at = 0" + at(ledger.Accepted)), "following", []string{byNo(ledger.Accepted)}},
		{"in doubt, never looked up again", edit("UPDATE payouts SET next_lookup_at = 0" + at(ledger.Unknown)), "following", []string{byNo(ledger.Unknown)}},
		{"unsent in a batch that nobody looks at", edit("UPDATE batches SET drained_at = 1 WHERE id = 1"), "", []string{"batch 1"}},
		{"blocked without a case", edit("UPDATE payouts SET blocked = 'because'" + at(ledger.Approved)), "", []string{byNo(ledger.Approved)}},
		{"a lease that ended long ago", edit("UPDATE payouts SET lease_until = 1" + at(ledger.Sending)), "", []string{byNo(ledger.Sending)}},
	}
	return all
}

func (s *scene) orderNo(batch, ordinal int64) string {
	s.t.Helper()
	b, err := s.Batch(s.t.Context(), batch)
	must(s.t, err)
	return fmt.Sprintf("payout %s%08d", b.OrderPrefix, ordinal)
}

// deleted removes an entry as if it had never been, balances included.
func deleted(entry int64) []string {
	return edit(
		fmt.Sprintf(`UPDATE accounts SET balance = balance - (SELECT coalesce(sum(CASE side WHEN 'debit' THEN amount ELSE -amount END), 0)
			FROM lines WHERE entry_id = %d AND account_id = accounts.id)`, entry),
		fmt.Sprint("DELETE FROM lines WHERE entry_id = ", entry),
		fmt.Sprint("DELETE FROM entries WHERE id = ", entry),
	)
}

// reaccount diverts a payout and makes its digest fit.
func (s *scene) reaccount(batch, ordinal int64) []string {
	s.t.Helper()
	p := s.payout(strings.TrimPrefix(s.orderNo(batch, ordinal), "payout "))
	fits := digested(p.BatchID, p.Ordinal, p.Sheet, p.Row, p.Reference, p.Channel, "P1MALLORY", p.Payee, p.Remark,
		p.PayDate, int64(p.Amount), string(p.Currency), int64(p.FeeEstimate))
	return edit(fmt.Sprintf("UPDATE payouts SET account = 'P1MALLORY', row_digest = '%s' WHERE id = %d", fits, p.ID))
}

// forgedTopUp books money that nobody paid in, as the ledger itself would.
func (s *scene) forgedTopUp() []string {
	s.t.Helper()
	const entry, at, amount = 999999, 1, 5
	day := s.count("SELECT id FROM days WHERE closed_at = 0")
	account := func(kind string) int64 {
		return s.count("SELECT id FROM accounts WHERE currency = 'USD' AND kind = ?", kind)
	}
	fits := digested(entry, day, "funding", "USD", 0, 0, 0, "bank reference 2", "user:ada", at, "available", "debit", amount, "funding", "credit", amount)
	return edit(
		fmt.Sprintf("INSERT INTO entries VALUES (%d, %d, 'funding', 'USD', 0, 0, 0, 'bank reference 2', 'user:ada', %d, '%s')", entry, day, at, fits),
		fmt.Sprintf("INSERT INTO lines VALUES (%d, 1, %d, 'debit', %d), (%d, 2, %d, 'credit', %d)", entry, account("available"), amount, entry, account("funding"), amount),
		fmt.Sprintf("UPDATE accounts SET balance = balance + %d WHERE id = %d", amount, account("available")),
		fmt.Sprintf("UPDATE accounts SET balance = balance - %d WHERE id = %d", amount, account("funding")),
	)
}

func TestVerifyNamesTheForgedRow(t *testing.T) {
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		s := newScene(t, engine)
		s.sound()
		for _, f := range s.forgeries() {
			t.Run(f.name, func(t *testing.T) { s.try(t, f) })
		}
		s.t = t
		s.sound() // all was put back
	})
}

// try forges, verifies and puts everything back.
func (s *scene) try(t *testing.T, f forgery) {
	t.Helper()
	s.t = t
	tables := touched(f.edit)
	for _, table := range tables {
		s.tamper("CREATE TABLE saved_" + table + " AS SELECT * FROM " + table)
		defer s.tamper("DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM saved_"+table, "DROP TABLE saved_"+table)
	}
	s.tamper(f.edit...)
	named := s.named(f.check, f.rows)
	if slices.Sort(f.rows); !slices.Equal(named, f.rows) {
		t.Errorf("check %q names %q, want %q", f.check, named, f.rows)
	}
}

// named returns the rows that a check names; of any check, when none is given,
// only those that are wanted.
func (s *scene) named(check string, wanted []string) []string {
	s.t.Helper()
	_, breaches, err := s.Verify(s.t.Context())
	must(s.t, err)
	var rows []string
	for _, b := range breaches {
		if (b.Check == check || check == "" && slices.Contains(wanted, b.Row)) && !slices.Contains(rows, b.Row) {
			rows = append(rows, b.Row)
		}
	}
	slices.Sort(rows)
	return rows
}

// insertOnly are the tables whose rows never change, written a second time on
// purpose: a table that is forgotten in the code is missed here.
var insertOnly = []string{
	"audit", "batch_totals", "attempts", "evidence", "events", "entries", "lines",
	"learned", "restores", "proposals", "decisions", "readings", "confirmations", "payees",
}

// A guard that is gone, switched off or hollow protects nothing.
func TestVerifyNamesTheMissingGuard(t *testing.T) {
	t.Parallel()
	type sabotage struct{ name, trigger, table, how, row string }
	sqlite, postgres := []sabotage{}, []sabotage{}
	for _, table := range insertOnly {
		for _, verb := range []string{"update", "delete"} {
			name := table + "_no_" + verb
			sqlite = append(sqlite, sabotage{name + " dropped", name, table, "DROP TRIGGER " + name, "table " + table})
		}
		name := table + "_insert_only"
		postgres = append(postgres,
			sabotage{name + " dropped", name, table, "DROP TRIGGER " + name + " ON " + table, "table " + table},
			sabotage{name + " disabled", name, table, "ALTER TABLE " + table + " DISABLE TRIGGER " + name, "table " + table})
	}
	for _, name := range []string{
		"payouts_frozen", "payouts_repays_frozen", "payouts_kept", "problems_frozen", "problems_kept", "stops_frozen", "stops_kept", "stops_lifted_once",
		"warnings_frozen", "warnings_settled", "warnings_kept", "warnings_only_staged", "extras_frozen", "extras_kept", "extras_only_staged",
	} {
		table, _, _ := strings.Cut(name, "_")
		sqlite = append(sqlite, sabotage{name + " dropped", name, table, "DROP TRIGGER " + name, "trigger " + name})
		postgres = append(postgres, sabotage{name + " dropped", name, table, "DROP TRIGGER " + name + " ON " + table, "trigger " + name})
	}
	sqlite = append(sqlite, sabotage{"audit_no_update hollow", "audit_no_update", "audit",
		"DROP TRIGGER audit_no_update; CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT 1; END", "table audit"})
	postgres = append(postgres,
		sabotage{"payouts_no_truncate dropped", "payouts_no_truncate", "payouts", "DROP TRIGGER payouts_no_truncate ON payouts", "trigger payouts_no_truncate"},
		sabotage{"lines_insert_only for replicas only", "lines_insert_only", "lines", "ALTER TABLE lines ENABLE REPLICA TRIGGER lines_insert_only", "table lines"},
		sabotage{"audit_insert_only guards deletes only", "audit_insert_only", "audit",
			"DROP TRIGGER audit_insert_only ON audit; CREATE TRIGGER audit_insert_only BEFORE DELETE ON audit EXECUTE FUNCTION refuse_change()", "table audit"},
	)
	const definition = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = ?"
	run := func(engine, definition string, cases []sabotage) {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := &scene{office: func() *office { o, _ := officeAt(t, engine); return o }()}
			for _, c := range cases {
				var original string
				must(t, s.db.Get(t.Context(), &original, definition, c.trigger))
				s.tamper(strings.Split(c.how, "; C")[0])
				if _, again, ok := strings.Cut(c.how, "; "); ok {
					s.tamper(again)
				}
				if named := s.named("guards", nil); !slices.Equal(named, []string{c.row}) {
					t.Errorf("%s: Verify names %q, want %q", c.name, named, c.row)
				}
				if !strings.HasPrefix(c.how, "DROP") || strings.Contains(c.how, "; ") {
					s.tamper(map[string]string{"sqlite": "DROP TRIGGER " + c.trigger, "postgres": "DROP TRIGGER " + c.trigger + " ON " + c.table}[engine])
				}
				s.tamper(original)
				if named := s.named("guards", nil); len(named) > 0 {
					t.Fatalf("%s: not put back: %q", c.name, named)
				}
			}
		})
	}
	run("sqlite", "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?", sqlite)
	run("postgres", definition, postgres)
}

// The guards themselves: without an owner's powers nothing can be edited.
func TestTheSchemaRefusesEdits(t *testing.T) {
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		s := newScene(t, engine)
		s.decide(s.no[ledger.Unknown], said(ledger.OutcomePaid))
		must(t, s.DeclareRestore(t.Context(), s.admin, "a backup of yesterday"))
		s.confirmed(s.maker, s.scrutinized("first payments", pays("P1 10"), careful()).ID)
		edits := []string{"DELETE FROM payouts", "UPDATE payouts SET amount = 1", "UPDATE payouts SET account = 'x'", "UPDATE payouts SET row_digest = 'x'", "UPDATE payouts SET repays = 'x'"}
		for _, table := range insertOnly {
			var column string
			switch table {
			case "audit":
				column = "actor"
			case "batch_totals", "lines", "payees":
				column = "amount"
			default:
				column = "created_at"
			}
			edits = append(edits, "DELETE FROM "+table, fmt.Sprintf("UPDATE %s SET %s = %s", table, column, column))
		}
		for _, edit := range edits {
			err := s.db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(t.Context(), edit)
				return err
			})
			if !database.IsRefused(err) {
				t.Errorf("%s: %v", edit, err)
			}
		}
		s.sound()
	})
}

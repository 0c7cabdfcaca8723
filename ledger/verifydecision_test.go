package ledger_test

import (
	"fmt"
	"testing"

	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// newDecisions is a ledger in which people have decided and re-paid.
func newDecisions(t *testing.T, engine string) (s *scene, corrected, repaid string, confirmed, open int64) {
	t.Helper()
	o, _ := officeAt(t, engine)
	orders := o.failed("failed", 3) // batch 1
	batch := o.repaid(orders[0])    // batch 2
	must(t, o.Submit(t.Context(), o.maker, batch.ID))
	must(t, o.Approve(t.Context(), o.checker, batch.ID))
	o.put(o.claim(1)[0], ledger.Accepted)
	o.decide(orders[1], said(ledger.OutcomePaid))
	o.decide(orders[1], said(ledger.OutcomeFailed))
	confirmed = o.propose(o.maker, orders[1], said(ledger.OutcomePaid))
	must(t, o.Confirm(t.Context(), o.checker, confirmed))
	open = o.propose(o.both, orders[2], said(ledger.OutcomePaid))
	return &scene{o, nil}, orders[1], numbered(batch, 1), confirmed, open
}

// What took two people cannot be forged by one who owns the database: not the
// proposal, not the verdict, not what it did.
func TestVerifyNamesAForgedDecision(t *testing.T) {
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		s, corrected, repaid, confirmed, open := newDecisions(t, engine)
		s.sound()
		p, again := s.payout(corrected), s.payout(repaid)
		first := s.payout(again.Repays)
		last := s.count("SELECT max(id) FROM entries WHERE payout_id = ?", p.ID)
		event := s.count("SELECT max(id) FROM events WHERE payout_id = ?", p.ID)
		at := s.count("SELECT created_at FROM proposals WHERE id = ?", open)
		mallory := digested(open, 999999, "confirmed", "", 0, s.checker.ID, at)
		own := digested(open, 999999, "confirmed", "", 0, s.both.ID, at)
		fake := digested(999998, first.ID, "paid", "r", "e", "", "", 0, 0, "FAILED", first.AttemptID, 1, "", s.maker.ID, at)
		proposal := func(n int64) string { return fmt.Sprint("proposal ", n) }
		where := func(n int64) string { return fmt.Sprint(" WHERE id = ", n) }
		verdict := fmt.Sprint(" WHERE proposal_id = ", confirmed)
		insert := `INSERT INTO decisions (proposal_id, id, verdict, note, event_id, decided_by, created_at, seal) VALUES (%d, 999999, 'confirmed', '', 0, %d, %d, '%s')`
		forgeries := []forgery{
			{"reason of a proposal", edit("UPDATE proposals SET reason = 'x'" + where(confirmed)), "seals", []string{"payout " + corrected}},
			{"evidence of a proposal", edit("UPDATE proposals SET evidence = 'x'" + where(confirmed)), "seals", []string{"payout " + corrected}},
			{"file of a proposal", edit("UPDATE proposals SET file_digest = 'x'" + where(confirmed)), "seals", []string{"payout " + corrected}},
			{"fee of a proposal", edit("UPDATE proposals SET fee = 1" + where(confirmed)), "seals", []string{"payout " + corrected}},
			{"who proposed", edit(fmt.Sprintf("UPDATE proposals SET proposed_by = %d", s.both.ID) + where(confirmed)), "proposals", []string{proposal(confirmed)}},
			{"proposal deleted", edit("DELETE FROM proposals" + where(confirmed)), "proposals", []string{"payout " + corrected}},
			{"proposal forged", edit(fmt.Sprintf(`INSERT INTO proposals (id, payout_id, outcome, reason, evidence, file_name, file_digest, fee, fee_known, state, attempt_id, event_id, blocked, proposed_by, created_at, seal)
				VALUES (999998, %d, 'paid', 'r', 'e', '', '', 0, 0, 'FAILED', %d, 1, '', %d, %d, '%s')`, first.ID, first.AttemptID, s.maker.ID, at, fake)), "proposals", []string{"proposal 999998"}},
			{"proposal about nothing", edit("UPDATE proposals SET payout_id = 4711" + where(open)), "", []string{proposal(open)}},
			{"a second open proposal", edit(fmt.Sprintf("DELETE FROM decisions WHERE proposal_id = (SELECT min(id) FROM proposals WHERE payout_id = %d)", p.ID), "DELETE FROM decisions"+verdict), "", []string{proposal(confirmed)}},
			{"an open proposal hidden", edit("DELETE FROM open_proposals"), "proposals", []string{proposal(open)}},
			{"an open proposal put about another payout", edit("UPDATE open_proposals SET payout_id = 4711"), "proposals", []string{proposal(open)}},
			{"a decided proposal called open", edit(fmt.Sprintf("INSERT INTO open_proposals (payout_id, proposal_id) VALUES (4711, %d)", confirmed)), "proposals", []string{proposal(confirmed)}},
			{"verdict", edit("UPDATE decisions SET verdict = 'refused'" + verdict), "seals", []string{proposal(confirmed)}},
			{"who confirmed", edit(fmt.Sprintf("UPDATE decisions SET decided_by = %d", s.both.ID) + verdict), "seals", []string{proposal(confirmed)}},
			{"confirmed by the proposer", edit(fmt.Sprintf("UPDATE decisions SET decided_by = %d", s.maker.ID) + verdict), "", []string{proposal(confirmed)}},
			{"verdict deleted", edit("DELETE FROM decisions" + verdict), "proposals", []string{"payout " + corrected, proposal(confirmed)}},
			{"confirmation forged", edit(fmt.Sprintf(insert, open, s.checker.ID, at, mallory)), "proposals", []string{proposal(open)}},
			{"own confirmation forged", edit(fmt.Sprintf(insert, open, s.both.ID, at, own)), "proposals", []string{proposal(open)}},
			{"event of a decision deleted", edit("DELETE FROM events" + where(event)), "proposals", []string{proposal(confirmed)}},
			{"actor of a decision", edit("UPDATE events SET actor = 'user:mia'" + where(event)), "proposals", []string{proposal(confirmed), "payout " + corrected}},

			{"link of a correction", edit("UPDATE entries SET corrects = 1" + where(last)), "corrections", []string{fmt.Sprint("entry ", last)}},
			{"correction deleted", deleted(last), "corrections", []string{"payout " + corrected}},
			{"state of what was corrected", edit(fmt.Sprintf("UPDATE payouts SET state = 'FAILED'%s", where(p.ID))), "corrections", []string{"payout " + corrected}},
			{"fee of what was corrected", edit(fmt.Sprintf("UPDATE payouts SET fee = fee + 1%s", where(p.ID))), "corrections", []string{"payout " + corrected}},

			{"what is paid again", edit(fmt.Sprintf("UPDATE payouts SET repays = '%s'%s", corrected, where(again.ID))), "approved rows", []string{"payout " + repaid, "batch 2"}},
			{"paid again, with nothing", edit("UPDATE payouts SET repays = ''" + where(again.ID)), "approved rows", []string{"payout " + repaid, "batch 2"}},
			{"pays nobody again", edit("UPDATE payouts SET repays = 'AAAAAAAAAAAAAAAA00000001'" + where(again.ID)), "re-pays", []string{"payout " + repaid}},
			{"pays another amount again", edit("UPDATE payouts SET amount = amount + 1" + where(again.ID)), "re-pays", []string{"payout " + repaid}},
			{"paid again by two", edit(fmt.Sprintf("UPDATE payouts SET repays = '%s'%s", again.Repays, where(p.ID))), "", []string{"payout " + repaid, "payout " + corrected}},
		}
		for _, f := range forgeries {
			t.Run(f.name, func(t *testing.T) { s.try(t, f) })
		}
		s.t = t
		s.sound()
	})
}

package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

// said is a proposal with a reason, and evidence for those that need it.
func said(outcome ledger.Outcome) ledger.Proposal {
	return ledger.Proposal{Outcome: outcome, Reason: "the gateway wrote", Evidence: "statement of 2 November, line 7"}
}

func (o *office) propose(by ledger.User, orderNo string, p ledger.Proposal) int64 {
	o.t.Helper()
	number, err := o.Propose(o.t.Context(), by, orderNo, p)
	must(o.t, err)
	return number
}

// decide has mia propose and charles confirm.
func (o *office) decide(orderNo string, p ledger.Proposal) {
	o.t.Helper()
	must(o.t, o.Confirm(o.t.Context(), o.checker, o.propose(o.maker, orderNo, p)))
}

// learn writes down how the gateway says that it has no such order.
func (o *office) learn() {
	o.t.Helper()
	_, err := o.Learn(o.t.Context(), o.admin, "acct@example.com", ledger.Shape{HTTPStatus: 200, Code: "90", Message: "no such order"})
	must(o.t, err)
}

// absent puts on file what proves that the gateway does not have a payout.
func (o *office) absent(c *clock, claim ledger.Claim, in ledger.State) {
	o.t.Helper()
	c.advance(time.Minute)
	for range 3 {
		f := looked(claim, in, in, "")
		f.Evidence = &ledger.Evidence{
			Kind: ledger.EvidenceLookup, Heard: ledger.HeardAbsent, HTTPStatus: 200, Code: "90", Message: "no such order", Digest: "d",
		}
		o.record(f)
		c.advance(16 * time.Minute)
	}
}

// Every outcome from every state: what changes, and where the money is then.
func TestWhatTwoPeopleDecide(t *testing.T) {
	const all = 10_50 // amount and estimated fee
	tests := []struct {
		name    string
		from    ledger.State
		outcome ledger.Outcome
		proof   bool // that the gateway does not have it
		fee     money.Amount
		to      ledger.State // "" when it is refused
		booked  ledger.Balances
	}{
		{"in doubt, paid", ledger.Unknown, ledger.OutcomePaid, false, -1, ledger.Succeeded, ledger.Balances{Available: -all, Paid: 10_00, Fees: 50}},
		{"in doubt, paid with a fee", ledger.Unknown, ledger.OutcomePaid, false, 20, ledger.Succeeded, ledger.Balances{Available: -10_20, Paid: 10_00, Fees: 20}},
		{"under review, paid", ledger.Review, ledger.OutcomePaid, false, 75, ledger.Succeeded, ledger.Balances{Available: -10_75, Paid: 10_00, Fees: 75}},
		{"in doubt, failed without proof", ledger.Unknown, ledger.OutcomeFailed, false, -1, "", ledger.Balances{Available: -all, Held: all}},
		{"in doubt, failed with proof", ledger.Unknown, ledger.OutcomeFailed, true, -1, ledger.Failed, ledger.Balances{}},
		{"under review, failed without proof", ledger.Review, ledger.OutcomeFailed, false, -1, "", ledger.Balances{Available: -all, Held: all}},
		{"under review, failed with proof", ledger.Review, ledger.OutcomeFailed, true, -1, ledger.Failed, ledger.Balances{}},
		{"under review, failed with proof, fee kept", ledger.Review, ledger.OutcomeFailed, true, 30, ledger.FailedFee, ledger.Balances{Available: -30, Fees: 30}},
		{"under review, failed without proof, fee kept", ledger.Review, ledger.OutcomeFailed, false, 30, "", ledger.Balances{Available: -all, Held: all}},
		{"in doubt, sent again without proof", ledger.Unknown, ledger.OutcomeSendAgain, false, -1, "", ledger.Balances{Available: -all, Held: all}},
		{"in doubt, sent again with proof", ledger.Unknown, ledger.OutcomeSendAgain, true, -1, ledger.Approved, ledger.Balances{Available: -all, Held: all}},
		{"failed, was paid", ledger.Failed, ledger.OutcomePaid, false, -1, ledger.Succeeded, ledger.Balances{Available: -10_00, Paid: 10_00}},
		{"failed, was paid with a fee", ledger.Failed, ledger.OutcomePaid, false, 30, ledger.Succeeded, ledger.Balances{Available: -10_30, Paid: 10_00, Fees: 30}},
		{"fee kept, was paid", ledger.FailedFee, ledger.OutcomePaid, false, -1, ledger.Succeeded, ledger.Balances{Available: -all, Paid: 10_00, Fees: 50}},
		{"fee kept, was paid with another fee", ledger.FailedFee, ledger.OutcomePaid, false, 20, ledger.Succeeded, ledger.Balances{Available: -10_20, Paid: 10_00, Fees: 20}},
		{"closed, was paid", ledger.Closed, ledger.OutcomePaid, false, -1, ledger.Succeeded, ledger.Balances{Available: -all, Paid: 10_00, Fees: 50}},
		{"closed, was paid with another fee", ledger.Closed, ledger.OutcomePaid, false, 0, ledger.Succeeded, ledger.Balances{Available: -10_00, Paid: 10_00}},
		{"closed, has failed", ledger.Closed, ledger.OutcomeFailed, false, -1, ledger.Failed, ledger.Balances{}},
		{"closed, has failed, fee kept", ledger.Closed, ledger.OutcomeFailed, false, 40, ledger.Failed, ledger.Balances{Available: -40, Fees: 40}},
		{"paid, has failed, fee stays", ledger.Succeeded, ledger.OutcomeFailed, false, -1, ledger.Failed, ledger.Balances{Available: -50, Fees: 50}},
		{"paid, has failed, fee came back", ledger.Succeeded, ledger.OutcomeFailed, false, 0, ledger.Failed, ledger.Balances{}},
	}
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.learn()
		o.approved("decisions", sheet("d", len(tests)))
		claims := o.claim(len(tests))
		for i, tt := range tests {
			claim, before := claims[i], o.usd()
			o.put(claim, tt.from)
			if tt.proof {
				o.absent(c, claim, tt.from)
			}
			p := said(tt.outcome)
			if tt.fee >= 0 {
				p.Fee, p.FeeKnown = tt.fee, true
			}
			err := o.Confirm(t.Context(), o.checker, o.propose(o.maker, claim.OrderNo(), p))
			if tt.to == "" {
				if !errors.Is(err, ledger.ErrConflict) {
					t.Errorf("%s: error %v", tt.name, err)
				}
				tt.to = tt.from
			} else if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			} else if left := o.exceptionsOf(claim.ID); left != "" {
				t.Errorf("%s: cases left: %s", tt.name, left)
			}
			if got := o.payout(claim.OrderNo()).State; got != tt.to {
				t.Errorf("%s: is %s, want %s", tt.name, got, tt.to)
			}
			after := o.usd() // compared with a payout that was never approved
			got := ledger.Balances{
				Available: after.Available - before.Available - all, Held: after.Held - before.Held + all,
				Paid: after.Paid - before.Paid, Fees: after.Fees - before.Fees, Suspense: after.Suspense - before.Suspense,
			}
			if got != tt.booked {
				t.Errorf("%s: moved %+v, want %+v", tt.name, got, tt.booked)
			}
		}
		o.sound()
	})
}

func (o *office) refused(name string, err, want error, words string) {
	o.t.Helper()
	if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), words) {
		o.t.Errorf("%s: %v; want %v with %q", name, err, want, words)
	}
}

// What cannot be decided about a payout that stands so is refused at once.
func TestWhatCannotBeProposed(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		froms := []ledger.State{
			ledger.Sending, ledger.Unknown, ledger.Accepted, ledger.Review, ledger.Succeeded, ledger.Failed, ledger.FailedFee, ledger.Closed, ledger.Approved,
		}
		o.approved("outcomes", sheet("o", len(froms)))
		imported := o.imported("not handed in", sheet("n", 1))
		orders := map[ledger.State]string{ledger.Valid: imported.OrderPrefix + "00000001"}
		for i, c := range o.claim(len(froms)) {
			o.put(c, froms[i])
			orders[froms[i]] = c.OrderNo()
		}
		can := map[ledger.Outcome][]ledger.State{
			ledger.OutcomePaid:      {ledger.Unknown, ledger.Review, ledger.Failed, ledger.FailedFee, ledger.Closed},
			ledger.OutcomeFailed:    {ledger.Unknown, ledger.Review, ledger.Succeeded, ledger.Closed},
			ledger.OutcomeSendAgain: {ledger.Unknown},
			ledger.OutcomeCancel:    {ledger.Approved},
			ledger.OutcomeUnblock:   {}, // nothing is blocked here
		}
		for outcome, states := range can {
			for state, no := range orders {
				if slices.Contains(states, state) {
					continue
				}
				if _, err := o.Propose(t.Context(), o.maker, no, said(outcome)); !errors.Is(err, ledger.ErrConflict) {
					t.Errorf("%s of a payout that is %s: %v", outcome, state, err)
				}
			}
		}
		bad := func(name, no string, p ledger.Proposal, want error, words string) {
			t.Helper()
			_, err := o.Propose(t.Context(), o.maker, no, p)
			o.refused(name, err, want, words)
		}
		unknown := orders[ledger.Unknown]
		bad("no reason", unknown, ledger.Proposal{Outcome: ledger.OutcomePaid, Evidence: "line 7"}, ledger.ErrInvalid, "a reason is needed")
		bad("blank reason", unknown, ledger.Proposal{Outcome: ledger.OutcomePaid, Reason: " ", Evidence: "line 7"}, ledger.ErrInvalid, "a reason is needed")
		bad("paid without evidence", unknown, ledger.Proposal{Outcome: ledger.OutcomePaid, Reason: "r"}, ledger.ErrInvalid, "evidence")
		bad("correction without evidence", orders[ledger.Succeeded], ledger.Proposal{Outcome: ledger.OutcomeFailed, Reason: "r"}, ledger.ErrInvalid, "evidence")
		bad("negative fee", unknown, ledger.Proposal{Outcome: ledger.OutcomePaid, Reason: "r", Evidence: "e", Fee: -1, FeeKnown: true}, ledger.ErrInvalid, "fee")
		bad("fee of what never left", unknown, ledger.Proposal{Outcome: ledger.OutcomeFailed, Reason: "r", Fee: 1, FeeKnown: true}, ledger.ErrInvalid, "fee")
		bad("fee of what is sent again", unknown, ledger.Proposal{Outcome: ledger.OutcomeSendAgain, Reason: "r", Fee: 1, FeeKnown: true}, ledger.ErrInvalid, "fee")
		bad("no such outcome", unknown, ledger.Proposal{Outcome: "won", Reason: "r"}, ledger.ErrConflict, "cannot be decided")
		bad("no such payout", "AAAAAAAAAAAAAAAA00000001", said(ledger.OutcomePaid), ledger.ErrNotFound, "")
		first := o.propose(o.maker, unknown, said(ledger.OutcomePaid))
		bad("a second one", unknown, said(ledger.OutcomeFailed), ledger.ErrConflict, fmt.Sprintf("proposal %d about it is open", first))
		o.sound()
	})
}

// Who may do what with a proposal; a role that was taken away is gone at once.
func TestADecisionTakesTwoPeople(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		auditor, err := o.AddUser(ctx, o.admin, "otto", ledger.Auditor)
		must(t, err)
		second, err := o.AddUser(ctx, o.admin, "cleo", ledger.Checker)
		must(t, err)
		o.approved("people", sheet("p", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Unknown)
		no, paid := c.OrderNo(), said(ledger.OutcomePaid)
		for name, by := range map[string]ledger.User{"auditor": auditor, "admin": o.admin, "nobody": {}, "stranger": {ID: 4711, Name: "eve", Roles: []ledger.Role{ledger.Maker}}} {
			_, err := o.Propose(ctx, by, no, paid)
			o.refused("proposed by "+name, err, ledger.ErrForbidden, "needs the role maker or checker")
		}
		for _, by := range []ledger.User{o.maker, o.checker, o.both} {
			number := o.propose(by, no, paid)
			for name, other := range map[string]ledger.User{"the proposer": by, "maker": o.maker, "auditor": auditor, "admin": o.admin, "nobody": {}} {
				o.refused("confirmed by "+name, o.Confirm(ctx, other, number), ledger.ErrForbidden, "")
				o.refused("refused by "+name, o.Refuse(ctx, other, number, "no"), ledger.ErrForbidden, "")
			}
			for name, other := range map[string]ledger.User{"another checker": second, "auditor": auditor, "admin": o.admin} {
				o.refused("withdrawn by "+name, o.Withdraw(ctx, other, number), ledger.ErrForbidden, "")
			}
			o.refused("refused without a reason", o.Refuse(ctx, second, number, ""), ledger.ErrInvalid, "a reason is needed")
			if p := o.payout(no); p.State != ledger.Unknown {
				t.Fatalf("the payout is %s although nobody confirmed", p.State)
			}
			must(t, o.Withdraw(ctx, by, number))
			o.refused("confirmed after it was withdrawn", o.Confirm(ctx, second, number), ledger.ErrConflict, "the proposal is withdrawn")
		}
		number := o.propose(o.maker, no, paid)
		must(t, o.Refuse(ctx, second, number, "the statement is of another month"))
		o.refused("refused twice", o.Refuse(ctx, second, number, "again"), ledger.ErrConflict, "the proposal is refused")
		o.refused("a proposal that nobody made", o.Confirm(ctx, second, 4711_4711), ledger.ErrNotFound, "no such proposal")

		number = o.propose(o.maker, no, paid)
		must(t, o.DisableUser(ctx, o.admin, "cleo"))
		o.refused("confirmed by a disabled checker", o.Confirm(ctx, second, number), ledger.ErrForbidden, "")
		o.exec("DELETE FROM user_roles WHERE user_id = ? AND role = 'checker'", o.both.ID)
		o.refused("confirmed by a checker no more", o.Confirm(ctx, o.both, number), ledger.ErrForbidden, "")
		must(t, o.Confirm(ctx, o.checker, number))
		o.refused("confirmed twice", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, "the proposal is confirmed")
		if p := o.payout(no); p.State != ledger.Succeeded {
			t.Errorf("the payout is %s", p.State)
		}
		all, err := o.Decisions(ctx)
		must(t, err)
		var verdicts []string
		for _, d := range all {
			verdicts = append(verdicts, string(d.Verdict)+" by "+d.Decider)
		}
		want := []string{"withdrawn by mia", "withdrawn by charles", "withdrawn by bo", "refused by cleo", "confirmed by charles"}
		if !slices.Equal(verdicts, want) {
			t.Errorf("verdicts %q, want %q", verdicts, want)
		}
		if open, err := o.Proposals(ctx); len(open) != 0 || err != nil {
			t.Errorf("open proposals %v, %v", open, err)
		}
		o.sound()
	})
}

// Two checkers confirm at the same moment: it takes effect once.
func TestConfirmedAtOnceTakesEffectOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		second, err := o.AddUser(t.Context(), o.admin, "cleo", ledger.Checker)
		must(t, err)
		o.approved("at once", sheet("a", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Unknown)
		number := o.propose(o.maker, c.OrderNo(), said(ledger.OutcomePaid))
		errs := make([]error, 4)
		together(t, len(errs), func(i int) error {
			errs[i] = o.Confirm(t.Context(), []ledger.User{o.checker, second}[i%2], number)
			return nil
		})
		confirmed := 0
		for _, err := range errs {
			switch {
			case err == nil:
				confirmed++
			case !errors.Is(err, ledger.ErrConflict):
				t.Error(err)
			}
		}
		if got := o.usd(); confirmed != 1 || got.Paid != 10_00 || got.Held != 0 {
			t.Errorf("confirmed %d times, balances %+v", confirmed, got)
		}
		o.sound()
	})
}

// A payout that moves between proposal and confirmation makes the proposal
// void: people decide about what they see.
func TestAProposalIsVoidOnceThePayoutMoves(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("void", sheet("v", 3))
		claims := o.claim(3)
		for _, claim := range claims {
			o.put(claim, ledger.Unknown)
		}
		moves := []struct {
			name string
			move func(ledger.Claim)
			to   ledger.State
		}{
			{"paid meanwhile", func(claim ledger.Claim) {
				o.record(looked(claim, ledger.Unknown, ledger.Succeeded, ledger.BySuccess))
			}, ledger.Succeeded},
			{"accepted meanwhile", func(claim ledger.Claim) {
				o.record(looked(claim, ledger.Unknown, ledger.Accepted, ledger.ByFinding))
			}, ledger.Accepted},
			{"accepted, and under review", func(claim ledger.Claim) {
				o.record(looked(claim, ledger.Unknown, ledger.Accepted, ledger.ByFinding))
				o.record(looked(claim, ledger.Accepted, ledger.Review, ledger.ByConflict))
			}, ledger.Review},
		}
		for i, tt := range moves {
			number := o.propose(o.maker, claims[i].OrderNo(), said(ledger.OutcomePaid))
			tt.move(claims[i])
			before := o.usd()
			o.refused(tt.name, o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, "the payout was UNKNOWN, now it is "+string(tt.to))
			if after := o.usd(); after != before {
				t.Errorf("%s: balances moved from %+v to %+v", tt.name, before, after)
			}
			if d, err := o.Decision(t.Context(), number); err != nil || d.Verdict != ledger.Void || d.State != tt.to {
				t.Errorf("%s: proposal is %s, the payout %s, %v", tt.name, d.Verdict, d.State, err)
			}
			o.refused(tt.name+", again", o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, "the proposal is void")
		}
		o.sound()
	})
}

// Back in the same state with the same attempt is not where it stood: a
// correction and its correction are in between.
func TestTheSameStateAgainIsNotWhereItStood(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("again", sheet("a", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Succeeded)
		no := c.OrderNo()
		old := o.propose(o.maker, no, said(ledger.OutcomeFailed))
		must(t, o.Withdraw(t.Context(), o.maker, old))
		o.tamper(fmt.Sprint("DELETE FROM decisions WHERE proposal_id = ", old)) // as if two had been open
		o.tamper(fmt.Sprintf("UPDATE proposals SET payout_id = -1 WHERE id = %d", old))
		o.decide(no, said(ledger.OutcomeFailed))
		o.decide(no, said(ledger.OutcomePaid))
		o.tamper(fmt.Sprintf("UPDATE proposals SET payout_id = %d WHERE id = %d", c.ID, old))
		o.refused("an old proposal", o.Confirm(t.Context(), o.checker, old), ledger.ErrConflict, "has moved on since it was proposed, and is SUCCEEDED again")
		if p := o.payout(no); p.State != ledger.Succeeded {
			t.Errorf("the payout is %s", p.State)
		}
	})
}

// 7, no 6, no 7 after all: each correction is linked to the one before.
func TestACorrectionCanBeCorrected(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("corrections", sheet("c", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Succeeded)
		before := o.usd()
		for range 3 {
			o.decide(c.OrderNo(), said(ledger.OutcomeFailed))
			if got := o.usd(); got.Paid != 0 || got.Available != before.Available+10_00 || got.Fees != before.Fees {
				t.Errorf("taken back: %+v", got)
			}
			o.decide(c.OrderNo(), said(ledger.OutcomePaid))
			if got := o.usd(); got != before {
				t.Errorf("paid after all: %+v, want %+v", got, before)
			}
		}
		var links []int64
		must(t, o.db.Select(t.Context(), &links, `SELECT CASE WHEN corrects = lag(id) OVER (ORDER BY id) THEN 1 ELSE 0 END FROM entries WHERE payout_id = ? ORDER BY id`, c.ID))
		if !slices.Equal(links, []int64{0, 1, 1, 1, 1, 1, 1}) {
			t.Errorf("links %v", links)
		}
		o.sound()
	})
}

// A case about a payout that stands as it should ends with two people saying
// so, and nothing else changes.
func TestTwoPeopleUpholdAnEnd(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("upheld", sheet("u", 2))
		claims := o.claim(2)
		for i, tt := range []struct {
			state   ledger.State
			outcome ledger.Outcome
		}{{ledger.Succeeded, ledger.OutcomePaid}, {ledger.Failed, ledger.OutcomeFailed}} {
			no := claims[i].OrderNo()
			o.put(claims[i], tt.state)
			must(t, o.Notify(t.Context(), no, ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: "8"}))
			if got := o.exceptionsOf(claims[i].ID); got != ledger.ExceptionContrary {
				t.Fatalf("cases %q", got)
			}
			before, entries := o.usd(), o.count("SELECT count(*) FROM entries")
			o.decide(no, said(tt.outcome))
			if o.payout(no).State != tt.state || o.usd() != before || o.count("SELECT count(*) FROM entries") != entries {
				t.Errorf("%s: %s, %+v", tt.state, o.payout(no).State, o.usd())
			}
			if got := o.exceptionsOf(claims[i].ID); got != "" {
				t.Errorf("%s: cases %q are left", tt.state, got)
			}
			var resolution string
			must(t, o.db.Get(t.Context(), &resolution, "SELECT resolution FROM exceptions WHERE payout_id = ?", claims[i].ID))
			if !strings.Contains(resolution, "proposed by mia, confirmed by charles") {
				t.Errorf("resolution %q", resolution)
			}
		}
		o.sound()
	})
}

// What is blocked has a way out: unblocked when what was wrong is put right,
// or taken back when nothing ever left.
func TestWhatIsBlockedHasAWayOut(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("blocked", sheet("b", 3))
		no := func(ordinal int) string { return fmt.Sprintf("%s%08d", batch.OrderPrefix, ordinal) }
		must(t, o.Notify(t.Context(), no(1), ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: "7"}))
		o.tamper("UPDATE payouts SET account = 'P1MALLORY' WHERE ordinal = 2")
		c := o.claim(10)
		if len(c) != 1 || c[0].Ordinal != 3 {
			t.Fatalf("claimed %v", c)
		}
		refused := func(name string, ordinal int, outcome ledger.Outcome, words string) {
			t.Helper()
			number := o.propose(o.maker, no(ordinal), said(outcome))
			o.refused(name, o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, words)
			must(t, o.Withdraw(t.Context(), o.maker, number))
		}
		refused("what the gateway knows is taken back", 1, ledger.OutcomeCancel, "may have been paid")
		refused("a tampered row is let go", 2, ledger.OutcomeUnblock, "still not what the checker approved")

		o.decide(no(1), said(ledger.OutcomeUnblock))
		again := o.claim(10)
		if len(again) != 1 || again[0].OrderNo() != no(1) || !again[0].AskFirst || c[0].AskFirst {
			t.Errorf("claimed %+v after %+v; only what was unblocked is asked about first", again, c)
		}
		o.tamper("UPDATE payouts SET account = 'P1000001' WHERE ordinal = 2")
		o.decide(no(2), said(ledger.OutcomeUnblock))
		o.decide(no(2), said(ledger.OutcomeCancel))
		if got := o.usd(); got.Held != 21_00 {
			t.Errorf("held %d", got.Held)
		}
		if p := o.payout(no(2)); p.State != ledger.Cancelled {
			t.Errorf("the payout is %s", p.State)
		}
		o.put(c[0], ledger.Approved) // not sent, with proof
		o.decide(no(3), said(ledger.OutcomeCancel))
		o.sound()
	})
}

// An attempt that may have left cannot be taken back, also when the payout
// was released to be sent again.
func TestWhatMayHaveLeftIsNotTakenBack(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.learn()
		o.approved("left", sheet("l", 1))
		claim := o.claim(1)[0]
		o.put(claim, ledger.Unknown)
		o.absent(c, claim, ledger.Unknown)
		o.decide(claim.OrderNo(), said(ledger.OutcomeSendAgain))
		number := o.propose(o.maker, claim.OrderNo(), said(ledger.OutcomeCancel))
		o.refused("taken back", o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, "no proof that it stayed here")
		if got := o.usd(); got.Held != 10_50 {
			t.Errorf("held %d", got.Held)
		}
		must(t, o.Withdraw(t.Context(), o.maker, number))
		o.sound()
	})
}

// Under review, the gateway's own word in a look-up that it ended unpaid is
// enough, as long as it is its newest word.
func TestTheGatewaysNewestWordCounts(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("words", sheet("w", 3))
		claims := o.claim(3)
		reply := answered(claims[2], ledger.Review, ledger.ByConflict)
		reply.Evidence.Heard, reply.Evidence.Status = ledger.HeardUnpaid, "6"
		o.record(reply)
		hasty := o.propose(o.maker, claims[2].OrderNo(), said(ledger.OutcomeFailed))
		o.refused("it said so in no look-up", o.Confirm(t.Context(), o.checker, hasty), ledger.ErrConflict, "does not say that it ended unpaid")
		must(t, o.Withdraw(t.Context(), o.maker, hasty))
		claims = claims[:2]
		say := func(c ledger.Claim, heard ledger.Heard, status string) {
			f := looked(c, ledger.Review, ledger.Review, "")
			f.Evidence.Heard, f.Evidence.Status = heard, status
			o.record(f)
		}
		for _, c := range claims {
			o.put(c, ledger.Review)
			say(c, ledger.HeardUnpaid, "6")
		}
		say(claims[1], "found", "7")
		o.decide(claims[0].OrderNo(), said(ledger.OutcomeFailed))
		number := o.propose(o.maker, claims[1].OrderNo(), said(ledger.OutcomeFailed))
		o.refused("it said paid since", o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, "does not say that it ended unpaid")
		must(t, o.Withdraw(t.Context(), o.maker, number))
		o.sound()
	})
}

// What blocks a payout belongs to where it stood when somebody proposed.
func TestAProposalIsVoidOnceSomethingBlocksThePayout(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.failed("first", 1)[0]
		again := numbered(o.again(first), 1)
		number := o.propose(o.maker, again, said(ledger.OutcomeCancel))
		must(t, o.Notify(ctx, first, notifiedPaid()))
		o.refused("confirmed", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, "what blocks the payout has changed")
		o.decide(again, said(ledger.OutcomeCancel))
		o.sound()
	})
}

// The story tells who proposed and decided what, on which evidence.
func TestTheStoryTellsTheDecision(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("story", sheet("s", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Unknown)
		p := said(ledger.OutcomePaid)
		p.FileName, p.FileDigest = "statement.pdf", strings.Repeat("ab", 32)
		o.decide(c.OrderNo(), p)
		_, steps, err := o.Story(t.Context(), c.OrderNo())
		must(t, err)
		var told strings.Builder
		for _, s := range steps {
			fmt.Fprintf(&told, "%s|%s|%s\n", s.What, s.Actor, s.Detail)
		}
		for _, want := range []string{
			"case in-doubt||", "; closed: paid: proposed by mia, confirmed by charles",
			"|user:mia|paid: the gateway wrote; evidence: statement of 2 November, line 7; file statement.pdf (SHA-256 abab",
			"statement paid|two people|", "UNKNOWN to SUCCEEDED|user:charles|decided-by-two: paid: proposed by mia", "confirmed|user:charles|",
			"entry decided-by-two|user:charles|10.50 USD",
		} {
			if !strings.Contains(told.String(), want) {
				t.Errorf("%q is not in the story:\n%s", want, told.String())
			}
		}
	})
}

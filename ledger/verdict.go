package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"payrun/internal/database"
	"payrun/internal/money"
)

// decided is what a recording books beyond what its findings say, because two
// people decided it.
type decided struct {
	note      string       // names both
	corrects  int64        // the entry that is corrected
	feeChange money.Amount // against what is booked
	moved     money.Amount // what the payee got, where it is not what was ordered; else 0
}

// Confirm lets a proposal take effect: a checker who did not make it agrees.
// Everything it rests on is checked again now. When the payout has moved on
// meanwhile, nothing happens but that the proposal is void, and the error is
// an ErrConflict.
func (b *Book) Confirm(ctx context.Context, by User, number int64) error {
	var void string
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "confirm a decision", Checker); err != nil {
			return err
		}
		d, err := newDeciding(ctx, b, tx, by, number)
		if err != nil {
			return err
		}
		if d.ProposedBy == by.ID {
			return fmt.Errorf("%w: %s proposed it; somebody else has to confirm it", ErrForbidden, by.Name)
		}
		void, err = d.confirm(ctx)
		return err
	})
	if err == nil && void != "" {
		err = fmt.Errorf("%w: %s; the proposal is void, look at the payout and propose again if it is still needed", ErrConflict, void)
	}
	if err != nil {
		return fmt.Errorf("confirm proposal %d: %w", number, err)
	}
	return nil
}

// Refuse ends a proposal without any effect: a checker who did not make it
// does not agree.
func (b *Book) Refuse(ctx context.Context, by User, number int64, reason string) error {
	if reason == "" {
		return errNoReason
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "refuse a decision", Checker); err != nil {
			return err
		}
		d, err := newDeciding(ctx, b, tx, by, number)
		if err != nil {
			return err
		}
		if d.ProposedBy == by.ID {
			return fmt.Errorf("%w: %s proposed it and may withdraw it; somebody else refuses it", ErrForbidden, by.Name)
		}
		return d.end(ctx, Refused, reason)
	})
	if err != nil {
		return fmt.Errorf("refuse proposal %d: %w", number, err)
	}
	return nil
}

// Withdraw takes a proposal back. Only whoever made it may.
func (b *Book) Withdraw(ctx context.Context, by User, number int64) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "withdraw a proposal", Maker, Checker); err != nil {
			return err
		}
		d, err := newDeciding(ctx, b, tx, by, number)
		if err != nil {
			return err
		}
		if d.ProposedBy != by.ID {
			return fmt.Errorf("%w: %s did not propose it; a checker may refuse it", ErrForbidden, by.Name)
		}
		return d.end(ctx, Withdrawn, "")
	})
	if err != nil {
		return fmt.Errorf("withdraw proposal %d: %w", number, err)
	}
	return nil
}

// deciding is one verdict under way, in one transaction.
type deciding struct {
	proposal
	of struct {
		Proposer string
		Amount   money.Amount // as ordered
		Currency money.Currency
	}

	book  *Book
	tx    *database.Tx
	by    User
	at    standing
	event int64 // the change of state that was made
}

func newDeciding(ctx context.Context, b *Book, tx *database.Tx, by User, number int64) (*deciding, error) {
	d := &deciding{book: b, tx: tx, by: by}
	err := tx.Get(ctx, &d.proposal, "SELECT "+proposalColumns+" FROM proposals WHERE id = ?", number)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: there is no such proposal", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	err = tx.Get(ctx, &d.of, "SELECT u.name AS proposer, p.amount, p.currency FROM users u, payouts p WHERE u.id = ? AND p.id = ?", d.ProposedBy, d.PayoutID)
	return d, err
}

// lock locks the payout, which makes everybody who decides about it queue, and
// refuses a proposal that has its verdict.
func (d *deciding) lock(ctx context.Context) error {
	var err error
	if d.at, err = lockStanding(ctx, d.tx, d.PayoutID); err != nil {
		return err
	}
	var verdict Verdict
	err = d.tx.Get(ctx, &verdict, "SELECT verdict FROM decisions WHERE proposal_id = ?", d.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: the proposal is %s", ErrConflict, verdict)
	}
	return err
}

// end gives a verdict that changes nothing about the payout.
func (d *deciding) end(ctx context.Context, v Verdict, note string) error {
	if err := d.lock(ctx); err != nil {
		return err
	}
	return d.decide(ctx, v, note)
}

// actions are what the audit trail calls the verdicts.
var actions = map[Verdict]string{Confirmed: "confirm", Refused: "refuse", Withdrawn: "withdraw", Void: "void"}

// decide stores the verdict.
func (d *deciding) decide(ctx context.Context, v Verdict, note string) error {
	number, now, err := stamp(ctx, d.tx)
	if err != nil {
		return err
	}
	row := decision{ProposalID: d.ID, ID: number, Verdict: v, Note: storable(note), EventID: d.event, DecidedBy: d.by.ID, CreatedAt: now}
	row.Seal = row.seal()
	_, err = d.tx.Exec(ctx, "INSERT INTO decisions ("+decisionColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		row.ProposalID, row.ID, row.Verdict, row.Note, row.EventID, row.DecidedBy, row.CreatedAt, row.Seal)
	if err == nil {
		_, err = d.tx.Exec(ctx, "DELETE FROM open_proposals WHERE proposal_id = ?", d.ID)
	}
	if err != nil {
		return err
	}
	detail := fmt.Sprintf("proposal %d by %s, %s: %s", d.ID, d.of.Proposer, d.Outcome, d.Reason)
	if note != "" {
		detail += " (" + row.Note + ")"
	}
	return audit(ctx, d.tx, d.by.Actor(), "decision."+actions[v], "payout "+d.at.OrderNo(), detail)
}

// note says who decided what and why.
func (d *deciding) note() string {
	return fmt.Sprintf("%s: proposed by %s, confirmed by %s (proposal %d): %s", d.outcome(), d.of.Proposer, d.by.Name, d.ID, d.Reason)
}

// outcome says what was decided, and which other amount was paid.
func (d *deciding) outcome() string {
	if d.Moved == 0 {
		return string(d.Outcome)
	}
	amount := func(a money.Amount) string { return money.Format(a, d.of.Currency) + " " + string(d.of.Currency) }
	return fmt.Sprintf("%s %s instead of %s", d.Outcome, amount(d.Moved), amount(d.of.Amount))
}

// confirm does what was proposed, or says why the proposal is void.
func (d *deciding) confirm(ctx context.Context) (void string, err error) {
	to, reason, _ := way(d.Outcome, d.State, d.Fee > 0)
	r := &recording{book: d.book, tx: d.tx, actor: d.by.Actor(), findings: []Finding{d.finding(to, reason)}}
	r.decided.note, r.decided.moved = d.note(), d.Moved
	if reason == "" {
		void, err = d.judge(ctx, r)
		if err == nil && void == "" {
			err = d.settle(ctx, r)
		}
	} else {
		r.guard = func(ctx context.Context, _ *database.Tx, findings []Finding) (_ []Finding, err error) {
			if void, err = d.judge(ctx, r); void != "" {
				return nil, err
			}
			return findings, err
		}
		err = r.run(ctx)
	}
	switch {
	case err != nil:
		return "", err
	case void != "":
		return void, d.decide(ctx, Void, void)
	case reason != "":
		err = d.followUp(ctx, to)
	}
	return "", errors.Join(err, d.decide(ctx, Confirmed, ""))
}

// followUp notes which change of state was made, and what it means for others.
func (d *deciding) followUp(ctx context.Context, to State) error {
	err := d.tx.Get(ctx, &d.event, "SELECT max(id) FROM events WHERE payout_id > 0 AND payout_id = ?", d.PayoutID)
	if err != nil || to != Succeeded {
		return err
	}
	return d.warnRepaid(ctx)
}

// judge locks the payout and looks once more at all that a confirmation rests
// on. It says why the proposal is void, when it is.
func (d *deciding) judge(ctx context.Context, r *recording) (void string, err error) {
	if err := d.lock(ctx); err != nil {
		return "", err
	}
	if why := d.movedOn(); why != "" {
		return why, nil
	}
	if err := d.proven(ctx); err != nil {
		return "", err
	}
	if r.findings[0].Reason == ByCorrection {
		return "", d.correct(ctx, r)
	}
	return "", nil
}

// movedOn says how the payout differs from what the proposer saw; "" when it
// does not.
func (d *deciding) movedOn() string {
	switch {
	case d.at.State != d.State:
		return fmt.Sprintf("the payout was %s, now it is %s", d.State, d.at.State)
	case d.at.AttemptID != d.AttemptID || d.at.EventID != d.EventID:
		return fmt.Sprintf("the payout has moved on since it was proposed, and is %s again", d.at.State)
	case d.at.Blocked != d.Blocked:
		return "what blocks the payout has changed since it was proposed"
	}
	return ""
}

func (d *deciding) finding(to State, reason Reason) Finding {
	said := sha256.Sum256([]byte(d.Evidence))
	e := &Evidence{
		Kind: EvidenceStatement, Heard: Heard(d.Outcome), Reason: d.note(), Message: d.FileName,
		Digest: hex.EncodeToString(said[:]), Body: d.Evidence,
	}
	if d.FileDigest != "" {
		e.Digest = d.FileDigest
	}
	return Finding{
		PayoutID: d.PayoutID, AttemptID: d.AttemptID, From: d.State, To: to, Reason: reason, Note: d.note(), Evidence: e,
		Fee: d.Fee, FeeKnown: d.FeeKnown == 1,
	}
}

// correct finds what is booked and by how much it is wrong: the newest entry
// of the payout is the one that is corrected. Without a word about it the fee
// stays what is booked; of a closed or cancelled payout none is, so that it is
// booked as estimated.
func (d *deciding) correct(ctx context.Context, r *recording) error {
	var booked struct {
		Entry int64
		Fee   money.Amount
	}
	err := d.tx.Get(ctx, &booked, `SELECT max(e.id) AS entry, coalesce(sum(CASE WHEN a.kind <> 'fees' THEN 0
		WHEN l.side = 'debit' THEN l.amount ELSE -l.amount END), 0) AS fee
		FROM entries e JOIN lines l ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id
		WHERE e.payout_id > 0 AND e.payout_id = ?`, d.PayoutID)
	if err != nil {
		return fmt.Errorf("find the entry to correct: %w", err)
	}
	f := &r.findings[0]
	if !f.FeeKnown && !(f.To == Succeeded && (f.From == Closed || f.From == Cancelled)) {
		f.Fee, f.FeeKnown = booked.Fee, true
	}
	r.decided.corrects, r.decided.feeChange = booked.Entry, f.Fee-booked.Fee
	return nil
}

// settle closes the payout's cases where its state stays: it stands as it
// should, or nothing blocks it any more.
func (d *deciding) settle(ctx context.Context, r *recording) error {
	if err := r.insertEvidence(ctx); err != nil {
		return err
	}
	if d.Outcome == OutcomeUnblock {
		if _, err := d.tx.Exec(ctx, "UPDATE payouts SET blocked = '' WHERE id = ?", d.PayoutID); err != nil {
			return err
		}
	}
	return closeExceptions(ctx, d.tx, []int64{d.PayoutID}, d.by.Actor(), d.note())
}

// proven checks what an outcome rests on, now that the payout is locked.
func (d *deciding) proven(ctx context.Context) error {
	var missing string
	var err error
	switch {
	case d.Outcome == OutcomeSendAgain:
		missing, err = d.resendable(ctx)
	case d.Outcome == OutcomeFailed && d.State == Unknown:
		missing, err = d.absent(ctx)
	case d.Outcome == OutcomeFailed && d.State == Review:
		missing, err = d.unpaid(ctx)
	case d.Outcome == OutcomeCancel:
		missing, err = d.mayHaveLeft(ctx)
	case d.Outcome == OutcomeUnblock:
		missing, err = d.stillWrong(ctx)
	}
	if err == nil && missing != "" {
		err = fmt.Errorf("%w: %s", ErrConflict, missing)
	}
	return err
}

// absent says, in a sentence a person can act on, what is missing of the proof
// that the gateway does not have the payout; "" for nothing. The payout is
// locked, so that no notification slips in; one that came is overruled by what
// the gateway wrote later, and by nothing less.
func (d *deciding) absent(ctx context.Context) (string, error) {
	g, err := d.grounds(ctx)
	if d.written() {
		g.Notified = 0
	}
	return d.book.proof.missing(g), err
}

// resendable says what is missing before the payout may be sent again: the
// proof that the gateway does not have it, against which no written word helps,
// an attempt that is left, and what it pays again still unpaid.
func (d *deciding) resendable(ctx context.Context) (string, error) {
	g, err := d.grounds(ctx)
	missing := d.book.proof.missing(g)
	if missing == "" {
		missing = d.book.proof.spent(g)
	}
	return missing, err
}

func (d *deciding) grounds(ctx context.Context) (grounds, error) {
	all, err := readGrounds(ctx, d.tx, []int64{d.PayoutID})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: no attempt of it is on file", ErrConflict)
	}
	if err != nil {
		return grounds{}, err
	}
	return all[0], nil
}

func (d *deciding) written() bool { return written(d.Evidence, d.FileDigest) }

// unpaid says what is missing before a payout under review may be called
// failed: the gateway's own answer to a look-up that it ended unpaid, with no
// answer after it that says otherwise, or the proof that it has no such order.
// A notification that says otherwise is overruled by the gateway's written word,
// which also tells what became of the money of an order that was closed.
func (d *deciding) unpaid(ctx context.Context) (string, error) {
	var last []string
	err := d.tx.Select(ctx, &last, `SELECT CASE WHEN ? OR p.notified_status IN ('', e.gateway_status) THEN e.outcome ELSE 'contradicted' END
		FROM evidence e JOIN payouts p ON p.id = e.payout_id WHERE e.payout_id = ? AND e.kind = 'lookup' AND e.gateway_status <> ''
		ORDER BY e.id DESC LIMIT 1`, d.written(), d.PayoutID)
	if err != nil {
		return "", fmt.Errorf("find what the gateway answered: %w", err)
	}
	switch newest := Heard(strings.Join(last, "")); {
	case newest == HeardUnpaid, newest == HeardClosed && d.written():
		return "", nil
	case newest == HeardClosed:
		return "the gateway only says that it is closed: ask it what became of the money, and add its written word as evidence", nil
	case newest == "contradicted":
		return "the gateway's answer to a look-up and its notification disagree: ask the gateway what became of it, and add its written word as evidence", nil
	}
	why, err := d.absent(ctx)
	if why != "" {
		why = "the gateway's newest answer to a look-up does not say that it ended unpaid, and there is no proof that it has no such order: " + why
	}
	return why, err
}

// mayHaveLeft says why a payout may not be taken back. One that cannot be let
// go either, since what it pays again was paid after all, has no other way out:
// the proof that released it is enough, or the gateway's word.
func (d *deciding) mayHaveLeft(ctx context.Context) (string, error) {
	var is struct{ Here, Absent, Spoken, Twice bool }
	err := d.tx.Get(ctx, &is, "SELECT "+neverLeft+" AS here, "+provenAbsent+" AS absent, "+spokenOf+` AS spoken, EXISTS (SELECT 1 FROM exceptions x
		WHERE x.payout_id = p.id AND x.closed_at = 0 AND x.kind = '`+ExceptionPaidTwice+"') AS twice FROM payouts p WHERE p.id = ?", d.PayoutID)
	if err != nil {
		return "", fmt.Errorf("see whether it may have left: %w", err)
	}
	stuck := ""
	if is.Twice { // and not only disputed, which can be settled
		doubtful, err := doubtfulChains(ctx, d.tx, []Payout{d.at.Payout})
		if err != nil {
			return "", err
		}
		stuck = doubtful[d.at.ID]
	}
	switch {
	case !is.Absent || !is.Here && stuck == "":
		return "an attempt to send it was made, and there is no proof that it stayed here", nil
	case is.Spoken && stuck == "":
		return "the gateway notified about it, so it may have been paid; let it go, and the gateway is asked before anything is sent", nil
	case d.written():
		return "", nil
	case is.Spoken:
		return "the gateway notified about it; propose it with --evidence, the gateway's word that it paid nothing (it cannot be sent: " + stuck + ")", nil
	}
	restored, err := d.book.restored(ctx, d.tx)
	if err != nil || restored == 0 {
		return "", err
	}
	return fmt.Sprintf("a backup was restored at %s, and what was lost with it may have sent the payout; "+
		"propose it with --evidence, the gateway's word that it has no such order", restored.Time().Format("2006-01-02 15:04 UTC")), nil
}

// stillWrong says why a payout cannot be unblocked: sent as it is now, it
// would be blocked again.
func (d *deciding) stillWrong(ctx context.Context) (string, error) {
	if d.at.rowDigest() != d.at.RowDigest {
		return "its row is still not what the checker approved; put it right first, or cancel the payout", nil
	}
	var different int64
	err := d.tx.Get(ctx, &different, "SELECT count(*) FROM attempts WHERE payout_id = ? AND params_digest <> ?", d.PayoutID, d.at.paramsDigest())
	if err != nil || different > 0 {
		return "what would be sent is not what an earlier attempt sent; put it right first", err
	}
	doubtful, err := doubtfulChains(ctx, d.tx, []Payout{d.at.Payout})
	if why := doubtful[d.at.ID]; err == nil && why != "" {
		return why + "; cancel it, or have that settled first", nil
	}
	return "", err
}

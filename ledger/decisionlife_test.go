package ledger_test

import (
	"errors"
	"slices"

	"pgregory.net/rapid"

	"payrun/internal/money"
	"payrun/ledger"
)

// decisions are what people may decide in a ledger's life, by where a payout
// stands. What needs proof has tests of its own.
var decisions = map[ledger.State][]ledger.Outcome{
	ledger.Unknown: {ledger.OutcomePaid}, ledger.Review: {ledger.OutcomePaid},
	ledger.Succeeded: {ledger.OutcomeFailed}, ledger.Failed: {ledger.OutcomePaid}, ledger.FailedFee: {ledger.OutcomePaid},
	ledger.Closed: {ledger.OutcomePaid, ledger.OutcomeFailed}, ledger.Approved: {ledger.OutcomeCancel, ledger.OutcomeUnblock},
}

// decide has somebody propose, and a second person confirm or not.
func (l *life) decide(*rapid.T) {
	candidates := l.of(0, ledger.Unknown, ledger.Review, ledger.Succeeded, ledger.Failed, ledger.FailedFee, ledger.Closed, ledger.Approved)
	if len(candidates) == 0 {
		l.rt.Skip("there is nothing to decide")
	}
	p := rapid.SampledFrom(candidates).Draw(l.rt, "payout")
	proposal := said(rapid.SampledFrom(decisions[p.state]).Draw(l.rt, "outcome"))
	if named := rapid.Bool().Draw(l.rt, "a fee is named"); named && p.state != ledger.Approved {
		proposal.Fee, proposal.FeeKnown = money.Amount(rapid.Int64Range(0, 8_00).Draw(l.rt, "fee")), true
	}
	number, err := l.Propose(l.ctx, l.maker, p.no, proposal)
	if proposal.Outcome == ledger.OutcomeUnblock && !p.known && !p.repaid {
		if !errors.Is(err, ledger.ErrConflict) {
			l.rt.Fatalf("nothing blocks %+v: %v", p, err)
		}
		return
	}
	l.must(err)
	switch rapid.IntRange(0, 5).Draw(l.rt, "verdict") {
	case 0:
		l.must(l.Refuse(l.ctx, l.checker, number, "not so"))
		return
	case 1:
		l.must(l.Withdraw(l.ctx, l.maker, number))
		return
	}
	err = l.Confirm(l.ctx, l.checker, number)
	if !l.possible(p, proposal.Outcome) && !(err == nil && proposal.Outcome == ledger.OutcomeCancel && p.stuck()) {
		if !errors.Is(err, ledger.ErrConflict) {
			l.rt.Fatalf("%s of %+v: %v", proposal.Outcome, p, err)
		}
		l.must(l.Withdraw(l.ctx, l.maker, number))
		return
	}
	if errors.Is(err, ledger.ErrConflict) && proposal.Outcome == ledger.OutcomeUnblock && l.casesBefore(p) {
		l.must(l.Withdraw(l.ctx, l.maker, number))
		return
	}
	l.must(err)
	l.decided(p, proposal)
}

// possible reports whether a confirmation takes effect.
func (l *life) possible(p *modelled, outcome ledger.Outcome) bool {
	switch outcome {
	case ledger.OutcomeCancel:
		return p.attempts == p.notSent && !p.known && !p.spoken
	case ledger.OutcomeUnblock:
		return p.repays == nil || p.repays.state == ledger.Failed || p.repays.state == ledger.FailedFee
	}
	return true
}

// stuck reports whether a re-pay can never be let go, since what it pays again
// was paid: with the gateway's word it is taken back, whatever was notified.
func (p *modelled) stuck() bool {
	for before := p.repays; before != nil; before = before.repays {
		if before.state == ledger.Succeeded {
			return p.attempts == p.notSent
		}
	}
	return false
}

// casesBefore reports whether people still look at what a payout pays again.
func (l *life) casesBefore(p *modelled) bool {
	for before := p.repays; before != nil; before = before.repays {
		if l.exceptionsOf(before.id) != "" {
			return true
		}
	}
	return false
}

// decided does to the model what a decision means.
func (l *life) decided(p *modelled, proposal ledger.Proposal) {
	b, all := &l.balances, p.amount+p.estimate
	switch proposal.Outcome {
	case ledger.OutcomeUnblock:
		p.known, p.repaid, p.unblocked = false, false, true
		return
	case ledger.OutcomeCancel:
		p.state = ledger.Cancelled
		b.Held, b.Available = b.Held-all, b.Available+all
		return
	}
	to := map[ledger.Outcome]ledger.State{ledger.OutcomePaid: ledger.Succeeded, ledger.OutcomeFailed: ledger.Failed}[proposal.Outcome]
	switch from := p.state; {
	case from == ledger.Unknown || from == ledger.Review:
		l.apply(p, ledger.Finding{To: to, Fee: proposal.Fee, FeeKnown: proposal.FeeKnown})
	default:
		l.correct(p, to, proposal)
	}
	if to == ledger.Succeeded {
		l.stopRepay(p)
	}
}

// correct moves the money of a payout from one end to another.
func (l *life) correct(p *modelled, to ledger.State, proposal ledger.Proposal) {
	b, from, before := &l.balances, p.state, p.booked
	if from == ledger.Closed { // back to where nothing was decided
		b.Suspense, b.Available = b.Suspense-p.amount-p.estimate, b.Available+p.amount+p.estimate
	}
	if from == ledger.Succeeded {
		b.Paid, b.Available = b.Paid-p.amount, b.Available+p.amount
	}
	if to == ledger.Succeeded {
		b.Paid, b.Available = b.Paid+p.amount, b.Available-p.amount
	}
	switch {
	case proposal.FeeKnown:
		p.fee, p.feeKnown = proposal.Fee, true
	case from == ledger.Closed && to == ledger.Succeeded: // what the gateway named, or the estimate
	default:
		p.fee, p.feeKnown = p.booked, true
	}
	p.state, p.booked = to, p.fee
	b.Fees, b.Available = b.Fees+p.booked-before, b.Available-p.booked+before
}

// stopRepay keeps what pays a payout again from being sent.
func (l *life) stopRepay(p *modelled) {
	for again := p.again; again != nil; again = again.again {
		p.disputed, again.disputed = true, true
		if slices.Contains([]ledger.State{ledger.Valid, ledger.Submitted, ledger.Approved}, again.state) && !again.known {
			again.repaid = true
		}
	}
}

// repay pays a failed payout again, where no dispute forbids it.
func (l *life) repay(*rapid.T) {
	failed := l.of(0, ledger.Failed, ledger.FailedFee)
	if len(failed) == 0 {
		l.rt.Skip("nothing has failed")
	}
	p := rapid.SampledFrom(failed).Draw(l.rt, "payout")
	batch, err := l.Repay(l.ctx, l.maker, []string{p.no}, ledger.Scrutiny{}, "the wallet is open again")
	live := p.again != nil && p.again.state != ledger.Cancelled
	if errors.Is(err, ledger.ErrConflict) && (live || !p.has || p.disputed) {
		return
	}
	l.must(err)
	if live || !p.has {
		l.rt.Fatalf("%+v is paid again twice, or was never known to the gateway", p)
	}
	again := &modelled{
		id: batch.ID*100_000_000 + 1, batch: batch.ID, no: numbered(batch, 1), state: ledger.Valid, amount: p.amount, estimate: p.estimate, repays: p,
	}
	if batch.Repeats > 0 {
		l.must(l.AllowRepeat(l.ctx, l.checker, batch.ID, "taken back before"))
		again.no = l.only(batch.ID)
	}
	p.again = again
	l.payouts[again.id] = again
	l.batches[ledger.Valid] = append(l.batches[ledger.Valid], batch.ID)
}

// overtaken reports whether what a submitted batch pays again has not failed
// any more, and whether that, or what it pays again itself, is in dispute.
func (l *life) overtaken(batch int64) (stale, disputed bool) {
	for _, p := range l.of(batch, ledger.Submitted) {
		for before := p.repays; before != nil; before = before.repays {
			failed := before.state == ledger.Failed || before.state == ledger.FailedFee
			stale = stale || before == p.repays && !failed
			disputed = disputed || before.disputed || !failed
		}
	}
	return stale, disputed
}

// only is the order number of a batch's one payout.
func (l *life) only(batch int64) string {
	b, err := l.Batch(l.ctx, batch)
	l.must(err)
	return numbered(b, 1)
}

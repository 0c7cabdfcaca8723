package simulation

import (
	"context"
	"errors"
	"time"

	"payrun/ledger"
)

// decide is what people do about payouts that the gateway leaves open, a few
// times a day. What they say about money that moved is what the gateway's book
// says at that moment. Whether a payout may be sent again they do not know:
// they ask for it, and the ledger has to judge.
func (w *world) decide() {
	elapse(70 * time.Nanosecond) // an instant of their own: see between
	for round := 0; !w.over(); round++ {
		elapse(between(w.of("people", round), time.Minute, 2*time.Hour))
		w.liftAll() // also what a worker stopped; the next doubt stops it again
		for _, p := range w.undecided() {
			if outcome := w.word(&p, round); outcome != "" && !w.over() {
				w.settle(&p, outcome, round)
			}
		}
	}
}

// undecided lists what waits for people.
func (w *world) undecided() []ledger.Payout {
	cases := w.cases()
	var open []ledger.Payout
	w.must(w.book.EachPayout(context.Background(), w.batch, func(p *ledger.Payout) error {
		if len(cases[p.ID]) > 0 {
			open = append(open, *p)
		}
		return nil
	}))
	return open
}

// word is what people say about a payout; "" when they wait.
func (w *world) word(p *ledger.Payout, round int) ledger.Outcome {
	w.gateway.mu.Lock()
	defer w.gateway.mu.Unlock()
	if p.State == ledger.Approved {
		return ledger.OutcomeUnblock // then the gateway is asked
	}
	o := w.gateway.order(p.OrderNo())
	switch o.status() {
	case "7":
		return ledger.OutcomePaid
	case "5", "6", "8": // closed, and the money is back
		return ledger.OutcomeFailed
	case "20":
		if p.State == ledger.Review {
			return ledger.OutcomeFailed // with the fee that was kept
		}
	case "":
		if time.Since(o.lastLeft) > latestRequest && w.of("give up", p.ID, round).IntN(3) == 0 {
			return ledger.OutcomeFailed
		}
	}
	if p.State == ledger.Unknown {
		return ledger.OutcomeSendAgain
	}
	return ""
}

// settle has one person propose and another one confirm, some time later.
func (w *world) settle(p *ledger.Payout, outcome ledger.Outcome, round int) {
	proposal := ledger.Proposal{Outcome: outcome, Reason: "we asked"}
	w.gateway.mu.Lock()
	status := w.gateway.order(p.OrderNo()).status()
	w.gateway.mu.Unlock()
	if outcome == ledger.OutcomePaid || outcome == ledger.OutcomeFailed && (status != "" || p.State.Final()) {
		proposal.Evidence = "the gateway's written word"
	}
	if outcome == ledger.OutcomePaid || outcome == ledger.OutcomeFailed && status == "20" {
		proposal.Fee, proposal.FeeKnown = realFee, true
	}
	ctx := context.Background()
	number, err := w.book.Propose(ctx, w.maker, p.OrderNo(), proposal)
	if !w.allows(err) {
		return
	}
	w.note("mia proposes that %s is %s", w.name(p.OrderNo()), outcome)
	elapse(between(w.of("second person", p.ID, round), time.Second, 20*time.Minute))
	if w.word(p, round) != outcome { // the second person asks the gateway too
		_ = w.allows(w.book.Withdraw(ctx, w.maker, number))
		return
	}
	if err := w.book.Confirm(ctx, w.checker, number); w.allows(err) {
		w.note("charles confirms that %s is %s", w.name(p.OrderNo()), outcome)
	} else {
		_ = w.allows(w.book.Withdraw(ctx, w.maker, number))
	}
}

// allows reports whether the ledger did what people asked for. It may refuse,
// but not fail.
func (w *world) allows(err error) bool {
	if err != nil && !errors.Is(err, ledger.ErrConflict) && !errors.Is(err, ledger.ErrInvalid) {
		w.wrong("people cannot decide: %v", err)
	}
	return err == nil
}

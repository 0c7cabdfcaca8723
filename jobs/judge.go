package jobs

import (
	"fmt"
	"time"

	"payrun/ledger"
)

// Ladder is when a payout is looked up again: after the first duration, then
// the second, and for ever after the last one. Polling never gives up.
type Ladder []time.Duration

// At returns the wait before look-up number n, from 0.
func (l Ladder) At(n int64) time.Duration { return l[min(int(n), len(l)-1)] }

// The default ladders. In doubt is asked sooner and more often than under way.
var (
	DefaultAccepted = Ladder{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}
	DefaultInDoubt  = Ladder{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}
)

// Judge decides what a gateway's reply means for a payout. It is pure: the
// ledger's guard makes sure that the payout still stands where the judgement
// starts from.
type Judge struct {
	Accepted, InDoubt Ladder
	// ClosedAgain is the time after which a payout that the gateway calls
	// closed is asked about once more; only a second, equal answer counts.
	ClosedAgain time.Duration
}

// Submitted judges the reply to a create call.
func (j Judge) Submitted(c ledger.Claim, r Reply) ledger.Finding {
	f := finding(c.Payout, c.AttemptID, ledger.Sending, r)
	switch r.Verdict {
	case NotSent:
		return move(f, ledger.Approved, ledger.ByNotSending, 0)
	case Contrary:
		return move(f, ledger.Review, ledger.ByConflict, j.InDoubt.At(0))
	case Known:
		return j.known(f, ledger.Lookup{Payout: c.Payout}, r)
	}
	return move(f, ledger.Unknown, ledger.ByDoubt, j.InDoubt.At(0))
}

// LookedUp judges the reply to a look-up.
func (j Judge) LookedUp(p ledger.Lookup, r Reply) ledger.Finding {
	f := finding(p.Payout, p.AttemptID, p.State, r)
	if theirs := r.Evidence.GatewayOrder; r.Verdict == Known && p.GatewayOrder != "" && theirs != "" && theirs != p.GatewayOrder {
		// Either the answers are mixed up, or the gateway has it twice.
		r.Verdict = Contrary
		f.Note = fmt.Sprintf("the gateway called it %s, now it says %s", p.GatewayOrder, theirs)
	}
	switch {
	case r.Verdict == Known:
		return j.known(f, p, r)
	case r.Verdict == Contrary && p.State != ledger.Review:
		return move(f, ledger.Review, ledger.ByConflict, j.InDoubt.At(0))
	}
	return j.stay(f, p)
}

// known follows an order that the gateway has and that is ours.
func (j Judge) known(f ledger.Finding, p ledger.Lookup, r Reply) ledger.Finding {
	f.GatewayOrder, f.Status = r.Evidence.GatewayOrder, r.Evidence.Status
	f.Fee, f.FeeKnown, f.Rate, f.Received = r.Fee, r.FeeKnown, r.Rate, r.Received
	switch r.Status {
	case Succeeded:
		return move(f, ledger.Succeeded, ledger.BySuccess, 0)
	case FailedReleased:
		return move(f, ledger.Failed, ledger.ByFailure, 0)
	case FailedFeeKept:
		return move(f, ledger.FailedFee, ledger.ByKeptFee, 0)
	case ClosedUnclear:
		return j.closed(f, p)
	case Unusual:
		f.Unusual = "the gateway calls it status " + f.Status
	}
	return j.underWay(f, p)
}

// closed believes "closed" only when a later look-up says it again: the
// manual promises the release of the money for other statuses, not for this.
func (j Judge) closed(f ledger.Finding, p ledger.Lookup) ledger.Finding {
	saidBefore := p.Status == f.Status && p.StatusAge >= j.ClosedAgain
	if saidBefore && (f.From == ledger.Accepted || f.From == ledger.Unknown) {
		return move(f, ledger.Closed, ledger.ByClosing, 0)
	}
	f = j.underWay(f, p)
	f.NextLookup = j.ClosedAgain
	return f
}

func (j Judge) underWay(f ledger.Finding, p ledger.Lookup) ledger.Finding {
	switch f.From {
	case ledger.Sending:
		return move(f, ledger.Accepted, ledger.ByAcceptance, j.Accepted.At(0))
	case ledger.Unknown:
		return move(f, ledger.Accepted, ledger.ByFinding, j.Accepted.At(0))
	}
	return j.stay(f, p)
}

// stay keeps the state and looks again later. An answer that says what is
// known already is not kept a second time.
func (j Judge) stay(f ledger.Finding, p ledger.Lookup) ledger.Finding {
	f.To = f.From
	ladder := j.InDoubt
	if f.From == ledger.Accepted {
		ladder = j.Accepted
		if f.Status == p.Status && f.Status != "" {
			f.Evidence = nil
		}
	}
	f.NextLookup = ladder.At(p.Lookups + 1)
	return f
}

func finding(p ledger.Payout, attempt int64, from ledger.State, r Reply) ledger.Finding {
	evidence := r.Evidence
	return ledger.Finding{PayoutID: p.ID, AttemptID: attempt, From: from, Note: r.Detail, Evidence: &evidence}
}

func move(f ledger.Finding, to ledger.State, reason ledger.Reason, next time.Duration) ledger.Finding {
	f.To, f.Reason, f.NextLookup = to, reason, next
	return f
}

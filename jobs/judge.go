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
	DefaultConflict = Ladder{time.Minute, 5 * time.Minute, 15 * time.Minute}
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
	// Conflict is when to ask again while a look-up tells another end than a
	// notification; after its last rung people have to look.
	Conflict Ladder
	// Stuck and Pending are how long a payout may be under way, and wait for
	// its payee, before there is a case about it; 0 means for ever.
	Stuck, Pending time.Duration
}

// Submitted judges the reply to a create call.
func (j Judge) Submitted(c ledger.Claim, r Reply) ledger.Finding {
	f := finding(c.Payout, c.AttemptID, ledger.Sending, r)
	switch r.Verdict {
	case NotSent:
		switch {
		case r.Invalid:
			f.Block = ledger.BlockedInvalid
		case r.Disputed:
			f.Block = ledger.BlockedRepaid
		}
		return move(f, ledger.Approved, ledger.ByNotSending, 0)
	case Contrary:
		return move(f, ledger.Review, ledger.ByConflict, j.InDoubt.At(0))
	case Known:
		return j.known(f, ledger.Lookup{Payout: c.Payout}, r)
	}
	return move(f, ledger.Unknown, ledger.ByDoubt, j.InDoubt.At(0))
}

// Asked judges a look-up that was made in place of a create call and did not
// clear the way for it: no byte of the order was sent.
func (j Judge) Asked(c ledger.Claim, r Reply) ledger.Finding {
	switch r.Verdict {
	case NotSent, Contrary, Known:
		return j.Submitted(c, r)
	}
	f := finding(c.Payout, c.AttemptID, ledger.Sending, r)
	return move(f, ledger.Unknown, ledger.ByNotSending, j.InDoubt.At(0))
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
		f = j.known(f, p, r)
	case r.Verdict == Contrary && p.State != ledger.Review:
		return move(f, ledger.Review, ledger.ByConflict, j.InDoubt.At(0))
	default:
		f = j.stay(f, p)
	}
	return j.aged(f, p, r)
}

// known follows an order that the gateway has and that is ours.
func (j Judge) known(f ledger.Finding, p ledger.Lookup, r Reply) ledger.Finding {
	f.GatewayOrder, f.Status = r.Evidence.GatewayOrder, r.Evidence.Status
	f.Fee, f.FeeKnown, f.Rate, f.Received = r.Fee, r.FeeKnown, r.Rate, r.Received
	if r.Status.ended() && p.Notified != "" && p.Notified != f.Status {
		return j.contradicted(f, p)
	}
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

// aged asks for a case about a payout that stays under way for too long, or
// that its payee does not take.
func (j Judge) aged(f ledger.Finding, p ledger.Lookup, r Reply) ledger.Finding {
	if f.From != ledger.Accepted || f.To != ledger.Accepted || f.Unusual != "" {
		return f
	}
	waits := r.Verdict == Known && r.Status == PendingWithdrawal
	switch {
	case waits && p.Status == f.Status && j.Pending > 0 && p.StatusAge >= j.Pending:
		f.Unusual, f.UnusualKind = "its payee has not taken it for "+j.Pending.String(), ledger.ExceptionPending
	case !waits && j.Stuck > 0 && p.SentAge >= j.Stuck:
		f.Unusual, f.UnusualKind = "under way for "+j.Stuck.String()+", the gateway's status is "+p.Status, ledger.ExceptionStuck
	}
	return f
}

// closed believes "closed" only when a later look-up says it again: the
// manual promises the release of the money for other statuses, not for this.
func (j Judge) closed(f ledger.Finding, p ledger.Lookup) ledger.Finding {
	saidBefore := p.Status == f.Status && p.StatusAge >= j.ClosedAgain
	if saidBefore && f.From != ledger.Sending {
		return move(f, ledger.Closed, ledger.ByClosing, 0)
	}
	f = j.underWay(f, p)
	f.NextLookup = j.ClosedAgain
	return f
}

// contradicted keeps the state while a look-up tells another end than a
// notification did: one of the two is wrong, and money moves only on what both
// agree on. People look when asking again has not helped.
func (j Judge) contradicted(f ledger.Finding, p ledger.Lookup) ledger.Finding {
	f.Conflict = true
	f.Note = fmt.Sprintf("a notification says status %s, the look-up says %s", p.Notified, f.Status)
	rungs := int64(len(j.Conflict))
	if p.Conflicts >= rungs && f.From != ledger.Review {
		return move(f, ledger.Review, ledger.ByConflict, j.InDoubt.At(0))
	}
	if f.From == ledger.Unknown { // the gateway has it, that much is clear
		f = move(f, ledger.Accepted, ledger.ByFinding, 0)
	} else {
		f.To = f.From
	}
	if f.To != ledger.Review {
		f.Unusual = f.Note
	}
	f.NextLookup = j.Conflict.At(p.Conflicts)
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

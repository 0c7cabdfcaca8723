package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"payrun/ledger"
)

// Tracked counts what one run of Track did.
type Tracked struct {
	LookedUp, Ended, Expired int
	Released                 int // proven absent, to be sent again
}

// leastLookups are taken at a time even by a process with fewer calls open:
// those in doubt share two control look-ups.
const leastLookups = 8

func (e *Engine) lookupsAtOnce() int { return max(e.InFlight, leastLookups) }

// lookupLease keeps other workers from payouts that are being looked up, for
// as long as the look-ups, the two controls and the wait for their slots may
// take. It is also how long they wait when their worker died.
func (e *Engine) lookupLease() time.Duration {
	rounds := (e.lookupsAtOnce() + e.InFlight - 1) / e.InFlight
	wait := time.Duration(e.lookupsAtOnce()+2) * e.Rate.Lookups().Average()
	return time.Duration(rounds+3)*e.CallTimeout + wait
}

// expireAtOnce is how many lost attempts one transaction takes over.
const expireAtOnce = 500

// takeOver makes attempts whose worker went silent doubts.
func (e *Engine) takeOver(ctx context.Context, done *Tracked) error {
	for {
		n, err := e.Book.ReleaseExpired(ctx, e.actor(), expireAtOnce)
		done.Expired += n
		if err != nil || n < expireAtOnce {
			return err
		}
	}
}

// Track takes over attempts whose worker went silent, and asks the gateway
// about every payout whose look-up is due, those in doubt first, until none
// is due. It looks for silent workers before each round: while hundreds of
// payouts are in doubt there is always one more that is due.
func (e *Engine) Track(ctx context.Context) (Tracked, error) {
	var done Tracked
	for {
		if err := e.takeOver(ctx, &done); err != nil {
			return done, ignoreStop(ctx, err)
		}
		due, err := e.Book.DueLookups(ctx, ledger.LookupOrder{
			Max: e.lookupsAtOnce(), Pace: e.Rate.Lookups(), Lease: e.lookupLease(), Control: e.Gateway.Capabilities().FindsByNumber,
		})
		if err != nil || len(due) == 0 {
			return done, ignoreStop(ctx, err)
		}
		findings, quiet, err := e.lookUp(ctx, due)
		if err != nil {
			return done, ignoreStop(ctx, err)
		}
		if quiet > 0 { // first: it holds whatever becomes of the findings
			if err := e.Book.SlowDown(ctx, capped(quiet)); err != nil {
				return done, errors.Join(err, e.keep(context.WithoutCancel(ctx), findings))
			}
		}
		if err := e.keep(context.WithoutCancel(ctx), findings); err != nil {
			return done, err
		}
		if err := e.conclude(context.WithoutCancel(ctx), findings, &done); err != nil {
			return done, err
		}
		done.LookedUp += len(findings)
		e.Counters.LookedUp.Add(int64(len(findings)))
		for _, f := range findings {
			if f.To.Final() {
				done.Ended++
				e.Counters.Ended.Add(1)
			}
		}
	}
}

// lookUp asks about all of them, each in its slot, no more at a time than there
// are places. Around those in doubt it asks about an order that is known.
func (e *Engine) lookUp(ctx context.Context, due []ledger.Lookup) (findings []ledger.Finding, quiet time.Duration, err error) {
	control, err := e.beginControl(ctx, due)
	if err != nil {
		return nil, 0, err
	}
	replies := make([]*Reply, len(due))
	places := make(chan struct{}, e.InFlight)
	var wg sync.WaitGroup
	for i, l := range due { // in the order of their slots, also when places are short
		stopped := sleep(ctx, time.Until(l.Slot))
		places <- struct{}{}
		if stopped != nil || ctx.Err() != nil {
			break // their leases run out and another run looks
		}
		wg.Go(func() {
			defer func() { <-places }()
			reply := e.ask(ctx, order(l.Payout), l.Slot)
			replies[i] = &reply
		})
	}
	wg.Wait()
	control.end(ctx, due, replies)
	for i, reply := range replies {
		if reply != nil {
			findings, quiet = append(findings, e.Judge.LookedUp(due[i], *reply)), max(quiet, reply.RetryAfter)
		}
	}
	return findings, quiet, nil
}

// ask makes one look-up call, in a slot.
func (e *Engine) ask(ctx context.Context, o Order, slot time.Time) Reply {
	o.Slot = slot
	call, cancel := context.WithTimeout(ctx, e.CallTimeout)
	defer cancel()
	return e.Gateway.Lookup(call, o)
}

// conclude ends doubts whose proof the findings may have completed.
func (e *Engine) conclude(ctx context.Context, findings []ledger.Finding, done *Tracked) error {
	var denied []int64
	for _, f := range findings {
		if f.Evidence != nil && f.Evidence.Heard == ledger.HeardAbsent {
			denied = append(denied, f.PayoutID)
		}
	}
	if len(denied) == 0 {
		return nil
	}
	concluded, err := e.Book.Conclude(ctx, e.actor(), denied)
	done.Released += concluded.Released
	done.Ended += concluded.Failed
	e.Counters.Ended.Add(int64(concluded.Failed))
	return err
}

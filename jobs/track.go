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
}

// lookupLease keeps other workers from a payout that is being looked up.
const lookupLease = 2 * time.Minute

// expireAtOnce is how many lost attempts one transaction takes over.
const expireAtOnce = 500

// Track takes over attempts whose worker went silent, then asks the gateway
// about every payout whose look-up is due, those in doubt first, until none
// is due.
func (e *Engine) Track(ctx context.Context) (Tracked, error) {
	var done Tracked
	for {
		n, err := e.Book.ReleaseExpired(ctx, e.actor(), expireAtOnce)
		done.Expired += n
		if err != nil {
			return done, err
		}
		if n < expireAtOnce {
			break
		}
	}
	for {
		due, err := e.Book.DueLookups(ctx, ledger.LookupOrder{Max: e.InFlight, Pace: e.Rate.Lookups(), Lease: lookupLease})
		if err != nil || len(due) == 0 {
			return done, ignoreStop(ctx, err)
		}
		findings, quiet := e.lookUp(ctx, due, time.Now())
		if quiet > 0 { // first: it holds whatever becomes of the findings
			if err := e.Book.SlowDown(ctx, capped(quiet)); err != nil {
				return done, errors.Join(err, e.keep(context.WithoutCancel(ctx), findings))
			}
		}
		if err := e.keep(context.WithoutCancel(ctx), findings); err != nil {
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

// lookUp asks about all of them, each in its slot.
func (e *Engine) lookUp(ctx context.Context, due []ledger.Lookup, start time.Time) (findings []ledger.Finding, quiet time.Duration) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, l := range due {
		wg.Go(func() {
			if err := sleep(ctx, time.Until(start.Add(l.After))); err != nil {
				return // its lease runs out and another run looks
			}
			call, cancel := context.WithTimeout(ctx, e.CallTimeout)
			defer cancel()
			reply := e.Gateway.Lookup(call, order(l.Payout))
			finding := e.Judge.LookedUp(l, reply)
			mu.Lock()
			defer mu.Unlock()
			findings, quiet = append(findings, finding), max(quiet, reply.RetryAfter)
		})
	}
	wg.Wait()
	return findings, quiet
}

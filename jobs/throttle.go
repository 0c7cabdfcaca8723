package jobs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"

	"payrun/internal/money"
	"payrun/ledger"
)

// Rate is how many calls the gateway may see from all workers together.
type Rate struct {
	// CallsPerSecond is the gateway's own limit; 0 means none.
	CallsPerSecond int
	// HeadroomPercent is left unused, for the network's jitter.
	HeadroomPercent int
	// LookupPercent of the rest belongs to look-ups, so that resolving doubt
	// is never starved by new payouts.
	LookupPercent int
}

// Sends returns the pace of create calls.
func (r Rate) Sends() ledger.Pace {
	pace := r.Lookups()
	pace.Others = true
	return pace
}

// Lookups returns the pace of look-ups, and of asking for limits and balances.
func (r Rate) Lookups() ledger.Pace {
	if r.CallsPerSecond <= 0 {
		return ledger.Pace{}
	}
	pace := ledger.PaceOf(100*time.Second, r.CallsPerSecond*(100-r.HeadroomPercent))
	pace.Percent = r.LookupPercent
	return pace
}

// tolerance is how late after its slot a call may leave. A call that is late
// by t can meet the calls of the next second, so that t more of them leave
// within one: that is what the headroom is for. Half of it remains for the
// network.
func (r Rate) tolerance() time.Duration {
	return max(10*time.Millisecond, time.Second*time.Duration(r.HeadroomPercent)/time.Duration(2*(100-r.HeadroomPercent)))
}

// Validate returns an error that says what is wrong with the rate.
func (r Rate) Validate() error {
	if r.CallsPerSecond < 0 || r.HeadroomPercent < 0 || r.HeadroomPercent > 90 || r.LookupPercent < 5 || r.LookupPercent > 95 {
		return fmt.Errorf("rate: calls per second must not be negative, headroom lies between 0 and 90 percent, the look-ups' share between 5 and 95")
	}
	return nil
}

// throttled stands in front of a gateway and lets every call leave in a slot
// of the shared budget, whichever process makes it: one that has none yet, or
// has missed its own, takes another. Behind that a local limit is the last
// line of defence: whatever the budget says, this process alone never calls
// faster than the gateway allows.
type throttled struct {
	Gateway
	rate    Rate
	sends   queue
	lookups queue
	local   *spacing
}

// Throttle puts the shared budget and a local limit in front of a gateway;
// without a book there is only the local limit. Close it when done.
func Throttle(g Gateway, book *ledger.Book, r Rate) (Gateway, func(context.Context) error, error) {
	if r.CallsPerSecond == 0 {
		return g, func(context.Context) error { return nil }, nil
	}
	local, err := newSpacing(r.CallsPerSecond)
	if err != nil {
		return nil, nil, err
	}
	t := &throttled{
		Gateway: g, rate: r, local: local,
		sends:   queue{book: book, share: ledger.ForSends, pace: r.Sends()},
		lookups: queue{book: book, share: ledger.ForLookups, pace: r.Lookups()},
	}
	return t, local.store.Close, nil
}

// wait returns in the slot, or in another one when that is missed.
func (t *throttled) wait(ctx context.Context, q *queue, slot time.Time) error {
	if q.book == nil {
		return t.local.wait(ctx)
	}
	for lead := time.Duration(0); ; lead = min(2*lead+time.Millisecond, time.Second) {
		if slot.IsZero() {
			asked := time.Now()
			var err error
			if slot, err = q.next(ctx, lead); err != nil {
				return err
			}
			lead = max(lead, time.Since(asked)) // what the store takes to answer is no reason to miss it again
		}
		if err := sleep(ctx, time.Until(slot)); err != nil {
			return err
		}
		if err := t.local.wait(ctx); err != nil {
			return err
		}
		if time.Since(slot) <= t.rate.tolerance() {
			return nil
		}
		slot = time.Time{}
	}
}

// queue takes slots from the shared budget for those who wait, many at a time:
// when a process stood still for a moment, all of its calls missed theirs.
type queue struct {
	book  *ledger.Book
	share ledger.Share
	pace  ledger.Pace

	waiting atomic.Int64
	mu      sync.Mutex
	turns   []time.Time // taken and not given out
}

// next returns a slot that lies lead or more ahead.
func (q *queue) next(ctx context.Context, lead time.Duration) (time.Time, error) {
	q.waiting.Add(1)
	defer q.waiting.Add(-1)
	q.mu.Lock()
	defer q.mu.Unlock()
	ahead := time.Now().Add(lead)
	q.turns = slices.DeleteFunc(q.turns, func(turn time.Time) bool { return turn.Before(ahead) })
	if len(q.turns) == 0 {
		const most = 100
		var err error
		if q.turns, err = q.book.Turns(ctx, q.share, q.pace, int(min(q.waiting.Load(), most)), lead); err != nil {
			return time.Time{}, err
		}
	}
	turn := q.turns[0]
	q.turns = q.turns[1:]
	return turn, nil
}

// spacing keeps the calls of one process apart by a clock that nobody sets
// back, so no sliding second holds more than the limit; behind that stands a
// limiter that counts them in windows and would catch a mistake in it.
type spacing struct {
	gap   time.Duration
	store limiter.Store

	turn chan struct{} // held by the call that leaves next
	next time.Time     // guarded by turn
}

func newSpacing(perSecond int) (*spacing, error) {
	store, err := memorystore.New(&memorystore.Config{
		Tokens: uint64(perSecond), Interval: time.Second, SweepInterval: time.Hour, SweepMinTTL: 24 * time.Hour,
	})
	if err != nil {
		return nil, fmt.Errorf("local rate limit: %w", err)
	}
	n := time.Duration(perSecond)
	return &spacing{gap: (time.Second + n - 1) / n, store: store, turn: make(chan struct{}, 1)}, nil
}

// wait returns when a call may leave.
func (s *spacing) wait(ctx context.Context) error {
	if err := s.space(ctx); err != nil {
		return err
	}
	_, _, _, ok, err := s.store.Take(ctx, "gateway")
	if err != nil || ok {
		return err
	}
	// After a second of silence any window has room. The limiter's own word
	// for when it has cannot be trusted: it reads a clock that can be set back.
	return sleep(ctx, time.Second)
}

// space keeps the gap from the moment the call before really left: a timer
// that fires late must not make the next two calls closer.
func (s *spacing) space(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	}
	if err := sleep(ctx, time.Until(s.next)); err != nil {
		return err
	}
	s.next = time.Now().Add(s.gap)
	return nil
}

func (t *throttled) Limits(ctx context.Context, channel string, currency money.Currency) (Bounds, error) {
	if err := t.wait(ctx, &t.lookups, time.Time{}); err != nil {
		return Bounds{}, err
	}
	return t.Gateway.Limits(ctx, channel, currency)
}

func (t *throttled) Balances(ctx context.Context) (map[money.Currency]money.Amount, error) {
	if err := t.wait(ctx, &t.lookups, time.Time{}); err != nil {
		return nil, err
	}
	return t.Gateway.Balances(ctx)
}

func (t *throttled) Submit(ctx context.Context, o Order) Reply {
	if err := t.wait(ctx, &t.sends, o.Slot); err != nil {
		return notHandedOver("stopped while waiting for its turn")
	}
	if o.Held != nil && o.Held(ctx) {
		return notHandedOver(stoppedBefore)
	}
	return t.Gateway.Submit(ctx, o)
}

func (t *throttled) Lookup(ctx context.Context, o Order) Reply {
	if err := t.wait(ctx, &t.lookups, o.Slot); err != nil {
		const why = "stopped while waiting for its turn"
		return Reply{Detail: why, Evidence: ledger.Evidence{Kind: ledger.EvidenceLookup, Heard: ledger.HeardNotSent, Reason: why}}
	}
	return t.Gateway.Lookup(ctx, o)
}

// sleep waits or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

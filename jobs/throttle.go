package jobs

import (
	"context"
	"fmt"
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
func (r Rate) Sends() ledger.Pace { return r.share(100 - r.LookupPercent) }

// Lookups returns the pace of look-ups.
func (r Rate) Lookups() ledger.Pace { return r.share(r.LookupPercent) }

func (r Rate) share(percent int) ledger.Pace {
	if r.CallsPerSecond <= 0 {
		return ledger.Pace{}
	}
	return ledger.PaceOf(100*100*time.Second, r.CallsPerSecond*(100-r.HeadroomPercent)*percent)
}

// Validate returns an error that says what is wrong with the rate.
func (r Rate) Validate() error {
	if r.CallsPerSecond < 0 || r.HeadroomPercent < 0 || r.HeadroomPercent > 90 || r.LookupPercent < 5 || r.LookupPercent > 95 {
		return fmt.Errorf("rate: calls per second must not be negative, headroom lies between 0 and 90 percent, the look-ups' share between 5 and 95")
	}
	return nil
}

// throttled is the last line of defence in front of a gateway: whatever the
// shared budget says, this process alone never calls faster than the gateway
// allows. Calls are spaced by a clock that nobody sets back, so no sliding
// second holds more than the limit; behind that stands a limiter that counts
// them in windows and would catch a mistake in the spacing.
type throttled struct {
	Gateway
	gap   time.Duration
	store limiter.Store

	turn chan struct{} // held by the call that leaves next
	next time.Time     // guarded by turn
}

// Throttle puts a local limit in front of a gateway. Close it when done.
func Throttle(g Gateway, r Rate) (Gateway, func(context.Context) error, error) {
	if r.CallsPerSecond == 0 {
		return g, func(context.Context) error { return nil }, nil
	}
	store, err := memorystore.New(&memorystore.Config{
		Tokens: uint64(r.CallsPerSecond), Interval: time.Second, SweepInterval: time.Hour, SweepMinTTL: 24 * time.Hour,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("local rate limit: %w", err)
	}
	n := time.Duration(r.CallsPerSecond)
	return &throttled{Gateway: g, gap: (time.Second + n - 1) / n, store: store, turn: make(chan struct{}, 1)}, store.Close, nil
}

// wait returns when a call may leave.
func (t *throttled) wait(ctx context.Context) error {
	if err := t.space(ctx); err != nil {
		return err
	}
	_, _, _, ok, err := t.store.Take(ctx, "gateway")
	if err != nil || ok {
		return err
	}
	// After a second of silence any window has room. The limiter's own word
	// for when it has cannot be trusted: it reads a clock that can be set back.
	return sleep(ctx, time.Second)
}

// space keeps the gap from the moment the call before really left: a timer
// that fires late must not make the next two calls closer.
func (t *throttled) space(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	}
	if err := sleep(ctx, time.Until(t.next)); err != nil {
		return err
	}
	t.next = time.Now().Add(t.gap)
	return nil
}

func (t *throttled) Limits(ctx context.Context, channel string, currency money.Currency) (Bounds, error) {
	if err := t.wait(ctx); err != nil {
		return Bounds{}, err
	}
	return t.Gateway.Limits(ctx, channel, currency)
}

func (t *throttled) Balances(ctx context.Context) (map[money.Currency]money.Amount, error) {
	if err := t.wait(ctx); err != nil {
		return nil, err
	}
	return t.Gateway.Balances(ctx)
}

func (t *throttled) Submit(ctx context.Context, o Order) Reply {
	if err := t.wait(ctx); err != nil {
		return notHandedOver("stopped while waiting for its turn")
	}
	return t.Gateway.Submit(ctx, o)
}

func (t *throttled) Lookup(ctx context.Context, o Order) Reply {
	if err := t.wait(ctx); err != nil {
		const why = "stopped while waiting for its turn"
		return Reply{Detail: why, Evidence: ledger.Evidence{Kind: ledger.EvidenceLookup, Outcome: "not-sent", Reason: why}}
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

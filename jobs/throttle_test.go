package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// stopwatch is a gateway that notes when each call leaves and answers at once.
type stopwatch struct {
	mu   sync.Mutex
	left []time.Time
}

func (g *stopwatch) note() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = append(g.left, time.Now())
}

// busiest is the largest number of calls that left within any window.
func (g *stopwatch) busiest(window time.Duration) (most int) {
	slices.SortFunc(g.left, time.Time.Compare)
	first := 0
	for last, at := range g.left {
		for at.Sub(g.left[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func (g *stopwatch) Capabilities() jobs.Capabilities { return jobs.Capabilities{} }
func (g *stopwatch) Limits(context.Context, string, money.Currency) (jobs.Bounds, error) {
	g.note()
	return jobs.Bounds{}, nil
}
func (g *stopwatch) Balances(context.Context) (map[money.Currency]money.Amount, error) {
	g.note()
	return nil, nil
}
func (g *stopwatch) Submit(context.Context, jobs.Order) jobs.Reply { g.note(); return jobs.Reply{} }
func (g *stopwatch) Lookup(context.Context, jobs.Order) jobs.Reply { g.note(); return jobs.Reply{} }
func (g *stopwatch) ParseNotification(string, []byte) (jobs.Notification, error) {
	return jobs.Notification{}, nil
}

// Whatever mixture of calls comes in whatever bursts, no second holds more of
// them than the gateway allows.
func TestTheThrottleHoldsInEverySecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, holdsInEverySecond)
}

func holdsInEverySecond(t *testing.T) {
	const limit = 20
	watch := &stopwatch{}
	g, closeThrottle, err := jobs.Throttle(watch, nil, jobs.Rate{CallsPerSecond: limit, LookupPercent: 40})
	fatal(t, err)
	defer func() { fatal(t, closeThrottle(context.Background())) }()
	var callers sync.WaitGroup
	for i := range 3 * limit {
		callers.Go(func() {
			switch ctx := t.Context(); i % 4 {
			case 0:
				g.Submit(ctx, jobs.Order{})
			case 1:
				g.Lookup(ctx, jobs.Order{})
			case 2:
				g.Limits(ctx, "16", "USD")
			case 3:
				g.Balances(ctx)
			}
		})
	}
	callers.Wait()
	if len(watch.left) != 3*limit {
		t.Fatalf("%d calls left", len(watch.left))
	}
	if most := watch.busiest(time.Second); most > limit {
		t.Errorf("%d calls left within a second, the gateway allows %d", most, limit)
	}
	if took := watch.left[len(watch.left)-1].Sub(watch.left[0]); took > 20*time.Second {
		t.Errorf("%d calls at %d a second took %s", 3*limit, limit, took)
	}
}

func TestTheThrottleEndsWithItsContext(t *testing.T) {
	t.Parallel()
	watch := &stopwatch{}
	g, closeThrottle, err := jobs.Throttle(watch, nil, jobs.Rate{CallsPerSecond: 1, LookupPercent: 40})
	fatal(t, err)
	defer func() { fatal(t, closeThrottle(context.Background())) }()
	g.Submit(t.Context(), jobs.Order{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if r := g.Submit(ctx, jobs.Order{}); r.Verdict != jobs.NotSent || r.Evidence.Kind != ledger.EvidenceCreate {
		t.Errorf("submit: %+v", r)
	}
	if r := g.Lookup(ctx, jobs.Order{}); r.Verdict != jobs.NoAnswer || r.Evidence.Kind != ledger.EvidenceLookup {
		t.Errorf("look-up: %+v", r)
	}
	if _, err := g.Limits(ctx, "16", "USD"); err == nil {
		t.Error("limits: no error")
	}
	if _, err := g.Balances(ctx); err == nil {
		t.Error("balances: no error")
	}
	if len(watch.left) != 1 {
		t.Errorf("%d calls left", len(watch.left))
	}
}

func TestNoLimitNeedsNoThrottle(t *testing.T) {
	t.Parallel()
	watch := &stopwatch{}
	g, closeThrottle, err := jobs.Throttle(watch, nil, jobs.Rate{LookupPercent: 40})
	fatal(t, err)
	fatal(t, closeThrottle(context.Background()))
	for range 1000 {
		g.Submit(t.Context(), jobs.Order{})
	}
	if len(watch.left) != 1000 {
		t.Errorf("%d calls left", len(watch.left))
	}
}

// unhurried lets a call that has left take its time.
type unhurried struct{ jobs.Gateway }

func (g unhurried) Submit(ctx context.Context, o jobs.Order) jobs.Reply {
	return g.Gateway.Submit(context.WithoutCancel(ctx), o)
}

// A payout whose time ran out while it waited for the local limit was not
// sent, and the books say so.
func TestWaitingForTheThrottleIsNotSending(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(6))
		g, closeThrottle, err := jobs.Throttle(unhurried{s.engine.Gateway}, nil, jobs.Rate{CallsPerSecond: 1, LookupPercent: 40})
		s.must(err)
		defer func() { s.must(closeThrottle(context.Background())) }()
		slow := s.worker("slow")
		slow.Gateway, slow.CallTimeout = g, 300*time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		done, err := slow.Disburse(ctx)
		if got := s.states(batch.ID); got[ledger.Sending]+got[ledger.Unknown] > 0 || done.NotSent == 0 {
			t.Fatalf("states %v after %+v, %v", got, done, err)
		}
		s.disburse()
		s.follow(batch.ID)
		s.sound()
	})
}

// Two processes share the gateway's limit through the database, and sends
// leave look-ups their share. It is not parallel: what is measured is when
// calls arrive, which a busy machine would blur.
func TestTwoWorkersStayUnderTheLimitTogether(t *testing.T) {
	settings := hostile()
	settings.Callbacks.Off = true
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			s := openShop(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, engine, migrated)}, migrated), settings)
			s.shareTheLimit()
		})
	}
}

func (s *shop) shareTheLimit() {
	const limit = 40
	batch := s.approved(s.sheet(50))
	s.engine.Rate = jobs.Rate{CallsPerSecond: limit, HeadroomPercent: 10, LookupPercent: 40}
	other := s.worker("w2")
	for _, e := range []*jobs.Engine{s.engine, other} {
		g, closeThrottle, err := jobs.Throttle(e.Gateway, s.book, e.Rate)
		s.must(err)
		defer func() { s.must(closeThrottle(context.Background())) }()
		e.Gateway = g
	}
	var workers sync.WaitGroup
	for _, e := range []*jobs.Engine{s.engine, other} {
		workers.Go(func() {
			if _, err := e.Disburse(s.t.Context()); err != nil {
				s.t.Error(err)
			}
		})
		workers.Go(func() { s.trackAll(e, batch.ID) })
	}
	workers.Wait()
	book := s.sandbox.Book()
	sends, lookups := book.Busiest(time.Second, sandbox.Create), book.Busiest(time.Second, sandbox.Query)
	all := book.Busiest(time.Second, sandbox.Create, sandbox.Query)
	// The headroom is what the network's jitter may use up.
	if sends > 22+2 || lookups > 14+2 || all > limit {
		s.t.Errorf("in the busiest second %d sends of 22, %d look-ups of 14, %d calls of %d", sends, lookups, all, limit)
	}
	if sends < 11 || lookups < 7 {
		s.t.Errorf("the shares are not used: %d sends, %d look-ups in the busiest second", sends, lookups)
	}
	s.sound()
}

// trackAll tracks with one engine until every payout has ended.
func (s *shop) trackAll(e *jobs.Engine, batch int64) {
	ctx, cancel := context.WithTimeout(s.t.Context(), giveUp)
	defer cancel()
	for s.open(batch) > 0 {
		if _, err := e.Track(ctx); err != nil {
			s.t.Error(err)
			return
		}
		select {
		case <-ctx.Done():
			s.t.Errorf("payouts are still open: %v", s.states(batch))
			return
		case <-time.After(20 * time.Millisecond): // slots are nobody's event
		}
	}
}

// Two processes that stood still wake up with all of their slots missed. They
// take others instead of catching up, and ask for stops after that wait.
func TestCallsThatMissedTheirSlotsTakeOthers(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const limit, calls = 20, 12
		rate := jobs.Rate{CallsPerSecond: limit, HeadroomPercent: 10, LookupPercent: 50}
		watch := &stopwatch{}
		var callers sync.WaitGroup
		var askedFirst atomic.Int64
		for range 2 {
			g, closeThrottle, err := jobs.Throttle(watch, s.book, rate)
			s.must(err)
			defer func() { s.must(closeThrottle(context.Background())) }()
			for range calls {
				missed := jobs.Order{Slot: time.Now().Add(-time.Second), Held: func(context.Context) bool {
					askedFirst.Add(1)
					return false
				}}
				callers.Go(func() { g.Submit(t.Context(), missed) })
				callers.Go(func() { g.Lookup(t.Context(), missed) })
			}
			held := missedAndHeld()
			callers.Go(func() {
				if r := g.Submit(t.Context(), held); r.Verdict != jobs.NotSent {
					t.Errorf("a payout that is stopped by now: %+v", r)
				}
			})
		}
		callers.Wait()
		if most := watch.busiest(time.Second); most > limit || len(watch.left) != 4*calls || askedFirst.Load() != 2*calls {
			t.Errorf("%d of %d calls left within a second, the gateway allows %d; %d asked for stops", most, len(watch.left), limit, askedFirst.Load())
		}
	})
}

func missedAndHeld() jobs.Order {
	return jobs.Order{Slot: time.Now().Add(-time.Second), Held: func(context.Context) bool { return true }}
}

// Slots count from the claim's turn, however long it waited for it: counted
// from an earlier clock they would all be over, and the calls leave as one burst.
func TestASlowClaimDoesNotBurst(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.engine.InFlight, s.engine.Rate = 16, jobs.Rate{CallsPerSecond: 40, LookupPercent: 50}
		batch := s.approved(s.sheet(16))
		bare := s.engine.Gateway
		noted := &noting{Gateway: bare}
		s.engine.Gateway = noted
		turn := s.blocked(func() { s.disburse() })
		slices.SortFunc(noted.slots, time.Time.Compare)
		if len(noted.slots) == 0 || noted.slots[0].Before(turn) {
			t.Errorf("%d calls, in slots from %s on, though the claim's turn came at %s", len(noted.slots), noted.slots, turn)
		}
		s.engine.Rate, s.engine.Gateway = jobs.Rate{LookupPercent: 50}, bare
		s.follow(batch.ID)
		s.sound()
	})
}

// noting notes the slots of create calls.
type noting struct {
	jobs.Gateway
	mu    sync.Mutex
	slots []time.Time
}

func (n *noting) Submit(ctx context.Context, o jobs.Order) jobs.Reply {
	n.mu.Lock()
	n.slots = append(n.slots, o.Slot)
	n.mu.Unlock()
	return n.Gateway.Submit(ctx, o)
}

// blocked runs f while another transaction keeps the budget for a time. It
// returns a moment before that gave the budget back.
func (s *shop) blocked(f func()) (before time.Time) {
	s.t.Helper()
	held, released := make(chan struct{}), make(chan error)
	go func() {
		released <- s.db.InTx(s.t.Context(), func(tx *database.Tx) error {
			if _, err := tx.Exec(s.t.Context(), `INSERT INTO budgets (name, next_free_at) VALUES ('sends', 0)
				ON CONFLICT (name) DO UPDATE SET next_free_at = budgets.next_free_at`); err != nil {
				return err
			}
			close(held)
			<-time.After(700 * time.Millisecond) // long enough for every slot of f to be over
			before = time.Now()
			return nil
		})
	}()
	<-held
	f()
	s.must(<-released)
	return before
}

func TestRates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate           jobs.Rate
		sends, lookups time.Duration
		usable         bool
	}{
		"no limit":            {jobs.Rate{LookupPercent: 40}, 0, 0, true},
		"all shared out":      {jobs.Rate{CallsPerSecond: 10, LookupPercent: 50}, 200 * time.Millisecond, 200 * time.Millisecond, true},
		"with headroom":       {jobs.Rate{CallsPerSecond: 100, HeadroomPercent: 10, LookupPercent: 40}, 18520 * time.Microsecond, 27780 * time.Microsecond, true},
		"one call a second":   {jobs.Rate{CallsPerSecond: 1, HeadroomPercent: 10, LookupPercent: 5}, 1169591578 * time.Nanosecond, 22222240 * time.Microsecond, true},
		"nothing for sends":   {jobs.Rate{CallsPerSecond: 10, LookupPercent: 100}, 0, 0, false},
		"nothing to look up":  {jobs.Rate{CallsPerSecond: 10}, 0, 0, false},
		"negative":            {jobs.Rate{CallsPerSecond: -1, LookupPercent: 40}, 0, 0, false},
		"headroom is all":     {jobs.Rate{CallsPerSecond: 10, HeadroomPercent: 100, LookupPercent: 40}, 0, 0, false},
		"headroom is missing": {jobs.Rate{CallsPerSecond: 10, HeadroomPercent: -1, LookupPercent: 40}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.rate.Validate(); (err == nil) != c.usable {
				t.Fatalf("validated as %v", err)
			}
			if !c.usable {
				return
			}
			if got := fmt.Sprint(c.rate.Sends().Average(), " ", c.rate.Lookups().Average()); got != fmt.Sprint(c.sends, " ", c.lookups) {
				t.Errorf("intervals %s, want %s %s", got, c.sends, c.lookups)
			}
		})
	}
}

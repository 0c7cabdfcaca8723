package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"payrun/ledger"
)

// Engine is what disbursing and tracking share: the ledger, the gateway, and
// how hard one process works. Its zero fields have documented defaults.
type Engine struct {
	Book    *ledger.Book
	Gateway Gateway
	// Account is ours at the gateway: what is learned about its answers is kept
	// under it.
	Account string
	// Worker names this process in attempts and events; unique per process.
	Worker string
	// Channels that are switched on.
	Channels []string
	// Rate of calls over all workers.
	Rate Rate
	// InFlight is how many calls this process has open at most. Default 1,
	// since nobody has published how many EPAY likes.
	InFlight int
	// CallTimeout bounds one call. Default 30 s.
	CallTimeout time.Duration
	// Patience is how late after its slot a payout may leave. Default 5 s.
	Patience time.Duration
	// LimitsAge is how old limits and balances may be to send on. Default 5 min.
	LimitsAge time.Duration
	// Linger is how long outcomes wait to be written together. Default 50 ms.
	Linger time.Duration
	Judge  Judge
	Log    *slog.Logger

	// Counters of this process, for metrics.
	Counters Counters

	controls   atomic.Uint64 // control look-ups made, to take turns
	trouble    trouble
	heldBack   *string   // what was last reported as held back; nil: nothing yet
	heldBackAt time.Time // when that was looked at
}

// Counters count what one process did since it started.
type Counters struct {
	Sent, Accepted, Refused, InDoubt, NotSent, LookedUp, Ended atomic.Int64
}

// Defaults fills zero fields and returns an error for unusable ones.
func (e *Engine) Defaults() error {
	if e.Book == nil || e.Gateway == nil || e.Worker == "" {
		return errors.New("an engine needs a ledger, a gateway and a worker name")
	}
	orElse(&e.InFlight, 1)
	orElse(&e.CallTimeout, 30*time.Second)
	orElse(&e.Patience, 5*time.Second)
	orElse(&e.LimitsAge, 5*time.Minute)
	orElse(&e.Linger, 50*time.Millisecond)
	orElse(&e.Judge.ClosedAgain, 10*time.Minute)
	if e.Judge.Accepted == nil {
		e.Judge.Accepted = DefaultAccepted
	}
	if e.Judge.InDoubt == nil {
		e.Judge.InDoubt = DefaultInDoubt
	}
	if e.Judge.Conflict == nil {
		e.Judge.Conflict = DefaultConflict
	}
	orElse(&e.Judge.Stuck, 24*time.Hour)
	orElse(&e.Judge.Pending, 72*time.Hour)
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	return e.Rate.Validate()
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// reportHeldBack opens a case for approved payouts that cannot be sent though
// nobody meant them to wait, and closes it when they can.
func (e *Engine) reportHeldBack(ctx context.Context, done Disbursed) error {
	// Finding the reasons reads all that waits: not after every idle run.
	if e.heldBack != nil && done.Sent == 0 && time.Since(e.heldBackAt) < heldBackEvery {
		return nil
	}
	e.heldBackAt = time.Now()
	var reasons []string
	if done.Waiting {
		groups, err := e.Book.Waiting(ctx, e.Channels, e.LimitsAge)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if !g.Meant && !g.Blocked {
				reasons = append(reasons, fmt.Sprintf("on channel %s in %s %d %s", g.Channel, g.Currency, g.Payouts, g.Words()))
			}
		}
	}
	held := strings.Join(reasons, "; ")
	if e.heldBack != nil && held == *e.heldBack {
		return nil
	}
	if err := e.Book.CloseExceptions(ctx, ledger.ExceptionHeldBack, e.actor(), "changed"); err != nil {
		return err
	}
	if held != "" {
		err := e.Book.OpenException(ctx, ledger.Exception{
			Kind: ledger.ExceptionHeldBack, Detail: held, NextStep: "see payrun job list; top up, widen limits, or cancel",
		})
		if err != nil {
			return err
		}
	}
	e.heldBack = &held
	return nil
}

const heldBackEvery = 30 * time.Second

func (e *Engine) actor() string { return "worker:" + e.Worker }

func order(p ledger.Payout) Order {
	return Order{Number: p.OrderNo(), Channel: p.Channel, Account: p.Account, Amount: p.Amount, Currency: p.Currency}
}

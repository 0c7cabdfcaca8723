package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"payrun/internal/alert"
	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

// Way is one way by which alerts reach people.
type Way struct {
	Name string // as the ledger keeps it
	// Most alerts that one message tells.
	Most int
	// Pause after a message, so that what comes meanwhile is told together.
	Pause time.Duration
	// Deliver sends one message. answer is what the receiver said.
	Deliver func(context.Context, []alert.Message) (answer string, err error)
}

// Alerts watches for what people have to be told, and tells them. Any number
// of processes may do so beside each other: each thing is told once. Only a
// process that dies between a delivery and its record makes a message come
// twice, with the same id. Nothing here can hold up payouts.
type Alerts struct {
	Book *ledger.Book
	DB   *database.DB // for the runs of jobs
	// Worker names this process where it opens and closes cases.
	Worker string
	// Source names this installation in every message.
	Source string
	Ways   []Way
	Rules  ledger.AlertRules
	// Floors are the gateway balances below which somebody is told.
	Floors map[money.Currency]money.Amount
	// Jobs are those whose runs are watched.
	Jobs []string
	// LateAfter is how late a run counts as missed. Default 10 min.
	LateAfter time.Duration
	// VerifiedWithin is how old the last good verification may be. Default 48 h.
	VerifiedWithin time.Duration
	// Lease is how long a worker has for what it took to deliver. Default
	// 5 min, more than all of it can take.
	Lease time.Duration
	// Retry is the wait after the first failed delivery; it doubles up to an
	// hour. Default 10 s.
	Retry time.Duration
	Log   *slog.Logger
}

const (
	raiseEvery   = 5 * time.Second
	deliverEvery = 2 * time.Second
	watchEvery   = time.Minute
	// longestRetry and giveUpAfter make somebody who does not answer be tried
	// for about a day.
	longestRetry = time.Hour
	giveUpAfter  = 30
	// sendGrace is how long a message may still be on its way after a stop.
	sendGrace = 10 * time.Second
	// takeAtMost bounds what one lease covers: for messages of one alert
	// each, a time-out for every one of them must fit in.
	takeAtMost = 20
)

// Run watches and tells until ctx ends.
func (a *Alerts) Run(ctx context.Context) {
	a.defaults()
	var running sync.WaitGroup
	running.Go(func() { Loop(ctx, a.Log, "alert", raiseEvery, nil, a.Raise) })
	running.Go(func() {
		// What came due while nothing ran gets its time to run first.
		if sleep(ctx, watchEvery) == nil {
			Loop(ctx, a.Log, "watch", watchEvery, nil, a.Watch)
		}
	})
	for _, way := range a.Ways {
		running.Go(func() {
			Loop(ctx, a.Log, "alert by "+way.Name, deliverEvery, nil, func(ctx context.Context) error { return a.Deliver(ctx, way) })
		})
	}
	running.Wait()
}

func (a *Alerts) defaults() {
	orElse(&a.LateAfter, 10*time.Minute)
	orElse(&a.VerifiedWithin, 48*time.Hour)
	orElse(&a.Lease, 5*time.Minute)
	orElse(&a.Retry, 10*time.Second)
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
}

// Raise raises the alerts that the ledger asks for, and logs them.
func (a *Alerts) Raise(ctx context.Context) error {
	a.defaults()
	raised, err := a.Book.Raise(ctx, a.Rules)
	for _, r := range raised {
		a.logged(ctx, r)
	}
	return ignoreStop(ctx, err)
}

func (a *Alerts) logged(ctx context.Context, r ledger.Alert) {
	level := slog.LevelWarn
	if r.Kind == ledger.AlertFinished { // what everybody hoped for
		level = slog.LevelInfo
	}
	a.Log.Log(ctx, level, "alert", "kind", r.Kind, "what", r.Summary, "detail", r.Detail, "next", r.NextStep)
}

// Deliver tells, on one way, what is due there, oldest first. It stops at the
// first message that does not arrive: the others would not either, and come
// with the next try.
func (a *Alerts) Deliver(ctx context.Context, way Way) error {
	a.defaults()
	for {
		due, err := a.Book.TakeDeliveries(ctx, way.Name, max(way.Most, takeAtMost), a.Lease)
		if err != nil || len(due) == 0 {
			return ignoreStop(ctx, err)
		}
		for len(due) > 0 {
			n := min(way.Most, len(due))
			answer, err := send(ctx, way, a.messages(due[:n]))
			if err != nil {
				return a.failed(context.WithoutCancel(ctx), way, due, err)
			}
			if err := a.Book.Delivered(context.WithoutCancel(ctx), way.Name, due[:n], answer); err != nil {
				return err
			}
			due = due[n:]
			if sleep(ctx, way.Pause) != nil {
				return a.putBack(context.WithoutCancel(ctx), way, due)
			}
		}
	}
}

// send lets a message that is on its way arrive although the process is told
// to stop, so that it is not told twice.
func send(ctx context.Context, way Way, messages []alert.Message) (answer string, err error) {
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sendGrace, cancel) })()
	return way.Deliver(call, messages)
}

// putBack leaves what was taken to whoever looks next.
func (a *Alerts) putBack(ctx context.Context, way Way, due []ledger.Undelivered) error {
	if len(due) == 0 {
		return nil
	}
	return a.Book.DeliveryFailed(ctx, way.Name, due, slices.Repeat([]time.Duration{time.Millisecond}, len(due)), "the process that had taken it was stopped")
}

func (a *Alerts) failed(ctx context.Context, way Way, due []ledger.Undelivered, why error) error {
	waits := make([]time.Duration, len(due))
	for i, d := range due {
		waits[i] = a.wait(d.Tries)
	}
	a.Log.Warn("alerts do not arrive", "way", way.Name, "alerts", len(due), "error", why)
	if given := slices.Index(waits, 0); given >= 0 {
		a.Log.Error("alerts are given up: nobody was told", "way", way.Name, "first", due[given].Summary, "see", "payrun alert list --undelivered")
	}
	return a.Book.DeliveryFailed(ctx, way.Name, due, waits, why.Error())
}

// wait is how long after so many tries the next one comes; 0 for never. It
// varies, so that what failed together does not come back together.
func (a *Alerts) wait(tries int64) time.Duration {
	if tries >= giveUpAfter {
		return 0
	}
	wait := min(a.Retry<<min(tries-1, 16), longestRetry)
	return wait*4/5 + rand.N(wait*2/5+1)
}

func (a *Alerts) messages(due []ledger.Undelivered) []alert.Message {
	messages := make([]alert.Message, len(due))
	for i, d := range due {
		messages[i] = alert.Message{
			ID: AlertID(d.Alert), Kind: d.Kind, Source: a.Source, Summary: d.Summary, Detail: d.Detail,
			NextStep: d.NextStep, Batch: d.BatchID, Order: d.OrderNo, Since: d.Since.Time(), Raised: d.RaisedAt.Time(),
		}
	}
	return messages
}

// AlertID is what receivers know an alert by; it differs between stores.
func AlertID(a ledger.Alert) string { return fmt.Sprintf("alert-%d-%d", a.ID, a.RaisedAt) }

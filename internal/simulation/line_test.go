package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"payrun/internal/money"
	"payrun/jobs"
	"payrun/ledger"
)

// line is one process's connection to the gateway, and everything that can go
// wrong on it. Like every adapter it sends at most one request per call, and
// none after the order's SendBy.
type line struct {
	*process
	gateway *gateway
}

var _ jobs.Gateway = line{}

func (l line) Capabilities() jobs.Capabilities {
	return jobs.Capabilities{ReportsLimits: true, ReportsBalance: true, Notifies: true, FindsByNumber: true}
}

func (l line) Limits(context.Context, string, money.Currency) (jobs.Bounds, error) {
	return jobs.Bounds{Minimum: 1, Maximum: 1_000_000_00}, nil
}

func (l line) Balances(context.Context) (map[money.Currency]money.Amount, error) {
	return map[money.Currency]money.Amount{"USD": opening}, nil
}

func (l line) Submit(ctx context.Context, o jobs.Order) jobs.Reply {
	nth := l.gateway.begin(o.Number)
	l.stepAside("create", o.Number, nth)
	l.gateway.wakeSleepers(o.Number)
	if l.strikes(freezeTwice, "before", o.Number, nth) {
		l.oversleep(o.Number)
	}
	if l.strikes(crashBefore, o.Number, nth) {
		l.crash("before it sent " + l.name(o.Number))
	}
	if l.strikes(freezeBefore, o.Number, nth) {
		l.freeze(l.frost("freeze", o.Number, nth))
	}
	frozen := l.thaw("create", o.Number, nth)
	switch {
	case l.dead():
		return jobs.Reply{}
	case time.Now().After(o.SendBy):
		elapse(time.Millisecond)
		return unsent("its time to leave was over")
	case l.strikes(noConnection, o.Number, nth):
		elapse(between(l.of("dial", o.Number, nth), time.Millisecond, time.Second))
		return unsent("no connection")
	}
	l.leaves(o, frozen)
	defer l.ends(o.Number)
	if l.strikes(crashAfter, o.Number, nth) {
		defer l.crash("while it sent " + l.name(o.Number))
	}
	reply := l.exchange(ctx, l.requestTime(o.Number, nth), "create", o.Number, nth, func() jobs.Reply { return l.gateway.create(o, nth) })
	return l.back(reply, o.Number, nth)
}

// frost is how long a process is frozen: mostly minutes, also hours.
func (l line) frost(name ...any) time.Duration {
	r := l.of(name...)
	return between(r, time.Second, 10*time.Second<<r.IntN(11))
}

// oversleep freezes the process until its order is sent again, or for hours.
func (l line) oversleep(number string) {
	l.freeze(3 * time.Hour)
	l.gateway.mu.Lock()
	defer l.gateway.mu.Unlock()
	o := l.gateway.order(number)
	o.sleepers = append(o.sleepers, l.process)
}

// requestTime is how long a create takes to the gateway; negative when it
// never arrives.
func (l line) requestTime(number string, nth int) time.Duration {
	r := l.of("request", number, nth)
	switch {
	case l.strikes(requestLost, number, nth):
		return -1
	case l.strikes(requestLate, number, nth):
		return between(r, time.Second, latestRequest)
	}
	return between(r, time.Millisecond, 400*time.Millisecond)
}

// back is what happens to a reply before the worker can record it.
func (l line) back(reply jobs.Reply, number string, nth int) jobs.Reply {
	if l.strikes(crashReply, number, nth) {
		l.crash("before it recorded " + l.name(number))
	}
	if l.strikes(freezeReply, number, nth) {
		l.freeze(l.frost("freeze reply", number, nth))
	}
	if l.strikes(freezeTwice, "reply", number, nth) {
		l.oversleep(number)
	}
	l.thaw("reply", number, nth)
	if l.dead() {
		return jobs.Reply{}
	}
	return reply
}

func (l line) Lookup(ctx context.Context, o jobs.Order) jobs.Reply {
	nth := l.gateway.ask(o.Number)
	l.stepAside("look-up", o.Number, nth)
	l.thaw("look-up", o.Number, nth)
	if l.dead() {
		return jobs.Reply{}
	}
	l.note("%s looks %s up", l.label, l.name(o.Number))
	l.alone(o.Number, "look-up")
	defer l.ends(o.Number)
	r := l.of("question", o.Number, nth)
	there := between(r, time.Millisecond, 400*time.Millisecond)
	if l.strikes(requestLost, "lookup", o.Number, nth) {
		there = -1
	}
	reply := l.exchange(ctx, there, "lookup", o.Number, nth, func() jobs.Reply { return l.gateway.lookup(o, nth) })
	reply.Evidence.Kind = ledger.EvidenceLookup
	if l.strikes(freezeLookup, o.Number, nth) {
		l.freeze(l.frost("freeze look-up", o.Number, nth))
	}
	l.thaw("answer", o.Number, nth)
	if l.dead() {
		return jobs.Reply{}
	}
	return reply
}

// exchange sends a request on its way and waits for the reply as long as the
// caller does. What was sent arrives whether anybody waits or not, at an
// instant that is not the caller's; the reply comes at one that is.
func (l line) exchange(ctx context.Context, there time.Duration, kind, number string, nth int, arrive func() jobs.Reply) jobs.Reply {
	replies := make(chan jobs.Reply, 1)
	if there >= 0 {
		l.gateway.ways.Go(func() {
			const apart = 7
			elapse(there + apart)
			reply := arrive()
			elapse(between(l.of("reply", kind, number, nth), time.Millisecond, 400*time.Millisecond) - apart)
			replies <- reply
		})
	}
	defer l.stepAside("back", kind, number, nth)
	select {
	case <-ctx.Done():
		return silence("no answer in time")
	case reply := <-replies:
		return reply
	}
}

// ParseNotification believes what is signed.
func (l line) ParseNotification(_ string, body []byte) (jobs.Notification, error) {
	var n notice
	if err := json.Unmarshal(body, &n); err != nil {
		return jobs.Notification{}, err
	}
	if n.Forged {
		return jobs.Notification{}, errors.New("wrong signature")
	}
	heard := ledger.Heard("verified")
	if slices.Contains(ends, n.Status) {
		heard = ledger.HeardEnded
	}
	e := said(ledger.EvidenceCallback, heard, "", "", string(body))
	e.GatewayOrder, e.Status = n.GatewayOrder, n.Status
	return jobs.Notification{OrderNo: n.Number, Evidence: e}, nil
}

// begin and ask number the calls about an order.
func (g *gateway) begin(number string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.order(number)
	o.asked++
	return o.asked
}

// wakeSleepers wakes those who froze until this order is sent again.
func (g *gateway) wakeSleepers(number string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.order(number)
	for i, p := range o.sleepers {
		p.wake(time.Duration(100*(i+1)) * time.Millisecond)
	}
	o.sleepers = nil
}

func (g *gateway) ask(number string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.order(number)
	o.looked++
	return o.looked
}

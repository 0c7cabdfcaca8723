package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"payrun/internal/money"
	"payrun/jobs"
	"payrun/ledger"
)

// gateway is a payment gateway with its own book. It pays every create that
// reaches it and that it does not refuse, also under a number it has already.
type gateway struct {
	world *world
	ways  sync.WaitGroup // requests, payments and notifications under way

	mu     sync.Mutex
	orders map[string]*order
}

// order is what the gateway's book, and the road to it, know of one number.
type order struct {
	asked    int // creates that workers began
	looked   int // look-ups
	lastLeft time.Time
	left     int               // creates whose bytes left
	sendBy   time.Time         // of the last one
	denials  []time.Time       // of the order since then, while others were known
	denied   time.Time         // the last one of all
	sleepers []*process        // frozen until it is sent again
	calls    map[*process]call // under way, from their senders' side
	legs     []*leg
	told     map[string]bool // statuses that a true notification was delivered about
}

// leg is one accepted create.
type leg struct {
	id          string
	order       jobs.Order
	status      string
	paid        int
	deniedUntil time.Time
	deniedLong  time.Time // only once a notification was taken
	shyUntil    time.Time // but for the look-up right before another create
}

const realFee, feeEstimate money.Amount = 12, 10

// paths are the ways an order goes, by weight.
var paths = []struct {
	weight   int
	statuses []string
}{
	{50, []string{"1", "7"}}, {8, []string{"7"}}, {8, []string{"1", "6"}}, {5, []string{"1", "5"}}, {5, []string{"1", "20"}},
	{5, []string{"1", "8"}}, {5, []string{"19", "7"}}, {4, []string{"1", "9", "7"}}, {4, []string{"0", "1", "7"}},
	{3, []string{"11", "6"}}, {3, []string{"77", "7"}},
}

// meanings translate the gateway's statuses.
var meanings = map[string]jobs.Status{
	"1": jobs.Processing, "19": jobs.PendingWithdrawal, "7": jobs.Succeeded, "5": jobs.FailedReleased,
	"6": jobs.FailedReleased, "8": jobs.ClosedUnclear, "20": jobs.FailedFeeKept,
}

// ends are the statuses that are notified.
var ends = []string{"5", "6", "7", "8", "20"}

func (g *gateway) order(number string) *order {
	o := g.orders[number]
	if o == nil {
		o = &order{told: map[string]bool{}, calls: map[*process]call{}}
		g.orders[number] = o
	}
	return o
}

// create is a request that arrives.
func (g *gateway) create(o jobs.Order, nth int) jobs.Reply {
	w := g.world
	switch {
	case w.strikes(serverError, o.Number, nth):
		return silence("error 503")
	case w.strikes(tooMany, o.Number, nth):
		reply := silence("too many requests")
		reply.RetryAfter = between(w.of("retry after", o.Number, nth), time.Second, 10*time.Minute)
		return reply
	case w.strikes(refused, o.Number, nth):
		w.note("gateway refuses %s", w.name(o.Number))
		return refusal(ledger.EvidenceCreate, "4102", "the account is not valid")
	}
	l := g.accept(o, nth)
	switch {
	case w.strikes(refusedFalse, o.Number, nth):
		return refusal(ledger.EvidenceCreate, "4199", "system error")
	case w.strikes(otherOrder, "create", o.Number, nth):
		return contrary(ledger.EvidenceCreate)
	case w.strikes(replyGarbled, "create", o.Number, nth), w.strikes(connectionCut, o.Number, nth):
		return silence("unreadable")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known(ledger.EvidenceCreate, l, w.strikes(feeUnknown, o.Number, nth))
}

// accept takes an order into the book and lets it go its way.
func (g *gateway) accept(o jobs.Order, nth int) *leg {
	w := g.world
	path := g.path(o.Number, nth)
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.order(o.Number)
	l := &leg{id: fmt.Sprintf("G%d-%s", len(mine.legs)+1, w.name(o.Number)), order: o}
	if w.strikes(deniedAWhile, o.Number, nth) {
		l.deniedUntil = time.Now().Add(between(w.of("denial", o.Number, nth), time.Second, longestDenial))
	}
	if w.automatic && w.strikes(shownAtLast, o.Number, nth) {
		l.shyUntil = time.Now().Add(5 * time.Hour)
	}
	if w.strikes(deniedLong, o.Number, nth) {
		l.deniedLong = time.Now().Add(5 * time.Hour)
		g.post(notice{o.Number, l.id, "1", false}, "begun")
	}
	if w.strikes(noteEarly, o.Number, nth) {
		g.post(notice{o.Number, l.id, []string{"6", "7"}[w.of("early", o.Number, nth).IntN(2)], false}, "early")
	}
	mine.legs = append(mine.legs, l)
	w.note("gateway accepts %s", w.name(o.Number))
	g.take(l, path[0])
	g.ways.Go(func() { g.follow(l, path[1:], nth) })
	return l
}

func (g *gateway) path(number string, nth int) []string {
	r := g.world.of("path", number, nth)
	total := 0
	for _, p := range paths {
		total += p.weight
	}
	at := r.IntN(total)
	i := slices.IndexFunc(paths, func(p struct {
		weight   int
		statuses []string
	}) bool {
		at -= p.weight
		return at < 0
	})
	path := paths[i].statuses
	if path[len(path)-1] == "7" && g.world.strikes(takenBack, number, nth) {
		path = append(slices.Clone(path), "6")
	}
	return path
}

// follow takes an order through the rest of its way.
func (g *gateway) follow(l *leg, path []string, nth int) {
	for i, status := range path {
		elapse(between(g.world.of("step", l.order.Number, nth, i), time.Second, 40*time.Minute) + 3)
		g.mu.Lock()
		g.take(l, status)
		g.mu.Unlock()
	}
}

// take gives an order a status; mu is held.
func (g *gateway) take(l *leg, status string) {
	g.world.note("gateway: %s is %s", g.world.name(l.order.Number), status)
	if l.status = status; status == "7" {
		l.paid++
	}
	if slices.Contains(ends, status) {
		g.notify(l, status)
	}
}

// lookup is a question that arrives.
func (g *gateway) lookup(o jobs.Order, nth int) jobs.Reply {
	w := g.world
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.order(o.Number)
	switch {
	case w.strikes(strangeNo, o.Number, nth):
		return refusal(ledger.EvidenceLookup, "9001", "maintenance")
	case w.strikes(replyGarbled, "lookup", o.Number, nth), w.strikes(serverError, "lookup", o.Number, nth):
		return silence("unreadable")
	case len(mine.legs) == 0, w.dark():
		return mine.deny(w, o.Number)
	}
	l := mine.legs[len(mine.legs)-1]
	switch {
	case time.Now().Before(l.shyUntil) && !w.claimed(o.Number):
		return mine.deny(w, o.Number)
	case time.Now().Before(l.deniedUntil), time.Now().Before(l.deniedLong) && mine.told["1"]:
		return mine.deny(w, o.Number)
	case w.strikes(otherOrder, "lookup", o.Number, nth):
		return contrary(ledger.EvidenceLookup)
	}
	mine.denials = nil
	return g.known(ledger.EvidenceLookup, l, w.strikes(feeUnknown, o.Number, "lookup", nth))
}

// deny says that there is no such order; the gateway remembers when it did so,
// and when that could prove something.
func (o *order) deny(w *world, number string) jobs.Reply {
	if o.denied = time.Now(); !w.dark() && o.denied.After(o.sendBy) {
		o.denials = append(o.denials, o.denied)
	}
	return absent(number)
}

// known is a reply that names an order and how far it is; mu is held.
func (g *gateway) known(kind string, l *leg, withoutFee bool) jobs.Reply {
	reply := jobs.Reply{Verdict: jobs.Known, Status: jobs.Unusual, Evidence: said(kind, "accepted", "1", "", l.id+" "+l.status)}
	if meaning, ok := meanings[l.status]; ok {
		reply.Status = meaning
	}
	reply.Evidence.GatewayOrder, reply.Evidence.Status = l.id, l.status
	if (reply.Status == jobs.FailedReleased || reply.Status == jobs.FailedFeeKept) && kind == ledger.EvidenceLookup {
		reply.Evidence.Heard = ledger.HeardUnpaid
	}
	if reply.Status == jobs.ClosedUnclear && kind == ledger.EvidenceLookup {
		reply.Evidence.Heard = ledger.HeardClosed
	}
	if !withoutFee {
		reply.Fee, reply.FeeKnown = realFee, true
	}
	return reply
}

// absent is the one shape of "there is no such order".
func absent(number string) jobs.Reply {
	return refusal(ledger.EvidenceLookup, "4004", "order "+number+" does not exist")
}

func refusal(kind, code, message string) jobs.Reply {
	return jobs.Reply{Verdict: jobs.Refused, Detail: message, Evidence: said(kind, "rejected", code, message, message)}
}

func contrary(kind string) jobs.Reply {
	return jobs.Reply{Verdict: jobs.Contrary, Detail: "the reply is about another order", Evidence: said(kind, "unknown", "1", "", "another")}
}

func silence(why string) jobs.Reply {
	e := said(ledger.EvidenceCreate, "unknown", "", "", "")
	e.Reason = why
	return jobs.Reply{Detail: why, Evidence: e}
}

func unsent(why string) jobs.Reply {
	reply := silence(why)
	reply.Verdict, reply.Evidence.Heard = jobs.NotSent, ledger.HeardNotSent
	return reply
}

func said(kind string, heard ledger.Heard, code, message, body string) ledger.Evidence {
	sum := sha256.Sum256([]byte(body))
	return ledger.Evidence{
		Kind: kind, Heard: heard, HTTPStatus: 200, Code: code, Message: message,
		Digest: hex.EncodeToString(sum[:]), Body: body,
	}
}

// notice is a notification on its way to us.
type notice struct {
	Number, GatewayOrder, Status string
	Forged                       bool
}

// notify tells about the end of an order; mu is held.
func (g *gateway) notify(l *leg, status string) {
	w, no := g.world, l.order.Number
	truth := notice{Number: no, GatewayOrder: l.id, Status: status}
	if w.strikes(noteForged, no, status) {
		g.post(notice{no, l.id, opposite(status), true}, "forged")
	}
	if !w.strikes(noteDropped, no, status) {
		g.post(truth, "first")
	}
	if w.strikes(noteCopies, no, status) {
		g.post(truth, "second")
		g.post(truth, "third")
	}
	if w.strikes(noteContrary, no, status) {
		g.post(notice{no, l.id, opposite(status), false}, "untrue")
	}
}

func opposite(status string) string {
	if status == "7" {
		return "6"
	}
	return "7"
}

// post delivers a notification, again and again until somebody takes it.
func (g *gateway) post(n notice, which string) {
	w := g.world
	if w.silent {
		return
	}
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	g.ways.Go(func() {
		elapse(between(w.of("post", n.Number, n.Status, which), time.Millisecond, 3*time.Minute) + 5)
		for range 5 {
			switch err := w.receive(body); {
			case err == nil && n.Forged:
				w.wrong("a forged notification about %s was taken", w.name(n.Number))
				return
			case err == nil:
				w.note("notified of %s: %s", w.name(n.Number), n.Status)
				g.mu.Lock()
				defer g.mu.Unlock()
				g.order(n.Number).told[n.Status] = true
				return
			case errors.As(err, new(*jobs.RefusedNotification)):
				return
			}
			elapse(time.Minute)
		}
	})
}

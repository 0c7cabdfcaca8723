package simulation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

// story is what happened, line by line.
type story []string

func (s story) String() string { return strings.Join(s, "\n") }

// told returns the story so far. What happened at one instant has no order.
func (w *world) told() story {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortFunc(w.lines, func(a, b moment) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text)) })
	s := make(story, len(w.lines))
	for i, m := range w.lines {
		s[i] = fmt.Sprintf("%15s  %s", m.at, m.text)
	}
	return s
}

// moment is something that happened, so long after the beginning.
type moment struct {
	at   time.Duration
	text string
}

// mostAttempts is how often a payout is sent at all; a second time only after
// so many answers of "not found" over the grace time.
const (
	mostAttempts = 2
	answers      = 3
	grace        = 30 * time.Minute
)

// settled reports whether only people can do more: every payout has ended, or
// waits in an open case. Where people decide, and a known order makes proof
// possible, nothing waits for ever.
func (w *world) settled() bool {
	var open []ledger.Payout
	known, err := w.book.KnownOrders(context.Background(), ours) // to ask about before "not found" is believed
	w.must(err)
	w.must(w.book.EachPayout(context.Background(), w.batch, func(p *ledger.Payout) error {
		if !p.State.Final() {
			open = append(open, *p)
		}
		return nil
	}))
	cases := w.cases()
	w.gateway.mu.Lock()
	defer w.gateway.mu.Unlock()
	return !slices.ContainsFunc(open, func(p ledger.Payout) bool {
		absent := p.State == ledger.Unknown && len(w.gateway.order(p.OrderNo()).legs) == 0 && p.Lookups > 2
		spent := !w.automatic || len(known) == 0 || p.Attempts >= mostAttempts
		return w.people && len(known) > 0 || len(cases[p.ID]) == 0 || !(absent && spent || p.State == ledger.Review || p.Blocked != "")
	})
}

// cases lists the kinds of the open cases about each payout.
func (w *world) cases() map[int64][]string {
	open, err := w.book.Exceptions(context.Background())
	w.must(err)
	cases := map[int64][]string{}
	for _, e := range open {
		cases[e.PayoutID] = append(cases[e.PayoutID], e.Kind)
	}
	return cases
}

// verdict compares the ledger with the gateway's book and checks every
// promise.
func (w *world) verdict() {
	if !w.settled() {
		w.wrong("it never comes to rest")
	}
	cases := w.cases()
	var ours, theirs sums
	w.must(w.book.EachPayout(context.Background(), w.batch, func(p *ledger.Payout) error {
		w.note("%s ended %s %s, cases %v", w.name(p.OrderNo()), p.State, p.Status, cases[p.ID])
		o := w.gateway.order(p.OrderNo())
		w.compare(p, o, cases[p.ID])
		if len(cases[p.ID]) == 0 && !o.takenBack() {
			ours.book(p)
			theirs.pay(p, o)
		}
		return nil
	}))
	var believed int
	w.must(w.judge.Get(context.Background(), &believed, "SELECT count(*) FROM events e JOIN evidence v ON v.id = e.evidence_id WHERE v.kind = 'callback'"))
	if believed > 0 {
		w.wrong("%d changes of state rest on a notification alone", believed)
	}
	if ours != theirs {
		w.wrong("the ledger adds up to %+v, the gateway to %+v", ours, theirs)
	}
	_, breaches, err := w.book.Verify(context.Background())
	w.must(err)
	for _, b := range breaches {
		w.wrong("%s: %s: %s", b.Check, b.Row, b.Wrong)
	}
}

// compare holds one payout against the gateway's book.
func (w *world) compare(p *ledger.Payout, o *order, cases []string) {
	name := w.name(p.OrderNo())
	paid := 0
	for _, l := range o.legs {
		paid += l.paid
	}
	if paid > 1 {
		w.wrong("%s was paid %d times", name, paid)
	}
	if o.left > mostAttempts {
		w.wrong("%s was sent %d times", name, o.left)
	}
	if int64(o.left) > p.Attempts {
		w.wrong("%s was sent %d times, with %d attempts", name, o.left, p.Attempts)
	}
	want := map[string]ledger.State{
		"7": ledger.Succeeded, "5": ledger.Failed, "6": ledger.Failed, "20": ledger.FailedFee, "8": ledger.Closed, "": ledger.Unknown,
	}[o.status()]
	if w.people && p.State == ledger.Failed && (o.status() == "" || o.status() == "8") {
		want = ledger.Failed // decided by two
	}
	if o.takenBack() && p.State == ledger.Succeeded && !o.told["6"] {
		want = ledger.Succeeded // nobody can know
	}
	if p.State != want && len(cases) == 0 {
		w.wrong("%s is %s without a case, the gateway says %q", name, p.State, o.status())
	}
	if p.State == ledger.Succeeded && paid == 0 {
		w.wrong("%s is %s, the gateway never paid it", name, p.State)
	}
}

// status is what the gateway says about an order.
func (o *order) status() string {
	if len(o.legs) == 0 {
		return ""
	}
	return o.legs[len(o.legs)-1].status
}

// takenBack reports whether it was paid once and is not any more.
func (o *order) takenBack() bool {
	return len(o.legs) > 0 && o.legs[len(o.legs)-1].paid > 0 && o.status() != "7"
}

// sums are what was paid, and kept, where no case is open.
type sums struct{ paid, fees money.Amount }

// book adds what the ledger says.
func (s *sums) book(p *ledger.Payout) {
	if p.State == ledger.Succeeded {
		s.paid += p.Amount
	}
	if p.State == ledger.Succeeded || p.State == ledger.FailedFee {
		s.fees += p.Fee
	}
}

// pay adds what the gateway says. A fee that it never told is booked as it
// was estimated.
func (s *sums) pay(p *ledger.Payout, o *order) {
	fee := realFee
	if p.FeeKnown == 0 {
		fee = feeEstimate
	}
	for _, l := range o.legs {
		if l.status == "7" {
			s.paid += l.order.Amount
		}
		if l.status == "7" || l.status == "20" {
			s.fees += fee
		}
	}
}

// tally adds up what schedules did.
type tally struct {
	mu       sync.Mutex
	happened map[string]int
}

func (t *tally) add(s story) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.happened == nil {
		t.happened = map[string]int{}
	}
	for _, line := range s {
		for _, word := range []string{" sends ", " dies ", " freezes ", " accepts ", " looks ", " is told to stop", "stop ", " ended UNKNOWN", " ended REVIEW", " ended SUCCEEDED"} {
			if strings.Contains(line, word) {
				t.happened[strings.TrimSpace(word)]++
			}
		}
	}
}

func (t *tally) String() string { return fmt.Sprint(t.happened) }

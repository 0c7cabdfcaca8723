package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"payrun/internal/money"
)

// Book is a snapshot of everything the sandbox has seen and done: the oracle
// for who was paid how often. Amounts are minor units, times UTC.
type Book struct {
	Orders map[string]Order         `json:"orders"`
	Totals []Total                  `json:"totals"` // by currency, then status
	Funds  map[money.Currency]Funds `json:"funds"`
	Calls  map[Endpoint][]time.Time `json:"-"` // arrivals; see GET /sandbox/calls
	Counts map[Endpoint]int         `json:"calls"`
	// UnnamedCreates counts create requests whose order number was missing,
	// unusable or not readable.
	UnnamedCreates int `json:"unnamedCreates"`
	// Signatures counts which form a lenient server (SeparatorAny) saw, since
	// its start.
	Signatures map[Separator]int `json:"signatures,omitempty"`
}

// Order is what the book says under one order number. An order whose creates
// were all refused has Accepted 0 and Status 0. Where a repeated number was
// paid again, the fields from EpayOrderNo to Status are those of the newest
// accepted create.
type Order struct {
	No       string `json:"orderNo"`
	Creates  int    `json:"creates"`  // create requests received, refused ones too
	Accepted int    `json:"accepted"` // create requests that made an order
	Paid     int    `json:"paid"`     // how often it was paid, payments taken back later included

	PaidAmount money.Amount `json:"paidAmount"` // over all payments, fees not included

	EpayOrderNo string         `json:"epayOrderNo,omitempty"`
	Channel     string         `json:"channel,omitempty"`
	Currency    money.Currency `json:"currency,omitempty"`
	Amount      money.Amount   `json:"amount"`
	Fee         money.Amount   `json:"fee"`
	Account     string         `json:"account,omitempty"`
	Status      int            `json:"status"`

	CallbacksOwed      int `json:"callbacksOwed"`      // statuses that are told
	CallbacksDelivered int `json:"callbacksDelivered"` // of these, answered with success
	CallbacksOpen      int `json:"callbacksOpen"`      // of these, neither delivered nor given up

	History []Moment `json:"history"`
}

// Moment is one entry of an order's history.
type Moment struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"` // call, accept, refuse, replay, status, notice
	Leg   int       `json:"leg,omitempty"`
	// Number is the status of status and notice, the code of refuse.
	Number int `json:"number,omitempty"`
	// Text is what a call asked for and the fault that struck it, the outcome
	// of accept, the message of refuse, the result of notice.
	Text string `json:"text,omitempty"`
}

// Total sums up the accepted creates of one currency and status.
type Total struct {
	Currency money.Currency `json:"currency"`
	Status   int            `json:"status"`
	Count    int            `json:"count"`
	Amount   money.Amount   `json:"amount"`
	Fees     money.Amount   `json:"fees"`
}

// PaidTwice lists the orders that were paid more than once, sorted.
func (b Book) PaidTwice() []string {
	var twice []string
	for no, o := range b.Orders {
		if o.Paid > 1 {
			twice = append(twice, no)
		}
	}
	slices.Sort(twice)
	return twice
}

// Busiest is the largest number of calls that arrived within any window of
// the given length, over the endpoints together; over all if none are named.
func (b Book) Busiest(window time.Duration, endpoints ...Endpoint) int {
	if len(endpoints) == 0 {
		endpoints = slices.Collect(maps.Keys(b.Calls))
	}
	var arrivals []time.Time
	for _, at := range endpoints {
		arrivals = append(arrivals, b.Calls[at]...)
	}
	slices.SortFunc(arrivals, time.Time.Compare)
	busiest, first := 0, 0
	for last, arrival := range arrivals {
		for arrival.Sub(arrivals[first]) >= window {
			first++
		}
		busiest = max(busiest, last-first+1)
	}
	return busiest
}

// Book takes a snapshot. It copies everything, which takes about a second for
// a million orders.
func (s *Server) Book() Book {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records
	b := Book{
		Orders:         make(map[string]Order, len(r.orders)),
		Totals:         r.totals(),
		Funds:          make(map[money.Currency]Funds, len(r.funds)),
		Calls:          make(map[Endpoint][]time.Time, len(r.calls)),
		Counts:         make(map[Endpoint]int, len(r.calls)),
		UnnamedCreates: r.unnamed,
		Signatures:     maps.Clone(s.signatures),
	}
	for no, o := range r.orders {
		b.Orders[no] = o.snapshot()
	}
	for currency, f := range r.funds {
		b.Funds[currency] = *f
	}
	for at, arrivals := range r.calls {
		b.Calls[at] = times(arrivals)
		b.Counts[at] = len(arrivals)
	}
	return b
}

// Order is the book's entry for one order number; ok is false if no create
// request ever named it.
func (s *Server) Order(orderNo string) (o Order, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.records.orders[orderNo]
	if known == nil {
		return Order{}, false
	}
	return known.snapshot(), true
}

func times(micros []int64) []time.Time {
	out := make([]time.Time, len(micros))
	for i, at := range micros {
		out[i] = time.UnixMicro(at).UTC()
	}
	return out
}

func (o *order) snapshot() Order {
	out := Order{No: o.no, Creates: o.creates, Accepted: len(o.legs), History: make([]Moment, len(o.history))}
	for i, m := range o.history {
		out.History[i] = Moment{time.UnixMicro(m.at).UTC(), string(m.kind), int(m.leg), int(m.number), m.text}
	}
	for _, l := range o.legs {
		if l.paid {
			out.Paid++
			out.PaidAmount += l.amount
		}
		for _, n := range l.notices {
			out.CallbacksOwed++
			switch {
			case !n.done:
				out.CallbacksOpen++
			case n.delivered:
				out.CallbacksDelivered++
			}
		}
	}
	if l := o.last(); l != nil {
		out.EpayOrderNo, out.Channel, out.Account = l.epayOrderNo(), l.channel, l.account
		out.Currency, out.Amount, out.Fee, out.Status = l.currency, l.amount, l.fee, l.status
	}
	return out
}

func (r *records) totals() []Total {
	type key struct {
		currency money.Currency
		status   int
	}
	sums := make(map[key]Total)
	for _, o := range r.orders {
		for _, l := range o.legs {
			k := key{l.currency, l.status}
			t := sums[k]
			t.Currency, t.Status = l.currency, l.status
			t.Count++
			t.Amount += l.amount
			t.Fees += l.fee
			sums[k] = t
		}
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Status, b.Status))
	})
}

// callText is the history's line about a create that arrived, its values as
// they were sent.
func callText(e event) string {
	text := e.Text + " " + string(e.Currency) + " to " + e.Account + " over " + e.Channel
	if e.Fault != "" {
		text += ", struck by " + string(e.Fault)
	}
	return text
}

// noticeText is the history's line about a try of a callback.
func noticeText(e event) string {
	text := string(e.Result)
	if e.Try > 0 {
		text = "try " + strconv.Itoa(e.Try) + " " + text
	}
	if e.HTTP > 0 {
		text += ", HTTP " + strconv.Itoa(e.HTTP)
	}
	return text
}

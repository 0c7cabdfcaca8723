package sandbox

import (
	"errors"
	"fmt"

	"payrun/internal/money"
)

// records is the fold of the book's events: orders, money and calls. It does
// no locking and knows neither time nor configuration, so that replaying a
// book gives exactly the state that wrote it.
type records struct {
	orders     map[string]*order
	funds      map[money.Currency]*Funds
	calls      map[Endpoint][]int64 // arrival times
	legs       int64                // accepted creates so far; numbers the gateway's own order numbers
	unnamed    int                  // creates without a readable order number
	lastOrders [2]string            // the newest accepted order numbers, for replies about a foreign order
}

type order struct {
	no      string
	creates int
	legs    []*leg // more than one only where a repeated number is paid again
	history []moment
}

// leg is one accepted create. Under DuplicatePay an order gets one more with
// every repeated create, each with its own hold, fee and end.
type leg struct {
	number    int64
	channel   string
	currency  money.Currency
	amount    money.Amount
	fee       money.Amount
	text      string
	account   string
	notifyURL string
	extend    string
	created   int64
	status    int
	paid      bool // ever reached StatusPaid, even if taken back later
	plan      []int
	step      int
	notices   []notice
}

type notice struct {
	status int
	tries  int
	last   int64 // time of the last try, or of the status before the first
	done   bool

	delivered bool
}

// moment is one compact line of an order's history.
type moment struct {
	at     int64
	kind   eventKind
	leg    int32
	number int32
	text   string
}

var errBook = errors.New("event does not fit the book")

func newRecords() *records {
	return &records{
		orders: make(map[string]*order),
		funds:  make(map[money.Currency]*Funds),
		calls:  make(map[Endpoint][]int64),
	}
}

// apply takes one event in. An error means that the event cannot follow the
// ones before it: the book was damaged.
func (r *records) apply(e event) error {
	switch e.Event {
	case eventFund:
		return r.fund(e)
	case eventCall:
		r.call(e)
		return nil
	}
	o := r.orders[e.Order]
	if o == nil {
		return fmt.Errorf("%w: %s before any call for order %q", errBook, e.Event, e.Order)
	}
	switch e.Event {
	case eventRefuse:
		o.note(e, e.Code, e.Message)
		return nil
	case eventReplay:
		o.note(e, 0, "")
		return nil
	case eventAccept:
		return r.accept(o, e)
	}
	if e.Leg < 0 || e.Leg >= len(o.legs) {
		return fmt.Errorf("%w: order %q has no leg %d", errBook, e.Order, e.Leg)
	}
	l := o.legs[e.Leg]
	switch e.Event {
	case eventStatus:
		o.note(e, e.Status, "")
		return r.status(l, e)
	case eventNotice:
		o.note(e, e.Status, noticeText(e))
		return l.noticed(e)
	}
	return fmt.Errorf("%w: unknown kind %q", errBook, e.Event)
}

func (o *order) note(e event, number int, text string) {
	o.history = append(o.history, moment{e.At, e.Event, int32(e.Leg), int32(number), text})
}

func (r *records) fund(e event) error {
	if _, err := e.Currency.Exponent(); err != nil {
		return fmt.Errorf("%w: %w", errBook, err)
	}
	f := r.fundsOf(e.Currency)
	f.Funded += e.Amount
	f.Available += e.Amount
	return nil
}

func (r *records) fundsOf(c money.Currency) *Funds {
	f := r.funds[c]
	if f == nil {
		f = &Funds{}
		r.funds[c] = f
	}
	return f
}

func (r *records) call(e event) {
	r.calls[e.Endpoint] = append(r.calls[e.Endpoint], e.At)
	if e.Endpoint != Create {
		return
	}
	if e.Order == "" {
		r.unnamed++
		return
	}
	o := r.orders[e.Order]
	if o == nil {
		o = &order{no: e.Order}
		r.orders[e.Order] = o
	}
	o.creates++
	o.note(e, 0, callText(e))
}

func (r *records) accept(o *order, e event) error {
	if e.Leg != len(o.legs) {
		return fmt.Errorf("%w: order %q: leg %d follows leg %d", errBook, e.Order, e.Leg, len(o.legs)-1)
	}
	if _, err := e.Currency.Exponent(); err != nil {
		return fmt.Errorf("%w: %w", errBook, err)
	}
	plan, err := e.Outcome.statuses()
	if err != nil {
		return fmt.Errorf("%w: %w", errBook, err)
	}
	r.legs++
	o.legs = append(o.legs, &leg{
		number: r.legs, channel: e.Channel, currency: e.Currency,
		amount: e.Amount, fee: e.Fee, text: e.Text, account: e.Account,
		notifyURL: e.NotifyURL, extend: e.Extend, created: e.At,
		status: StatusProcessing, plan: plan,
	})
	r.fundsOf(e.Currency).take(e.Amount, e.Fee, StatusProcessing, +1)
	o.note(e, 0, string(e.Outcome))
	if o.no != r.lastOrders[0] {
		r.lastOrders = [2]string{o.no, r.lastOrders[0]}
	}
	return nil
}

func (r *records) status(l *leg, e event) error {
	if e.Step < l.step || e.Step > len(l.plan) {
		return fmt.Errorf("%w: order %q: step %d of %d", errBook, e.Order, e.Step, len(l.plan))
	}
	f := r.fundsOf(l.currency)
	f.take(l.amount, l.fee, l.status, -1)
	f.take(l.amount, l.fee, e.Status, +1)
	l.status, l.step = e.Status, e.Step
	l.paid = l.paid || e.Status == StatusPaid
	if e.Notify {
		l.notices = append(l.notices, notice{status: e.Status, last: e.At})
	}
	return nil
}

func (l *leg) noticed(e event) error {
	if e.Result == noticeExtra {
		return nil
	}
	if e.Notice < 0 || e.Notice >= len(l.notices) {
		return fmt.Errorf("%w: order %q has no callback %d", errBook, e.Order, e.Notice)
	}
	n := &l.notices[e.Notice]
	n.tries, n.last = e.Try, e.At
	n.done = e.Result != noticeFailed
	n.delivered = e.Result == noticeDelivered
	return nil
}

// last is the leg that queries and callbacks speak about, nil if no create of
// the order was accepted.
func (o *order) last() *leg {
	if o == nil || len(o.legs) == 0 {
		return nil
	}
	return o.legs[len(o.legs)-1]
}

// Funds is the merchant's money in one currency, in minor units. Funded is
// always the sum of the other four.
type Funds struct {
	Funded    money.Amount `json:"funded"`
	Available money.Amount `json:"available"`
	Held      money.Amount `json:"held"`
	Spent     money.Amount `json:"spent"`
	Fees      money.Amount `json:"fees"`
}

// take moves amount and fee out of the available money to where an order of
// the status keeps them (sign +1), or back (sign -1).
func (f *Funds) take(amount, fee money.Amount, status int, sign money.Amount) {
	amount, fee = amount*sign, fee*sign
	switch status {
	case StatusPaid:
		f.Available -= amount + fee
		f.Spent += amount
		f.Fees += fee
	case StatusFeeKept:
		f.Available -= fee
		f.Fees += fee
	case StatusCancelled, StatusFailed, StatusClosed:
		// released: nothing is kept
	default:
		f.Available -= amount + fee
		f.Held += amount + fee
	}
}

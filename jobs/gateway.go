package jobs

import (
	"context"
	"errors"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

// Gateway is what the jobs need of a payment gateway; one adapter per gateway
// implements it. Implementations are safe for concurrent use, send at most
// one request per call, and never report more than the answer proves.
type Gateway interface {
	Capabilities() Capabilities
	// Limits returns what a channel takes for one payout now. It returns
	// ErrNotOffered when the gateway does not tell.
	Limits(ctx context.Context, channel string, currency money.Currency) (Bounds, error)
	// Balances returns what the gateway holds for us.
	Balances(ctx context.Context) (map[money.Currency]money.Amount, error)
	// Submit orders one payout, once.
	Submit(ctx context.Context, order Order) Reply
	// Lookup asks what became of an order; it changes nothing.
	Lookup(ctx context.Context, order Order) Reply
	// ParseNotification verifies what the gateway posted to us. Its error
	// means: refuse it and change nothing.
	ParseNotification(contentType string, body []byte) (Notification, error)
}

// Capabilities are what a gateway can do; procedures depend on them, never
// on a gateway's name.
type Capabilities struct {
	ReportsLimits  bool
	ReportsBalance bool
	Notifies       bool
	// FindsByNumber: a look-up by our order number finds every order it has, so
	// that "not found" can prove something.
	FindsByNumber bool
}

// ErrNotOffered: the gateway refused to answer this kind of question.
var ErrNotOffered = errors.New("the gateway does not tell")

// Bounds is the smallest and largest amount of one payout.
type Bounds struct{ Minimum, Maximum money.Amount }

// Order is one payout as a gateway sees it.
type Order struct {
	Number   string
	Channel  string
	Account  string
	Amount   money.Amount
	Currency money.Currency
	// Slot is the moment the shared budget gave to the call; zero: none yet.
	Slot time.Time
	// SendBy is the last moment at which the first byte may leave.
	SendBy time.Time
	// Held, if set, is asked last before a payout is ordered: true keeps it
	// from leaving.
	Held func(context.Context) bool
}

// Verdict is how much a reply proves.
type Verdict int

// The verdicts; the zero value claims nothing.
const (
	NoAnswer Verdict = iota // nothing is known
	NotSent                 // proof that no byte left this process
	Refused                 // a well-formed no; not proof that no order exists
	Known                   // the gateway has the order; Status says how far it is
	Contrary                // the gateway's order is not the one we mean
	Absent                  // a no to a look-up that counts as proof; only an Engine says so
)

// Status is how far the gateway is with an order it knows.
type Status int

// The statuses, in the words all gateways share.
const (
	Processing        Status = iota // under way
	PendingWithdrawal               // waits for the payee
	Unusual                         // known to the gateway, not to us: watch it
	Succeeded                       // the payee was paid
	FailedReleased                  // not paid, everything came back
	FailedFeeKept                   // not paid, the fee is gone
	ClosedUnclear                   // closed; nobody says what became of the money
)

// ended reports whether nothing more will become of the order.
func (s Status) ended() bool { return s >= Succeeded && s <= ClosedUnclear }

// Reply is what a call brought back.
type Reply struct {
	Verdict Verdict
	Status  Status // when Known
	// Detail says in words why there is no answer, or what is contrary.
	Detail   string
	Evidence ledger.Evidence

	Fee            money.Amount
	FeeKnown       bool
	Rate, Received string

	// Invalid: our own side will never send it as it is (with NotSent).
	Invalid bool
	// Disputed: what it pays again may have been paid (with NotSent).
	Disputed bool
	// RetryAfter is how long the gateway asked us to be quiet.
	RetryAfter time.Duration
	// Shut: the gateway turns us away as such (address, key), not this order.
	Shut bool
}

// Notification is a verified message from the gateway about one order.
type Notification struct {
	OrderNo  string
	Evidence ledger.Evidence
}

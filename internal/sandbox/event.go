package sandbox

import "payrun/internal/money"

// event is one line of the book. Everything the server remembers is the fold
// of its events; see records.apply. Times are UTC microseconds, amounts minor
// units of the event's currency.
type event struct {
	Event eventKind `json:"event"`
	At    int64     `json:"at"`

	Order string `json:"order,omitempty"`
	Leg   int    `json:"leg,omitempty"` // which accepted create of the order, from 0

	// call
	Endpoint Endpoint `json:"endpoint,omitempty"`
	Fault    Kind     `json:"fault,omitempty"`

	// refuse
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`

	// accept; a call of create has the first four as they were sent, fund has
	// Currency and Amount
	Channel   string         `json:"channel,omitempty"`
	Currency  money.Currency `json:"currency,omitempty"`
	Text      string         `json:"text,omitempty"` // the amount as it was sent
	Account   string         `json:"account,omitempty"`
	Amount    money.Amount   `json:"amount,omitempty"`
	Fee       money.Amount   `json:"fee,omitempty"`
	NotifyURL string         `json:"notifyUrl,omitempty"`
	Extend    string         `json:"extend,omitempty"`
	Outcome   Outcome        `json:"outcome,omitempty"`

	// status; notice uses Status too
	Status int  `json:"status,omitempty"`
	Step   int  `json:"step,omitempty"`   // steps of the outcome done after this one
	Notify bool `json:"notify,omitempty"` // a callback is owed

	// notice
	Notice int          `json:"notice,omitempty"` // which callback of the leg, from 0
	Try    int          `json:"try,omitempty"`
	HTTP   int          `json:"http,omitempty"`
	Result noticeResult `json:"result,omitempty"`
}

type eventKind string

const (
	eventFund   eventKind = "fund"   // money put on the merchant's balance
	eventCall   eventKind = "call"   // a request arrived at an endpoint
	eventRefuse eventKind = "refuse" // a create changed nothing
	eventReplay eventKind = "replay" // a repeated create was answered with the stored order
	eventAccept eventKind = "accept" // a create made an order, or a further leg of one
	eventStatus eventKind = "status" // a leg took a status
	eventNotice eventKind = "notice" // a callback was tried, or dropped
)

type noticeResult string

const (
	noticeDelivered noticeResult = "delivered"
	noticeFailed    noticeResult = "failed"
	noticeGivenUp   noticeResult = "given up"
	noticeDropped   noticeResult = "dropped"
	noticeExtra     noticeResult = "extra" // a forged, contradicting, late or repeated one, beside the true one
)

package epay

import (
	"context"
	"time"
)

// Answer is what QueryTransaction learned.
type Answer struct {
	Finding Finding
	// Order is complete if the Finding is Found, and otherwise holds whatever
	// could be read.
	Order Order
	Reply
}

// Finding says what kind of answer a look-up got.
type Finding int

// Findings. The zero value is the one that claims nothing.
const (
	// NoAnswer: nothing was learned; Reason says why.
	NoAnswer Finding = iota
	// Found: the gateway knows the order. Its amount and currency are the
	// gateway's word: compare them with what was ordered.
	Found
	// Refused: a well-formed answer carries a code other than 1. Only a shape
	// of Code, Message and HTTPStatus learned from a number that was never used
	// may be taken for "not found"; the manual documents none.
	Refused
)

func (f Finding) String() string {
	switch f {
	case Found:
		return "found"
	case Refused:
		return "refused"
	}
	return "unknown"
}

// QueryTransaction asks for the state of one order by our number [query]. It
// changes nothing at the gateway and may be repeated freely.
func (c *Client) QueryTransaction(ctx context.Context, orderNo string) Answer {
	if err := checkOrderNo(orderNo); err != nil {
		return Answer{Reply: invalidReply(err)}
	}
	r, e := c.call(ctx, "queryTransaction", time.Time{}, member{"merchantOrderNo", text(orderNo)})
	a := Answer{Reply: r}
	if r.Reason == "" {
		a.judge(c, e, orderNo)
	}
	return a
}

func (a *Answer) judge(c *Client, e envelope, orderNo string) {
	order, reason, err := c.readOrder(e, orderNo)
	a.Order = order
	switch {
	case reason != "":
		a.doubt(reason, err)
	case e.code != codeSuccess:
		a.Finding = Refused
	case order.Amount == "" || order.Currency == "":
		a.doubt(ReasonIncomplete, nil)
	default:
		a.Finding = Found
	}
}

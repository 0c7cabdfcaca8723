package jobs

import (
	"context"
	"slices"
	"time"

	"payrun/ledger"
)

// control makes "not found" a proof: the answer must have the shape that was
// learned from a number that was never used, and just before and just after it
// the same gateway must have known an order that it has. A gateway that is
// half out of order denies everything, and then proves nothing.
type control struct {
	engine *Engine
	shape  ledger.Learned
	order  ledger.Payout // that the gateway knows
	why    string        // nothing can be proven in this round; "" when it can
	after  time.Time     // the slot of the second question
}

// Why an answer with the learned shape proves nothing.
const (
	noControl      = "no order is known yet that the gateway could be asked about for comparison"
	deniedControl  = "the gateway did not know an order that it has either"
	stoppedControl = "stopped before the gateway could be asked about another order"
	mayStillBeSent = "an attempt of it could still have left"
	askedLongAgo   = "this process stood still after it had asked"
)

// beginControl asks about a known order when some payouts are in doubt.
func (e *Engine) beginControl(ctx context.Context, due []ledger.Lookup) (control, error) {
	c := control{engine: e}
	if !e.Gateway.Capabilities().FindsByNumber || !slices.ContainsFunc(due, ledger.Lookup.InDoubt) {
		return c, nil
	}
	var err error
	if c.shape, err = e.Book.Learned(ctx, e.Account); err != nil || c.shape.ID == 0 {
		return c, err
	}
	known, err := e.knownOrder(ctx)
	if err != nil {
		return c, err
	}
	if known == nil {
		c.why = noControl
		return c, nil
	}
	c.order = *known
	c.after = due[len(due)-1].After
	c.ask(ctx, due[0].Before)
	return c, nil
}

// knownOrder is one that the gateway has; nil when it is not known to have any.
// They take turns: one that the gateway has forgotten does not spoil all.
func (e *Engine) knownOrder(ctx context.Context) (*ledger.Payout, error) {
	known, err := e.Book.KnownOrders(ctx, e.Account)
	if err != nil || len(known) == 0 {
		return nil, err
	}
	return &known[e.controls.Add(1)%uint64(len(known))], nil
}

// ask asks about the known order in a slot.
func (c *control) ask(ctx context.Context, slot time.Time) {
	if err := sleep(ctx, time.Until(slot)); err != nil {
		c.why = stoppedControl
		return
	}
	if reply := c.engine.ask(ctx, order(c.order), slot); reply.Verdict != Known {
		c.why = deniedControl
	}
}

// end asks about the known order again if it matters, and marks the replies
// that count as proof. The others say why they do not.
func (c *control) end(ctx context.Context, due []ledger.Lookup, replies []*Reply) {
	var denied []int
	for i, reply := range replies {
		if reply != nil && due[i].InDoubt() && c.denies(due[i], *reply) {
			denied = append(denied, i)
		}
	}
	if len(denied) > 0 && c.why == "" {
		c.ask(ctx, c.after)
	}
	for _, i := range denied {
		switch reply := replies[i]; {
		case c.why != "":
			reply.Evidence.Reason = c.why
		case over(due[i].Slot.Add(c.engine.lookupLease())): // kept now, it would stretch the grace time
			reply.Evidence.Reason = askedLongAgo
		case due[i].SendByAge <= 0:
			reply.Evidence.Reason = mayStillBeSent
		default:
			reply.Verdict, reply.Evidence.Heard = Absent, ledger.HeardAbsent
			reply.Evidence.Reason = "order " + c.order.OrderNo() + " was known just before and just after"
		}
	}
}

// denies reports whether an answer has the learned shape of "not found".
func (c *control) denies(l ledger.Lookup, r Reply) bool {
	return c.shape.ID != 0 && r.Verdict == Refused && r.Evidence.Shape(l.OrderNo()) == c.shape.Shape
}

package jobs

import (
	"context"
	"fmt"
	"strings"

	"payrun/ledger"
)

// stillFailed asks, right before a payout is sent, about the one that it pays
// again. Only when the gateway still says that this one failed may the new one
// leave. Silence puts it off; any other answer blocks it until people have
// looked.
func (d *disbursing) stillFailed(ctx context.Context, c ledger.Claim, due departure) (reply Reply, failed bool) {
	if c.Repays == "" {
		return Reply{}, true
	}
	old := order(c.Payout)
	old.Number = c.Repays
	reply, asked := d.askInSlot(ctx, old, due)
	switch {
	case !asked:
		return reply, false
	case reply.Verdict == Known && (reply.Status == FailedReleased || reply.Status == FailedFeeKept):
		return reply, true
	case reply.Verdict == NoAnswer || reply.Verdict == NotSent:
		d.trouble.note(c.Channel, reply)
		return aboutOld(c, reply, "gave no answer about it"), false
	}
	said := "status " + reply.Evidence.Status
	if reply.Verdict != Known {
		said = reply.Detail
	}
	reply = aboutOld(c, reply, "does not say any more that it failed: "+said)
	reply.Disputed = true
	return reply, false
}

// aboutOld turns an answer about the old order into one about the new, of
// which nothing was sent. What the gateway said is kept, but not as if it had
// said it about the new one.
func aboutOld(c ledger.Claim, reply Reply, what string) Reply {
	detail := fmt.Sprintf("it pays %s again, and the gateway %s", c.Repays, what)
	e := reply.Evidence
	e.Heard, e.Reason, e.GatewayOrder, e.Status = ledger.HeardNotSent, detail, "", ""
	return Reply{Verdict: NotSent, Detail: detail, Evidence: e, RetryAfter: reply.RetryAfter, Shut: reply.Shut}
}

// askInSlot makes a look-up in the slot that the claim has for it.
func (d *disbursing) askInSlot(ctx context.Context, o Order, due departure) (reply Reply, asked bool) {
	if why := d.takePlace(ctx, due.ask, stoppedBefore); why != "" {
		return notHandedOver(why), false
	}
	defer d.leavePlace()
	if due.missed() {
		return notHandedOver("its slot was missed"), false
	}
	reply = d.ask(ctx, o, due.ask)
	if ctx.Err() != nil {
		return notHandedOver("stopped while the gateway was asked about " + o.Number), false
	}
	return reply, true
}

// askedBefore says what was asked before a payout was sent; "" for nothing.
func askedBefore(c ledger.Claim) string {
	var said []string
	if c.Repays != "" {
		said = append(said, "asked just before: "+c.Repays+" still failed")
	}
	if c.AskFirst {
		said = append(said, "asked just before: not found")
	}
	return strings.Join(said, "; ")
}

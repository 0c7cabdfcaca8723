package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

// Disbursed counts what one run of Disburse did.
type Disbursed struct {
	Sent, Accepted, Refused, InDoubt, NotSent int
	// Waiting: approved payouts are left that may not be sent now.
	Waiting bool
}

// ErrGateway: the gateway does not answer as it should; sending stopped
// before more payouts came into doubt.
var ErrGateway = errors.New("sending stopped: the gateway is in trouble")

// Disburse sends approved payouts until none is left that may be sent, and
// returns when every outcome is recorded. When ctx ends it sends nothing
// more, gives unsent claims back, and waits for the calls under way.
func (e *Engine) Disburse(ctx context.Context) (Disbursed, error) {
	d := &disbursing{
		Engine: e, places: make(chan struct{}, e.InFlight), outcomes: make(chan outcome, recordBatch),
		window: window{places: e.InFlight, ended: make(chan struct{}, 1)},
	}
	recorded := make(chan error, 1)
	// What is under way is recorded even while stopping.
	go func() { recorded <- d.record(context.WithoutCancel(ctx)) }()
	err := d.prove(ctx)
	if err == nil {
		err = d.send(ctx)
	}
	d.calls.Wait()
	close(d.outcomes)
	err = errors.Join(err, <-recorded)
	err = errors.Join(err, d.trouble.err(), d.brake(context.WithoutCancel(ctx)))
	d.done.Waiting = d.done.Waiting || d.done.NotSent > 0
	if ctx.Err() == nil {
		err = errors.Join(err, e.reportHeldBack(ctx, d.done))
	}
	return d.done, err
}

// disbursing is one run: one goroutine claims, one per payout calls, one
// records.
type disbursing struct {
	*Engine
	window   window
	places   chan struct{} // taken by every call that is open
	calls    sync.WaitGroup
	outcomes chan outcome
	brakes   brakes
	done     Disbursed // Waiting is the claimer's, the rest the recorder's until it ended
}

type outcome struct {
	order   string
	finding ledger.Finding
	reply   Reply
}

func (d *disbursing) send(ctx context.Context) error {
	for {
		room, err := d.window.room(ctx)
		if err != nil {
			return nil // only a stop ends the wait
		}
		if err := sleep(ctx, d.trouble.silence()); err != nil {
			return nil
		}
		claimed, err := d.claim(ctx, room, d.openChannels())
		if err != nil {
			return ignoreStop(ctx, err)
		}
		if len(claimed.Claims) == 0 && claimed.Throttled == 0 {
			d.done.Waiting = claimed.Waiting
			return nil
		}
		if err := sleep(ctx, untilNextClaim(claimed)); err != nil {
			return nil
		}
	}
}

// prove gives every channel that was in trouble one payout, and waits for the
// answer; only a channel that gave one is open in this run.
func (d *disbursing) prove(ctx context.Context) error {
	for _, channel := range d.trouble.begin(d.Channels) {
		if _, err := d.claim(ctx, 1, []string{channel}); err != nil {
			return ignoreStop(ctx, err)
		}
		d.calls.Wait()
	}
	return nil
}

// claim takes payouts and starts their calls.
func (d *disbursing) claim(ctx context.Context, most int, channels []string) (ledger.Claimed, error) {
	// Deadlines count from before the claim: a slow one makes them earlier,
	// never later.
	before := time.Now()
	claimed, err := d.Book.Claim(ctx, ledger.ClaimOrder{
		Worker: d.Worker, Max: most, Channels: channels, Pace: d.Rate.Sends(),
		Patience: d.Patience, CallTimeout: d.CallTimeout, LimitsAge: d.LimitsAge,
	})
	d.window.claimed(len(claimed.Claims))
	for _, c := range claimed.Claims {
		due := departure{slot: claimed.At.Add(c.SendAfter), sendBy: before.Add(c.SendBy)}
		if err != nil { // nobody knows whether the claim was committed: say that nothing was sent
			due.sendBy = before
		}
		due.ask, due.control = claimed.At.Add(c.AskAfter), claimed.At.Add(c.ControlAfter)
		d.calls.Go(func() { d.call(ctx, c, due) })
	}
	return claimed, err
}

// departure is when a claimed payout may leave, by this process's own clock.
type departure struct{ ask, control, slot, sendBy time.Time }

// missed reports whether the time to leave is over.
func (d departure) missed() bool { return over(d.sendBy) }

// over reports whether a time is over, by the monotonic clock, which stands
// still while a machine sleeps, or by the one on the wall.
func over(t time.Time) bool {
	now := time.Now()
	return now.After(t) || now.Round(0).After(t.Round(0))
}

// openChannels leaves out those that are in trouble.
func (d *disbursing) openChannels() []string {
	return slices.DeleteFunc(slices.Clone(d.Channels), d.trouble.closed)
}

// brake stops the channels that refuse everything until a person has looked.
func (d *disbursing) brake(ctx context.Context) error {
	var failed error
	for channel, words := range d.trouble.refusing() {
		reason := fmt.Sprintf("%d payouts in a row were refused, the last one: %s", troubleLimit, words)
		failed = errors.Join(failed, d.Book.Brake(ctx, d.actor(), channel, reason),
			fmt.Errorf("%w: channel %s is stopped until a checker lifts it: %s", ErrGateway, channel, reason))
	}
	return failed
}

// untilNextClaim lets slots gather, so that a slow pace does not mean a claim
// per payout.
func untilNextClaim(claimed ledger.Claimed) time.Duration {
	if claimed.Throttled > 0 {
		return min(claimed.Throttled+50*time.Millisecond, 10*time.Second)
	}
	last := claimed.Claims[len(claimed.Claims)-1]
	return last.SendAfter / 2
}

// call sends one claimed payout in its slot, or not at all.
func (d *disbursing) call(ctx context.Context, c ledger.Claim, due departure) {
	judge := d.Judge.Submitted
	reply, cleared := d.clear(ctx, c, due)
	if cleared {
		reply = d.submit(ctx, c, due)
		if asked := askedBefore(c); asked != "" {
			reply.Evidence.Reason = strings.TrimPrefix(reply.Evidence.Reason+"; "+asked, "; ")
		}
	} else {
		judge = d.Judge.Asked
	}
	// In this order: while outcomes cannot be written, nothing more is claimed.
	d.outcomes <- outcome{c.OrderNo(), judge(c, reply), reply}
	d.window.finished()
}

// clear asks about an order that may have left before, right before it is sent
// again. Only the learned answer for "not found" clears the way, from a gateway
// that right after it knows another order, and not even that where it notified
// about the order; with any other answer nothing is sent, and the reply tells
// what was learned instead.
func (d *disbursing) clear(ctx context.Context, c ledger.Claim, due departure) (reply Reply, cleared bool) {
	if reply, failed := d.stillFailed(ctx, c, due); !failed || !c.AskFirst {
		return reply, failed
	}
	learned, err := d.Book.Learned(ctx, d.Account)
	if err != nil {
		return notHandedOver("the ledger does not say how \"not found\" looks"), false
	}
	reply, asked := d.askInSlot(ctx, order(c.Payout), due)
	if !asked {
		return reply, false
	}
	if learned.ID != 0 && !c.Spoken && reply.Verdict == Refused && reply.Evidence.Shape(c.OrderNo()) == learned.Shape {
		why := d.compare(ctx, due.control)
		if why == "" {
			return reply, true
		}
		reply.Evidence.Reason = why
	}
	if reply.Verdict == Refused { // by no means an answer to a create call
		reply.Verdict = NoAnswer
	}
	d.trouble.note(c.Channel, reply)
	return reply, false
}

// compare asks about an order that the gateway has, and says why the denial
// before it proves nothing. Where it is not known to have any, as on a store
// that was restored from its beginnings, there is nothing to compare with.
func (d *disbursing) compare(ctx context.Context, slot time.Time) (why string) {
	known, err := d.knownOrder(ctx)
	if err != nil {
		return "the ledger does not say what the gateway could be asked about for comparison"
	}
	if known == nil {
		return ""
	}
	if d.takePlace(ctx, slot, stoppedBefore) != "" {
		return stoppedControl
	}
	defer d.leavePlace()
	if d.ask(ctx, order(*known), slot).Verdict != Known {
		return deniedControl
	}
	return ""
}

func (d *disbursing) submit(ctx context.Context, c ledger.Claim, due departure) Reply {
	if why := d.takePlace(ctx, due.slot, "the run ended before its turn"); why != "" {
		return notHandedOver(why)
	}
	defer d.leavePlace()
	switch {
	case d.trouble.silence() > 0 || d.trouble.closed(c.Channel) && !d.trouble.onProbation(c.Channel):
		return notHandedOver("sending stopped before its turn")
	case d.brakes.pulled(ctx, d.Book, c.Payout):
		return notHandedOver(stoppedBefore)
	case due.missed():
		return notHandedOver("its slot was missed")
	}
	o := order(c.Payout)
	o.Slot, o.SendBy = due.slot, due.sendBy
	o.Held = func(ctx context.Context) bool { return d.brakes.pulled(ctx, d.Book, c.Payout) }
	// A stop lets a call under way end; only its own time-out cuts it short.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.CallTimeout)
	defer cancel()
	reply := d.Gateway.Submit(call, o)
	d.trouble.note(c.Channel, reply)
	return reply
}

const stoppedBefore = "stopped before its turn"

// takePlace waits for a slot, and then for one of the places for calls under
// way, to be left after the call. It says why there was none, which is ended
// where the run did while the places were taken; "" when there is one.
func (d *disbursing) takePlace(ctx context.Context, slot time.Time, ended string) (why string) {
	if err := sleep(ctx, time.Until(slot)); err != nil {
		return "stopped before its slot"
	}
	select {
	case <-ctx.Done():
		return ended
	case d.places <- struct{}{}:
		return ""
	}
}

func (d *disbursing) leavePlace() { <-d.places }

// notHandedOver is the reply to a payout that this worker never gave to the
// gateway's client.
func notHandedOver(why string) Reply {
	return Reply{Verdict: NotSent, Detail: why, Evidence: ledger.Evidence{Kind: ledger.EvidenceCreate, Heard: ledger.HeardNotSent, Reason: why}}
}

// record writes outcomes in batches until the channel closes.
func (d *disbursing) record(ctx context.Context) error {
	var failed error
	for batch := range gathered(d.outcomes, recordBatch, d.Linger) {
		findings := make([]ledger.Finding, len(batch))
		var quiet time.Duration
		for i, o := range batch {
			findings[i] = o.finding
			quiet = max(quiet, o.reply.RetryAfter)
			d.count(o)
		}
		if quiet > 0 { // first, for the other workers
			failed = errors.Join(failed, d.Book.SlowDown(ctx, capped(quiet)))
		}
		failed = errors.Join(failed, d.keep(ctx, findings))
	}
	return failed
}

// recordBatch is how many outcomes are written together at most.
const recordBatch = 500

// keep records findings, trying again while the store is away. What it has to
// give up is not lost: the leases run out and look-ups find the outcomes.
func (e *Engine) keep(ctx context.Context, findings []ledger.Finding) error {
	const tries = 8
	var err error
	for try := range tries {
		if _, err = e.Book.Record(ctx, e.actor(), findings); err == nil {
			return nil
		}
		if !database.IsConnection(err) && !database.IsRetryable(err) {
			break // the store is there and will not take it, or is full
		}
		e.Log.Warn("outcomes are not recorded yet", "findings", len(findings), "error", err)
		if waitErr := sleep(ctx, 100*time.Millisecond<<try); waitErr != nil {
			break
		}
	}
	return fmt.Errorf("%d outcomes are left to look-ups: %w", len(findings), err)
}

func (d *disbursing) count(o outcome) {
	f := o.finding
	if f.Reason != ledger.ByNotSending {
		d.done.Sent++
		d.Counters.Sent.Add(1)
	}
	switch {
	case f.To == ledger.Approved:
		d.done.NotSent++
		d.Counters.NotSent.Add(1)
	case o.reply.Verdict == Refused:
		d.done.Refused++
		d.Counters.Refused.Add(1)
		d.Log.Warn("refused by the gateway", "payout", o.order, "code", f.Evidence.Code, "message", f.Evidence.Message)
	case f.To == ledger.Unknown, f.To == ledger.Review:
		d.done.InDoubt++
		d.Counters.InDoubt.Add(1)
		d.Log.Warn("in doubt", "payout", o.order, "why", f.Note)
	default:
		d.done.Accepted++
		d.Counters.Accepted.Add(1)
	}
}

// ignoreStop turns the end of the context into a normal end, in whatever words
// a database driver reports it.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"payrun/internal/database"
	"payrun/jobs"
)

// process is one life of a worker: a store handle, an engine, and a line to
// the gateway. After a crash neither store nor gateway hears of it again;
// what goes on inside is the unwinding of a corpse.
type process struct {
	*world
	label  string
	worker int
	db     *database.DB
	engine *jobs.Engine
	ctx    context.Context // ends when it is told to stop, or dies
	cancel context.CancelFunc

	mu     sync.Mutex
	gone   bool
	thawed time.Time     // frozen until then
	woken  chan struct{} // closed when that changed
}

// start opens a process on the store.
func (w *world) start(worker, life int) *process {
	p := &process{world: w, label: fmt.Sprintf("worker %d.%d", worker, life), worker: worker, woken: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.db = w.store()
	p.engine = &jobs.Engine{
		Book: w.open(p.db), Gateway: line{p, w.gateway}, Account: ours, Worker: p.label, Channels: channels,
		InFlight: w.inFlight, Rate: jobs.Rate{CallsPerSecond: w.perSecond, LookupPercent: 40},
		LimitsAge: 10_000 * time.Hour, Linger: 5*time.Millisecond + 11*time.Microsecond,
	}
	w.must(p.engine.Defaults())
	return p
}

// live works until it dies, is told to stop, or all is over.
func (p *process) live() {
	defer p.cancel()
	for n := 0; p.ctx.Err() == nil && !p.over(); n++ {
		_, err := p.engine.Disburse(p.ctx)
		p.expect(err)
		if p.ctx.Err() == nil {
			_, err = p.engine.Track(p.ctx)
			p.expect(err)
		}
		p.rest(n)
		p.thaw("rest", n)
	}
	if !p.dead() {
		p.must(p.db.Close())
	}
}

// expect takes trouble of the gateway, and any error of a dead process.
func (p *process) expect(err error) {
	if err != nil && !errors.Is(err, jobs.ErrGateway) && !p.dead() {
		p.wrong("%s: %v", p.label, err)
	}
}

// rest waits until something is due, or, where workers are lazy, any while.
func (p *process) rest(n int) {
	if p.dead() || p.ctx.Err() != nil {
		return
	}
	r := p.of("rest", p.label, n)
	pause := between(r, 100*time.Millisecond, time.Second<<(2+r.IntN(10)))
	next, err := p.engine.Book.NextLookup(p.ctx)
	now, errNow := p.engine.Book.Now(p.ctx)
	switch {
	case err != nil || errNow != nil:
		return // it was told to stop
	case p.calm() && next == 0:
		pause = 30 * time.Minute
	case p.calm(), !p.lazy && next > 0:
		pause = min(30*time.Minute, max(time.Second, next.Sub(now)))
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-p.ctx.Done():
	case <-timer.C:
	}
}

// crash ends the process as kill -9 does.
func (p *process) crash(when string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	p.note("%s dies %s", p.label, when)
	p.gone = true
	p.must(p.db.Close())
	p.cancel()
}

func (p *process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// freeze stops the process's time, as SIGSTOP does, for its calls.
func (p *process) freeze(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(d); until.After(p.thawed) {
		p.note("%s freezes for %s", p.label, d)
		p.thawed = until
	}
}

// wake lets a frozen process go on in a moment, at an instant of its own.
func (p *process) wake(moment time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := p.instant(moment); until.Before(p.thawed) {
		p.note("%s wakes up", p.label)
		p.thawed = until
		close(p.woken)
		p.woken = make(chan struct{})
	}
}

// instant is one after a while that is nobody else's: see between.
func (p *process) instant(after time.Duration) time.Time {
	return p.began.Add((time.Since(p.began) + after).Truncate(time.Microsecond) + nanoseconds(p.worker))
}

// frozeSince tells whether the process is frozen, or was since.
func (p *process) frozeSince(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return since.Before(p.thawed)
}

// thaw waits while the process is frozen.
func (p *process) thaw(name ...any) (waited bool) {
	for {
		p.mu.Lock()
		left, woken := time.Until(p.thawed), p.woken
		p.mu.Unlock()
		if left <= 0 {
			return waited
		}
		waited = true
		timer := time.NewTimer(left)
		select {
		case <-woken:
		case <-timer.C:
		}
		timer.Stop()
		p.stepAside(append([]any{"thaw"}, name...)...)
	}
}

// stepAside lets a moment pass that belongs to its name. What waits for the same
// thing, a thaw or a free place or the end of a run, goes on in one instant, and
// then either could be first; after it each is at an instant of its own.
func (p *process) stepAside(name ...any) {
	elapse(between(p.of(append([]any{"aside", p.label}, name...)...), 0, 10*time.Millisecond))
}

// leaves is the moment at which the bytes of a create leave: an attempt of
// this process must stand in the store, open and in time.
func (p *process) leaves(o jobs.Order, frozen bool) {
	p.note("%s sends %s", p.label, p.name(o.Number))
	p.alone(o.Number, "create")
	p.gateway.mu.Lock()
	mine := p.gateway.order(o.Number)
	if mine.left > 0 {
		p.proven(o.Number, mine)
	}
	mine.left, mine.lastLeft, mine.sendBy, mine.denials = mine.left+1, time.Now(), o.SendBy, nil
	left := mine.left
	p.gateway.mu.Unlock()
	if want, ok := p.expected[o.Number]; !ok || want.Channel != o.Channel || want.Account != o.Account || want.Amount != o.Amount || want.Currency != o.Currency {
		p.wrong("%s sends %+v, which nobody approved", p.label, o)
	}
	var found struct{ Open, Attempts int }
	p.must(p.judge.Get(context.Background(), &found, `SELECT count(*) AS attempts, coalesce(sum(CASE WHEN p.state = 'SENDING' AND p.attempt_id = a.id
		AND a.worker = ? AND a.send_by >= ? THEN 1 ELSE 0 END), 0) AS open FROM attempts a JOIN payouts p ON p.id = a.payout_id WHERE a.order_no = ?`,
		p.label, database.InstantOf(time.Now()), o.Number))
	if found.Open != 1 {
		p.wrong("%s sends %s without an open attempt of its own", p.label, p.name(o.Number))
	}
	if found.Attempts < left {
		p.wrong("%s leaves for the %d. time, with %d attempts", p.name(o.Number), left, found.Attempts)
	}
	p.checkStops(o, frozen)
}

// proven checks what a second send rests on, by the gateway's own record: since
// the first one could last have left it has denied the order often enough, over
// a time that is long enough, and once more right now. Nothing was heard of the
// order since.
func (p *process) proven(number string, o *order) {
	const right = time.Minute // which a question and its slot take
	before := slices.DeleteFunc(slices.Clone(o.denials), func(at time.Time) bool { return at.Equal(o.denied) })
	switch n := len(before); {
	case time.Since(o.denied) > right:
		p.wrong("%s leaves again, %s after it was last asked about", p.name(number), time.Since(o.denied))
	case n < answers:
		p.wrong("%s leaves again after %d denials", p.name(number), n)
	case before[n-1].Sub(before[0]) < grace-right:
		p.wrong("%s leaves again after denials over %s", p.name(number), before[n-1].Sub(before[0]))
	case len(o.told) > 0:
		p.wrong("%s leaves again, though the gateway notified %v", p.name(number), o.told)
	}
}

// call is one that left, and that its sender has not heard the end of.
type call struct {
	kind string
	left time.Time
}

// alone notes a call about an order: no create is under way together with
// another call, from processes that live. One that froze since its call left has
// lost its time for it: when it wakes up it only hears of an old answer.
func (p *process) alone(number, kind string) {
	p.gateway.mu.Lock()
	defer p.gateway.mu.Unlock()
	o := p.gateway.order(number)
	for other, call := range o.calls {
		if (call.kind == "create" || kind == "create") && !other.dead() && !other.frozeSince(call.left) {
			p.wrong("a %s of %s leaves while a %s is under way from %s", kind, p.name(number), call.kind, other.label)
		}
	}
	o.calls[p] = call{kind, time.Now()}
}

func (p *process) ends(number string) {
	p.gateway.mu.Lock()
	defer p.gateway.mu.Unlock()
	delete(p.gateway.order(number).calls, p)
}

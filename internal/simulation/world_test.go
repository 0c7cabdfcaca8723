package simulation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/migrations"
)

// ours is our account at the gateway.
const ours = "account"

const opening money.Amount = 100_000_00

var channels = []string{"11", "12"}

// world is one schedule under way.
type world struct {
	schedule
	t        *testing.T
	path     string // of the store
	judge    *database.DB
	book     *ledger.Book // the judge's and the people's
	maker    ledger.User
	checker  ledger.User
	gateway  *gateway
	expected map[string]ledger.Payout // what was approved, by order number
	lucky    string                   // the order number that nothing happens to
	batch    int64
	began    time.Time

	mu        sync.Mutex
	lines     []moment // what happened
	processes []*process
	stopped   map[ledger.Stop]time.Time
	ended     bool
}

// prepare makes the store that every schedule starts from.
func prepare(t *testing.T) []byte {
	path := filepath.Join(t.TempDir(), "template.db")
	db, err := database.Open(t.Context(), database.Config{URL: "sqlite:" + path})
	must(t, err)
	_, err = migrations.Up(t.Context(), db)
	must(t, err)
	book := ledger.New(db, ledger.Config{})
	admin, err := book.AddUser(t.Context(), ledger.User{}, "ada", ledger.Admin)
	must(t, err)
	for name, role := range map[string]ledger.Role{"mia": ledger.Maker, "charles": ledger.Checker} {
		_, err = book.AddUser(t.Context(), admin, name, role)
		must(t, err)
	}
	must(t, book.Fund(t.Context(), admin, opening, "USD", "opening"))
	_, err = book.Learn(t.Context(), ledger.User{}, ours, absent("X").Evidence.Shape("X"))
	must(t, err)
	must(t, db.Close())
	image, err := os.ReadFile(path)
	must(t, err)
	return image
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open makes a world with an approved batch in it.
func open(t *testing.T, s schedule, image []byte) *world {
	w := &world{
		schedule: s, t: t, path: filepath.Join(folder(t), "payrun.db"), began: time.Now(),
		expected: map[string]ledger.Payout{}, stopped: map[ledger.Stop]time.Time{},
	}
	w.gateway = &gateway{world: w, orders: map[string]*order{}}
	w.must(os.WriteFile(w.path, image, 0o600))
	w.judge = w.store()
	w.book = w.open(w.judge)
	var err error
	w.maker, err = w.book.User(t.Context(), "mia")
	w.must(err)
	w.checker, err = w.book.User(t.Context(), "charles")
	w.must(err)
	w.approve()
	return w
}

// folder is in memory where the system has such a place: a schedule commits
// hundreds of times.
func folder(t *testing.T) string {
	memory, err := os.MkdirTemp("/dev/shm", "payrun-simulation-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(memory)) })
	return memory
}

// store opens the store once more, as another process would.
func (w *world) store() *database.DB {
	db, err := database.Open(context.Background(), database.Config{URL: "sqlite:" + w.path})
	w.must(err)
	return db
}

// open opens the ledger under the schedule's policy.
func (w *world) open(db *database.DB) *ledger.Book {
	config := ledger.Config{Resend: ledger.ResendManual}
	if w.automatic {
		config.Resend = ledger.ResendAutomatic
	}
	return ledger.New(db, config)
}

func (w *world) must(err error) {
	w.t.Helper()
	must(w.t, err)
}

// approve brings a batch as far as people bring it.
func (w *world) approve() {
	ctx := w.t.Context()
	limits := jobs.Limits{Book: w.book, Gateway: line{}}
	for _, channel := range channels {
		limits.Markets = append(limits.Markets, jobs.Market{Channel: channel, Currency: "USD", AskGateway: true})
	}
	w.must(limits.Run(ctx))
	s, err := w.book.Stage(ctx, w.maker, fmt.Sprint("seed ", w.seed), ours)
	w.must(err)
	rows := make([]ledger.NewPayout, w.payouts)
	for i := range rows {
		r := w.of("row", i)
		rows[i] = ledger.NewPayout{
			Sheet: "Sheet1", Row: int64(i + 2), Reference: fmt.Sprint(i), Channel: channels[r.IntN(2)],
			Account: fmt.Sprintf("U%07d", r.IntN(1e7)), Amount: money.Amount(100 + r.IntN(10_000)), Currency: "USD", FeeEstimate: feeEstimate,
		}
	}
	w.must(s.Add(ctx, rows))
	n := int64(len(rows))
	batch, err := s.Publish(ctx, ledger.Counts{SourceDigest: fmt.Sprint(w.seed), Read: n, Accepted: n})
	w.must(err)
	w.batch = batch.ID
	w.must(w.book.Submit(ctx, w.maker, batch.ID))
	w.must(w.book.Approve(ctx, w.checker, batch.ID))
	w.must(w.book.EachPayout(ctx, batch.ID, func(p *ledger.Payout) error {
		if w.expected[p.OrderNo()] = *p; p.Ordinal == 1 {
			w.lucky = p.OrderNo()
		}
		return nil
	}))
}

// run lets the storm rage, waits until all is calm, and judges.
func (w *world) run() {
	var workers sync.WaitGroup
	for i := range w.workers {
		workers.Go(func() { w.work(i) })
	}
	for i, s := range w.stops {
		workers.Go(func() { w.pull(i, s) })
	}
	if w.people {
		workers.Go(w.decide)
	}
	elapse(w.storm)
	w.note("the storm is over")
	for range 48 {
		elapse(30*time.Minute + 1)
		w.liftAll()
		if w.settled() {
			break
		}
	}
	w.gateway.ways.Wait()
	w.end()
	workers.Wait()
	w.verdict()
}

// work is one worker's life after life.
func (w *world) work(worker int) {
	// Each worker's instants have nanoseconds of their own: see between.
	elapse(nanoseconds(worker))
	for life := 0; !w.over(); life++ {
		p := w.start(worker, life)
		w.mu.Lock()
		w.processes = append(w.processes, p)
		w.mu.Unlock()
		if life < len(w.restarts[worker]) {
			r := w.restarts[worker][life]
			timer := time.AfterFunc(r.at, func() { p.depart(r.crash) })
			defer timer.Stop()
		}
		p.live()
		elapse(between(w.of("restart", worker, life), time.Second, 10*time.Minute))
	}
}

func nanoseconds(worker int) time.Duration { return time.Duration(100 * (worker + 1)) }

// depart ends a process from outside.
func (p *process) depart(crash bool) {
	if crash {
		p.crash("at its own moment")
		return
	}
	p.note("%s is told to stop", p.label)
	p.cancel()
}

// pull pulls a brake and lets it go again.
func (w *world) pull(i int, s stopping) {
	stop := []ledger.Stop{
		{Scope: ledger.Everything}, {Scope: ledger.OneChannel, Subject: channels[i%2]},
		{Scope: ledger.OneBatch, Subject: strconv.FormatInt(w.batch, 10)},
	}[s.scope]
	elapse(s.from + time.Duration(50+i))
	if w.book.PlaceStop(context.Background(), w.checker, stop.Scope, stop.Subject, "careful") != nil {
		return // it is stopped already
	}
	w.note("stop %s %s", stop.Scope, stop.Subject)
	w.mu.Lock()
	w.stopped[stop] = time.Now()
	w.mu.Unlock()
	elapse(s.until - s.from)
	w.lift(stop)
}

func (w *world) lift(stop ledger.Stop) {
	w.mu.Lock()
	delete(w.stopped, stop)
	w.mu.Unlock()
	if w.book.LiftStop(context.Background(), w.checker, stop.Scope, stop.Subject) == nil {
		w.note("lift %s %s", stop.Scope, stop.Subject)
	}
}

// liftAll lifts what is stopped, also by workers.
func (w *world) liftAll() {
	stops, err := w.book.Stops(context.Background())
	w.must(err)
	for _, s := range stops {
		w.lift(ledger.Stop{Scope: s.Scope, Subject: s.Subject})
	}
}

// checkStops: nothing leaves once a stop is older than the brakes' look at it.
func (p *process) checkStops(o jobs.Order, frozen bool) {
	if frozen {
		return // it looked before it froze, and its time to leave is not over
	}
	const look = 200 * time.Millisecond
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	for s, since := range p.stopped {
		if s.Holds(p.expected[o.Number]) && time.Since(since) > look {
			p.t.Errorf("%s sends %s, though %s %s is stopped", p.label, p.name(o.Number), s.Scope, s.Subject)
		}
	}
}

// claimed reports whether a worker is about to send an order.
func (w *world) claimed(number string) bool {
	p, err := w.book.Payout(context.Background(), number)
	w.must(err)
	return p.State == ledger.Sending
}

// receive hands a notification to the first process that lives.
func (w *world) receive(body []byte) error {
	w.mu.Lock()
	i := slices.IndexFunc(w.processes, func(p *process) bool { return p.ctx.Err() == nil && !p.dead() })
	var p *process
	if i >= 0 {
		p = w.processes[i]
	}
	w.mu.Unlock()
	if p == nil {
		return context.Canceled
	}
	return p.engine.Notification(context.Background(), "", body)
}

func (w *world) calm() bool { return time.Since(w.began) > w.storm }

// strikes is quiet once the storm is over, and about the first payout: one
// order that the gateway is known to have makes proof of absence possible.
func (w *world) strikes(f fault, name ...any) bool {
	return !w.calm() && !slices.Contains(name, any(w.lucky)) && w.schedule.strikes(f, name...)
}

// dark reports whether the gateway denies everything.
func (w *world) dark() bool {
	now := time.Since(w.began)
	return slices.ContainsFunc(w.blackouts, func(b window) bool { return now >= b.from && now < b.until })
}

func (w *world) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, p := range w.processes {
		p.cancel()
	}
}

func (w *world) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// elapse lets the schedule's clock go on by d. No test waits for it: time is a
// bubble's, and jumps as soon as everybody in it waits.
func elapse(d time.Duration) { time.Sleep(d) }

func (w *world) close() { w.must(w.judge.Close()) }

// note keeps what happened, for people and to compare two runs.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, moment{time.Since(w.began), fmt.Sprintf(format, args...)})
}

func (w *world) wrong(format string, args ...any) {
	w.t.Helper()
	w.note("WRONG: "+format, args...)
	w.t.Errorf("after %s: "+format, append([]any{time.Since(w.began)}, args...)...)
}

// name is short for an order number.
func (w *world) name(number string) string {
	return "P" + strings.TrimLeft(number[max(0, len(number)-8):], "0")
}

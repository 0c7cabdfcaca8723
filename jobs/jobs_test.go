package jobs_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"payrun/epay"
	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/internal/sandbox"
	"payrun/internal/web"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/migrations"
)

func migrated(ctx context.Context, db *database.DB) error {
	_, err := migrations.Up(ctx, db)
	return err
}

// shop is a whole installation in one process: a ledger with people, the
// sandbox gateway over HTTP, and notifications coming in.
type shop struct {
	t              *testing.T
	db             *database.DB
	book           *ledger.Book
	sandbox        *sandbox.Server
	client         *epay.Client
	door           *door
	engine         *jobs.Engine
	limits         *jobs.Limits
	importing      *jobs.Import
	maker, checker ledger.User
	woken          chan struct{}
	sheets         int
}

// each opens a shop on both engines.
func each(t *testing.T, settings sandbox.Config, test func(*testing.T, *shop)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, migrated, func(t *testing.T, db *database.DB) { test(t, openShop(t, db, settings)) })
}

// giveUp is when a test has failed that waits for something; a machine that
// has much else to do takes its time.
const giveUp = 5 * time.Minute

var fast = jobs.Ladder{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond}

// slower at last: a shop that lives through many faults gathers doubts.
var fastInDoubt = append(slices.Repeat(fast, 3), 2*time.Second)

func openShop(t *testing.T, db *database.DB, settings sandbox.Config) *shop {
	t.Helper()
	s := &shop{t: t, db: db, book: ledger.New(db, ledger.Config{}), woken: make(chan struct{}, 1000)}
	s.people()
	var err error
	if s.sandbox, err = sandbox.New(settings); err != nil {
		t.Fatal(err)
	}
	s.door = openDoor(t, s.sandbox)
	t.Cleanup(func() {
		if err := s.sandbox.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.client, err = epay.New(epay.Config{
		BaseURL: s.door.url(), Account: sandbox.DefaultAccount, Key: sandbox.DefaultKey, Timeout: 2 * time.Second,
	})
	s.must(err)
	t.Cleanup(s.client.Close)

	s.engine = &jobs.Engine{
		Book: s.book, Account: sandbox.DefaultAccount, Worker: "w1", Channels: []string{"11", "12", "16", "18"}, InFlight: 8,
		CallTimeout: 2 * time.Second, Rate: jobs.Rate{LookupPercent: 40}, Linger: 5 * time.Millisecond,
		Judge: jobs.Judge{Accepted: fast, InDoubt: fastInDoubt, Conflict: fast, ClosedAgain: 100 * time.Millisecond},
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	s.engine.Gateway = jobs.NewEPAY(s.client, s.listen()+"/notify/epay")
	s.must(s.engine.Defaults())

	s.limits = &jobs.Limits{Book: s.book, Gateway: s.engine.Gateway}
	for _, channel := range s.engine.Channels {
		s.limits.Markets = append(s.limits.Markets, jobs.Market{Channel: channel, Currency: "USD", AskGateway: true})
	}
	s.importing = &jobs.Import{Book: s.book, GatewayAccount: sandbox.DefaultAccount, Fees: map[string]jobs.Fee{
		"11": {PartsPerMillion: 5_000}, "12": {Flat: 10, PartsPerMillion: 10_000},
	}}
	return s
}

// listen takes notifications in until the test ends.
func (s *shop) listen() (address string) {
	s.t.Helper()
	wake := func() {
		select {
		case s.woken <- struct{}{}:
		default: // enough wake-ups wait
		}
	}
	server, err := web.New(web.Config{Book: s.book, Notifier: notified{s, jobs.NewEPAY(s.client, "")}, Wake: wake, NotificationsPerSecond: 10_000})
	s.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// notified stores notifications as the shop's engine does. It has a gateway of
// its own: tests exchange the engine's while notifications still come in.
type notified struct {
	shop    *shop
	gateway jobs.Gateway
}

func (n notified) Notification(ctx context.Context, contentType string, body []byte) error {
	engine := jobs.Engine{Book: n.shop.engine.Book, Gateway: n.gateway}
	return engine.Notification(ctx, contentType, body)
}

// door is the sandbox's address, which can be shut so that nobody listens.
type door struct {
	t       testing.TB
	address string
	handler http.Handler
	server  *http.Server
	create  atomic.Pointer[func()]
	calls   sync.RWMutex // read-locked by each call under way
}

func openDoor(t testing.TB, handler http.Handler) *door {
	d := &door{t: t, address: "127.0.0.1:0", handler: handler}
	d.open()
	t.Cleanup(d.shut)
	return d
}

func (d *door) url() string { return "http://" + d.address + sandbox.BasePath }

func (d *door) open() {
	d.t.Helper()
	listener, err := net.Listen("tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.address = listener.Addr().String()
	d.server = &http.Server{Handler: d}
	go d.server.Serve(listener)
}

// onCreate is called when a create comes in, before the sandbox sees it.
func (d *door) onCreate(f func()) { d.create.Store(&f) }

// ServeHTTP hands a call on.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := d.create.Load(); f != nil && strings.HasSuffix(r.URL.Path, "/createEwalletTransaction") {
		(*f)()
	}
	d.calls.RLock()
	defer d.calls.RUnlock()
	d.handler.ServeHTTP(w, r)
}

// quiet waits until the sandbox has carried out what it was asked, also what
// nobody waits for any more.
func (d *door) quiet() {
	d.calls.Lock()
	defer d.calls.Unlock()
}

func (d *door) shut() { d.server.Close() }

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) people() {
	ctx := s.t.Context()
	admin, err := s.book.AddUser(ctx, ledger.User{}, "ada", ledger.Admin)
	s.must(err)
	s.maker, err = s.book.AddUser(ctx, admin, "mia", ledger.Maker)
	s.must(err)
	s.checker, err = s.book.AddUser(ctx, admin, "charles", ledger.Checker)
	s.must(err)
	s.must(s.book.Fund(ctx, admin, 1_000_000_00, "USD", "opening"))
}

// account returns a wallet of the channel that the sandbox has no convention for.
func account(channel string, i int) string {
	switch channel {
	case "11":
		return fmt.Sprintf("U10%05d", i)
	case "12":
		return fmt.Sprintf("U10000000%04d", i)
	case "16":
		return fmt.Sprintf("P1000%04d", i)
	}
	return fmt.Sprintf("FP1%05d", i)
}

// worker is another process's engine on the same ledger and gateway.
func (s *shop) worker(name string) *jobs.Engine {
	e := s.engine
	return &jobs.Engine{
		Book: e.Book, Gateway: e.Gateway, Account: e.Account, Worker: name, Channels: e.Channels, Rate: e.Rate, InFlight: e.InFlight,
		CallTimeout: e.CallTimeout, Patience: e.Patience, LimitsAge: e.LimitsAge, Linger: e.Linger, Judge: e.Judge, Log: e.Log,
	}
}

// sheet writes a csv of n good rows, before the extra lines. No two sheets of
// a shop hold the same rows.
func (s *shop) sheet(n int, extra ...string) string {
	s.t.Helper()
	s.sheets++
	var text strings.Builder
	text.WriteString("reference,channel,account,amount,currency\n")
	for i := range n {
		channel := s.engine.Channels[i%4]
		fmt.Fprintf(&text, "S%dR%d,%s,%s,%d.%02d,USD\n", s.sheets, i, channel, account(channel, i), 10+i%90, i%100)
	}
	for _, line := range extra {
		text.WriteString(line + "\n")
	}
	path := filepath.Join(s.t.TempDir(), "payouts.csv")
	s.must(os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

// approved imports a sheet and takes it through maker and checker.
func (s *shop) approved(path string) ledger.Batch {
	s.t.Helper()
	ctx := s.t.Context()
	s.must(s.limits.Run(ctx))
	im, err := s.importing.File(ctx, s.maker, path, jobs.ImportChoice{})
	s.must(err)
	s.must(s.book.Submit(ctx, s.maker, im.Batch.ID))
	s.must(s.book.Approve(ctx, s.checker, im.Batch.ID))
	return *im.Batch
}

func (s *shop) disburse() jobs.Disbursed {
	s.t.Helper()
	done, err := s.engine.Disburse(s.t.Context())
	s.must(err)
	return done
}

// follow tracks until every payout of the batch has ended, waiting for the
// moment the next look-up is due.
func (s *shop) follow(batch int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), giveUp)
	defer cancel()
	for s.open(batch) > 0 {
		if _, err := s.engine.Track(ctx); err != nil {
			s.t.Fatal(err)
		}
		next, err := s.book.NextLookup(ctx)
		s.must(err)
		now, err := s.book.Now(ctx)
		s.must(err)
		select {
		case <-ctx.Done():
			s.t.Fatalf("payouts are still open: %v", s.states(batch))
		case <-s.woken:
		case <-time.After(next.Sub(now)):
		}
	}
}

func (s *shop) states(batch int64) map[ledger.State]int64 {
	s.t.Helper()
	progress, err := s.book.Progress(s.t.Context(), batch)
	s.must(err)
	states := map[ledger.State]int64{}
	for _, p := range progress {
		states[p.State] += p.Payouts
	}
	return states
}

func (s *shop) open(batch int64) int64 {
	var open int64
	for state, n := range s.states(batch) {
		if !state.Final() {
			open += n
		}
	}
	return open
}

// settle tracks like follow, but leaves alone what nobody can know: a payout
// in doubt that the sandbox has no order for, after it was looked up twice.
func (s *shop) settle(batch int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), giveUp)
	defer cancel()
	s.door.quiet()
	for s.unsettled(batch) > 0 {
		if _, err := s.engine.Track(ctx); err != nil {
			s.t.Fatal(err)
		}
		s.pause(ctx, batch)
	}
}

// pause waits for a notification, the next look-up or the end of a lease.
func (s *shop) pause(ctx context.Context, batch int64) {
	s.t.Helper()
	next, err := s.book.NextLookup(ctx)
	s.must(err)
	now, err := s.book.Now(ctx)
	s.must(err)
	wait := next.Sub(now)
	if next == 0 || wait > 100*time.Millisecond {
		wait = 100 * time.Millisecond // leases are nobody's event
	}
	select {
	case <-ctx.Done():
		s.t.Fatalf("payouts are not settled: %v", s.states(batch))
	case <-s.woken:
	case <-time.After(wait):
	}
}

func (s *shop) unsettled(batch int64) (n int) {
	s.t.Helper()
	s.must(s.book.EachPayout(s.t.Context(), batch, func(p *ledger.Payout) error {
		order, _ := s.sandbox.Order(p.OrderNo())
		hopeless := p.State == ledger.Unknown && order.Accepted == 0 && p.Lookups >= 2
		if !p.State.Final() && !hopeless {
			n++
		}
		return nil
	}))
	return n
}

// sound compares every payout with the sandbox's own book and checks every
// promise of the ledger.
func (s *shop) sound() {
	s.t.Helper()
	theirs := s.sandbox.Book()
	if twice := theirs.PaidTwice(); len(twice) > 0 {
		s.t.Errorf("paid twice: %v", twice)
	}
	var paid, fees money.Amount
	ours := map[string]bool{}
	batches, err := s.book.Batches(s.t.Context())
	s.must(err)
	for _, batch := range batches {
		s.must(s.book.EachPayout(s.t.Context(), batch.ID, func(p *ledger.Payout) error {
			ours[p.OrderNo()] = true
			s.compare(p, theirs.Orders[p.OrderNo()])
			if p.State == ledger.Succeeded {
				paid += p.Amount
			}
			if p.State == ledger.Succeeded || p.State == ledger.FailedFee {
				fees += p.Fee
			}
			return nil
		}))
	}
	for no := range theirs.Orders {
		if !ours[no] {
			s.t.Errorf("the sandbox was asked for %s, which is no order of ours", no)
		}
	}
	funds := theirs.Funds["USD"]
	if paid != funds.Spent || fees != funds.Fees {
		s.t.Errorf("paid %d and fees %d, the sandbox says %d and %d", paid, fees, funds.Spent, funds.Fees)
	}
	_, breaches, err := s.book.Verify(s.t.Context())
	s.must(err)
	for _, b := range breaches {
		s.t.Errorf("%s: %s: %s", b.Check, b.Row, b.Wrong)
	}
}

func (s *shop) compare(p *ledger.Payout, order sandbox.Order) {
	s.t.Helper()
	if (order.Paid == 1) != (p.State == ledger.Succeeded) {
		s.t.Errorf("%s is %s, the sandbox paid it %d times", p.OrderNo(), p.State, order.Paid)
	}
	if order.Creates > int(p.Attempts) {
		s.t.Errorf("%s: the sandbox saw %d creates, %d attempts are kept", p.OrderNo(), order.Creates, p.Attempts)
	}
	if order.Paid == 1 && (order.PaidAmount != p.Amount || order.Fee != p.Fee) {
		s.t.Errorf("%s: ours %d and %d, theirs %d and %d", p.OrderNo(), p.Amount, p.Fee, order.PaidAmount, order.Fee)
	}
}

func TestASheetBecomesPaidWallets(t *testing.T) {
	settings := sandbox.Demo()
	settings.TimeScale = 0.0001
	each(t, settings, func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(60))
		done := s.disburse()
		if done.Sent != 60 || done.Accepted != 60 || done.Waiting {
			t.Fatalf("disbursed %+v", done)
		}
		s.follow(batch.ID)
		s.sound()
		if again := s.disburse(); again.Sent != 0 {
			t.Errorf("a second run sent %d", again.Sent)
		}
	})
}

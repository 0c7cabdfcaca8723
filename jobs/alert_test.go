package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"payrun/internal/alert"
	"payrun/internal/alert/alerttest"
	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/jobs"
	"payrun/ledger"
)

// tower is a store with alerts to tell, and somebody who listens.
type tower struct {
	t        *testing.T
	clock    *wallClock
	db       *database.DB
	book     *ledger.Book
	receiver *alerttest.Receiver
	mails    *alerttest.MailServer
	config   alert.MailConfig
}

func towers(t *testing.T, test func(*tower)) {
	t.Helper()
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		clock := clockAt(noon)
		test(newTower(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, engine, migrated), Clock: clock.now}, migrated), clock))
	})
}

func newTower(t *testing.T, db *database.DB, clock *wallClock) *tower {
	t.Helper()
	ca := alerttest.NewCA(t)
	tw := &tower{t: t, clock: clock, db: db, receiver: alerttest.NewReceiver(t), mails: alerttest.NewMailServer(t, ca)}
	tw.book = ledger.New(db, ledger.Config{AlertTo: []string{"webhook", "mail"}})
	tw.config = alert.MailConfig{Server: tw.mails.Address, Security: alert.STARTTLS, Roots: ca.Roots(), From: "payrun@example.org", To: []string{"mia@example.org"}}
	tw.mails.Start()
	return tw
}

// worker is one process that watches and tells.
func (tw *tower) worker(name string, names ...string) *jobs.Alerts {
	return &jobs.Alerts{Book: tw.book, DB: tw.db, Worker: name, Source: "test", Jobs: names, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func webhookTo(t testing.TB, url string) jobs.Way {
	t.Helper()
	w, err := alert.NewWebhook(alert.WebhookConfig{URL: url, Secret: alerttest.Secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return jobs.Way{Name: "webhook", Most: 1, Deliver: func(ctx context.Context, m []alert.Message) (string, error) { return w.Deliver(ctx, m[0]) }}
}

func (tw *tower) webhook() jobs.Way { return webhookTo(tw.t, tw.receiver.URL) }

func (tw *tower) mail() jobs.Way {
	tw.t.Helper()
	m, err := alert.NewMailer(tw.config)
	tw.must(err)
	return jobs.Way{Name: "mail", Most: 500, Deliver: m.Deliver}
}

func (tw *tower) must(err error) {
	tw.t.Helper()
	if err != nil {
		tw.t.Fatal(err)
	}
}

// stuck opens so many cases and raises their alerts.
func (tw *tower) stuck(n int) {
	tw.t.Helper()
	for i := range n {
		tw.must(tw.book.OpenException(tw.t.Context(), ledger.Exception{Kind: "stuck", Subject: fmt.Sprint("thing ", i), Detail: "d", NextStep: "n"}))
	}
	tw.must(tw.worker("w0").Raise(tw.t.Context()))
}

func (tw *tower) deliver(by *jobs.Alerts, way jobs.Way) {
	tw.t.Helper()
	tw.must(by.Deliver(tw.t.Context(), way))
}

// kinds lists the alerts there are, oldest first.
func (tw *tower) kinds() string {
	tw.t.Helper()
	tw.must(tw.worker("w0").Raise(tw.t.Context()))
	alerts, err := tw.book.Alerts(tw.t.Context(), 100)
	tw.must(err)
	var kinds []string
	for _, a := range slices.Backward(alerts) {
		kinds = append(kinds, a.Kind)
	}
	return strings.Join(kinds, " ")
}

// newest is what the newest alert says.
func (tw *tower) newest() string {
	tw.t.Helper()
	tw.must(tw.worker("w0").Raise(tw.t.Context()))
	alerts, err := tw.book.Alerts(tw.t.Context(), 1)
	tw.must(err)
	return strings.Join([]string{alerts[0].Summary, alerts[0].Detail, alerts[0].NextStep}, " | ")
}

func TestAReceiverThatWasDownIsToldLater(t *testing.T) {
	towers(t, func(tw *tower) {
		tw.stuck(30) // more than one worker takes at a time
		by := tw.worker("w1")
		tw.receiver.Answers(http.StatusServiceUnavailable)
		tw.deliver(by, tw.webhook())
		tw.deliver(by, tw.webhook())
		tw.deliver(by, tw.webhook()) // nothing is due: it is left alone for a while
		tw.receiver.Wait()
		tw.receiver.Wait()
		tw.receiver.Answers(http.StatusNoContent)
		tw.clock.set(noon.Add(7 * time.Second)) // not yet
		tw.deliver(by, tw.webhook())
		if posts := tw.receiver.Posts(); len(posts) > 0 {
			tw.t.Fatalf("%d arrived at once", len(posts))
		}
		tw.clock.set(noon.Add(13 * time.Second))
		tw.deliver(by, tw.webhook())
		tw.once(30)
		tw.deliver(by, tw.webhook())
		tw.once(30)
	})
}

// once checks that so many messages arrived, none of them twice.
func (tw *tower) once(n int) {
	tw.t.Helper()
	posts := tw.receiver.Posts()
	ids := map[string]bool{}
	for _, p := range posts {
		ids[p.ID] = true
	}
	if len(posts) != n || len(ids) != n {
		tw.t.Errorf("%d messages arrived, %d different, want %d", len(posts), len(ids), n)
	}
}

func TestFiveHundredAlertsAtOnce(t *testing.T) {
	towers(t, func(tw *tower) {
		tw.stuck(500)
		tw.deliver(tw.worker("w1"), tw.webhook())
		tw.once(500)
		tw.deliver(tw.worker("w1"), tw.mail())
		if mails := tw.mails.Mails(); len(mails) != 1 || mails[0].Subject != "Payrun, test: 500 alerts: 500 stuck" {
			tw.t.Errorf("%d mails", len(mails))
		}
		left, err := tw.book.Backlogs(tw.t.Context())
		if err != nil || len(left) > 0 {
			tw.t.Errorf("left: %+v, %v", left, err)
		}
	})
}

func TestTwoWorkersTellEachThingOnce(t *testing.T) {
	towers(t, func(tw *tower) {
		tw.stuck(100)
		var both sync.WaitGroup
		for i := range 2 {
			both.Go(func() {
				if err := tw.worker(fmt.Sprint("w", i)).Deliver(tw.t.Context(), tw.webhook()); err != nil {
					tw.t.Error(err)
				}
			})
		}
		both.Wait()
		tw.once(100)
	})
}

func TestAReceiverThatIsGoneIsGivenUpInADay(t *testing.T) {
	towers(t, func(tw *tower) {
		tw.stuck(1)
		tw.receiver.Answers(http.StatusNotFound)
		tries := 0
		for at := noon; at.Before(noon.Add(72 * time.Hour)); at = at.Add(10 * time.Minute) {
			tw.clock.set(at)
			tw.deliver(tw.worker("w1"), tw.webhook())
		}
		alerts, err := tw.book.UndeliveredAlerts(tw.t.Context(), 10)
		tw.must(err)
		deliveries, err := tw.book.Deliveries(tw.t.Context(), alerts)
		tw.must(err)
		for _, d := range deliveries {
			if d.Way != "webhook" {
				continue
			}
			tries++
			if after := d.GivenUpAt.Time().Sub(noon); d.Tries != 30 || after < 12*time.Hour || after > 30*time.Hour || !strings.Contains(d.Answer, "answered 404") {
				tw.t.Errorf("given up after %s: %+v", after, d)
			}
		}
		if tries != 1 {
			tw.t.Errorf("%d deliveries: %+v", tries, deliveries)
		}
	})
}

// tell is what a victim does that tells alerts.
func (todo task) tell(ctx context.Context, db *database.DB) error {
	w, err := alert.NewWebhook(alert.WebhookConfig{URL: todo.Gateway, Secret: alerttest.Secret})
	if err != nil {
		return err
	}
	way := jobs.Way{Name: "webhook", Most: 1, Deliver: func(ctx context.Context, m []alert.Message) (string, error) { return w.Deliver(ctx, m[0]) }}
	by := &jobs.Alerts{Book: ledger.New(db, ledger.Config{}), DB: db, Worker: todo.Worker, Source: "test", Lease: todo.Patience}
	return by.Deliver(ctx, way)
}

// A process that dies after the receiver took a message and before it could
// write that down: the message comes again, and can be known by its id.
func TestKilledBetweenDeliveryAndItsRecord(t *testing.T) {
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		address := dbtest.URL(t, engine, migrated)
		tw := newTower(t, dbtest.Open(t, database.Config{URL: address}, migrated), nil)
		tw.stuck(2)
		took, gone := make(chan struct{}), make(chan struct{})
		letGo := sync.OnceFunc(func() { close(gone) })
		defer letGo()
		tw.receiver.Before(sync.OnceFunc(func() { close(took); <-gone }))
		victim := start(t, task{Do: "alert", Database: address, Gateway: tw.receiver.URL, Worker: "victim", Patience: time.Second})
		<-took
		victim.kill()
		tw.receiver.Before(nil)
		letGo()
		poll := time.NewTicker(20 * time.Millisecond)
		defer poll.Stop()
		late := time.After(giveUp)
		for len(tw.receiver.Posts()) < 3 {
			select {
			case <-poll.C: // until the victim's lease ends
			case <-late:
				t.Fatal("its messages do not come again")
			}
			tw.deliver(tw.worker("w1"), tw.webhook())
		}
		posts := tw.receiver.Posts()
		if posts[0].ID != posts[1].ID || posts[1].ID == posts[2].ID || posts[0].Body != posts[1].Body {
			t.Errorf("arrived: %+v", posts)
		}
		tw.deliver(tw.worker("w1"), tw.webhook())
		if n := len(tw.receiver.Posts()); n != 3 {
			t.Errorf("%d messages arrived in all", n)
		}
	})
}

// A receiver that takes a connection and never answers holds up nobody: while
// it hangs, a whole batch is paid.
func TestASlowReceiverHoldsUpNoPayouts(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		ctx, stop := context.WithCancel(t.Context())
		tw := newTower(t, s.db, nil)
		hangs, release := make(chan struct{}), make(chan struct{})
		tw.receiver.Before(sync.OnceFunc(func() { close(hangs); <-release }))
		tw.stuck(1)
		by := tw.worker("w1")
		by.Ways = []jobs.Way{tw.webhook()}
		ended := make(chan struct{})
		go func() { defer close(ended); by.Run(ctx) }()
		defer func() { stop(); close(release); <-ended }()
		<-hangs
		batch := s.approved(s.sheet(40))
		s.disburse()
		s.follow(batch.ID)
		select {
		case <-ended:
			t.Error("the watch ended before the payouts")
		default:
		}
		s.sound()
	})
}

// A stop lets the message under way arrive, and leaves the others to the next
// process at once.
func TestAStopLetsAMessageArrive(t *testing.T) {
	towers(t, func(tw *tower) {
		tw.stuck(3)
		ctx, stop := context.WithCancel(tw.t.Context())
		tw.receiver.Before(stop)
		tw.must(tw.worker("w1").Deliver(ctx, tw.webhook()))
		if n := len(tw.receiver.Posts()); n != 1 {
			tw.t.Fatalf("%d messages arrived", n)
		}
		tw.clock.set(noon.Add(time.Second))
		tw.deliver(tw.worker("w2"), tw.webhook())
		tw.once(3)
	})
}

// The whole way: a sheet is paid, and its end is told with its totals.
func TestWhatABatchCameToIsTold(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		tw := newTower(t, s.db, nil)
		batch := s.approved(s.sheet(5))
		s.disburse()
		s.follow(batch.ID)
		var log bytes.Buffer
		watcher := tw.worker("w1")
		watcher.Log = slog.New(slog.NewTextHandler(&log, nil))
		tw.must(watcher.Raise(t.Context()))
		if text := log.String(); !strings.Contains(text, "level=INFO msg=alert kind=batch-finished") {
			t.Errorf("logged %s", text)
		}
		tw.deliver(tw.worker("w1"), tw.webhook())
		posts := tw.receiver.Posts()
		if len(posts) != 1 || posts[0].Kind != ledger.AlertFinished || posts[0].Detail != "paid: 5 payouts, 60.10 USD" || posts[0].Batch != batch.ID {
			t.Errorf("told %+v", posts)
		}
	})
}

func TestRunsThatAreMissedAreTold(t *testing.T) {
	towers(t, func(tw *tower) {
		plan, _ := counting("report", "30 14 * * *", jobs.RunOnce)
		tt := &timetable{t: tw.t, db: tw.db, clock: tw.clock}
		tt.known(plan)
		watch := func(at time.Duration) {
			tw.t.Helper()
			tw.clock.set(noon.Add(at))
			tw.must(tw.worker("w1", "report").Watch(tw.t.Context()))
		}
		const due = 150 * time.Minute
		watch(due + 10*time.Minute)
		if got := tw.kinds(); got != "" {
			tw.t.Errorf("told %s too early", got)
		}
		watch(due + 11*time.Minute)
		watch(due + 12*time.Minute)
		if got := tw.newest(); tw.kinds() != ledger.AlertRunMissed || !strings.Contains(got, "job report, due at 2031-03-05 14:30 UTC | nothing has run it since") {
			tw.t.Errorf("told %s: %s", tw.kinds(), got)
		}
		stop := tt.start("w2", plan) // it runs at last: no news
		tt.await("report", finished)
		stop()
		watch(due + 13*time.Minute)
		if got := tw.kinds(); got != ledger.AlertRunMissed {
			tw.t.Errorf("told %s", got)
		}
		tw.clock.set(noon.Add(due + 26*time.Hour)) // a day later it is two hours late, because nobody was there
		stop = tt.start("w3", plan)
		tt.await("report", func(s jobs.JobStatus) bool { return finished(s) && s.Last.Worker == "w3" })
		stop()
		watch(due + 26*time.Hour + time.Minute)
		if got := tw.newest(); !strings.Contains(got, "due at 2031-03-06 14:30 UTC | it ran only at 2031-03-06 16:30 UTC") {
			tw.t.Errorf("told %s: %s", tw.kinds(), got)
		}
	})
}

func TestASkippedRunIsToldAndAForgottenJobIsNot(t *testing.T) {
	towers(t, func(tw *tower) {
		tt := &timetable{t: tw.t, db: tw.db, clock: tw.clock}
		skipped, _ := counting("report", "30 14 * * *", jobs.SkipLate)
		forgotten, _ := counting("import", "@every 1m", jobs.RunOnce)
		tt.known(skipped)
		tt.known(forgotten)
		tw.clock.set(noon.Add(155 * time.Minute))
		stop := tt.start("w2", skipped)
		tt.await("report", finished)
		stop()
		tw.must(tw.worker("w1", "report").Watch(tw.t.Context()))
		if got := tw.newest(); tw.kinds() != ledger.AlertRunMissed || !strings.Contains(got, "it was skipped: missed by 5m0s") {
			tw.t.Errorf("told %s: %s", tw.kinds(), got)
		}
	})
}

func TestARunThatFailsIsACaseUntilOneIsDone(t *testing.T) {
	towers(t, func(tw *tower) {
		tt := &timetable{t: tw.t, db: tw.db, clock: tw.clock}
		broken := true
		plan := jobs.Plan{Job: "settle", Spec: "30 14 * * *", Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
			if broken {
				return "", errors.New("the disk is full")
			}
			return "fine", nil
		}}
		tt.known(plan)
		day := 0
		run := func() {
			tw.clock.set(noon.Add(151*time.Minute + time.Duration(day)*24*time.Hour))
			worker := fmt.Sprint("day", day)
			day++
			stop := tt.start(worker, plan)
			tt.await("settle", func(s jobs.JobStatus) bool { return finished(s) && s.Last.Worker == worker })
			stop()
			tw.must(tw.worker("w1", "settle").Watch(tw.t.Context()))
		}
		run()
		if got := tw.newest(); tw.kinds() != ledger.ExceptionRunFailed || !strings.Contains(got, "A job fails: job settle | the disk is full") {
			tw.t.Errorf("told %s: %s", tw.kinds(), got)
		}
		broken = false
		run()
		if open, err := tw.book.Exceptions(tw.t.Context()); err != nil || len(open) > 0 {
			tw.t.Errorf("still open: %+v, %v", open, err)
		}
	})
}

func TestALedgerThatBreaksAPromiseIsACaseUntilItDoesNot(t *testing.T) {
	towers(t, func(tw *tower) {
		admin, err := tw.book.AddUser(tw.t.Context(), ledger.User{}, "ada", ledger.Admin)
		tw.must(err)
		tw.must(tw.book.Fund(tw.t.Context(), admin, 100, "USD", "bank"))
		verify := &jobs.Verify{Book: tw.book, Actor: "worker:w1"}
		steal := func(amount int) {
			tw.must(tw.db.InTx(tw.t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(tw.t.Context(), "UPDATE accounts SET balance = balance + ? WHERE kind = 'available'", amount)
				return err
			}))
		}
		if detail, err := verify.Run(tw.t.Context()); err != nil || !strings.HasSuffix(detail, " checks passed") {
			tw.t.Fatalf("%q, %v", detail, err)
		}
		steal(1)
		for range 2 {
			if _, err := verify.Run(tw.t.Context()); !errors.Is(err, jobs.ErrBreach) {
				tw.t.Fatalf("err = %v", err)
			}
		}
		if got := tw.only(); !strings.Contains(got, "The ledger breaks a promise: ledger") || !strings.Contains(got, "balances: USD available") || !strings.Contains(got, "payrun stop everything") {
			tw.t.Errorf("told %s", got)
		}
		steal(-1)
		if _, err := verify.Run(tw.t.Context()); err != nil {
			tw.t.Error(err)
		}
		if open, err := tw.book.Exceptions(tw.t.Context()); err != nil || len(open) > 0 {
			tw.t.Errorf("still open: %+v, %v", open, err)
		}
	})
}

// only is the newest alert when there is exactly one.
func (tw *tower) only() string {
	tw.t.Helper()
	if kinds := tw.kinds(); strings.Contains(kinds, " ") {
		tw.t.Errorf("told %s", kinds)
	}
	return tw.newest()
}

func TestALedgerThatWasNotVerifiedForLongIsTold(t *testing.T) {
	towers(t, func(tw *tower) {
		watch := func(at time.Duration) string {
			tw.t.Helper()
			tw.clock.set(noon.Add(at))
			tw.must(tw.worker("w1", "verify").Watch(tw.t.Context()))
			return strings.ReplaceAll(tw.kinds(), ledger.AlertRunMissed, "") // that is told as well
		}
		if got := watch(100 * time.Hour); got != "" {
			tw.t.Errorf("an empty store: told %s", got)
		}
		_, err := tw.book.AddUser(tw.t.Context(), ledger.User{}, "ada", ledger.Admin)
		tw.must(err)
		if got := watch(148 * time.Hour); got != "" {
			tw.t.Errorf("told %s too early", got)
		}
		if got := watch(149 * time.Hour); got != ledger.ExceptionUnchecked {
			tw.t.Errorf("told %s", got)
		}
		verify := &jobs.Verify{Book: tw.book, Actor: "worker:w1"}
		plan := jobs.Plan{Job: "verify", Spec: "@every 1h", Missed: jobs.RunOnce, Run: verify.Run}
		tt := &timetable{t: tw.t, db: tw.db, clock: tw.clock}
		tt.known(plan)
		tw.clock.set(noon.Add(151 * time.Hour))
		stop := tt.start("w2", plan)
		tt.await("verify", finished)
		stop()
		watch(151*time.Hour + time.Minute)
		if open, err := tw.book.Exceptions(tw.t.Context()); err != nil || len(open) > 0 {
			tw.t.Errorf("still open: %+v, %v", open, err)
		}
		watch(200 * time.Hour)
		if open, err := tw.book.Exceptions(tw.t.Context()); err != nil || len(open) != 1 || open[0].Kind != ledger.ExceptionUnchecked {
			tw.t.Errorf("open: %+v, %v", open, err)
		}
	})
}

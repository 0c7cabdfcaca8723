package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"payrun/epay"
	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/sandbox"
	"payrun/internal/web"
	"payrun/jobs"
	"payrun/ledger"
)

// listen takes notifications in until the process is killed.
func (todo task) listen(ctx context.Context, book *ledger.Book) error {
	client, err := epay.New(epay.Config{BaseURL: todo.Gateway, Account: sandbox.DefaultAccount, Key: sandbox.DefaultKey, Timeout: victimCall})
	if err != nil {
		return err
	}
	e := &jobs.Engine{Book: book, Gateway: jobs.NewEPAY(client, todo.Notify), Worker: todo.Worker, Rate: jobs.Rate{LookupPercent: 50}}
	if err := e.Defaults(); err != nil {
		return err
	}
	server, err := web.New(web.Config{Book: book, Notifier: e, NotificationsPerSecond: 1000})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return server.Serve(ctx, listener)
}

// killInTransaction kills a process that began a transaction and did not end
// it. On PostgreSQL the process waits there for rows that the test holds, as
// the query selects them. On SQLite it waits to begin, is let go, and stopped
// as soon as it holds the file's lock: then it may also have committed. It is
// killed as well when over says that it was faster.
func (d *doomed) killInTransaction(rows string, begin func() *process, over func() bool) {
	d.t.Helper()
	if d.db.Path() != "" {
		d.killWriter(begin, over)
		return
	}
	d.must(dbtest.Patiently(d.t.Context(), d.db, func(tx *database.Tx) error {
		var one []int64
		if err := tx.Select(d.t.Context(), &one, rows); err != nil {
			return err
		}
		p := begin()
		backend := d.count("SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
			func(pid int64) bool { return pid > 0 })
		p.kill()
		return d.forget(backend) // the rows are let go after it
	}))
	d.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()", func(n int64) bool { return n == 0 })
}

// forget ends what the server still does for a client that is gone.
func (d *doomed) forget(backend int64) error {
	var done bool
	return d.db.Get(context.WithoutCancel(d.t.Context()), &done, "SELECT pg_terminate_backend(CAST(? AS integer))", backend)
}

// never is for those who begin again and again.
func never() bool { return false }

func (d *doomed) killWriter(begin func() *process, over func() bool) {
	d.t.Helper()
	probe, err := sqlx.Open("sqlite", "file:"+d.db.Path()+"?_busy_timeout=0")
	d.must(err)
	defer probe.Close()
	lock, err := probe.Connx(d.t.Context())
	d.must(err)
	defer lock.Close()
	free := func() bool { // and then held, by this test
		_, err := lock.ExecContext(d.t.Context(), "BEGIN IMMEDIATE")
		return err == nil
	}
	release := func() {
		_, err := lock.ExecContext(d.t.Context(), "ROLLBACK")
		d.must(err)
	}
	for !free() {
	}
	p := begin()
	deadline, poll := time.Now().Add(giveUp), time.NewTicker(100*time.Microsecond)
	defer poll.Stop()
	for {
		release()
		for free() {
			release()
			if over() {
				p.kill()
				return
			}
			<-poll.C // the process needs a processor, too
			if time.Now().After(deadline) {
				d.t.Fatal("nobody writes")
			}
		}
		d.must(p.command.Process.Signal(syscall.SIGSTOP))
		if !free() {
			p.kill()
			return
		}
		d.must(p.command.Process.Signal(syscall.SIGCONT)) // it was over already
	}
}

func TestKilledBeforeTheIntentIsCommitted(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		for range 20 {
			batch := d.approved(d.sheet(12))
			d.killInTransaction("SELECT reported FROM balances FOR UPDATE", func() *process { return start(t, d.task("disburse")) }, never)
			d.door.quiet()
			states := d.states(batch.ID)
			if n := d.creates.Load(); n != 0 && states[ledger.Approved] == 12 {
				t.Fatalf("%d creates without an intent", n)
			}
			d.drained(batch)
			d.creates.Store(0)
			d.door.onCreate(func() { d.creates.Add(1) })
			if states[ledger.Approved] == 12 {
				return
			}
			if d.db.Path() == "" {
				t.Fatalf("the claim was committed: %v", states)
			}
		}
		t.Fatal("every claim was faster than the kill")
	})
}

func TestKilledAfterTheOutcomeIsCommitted(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		batch := d.approved(d.sheet(12))
		todo := d.task("disburse")
		todo.Linger = time.Millisecond
		p := start(t, todo)
		d.count("SELECT count(*) FROM payouts WHERE state IN ('UNSENT', 'SENDING')", func(n int64) bool { return n == 0 })
		p.kill()
		d.drained(batch)
		if got := d.states(batch.ID); got[ledger.Succeeded] != 12 {
			t.Errorf("states %v", got)
		}
	})
}

func TestKilledBeforeAnApprovalIsCommitted(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		im, err := d.importing.File(t.Context(), d.maker, d.sheet(300), jobs.ImportChoice{})
		d.must(err)
		d.must(d.book.Submit(t.Context(), d.maker, im.Batch.ID))
		todo := d.task("approve")
		todo.Batch = im.Batch.ID
		d.killInTransaction("SELECT position FROM audit_head FOR UPDATE", func() *process { return start(t, todo) }, never)
		batch, err := d.book.Batch(t.Context(), im.Batch.ID)
		d.must(err)
		balances, err := d.book.Balances(t.Context())
		d.must(err)
		if held := balances[0].Held > 0; held != (batch.State == ledger.Approved) {
			t.Errorf("the batch is %s and %d are held", batch.State, balances[0].Held)
		}
		if d.db.Path() == "" && batch.State != ledger.Submitted {
			t.Errorf("the batch is %s before its approval was committed", batch.State)
		}
		d.sound()
		if batch.State == ledger.Submitted {
			d.must(d.book.Approve(t.Context(), d.checker, batch.ID))
		}
		d.sound()
	})
}

func (todo task) confirm(ctx context.Context, book *ledger.Book) error {
	checker, err := book.User(ctx, todo.Checker)
	if err != nil {
		return err
	}
	if err := book.Confirm(ctx, checker, todo.Proposal); err != nil && !errors.Is(err, ledger.ErrConflict) {
		return err
	}
	return nil
}

// A payout that was booked as paid is corrected, or it is not: never half.
func TestKilledBeforeACorrectionIsCommitted(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		ctx := t.Context()
		batch := d.approved(d.sheet(1))
		d.disburse()
		d.follow(batch.ID)
		before := d.balances()
		todo := d.task("confirm")
		var err error
		todo.Proposal, err = d.book.Propose(ctx, d.maker, batch.OrderPrefix+"00000001", ledger.Proposal{
			Outcome: ledger.OutcomeFailed, Reason: "the gateway took it back", Evidence: "its letter of today",
		})
		d.must(err)
		d.killInTransaction("SELECT position FROM audit_head FOR UPDATE", func() *process { return start(t, todo) }, never)
		corrected := d.states(batch.ID)[ledger.Failed] == 1
		if corrected && d.db.Path() == "" {
			t.Error("corrected before it was committed")
		}
		if after := d.balances(); (after == before) == corrected {
			t.Errorf("corrected: %v, balances from %+v to %+v", corrected, before, after)
		}
		d.unbroken()
		if err := d.book.Confirm(ctx, d.checker, todo.Proposal); (err == nil) == corrected {
			t.Errorf("corrected: %v, confirmed again: %v", corrected, err)
		}
		if d.states(batch.ID)[ledger.Failed] != 1 || d.balances() == before {
			t.Errorf("states %v, balances %+v", d.states(batch.ID), d.balances())
		}
		d.unbroken()
	})
}

func (d *doomed) balances() ledger.Balances {
	d.t.Helper()
	all, err := d.book.Balances(d.t.Context())
	d.must(err)
	return all[0]
}

// unbroken fails the test when any promise of the ledger is broken. What
// people decide against the sandbox's book is not compared with it.
func (d *doomed) unbroken() {
	d.t.Helper()
	_, breaches, err := d.book.Verify(d.t.Context())
	d.must(err)
	for _, b := range breaches {
		d.t.Errorf("%s: %s: %s", b.Check, b.Row, b.Wrong)
	}
}

// relay stands where the gateway's notifications arrive, and hands them to
// whichever process listens now.
type relay struct {
	to       atomic.Pointer[string]
	answers  chan string // of the processes; "" from one that died
	arriving chan struct{}
	open     chan struct{} // closed when they may pass
}

// ServeHTTP hands one notification on.
func (r *relay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	select {
	case r.arriving <- struct{}{}:
	default:
	}
	<-r.open
	answer, err := r.forward(request)
	if err != nil {
		answer = ""
		w.WriteHeader(http.StatusBadGateway)
	}
	io.WriteString(w, answer)
	r.answers <- answer
}

func (r *relay) forward(request *http.Request) (string, error) {
	response, err := http.Post("http://"+*r.to.Load()+request.URL.Path, request.Header.Get("Content-Type"), request.Body)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func (d *doomed) relayed() *relay {
	d.t.Helper()
	r := &relay{answers: make(chan string, 1000), arriving: make(chan struct{}, 1), open: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	server := &http.Server{Handler: r}
	go server.Serve(listener)
	d.t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	d.notify = "http://" + listener.Addr().String() + "/notify/epay"
	d.engine.Gateway = jobs.NewEPAY(d.client, d.notify)
	return r
}

// listening starts a process that takes notifications in.
func (d *doomed) listening(r *relay) *process {
	d.t.Helper()
	p := start(d.t, d.task("listen"))
	select {
	case address := <-p.lines:
		r.to.Store(&address)
	case <-time.After(giveUp):
		d.t.Fatal("nobody listens")
	}
	return p
}

func TestKilledBeforeANotificationIsCommitted(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		for range 20 {
			if d.killedOverANotification() {
				return
			}
		}
		t.Fatal("every notification was stored faster than the kill")
	})
}

// killedOverANotification returns false when the notification was stored all
// the same, as the test then demands of one that was answered with success.
func (d *doomed) killedOverANotification() (lost bool) {
	d.t.Helper()
	d.faults()
	r := d.relayed()
	batch := d.approved(d.sheet(1))
	d.disburse()
	<-r.arriving
	before := d.notifications()
	d.killInTransaction("SELECT id FROM payouts FOR UPDATE", func() *process {
		p := d.listening(r)
		close(r.open)
		return p
	}, func() bool { return len(r.answers) > 0 })
	answer := <-r.answers
	lost = d.notifications() == before
	switch {
	case answer == "success" && lost:
		d.t.Error("answered success, and nothing is stored")
	case answer != "success" && !lost && d.db.Path() == "":
		d.t.Error("stored before the commit")
	}
	p := d.listening(r)
	deadline := time.After(giveUp)
	for answer != "success" {
		select {
		case answer = <-r.answers:
		case <-deadline:
			d.t.Fatal("it is not delivered again")
		}
	}
	if d.notifications() == before {
		d.t.Error("answered success, and nothing is stored")
	}
	d.drained(batch)
	p.kill()
	if got := d.states(batch.ID); got[ledger.Succeeded] != 1 {
		d.t.Errorf("states %v", got)
	}
	return lost
}

func (d *doomed) notifications() int64 {
	d.t.Helper()
	return d.count("SELECT count(*) FROM evidence WHERE kind = 'callback'", func(int64) bool { return true })
}

package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/sandbox"
)

// crew is a place on PostgreSQL whose gateway pays a repeated order again.
type crew struct {
	*place
	gateway               *sandbox.Server
	admin, maker, checker string
}

func newCrew(t *testing.T, settings sandbox.Config, environ ...string) *crew {
	t.Helper()
	settings.Duplicates = sandbox.DuplicatePay
	p := newPlace(t, append([]string{"PAYRUN_DATABASE_URL=" + dbtest.Empty(t, "postgres")}, environ...)...)
	p.must("migrate")
	c := &crew{gateway: p.gateway(settings)}
	c.place = p.at(c.gateway.URL())
	c.admin, c.maker, c.checker = c.people()
	c.as(c.admin).must("funds", "add", "100000.00", "USD", "--evidence", "bank reference 4711")
	return c
}

// approved takes n good rows to the point where workers may send them.
func (c *crew) approved(n int) {
	c.t.Helper()
	c.as(c.maker).must("run", c.sheet(goodRows(n)...))
	c.as(c.checker).must("batch", "approve", "1")
}

func (p *place) setting(name string) string {
	for _, pair := range p.environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func (c *crew) workers(n int) []*process {
	workers := make([]*process, n)
	for i := range workers {
		workers[i] = c.start("work")
	}
	return workers
}

// once fails the test unless the gateway paid each of n orders one time.
func (c *crew) once(n int) {
	c.t.Helper()
	book := c.gateway.Book()
	if len(book.Orders) != n || len(book.PaidTwice()) > 0 {
		c.t.Errorf("the gateway has %d orders of %d, paid twice: %v", len(book.Orders), n, book.PaidTwice())
	}
	c.must("verify")
}

func TestThreeWorkersShareABatch(t *testing.T) {
	t.Parallel()
	const payouts = 60
	c := newCrew(t, sandbox.Demo(), "PAYRUN_GATEWAY_IN_FLIGHT=2")
	workers := c.workers(3)
	for _, w := range workers {
		w.errOut.line(t, "working")
	}
	c.approved(payouts)
	eventually(t, "all are paid", func() bool { return c.states(1)["SUCCEEDED"] == payouts })
	for _, w := range workers {
		w.signal(syscall.SIGTERM)
		w.wait().exits(exitOK)
	}
	c.once(payouts)
}

// Whatever three processes call, also for limits and balances, they share one
// budget: the gateway's own record holds no more than that, where each for
// itself would make three times as many. It counts over seconds, since a busy
// machine blurs when calls arrive; single slots are the ledger's tests' matter.
func TestThreeWorkersStayUnderTheLimitTogether(t *testing.T) {
	const payouts, limit, seconds, blurred = 60, 20, 4, 2
	c := newCrew(t, sandbox.Demo(), "PAYRUN_GATEWAY_IN_FLIGHT=8", "PAYRUN_SCHEDULE_LIMITS=@every 1s")
	c.place = c.with(fmt.Sprint("PAYRUN_GATEWAY_CALLS_PER_SECOND=", limit))
	workers := c.workers(3)
	c.approved(payouts)
	eventually(t, "all are paid", func() bool { return c.states(1)["SUCCEEDED"] == payouts })
	eventually(t, "limits and balances were asked for", func() bool {
		calls := c.gateway.Book().Calls
		return len(calls[sandbox.Limits])+len(calls[sandbox.Balance]) >= 3*5
	})
	for _, w := range workers {
		w.signal(syscall.SIGTERM)
		w.wait().exits(exitOK)
	}
	if most := c.gateway.Book().Busiest(seconds * time.Second); most > limit*(seconds+blurred) {
		t.Errorf("%d calls arrived in the busiest %d seconds, %d a second are allowed", most, seconds, limit)
	}
	c.once(payouts)
}

// A worker that stands still holds what it claimed; the others take it over as
// doubt, pay the rest, and it sends nothing when it wakes up.
func TestAWorkerThatStandsStill(t *testing.T) {
	t.Parallel()
	const payouts = 60
	c := newCrew(t, sandbox.Demo(), "PAYRUN_GATEWAY_IN_FLIGHT=2", "PAYRUN_GATEWAY_CALLS_PER_SECOND=60", "PAYRUN_GATEWAY_TIMEOUT=1s")
	c.approved(payouts)
	workers := c.workers(3)
	eventually(t, "something is paid", func() bool { return c.states(1)["SUCCEEDED"] > 0 })
	workers[0].signal(syscall.SIGSTOP)
	// Its claims, if it held any, are in doubt once their lease is over.
	// What it was looking up waits longer.
	eventually(t, "the others go on without it", func() bool {
		states := c.states(1)
		return states["APPROVED"]+states["SENDING"] == 0 && states["ACCEPTED"] <= 2
	})
	before := len(c.gateway.Book().Orders)
	workers[0].signal(syscall.SIGCONT)
	eventually(t, "everything the gateway has comes to its end", func() bool { return c.states(1)["ACCEPTED"] == 0 })
	for _, w := range workers {
		w.signal(syscall.SIGTERM)
		w.wait().exits(exitOK)
	}
	states := c.states(1)
	if states["SUCCEEDED"]+states["UNKNOWN"] != payouts || states["SUCCEEDED"] < payouts-10 {
		t.Errorf("states: %v", states)
	}
	if after := len(c.gateway.Book().Orders); after != before {
		t.Errorf("it sent %d payouts after it had stood still", after-before)
	}
	if twice := c.gateway.Book().PaidTwice(); len(twice) > 0 {
		t.Errorf("paid twice: %v", twice)
	}
	c.must("verify")
}

// A worker that stands still inside a transaction keeps its locks only for a
// while: the send budget is one row, and without it nobody sends.
func TestAWorkerThatStandsStillWithALock(t *testing.T) {
	t.Parallel()
	const payouts = 10
	c := newCrew(t, sandbox.Demo(), "PAYRUN_GATEWAY_TIMEOUT=1s")
	c.approved(payouts)
	ctx, db := t.Context(), dbtest.Open(t, database.Config{URL: c.setting("PAYRUN_DATABASE_URL")}, func(context.Context, *database.DB) error { return nil })
	budget := func(statement string) func(*database.Tx) error {
		return func(tx *database.Tx) error {
			_, err := tx.Exec(ctx, statement)
			return err
		}
	}
	must(t, db.InTx(ctx, budget("INSERT INTO budgets (name, next_free_at) VALUES ('sends', 0)")))
	var still *process
	must(t, dbtest.Patiently(ctx, db, func(tx *database.Tx) error {
		if err := budget("UPDATE budgets SET next_free_at = 0")(tx); err != nil {
			return err
		}
		still = c.start("work")
		eventually(t, "it waits for the budget", func() bool {
			var waiting int
			must(t, db.Get(ctx, &waiting, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock' AND query LIKE '%FROM budgets%'`))
			return waiting > 0
		})
		still.signal(syscall.SIGSTOP)
		return nil // now the lock is its
	}))
	others := c.workers(2)
	eventually(t, "the others pay", func() bool { return c.states(1)["SUCCEEDED"] == payouts })
	still.signal(syscall.SIGCONT)
	for _, w := range append(others, still) {
		w.signal(syscall.SIGTERM)
		w.wait().exits(exitOK)
	}
	c.once(payouts)
}

func TestWorkNeedsAGatewayAndAStoreThatOthersCanUse(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.run("work").exits(exitUsage).complains("set gateway.url", "payrun sandbox")
	live := p.live(sandbox.Demo())
	serving := live.with("PAYRUN_LISTEN=127.0.0.1:0").start("serve")
	serving.errOut.line(t, "serving")
	live.run("work").exits(exitDatabase).complains("another payrun process runs the jobs", "use PostgreSQL for more than one process")
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK)
	working := live.start("work", "--listen", "127.0.0.1:0")
	_, rest, _ := strings.Cut(working.errOut.line(t, "working"), "address=")
	address, _, _ := strings.Cut(rest, " ")
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "payrun_payouts_sent_total"} {
		if status, body := fetch(t, fmt.Sprint("http://", address, path)); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, short(body))
		}
	}
	working.signal(syscall.SIGTERM)
	working.wait().exits(exitOK)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

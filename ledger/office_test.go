package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// clock stands still until a test moves it.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.micros.Store(time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// eachAt opens an office on both engines, with a clock that the test moves.
func eachAt(t *testing.T, test func(*testing.T, *office, *clock)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o, c := officeAt(t, engine)
			test(t, o, c)
		})
	}
}

func officeAt(t *testing.T, engine string) (*office, *clock) {
	t.Helper()
	c := newClock()
	db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, engine, migrated), Clock: c.now}, migrated)
	return open(t, db), c
}

// refresh makes the limits and the gateway's balance as new as the clock.
func (o *office) refresh() {
	o.t.Helper()
	limits, err := o.Limits(o.t.Context())
	must(o.t, err)
	must(o.t, o.SetLimits(o.t.Context(), limits))
	must(o.t, o.SetGatewayBalance(o.t.Context(), "USD", topUp))
}

// looked is the finding of a look-up.
func looked(c ledger.Claim, from, to ledger.State, reason ledger.Reason) ledger.Finding {
	f := answered(c, to, reason)
	f.From, f.Evidence.Kind = from, ledger.EvidenceLookup
	return f
}

// put brings a freshly claimed payout to a state, over legal steps only.
func (o *office) put(c ledger.Claim, to ledger.State) {
	o.t.Helper()
	steps := map[ledger.State][]ledger.Finding{
		ledger.Sending:   {},
		ledger.Unknown:   {answered(c, ledger.Unknown, ledger.ByDoubt)},
		ledger.Accepted:  {answered(c, ledger.Accepted, ledger.ByAcceptance)},
		ledger.Review:    {answered(c, ledger.Review, ledger.ByConflict)},
		ledger.Succeeded: {answered(c, ledger.Succeeded, ledger.BySuccess)},
		ledger.Failed:    {answered(c, ledger.Failed, ledger.ByFailure)},
		ledger.FailedFee: {answered(c, ledger.FailedFee, ledger.ByKeptFee)},
		ledger.Closed: {
			answered(c, ledger.Accepted, ledger.ByAcceptance),
			looked(c, ledger.Accepted, ledger.Closed, ledger.ByClosing),
		},
		ledger.Approved: {answered(c, ledger.Approved, ledger.ByNotSending)},
	}
	for _, f := range steps[to] {
		if n := o.record(f); n != 1 {
			o.t.Fatalf("%s to %s had no effect", f.From, f.To)
		}
	}
}

func (o *office) payout(orderNo string) ledger.Payout {
	o.t.Helper()
	p, err := o.Payout(o.t.Context(), orderNo)
	must(o.t, err)
	return p
}

// count runs a query for one number.
func (o *office) count(query string, args ...any) int64 {
	o.t.Helper()
	var n int64
	must(o.t, o.db.Get(o.t.Context(), &n, query, args...))
	return n
}

func (o *office) evidenceOf(payout int64) int64 {
	o.t.Helper()
	return o.count("SELECT count(*) FROM evidence WHERE payout_id = ?", payout)
}

// exceptionsOf lists the kinds of the open exceptions about a payout.
func (o *office) exceptionsOf(payout int64) string {
	o.t.Helper()
	open, err := o.Exceptions(o.t.Context())
	must(o.t, err)
	var kinds []string
	for _, e := range open {
		if e.PayoutID == payout {
			kinds = append(kinds, e.Kind)
		}
	}
	return strings.Join(kinds, " ")
}

// exec runs a statement that no guard of the schema forbids.
func (o *office) exec(query string, args ...any) {
	o.t.Helper()
	must(o.t, o.db.InTx(o.t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(o.t.Context(), query, args...)
		return err
	}))
}

// tamper runs statements as somebody would who owns the database: without
// triggers, foreign keys and checks, which are back when it returns.
func (o *office) tamper(statements ...string) {
	o.t.Helper()
	ctx := context.WithoutCancel(o.t.Context()) // it also cleans up
	connection, err := o.db.Writer().Conn(ctx)
	must(o.t, err)
	defer connection.Close()
	run := func(statement string) {
		if _, err := connection.ExecContext(ctx, statement); err != nil {
			o.t.Fatalf("%s: %v", statement, err)
		}
	}
	if o.db.Dialect.Name == database.Postgres.Name {
		run("SET session_replication_role = replica")
		defer run("SET session_replication_role = DEFAULT")
		for _, statement := range statements {
			run(statement)
		}
		return
	}
	run("PRAGMA foreign_keys = 0")
	run("PRAGMA ignore_check_constraints = 1")
	defer run("PRAGMA foreign_keys = 1")
	defer run("PRAGMA ignore_check_constraints = 0")
	rows, err := connection.QueryContext(ctx, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
	must(o.t, err)
	triggers := map[string]string{}
	for rows.Next() {
		var name, text string
		must(o.t, rows.Scan(&name, &text))
		triggers[name] = text
	}
	must(o.t, rows.Err())
	for name := range triggers {
		run("DROP TRIGGER " + name)
	}
	for _, statement := range statements {
		run(statement)
	}
	for _, text := range triggers {
		run(text)
	}
}

// together runs f n times at once and fails the test on the first error.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("%d of %d: %v", i+1, n, err)
		}
	}
}

// breaches returns what Verify finds, as "check: row".
func (o *office) breaches() []string {
	o.t.Helper()
	_, breaches, err := o.Verify(o.t.Context())
	must(o.t, err)
	var all []string
	for _, b := range breaches {
		all = append(all, fmt.Sprintf("%s: %s", b.Check, b.Row))
	}
	return all
}

package ledger_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		o, c := officeAt(t, engine)
		test(t, o, c)
	})
}

func officeAt(t *testing.T, engine string) (*office, *clock) {
	t.Helper()
	c := newClock()
	return officeOn(t, engine, &testTime, c.now), c
}

// image is a SQLite file with an office in it. Copying it takes a tenth of
// what migrating a new one takes.
type image struct {
	sync.Mutex
	file []byte
}

// One image per kind of clock, since an office remembers when it was opened.
var realTime, testTime image

func (m *image) copyTo(t *testing.T, path string, now func() time.Time) {
	t.Helper()
	m.Lock()
	defer m.Unlock()
	if m.file == nil {
		original := filepath.Join(t.TempDir(), "original.db")
		db, err := database.Open(t.Context(), database.Config{URL: "sqlite:" + original, Clock: now})
		must(t, err)
		must(t, migrated(t.Context(), db))
		open(t, db)
		must(t, db.Close())
		m.file, err = os.ReadFile(original)
		must(t, err)
	}
	must(t, os.WriteFile(path, m.file, 0o600))
}

// officeOn opens an office on a fresh store of the engine.
func officeOn(t *testing.T, engine string, m *image, now func() time.Time) *office {
	t.Helper()
	if engine == "postgres" {
		return open(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, engine, migrated), Clock: now}, migrated))
	}
	path := filepath.Join(t.TempDir(), "payrun.db")
	m.copyTo(t, path, now)
	o := reopened(t, dbtest.Open(t, database.Config{URL: "sqlite:" + path, Clock: now}, prepared))
	o.refresh() // the image may be older than limits may be
	return o
}

func prepared(context.Context, *database.DB) error { return nil }

// reopened is the office of a store that one was opened in before.
func reopened(t *testing.T, db *database.DB) *office {
	t.Helper()
	o := &office{Book: ledger.New(db, ledger.Config{}), t: t, db: db}
	for name, user := range map[string]*ledger.User{"ada": &o.admin, "mia": &o.maker, "charles": &o.checker, "bo": &o.both} {
		var err error
		*user, err = o.User(t.Context(), name)
		must(t, err)
	}
	return o
}

// refresh makes the limits and the gateway's balance as new as the clock.
func (o *office) refresh() {
	o.t.Helper()
	limits, err := o.Limits(o.t.Context())
	must(o.t, err)
	must(o.t, o.SetLimits(o.t.Context(), limits))
	must(o.t, o.SetGatewayBalance(o.t.Context(), "USD", topUp, ledger.AllCommitted))
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
	if to == ledger.Cancelled {
		o.put(c, ledger.Approved)
		o.decide(c.OrderNo(), said(ledger.OutcomeCancel))
		return
	}
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
// triggers, foreign keys and checks, all of which are back when it returns.
func (o *office) tamper(statements ...string) {
	o.t.Helper()
	ctx := context.WithoutCancel(o.t.Context()) // it also cleans up
	connection, err := o.db.Writer().Conn(ctx)
	must(o.t, err)
	defer connection.Close()
	dialect := o.db.Dialect.Name
	drop, restore := o.guards(ctx, connection, touched(statements))
	run := func(statements ...string) (err error) {
		for _, statement := range statements {
			if _, err = connection.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
	err = run(slices.Concat(unguard[dialect], drop, statements)...)
	must(o.t, errors.Join(err, run(slices.Concat(restore, reguard[dialect])...)))
}

var (
	unguard = map[string][]string{
		database.SQLite.Name:   {"PRAGMA foreign_keys = 0", "PRAGMA ignore_check_constraints = 1"},
		database.Postgres.Name: {"SET session_replication_role = replica"},
	}
	reguard = map[string][]string{
		database.SQLite.Name:   {"PRAGMA foreign_keys = 1", "PRAGMA ignore_check_constraints = 0"},
		database.Postgres.Name: {"SET session_replication_role = DEFAULT"},
	}
	// guardsOf lists what has to be dropped from a table, and how to make it
	// again: SQLite cannot disable triggers, nor PostgreSQL checks.
	guardsOf = map[string]string{
		database.SQLite.Name: `SELECT 'DROP TRIGGER ' || name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?`,
		database.Postgres.Name: `SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname,
			'ALTER TABLE ' || conrelid::regclass || ' ADD CONSTRAINT ' || conname || ' ' || replace(pg_get_constraintdef(oid), ' NOT VALID', '') || ' NOT VALID'
			FROM pg_constraint WHERE contype = 'c' AND conrelid = CAST($1 AS regclass)`,
	}
)

func (o *office) guards(ctx context.Context, connection *sql.Conn, tables []string) (drop, restore []string) {
	o.t.Helper()
	for _, table := range tables {
		rows, err := connection.QueryContext(ctx, guardsOf[o.db.Dialect.Name], table)
		must(o.t, err)
		for rows.Next() {
			var off, on string
			must(o.t, rows.Scan(&off, &on))
			drop, restore = append(drop, off), append(restore, on)
		}
		must(o.t, rows.Err())
		must(o.t, rows.Close())
	}
	return drop, restore
}

var target = regexp.MustCompile(`^(?:UPDATE|DELETE FROM|INSERT INTO) (\w+)`)

// touched lists the tables that the statements change.
func touched(statements []string) []string {
	var tables []string
	for _, statement := range statements {
		if found := target.FindStringSubmatch(statement); found != nil && !slices.Contains(tables, found[1]) {
			tables = append(tables, found[1])
		}
	}
	return tables
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

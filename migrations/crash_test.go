package migrations_test

import (
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/migrations"
)

// victimStore is the environment variable that makes this test binary a
// process that migrates the store it names, to be killed.
const victimStore = "PAYRUN_TEST_VICTIM"

// TestMain runs the tests, or that process.
func TestMain(m *testing.M) {
	if address := os.Getenv(victimStore); address != "" {
		os.Exit(victim(address))
	}
	os.Exit(m.Run())
}

func victim(address string) int {
	ctx := context.Background()
	db, err := database.Open(ctx, database.Config{URL: address})
	if err == nil {
		_, err = migrations.Up(ctx, db)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		return 1
	}
	return 0
}

// process is a victim that runs.
type process struct {
	t       *testing.T
	command *osexec.Cmd
	ended   chan struct{}
}

func migrating(t *testing.T, address string) *process {
	t.Helper()
	p := &process{t, osexec.Command(os.Args[0]), make(chan struct{})}
	p.command.Env = append(os.Environ(), victimStore+"="+address)
	p.command.Stderr = os.Stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait() // "signal: killed"
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// schemas list everything that migrations make, but for what the tool itself
// makes before the first of them.
var schemas = map[string]string{
	database.SQLite.Name: "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema",
	database.Postgres.Name: `SELECT 'column ' || c.relname || ' ' || a.attname || ' ' || a.atttypid::regtype FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace
		UNION ALL SELECT 'trigger ' || t.tgname || ' ' || t.tgrelid::regclass FROM pg_trigger t WHERE NOT t.tgisinternal
		UNION ALL SELECT 'constraint ' || k.conname || ' ' || k.conrelid::regclass FROM pg_constraint k WHERE k.connamespace = current_schema()::regnamespace
		UNION ALL SELECT 'function ' || p.proname FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace`,
}

func schema(t *testing.T, db *database.DB) []string {
	t.Helper()
	var lines []string
	if err := db.Select(t.Context(), &lines, schemas[db.Dialect.Name]); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// whole fails the test unless the store has exactly the schema of a version,
// and can be brought to the newest one.
func whole(t *testing.T, engine, address string) (version int64) {
	t.Helper()
	db := open(t, address)
	if len(schema(t, db)) > 0 { // else it was killed before it began
		if err := db.Get(t.Context(), &version, "SELECT max(version_id) FROM payrun_migrations"); err != nil {
			t.Fatal(err)
		}
	}
	reference := open(t, dbtest.Empty(t, engine))
	if err := migrations.UpTo(t.Context(), reference, max(version, 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := schema(t, db), schema(t, reference); version > 0 && !slices.Equal(got, want) {
		t.Errorf("version %d is between two: %d things, want %d", version, len(got), len(want))
	}
	if version == 0 {
		nothing(t, db)
	}
	if _, err := migrations.Up(t.Context(), db); err != nil {
		t.Error(err)
	}
	if err := migrations.Check(t.Context(), db); err != nil {
		t.Error(err)
	}
	return version
}

func nothing(t *testing.T, db *database.DB) {
	t.Helper()
	tables := map[string]string{
		database.SQLite.Name:   "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'payrun_migrations'",
		database.Postgres.Name: "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'payrun_migrations'",
	}
	var n int64
	if err := db.Get(t.Context(), &n, tables[db.Dialect.Name]); err != nil || n > 0 {
		t.Errorf("%d tables before the first version, %v", n, err)
	}
}

// PostgreSQL's own tables are locked by the test, so that the migration waits
// at the first statement that writes to them: a foreign key in the first
// version, a function in the second.
func TestKilledInAMigrationOfPostgreSQL(t *testing.T) {
	t.Parallel()
	for catalog, want := range map[string]int64{"pg_trigger": 0, "pg_proc": 1} {
		t.Run(catalog, func(t *testing.T) {
			t.Parallel()
			address := dbtest.Empty(t, "postgres")
			db := open(t, address)
			err := dbtest.Patiently(t.Context(), db, func(tx *database.Tx) error {
				if _, err := tx.Exec(t.Context(), "LOCK TABLE "+catalog+" IN SHARE MODE"); err != nil {
					return err
				}
				p := migrating(t, address)
				waiting := waits(t, db)
				p.kill()
				var gone bool
				return tx.Get(t.Context(), &gone, "SELECT pg_terminate_backend(CAST(? AS integer))", waiting)
			})
			if err != nil {
				t.Fatal(err)
			}
			if version := whole(t, "postgres", address); version != want {
				t.Errorf("killed in version %d, and it is %d", want+1, version)
			}
		})
	}
}

// waits returns the server process that waits for the lock.
func waits(t *testing.T, db *database.DB) (process int64) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for process == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the migration does not come to the lock")
		}
		err := db.Get(t.Context(), &process, `SELECT coalesce(max(l.pid), 0) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE NOT l.granted AND d.datname = current_database()`)
		if err != nil {
			t.Fatal(err)
		}
	}
	return process
}

// On SQLite the process is stopped whenever it holds the file's lock, and
// killed there; wherever that is, the store has a whole version.
func TestKilledInAMigrationOfSQLite(t *testing.T) {
	t.Parallel()
	const stops = 12
	inside := 0
	for kills := range stops {
		address := dbtest.Empty(t, "sqlite")
		p := migrating(t, address)
		if p.stopInTransaction(open(t, address).Path(), 1+kills/2) {
			inside++
		}
		p.kill()
		whole(t, "sqlite", address)
	}
	if inside < stops/4 {
		t.Errorf("only %d of %d were stopped in a transaction", inside, stops)
	}
}

// stopInTransaction stops the process in its nth transaction, or returns false
// when it was faster.
func (p *process) stopInTransaction(path string, n int) bool {
	p.t.Helper()
	probe, err := sqlx.Open("sqlite", "file:"+path+"?_busy_timeout=0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer probe.Close()
	probe.SetMaxOpenConns(1)
	busy := func() bool {
		if _, err := probe.ExecContext(p.t.Context(), "BEGIN IMMEDIATE"); err != nil {
			return true
		}
		_, err := probe.ExecContext(p.t.Context(), "ROLLBACK")
		return err != nil
	}
	for seen := 0; !p.hasEnded(); {
		if !busy() {
			continue
		}
		_ = p.command.Process.Signal(syscall.SIGSTOP)
		if busy() {
			if seen++; seen >= n {
				return true
			}
		}
		_ = p.command.Process.Signal(syscall.SIGCONT)
	}
	return false
}

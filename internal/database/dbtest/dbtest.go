// Package dbtest gives each test a fresh store of its own, on real SQLite and
// real PostgreSQL.
//
// PostgreSQL is taken from PAYRUN_TEST_POSTGRES; without it the package starts
// a private server through scripts/postgres, which lives as long as the test
// process. A server that cannot be had fails the test.
package dbtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"payrun/internal/database"
)

// Prepare brings an empty store to the schema under test.
type Prepare func(context.Context, *database.DB) error

// Each runs test once per engine, on a fresh store.
func Each(t *testing.T, prepare Prepare, test func(*testing.T, *database.DB)) {
	t.Helper()
	EachEngine(t, func(t *testing.T, engine string) {
		test(t, Open(t, database.Config{URL: URL(t, engine, prepare)}, prepare))
	})
}

// EachEngine runs test once per engine, for stores that are opened in a way of
// their own.
func EachEngine(t *testing.T, test func(t *testing.T, engine string)) {
	t.Helper()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// URL returns the address of a fresh, prepared store of the engine.
func URL(t testing.TB, engine string, prepare Prepare) string {
	t.Helper()
	if engine == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "payrun.db")
	}
	return cloned(t, prepare)
}

// Open opens the store and prepares it; it is closed when the test ends.
func Open(t testing.TB, config database.Config, prepare Prepare) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := prepare(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

// server is the PostgreSQL this process uses, with one prepared template
// that each test clones: a clone takes a tenth of what migrating takes.
var server = sync.OnceValues(func() (string, error) {
	if address := os.Getenv("PAYRUN_TEST_POSTGRES"); address != "" {
		return address, nil
	}
	_, here, _, _ := runtime.Caller(0)
	command := exec.Command(filepath.Join(filepath.Dir(here), "..", "..", "..", "scripts", "postgres"))
	command.Stderr = os.Stderr
	var err error
	if lifeline, err = command.StdinPipe(); err != nil {
		return "", err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", err
	}
	go func() { // whoever starts the script must also wait for it
		_ = command.Wait()
		_ = lifeline.Close()
	}()
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("scripts/postgres printed no address: %w", err)
	}
	return strings.TrimSpace(address), nil
})

// lifeline is the private server's standard input. The script stops when it
// closes, that is when this process ends; a variable keeps the garbage
// collector from closing it sooner.
var lifeline io.Closer

var (
	templateOnce sync.Once
	templateName string
	templateErr  error
)

func cloned(t testing.TB, prepare Prepare) string {
	t.Helper()
	address, err := server()
	if err != nil {
		t.Fatalf("a test needs PostgreSQL: %v", err)
	}
	templateOnce.Do(func() { templateName, templateErr = template(address, prepare) })
	if templateErr != nil {
		t.Fatal(templateErr)
	}
	name := freshName()
	execute(t, address, "CREATE DATABASE "+name+" TEMPLATE "+templateName)
	t.Cleanup(func() { execute(t, address, "DROP DATABASE "+name+" WITH (FORCE)") })
	return named(address, name)
}

func template(address string, prepare Prepare) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name := freshName()
	admin, err := sqlx.ConnectContext(ctx, "postgres", address)
	if err != nil {
		return "", err
	}
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	db, err := database.Open(ctx, database.Config{URL: named(address, name)})
	if err != nil {
		return "", err
	}
	defer db.Close()
	return name, prepare(ctx, db)
}

// Patiently runs f in a writing transaction that may wait for others as long as
// it takes. PostgreSQL would end another one that says nothing for a while.
func Patiently(ctx context.Context, db *database.DB, f func(*database.Tx) error) error {
	return db.InTx(ctx, func(tx *database.Tx) error {
		if tx.Dialect.Name == database.Postgres.Name {
			if _, err := tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
				return err
			}
		}
		return f(tx)
	})
}

// Empty returns the address of a store of the engine that nothing prepared.
func Empty(t testing.TB, engine string) string {
	t.Helper()
	if engine == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "payrun.db")
	}
	address, err := server()
	if err != nil {
		t.Fatalf("a test needs PostgreSQL: %v", err)
	}
	name := freshName()
	execute(t, address, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, address, "DROP DATABASE "+name+" WITH (FORCE)") })
	return named(address, name)
}

func execute(t testing.TB, address, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin, err := sqlx.ConnectContext(ctx, "postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func freshName() string { return fmt.Sprintf("payrun_%x", rand.Uint64()) }

func named(address, name string) string {
	location, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	location.Path = "/" + name
	return location.String()
}

// Package database opens the store, SQLite or PostgreSQL, and runs
// transactions on it with one SQL text for both.
//
// Queries are written with ? placeholders and rebound here and nowhere else.
// What truly differs between the two engines is a named string of [Dialect].
// Lists of rows are bound to a statement with [Rows], so that a statement
// over a thousand payouts is one statement on both engines.
//
// Writing and reading use separate pools. On SQLite the writing pool has one
// connection, so writers queue in Go instead of failing with "busy". On
// PostgreSQL the writing pool plans with indexes only: its statements join a
// short list of ids to large tables, and a planner that takes a stale
// statistic for a reason to scan the whole table turns milliseconds into
// minutes. Reports and checks read through the other pool with the planner's
// full choice.
//
// All methods are safe for concurrent use; a [Tx] belongs to one goroutine.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq" // registers "postgres"
	_ "modernc.org/sqlite"
)

// Config says which store to open. The zero value of every field but URL is
// usable.
type Config struct {
	// URL is "sqlite:PATH" or "postgres://…". It may hold a password and
	// must not be logged; see Redacted.
	URL string
	// MaxConnections bounds the connections to PostgreSQL, reads included.
	// Default 16.
	MaxConnections int
	// Clock replaces the database's clock, for tests. Default: the
	// database's own.
	Clock func() time.Time
}

// DB is an open store.
type DB struct {
	Dialect Dialect
	write   *sqlx.DB
	read    *sqlx.DB
	clock   func() time.Time
	rebound sync.Map // query text -> rebound text
	path    string   // of the SQLite file, else ""

	identity string // query for an Identity
}

// Open connects to the store and checks that it answers.
func Open(ctx context.Context, config Config) (*DB, error) {
	if config.MaxConnections == 0 {
		config.MaxConnections = 16
	}
	var db *DB
	var err error
	if path, ok := strings.CutPrefix(config.URL, "sqlite:"); ok {
		db, err = openSQLite(path)
	} else if strings.HasPrefix(config.URL, "postgres://") || strings.HasPrefix(config.URL, "postgresql://") {
		db, err = openPostgres(config.URL, config.MaxConnections)
	} else {
		return nil, fmt.Errorf("%w: the database URL must start with sqlite: or postgres://", ErrUnusable)
	}
	if err != nil {
		return nil, err
	}
	if config.Clock != nil {
		db.clock = config.Clock
	}
	if err := db.ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.findIdentity(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) ping(ctx context.Context) error {
	for _, pool := range []*sqlx.DB{db.write, db.read} {
		if err := connect(ctx, pool); err != nil {
			return fmt.Errorf("%w: %w", ErrUnusable, err)
		}
	}
	return nil
}

// connect makes a pool's first connection. Two processes that find a new SQLite
// file both set its journal mode, and the one that is second to write is told
// at once that the file is locked, whatever its busy timeout says. So it waits
// here for as long as it would elsewhere.
func connect(ctx context.Context, pool *sqlx.DB) error {
	deadline := time.Now().Add(busyTimeout)
	for {
		err := pool.PingContext(ctx)
		if !IsRetryable(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// busyTimeout is how long a lock on a SQLite file is waited for.
const busyTimeout = 10 * time.Second

// sqliteOptions make a commit survive a power cut (FULL, not NORMAL: in WAL
// mode NORMAL may lose the newest commits) and let a transaction that will
// write take the lock when it begins, not midway.
var sqliteOptions = fmt.Sprintf("_busy_timeout=%d", busyTimeout.Milliseconds()) + "&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_txlock=immediate"

func openSQLite(path string) (*DB, error) {
	if path == "" {
		return nil, fmt.Errorf("%w: the database URL names no file, for example sqlite:payrun-data/payrun.db", ErrUnusable)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	// The store holds account numbers: made here, only its owner may read it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	location := sqliteLocation(path)
	write, err := sqlx.Open("sqlite", location+"?"+sqliteOptions)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	write.SetMaxOpenConns(1)
	read, err := sqlx.Open("sqlite", location+"?"+sqliteOptions+"&_query_only=1")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	return &DB{Dialect: SQLite, write: write, read: read, clock: newSteady().now, path: path}, nil
}

func openPostgres(address string, connections int) (*DB, error) {
	location, err := url.Parse(address)
	if err != nil {
		// The parse error would repeat the URL and with it the password.
		return nil, fmt.Errorf("%w: the database URL is malformed", ErrUnusable)
	}
	query := location.Query()
	if !query.Has("sslmode") {
		query.Set("sslmode", defaultSSLMode(location))
	}
	query.Set("application_name", "payrun")
	query.Set("timezone", "UTC")
	query.Set("connect_timeout", "10")
	query.Set("binary_parameters", "yes") // one round trip per statement instead of two
	location.RawQuery = query.Encode()
	read, err := sqlx.Open("postgres", location.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	// Without jit, because the price of a plan that is switched off would make
	// the server compile even the smallest query.
	for _, method := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_sort", "jit"} {
		query.Set(method, "off")
	}
	// A process that stands still (a stopped machine, a suspended worker) in
	// the middle of a transaction would keep its locks from all others.
	query.Set("idle_in_transaction_session_timeout", strconv.FormatInt(abandonedAfter.Milliseconds(), 10))
	location.RawQuery = query.Encode()
	write, err := sqlx.Open("postgres", location.String())
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	reads := max(1, connections/4)
	for pool, size := range map[*sqlx.DB]int{read: reads, write: max(1, connections-reads)} {
		pool.SetMaxOpenConns(size)
		pool.SetMaxIdleConns(size)
		pool.SetConnMaxIdleTime(5 * time.Minute)
	}
	return &DB{Dialect: Postgres, write: write, read: read}, nil
}

// abandonedAfter is how long a writing transaction may wait for its client
// before PostgreSQL takes it back. Ours wait for nothing but their own
// computing.
const abandonedAfter = 10 * time.Second

// defaultSSLMode demands a verified certificate from any host but this one.
func defaultSSLMode(location *url.URL) string {
	host := location.Hostname()
	if socket := location.Query().Get("host"); socket != "" {
		host = socket
	}
	ip := net.ParseIP(host)
	if host == "" || host == "localhost" || strings.HasPrefix(host, "/") || ip != nil && ip.IsLoopback() {
		return "disable"
	}
	return "verify-full"
}

// Close closes both pools.
func (db *DB) Close() error {
	return errors.Join(closed(db.write), closed(db.read))
}

// closed does not mind a connection that a server which is gone has closed
// before: nothing was under way on it.
func closed(pool *sqlx.DB) error {
	if err := pool.Close(); !IsConnection(err) {
		return err
	}
	return nil
}

// Writer exposes the writing pool to the migration tool, which speaks
// database/sql.
func (db *DB) Writer() *sql.DB { return db.write.DB }

// Path returns the SQLite file's path, or "" for PostgreSQL.
func (db *DB) Path() string { return db.path }

// Redacted returns the database URL without its password, for messages.
func Redacted(address string) string {
	if strings.HasPrefix(address, "sqlite:") {
		return address
	}
	location, err := url.Parse(address)
	if err != nil {
		return "(malformed URL)"
	}
	for _, secret := range []string{"password", "sslpassword"} {
		if query := location.Query(); query.Has(secret) {
			query.Set(secret, "xxxxx")
			location.RawQuery = query.Encode()
		}
	}
	return location.Redacted()
}

// CheckDurable returns ErrNotDurable when the server may lose a commit that
// it has acknowledged: no payout may be sent on such a store.
func (db *DB) CheckDurable(ctx context.Context) error {
	for setting, want := range db.Dialect.durable {
		var got string
		if err := db.write.GetContext(ctx, &got, setting); err != nil {
			return fmt.Errorf("check durability: %w", err)
		}
		if !strings.Contains(want, got) {
			return fmt.Errorf("%w: %s is %q, must be one of %q", ErrNotDurable, setting, got, want)
		}
	}
	return nil
}

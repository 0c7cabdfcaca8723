// Package migrations brings a store to the schema of this binary.
//
// The numbered files are written once, in PostgreSQL's words; for SQLite two
// of them are exchanged while reading (see [dialectFS]). Where the syntax
// truly differs a version has two files, marked .postgres and .sqlite. A file
// that has been released never changes.
//
// Up is safe to call from many processes at once. It refuses a store that is
// newer than the binary, or that belongs to another application.
package migrations

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"payrun/internal/database"
)

// Errors returned by Up and Check.
var (
	// ErrNewer: the store was migrated by a newer binary.
	ErrNewer = errors.New("the database is newer than this binary: install the newer payrun")
	// ErrForeign: the store holds tables that payrun did not make.
	ErrForeign = errors.New("the database holds another application's tables: give payrun a database (or schema) of its own")
	// ErrPending: the store is older than the binary.
	ErrPending = errors.New("the database is older than this binary: run payrun migrate")
)

const versionTable = "payrun_migrations"

//go:embed *.sql
var files embed.FS

// Up applies what is missing and returns the versions it applied. Each
// version is one transaction: a crash leaves the old schema or the new one.
func Up(ctx context.Context, db *database.DB) (applied []int64, err error) {
	unlock, err := lockFile(ctx, db.Path())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	provider, err := open(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := refuseNewer(ctx, provider); err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		applied = append(applied, r.Source.Version)
	}
	if err != nil {
		return applied, fmt.Errorf("migrate: %w", err)
	}
	return applied, nil
}

// Check returns nil when the store has exactly this binary's schema, else
// ErrPending, ErrNewer or ErrForeign.
func Check(ctx context.Context, db *database.DB) error {
	provider, err := open(ctx, db)
	if err != nil {
		return err
	}
	if err := refuseNewer(ctx, provider); err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if pending {
		return ErrPending
	}
	return nil
}

func open(ctx context.Context, db *database.DB) (*goose.Provider, error) {
	if err := refuseForeign(ctx, db); err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true)}
	if db.Dialect.Name == database.Postgres.Name {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(goose.Dialect(db.Dialect.Name), db.Writer(), dialectFS(db.Dialect.Name), options...)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return provider, nil
}

func refuseNewer(ctx context.Context, provider *goose.Provider) error {
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if current > newest {
		return fmt.Errorf("%w (its schema is version %d, this binary knows %d)", ErrNewer, current, newest)
	}
	return nil
}

// tables counts our version table and all other tables a user made.
var tables = map[string]string{
	database.SQLite.Name: `SELECT count(CASE WHEN name = ? THEN 1 END) AS ours, count(*) AS everything
		FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`,
	database.Postgres.Name: `SELECT count(CASE WHEN tablename = ? THEN 1 END) AS ours, count(*) AS everything
		FROM pg_tables WHERE schemaname = current_schema()`,
}

func refuseForeign(ctx context.Context, db *database.DB) error {
	var found struct{ Ours, Everything int64 }
	if err := db.Get(ctx, &found, tables[db.Dialect.Name], versionTable); err != nil {
		return fmt.Errorf("%w: list tables: %w", database.ErrUnusable, err)
	}
	if found.Ours == 0 && found.Everything > 0 {
		return ErrForeign
	}
	return nil
}

// lockFile keeps two processes from migrating one SQLite file at a time;
// PostgreSQL has a lock of its own for that.
func lockFile(ctx context.Context, path string) (unlock func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.OpenFile(path+".migrate.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", database.ErrUnusable, err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) { // some network file systems know no locks
			return nil, errors.Join(fmt.Errorf("%w: lock %s: %w", database.ErrUnusable, f.Name(), err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, f.Close(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// dialectFS shows the files one engine needs, translated for it.
type dialectFS string

func (d dialectFS) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := files.ReadDir(name)
	var mine []fs.DirEntry
	for _, entry := range all {
		if d.wants(entry.Name()) {
			mine = append(mine, entry)
		}
	}
	return mine, err
}

func (d dialectFS) wants(name string) bool {
	other := ".sqlite."
	if d == dialectFS(database.SQLite.Name) {
		other = ".postgres."
	}
	return !strings.Contains(name, other)
}

// Open translates a file. SQLite's INTEGER PRIMARY KEY is the row's own
// address where BIGINT would need a second index, and STRICT tables refuse
// text in a number's place, as PostgreSQL does anyway.
func (d dialectFS) Open(name string) (fs.File, error) {
	f, err := files.Open(name)
	if err != nil || name == "." || d != dialectFS(database.SQLite.Name) {
		return f, err
	}
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	text = bytes.ReplaceAll(text, []byte("BIGINT"), []byte("INTEGER"))
	text = bytes.ReplaceAll(text, []byte("\n);"), []byte("\n) STRICT;"))
	return &translated{File: f, Reader: bytes.NewReader(text)}, nil
}

type translated struct {
	fs.File
	*bytes.Reader
}

func (t *translated) Read(p []byte) (int, error) { return t.Reader.Read(p) }

package database

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
)

// errServer: PostgreSQL's own tools copy a server's database.
var errServer = errors.New("this database is PostgreSQL's to copy")

// CopyTo writes one state of a SQLite store to a new file that only its owner
// may read, while others go on writing. The file is durable when it returns.
func (db *DB) CopyTo(ctx context.Context, path string) error {
	if db.path == "" {
		return errServer
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	err = errors.Join(db.vacuumInto(ctx, path), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	return nil
}

// vacuumInto reads one snapshot, on a connection of its own: the writing one
// would keep everybody else waiting, and the reading ones may not write.
func (db *DB) vacuumInto(ctx context.Context, path string) (err error) {
	pool, err := sqlx.Open("sqlite", sqliteLocation(db.path)+"?"+sqliteOptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	_, err = pool.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

// OpenCopy opens what CopyTo wrote for reading, and leaves no trace beside it.
// It returns ErrUnusable for a file that is no intact database.
func OpenCopy(ctx context.Context, path string) (*DB, error) {
	pool, err := sqlx.Open("sqlite", sqliteLocation(path)+"?mode=ro&immutable=1&_query_only=1")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	var found []string
	if err = pool.SelectContext(ctx, &found, "PRAGMA integrity_check"); err == nil && strings.Join(found, "") != "ok" {
		err = fmt.Errorf("the copy is damaged: %s", strings.Join(found, "; "))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnusable, err), pool.Close())
	}
	return &DB{Dialect: SQLite, write: pool, read: pool, clock: time.Now, path: path}, nil
}

func sqliteLocation(path string) string {
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path)}).String()
}

package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"
)

// Tx is one transaction. It belongs to one goroutine.
type Tx struct {
	Dialect Dialect
	db      *DB
	tx      *sqlx.Tx
	now     Instant
}

// attempts bounds how often a transaction that lost a race is run again.
const attempts = 5

// InTx runs f in a transaction and commits it when f returns nil. When
// the engine gives up the transaction for the sake of another one (deadlock
// or serialization failure) f runs again from the start, so f must build its
// results afresh on each run.
//
// An error from the commit itself is wrapped in ErrCommitUnknown when the
// connection broke: the transaction may have happened, and the caller has to
// read before it writes again.
func (db *DB) InTx(ctx context.Context, f func(*Tx) error) error {
	var err error
	for attempt := range attempts {
		if attempt > 0 {
			wait := time.Duration(1+rand.IntN(10<<attempt)) * time.Millisecond
			select {
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			case <-time.After(wait):
			}
		}
		err = db.inTx(ctx, db.write, nil, f)
		if !IsRetryable(err) {
			return err
		}
	}
	return err
}

// Snapshot runs f in a read-only transaction that sees one state of the
// database from its first to its last query.
func (db *DB) Snapshot(ctx context.Context, f func(*Tx) error) error {
	return db.inTx(ctx, db.read, &sql.TxOptions{ReadOnly: true, Isolation: db.snapshotLevel()}, f)
}

// snapshotLevel: SQLite's driver knows no levels; its read transactions are
// snapshots anyway.
func (db *DB) snapshotLevel() sql.IsolationLevel {
	if db.Dialect.Name == Postgres.Name {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

func (db *DB) inTx(ctx context.Context, pool *sqlx.DB, options *sql.TxOptions, f func(*Tx) error) (err error) {
	// A driver reports the caller's own giving up in words of its own.
	defer func() {
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) && !errors.Is(err, ErrCommitUnknown) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}()
	tx, err := begin(ctx, pool, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// After a commit this returns ErrTxDone; before, it also runs on panic.
	defer func() { _ = tx.Rollback() }()
	if err := f(&Tx{Dialect: db.Dialect, db: db, tx: tx}); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if IsConnection(err) {
			return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
		}
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// begin begins a transaction that goes on when ctx ends. Its statements do not,
// each of them has the caller's ctx; but database/sql would roll back at once
// and beside them, while a COPY reads from the same connection, and then both
// may wait for ever. A commit under way, too, had better come to its end.
func begin(ctx context.Context, pool *sqlx.DB, options *sql.TxOptions) (*sqlx.Tx, error) {
	beginning, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, giveUp)
	tx, err := pool.BeginTxx(beginning, options)
	if inTime := stop(); err == nil && !inTime {
		_ = tx.Rollback() // unless that was done already
		return nil, ctx.Err()
	}
	return tx, err
}

// Now returns the database's time, the same for the whole transaction.
// Leases, send slots and due times use it, never a worker's own clock.
func (tx *Tx) Now(ctx context.Context) (Instant, error) {
	if tx.now != 0 {
		return tx.now, nil
	}
	now, err := tx.db.now(ctx, tx.tx)
	tx.now = now
	return now, err
}

// Now returns the database's time.
func (db *DB) Now(ctx context.Context) (Instant, error) { return db.now(ctx, db.read) }

func (db *DB) now(ctx context.Context, q sqlx.QueryerContext) (Instant, error) {
	if db.clock != nil {
		return InstantOf(db.clock()), nil
	}
	var now Instant
	if err := sqlx.GetContext(ctx, q, &now, db.Dialect.now); err != nil {
		return 0, fmt.Errorf("read the database's time: %w", err)
	}
	return now, nil
}

// Queue waits until no other transaction that queued under the same name is
// under way. SQLite has one writer, so there it returns at once.
func (tx *Tx) Queue(ctx context.Context, name string) error {
	if tx.Dialect.queue == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, tx.Dialect.queue, name); err != nil {
		return fmt.Errorf("wait for others that %s: %w", name, err)
	}
	return nil
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := tx.tx.ExecContext(ctx, tx.db.rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Get reads exactly one row into dest, or returns ErrNotFound.
func (tx *Tx) Get(ctx context.Context, dest any, query string, args ...any) error {
	return notFound(tx.tx.GetContext(ctx, dest, tx.db.rebind(query), args...))
}

// Select reads all rows into the slice dest points to.
func (tx *Tx) Select(ctx context.Context, dest any, query string, args ...any) error {
	return tx.tx.SelectContext(ctx, dest, tx.db.rebind(query), args...)
}

// Each reads row after row into a T and hands it to f; no other query may
// run on this transaction meanwhile.
func Each[T any](ctx context.Context, tx *Tx, query string, args []any, f func(*T) error) (err error) {
	rows, err := tx.tx.QueryxContext(ctx, tx.db.rebind(query), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row T
		if err := rows.StructScan(&row); err != nil {
			return err
		}
		if err := f(&row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Get reads exactly one row outside any transaction, or returns ErrNotFound.
func (db *DB) Get(ctx context.Context, dest any, query string, args ...any) error {
	return notFound(db.read.GetContext(ctx, dest, db.rebind(query), args...))
}

// Select reads all rows into the slice dest points to, outside any
// transaction.
func (db *DB) Select(ctx context.Context, dest any, query string, args ...any) error {
	return db.read.SelectContext(ctx, dest, db.rebind(query), args...)
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

func (db *DB) rebind(query string) string {
	if db.Dialect.bindType() == sqlx.QUESTION {
		return query
	}
	if text, ok := db.rebound.Load(query); ok {
		return text.(string)
	}
	text := sqlx.Rebind(db.Dialect.bindType(), query)
	db.rebound.Store(query, text)
	return text
}

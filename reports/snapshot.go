package reports

import (
	"context"
	"errors"
	"fmt"

	"payrun/internal/database"
	"payrun/ledger"
)

// snapshot is what identifies the state of the database a report was made
// from.
type snapshot struct {
	// AsOf is when the newest record was made. It stands in for a clock:
	// the same snapshot is always as of the same instant.
	AsOf     database.Instant
	Position int64      // of the audit chain's newest link
	Head     string     // its digest
	Closed   ledger.Day // the last closed business day; zero when there is none
	Schema   int64
}

func readSnapshot(ctx context.Context, tx *database.Tx) (snapshot, error) {
	var s snapshot
	for _, table := range []string{"events", "entries", "evidence"} {
		var newest database.Instant
		if err := first(ctx, tx, &newest, "SELECT created_at FROM "+table+" ORDER BY id DESC LIMIT 1"); err != nil {
			return s, err
		}
		s.AsOf = max(s.AsOf, newest)
	}
	var link struct {
		Position int64
		Digest   string
		At       database.Instant
	}
	if err := first(ctx, tx, &link, `SELECT h.position, h.digest, a.created_at AS at FROM audit_head h
		JOIN audit a ON a.position = h.position`); err != nil {
		return s, err
	}
	s.AsOf, s.Position, s.Head = max(s.AsOf, link.At), link.Position, link.Digest
	if err := first(ctx, tx, &s.Closed, `SELECT id, business_day, opened_at, closed_at, closed_by, entries, digest FROM days
		WHERE closed_at > 0 ORDER BY id DESC LIMIT 1`); err != nil {
		return s, err
	}
	return s, first(ctx, tx, &s.Schema, "SELECT max(version_id) FROM payrun_migrations")
}

// first reads one row into dest and leaves dest alone when there is none.
func first(ctx context.Context, tx *database.Tx, dest any, query string, args ...any) error {
	err := tx.Get(ctx, dest, query, args...)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return fmt.Errorf("read the snapshot: %w", err)
	}
	return nil
}

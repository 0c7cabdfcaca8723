package database

import (
	"context"
	"fmt"
)

// Identity is where PostgreSQL says that a store lives. SQLite says nothing,
// and its Identity is zero; so is what a role may not read.
type Identity struct {
	// Cluster is the server's system identifier: another one after a dump
	// was restored elsewhere or the server was upgraded.
	Cluster string
	// Place names the database and the table store within the cluster:
	// others after a dump was restored over them.
	Place string
	// Timeline rises when a standby is promoted, or a backup recovered to a
	// point in time. 0 while the server is a standby itself.
	Timeline int64
}

// Identity asks the server that this transaction runs on.
func (tx *Tx) Identity(ctx context.Context) (Identity, error) {
	var here Identity
	if err := tx.tx.GetContext(ctx, &here, tx.db.identity); err != nil {
		return here, fmt.Errorf("ask where the store lives: %w", err)
	}
	return here, nil
}

// findIdentity picks the best of the dialect's queries that this role may run.
func (db *DB) findIdentity(ctx context.Context) error {
	var err error
	for _, query := range db.Dialect.identity {
		var here Identity
		if err = db.read.GetContext(ctx, &here, query); err == nil {
			db.identity = query
			return nil
		}
		if code := pqCode(err); code != "42501" && code != "42883" { // not allowed, no such function
			break
		}
	}
	return fmt.Errorf("%w: ask where the store lives: %w", ErrUnusable, err)
}

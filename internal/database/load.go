package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Load inserts many rows into a table in the engine's fastest way: COPY on
// PostgreSQL, one prepared insert on SQLite. row returns the values of one
// row in the order of the columns; texts must be valid UTF-8 without NUL.
func Load(ctx context.Context, tx *Tx, table string, columns []string, rows int, row func(i int) []any) (err error) {
	names := strings.Join(columns, ", ")
	query := fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", table, names, strings.Repeat(", ?", len(columns)-1))
	copies := tx.Dialect.Name == Postgres.Name
	if copies {
		query = fmt.Sprintf("COPY %s (%s) FROM STDIN", table, names)
	}
	statement, err := tx.tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	for i := range rows {
		if _, err := statement.ExecContext(ctx, row(i)...); err != nil {
			return err
		}
	}
	if copies {
		_, err = statement.ExecContext(ctx) // sends the rest; only now the server says whether it took them
	}
	return err
}

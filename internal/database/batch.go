package database

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Batch is a list of rows bound to one statement: a statement that begins
// with its SQL sees it as a table called v. PostgreSQL gets an array per
// column, SQLite a list of values, all as parameters.
//
// Column names must not be names of the tables the statement touches, or
// RETURNING becomes ambiguous.
type Batch []Column

// Column is one named column of a Batch.
type Column struct {
	name   string
	kind   string // PostgreSQL element type
	length int
	array  any // for PostgreSQL
	value  func(row int) any
}

// Ints makes a column of whole numbers.
func Ints[T ~int64](name string, values []T) Column {
	plain := make(pq.Int64Array, len(values))
	for i, v := range values {
		plain[i] = int64(v)
	}
	return Column{name, "bigint", len(values), plain, func(row int) any { return plain[row] }}
}

// Texts makes a column of texts.
func Texts[T ~string](name string, values []T) Column {
	plain := make(pq.StringArray, len(values))
	for i, v := range values {
		plain[i] = string(v)
	}
	return Column{name, "text", len(values), plain, func(row int) any { return plain[row] }}
}

// Exec runs "WITH v AS (the batch) query" and returns how many rows changed.
// The query may go on with further common table expressions, starting with a
// comma. An empty batch runs nothing. On SQLite a large batch runs in parts,
// so a query must treat every row of v by itself.
func (b Batch) Exec(ctx context.Context, tx *Tx, query string, args ...any) (int64, error) {
	var changed int64
	err := b.each(tx.Dialect, func(with string, values []any) error {
		n, err := tx.Exec(ctx, with+query, append(values, args...)...)
		changed += n
		return err
	})
	return changed, err
}

// Select runs "WITH v AS (the batch) query" and returns all rows. The rest is
// as with Exec.
func Select[T any](ctx context.Context, tx *Tx, b Batch, query string, args ...any) ([]T, error) {
	var all []T
	err := b.each(tx.Dialect, func(with string, values []any) error {
		var part []T // a slice that is handed in again would be emptied first
		err := tx.Select(ctx, &part, with+query, append(values, args...)...)
		all = append(all, part...)
		return err
	})
	return all, err
}

// each calls run with the WITH clause and its parameters: once, or on SQLite
// once per part.
func (b Batch) each(dialect Dialect, run func(with string, values []any) error) error {
	if len(b) == 0 {
		return nil
	}
	rows := b[0].length
	for _, c := range b {
		if c.length != rows {
			return fmt.Errorf("batch column %s has %d rows, %s has %d", c.name, c.length, b[0].name, rows)
		}
	}
	if rows == 0 {
		return nil
	}
	if dialect.Name == Postgres.Name {
		return run(b.unnest())
	}
	// SQLite takes 32,766 parameters; longer texts also compile more slowly.
	part := min(500, 32_000/len(b))
	for first := 0; first < rows; first += part {
		if err := run(b.values(first, min(part, rows-first))); err != nil {
			return err
		}
	}
	return nil
}

func (b Batch) unnest() (string, []any) {
	names, kinds, arrays := make([]string, len(b)), make([]string, len(b)), make([]any, len(b))
	for i, c := range b {
		names[i], kinds[i], arrays[i] = c.name, "?::"+c.kind+"[]", c.array
	}
	return "WITH v AS (SELECT * FROM unnest(" + strings.Join(kinds, ", ") + ") AS u(" + strings.Join(names, ", ") + ")) ", arrays
}

func (b Batch) values(first, rows int) (string, []any) {
	names := make([]string, len(b))
	values := make([]any, 0, rows*len(b)+8) // the query's own parameters follow
	for i, c := range b {
		names[i] = c.name
	}
	for row := first; row < first+rows; row++ {
		for _, c := range b {
			values = append(values, c.value(row))
		}
	}
	tuple := "(?" + strings.Repeat(",?", len(b)-1) + ")"
	return "WITH v(" + strings.Join(names, ", ") + ") AS (VALUES " + tuple + strings.Repeat(","+tuple, rows-1) + ") ", values
}

func (d Dialect) bindType() int {
	if d.Name == Postgres.Name {
		return sqlx.DOLLAR
	}
	return sqlx.QUESTION
}

package database

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Rows is a list of rows bound to one statement: a statement that begins
// with its SQL sees it as a table called v. PostgreSQL gets an array per
// column, SQLite a list of values, all as parameters.
//
// Column names must not be names of the tables the statement touches, or
// RETURNING becomes ambiguous.
type Rows []Column

// Column is one named column of Rows, of whole numbers or of texts.
type Column struct {
	name  string
	kind  string // PostgreSQL element type
	ints  pq.Int64Array
	texts pq.StringArray
}

const (
	bigint  = "bigint"
	textual = "text"
)

// Ints makes a column of whole numbers.
func Ints[T ~int64](name string, values []T) Column {
	plain := make(pq.Int64Array, len(values))
	for i, v := range values {
		plain[i] = int64(v)
	}
	return Column{name: name, kind: bigint, ints: plain}
}

// Texts makes a column of texts.
func Texts[T ~string](name string, values []T) Column {
	plain := make(pq.StringArray, len(values))
	for i, v := range values {
		plain[i] = string(v)
	}
	return Column{name: name, kind: textual, texts: plain}
}

// NewRows makes columns of whole numbers and of texts, their names separated
// by spaces, with room for n rows: for each of them call AddInts and AddTexts.
func NewRows(n int, ints, texts string) Rows {
	var r Rows
	for _, name := range strings.Fields(ints) {
		r = append(r, Column{name: name, kind: bigint, ints: make(pq.Int64Array, 0, n)})
	}
	for _, name := range strings.Fields(texts) {
		r = append(r, Column{name: name, kind: textual, texts: make(pq.StringArray, 0, n)})
	}
	return r
}

// AddInts adds a row's whole numbers, in the order of their columns.
func (r Rows) AddInts(values ...int64) {
	for i, v := range values {
		r[i].ints = append(r[i].ints, v)
	}
}

// AddTexts adds a row's texts, in the order of their columns.
func (r Rows) AddTexts(values ...string) {
	columns := r[len(r)-len(values):]
	for i, v := range values {
		columns[i].texts = append(columns[i].texts, v)
	}
}

func (c Column) length() int { return len(c.ints) + len(c.texts) }

func (c Column) array() any {
	if c.kind == textual {
		return c.texts
	}
	return c.ints
}

func (c Column) value(row int) any {
	if c.kind == textual {
		return c.texts[row]
	}
	return c.ints[row]
}

// Exec runs "WITH v AS (the rows) query" and returns how many rows changed.
// The query may go on with further common table expressions, starting with a
// comma. No rows run nothing. On SQLite many rows run in parts,
// so a query must treat every row of v by itself.
func (r Rows) Exec(ctx context.Context, tx *Tx, query string, args ...any) (int64, error) {
	var changed int64
	err := r.each(tx.Dialect, func(with string, values []any) error {
		n, err := tx.Exec(ctx, with+query, append(values, args...)...)
		changed += n
		return err
	})
	return changed, err
}

// Select runs "WITH v AS (the rows) query" and returns all rows. The rest is
// as with Exec.
func Select[T any](ctx context.Context, tx *Tx, r Rows, query string, args ...any) ([]T, error) {
	var all []T
	err := r.each(tx.Dialect, func(with string, values []any) error {
		var part []T // a slice that is handed in again would be emptied first
		err := tx.Select(ctx, &part, with+query, append(values, args...)...)
		all = append(all, part...)
		return err
	})
	return all, err
}

// each calls run with the WITH clause and its parameters: once, or on SQLite
// once per part.
func (r Rows) each(dialect Dialect, run func(with string, values []any) error) error {
	if len(r) == 0 {
		return nil
	}
	rows := r[0].length()
	for _, c := range r {
		if c.length() != rows {
			return fmt.Errorf("column %s has %d rows, %s has %d", c.name, c.length(), r[0].name, rows)
		}
	}
	if rows == 0 {
		return nil
	}
	if dialect.Name == Postgres.Name {
		return run(r.unnest())
	}
	// SQLite takes 32,766 parameters; longer texts also compile more slowly.
	part := min(500, 32_000/len(r))
	for first := 0; first < rows; first += part {
		if err := run(r.values(first, min(part, rows-first))); err != nil {
			return err
		}
	}
	return nil
}

func (r Rows) unnest() (string, []any) {
	names, kinds, arrays := make([]string, len(r)), make([]string, len(r)), make([]any, len(r))
	for i, c := range r {
		names[i], kinds[i], arrays[i] = c.name, "?::"+c.kind+"[]", c.array()
	}
	return "WITH v AS (SELECT * FROM unnest(" + strings.Join(kinds, ", ") + ") AS u(" + strings.Join(names, ", ") + ")) ", arrays
}

func (r Rows) values(first, rows int) (string, []any) {
	names := make([]string, len(r))
	values := make([]any, 0, rows*len(r)+8) // the query's own parameters follow
	for i, c := range r {
		names[i] = c.name
	}
	for row := first; row < first+rows; row++ {
		for _, c := range r {
			values = append(values, c.value(row))
		}
	}
	tuple := "(?" + strings.Repeat(",?", len(r)-1) + ")"
	return "WITH v(" + strings.Join(names, ", ") + ") AS (VALUES " + tuple + strings.Repeat(","+tuple, rows-1) + ") ", values
}

func (d Dialect) bindType() int {
	if d.Name == Postgres.Name {
		return sqlx.DOLLAR
	}
	return sqlx.QUESTION
}

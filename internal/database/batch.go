package database

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Batch is a list of rows bound to one statement: a statement that begins
// with its SQL sees it as a table called v. PostgreSQL gets an array per
// column, SQLite a JSON text, both as parameters.
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
// comma. An empty batch runs nothing.
func (b Batch) Exec(ctx context.Context, tx *Tx, query string, args ...any) (int64, error) {
	if b.rows() == 0 {
		return 0, nil
	}
	text, all, err := b.statement(tx.Dialect, query, args)
	if err != nil {
		return 0, err
	}
	return tx.Exec(ctx, text, all...)
}

// Select runs "WITH v AS (the batch) query" and reads all rows into the
// slice dest points to. An empty batch runs nothing.
func (b Batch) Select(ctx context.Context, tx *Tx, dest any, query string, args ...any) error {
	if b.rows() == 0 {
		return nil
	}
	text, all, err := b.statement(tx.Dialect, query, args)
	if err != nil {
		return err
	}
	return tx.Select(ctx, dest, text, all...)
}

func (b Batch) rows() int {
	if len(b) == 0 {
		return 0
	}
	return b[0].length
}

func (b Batch) statement(dialect Dialect, query string, args []any) (string, []any, error) {
	for _, c := range b {
		if c.length != b.rows() {
			return "", nil, fmt.Errorf("batch column %s has %d rows, %s has %d", c.name, c.length, b[0].name, b.rows())
		}
	}
	if dialect.Name == Postgres.Name {
		text, arrays := b.unnest()
		return text + query, append(arrays, args...), nil
	}
	text, rows, err := b.jsonEach()
	return text + query, append([]any{rows}, args...), err
}

func (b Batch) unnest() (string, []any) {
	names, kinds, arrays := make([]string, len(b)), make([]string, len(b)), make([]any, len(b))
	for i, c := range b {
		names[i], kinds[i], arrays[i] = c.name, "?::"+c.kind+"[]", c.array
	}
	return "WITH v AS (SELECT * FROM unnest(" + strings.Join(kinds, ", ") + ") AS u(" + strings.Join(names, ", ") + ")) ", arrays
}

func (b Batch) jsonEach() (string, string, error) {
	columns := make([]string, len(b))
	for i, c := range b {
		columns[i] = fmt.Sprintf("value ->> %d AS %s", i, c.name)
	}
	rows := make([][]any, b.rows())
	for i := range rows {
		rows[i] = make([]any, len(b))
		for j, c := range b {
			rows[i][j] = c.value(i)
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return "", "", fmt.Errorf("bind a batch: %w", err)
	}
	return "WITH v AS MATERIALIZED (SELECT " + strings.Join(columns, ", ") + " FROM json_each(?)) ", string(text), nil
}

func (d Dialect) bindType() int {
	if d.Name == Postgres.Name {
		return sqlx.DOLLAR
	}
	return sqlx.QUESTION
}

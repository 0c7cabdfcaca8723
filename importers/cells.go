package importers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// EachRow reads the same rows that [Read] judges, as texts: every row that has
// a cell, titles and totals included, with the number a spreadsheet program
// gives it. The slice is only valid during the call. Errors are those of Read.
func EachRow(ctx context.Context, path string, rules Rules, yield func(row int, cells []string) error) (err error) {
	set, err := rules.compile()
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read sheet: %w", err)
	}
	defer file.Close()
	r := &reader{rules: set}
	if err := r.open(file, path); err != nil {
		return fmt.Errorf("read sheet: %w", err)
	}
	defer func() { err = errors.Join(err, r.source.close()) }()
	var texts []string
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := r.source.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read sheet: %w", err)
		}
		texts = texts[:0]
		for _, c := range row.cells {
			texts = append(texts, c.text)
		}
		if err := yield(row.number, texts); err != nil {
			return err
		}
	}
}

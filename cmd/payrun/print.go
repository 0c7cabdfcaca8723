package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printJSON writes a value for programs, on one line.
func printJSON(w io.Writer, v any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		fmt.Fprintln(w, `{"error":"the result cannot be written as JSON"}`)
	}
}

// show prints a value as JSON, or else calls text.
func (a *app) show(v any, text func()) error {
	if a.cli.JSON {
		printJSON(a.out, v)
		return nil
	}
	text()
	return nil
}

// table prints aligned columns; cells whose heading ends in a space are
// numbers and stand to the right.
type table struct {
	w       *tabwriter.Writer
	numbers []bool
	rows    [][]string
}

func newTable(out io.Writer, headings ...string) *table {
	t := &table{w: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	names := make([]string, len(headings))
	for i, h := range headings {
		t.numbers = append(t.numbers, strings.HasSuffix(h, " "))
		names[i] = strings.ToUpper(strings.TrimSpace(h))
	}
	t.rows = append(t.rows, names)
	return t
}

func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, texts)
}

// flush pads numbers by hand: tabwriter aligns all columns one way only.
func (t *table) flush() {
	widths := make([]int, len(t.numbers))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range t.rows {
		for i, cell := range row {
			if t.numbers[i] {
				row[i] = strings.Repeat(" ", widths[i]-len([]rune(cell))) + cell
			}
		}
		fmt.Fprintln(t.w, "  "+strings.Join(row, "\t"))
	}
	t.w.Flush()
}

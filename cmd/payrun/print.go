package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"payrun/internal/database"
	"payrun/internal/money"
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

// table prints aligned columns. Those whose heading ends in a space are
// numbers and stand to the right.
type table struct {
	out     io.Writer
	numbers []bool
	rows    [][]string
}

func newTable(out io.Writer, headings ...string) *table {
	t := &table{out: out}
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

// flush prints the table; one without rows is not worth its headings.
func (t *table) flush() {
	if len(t.rows) == 1 {
		return
	}
	widths := make([]int, len(t.numbers))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString("  " + padded(cell, widths[i], t.numbers[i]))
		}
		fmt.Fprintln(t.out, strings.TrimRight(line.String(), " "))
	}
}

func padded(cell string, width int, right bool) string {
	space := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
	if right {
		return space + cell
	}
	return cell + space
}

// grouped writes an amount for people: 1,234,567.80.
func grouped(a money.Amount, c money.Currency) string {
	whole, fraction, _ := strings.Cut(money.Format(a, c), ".")
	digits, negative := strings.CutPrefix(whole, "-")
	text := groupedDigits(digits)
	if negative {
		text = "-" + text
	}
	if fraction != "" {
		text += "." + fraction
	}
	return text
}

func groupedDigits(digits string) string {
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

// count writes a whole number for people: 12,345.
func count[T ~int | ~int64](n T) string { return groupedDigits(fmt.Sprint(n)) }

// counted writes "1 row" or "12,345 rows".
func counted[T ~int | ~int64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// amount writes an amount with its currency, for people.
func amount(a money.Amount, c money.Currency) string { return grouped(a, c) + " " + string(c) }

// wrapped breaks a text into lines that fit on a terminal, each indented.
func wrapped(text, indent string) string {
	var b strings.Builder
	width := lineWidth - len(indent)
	used := width // so that the first word starts a line
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if used+1+n > width {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(indent + word)
			used = n
			continue
		}
		b.WriteString(" " + word)
		used += 1 + n
	}
	return b.String()
}

// localTime shows an instant in the business zone.
func (a *app) localTime(at database.Instant) string {
	if at == 0 {
		return "-"
	}
	return at.Time().In(a.config.Zone).Format("2006-01-02 15:04:05")
}

// relative shortens a path for people who look at it from the working folder.
func relative(path string) string {
	folder, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

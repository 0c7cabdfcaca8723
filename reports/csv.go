package reports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"strings"

	"payrun/internal/database"
	"payrun/internal/money"
)

// lines writes rows as csv and digests what it writes. The workbook keeps only
// the digest; so the digest of its Payouts sheet is that of the csv file.
type lines struct {
	hash   hash.Hash
	out    io.Writer
	buffer []byte
}

func newLines(out io.Writer) *lines {
	l := &lines{hash: sha256.New()}
	l.out = io.MultiWriter(l.hash, out)
	return l
}

func (l *lines) headings(columns []column) error {
	values := make([]value, len(columns))
	for i, c := range columns {
		values[i] = text(c.heading)
	}
	return l.row(values)
}

func (l *lines) row(values []value) error {
	for i, v := range values {
		if i > 0 {
			l.buffer = append(l.buffer, ',')
		}
		l.buffer = v.appendCSV(l.buffer)
	}
	l.buffer = append(l.buffer, '\n')
	if len(l.buffer) < 32<<10 {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	_, err := l.out.Write(l.buffer)
	l.buffer = l.buffer[:0]
	return err
}

// digest ends the writing and returns the SHA-256 of all lines.
func (l *lines) digest() (string, error) {
	err := l.flush()
	return hex.EncodeToString(l.hash.Sum(nil)), err
}

// appendCSV writes the value as a csv field: times in UTC, amounts with all
// decimals.
func (v value) appendCSV(line []byte) []byte {
	switch v.kind {
	case words:
		return appendWords(line, v.text)
	case counted:
		return strconv.AppendInt(line, v.n, 10)
	case monetary:
		return append(line, money.Format(money.Amount(v.n), money.Currency(v.text))...)
	case timed:
		return append(line, iso(database.Instant(v.n))...)
	case dated:
		return append(line, v.text...)
	}
	return line
}

// appendWords writes a text. A leading apostrophe keeps a spreadsheet program
// from taking it for a formula, or, behind a NUL, for what follows that.
func appendWords(line []byte, s string) []byte {
	if s != "" && strings.IndexByte("=+-@\t\r\x00", s[0]) >= 0 {
		s = "'" + s
	}
	if !strings.ContainsAny(s, ",\"\r\n") && !strings.HasPrefix(s, " ") {
		return append(line, s...)
	}
	line = append(line, '"')
	line = append(line, strings.ReplaceAll(s, `"`, `""`)...)
	return append(line, '"')
}

func (r *report) csv(ctx context.Context, d *draft) error {
	out, err := d.create()
	if err != nil {
		return err
	}
	l := newLines(out)
	if err := l.headings(payoutColumns); err != nil {
		return err
	}
	if err := r.eachPayout(ctx, l.row); err != nil {
		return err
	}
	if err := l.flush(); err != nil {
		return err
	}
	return r.checkPayouts(ctx)
}

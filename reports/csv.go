package reports

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"hash"
	"io"
)

// lines writes rows as csv and digests what it writes. The workbook keeps only
// the digest; so the digest of its Payouts sheet is that of the csv file.
type lines struct {
	hash   hash.Hash
	writer *csv.Writer
	fields []string
}

func newLines(out io.Writer) *lines {
	l := &lines{hash: sha256.New()}
	l.writer = csv.NewWriter(io.MultiWriter(l.hash, out))
	return l
}

func (l *lines) headings(columns []column) error {
	l.fields = l.fields[:0]
	for _, c := range columns {
		l.fields = append(l.fields, c.heading)
	}
	return l.writer.Write(l.fields)
}

func (l *lines) row(values []value) error {
	l.fields = l.fields[:0]
	for _, v := range values {
		l.fields = append(l.fields, v.csv())
	}
	return l.writer.Write(l.fields)
}

// digest ends the writing and returns the SHA-256 of all lines.
func (l *lines) digest() (string, error) {
	l.writer.Flush()
	return hex.EncodeToString(l.hash.Sum(nil)), l.writer.Error()
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
	if _, err := l.digest(); err != nil {
		return err
	}
	return r.checkPayouts(ctx)
}

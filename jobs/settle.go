package jobs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"payrun/ledger"
)

// Settle closes the open business day of the books.
type Settle struct {
	Book *ledger.Book
	// HeadsFile is where the digest of each closed day and the head of the
	// audit trail are kept outside the database, so that somebody who can
	// change the database cannot change its proof with it.
	HeadsFile string
	Actor     string
}

// Run closes the day and appends its digest to the heads file.
func (s *Settle) Run(ctx context.Context) (ledger.Day, error) {
	day, err := s.Book.CloseDay(ctx, s.Actor)
	if err != nil {
		return day, err
	}
	if err := s.keepHeads(ctx); err != nil {
		return day, fmt.Errorf("the day is closed, but its digest is not kept outside the database: %w", err)
	}
	return day, nil
}

// keepHeads appends every closed day that the file lacks: also one whose
// process died between closing and writing.
func (s *Settle) keepHeads(ctx context.Context) error {
	kept, err := os.ReadFile(s.HeadsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	days, err := s.Book.Days(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(days) // oldest first
	var lines strings.Builder
	for _, d := range days {
		if d.ClosedAt == 0 || strings.Contains(string(kept), "digest="+d.Digest+" ") {
			continue
		}
		fmt.Fprintf(&lines, "%s day=%s entries=%d digest=%s audit=%s\n", d.ClosedAt, d.BusinessDay, d.Entries, d.Digest, d.AuditDigest)
	}
	return appendDurably(s.HeadsFile, lines.String())
}

func appendDurably(path, line string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Sync()
}

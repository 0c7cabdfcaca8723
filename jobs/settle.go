package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

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
	position, head, err := s.Book.Head(ctx)
	if err != nil {
		return day, err
	}
	line := fmt.Sprintf("%s day=%s entries=%d digest=%s audit=%d head=%s\n",
		day.ClosedAt, day.BusinessDay, day.Entries, day.Digest, position, head)
	if err := appendDurably(s.HeadsFile, line); err != nil {
		return day, fmt.Errorf("the day is closed, but its digest is not kept outside the database: %w", err)
	}
	return day, nil
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

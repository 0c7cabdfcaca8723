package jobs

import (
	"context"
	"fmt"

	"payrun/ledger"
)

// Settle closes the open business day of the books.
type Settle struct {
	Book  *ledger.Book
	Heads Heads // the closed day's digest is kept there, too
	Actor string
}

// Run closes the day and appends its digest to the file of heads.
func (s *Settle) Run(ctx context.Context) (ledger.Day, error) {
	day, err := s.Book.CloseDay(ctx, s.Actor)
	if err != nil {
		return day, err
	}
	if err := s.Heads.keep(ctx, s.Book); err != nil {
		return day, fmt.Errorf("the day is closed, but its digest is not kept outside the database: %w", err)
	}
	return day, nil
}

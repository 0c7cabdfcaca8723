package jobs

import (
	"context"
	"sync"
	"time"

	"payrun/ledger"
)

// brakes looks again for stops just before a payout leaves: what was claimed
// waits for its slot, and in that time somebody may have pulled the brake. It
// reads the store a few times a second at most, and is safe for concurrent use.
type brakes struct {
	mu    sync.Mutex
	at    time.Time
	stops []ledger.Stop
	err   error
}

const brakesAge = 150 * time.Millisecond

// pulled reports whether the payout is stopped. A store that does not answer
// counts as one: what is sent could not be recorded.
func (b *brakes) pulled(ctx context.Context, book *ledger.Book, p ledger.Payout) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.at) > brakesAge {
		b.stops, b.err = book.Stops(ctx)
		b.at = time.Now()
	}
	if b.err != nil {
		return true
	}
	for _, s := range b.stops {
		if s.Holds(p) {
			return true
		}
	}
	return false
}

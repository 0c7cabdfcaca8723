package jobs

import (
	"context"
	"sync"
	"time"
)

// window decides how many payouts a claim may take: the free places for
// calls, and what the gateway finished in the last half second. What is
// claimed is in doubt if this process dies, so it never claims more than it
// sends within about a second; a fast gateway makes claims larger, and larger
// claims cost the database less. It is safe for concurrent use.
type window struct {
	places int
	ended  chan struct{} // holds a token when a call has ended since it was last taken

	mu       sync.Mutex
	open     int // claimed and not finished
	done     int // finished since measured
	measured time.Time
	pace     int // finished in half a second
}

// maxAhead bounds what is claimed beyond the free places.
const maxAhead = 500

func (w *window) claimed(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open += n
}

func (w *window) finished() {
	w.mu.Lock()
	w.open--
	w.done++
	w.mu.Unlock()
	select {
	case w.ended <- struct{}{}:
	default:
	}
}

// room waits until half of the window is free, or a moment after some of it
// is, and returns how much.
func (w *window) room(ctx context.Context) (int, error) {
	patience := time.NewTimer(20 * time.Millisecond)
	defer patience.Stop()
	late := false
	for {
		free, size := w.free()
		if free >= (size+1)/2 || late && free > 0 {
			return free, ctx.Err()
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-w.ended:
		case <-patience.C:
			late = true
		}
	}
}

func (w *window) free() (free, size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const period = 500 * time.Millisecond
	if elapsed := time.Since(w.measured); elapsed > period/5 {
		w.pace = int(int64(w.done) * int64(period) / int64(elapsed))
		w.done, w.measured = 0, time.Now()
	}
	size = w.places + min(w.pace, maxAhead)
	return size - w.open, size
}

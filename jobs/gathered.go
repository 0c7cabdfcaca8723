package jobs

import (
	"iter"
	"time"
)

// gathered hands out what comes through a channel: up to most items at a time,
// waiting no longer than linger after the first. It ends when the channel
// closes and everything was handed out.
func gathered[T any](in <-chan T, most int, linger time.Duration) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for first := range in {
			batch, open := gather(in, append(make([]T, 0, most), first), linger)
			if !yield(batch) || !open {
				return
			}
		}
	}
}

func gather[T any](in <-chan T, batch []T, linger time.Duration) (_ []T, open bool) {
	deadline := time.NewTimer(linger)
	defer deadline.Stop()
	for len(batch) < cap(batch) {
		select {
		case item, ok := <-in:
			if !ok {
				return batch, false
			}
			batch = append(batch, item)
		case <-deadline.C:
			return batch, true
		}
	}
	return batch, true
}

package database

import (
	"sync"
	"time"
)

// steady is SQLite's clock: the machine's, which somebody may set. Time goes
// on at the pace of the monotonic clock when the wall's is set back, so that
// leases and send slots do not stand still until it has caught up. When the
// wall's clock is ahead, after a sleep or because it was set, it is followed:
// a lease that ends early is doubt, which look-ups settle.
//
// A process that starts after the clock was set back starts from the new
// time. Leases of the one before it then last longer by that much.
type steady struct {
	// read returns the wall's time, and a time that nobody can set.
	read func() (wall time.Time, monotonic time.Duration)

	mu   sync.Mutex
	last time.Duration // by the monotonic clock, when it was asked last
	time time.Time     // what it answered then
}

func newSteady() *steady {
	began := time.Now()
	return &steady{read: func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(began)
	}}
}

func (s *steady) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	wall, monotonic := s.read()
	if went := s.time.Add(monotonic - s.last); went.After(wall) {
		wall = went
	}
	s.last, s.time = monotonic, wall
	return wall
}

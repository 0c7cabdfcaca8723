package sandbox

import (
	"sync"
	"time"
)

// Clock is where a Server takes its time from. Implementations must be safe
// for concurrent use.
type Clock interface {
	// Now is the current time.
	Now() time.Time
	// Alarm returns a channel that receives once when the clock reaches at
	// (immediately if it has), and a function that gives the alarm up early.
	Alarm(at time.Time) (rings <-chan time.Time, stop func())
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Alarm(at time.Time) (<-chan time.Time, func()) {
	timer := time.NewTimer(time.Until(at))
	return timer.C, func() { timer.Stop() }
}

// ManualClock is a Clock that moves only when told to, so that a test can put
// hours of gateway time behind it at once. The zero value is not usable; call
// [NewManualClock]. After an Advance, [Server.CaughtUp] waits until the server
// has done what had come due.
type ManualClock struct {
	mu     sync.Mutex
	now    time.Time
	alarms map[*manualAlarm]struct{}
}

type manualAlarm struct {
	at    time.Time
	rings chan time.Time
}

// NewManualClock returns a clock that stands at start.
func NewManualClock(start time.Time) *ManualClock {
	return &ManualClock{now: start, alarms: make(map[*manualAlarm]struct{})}
}

// Now is the time the clock stands at.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Alarm implements [Clock].
func (c *ManualClock) Alarm(at time.Time) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	alarm := &manualAlarm{at: at, rings: make(chan time.Time, 1)}
	if !at.After(c.now) {
		alarm.rings <- c.now
		return alarm.rings, func() {}
	}
	c.alarms[alarm] = struct{}{}
	return alarm.rings, func() { c.forget(alarm) }
}

func (c *ManualClock) forget(alarm *manualAlarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.alarms, alarm)
}

// Advance moves the clock forward by d and rings every alarm that comes due.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for alarm := range c.alarms {
		if alarm.at.After(c.now) {
			continue
		}
		alarm.rings <- c.now // buffered, and an alarm rings once
		delete(c.alarms, alarm)
	}
}

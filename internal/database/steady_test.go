package database

import (
	"testing"
	"time"
)

// machine has a clock that a test sets.
type machine struct {
	began time.Time
	went  time.Duration
	set   time.Duration
}

// readings come apart, since nobody can make a time.Time whose two disagree.
func (m *machine) readings() (wall time.Time, monotonic time.Duration) {
	return m.began.Add(m.went + m.set), m.went
}

func TestTheSteadyClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	m := &machine{began: time.Date(2031, 3, 5, 12, 0, 0, 0, time.UTC)}
	s := &steady{read: m.readings}
	at := func(step string, want time.Duration) {
		t.Helper()
		if got := s.now().Sub(m.began); got != want {
			t.Errorf("%s: it is %s after the beginning, want %s", step, got, want)
		}
	}
	at("at the beginning", 0)
	m.went += time.Second
	at("a second later", time.Second)
	m.set = -10 * time.Minute
	at("set back by ten minutes", time.Second)
	m.went += 5 * time.Second
	at("five seconds after that", 6*time.Second)
	m.set = 0
	at("set right again", 6*time.Second)
	m.set = 10 * time.Minute
	at("set ahead, as after a sleep", 10*time.Minute+6*time.Second)
	m.set = 0
	m.went += time.Second
	at("and back", 10*time.Minute+7*time.Second)
}

func TestTheSteadyClockIsTheMachines(t *testing.T) {
	t.Parallel()
	s := newSteady()
	before := time.Now()
	got := s.now()
	if after := time.Now(); got.Before(before.Round(0)) || got.After(after) {
		t.Errorf("it says %s between %s and %s", got, before, after)
	}
}

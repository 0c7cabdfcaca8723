package sandbox

import "time"

// ticket names one callback: of which order, which leg, and which of the
// leg's notices.
type ticket struct {
	orderNo string
	leg     int
	notice  int
}

// begin sets a leg on its way; s.mu is held.
func (s *Server) begin(o *order, leg int) {
	if !s.config.Instant {
		s.planStep(o, leg)
		return
	}
	for _, t := range s.end(o, leg) {
		s.planNotice(t)
	}
}

// resume takes up a leg found in the book: callbacks that are owed and steps
// that are to come or overdue; s.mu is held.
func (s *Server) resume(o *order, leg int) {
	for i, n := range o.legs[leg].notices {
		if !n.done {
			s.planNotice(ticket{o.no, leg, i})
		}
	}
	s.begin(o, leg)
}

// planStep puts the leg's next status on the agenda; s.mu is held.
func (s *Server) planStep(o *order, leg int) {
	l := o.legs[leg]
	step := l.step
	if step >= len(l.plan) {
		return
	}
	due := time.UnixMicro(l.created).Add(s.stepDelay(o.no, step, len(l.plan)))
	s.agenda.add(due, func() {
		defer s.agenda.finish()
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.step != step {
			return // Move or an early end was faster
		}
		if t, owed := s.take(o, leg, l.plan[step], step+1); owed {
			s.planNotice(t)
		}
		s.planStep(o, leg)
	})
}

// take puts the leg into a status and returns the callback this owes, if any;
// s.mu is held.
func (s *Server) take(o *order, leg, status, step int) (owes ticket, owed bool) {
	l := o.legs[leg]
	owed = s.tells(status) && checkNotifyURL(l.notifyURL) == nil
	s.commit(event{Event: eventStatus, Order: o.no, Leg: leg, Status: status, Step: step, Notify: owed})
	return ticket{o.no, leg, len(l.notices) - 1}, owed
}

// end takes all steps that are left of a leg's outcome; s.mu is held.
func (s *Server) end(o *order, leg int) []ticket {
	var owes []ticket
	l := o.legs[leg]
	for l.step < len(l.plan) {
		if t, owed := s.take(o, leg, l.plan[l.step], l.step+1); owed {
			owes = append(owes, t)
		}
	}
	return owes
}

// endEarly ends a leg and tries its callbacks before create has replied.
func (s *Server) endEarly(orderNo string, leg int) {
	s.agenda.start()
	defer s.agenda.finish()
	s.mu.Lock()
	owes := s.end(s.records.orders[orderNo], leg)
	s.mu.Unlock()
	for _, t := range owes {
		s.deliver(t)
	}
}

// tells reports whether a status is called back: 5, 6, 7, 8 and 20, and 19
// where that is configured.
func (s *Server) tells(status int) bool {
	if s.config.Callbacks.Off {
		return false
	}
	return Final(status) || status == StatusPickup && s.config.Callbacks.Pickup
}

// planNotice puts the next try of a callback on the agenda: the first at once
// (whether the gateway waits is not documented), then by the schedule of the
// callback page; s.mu is held.
func (s *Server) planNotice(t ticket) {
	n := s.records.orders[t.orderNo].legs[t.leg].notices[t.notice]
	due := time.UnixMicro(n.last)
	if n.tries > 0 {
		pause, _ := retryPause(n.tries)
		due = due.Add(s.scaled(pause))
	}
	s.agenda.add(due, func() {
		s.courier.push(func() {
			defer s.agenda.finish()
			s.deliver(t)
		})
	})
}

// retryPause is how long after try number n the next one follows; ok is false
// after the seventeenth, which is the last.
func retryPause(n int) (pause time.Duration, ok bool) {
	const s, m, h = time.Second, time.Minute, time.Hour
	pauses := [...]time.Duration{
		10 * s, 30 * s, 1 * m, 2 * m, 3 * m, 4 * m, 5 * m, 6 * m,
		7 * m, 8 * m, 9 * m, 10 * m, 20 * m, 30 * m, 1 * h, 2 * h,
	}
	if n > len(pauses) {
		return 0, false
	}
	return pauses[n-1], true
}

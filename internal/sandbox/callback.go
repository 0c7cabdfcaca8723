package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// deliver makes the next try of a callback and plans the one after it, if it
// failed. Faults at Callback strike at the first try.
func (s *Server) deliver(t ticket) {
	s.mu.Lock()
	l := s.records.orders[t.orderNo].legs[t.leg]
	status, try := l.notices[t.notice].status, l.notices[t.notice].tries+1
	target := l.notifyURL
	form := s.callbackForm(t.orderNo, l, status)
	s.mu.Unlock()
	if s.journal.flush() != nil {
		s.retryLater(t, try, 0) // what the book does not hold is not told
		return
	}
	var fault *Fault
	if try == 1 {
		fault = s.faults.strike(call{at: Callback, orderNo: t.orderNo, channel: l.channel})
	}
	if fault != nil && fault.Kind == FaultDrop {
		s.noticed(t, event{Status: status, Try: try, Result: noticeDropped})
		return
	}
	s.sendAround(t, l, fault, status, func() { s.try(t, try, target, form) })
}

// try sends the true callback and books what became of it.
func (s *Server) try(t ticket, try int, target string, form fields) {
	code, err := s.courier.post(target, form)
	switch {
	case s.courier.ctx.Err() != nil:
		return // closing: the next start tries again
	case err != nil:
		s.config.Log.Info("sandbox callback not delivered", "order", t.orderNo, "try", try, "http", code, "err", err)
		s.retryLater(t, try, code)
	default:
		status, _ := strconv.Atoi(form.value("status"))
		s.noticed(t, event{Status: status, Try: try, HTTP: code, Result: noticeDelivered})
	}
}

func (s *Server) retryLater(t ticket, try, code int) {
	result := noticeFailed
	_, more := retryPause(try)
	if !more {
		result = noticeGivenUp
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.records.orders[t.orderNo].legs[t.leg].notices[t.notice].status
	s.commit(s.noticeEvent(t, event{Status: status, Try: try, HTTP: code, Result: result}))
	if more {
		s.planNotice(t)
	}
}

func (s *Server) noticed(t ticket, e event) {
	s.mu.Lock()
	s.commit(s.noticeEvent(t, e))
	s.mu.Unlock()
	s.flushOrLog()
}

func (*Server) noticeEvent(t ticket, e event) event {
	e.Event, e.Order, e.Leg, e.Notice = eventNotice, t.orderNo, t.leg, t.notice
	return e
}

// sendAround sends the true callback with the false ones that a fault puts
// before, beside or after it.
func (s *Server) sendAround(t ticket, l *leg, fault *Fault, status int, send func()) {
	if fault == nil {
		send()
		return
	}
	if s.sleep(fault.Wait) != nil {
		return
	}
	extra := func(status int, forged bool) {
		form := s.callbackForm(t.orderNo, l, status)
		if forged {
			form = form.with("sign", strings.Repeat("F", 64))
		}
		code, _ := s.courier.post(l.notifyURL, form) // nobody waits for its answer
		s.noticed(t, event{Status: status, HTTP: code, Result: noticeExtra})
	}
	switch fault.Kind {
	case FaultForge:
		extra(or(fault.Status, opposite(status)), true)
		send()
	case FaultContradict:
		send()
		extra(or(fault.Status, opposite(status)), false)
	case FaultOutOfOrder:
		send()
		extra(StatusProcessing, false)
	case FaultCopies:
		var copies sync.WaitGroup
		for range or(fault.Copies, 1) {
			copies.Go(func() { extra(status, false) })
		}
		send()
		copies.Wait()
	default:
		send()
	}
}

// opposite is the status that turns the meaning of another one round.
func opposite(status int) int {
	if status == StatusPaid {
		return StatusFailed
	}
	return StatusPaid
}

// callbackForm is the signed form of the gateway's callback page. What a leg
// was created with never changes, so s.mu need not be held.
func (s *Server) callbackForm(orderNo string, l *leg, status int) fields {
	amount, currency := twoDecimals(l.amount, l.currency), string(l.currency)
	form := fields{
		text("epayAccount", s.config.Account),
		text("merchantOrderNo", orderNo),
		text("epayOrderNo", l.epayOrderNo()),
		text("pinCode", ""),
		text("amount", amount),
		text("paymentAmount", amount),
		text("receiveAmount", amount),
		text("settlementCurrency", currency),
		text("paymentCurrency", currency),
		text("receiveCurrency", currency),
		text("fee", twoDecimals(l.fee, l.currency)),
		text("rate", "1.000000"),
		text("status", strconv.Itoa(status)),
		text("accountNo", l.account),
		text("remark", remark(status)),
	}
	if l.extend != "" {
		form = append(form, text("extendFields", l.extend))
	}
	for _, name := range slices.Sorted(maps.Keys(s.config.Callbacks.Extra)) {
		form = append(form, text(name, s.config.Callbacks.Extra[name]))
	}
	return append(form, text("sign", s.sign(form.members())))
}

func remark(status int) string {
	switch status {
	case StatusCancelled:
		return "order cancelled"
	case StatusFailed:
		return "payment refused by the wallet operator"
	case StatusClosed:
		return "order closed"
	case StatusFeeKept:
		return "payment failed, fee not returned"
	}
	return ""
}

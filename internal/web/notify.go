package web

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"payrun/jobs"
)

// maxNotification is far more bytes than the gateway's longest form.
const maxNotification = 64 << 10

// notify answers what the gateway expects: status 200 and the word success,
// which stops its retries. Anything else makes it try again. Parameters in the
// request's address are never looked at: nobody signs them.
func (s *Server) notify(w http.ResponseWriter, r *http.Request) {
	if wait, ok := s.admit(r); !ok {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
		s.refuse(w, tooMany, http.StatusTooManyRequests)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotification))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		s.refuse(w, tooLarge, http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		s.refuse(w, unreadable, http.StatusBadRequest)
		return
	}
	s.answer(w, r, s.config.Notifier.Notification(r.Context(), r.Header.Get("Content-Type"), body))
}

// answer says "success" only about a notification that is stored.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, err error) {
	var forged *jobs.RefusedNotification
	switch {
	case errors.As(err, &forged):
		s.config.Log.Warn("notification refused", "from", r.RemoteAddr, "why", forged.Error())
		s.refuse(w, refused, http.StatusBadRequest)
	case err != nil:
		if !s.failing.Swap(true) { // once, however many come while the store is away
			s.config.Log.Error("notifications are not stored, the gateway is asked to repeat them", "error", err)
		}
		s.fates.count(notStored)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	default:
		s.fates.count(stored)
		if s.failing.Swap(false) {
			s.config.Log.Info("notifications are stored again")
		}
		if s.config.Wake != nil {
			s.config.Wake()
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "success") // a gateway that is gone asks again
	}
}

func (s *Server) refuse(w http.ResponseWriter, why fate, status int) {
	s.fates.count(why)
	http.Error(w, http.StatusText(status), status)
}

// admit limits what one address may post. It returns the seconds to wait. A
// limiter that fails admits: a notification is worth more than the limit.
func (s *Server) admit(r *http.Request) (wait int, ok bool) {
	_, _, reset, ok, err := s.limits.Take(r.Context(), sender(r.RemoteAddr))
	if err != nil || ok {
		return 0, true
	}
	return int(time.Until(time.Unix(0, int64(reset)))/time.Second) + 1, false
}

// sender is the address, or for version 6 the network, since one machine has
// the addresses of a whole network at hand.
func sender(remote string) string {
	endpoint, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	address := endpoint.Addr().Unmap().WithZone("")
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			return network.String()
		}
	}
	return address.String()
}

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const errorPage = "<html><head><title>%[1]d %[2]s</title></head><body><h1>%[1]d %[2]s</h1></body></html>\n"

// redirected marks the target of a scripted redirect, so that a client that
// follows it shows up as a second call instead of running in circles.
const redirected = "redirected"

// spoil changes a reply before it is encoded.
func (s *Server) spoil(rep reply, f *Fault) reply {
	switch f.Kind {
	case FaultErrorCode:
		rep = refuse(or(f.Code, codeScripted), "scripted failure")
	case FaultOutage:
		rep = refuse(or(f.Code, codeOutage), "channel not available")
	case FaultNotFound:
		rep = s.notFound()
	case FaultForeign:
		rep.data = rep.data.with("merchantOrderNo", s.otherOrder(rep.data.value("merchantOrderNo")))
	case FaultMismatch:
		rep.data = rep.data.with("amount", "1"+rep.data.value("amount"))
	case FaultBadSign:
		rep.sign = func(string) string { return strings.Repeat("0", 64) }
	case FaultNoSign:
		rep.sign = func(string) string { return "" }
	}
	return rep
}

// otherOrder is a real order number that is not the given one, if there is one.
func (s *Server) otherOrder(orderNo string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.records.lastOrders {
		if other != "" && other != orderNo {
			return other
		}
	}
	return orderNo + "X"
}

// breakReply sends what the fault makes of a reply. It reports false where the
// reply itself is sent in the ordinary way.
func (s *Server) breakReply(w http.ResponseWriter, r *http.Request, f *Fault, body []byte) bool {
	switch f.Kind {
	case FaultLostReply:
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	case FaultReset:
		s.reset(w)
	case FaultHalfClose:
		s.halfClose(w, f, body)
	case FaultStatus:
		status := or(f.HTTPStatus, http.StatusServiceUnavailable)
		if f.RetryAfter > 0 {
			seconds := (f.RetryAfter + time.Second - 1) / time.Second
			w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
		}
		writePage(w, status, or(f.Body, fmt.Sprintf(errorPage, status, http.StatusText(status))))
	case FaultHTML:
		writePage(w, http.StatusOK, or(f.Body, fmt.Sprintf(errorPage, http.StatusOK, "Maintenance")))
	case FaultEmpty:
		writeJSON(w, http.StatusOK, nil)
	case FaultTruncated:
		writeJSON(w, http.StatusOK, body[:len(body)/2])
	case FaultTrailingJunk:
		writeJSON(w, http.StatusOK, append(body, or(f.Body, "\n{\"code\":0}<!-- debug -->")...))
	case FaultDrip:
		s.drip(w, f, body)
	case FaultRedirect:
		target := or(f.Location, r.URL.Path+"?"+redirected+"=1")
		w.Header().Set("Location", target)
		w.WriteHeader(or(f.HTTPStatus, http.StatusTemporaryRedirect))
	default:
		return false
	}
	return true
}

func writePage(w http.ResponseWriter, status int, page string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page)) // the peer may be gone; that is its loss
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json;charset=UTF-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// hijack takes the connection over; where there is none (a test recorder) the
// call is aborted instead.
func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn
}

func (s *Server) reset(w http.ResponseWriter) {
	conn := hijack(w)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // close with RST instead of FIN
	}
	_ = conn.Close()
}

// halfClose announces the whole body, sends half and ends its own direction.
// The other direction stays open until the client or the server closes.
func (s *Server) halfClose(w http.ResponseWriter, f *Fault, body []byte) {
	conn := hijack(w)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // closing unblocks the read below
		select {
		case <-s.closing:
		case <-stop:
		}
		_ = conn.Close()
	}()
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	_, err := conn.Write(append([]byte(head), body[:len(body)/2]...))
	half, ok := conn.(interface{ CloseWrite() error })
	if err != nil || !ok {
		return
	}
	if err := half.CloseWrite(); err != nil {
		return
	}
	_, _ = conn.Read(make([]byte, 1))
}

// drip sends the reply one byte at a time, spread over f.Wait.
func (s *Server) drip(w http.ResponseWriter, f *Fault, body []byte) {
	controller := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	pause := f.Wait / time.Duration(max(1, len(body)))
	for i := range body {
		if s.sleep(pause) != nil {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(body[i : i+1]); err != nil {
			return // the client had enough
		}
		if err := controller.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
	}
}

// sleep waits d on the server's clock; it fails when the server closes.
func (s *Server) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	clock := s.config.Clock
	rings, stop := clock.Alarm(clock.Now().Add(d))
	defer stop()
	select {
	case <-rings:
		return nil
	case <-s.closing:
		return http.ErrServerClosed
	}
}

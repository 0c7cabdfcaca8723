package epay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxReply = 1 << 20  // bytes read of an answer
	maxRaw   = 64 << 10 // bytes of it handed to the caller
)

// transport carries single requests. It uses http.Transport without
// http.Client, which would follow redirects and keep cookies.
type transport struct {
	http    *http.Transport
	timeout time.Duration
	now     func() time.Time
}

func newTransport(cfg Config, local bool) *transport {
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: 15 * time.Second}
	if local {
		dialer.Control = loopbackOnly
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &guardedConn{Conn: conn}, nil
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // one request per connection at a time: see guardedConn
	return &transport{
		http: &http.Transport{
			Proxy:                  nil, // never taken from the environment
			DialContext:            dial,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    cfg.ConnectTimeout,
			Protocols:              protocols,
			MaxConnsPerHost:        cfg.MaxConnections,
			MaxIdleConns:           cfg.MaxConnections,
			MaxIdleConnsPerHost:    cfg.MaxConnections,
			IdleConnTimeout:        30 * time.Second, // below the usual server's, so that they rarely close first
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // the answer's bytes are evidence
		},
		timeout: cfg.Timeout,
		now:     cfg.Now,
	}
}

var errNotLocal = errors.New("plain http may only connect to this machine")

// loopbackOnly looks at the address about to be dialled, after names have been
// resolved: "localhost" must not lead away from this machine.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return errNotLocal
	}
	return nil
}

// post sends one request and reads its answer. The Reply's Reason is empty if a
// whole answer arrived with a status that may decide something.
func (t *transport) post(ctx context.Context, url string, body []byte, sendBy time.Time) Reply {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	f := &flight{sendBy: sendBy, now: t.now}
	req, err := newRequest(httptrace.WithClientTrace(ctx, f.trace()), url, body)
	if err != nil {
		return invalidReply(err)
	}
	resp, err := t.http.RoundTrip(req)
	if err != nil {
		notSent := f.seal()
		return Reply{Reason: f.reason(ctx), NotSent: notSent, Err: err}
	}
	defer resp.Body.Close()
	return t.read(ctx, resp)
}

func newRequest(ctx context.Context, url string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // without it net/http cannot send the body a second time
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "payrun-epay")
	return req, nil
}

func (t *transport) read(ctx context.Context, resp *http.Response) Reply {
	raw, err := readBody(resp)
	r := Reply{HTTPStatus: resp.StatusCode, Reason: statusReason(resp.StatusCode)}
	if len(raw) > 0 || err == nil {
		r.Digest, r.Raw = evidence(raw)
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		r.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), t.now())
	}
	switch {
	case err == nil:
	case r.Reason != "":
		r.Err = err
	default:
		r.Reason, r.Err = readReason(ctx, err), err
	}
	r.whole = raw
	return r
}

var errTooLarge = errors.New("answer is larger than 1 MiB")

// readBody reads a whole answer. It makes room for what was announced only as
// far as an honest answer goes.
func readBody(resp *http.Response) ([]byte, error) {
	if n := resp.ContentLength; n >= 0 && n <= maxRaw {
		raw := make([]byte, n)
		got, err := io.ReadFull(resp.Body, raw)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return raw[:got], err
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if len(raw) > maxReply {
		return raw[:maxReply], errTooLarge
	}
	return raw, err
}

func statusReason(status int) Reason {
	switch {
	case status >= 300 && status < 400:
		return ReasonRedirect
	case status == http.StatusTooManyRequests:
		return ReasonThrottled
	case status >= 500:
		return ReasonServerError
	}
	return ""
}

func readReason(ctx context.Context, err error) Reason {
	switch {
	case errors.Is(err, errTooLarge):
		return ReasonTooLarge
	case errors.Is(ctx.Err(), context.Canceled):
		return ReasonCanceled
	case ctx.Err() != nil:
		return ReasonTimeout
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ReasonTruncated
	}
	return ReasonReset
}

// retryAfter reads the header's seconds or date; anything else, and what lies
// in the past, is zero. It is capped at a day.
func retryAfter(header string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if seconds, err := strconv.Atoi(header); err == nil {
		return min(max(time.Duration(min(seconds, 86400))*time.Second, 0), most)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}

// flight follows one request to its connection, to be able to say afterwards
// whether a byte of it left.
//
// A deadline or cancellation makes RoundTrip return while its writing goroutine
// may be about to write. So "nothing was sent" cannot merely be observed: seal
// makes it true, and fails if it is too late.
type flight struct {
	sendBy    time.Time
	now       func() time.Time
	state     atomic.Int32
	connected atomic.Bool // a connection was handed to this request
	late      atomic.Bool // sendBy was over at the first write
	untrusted atomic.Bool // the TLS handshake failed
}

const (
	fresh    int32 = iota // no byte has left
	launched              // bytes have left, or are about to
	sealed                // no byte has left and none will
)

var errSealed = errors.New("request was given up before its first byte left")

func (f *flight) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { f.board(info.Conn) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err != nil {
				f.untrusted.Store(true)
			}
		},
	}
}

// board ties the flight to its connection before anything is written to it.
func (f *flight) board(conn net.Conn) {
	f.connected.Store(true)
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if guarded, ok := conn.(*guardedConn); ok {
		guarded.flight.Store(f)
		return
	}
	f.state.Store(launched) // an unguarded connection proves nothing
}

// over reports whether sendBy has passed, by the monotonic clock, which on some
// systems stands still while the machine sleeps, or by the one on the wall. To
// be late by mistake is safe: nothing is sent.
func (f *flight) over() bool {
	now := f.now()
	return !f.sendBy.IsZero() && (now.After(f.sendBy) || now.Round(0).After(f.sendBy.Round(0)))
}

// launch allows or refuses a write; first reports whether it is the first one.
func (f *flight) launch() (first bool, err error) {
	if f.state.Load() == launched {
		return false, nil
	}
	if f.over() {
		f.late.Store(true)
		f.seal()
		return false, errSealed
	}
	if f.state.CompareAndSwap(fresh, launched) {
		return true, nil
	}
	return false, errSealed
}

// seal forbids further writes and reports whether there was none.
func (f *flight) seal() bool {
	return f.state.CompareAndSwap(fresh, sealed) || f.state.Load() == sealed
}

func (f *flight) reason(ctx context.Context) Reason {
	switch {
	case f.late.Load():
		return ReasonLate
	case errors.Is(ctx.Err(), context.Canceled):
		return ReasonCanceled
	case ctx.Err() != nil:
		return ReasonTimeout
	case f.connected.Load():
		return ReasonReset
	case f.untrusted.Load():
		return ReasonTLS
	}
	return ReasonDial
}

// guardedConn lets the flight on board decide about every write. HTTP/1.1
// carries one request at a time, so there is only one flight.
type guardedConn struct {
	net.Conn
	flight atomic.Pointer[flight]
}

func (c *guardedConn) Write(p []byte) (int, error) {
	f := c.flight.Load()
	if f == nil { // the TLS handshake, before any request
		return c.Conn.Write(p)
	}
	first, err := f.launch()
	if err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if first && n == 0 && err != nil {
		f.state.CompareAndSwap(launched, fresh) // the kernel took nothing
	}
	return n, err
}

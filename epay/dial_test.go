package epay

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func TestLoopbackOnly(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:1": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"10.0.0.1:80": false, "8.8.8.8:443": false, "[2001:db8::1]:80": false, "0.0.0.0:80": false, "gateway:80": false, "": false,
	} {
		if err := loopbackOnly("tcp", address, nil); (err == nil) != want {
			t.Errorf("%q: error %v, want allowed = %v", address, err, want)
		}
	}
}

// A name that turns out to lead elsewhere is stopped at the dial.
func TestPlainHTTPDialStaysLocal(t *testing.T) {
	t.Parallel()
	tr := newTransport(Config{}.withDefaults(), true)
	conn, err := tr.http.DialContext(t.Context(), "tcp", "192.0.2.1:80")
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, errNotLocal) {
		t.Errorf("error %v, want the dial to be refused", err)
	}
}

// net/http replays a request only if it can get the body again, or if a header
// promises that repeating does no harm.
func TestRequestsCannotBeReplayed(t *testing.T) {
	t.Parallel()
	req, err := newRequest(t.Context(), "http://127.0.0.1/", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if req.GetBody != nil {
		t.Error("the body can be read twice")
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, found := req.Header[name]; found {
			t.Errorf("header %s is set", name)
		}
	}
}

func TestFlight(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Unix(100, 0) }
	t.Run("sealed before the first write", func(t *testing.T) {
		t.Parallel()
		f := &flight{now: now}
		first, again := f.seal(), f.seal()
		if !first || !again {
			t.Errorf("sealing a fresh flight: %t, once more: %t", first, again)
		}
		if _, err := f.launch(); err == nil {
			t.Error("a sealed flight was launched")
		}
	})
	t.Run("sealed after the first write", func(t *testing.T) {
		t.Parallel()
		f := &flight{now: now}
		if first, err := f.launch(); !first || err != nil {
			t.Errorf("launch = %v, %v", first, err)
		}
		if f.seal() {
			t.Error("a launched flight was sealed")
		}
		if first, err := f.launch(); first || err != nil {
			t.Errorf("second write: launch = %v, %v", first, err)
		}
	})
	t.Run("a write of which nothing was taken", func(t *testing.T) {
		t.Parallel()
		near, far := net.Pipe()
		_ = far.Close()
		conn := &guardedConn{Conn: near}
		f := &flight{now: now}
		f.board(conn)
		if n, err := conn.Write([]byte("x")); n != 0 || err == nil {
			t.Fatalf("write = %d, %v", n, err)
		}
		if !f.seal() {
			t.Error("not provably unsent, though nothing was written")
		}
	})
	t.Run("a write that got through", func(t *testing.T) {
		t.Parallel()
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		conn := &guardedConn{Conn: near}
		f := &flight{now: now}
		f.board(conn)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if f.seal() {
			t.Error("reported as unsent")
		}
		_ = near.Close()
	})
	t.Run("an unguarded connection proves nothing", func(t *testing.T) {
		t.Parallel()
		near, _ := net.Pipe()
		f := &flight{now: now}
		f.board(near)
		if f.seal() {
			t.Error("reported as unsent")
		}
	})
}

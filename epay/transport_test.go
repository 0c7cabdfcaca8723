package epay_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payrun/epay"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http reports broken connections there
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func within(d time.Duration) func(*epay.Config) {
	return func(c *epay.Config) { c.Timeout = d }
}

// hang answers nothing until the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestCreateAgainstBrokenConnections(t *testing.T) {
	t.Parallel()
	good := signed(created())
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(good))
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	tests := map[string]struct {
		script func(c net.Conn)
		want   epay.Reason
		status int
	}{
		"reset before the answer":      {reset, epay.ReasonReset, 0},
		"closed before the answer":     {func(net.Conn) {}, epay.ReasonReset, 0},
		"half-closed before it":        {func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }, epay.ReasonReset, 0},
		"closed within the head":       {func(c net.Conn) { fmt.Fprint(c, head[:20]) }, epay.ReasonReset, 0},
		"not HTTP":                     {func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-x\r\n\r\n") }, epay.ReasonReset, 0},
		"closed before the body":       {func(c net.Conn) { fmt.Fprint(c, head) }, epay.ReasonTruncated, 200},
		"closed within the body":       {func(c net.Conn) { fmt.Fprint(c, head+good[:40]) }, epay.ReasonTruncated, 200},
		"one byte missing":             {func(c net.Conn) { fmt.Fprint(c, head+good[:len(good)-1]) }, epay.ReasonTruncated, 200},
		"closed within a chunk":        {func(c net.Conn) { fmt.Fprintf(c, chunked+"%x\r\n%s", len(good), good[:40]) }, epay.ReasonTruncated, 200},
		"last chunk missing":           {func(c net.Conn) { fmt.Fprintf(c, chunked+"%x\r\n%s\r\n", len(good), good) }, epay.ReasonTruncated, 200},
		"length shorter than the body": {func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"+good) }, epay.ReasonTruncated, 200},
		"length says nothing":          {func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"+good) }, epay.ReasonEmpty, 200},
		"endless head":                 {func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)) }, epay.ReasonReset, 0},
		"compressed unasked": {func(c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
		}, epay.ReasonNotJSON, 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := serveRaw(t, func(g *rawGateway, c net.Conn) {
				g.read(bufio.NewReader(c))
				tt.script(c)
			})
			out := newClient(t, g.URL).CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "verdict", out.Verdict, epay.Unknown)
			equal(t, "reason", out.Reason, tt.want)
			equal(t, "HTTP status", out.HTTPStatus, tt.status)
			equal(t, "not sent", out.NotSent, false)
			equal(t, "requests seen", g.count(testOrder), 1)
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	good := signed(created())
	drip := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := range len(good) {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = io.WriteString(w, good[i:i+1])
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		status  int
	}{
		"no answer":             {hang, 0},
		"body drips too slowly": {drip, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, serve(t, tt.handler), within(500*time.Millisecond))
			began := time.Now()
			out := c.CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "verdict", out.Verdict, epay.Unknown)
			equal(t, "reason", out.Reason, epay.ReasonTimeout)
			equal(t, "not sent", out.NotSent, false)
			equal(t, "HTTP status", out.HTTPStatus, tt.status)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		hang(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	out := newClient(t, base).CreateEwalletTransaction(ctx, testPayout())
	equal(t, "reason", out.Reason, epay.ReasonCanceled)
	equal(t, "not sent", out.NotSent, false)
}

// Everything that is certain not to have sent a byte says so.
func TestNotSent(t *testing.T) {
	t.Parallel()
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		notSent(t, newClient(t, "http://"+l.Addr().String()), t.Context(), epay.ReasonDial)
	})
	t.Run("certificate of a stranger", func(t *testing.T) {
		t.Parallel()
		s, requests := tlsGateway(t)
		notSent(t, newClient(t, s.URL), t.Context(), epay.ReasonTLS)
		equal(t, "requests seen", requests.Load(), 0)
	})
	t.Run("certificate for another name", func(t *testing.T) {
		t.Parallel()
		s, requests := tlsGateway(t)
		url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		notSent(t, newClient(t, url, trust(s)), t.Context(), epay.ReasonTLS)
		equal(t, "requests seen", requests.Load(), 0)
	})
	t.Run("no TLS at the other end", func(t *testing.T) {
		t.Parallel()
		base := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("request arrived") })
		notSent(t, newClient(t, strings.Replace(base, "http:", "https:", 1)), t.Context(), epay.ReasonTLS)
	})
	t.Run("handshake without end", func(t *testing.T) {
		t.Parallel()
		g := serveRaw(t, func(_ *rawGateway, c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		c := newClient(t, strings.Replace(g.URL, "http:", "https:", 1), func(c *epay.Config) { c.ConnectTimeout = 300 * time.Millisecond })
		notSent(t, c, t.Context(), epay.ReasonTLS)
	})
	t.Run("cancelled before the call", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		notSent(t, newClient(t, answer(t, 200, signed(created()))), ctx, epay.ReasonCanceled)
	})
	t.Run("too late before the call", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		notSent(t, newClient(t, answer(t, 200, signed(created()))), ctx, epay.ReasonTimeout)
	})
	t.Run("no free connection in time", func(t *testing.T) {
		t.Parallel()
		arrived := make(chan struct{}, 2)
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			hang(w, r)
		})
		c := newClient(t, base, func(c *epay.Config) { c.MaxConnections = 1 })
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan epay.Outcome)
		go func() { first <- c.CreateEwalletTransaction(ctx, testPayout()) }()
		<-arrived
		waiting, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer stop()
		notSent(t, c, waiting, epay.ReasonTimeout)
		cancel()
		equal(t, "first call not sent", (<-first).NotSent, false)
		equal(t, "further requests", len(arrived), 0)
	})
}

func notSent(t *testing.T, c *epay.Client, ctx context.Context, want epay.Reason) {
	t.Helper()
	out := c.CreateEwalletTransaction(ctx, testPayout())
	equal(t, "verdict", out.Verdict, epay.Unknown)
	equal(t, "reason", out.Reason, want)
	equal(t, "not sent", out.NotSent, true)
	if out.Err == nil {
		t.Error("no error")
	}
}

func tlsGateway(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	requests := new(atomic.Int32)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = io.WriteString(w, signed(created()))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s, requests
}

func trust(s *httptest.Server) func(*epay.Config) {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return func(c *epay.Config) { c.RootCAs = pool }
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s, requests := tlsGateway(t)
	c := newClient(t, s.URL, trust(s))
	for range 3 {
		equal(t, "verdict", c.CreateEwalletTransaction(t.Context(), testPayout()).Verdict, epay.Accepted)
	}
	equal(t, "requests seen", requests.Load(), 3)
}

// clock answers with one time first and another from the nth question on.
func clock(n int32, before, after time.Time) func() time.Time {
	var asked atomic.Int32
	return func() time.Time {
		if asked.Add(1) < n {
			return before
		}
		return after
	}
}

func TestSendBy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				_, _ = io.WriteString(w, signed(created()))
			})
			s := httptest.NewUnstartedServer(handler)
			trusted := func(*epay.Config) {}
			if secure {
				s.StartTLS()
				trusted = trust(s)
			} else {
				s.Start()
			}
			t.Cleanup(s.Close)
			late := clock(2, now, now.Add(time.Minute))
			c := newClient(t, s.URL, trusted, func(c *epay.Config) { c.Now = late })
			p := testPayout()
			p.SendBy = now

			// In time, on a new connection; then late, on the same one; then
			// late on a new one.
			equal(t, "in time", c.CreateEwalletTransaction(t.Context(), p).Verdict, epay.Accepted)
			notSentLate(t, c, p)
			notSentLate(t, c, p)
			equal(t, "requests seen", requests.Load(), 1)

			p.SendBy = time.Time{}
			equal(t, "without a limit", c.CreateEwalletTransaction(t.Context(), p).Verdict, epay.Accepted)
		})
	}
}

func notSentLate(t *testing.T, c *epay.Client, p epay.Payout) {
	t.Helper()
	out := c.CreateEwalletTransaction(t.Context(), p)
	equal(t, "reason", out.Reason, epay.ReasonLate)
	equal(t, "not sent", out.NotSent, true)
}

// A gateway that follows a redirect for us would see the payout twice.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, signed(created()))
			})
			out := newClient(t, base).CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "verdict", out.Verdict, epay.Unknown)
			equal(t, "reason", out.Reason, epay.ReasonRedirect)
			equal(t, "requests seen", requests.Load(), 1)
		})
	}
}

// Gateways close connections that were kept alive at the worst moment. However
// they do it, no order may reach them more often than it was sent, and none at
// all if the client says so.
func TestKeptAliveConnectionsThatDie(t *testing.T) {
	t.Parallel()
	scripts := map[string]func(g *rawGateway, c net.Conn){
		"closed after the answer": func(g *rawGateway, c net.Conn) {
			respond(c, g.read(bufio.NewReader(c)))
		},
		"reset after the answer": func(g *rawGateway, c net.Conn) {
			respond(c, g.read(bufio.NewReader(c)))
			reset(c)
		},
		"closed at the second request": func(g *rawGateway, c net.Conn) {
			r := bufio.NewReader(c)
			respond(c, g.read(r))
			g.read(r)
		},
		"reset at the second request": func(g *rawGateway, c net.Conn) {
			r := bufio.NewReader(c)
			respond(c, g.read(r))
			g.read(r)
			reset(c)
		},
		"closed at its first byte": func(g *rawGateway, c net.Conn) {
			r := bufio.NewReader(c)
			respond(c, g.read(r))
			_, _ = r.ReadByte()
			reset(c)
		},
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := serveRaw(t, script)
			c := newClient(t, g.URL)
			var sent sync.Map
			var workers sync.WaitGroup
			const each, calls = 25, 4 * 25
			for w := range 4 {
				workers.Go(func() {
					for i := range each {
						p := testPayout()
						p.OrderNo = fmt.Sprintf("KEEPALIVE%02dX%04d", w, i)
						sent.Store(p.OrderNo, c.CreateEwalletTransaction(t.Context(), p))
					}
				})
			}
			workers.Wait()
			g.stop()
			checkAgainstBook(t, g, &sent, calls)
		})
	}
}

// checkAgainstBook compares what the client says with what the gateway saw.
func checkAgainstBook(t *testing.T, g *rawGateway, sent *sync.Map, calls int) {
	t.Helper()
	tally := map[string]int{}
	sent.Range(func(no, outcome any) bool {
		out, seen := outcome.(epay.Outcome), g.count(no.(string))
		tally[out.Verdict.String()]++
		switch {
		case seen > 1:
			t.Errorf("%s reached the gateway %d times", no, seen)
		case out.NotSent && seen != 0:
			t.Errorf("%s reached the gateway, the client says it was not sent (%s)", no, out.Reason)
		case out.Verdict == epay.Accepted && seen != 1:
			t.Errorf("%s is accepted and was never seen", no)
		}
		return true
	})
	total := tally["accepted"] + tally["unknown"]
	if total != calls || tally["accepted"] == 0 {
		t.Errorf("%d calls ended as %v", calls, tally)
	}
}

// Calls are given up at every possible moment. Whatever is reported as not sent
// must never arrive, not even later.
func TestNotSentHoldsUnderCancellation(t *testing.T) {
	t.Parallel()
	g := serveRaw(t, func(g *rawGateway, c net.Conn) {
		r := bufio.NewReader(c)
		for {
			no := g.read(r)
			if no == "" {
				return
			}
			respond(c, no)
		}
	})
	c := newClient(t, g.URL, func(c *epay.Config) { c.MaxConnections = 4 })
	var sent sync.Map
	var workers sync.WaitGroup
	const each = 150
	for w := range 8 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range each {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(600))*time.Microsecond)
				p := testPayout()
				p.OrderNo = fmt.Sprintf("CANCEL%02dX%06d", w, i)
				sent.Store(p.OrderNo, c.CreateEwalletTransaction(ctx, p))
				cancel()
			}
		})
	}
	workers.Wait()
	p := testPayout()
	p.OrderNo = "ATLASTONEUNHURRIED"
	sent.Store(p.OrderNo, c.CreateEwalletTransaction(t.Context(), p))
	g.stop()
	checkAgainstBook(t, g, &sent, 8*each+1)
}

// A second answer on a connection must never be taken for the next order's.
func TestLeftOverAnswerIsNotTakenForTheNextOrder(t *testing.T) {
	t.Parallel()
	g := serveRaw(t, func(g *rawGateway, c net.Conn) {
		r := bufio.NewReader(c)
		for {
			no := g.read(r)
			if no == "" {
				return
			}
			respond(c, no)
			respond(c, no)
		}
	})
	c := newClient(t, g.URL)
	for i := range 50 {
		p := testPayout()
		p.OrderNo = fmt.Sprintf("LEFTOVER%04d", i)
		out := c.CreateEwalletTransaction(t.Context(), p)
		if out.Verdict == epay.Accepted && out.Order.OrderNo != p.OrderNo {
			t.Fatalf("%s accepted with the answer to %s", p.OrderNo, out.Order.OrderNo)
		}
		if out.Verdict == epay.Unknown && out.Reason != epay.ReasonForeignOrder && out.Reason != epay.ReasonReset {
			t.Fatalf("reason %s", out.Reason)
		}
		if n := g.count(p.OrderNo); n > 1 {
			t.Fatalf("%s reached the gateway %d times", p.OrderNo, n)
		}
	}
}

func TestConnectionsAreKeptAndBounded(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, signed(created().with("merchantOrderNo", orderNo(body))))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, func(c *epay.Config) { c.MaxConnections = 3 })
	var workers sync.WaitGroup
	for range 12 {
		workers.Go(func() {
			for range 10 {
				equal(t, "verdict", c.CreateEwalletTransaction(t.Context(), testPayout()).Verdict, epay.Accepted)
			}
		})
	}
	workers.Wait()
	if n := opened.Load(); n < 1 || n > 3 {
		t.Errorf("%d connections opened, want at most 3", n)
	}
}

// Proxy settings of the environment must neither carry a payout elsewhere nor
// show it to anyone. net/http never proxies loopback addresses, but it would
// proxy 0.0.0.0, which leads to this machine as well.
func TestEnvironmentProxyIsIgnored(t *testing.T) {
	var proxied atomic.Int32
	proxy := serveRaw(t, func(_ *rawGateway, _ net.Conn) { proxied.Add(1) })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	s, requests := tlsGateway(t)
	everywhere := strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1)
	notSent(t, newClient(t, everywhere, trust(s)), t.Context(), epay.ReasonTLS) // the name is not in the certificate
	out := newClient(t, s.URL, trust(s)).CreateEwalletTransaction(t.Context(), testPayout())
	equal(t, "verdict", out.Verdict, epay.Accepted)
	equal(t, "requests seen", requests.Load(), 1)
	equal(t, "connections to the proxy", proxied.Load(), 0)
}

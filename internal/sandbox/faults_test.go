package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seen is what a plain client gets: an answer, or an error.
type seen struct {
	status int
	header http.Header
	body   string
	err    error
}

func (g *gateway) see(path string, param map[string]any) seen {
	response, body, err := g.post(path, signed(param))
	if response == nil {
		return seen{err: err}
	}
	return seen{response.StatusCode, response.Header, string(body), err}
}

func (s seen) envelope(t *testing.T) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal([]byte(s.body), &e); err != nil || s.err != nil {
		t.Fatalf("no sound reply: HTTP %d %q, %v, %v", s.status, s.body, s.err, err)
	}
	return e
}

func TestFaultsOfCreate(t *testing.T) {
	t.Parallel()
	unreadable := func(s seen) bool { return s.err == nil && s.status == 200 && !json.Valid([]byte(s.body)) }
	tests := []struct {
		name   string
		fault  Fault
		looks  func(*testing.T, seen) bool
		stored bool
	}{
		{"lost reply", Fault{Kind: FaultLostReply}, func(_ *testing.T, s seen) bool {
			return errors.Is(s.err, io.EOF)
		}, true},
		{"reset before it is stored", Fault{Kind: FaultReset}, func(_ *testing.T, s seen) bool {
			return errors.Is(s.err, syscall.ECONNRESET)
		}, false},
		{"reset after it is stored", Fault{Kind: FaultReset, Stored: true}, func(_ *testing.T, s seen) bool {
			return errors.Is(s.err, syscall.ECONNRESET)
		}, true},
		{"half closed", Fault{Kind: FaultHalfClose, Stored: true}, func(_ *testing.T, s seen) bool {
			return errors.Is(s.err, io.ErrUnexpectedEOF) && s.status == 200 && s.body != ""
		}, true},
		{"service unavailable", Fault{Kind: FaultStatus}, func(_ *testing.T, s seen) bool {
			return s.status == 503 && strings.Contains(s.body, "<html>")
		}, false},
		{"bad gateway after it is stored", Fault{Kind: FaultStatus, HTTPStatus: 502, Stored: true}, func(_ *testing.T, s seen) bool {
			return s.status == 502
		}, true},
		{"forbidden page", Fault{Kind: FaultStatus, HTTPStatus: 403, Body: "<p>your address</p>"}, func(_ *testing.T, s seen) bool {
			return s.status == 403 && s.body == "<p>your address</p>"
		}, false},
		{"too many requests", Fault{Kind: FaultStatus, HTTPStatus: 429, RetryAfter: 1500 * time.Millisecond}, func(_ *testing.T, s seen) bool {
			return s.status == 429 && s.header.Get("Retry-After") == "2"
		}, false},
		{"HTML page", Fault{Kind: FaultHTML, Stored: true}, func(_ *testing.T, s seen) bool {
			return unreadable(s) && strings.HasPrefix(s.header.Get("Content-Type"), "text/html")
		}, true},
		{"empty body", Fault{Kind: FaultEmpty, Stored: true}, func(_ *testing.T, s seen) bool {
			return s.err == nil && s.status == 200 && s.body == ""
		}, true},
		{"truncated JSON", Fault{Kind: FaultTruncated}, func(_ *testing.T, s seen) bool {
			return unreadable(s) && strings.HasPrefix(s.body, `{"sign":"`)
		}, true},
		{"trailing junk", Fault{Kind: FaultTrailingJunk}, func(_ *testing.T, s seen) bool {
			var e envelope
			return unreadable(s) && json.NewDecoder(strings.NewReader(s.body)).Decode(&e) == nil && e.Code == codeSuccess
		}, true},
		{"drip", Fault{Kind: FaultDrip, Wait: 20 * time.Millisecond}, func(t *testing.T, s seen) bool {
			return s.envelope(t).value(t, "status") == "1"
		}, true},
		{"wrong signature", Fault{Kind: FaultBadSign}, func(t *testing.T, s seen) bool {
			e := s.envelope(t)
			return len(e.Sign) == 64 && e.Sign != sign(e.members(t), SeparatorJava, DefaultKey)
		}, true},
		{"no signature", Fault{Kind: FaultNoSign}, func(t *testing.T, s seen) bool {
			return s.envelope(t).Sign == ""
		}, true},
		{"another order's reply", Fault{Kind: FaultForeign}, func(t *testing.T, s seen) bool {
			e := s.envelope(t)
			return e.value(t, "merchantOrderNo") == "BEFORE01" && e.Sign == sign(e.members(t), SeparatorJava, DefaultKey)
		}, true},
		{"another amount", Fault{Kind: FaultMismatch}, func(t *testing.T, s seen) bool {
			e := s.envelope(t)
			return e.value(t, "amount") == "125.00" && e.Sign == sign(e.members(t), SeparatorJava, DefaultKey)
		}, true},
		{"error code before it is stored", Fault{Kind: FaultErrorCode, Code: 777}, func(t *testing.T, s seen) bool {
			return s.envelope(t).Code == 777
		}, false},
		{"error code after it is stored", Fault{Kind: FaultErrorCode, Stored: true}, func(t *testing.T, s seen) bool {
			return s.envelope(t).Code == codeScripted
		}, true},
		{"temporary redirect", Fault{Kind: FaultRedirect}, func(_ *testing.T, s seen) bool {
			return s.status == 307 && strings.HasPrefix(s.header.Get("Location"), createPath+"?")
		}, false},
		{"permanent redirect after it is stored", Fault{Kind: FaultRedirect, HTTPStatus: 308, Location: "http://127.0.0.1:1/x", Stored: true}, func(_ *testing.T, s seen) bool {
			return s.status == 308 && s.header.Get("Location") == "http://127.0.0.1:1/x"
		}, true},
		{"channel outage", Fault{Kind: FaultOutage, Channel: PerfectMoney}, func(t *testing.T, s seen) bool {
			return s.envelope(t).Code == codeOutage
		}, false},
		{"outage of another channel", Fault{Kind: FaultOutage, Channel: Payeer}, func(t *testing.T, s seen) bool {
			return s.envelope(t).Code == codeSuccess
		}, true},
		{"shrunk limits", Fault{Kind: FaultLimits, Max: 24_99}, func(t *testing.T, s seen) bool {
			return s.envelope(t).Code == codeLimit
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, fast())
			g.create("BEFORE01")
			test.fault.At = Create
			g.mustFault(test.fault)
			if s := g.see(createPath, payout("STRUCK01")); !test.looks(t, s) {
				t.Errorf("the client saw HTTP %d %v %q, %v", s.status, s.header, s.body, s.err)
			}
			g.settle()
			o := g.order("STRUCK01")
			if stored := o.Paid == 1; stored != test.stored || o.Creates != 1 {
				t.Errorf("stored = %v, want %v: %+v", stored, test.stored, o)
			}
			if asked := o.History[0].Text; !strings.HasPrefix(asked, "25.00 USD to U1234567 over 11") {
				t.Errorf("the book says of the request: %q", asked)
			}
			g.mustFault()
			if e := g.create("AFTER001"); e.Code != codeSuccess {
				t.Errorf("faults cleared, but: %+v", e)
			}
		})
	}
}

// The faults of transport look alike at the other endpoints; here it is enough
// that they strike there and nowhere else.
func TestFaultsOfTheOtherEndpoints(t *testing.T) {
	t.Parallel()
	calls := map[Endpoint]struct {
		path  string
		param map[string]any
	}{
		Query:   {queryPath, params("merchantOrderNo", "KNOWN001")},
		Limits:  {limitPath, params("currency", "USD", "category", "EWALLET", "channelCode", PerfectMoney)},
		Balance: {balancePath, params()},
	}
	kinds := []Kind{
		FaultLostReply, FaultReset, FaultHalfClose, FaultDelay, FaultDrip, FaultStatus, FaultHTML, FaultEmpty,
		FaultTruncated, FaultTrailingJunk, FaultBadSign, FaultErrorCode, FaultRedirect, FaultOutage,
	}
	for at, call := range calls {
		g := start(t, fast())
		g.create("KNOWN001")
		g.settle()
		sound := g.see(call.path, call.param)
		for _, kind := range kinds {
			g.mustFault(Fault{At: at, Kind: kind, Wait: time.Millisecond})
			s := g.see(call.path, call.param)
			same := s.err == nil && s.status == sound.status && s.body == sound.body
			if slow := kind == FaultDelay || kind == FaultDrip; same != slow {
				t.Errorf("%s at %s: %+v", kind, at, s)
			}
			for other, unstruck := range calls {
				if s := g.see(unstruck.path, unstruck.param); other != at && (s.err != nil || s.status != 200 || s.envelope(t).Code != 1) {
					t.Errorf("%s at %s struck %s: %+v", kind, at, other, s)
				}
			}
		}
	}
}

func TestFaultsOfQuery(t *testing.T) {
	t.Parallel()
	g := start(t, fast())
	g.create("ASKED001")
	g.create("ASKED002")
	g.settle()
	code := func(want int) func(envelope) bool { return func(e envelope) bool { return e.Code == want } }
	tests := []struct {
		name  string
		fault Fault
		looks func(envelope) bool
	}{
		{"not found", Fault{Kind: FaultNotFound}, code(codeNotFound)},
		{"not found while young", Fault{Kind: FaultNotFound, Wait: time.Hour}, code(codeNotFound)},
		{"not found while younger", Fault{Kind: FaultNotFound, Wait: time.Nanosecond}, code(codeSuccess)},
		{"error for a known order", Fault{Kind: FaultErrorCode, Code: 5}, code(5)},
		{"by channel", Fault{Kind: FaultErrorCode, Code: 6, Channel: PerfectMoney}, code(6)},
		{"by another channel", Fault{Kind: FaultErrorCode, Code: 6, Channel: Advcash}, code(codeSuccess)},
		{"another order's reply", Fault{Kind: FaultForeign}, func(e envelope) bool {
			return e.value(t, "merchantOrderNo") == "ASKED002"
		}},
		{"another amount", Fault{Kind: FaultMismatch}, func(e envelope) bool { return e.value(t, "amount") == "125.00" }},
	}
	for _, test := range tests {
		test.fault.At = Query
		test.fault.OrderNo = "ASKED001"
		g.mustFault(test.fault)
		if e := g.query("ASKED001"); !test.looks(e) {
			t.Errorf("%s: %+v", test.name, e)
		}
		if e := g.query("ASKED002"); e.Code != codeSuccess || e.value(t, "merchantOrderNo") != "ASKED002" {
			t.Errorf("%s struck another order: %+v", test.name, e)
		}
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		clock := NewManualClock(time.Unix(1_700_000_000, 0))
		rule := Fault{At: Create, Kind: FaultDelay, Wait: time.Minute, Stored: stored}
		g := start(t, Config{Clock: clock, Outcomes: []Weighted{{"1", 1}}, Faults: Faults{Rules: []Fault{rule}}})
		ctx, giveUp := context.WithCancel(t.Context())
		impatient := g.createLater(ctx, "LATE0001")
		patient := g.createLater(t.Context(), "LATE0002")
		waitFor(t, "both calls wait", func() bool { return len(clock.pending()) == 2 })
		giveUp()
		if err := <-impatient; !errors.Is(err, context.Canceled) {
			t.Fatalf("the client saw %v", err)
		}
		if accepted := g.order("LATE0001").Accepted == 1; accepted != stored {
			t.Errorf("stored = %v: accepted = %v while the client waits", stored, accepted)
		}
		clock.Advance(time.Minute)
		if err := <-patient; err != nil {
			t.Errorf("stored = %v: a client that waits saw %v", stored, err)
		}
		waitFor(t, "the call is carried out", func() bool { return g.order("LATE0001").Accepted == 1 })
	}
}

// createLater sends a create and returns where its error will come.
func (g *gateway) createLater(ctx context.Context, orderNo string) <-chan error {
	g.t.Helper()
	body := strings.NewReader(string(signed(payout(orderNo))))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL()+"payoutApi/createEwalletTransaction", body)
	if err != nil {
		g.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		response, err := g.client.Do(request)
		if err == nil {
			err = response.Body.Close()
		}
		done <- err
	}()
	return done
}

// waitFor polls what happens on another goroutine without a signal of its own.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(10 * time.Second); !happened(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("not before the deadline: %s", what)
		}
	}
}

func (c *ManualClock) pending() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []time.Time
	for alarm := range c.alarms {
		out = append(out, alarm.at)
	}
	return out
}

func TestHalfCloseKeepsReading(t *testing.T) {
	t.Parallel()
	g := start(t, fast())
	g.mustFault(Fault{At: Create, Kind: FaultHalfClose, Stored: true})
	conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(g.URL(), "http://"), BasePath))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := signed(payout("HALF0001"))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: sandbox\r\nContent-Length: %d\r\n\r\n%s", createPath, len(body), body)
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "Content-Length") {
		t.Fatalf("answer %q, %v", answer, err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("the other direction is closed too: %v", err)
	}
}

func TestRedirectShowsAReplayedCreate(t *testing.T) {
	t.Parallel()
	config := fast()
	config.Duplicates = DuplicatePay
	g := start(t, config)
	g.mustFault(Fault{At: Create, Kind: FaultRedirect, Stored: true})
	g.client.CheckRedirect = nil // a client that follows replays the POST
	if e := g.create("REPLAY01"); e.Code != codeSuccess {
		t.Fatalf("replayed create: %+v", e)
	}
	g.settle()
	if o := g.order("REPLAY01"); o.Creates != 2 || o.Paid != 2 {
		t.Errorf("book: %+v", o)
	}
}

func TestFaultConditions(t *testing.T) {
	t.Parallel()
	clock := NewManualClock(time.Unix(1_700_000_000, 0))
	newSet := func(rules ...Fault) *faultSet {
		s := &faultSet{seed: 1, clock: clock}
		s.set(Faults{Rules: rules})
		return s
	}
	count := func(s *faultSet, calls int, c call) (struck int) {
		for range calls {
			if s.strike(c) != nil {
				struck++
			}
		}
		return struck
	}
	create := call{at: Create, orderNo: "A", channel: PerfectMoney}

	t.Run("times", func(t *testing.T) {
		if got := count(newSet(Fault{At: Create, Kind: FaultEmpty, Times: 3}), 10, create); got != 3 {
			t.Errorf("%d strikes, want 3", got)
		}
	})
	t.Run("per order", func(t *testing.T) {
		s := newSet(Fault{At: Create, Kind: FaultEmpty, PerOrder: 1})
		other := create
		other.orderNo = "B"
		if a, b := count(s, 5, create), count(s, 5, other); a != 1 || b != 1 {
			t.Errorf("%d and %d strikes, want one each", a, b)
		}
	})
	t.Run("time-boxed", func(t *testing.T) {
		s := newSet(Fault{At: Create, Kind: FaultOutage, For: time.Minute})
		before := count(s, 1, create)
		clock.Advance(time.Minute)
		if after := count(s, 1, create); before != 1 || after != 0 {
			t.Errorf("%d strikes within, %d after", before, after)
		}
	})
	t.Run("first that fits", func(t *testing.T) {
		s := newSet(Fault{At: Create, Kind: FaultHTML, Times: 1}, Fault{At: Create, Kind: FaultEmpty})
		if a, b := s.strike(create).Kind, s.strike(create).Kind; a != FaultHTML || b != FaultEmpty {
			t.Errorf("%s, then %s", a, b)
		}
	})
	t.Run("rate", func(t *testing.T) {
		run := func(seed int64) []bool {
			s := newSet(Fault{At: Create, Kind: FaultEmpty, Rate: 100_000})
			s.seed = seed
			var hits []bool
			for i := range 1000 {
				hits = append(hits, s.strike(call{at: Create, orderNo: fmt.Sprint(i)}) != nil)
			}
			return hits
		}
		first, struck := run(1), 0
		for _, hit := range first {
			if hit {
				struck++
			}
		}
		if struck < 60 || struck > 140 {
			t.Errorf("%d of 1000 struck at a tenth", struck)
		}
		if !cmp.Equal(first, run(1)) || cmp.Equal(first, run(2)) {
			t.Error("strikes do not follow the seed")
		}
	})
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	for _, fault := range []Fault{
		{},
		{At: "ship", Kind: FaultEmpty},
		{At: Create, Kind: "fire"},
		{At: Create, Kind: FaultNotFound},
		{At: Callback, Kind: FaultReset},
		{At: Query, Kind: FaultCopies},
		{At: Query, Kind: FaultLimits},
		{At: Balance, Kind: FaultMismatch},
		{At: Create, Kind: FaultEmpty, Rate: 1_000_001},
		{At: Create, Kind: FaultEmpty, Times: -1},
		{At: Create, Kind: FaultStatus, HTTPStatus: 42},
		{At: Create, Kind: FaultDelay, Wait: -1},
	} {
		if err := (Faults{Rules: []Fault{fault}}).validate(); err == nil {
			t.Errorf("accepted: %+v", fault)
		}
	}
}

func TestFaultJSON(t *testing.T) {
	t.Parallel()
	full := Fault{
		At: Create, Kind: FaultStatus, OrderNo: "A", Channel: "11", Rate: 1, Times: 2, PerOrder: 3, For: time.Hour,
		Stored: true, Wait: 1500 * time.Millisecond, HTTPStatus: 429, RetryAfter: time.Second, Body: "b",
		Location: "l", Code: 4, Min: 5, Max: 6, Copies: 7, Status: 8,
	}
	for _, want := range []Fault{full, {At: Query, Kind: FaultNotFound}} {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Fault
		if err := json.Unmarshal(data, &got); err != nil || got != want {
			t.Errorf("%s came back as %+v, %v", data, got, err)
		}
	}
	for _, wrong := range []string{`{"at":"create","kind":"empty","ordrNo":"A"}`, `{"wait":"soon"}`, `{"wait":5}`} {
		var f Fault
		if err := json.Unmarshal([]byte(wrong), &f); err == nil {
			t.Errorf("%s was understood as %+v", wrong, f)
		}
	}
}

func TestOutageEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Instant: true, Faults: Faults{Rules: []Fault{{At: Create, Kind: FaultOutage, Channel: PerfectMoney, For: time.Minute}}}})
		if err != nil {
			t.Fatal(err)
		}
		submit(s, payout("DOWN0001"))
		<-time.After(time.Minute)
		submit(s, payout("DOWN0002"))
		down, _ := s.Order("DOWN0001")
		up, _ := s.Order("DOWN0002")
		if down.Accepted != 0 || up.Paid != 1 {
			t.Errorf("during the outage %+v, after it %+v", down, up)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNotFoundForAWhile(t *testing.T) {
	t.Parallel()
	clock := NewManualClock(time.Unix(1_700_000_000, 0))
	g := start(t, Config{Clock: clock, NotFoundFor: time.Minute, TimeScale: 0.5})
	g.create("SHY00001")
	clock.Advance(29 * time.Second)
	if e := g.query("SHY00001"); e.Code != codeNotFound {
		t.Errorf("after 29 s: %+v", e)
	}
	clock.Advance(time.Second)
	g.mustStatus("SHY00001", "1")
}

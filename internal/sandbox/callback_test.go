package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// merchant is a real receiver of callbacks. It answers as told, else success.
type merchant struct {
	*httptest.Server
	mu       sync.Mutex
	received []url.Values
	answer   func(w http.ResponseWriter, nth int)
}

func newMerchant(t *testing.T, answer func(http.ResponseWriter, int)) *merchant {
	m := &merchant{answer: answer}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *merchant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		http.Error(w, "bad callback", http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	m.received = append(m.received, r.PostForm)
	nth := len(m.received)
	m.mu.Unlock()
	if m.answer != nil {
		m.answer(w, nth)
		return
	}
	_, _ = io.WriteString(w, "success")
}

// statuses lists what was told, in order; forged ones are marked.
func (m *merchant) statuses() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, form := range m.received {
		status := form.Get("status")
		if !genuine(form) {
			status += " forged"
		}
		out = append(out, status)
	}
	return out
}

func genuine(form url.Values) bool {
	members := make(map[string]any)
	for name := range form {
		if name != "sign" {
			members[name] = form.Get(name)
		}
	}
	_, ok := verify(members, form.Get("sign"), SeparatorJava, DefaultKey)
	return ok
}

func TestCallback(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, nil)
	config := fast()
	config.Fees = map[string]Fee{PerfectMoney: {Flat: 2_10}}
	config.Callbacks.Extra = map[string]string{"isForward": "0", "message": "hello"}
	g := start(t, config)
	number := g.create("TELL0001", "notifyUrl", m.URL+"/notify", "accountNo", "U000920").value(t, "epayOrderNo")
	g.settle()
	if got := m.statuses(); !cmp.Equal(got, []string{"20"}) {
		t.Fatalf("told %v", got)
	}
	form := m.received[0]
	form.Del("sign")
	want := url.Values{
		"epayAccount": {DefaultAccount}, "merchantOrderNo": {"TELL0001"}, "epayOrderNo": {number}, "pinCode": {""},
		"amount": {"25.00"}, "paymentAmount": {"25.00"}, "receiveAmount": {"25.00"},
		"settlementCurrency": {"USD"}, "paymentCurrency": {"USD"}, "receiveCurrency": {"USD"},
		"fee": {"2.10"}, "rate": {"1.000000"}, "status": {"20"}, "accountNo": {"U000920"},
		"remark": {"payment failed, fee not returned"}, "isForward": {"0"}, "message": {"hello"},
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	if o := g.order("TELL0001"); o.CallbacksOwed != 1 || o.CallbacksDelivered != 1 || o.CallbacksOpen != 0 {
		t.Errorf("book: %+v", o)
	}
}

func TestCallbackFormsMatchTheVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t).Vectors {
		if v.FormBody == "" {
			continue
		}
		form, err := url.ParseQuery(v.FormBody)
		if err != nil {
			t.Fatal(err)
		}
		var f fields
		for pair := range strings.SplitSeq(v.FormBody, "&") {
			name, _, _ := strings.Cut(pair, "=")
			f = append(f, text(name, form.Get(name)))
		}
		if got := f.form(); got != v.FormBody {
			t.Errorf("%s: form\n got %s\nwant %s", v.ID, got, v.FormBody)
		}
	}
}

func TestWhichStatusesAreTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outcome Outcome
		pickup  bool
		off     bool
		want    []string
	}{
		{outcome: "7", want: []string{"7"}},
		{outcome: "5", want: []string{"5"}},
		{outcome: "6", want: []string{"6"}},
		{outcome: "8", want: []string{"8"}},
		{outcome: "20", want: []string{"20"}},
		{outcome: "1"},
		{outcome: "9"},
		{outcome: "11"},
		{outcome: "19,7", want: []string{"7"}},
		{outcome: "19,7", pickup: true, want: []string{"19", "7"}},
		{outcome: "7,6", want: []string{"7", "6"}},
		{outcome: "7", off: true},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) { // steps a gateway's seconds apart are told in their order
			m := new(merchant)
			config := Config{Outcomes: []Weighted{{test.outcome, 1}}}
			config.Callbacks.Pickup, config.Callbacks.Off, config.Callbacks.Transport = test.pickup, test.off, deaf(m.hear)
			s, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			submit(s, payout("TOLD0001", "notifyUrl", "http://127.0.0.1/n"))
			if err := errors.Join(s.Settled(t.Context()), s.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
			if got := m.statuses(); !cmp.Equal(got, test.want) {
				t.Errorf("outcome %s, pickup %v, off %v: told %v, want %v", test.outcome, test.pickup, test.off, got, test.want)
			}
		})
	}
}

// hear takes a callback without a network.
func (m *merchant) hear(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestOnlyThisMachineIsCalled(t *testing.T) {
	t.Parallel()
	for target, allowed := range map[string]bool{
		"http://127.0.0.1:1/n": true, "http://[::1]/n": true, "https://localhost:9/n": true,
		"https://merchant.example/n": false, "http://192.0.2.1/n": false, "ftp://127.0.0.1/n": false,
		"http://127.0.0.1.example/n": false, "": false, "::": false,
	} {
		if err := checkNotifyURL(target); (err == nil) != allowed {
			t.Errorf("%q: %v", target, err)
		}
	}
	c := newCourier(Config{}.withDefaults().Callbacks)
	defer c.close()
	if _, err := c.post("http://192.0.2.1:9/", nil); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("dialling another machine: %v", err)
	}
	g := start(t, fast())
	g.create("AWAY0001", "notifyUrl", "https://merchant.example/epay/notify")
	g.settle()
	if o := g.order("AWAY0001"); o.Paid != 1 || o.CallbacksOwed != 0 {
		t.Errorf("order with a notifyUrl elsewhere: %+v", o)
	}
}

// deaf answers callbacks without a network, so that time can be simulated.
type deaf func(*http.Request) (*http.Response, error)

func (d deaf) RoundTrip(r *http.Request) (*http.Response, error) { return d(r) }

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body))}
}

func TestCallbackSchedule(t *testing.T) {
	t.Parallel()
	documented := []time.Duration{0}
	for _, seconds := range []int{10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200} {
		documented = append(documented, documented[len(documented)-1]+time.Duration(seconds)*time.Second)
	}
	for _, scale := range []float64{1, 0.001} {
		synctest.Test(t, func(t *testing.T) {
			var began time.Time
			var tries []time.Duration
			config := Config{TimeScale: scale, Instant: true}
			config.Callbacks.Transport = deaf(func(*http.Request) (*http.Response, error) {
				tries = append(tries, time.Since(began))
				return answer(http.StatusOK, "fail"), nil
			})
			s, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			began = time.Now()
			submit(s, payout("DEAF0001", "notifyUrl", "http://127.0.0.1/n"))
			if err := s.Settled(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(tries) != len(documented) {
				t.Fatalf("scale %g: %d tries, want %d", scale, len(tries), len(documented))
			}
			for i, want := range documented {
				want = time.Duration(float64(want) * scale)
				if off := tries[i] - want; off < -time.Millisecond || off > time.Millisecond {
					t.Errorf("scale %g: try %d after %s, want %s", scale, i+1, tries[i], want)
				}
			}
			if o, _ := s.Order("DEAF0001"); o.CallbacksOpen != 0 || o.CallbacksDelivered != 0 {
				t.Errorf("given up, but the book says %+v", o)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// submit sends a create without a network.
func submit(s *Server, param map[string]any) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, createPath, strings.NewReader(string(signed(param)))))
	return w
}

func TestCallbackIsRepeatedUntilSuccess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(http.ResponseWriter)
	}{
		{"error status", func(w http.ResponseWriter) { http.Error(w, "success", http.StatusInternalServerError) }},
		{"created", func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated); _, _ = io.WriteString(w, "success") }},
		{"other body", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "SUCCESS") }},
		{"more body", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "success, thanks") }},
		{"empty body", func(http.ResponseWriter) {}},
		{"redirect", func(w http.ResponseWriter) {
			w.Header().Set("Location", "/x")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}},
		{"dropped connection", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMerchant(t, func(w http.ResponseWriter, nth int) {
				if nth < 3 {
					test.answer(w)
					return
				}
				_, _ = io.WriteString(w, " success\n")
			})
			g := start(t, fast())
			g.create("AGAIN001", "notifyUrl", m.URL)
			g.settle()
			if got := m.statuses(); !cmp.Equal(got, []string{"7", "7", "7"}) {
				t.Errorf("told %v", got)
			}
			o := g.order("AGAIN001")
			if last := o.History[len(o.History)-1]; o.CallbacksDelivered != 1 || last.Text != "try 3 delivered, HTTP 200" {
				t.Errorf("book: %+v", o)
			}
		})
	}
}

func TestCallbacksGoOnAfterRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "book.jsonl")
	tries := make(chan struct{}, 100)
	down := newMerchant(t, func(w http.ResponseWriter, _ int) {
		w.WriteHeader(http.StatusBadGateway)
		tries <- struct{}{}
	})
	clock := NewManualClock(time.Unix(1_700_000_000, 0))
	config := Config{BookPath: path, Instant: true, Clock: clock}
	g := start(t, config)
	g.create("OWED0001", "notifyUrl", down.URL)
	if err := g.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-tries
	g.stop()

	g = start(t, config)
	if err := g.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(down.statuses()); got != 1 {
		t.Errorf("%d tries; the second is not due before ten seconds", got)
	}
	down.mu.Lock()
	down.answer = nil
	down.mu.Unlock()
	clock.Advance(10 * time.Second)
	g.settle()
	if o := g.order("OWED0001"); o.CallbacksDelivered != 1 || len(down.statuses()) != 2 {
		t.Errorf("after the restart: %+v, %d tries", o, len(down.statuses()))
	}
}

func TestCallbackFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault Fault
		want  []string
	}{
		{"drop", Fault{Kind: FaultDrop}, nil},
		{"copies", Fault{Kind: FaultCopies, Copies: 4}, []string{"7", "7", "7", "7", "7"}},
		{"forge", Fault{Kind: FaultForge}, []string{"6 forged", "7"}},
		{"contradict", Fault{Kind: FaultContradict}, []string{"7", "6"}},
		{"contradict with a chosen status", Fault{Kind: FaultContradict, Status: 20}, []string{"7", "20"}},
		{"out of order", Fault{Kind: FaultOutOfOrder}, []string{"7", "1"}},
		{"before the reply", Fault{Kind: FaultBeforeReply}, []string{"7"}},
		{"another order", Fault{Kind: FaultDrop, OrderNo: "OTHER001"}, []string{"7"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMerchant(t, nil)
			clock := NewManualClock(time.Unix(1_700_000_000, 0))
			g := start(t, Config{Clock: clock})
			test.fault.At = Callback
			g.mustFault(test.fault)
			status := g.create("FAULT001", "notifyUrl", m.URL).value(t, "status")
			early := len(m.statuses())
			before := 0
			if test.fault.Kind == FaultBeforeReply {
				before = 1
			}
			if early != before || status != "1" {
				t.Errorf("%d callbacks before the reply, which says status %s", early, status)
			}
			clock.Advance(time.Hour)
			g.settle()
			if got := m.statuses(); !cmp.Equal(got, test.want) {
				t.Errorf("told %v, want %v", got, test.want)
			}
			if o := g.order("FAULT001"); o.Paid != 1 || o.CallbacksOpen != 0 {
				t.Errorf("book: %+v", o)
			}
		})
	}
}

func TestManyCallbacksAreDelivered(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, nil)
	config := fast()
	config.Callbacks.Workers = 3
	g := start(t, config)
	for i := range 200 {
		g.create(fmt.Sprintf("MANY%04d", i), "notifyUrl", m.URL)
	}
	g.settle()
	told := make(map[string]int)
	for _, form := range m.received {
		told[form.Get("merchantOrderNo")]++
	}
	for no, o := range g.Book().Orders {
		if told[no] != 1 || o.CallbacksDelivered != 1 {
			t.Errorf("order %s told %d times, book %+v", no, told[no], o)
		}
	}
}

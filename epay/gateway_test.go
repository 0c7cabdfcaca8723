package epay_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"payrun/epay"
)

const (
	testKey     = "TESTKEY0000000000000000000000001"
	testAccount = "test2020@epay.com"
	testOrder   = "PB20260102000001"
)

func testPayout() epay.Payout {
	return epay.Payout{
		OrderNo:   testOrder,
		Channel:   epay.Payeer,
		Account:   "P1000000",
		Amount:    "25.00",
		Currency:  "USD",
		NotifyURL: "https://merchant.example/epay/notify",
	}
}

func newClient(t testing.TB, baseURL string, change ...func(*epay.Config)) *epay.Client {
	t.Helper()
	cfg := epay.Config{BaseURL: baseURL, Account: testAccount, Key: testKey}
	for _, f := range change {
		f(&cfg)
	}
	c, err := epay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func required(c *epay.Config) { c.ReplySignature = epay.Required }

// serve starts a gateway that answers every call with h.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/capi/openapi/"
}

// answer starts a gateway that gives one answer to everything.
func answer(t testing.TB, status int, body string) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// fields is flat data of a reply: texts, numbers or nil.
type fields map[string]any

func (f fields) with(name string, v any) fields {
	f = maps.Clone(f)
	f[name] = v
	return f
}

func (f fields) without(name string) fields {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// created is the data of the documented answer to testPayout.
func created() fields {
	return fields{
		"category": "EWALLET", "merchantOrderNo": testOrder, "epayOrderNo": "231151598560704599183360",
		"status": "1", "amount": "25.0", "settlementCurrency": "USD", "receiveAmount": "25.00",
		"receiveCurrency": "USD", "rate": "1.000000", "payerFee": "2.10", "extendFields": nil, "rateMode": nil,
	}
}

// queried is the data of the documented answer to a look-up of testOrder.
func queried() fields {
	return fields{
		"category": "EWALLET", "merchantOrderNo": testOrder, "epayOrderNo": "231151598560704599183360", "pinCode": "",
		"status": "7", "amount": "25.00", "currency": "USD", "receiveAmount": "25.00", "receiveCurrency": "USD",
		"paymentAmount": "25.00", "paymentCurrency": "USD", "rate": "1.000000", "fee": "2.10", "extendFields": nil,
		"rateMode": "1", "senderInfo": nil, "receiveInfo": nil, "orderDescription": nil,
	}
}

// sign is a second, naive implementation for flat data, so that a mistake in the
// package under test cannot cancel itself out. Nested values are given as the
// text they have in the signed form, in nested.
func sign(key string, data fields, nested map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if v, ok := nested[name]; ok {
			parts = append(parts, name+"="+v)
		} else if v := data[name]; v != nil && v != "" {
			parts = append(parts, fmt.Sprintf("%s=%v", name, v))
		}
	}
	return fmt.Sprintf("%X", sha256.Sum256([]byte(strings.Join(parts, "&")+"&key="+key)))
}

func signed(data fields) string { return envelope(1, data, sign(testKey, data, nil)) }

// envelope returns a reply with any code, data and sign.
func envelope(code, data any, sign any) string {
	return toJSON(map[string]any{
		"sign": sign, "epayAccount": testAccount, "version": "V2.0.0", "code": code, "message": "words of the gateway", "data": data,
	})
}

func toJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// rawGateway is a gateway below HTTP: a script decides about every connection.
// It writes down the order number of every request that arrived.
type rawGateway struct {
	URL string

	listener net.Listener

	mu     sync.Mutex
	seen   map[string]int
	open   map[net.Conn]bool
	closed bool
	done   sync.WaitGroup
}

func serveRaw(t testing.TB, script func(g *rawGateway, c net.Conn)) *rawGateway {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &rawGateway{
		URL:      "http://" + l.Addr().String() + "/",
		listener: l,
		seen:     map[string]int{},
		open:     map[net.Conn]bool{},
	}
	g.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.handle(c, script)
		}
	})
	t.Cleanup(g.stop)
	return g
}

func (g *rawGateway) handle(c net.Conn, script func(*rawGateway, net.Conn)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = c.Close()
		return
	}
	g.open[c] = true
	g.done.Go(func() {
		defer c.Close()
		script(g, c)
	})
}

// stop ends all connections and waits for their scripts, so that seen is final.
func (g *rawGateway) stop() {
	_ = g.listener.Close()
	g.mu.Lock()
	g.closed = true
	for c := range g.open {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.done.Wait()
}

// read takes one request off the connection and returns its order number, or
// "" when there is none.
func (g *rawGateway) read(r *bufio.Reader) string {
	req, err := http.ReadRequest(r)
	if err != nil {
		return ""
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return ""
	}
	no := orderNo(body)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[no]++
	return no
}

func (g *rawGateway) count(no string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[no]
}

func orderNo(body []byte) string {
	var req struct {
		Param struct {
			MerchantOrderNo string `json:"merchantOrderNo"`
		} `json:"param"`
	}
	_ = json.Unmarshal(body, &req)
	return req.Param.MerchantOrderNo
}

// respond writes a good answer for the order.
func respond(c net.Conn, no string) {
	body := signed(created().with("merchantOrderNo", no))
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// reset closes so that the other side sees an RST instead of an end.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

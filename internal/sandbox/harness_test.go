package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childBook); path != "" {
		runChild(path) // never returns
	}
	goleak.VerifyTestMain(m)
}

// gateway is a started sandbox with a plain client before it.
type gateway struct {
	*Server
	t      testing.TB
	client *http.Client
}

func start(t testing.TB, config Config) *gateway {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{Server: s, t: t, client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(g.stop)
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) stop() {
	g.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := g.Close(ctx); err != nil {
		g.t.Errorf("close: %v", err)
	}
}

func (g *gateway) settle() {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := g.Settled(ctx); err != nil {
		g.t.Fatalf("not settled: %v", err)
	}
}

func (g *gateway) mustFault(rules ...Fault) {
	g.t.Helper()
	if err := g.SetFaults(Faults{Rules: rules}); err != nil {
		g.t.Fatal(err)
	}
}

// envelope is a reply as a client sees it.
type envelope struct {
	Sign    string          `json:"sign"`
	Account string          `json:"epayAccount"`
	Version string          `json:"version"`
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

func (e envelope) members(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(e.Data, &m); err != nil {
		t.Fatalf("data %s: %v", e.Data, err)
	}
	return m
}

func (e envelope) value(t testing.TB, name string) string {
	t.Helper()
	return fmt.Sprint(e.members(t)[name])
}

// params makes a request's param; pairs of names and values change or add
// members, and an empty value takes one away from the signed text.
func params(pairs ...string) map[string]any {
	p := map[string]any{"epayAccount": DefaultAccount, "version": "V2.0.0"}
	for i := 0; i < len(pairs); i += 2 {
		p[pairs[i]] = pairs[i+1]
	}
	return p
}

// payout is the param of a create that a default sandbox accepts.
func payout(orderNo string, pairs ...string) map[string]any {
	p := params("category", "EWALLET", "channelCode", PerfectMoney, "currency", "USD",
		"amount", "25.00", "merchantOrderNo", orderNo)
	account := "U1234567"
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "accountNo" {
			account = pairs[i+1]
			continue
		}
		p[pairs[i]] = pairs[i+1]
	}
	p["receiverInfo"] = map[string]any{"accountNo": account}
	return p
}

func signed(param map[string]any) []byte {
	body, err := json.Marshal(map[string]any{"param": param, "sign": sign(param, SeparatorJava, DefaultKey)})
	if err != nil {
		panic(err)
	}
	return body
}

// post sends a body and returns the raw answer.
func (g *gateway) post(path string, body []byte) (*http.Response, []byte, error) {
	response, err := g.client.Post(strings.TrimSuffix(g.URL(), BasePath)+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response, data, err
}

func (g *gateway) call(path string, param map[string]any) envelope {
	g.t.Helper()
	_, data, err := g.post(path, signed(param))
	if err != nil {
		g.t.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		g.t.Fatalf("reply %q: %v", data, err)
	}
	return e
}

func (g *gateway) create(orderNo string, pairs ...string) envelope {
	g.t.Helper()
	return g.call(createPath, payout(orderNo, pairs...))
}

func (g *gateway) query(orderNo string) envelope {
	g.t.Helper()
	return g.call(queryPath, params("merchantOrderNo", orderNo))
}

// mustStatus queries the order and compares its status.
func (g *gateway) mustStatus(orderNo, want string) {
	g.t.Helper()
	e := g.query(orderNo)
	if e.Code != codeSuccess {
		g.t.Fatalf("query %s: code %d %s", orderNo, e.Code, e.Message)
	}
	if got := e.value(g.t, "status"); got != want {
		g.t.Errorf("order %s has status %s, want %s", orderNo, got, want)
	}
}

func (g *gateway) order(orderNo string) Order {
	g.t.Helper()
	o, ok := g.Order(orderNo)
	if !ok {
		g.t.Fatalf("the book does not know order %s", orderNo)
	}
	return o
}

// checkFunds is the law that holds at all times.
func checkFunds(t testing.TB, b Book) {
	t.Helper()
	for currency, f := range b.Funds {
		if f.Available+f.Held+f.Spent+f.Fees != f.Funded {
			t.Errorf("%s: available + held + spent + fees is not what was funded: %+v", currency, f)
		}
	}
}

// fast is a gateway whose orders end within some twenty milliseconds.
func fast() Config { return Config{TimeScale: 0.00001} }

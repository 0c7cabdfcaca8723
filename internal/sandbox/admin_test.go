package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// control calls an admin endpoint.
func (g *gateway) control(method, path, body string, header ...string) (int, string) {
	g.t.Helper()
	request, err := http.NewRequest(method, strings.TrimSuffix(g.URL(), BasePath)+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := g.client.Do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func TestBookOverHTTP(t *testing.T) {
	t.Parallel()
	g := start(t, Config{Instant: true})
	g.create("WEB00001")
	g.query("WEB00001")

	_, body := g.control(http.MethodGet, "/sandbox/book", "")
	var book Book
	if err := json.Unmarshal([]byte(body), &book); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g.Book().Orders, book.Orders); diff != "" || book.Counts[Create] != 1 {
		t.Errorf("book over HTTP (-want +got):\n%s", diff)
	}
	_, body = g.control(http.MethodGet, "/sandbox/book/WEB00001", "")
	var o Order
	if err := json.Unmarshal([]byte(body), &o); err != nil || !cmp.Equal(o, g.order("WEB00001")) {
		t.Errorf("order over HTTP: %s, %v", body, err)
	}
	var events []string
	for _, m := range o.History {
		events = append(events, m.Event)
	}
	if want := []string{"call", "accept", "status"}; !cmp.Equal(events, want) {
		t.Errorf("history %v, want %v", events, want)
	}
	var calls struct {
		Busiest   int
		Endpoints map[Endpoint]struct{ Count, Busiest int }
	}
	_, body = g.control(http.MethodGet, "/sandbox/calls?window=1h", "")
	if err := json.Unmarshal([]byte(body), &calls); err != nil || calls.Busiest != 2 || calls.Endpoints[Query].Count != 1 {
		t.Errorf("calls over HTTP: %s, %v", body, err)
	}
}

func TestControlsOverHTTP(t *testing.T) {
	t.Parallel()
	g := start(t, Config{})
	const path = "/sandbox/orders/CTRL0001"
	steps := []struct {
		name, method, path, body string
		status                   int
	}{
		{"script", "POST", path, `{"outcome":"6"}`, 204},
		{"move before create", "POST", path, `{"status":7}`, 404},
		{"bad outcome", "POST", path, `{"outcome":"paid"}`, 400},
		{"nothing asked", "POST", path, `{}`, 400},
		{"misspelt", "POST", path, `{"state":7}`, 400},
		{"funds", "POST", "/sandbox/funds", `{"currency":"USD","amount":"12.34"}`, 204},
		{"bad funds", "POST", "/sandbox/funds", `{"currency":"USD","amount":"12.345"}`, 400},
		{"unknown order", "GET", "/sandbox/book/CTRL9999", ``, 404},
		{"bad window", "GET", "/sandbox/calls?window=x", ``, 400},
		{"faults", "POST", "/sandbox/faults", `{"rules":[{"at":"create","kind":"delay","wait":"1ms"}]}`, 200},
		{"bad fault", "POST", "/sandbox/faults", `{"rules":[{"at":"create","kind":"fire"}]}`, 400},
		{"misspelt fault", "POST", "/sandbox/faults", `{"rules":[{"at":"create","kind":"empty","order":"A"}]}`, 400},
	}
	for _, step := range steps {
		if status, body := g.control(step.method, step.path, step.body); status != step.status {
			t.Errorf("%s: HTTP %d %s, want %d", step.name, status, body, step.status)
		}
	}
	if _, body := g.control("GET", "/sandbox/faults", ""); !strings.Contains(body, `"wait": "1ms"`) {
		t.Errorf("faults in force: %s", body)
	}
	if got := g.Book().Funds["USD"].Funded; got != 1_000_012_34 {
		t.Errorf("funded %d", got)
	}
	if status, _ := g.control("DELETE", "/sandbox/faults", ""); status != 204 || len(g.Faults().Rules) != 0 {
		t.Errorf("clearing: HTTP %d, %+v", status, g.Faults())
	}
	g.create("CTRL0001")
	if status, _ := g.control("POST", path, `{"status":7}`); status != 204 {
		t.Errorf("move: HTTP %d", status)
	}
	g.mustStatus("CTRL0001", "7")
}

func TestControlsRefuseOtherSites(t *testing.T) {
	t.Parallel()
	g := start(t, Config{})
	status, _ := g.control("POST", "/sandbox/faults", `{"rules":[{"at":"create","kind":"empty"}]}`, "Sec-Fetch-Site", "cross-site")
	if status != http.StatusForbidden || len(g.Faults().Rules) != 0 {
		t.Errorf("cross-site request: HTTP %d, faults %+v", status, g.Faults())
	}
}

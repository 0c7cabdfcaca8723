package alert_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payrun/internal/alert"
	"payrun/internal/alert/alerttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func message(n int) alert.Message {
	return alert.Message{
		ID: fmt.Sprint("alert-", n, "-17"), Kind: "in-doubt", Source: "us@example.org", Since: at, Raised: at.Add(time.Hour),
		Summary: fmt.Sprint("In doubt too long: payout ", n), Detail: "no answer", NextStep: "payrun payout show X", Batch: 7, Order: "X",
	}
}

func webhook(t *testing.T, config alert.WebhookConfig) *alert.Webhook {
	t.Helper()
	if config.Secret == "" {
		config.Secret = alerttest.Secret
	}
	w, err := alert.NewWebhook(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestAMessageArrivesSigned(t *testing.T) {
	t.Parallel()
	r := alerttest.NewReceiver(t) // refuses a wrong signature
	answer, err := webhook(t, alert.WebhookConfig{URL: r.URL}).Deliver(t.Context(), message(1))
	if err != nil || answer != "204 No Content" {
		t.Fatalf("answer %q, %v", answer, err)
	}
	got := r.Posts()[0]
	if got.ID != "alert-1-17" || got.Kind != "in-doubt" || got.Summary != "In doubt too long: payout 1" || got.Order != "X" || got.Batch != 7 || !got.Since.Equal(at) {
		t.Errorf("arrived as %+v", got)
	}
}

// The signature was made with openssl: printf '%s' ID.TIME.BODY | openssl dgst
// -sha256 -mac HMAC -macopt hexkey:… -binary | base64.
func TestTheSignatureIsWhatOthersCompute(t *testing.T) {
	t.Parallel()
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	w := webhook(t, alert.WebhookConfig{URL: server.URL, Clock: func() time.Time { return at }})
	if _, err := w.Deliver(t.Context(), message(1)); err != nil {
		t.Fatal(err)
	}
	const wantBody = `{"id":"alert-1-17","kind":"in-doubt","source":"us@example.org","summary":"In doubt too long: payout 1","detail":"no answer","next_step":"payrun payout show X","batch":7,"order":"X","since":"2026-11-21T09:00:00Z","raised_at":"2026-11-21T10:00:00Z"}`
	if string(body) != wantBody {
		t.Errorf("the body changed:\n%s", body)
	}
	if got := header.Get("webhook-signature"); got != "v1,PYrZCDQyX8G5C6C46Tp27B7XMzqIbIV6kBReuQe4X40=" || header.Get("webhook-timestamp") != "1795251600" {
		t.Errorf("signature %q at %s", got, header.Get("webhook-timestamp"))
	}
}

func TestAReceiverThatDoesNotTakeIt(t *testing.T) {
	t.Parallel()
	elsewhere := alerttest.NewReceiver(t)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"refuses":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "answered 401 Unauthorized"},
		"is broken": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "answered 503 Service Unavailable"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "answered 307"},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, "exceeded"},
		"never ends its answer": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "answered 500"},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "exceeded"},
		"hangs up":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.handler)
			t.Cleanup(server.Close)
			w := webhook(t, alert.WebhookConfig{URL: server.URL + "/TOKEN", Timeout: 300 * time.Millisecond})
			_, err := w.Deliver(t.Context(), message(1))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "TOKEN") {
				t.Errorf("err = %v, want %q and no token", err, test.want)
			}
			if len(elsewhere.Posts()) > 0 {
				t.Error("it went where nobody sent it")
			}
		})
	}
}

func TestACertificateIsVerified(t *testing.T) {
	t.Parallel()
	ca := alerttest.NewCA(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = ca.Server()
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	known := webhook(t, alert.WebhookConfig{URL: server.URL, Roots: ca.Roots()})
	if _, err := known.Deliver(t.Context(), message(1)); err != nil {
		t.Error(err)
	}
	if err := known.Check(t.Context()); err != nil {
		t.Error(err)
	}
	stranger := webhook(t, alert.WebhookConfig{URL: server.URL})
	if _, err := stranger.Deliver(t.Context(), message(1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a stranger's certificate: %v", err)
	}
	if err := stranger.Check(t.Context()); err == nil {
		t.Error("a stranger's certificate passes the check")
	}
}

func TestUnusableWebhooksAreNamed(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]alert.WebhookConfig{
		"plain http":     {URL: "http://hooks.example/CANARY", Secret: alerttest.Secret},
		"another scheme": {URL: "ftp://hooks.example/CANARY", Secret: alerttest.Secret},
		"no host":        {URL: "https:///CANARY", Secret: alerttest.Secret},
		"a password":     {URL: "https://u:CANARY@hooks.example/", Secret: alerttest.Secret},
		"malformed":      {URL: "https://[::CANARY", Secret: alerttest.Secret},
		"short secret":   {URL: "https://hooks.example/", Secret: "CANARY"},
		"short encoded":  {URL: "https://hooks.example/", Secret: "whsec_Q0FOQVJZ"},
		"not base64":     {URL: "https://hooks.example/", Secret: "whsec_CANARY-and-something-long-enough"},
	} {
		if _, err := alert.NewWebhook(config); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACheckPostsNothing(t *testing.T) {
	t.Parallel()
	r := alerttest.NewReceiver(t)
	w := webhook(t, alert.WebhookConfig{URL: r.URL})
	if err := w.Check(t.Context()); err != nil || len(r.Posts()) > 0 {
		t.Errorf("%v, %d posts", err, len(r.Posts()))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Check(gone); err == nil {
		t.Error("a check outlives its context")
	}
}

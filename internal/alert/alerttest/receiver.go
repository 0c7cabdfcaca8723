// Package alerttest is who alerts are sent to in tests: a receiver of webhooks
// and a mail server, both real, on loopback. It shares no code with package
// alert.
package alerttest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Secret signs what receivers take.
const Secret = "whsec_" + "cGF5cnVuLXRlc3Qtc2VjcmV0LW9mLTMyLWJ5dGVzIQ=="

// Post is a message as it arrived. A receiver refuses one whose signature is
// wrong.
type Post struct {
	ID       string // of the header
	Kind     string
	Summary  string
	Detail   string
	NextStep string `json:"next_step"`
	Source   string
	Order    string
	Batch    int64
	Since    time.Time
	Body     string `json:"-"`
}

// Receiver takes webhooks in.
type Receiver struct {
	URL string

	t       testing.TB
	mu      sync.Mutex
	status  int
	before  func()
	posts   []Post
	arrived chan struct{}
}

// NewReceiver listens until the test ends.
func NewReceiver(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{t: t, status: http.StatusNoContent, arrived: make(chan struct{}, 10_000)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL + "/hooks/payrun-TOKEN"
	return r
}

// Answers makes it answer so from now on. With another status than 2xx it
// takes nothing.
func (r *Receiver) Answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// Before is called when a message arrived, before the answer.
func (r *Receiver) Before(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// ServeHTTP takes one message.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the sender is gone
	}
	post := Post{Body: string(body)}
	if err := json.Unmarshal(body, &post); err != nil || !r.genuine(request.Header, body) {
		r.t.Errorf("a message that is not genuine: %v %q", request.Header, body)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	post.ID = request.Header.Get("webhook-id")
	r.mu.Lock()
	status, before := r.status, r.before
	if status < 300 {
		r.posts = append(r.posts, post)
	}
	r.mu.Unlock()
	if before != nil {
		before()
	}
	w.WriteHeader(status)
	r.arrived <- struct{}{}
}

// genuine does what the documentation tells receivers to do.
func (r *Receiver) genuine(header http.Header, body []byte) bool {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(Secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(header.Get("webhook-id") + "." + header.Get("webhook-timestamp") + "."))
	mac.Write(body)
	version, signature, _ := strings.Cut(header.Get("webhook-signature"), ",")
	given, err := base64.StdEncoding.DecodeString(signature)
	return err == nil && version == "v1" && hmac.Equal(given, mac.Sum(nil)) && header.Get("webhook-id") != ""
}

// Posts returns what it took.
func (r *Receiver) Posts() []Post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Post{}, r.posts...)
}

// Wait waits for one more message, taken or not.
func (r *Receiver) Wait() {
	r.t.Helper()
	select {
	case <-r.arrived:
	case <-time.After(30 * time.Second):
		r.t.Fatal("no message came")
	}
}

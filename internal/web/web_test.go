package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payrun/epay"
	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/web"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "us@payrun.example"
	key     = "CANARY0key0of0the0web0tests"
)

// desk is a web server over real books, with EPAY's own parser in front.
type desk struct {
	t      *testing.T
	db     *database.DB
	book   *ledger.Book
	server *web.Server
	engine *jobs.Engine
	woken  atomic.Int64
	log    *bytes.Buffer
}

func openDesk(t *testing.T, perSecond uint64) *desk {
	t.Helper()
	d := &desk{t: t, log: &bytes.Buffer{}}
	d.db = dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrate)}, migrate)
	d.book = ledger.New(d.db, ledger.Config{})
	client, err := epay.New(epay.Config{BaseURL: "https://gateway.example/capi/openapi/", Account: account, Key: key})
	d.must(err)
	t.Cleanup(client.Close)
	d.engine = &jobs.Engine{Book: d.book, Gateway: jobs.NewEPAY(client, ""), Worker: "w", Rate: jobs.Rate{LookupPercent: 40}}
	d.must(d.engine.Defaults())
	d.server, err = web.New(web.Config{
		Book: d.book, Notifier: d.engine, Wake: func() { d.woken.Add(1) }, Counters: &d.engine.Counters,
		NotificationsPerSecond: perSecond, Log: slog.New(slog.NewTextHandler(d.log, nil)),
	})
	d.must(err)
	t.Cleanup(func() { d.must(d.server.Close()) })
	return d
}

func migrate(ctx context.Context, db *database.DB) error {
	_, err := migrations.Up(ctx, db)
	return err
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// honest is what the gateway posts about an order that is not ours: nobody
// else has it, so storing it opens an exception.
func honest() url.Values {
	return url.Values{
		"epayAccount": {account}, "merchantOrderNo": {"ABCDEFGHIJKLMNOP00000001"}, "epayOrderNo": {"231"},
		"status": {"7"}, "amount": {"10.00"}, "currency": {"USD"}, "remark": {"thanks"},
	}
}

// signed adds the signature of the manual: SHA-256, in upper-case hex, of the
// fields sorted by name, and the key.
func signed(form url.Values, key string) url.Values {
	var parts []string
	for name := range form {
		if form.Get(name) != "" && name != "sign" {
			parts = append(parts, name+"="+form.Get(name))
		}
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(strings.Join(parts, "&") + "&key=" + key))
	form.Set("sign", fmt.Sprintf("%X", sum))
	return form
}

const formType = "application/x-www-form-urlencoded"

// post posts a notification and returns the answer.
func (d *desk) post(target, contentType, body string) (status int, answer string) {
	return d.postFrom("192.0.2.1:1234", target, contentType, strings.NewReader(body))
}

func (d *desk) postFrom(remote, target, contentType string, body io.Reader) (status int, answer string) {
	d.t.Helper()
	request := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, target, body)
	request.RemoteAddr = remote
	request.Header.Set("Content-Type", contentType)
	recorder := httptest.NewRecorder()
	d.server.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

func (d *desk) get(path string) (status int, body string) {
	d.t.Helper()
	recorder := httptest.NewRecorder()
	d.server.ServeHTTP(recorder, httptest.NewRequestWithContext(d.t.Context(), http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

// stored counts the notifications in the books.
func (d *desk) stored() int {
	d.t.Helper()
	var n int
	d.must(d.db.Get(d.t.Context(), &n, "SELECT count(*) FROM evidence WHERE kind = 'callback'"))
	return n
}

// metric is a line of /metrics.
func (d *desk) metric(name, value string) {
	d.t.Helper()
	_, body := d.get("/metrics")
	if !strings.Contains(body, "\n"+name+" "+value+"\n") {
		d.t.Errorf("no metric %s %s in:\n%s", name, value, grep(body, "payrun"))
	}
}

func grep(text, word string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

const path = "/notify/epay"

func TestNotificationIsStoredBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	status, answer := d.post(path, formType, signed(honest(), key).Encode())
	if status != http.StatusOK || answer != "success" {
		t.Fatalf("answered %d %q", status, answer)
	}
	if d.stored() != 1 || d.woken.Load() != 1 {
		t.Errorf("%d stored, woken %d times", d.stored(), d.woken.Load())
	}
	d.metric(`payrun_notifications_total{fate="stored"}`, "1")
	d.metric(`payrun_exceptions_open{kind="orphan"}`, "1")

	// A repetition of it is welcome and changes nothing more.
	if status, _ := d.post(path, formType, signed(honest(), key).Encode()); status != http.StatusOK {
		t.Errorf("the repetition is answered %d", status)
	}
	d.metric(`payrun_exceptions_open{kind="orphan"}`, "1")
}

func TestForgedNotificationsAreRefused(t *testing.T) {
	t.Parallel()
	good := signed(honest(), key)
	for name, test := range map[string]struct {
		target, contentType, body string
		status                    int
	}{
		"another key":                 {path, formType, signed(honest(), "guessed").Encode(), 400},
		"a field changed":             {path, formType, changed(good, "status", "6").Encode(), 400},
		"a field missing":             {path, formType, changed(good, "amount", "").Encode(), 400},
		"a field added":               {path, formType, changed(good, "rate", "2").Encode(), 400},
		"no signature":                {path, formType, changed(good, "sign", "").Encode(), 400},
		"a field twice":               {path, formType, good.Encode() + "&status=7", 400},
		"a signature twice":           {path, formType, good.Encode() + "&sign=" + good.Get("sign"), 400},
		"a remark that hides a field": {path, formType, strings.Replace(signed(changed(honest(), "remark", "x&status=7"), key).Encode(), "%26", "&", 1), 400},
		"a semicolon":                 {path, formType, strings.Replace(good.Encode(), "&", ";", 1), 400},
		"another merchant":            {path, formType, signed(changed(honest(), "epayAccount", "them@payrun.example"), key).Encode(), 400},
		"fields in the address only":  {path + "?" + good.Encode(), formType, "", 400},
		"half in the address":         {path + "?status=7", formType, changed(good, "status", "").Encode(), 400},
		"JSON":                        {path, "application/json", `{"status":"7"}`, 400},
		"no content type":             {path, "", good.Encode(), 400},
		"multipart":                   {path, "multipart/form-data; boundary=x", good.Encode(), 400},
		"nothing":                     {path, formType, "", 400},
		"rubbish":                     {path, formType, "%zz=%", 400},
		"far too long":                {path, formType, strings.Repeat("a", 65<<10), 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDesk(t, 0)
			status, answer := d.post(test.target, test.contentType, test.body)
			if status != test.status || strings.Contains(answer, "success") {
				t.Errorf("answered %d %q", status, answer)
			}
			if d.stored() != 0 || d.woken.Load() != 0 {
				t.Errorf("%d stored, woken %d times", d.stored(), d.woken.Load())
			}
			fate := map[int]string{400: "refused", 413: "too-large"}[test.status]
			d.metric(`payrun_notifications_total{fate="`+fate+`"}`, "1")
			for _, secret := range []string{key, good.Get("sign"), "thanks"} {
				if strings.Contains(d.log.String(), secret) {
					t.Errorf("the log holds %q:\n%s", secret, d.log)
				}
			}
		})
	}
}

func changed(form url.Values, name, value string) url.Values {
	other := url.Values{}
	for n, v := range form {
		other[n] = v
	}
	if value == "" {
		other.Del(name)
	} else {
		other.Set(name, value)
	}
	return other
}

func TestAddressIsNotLookedAt(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	if status, _ := d.post(path+"?status=6&merchantOrderNo=X", formType, signed(honest(), key).Encode()); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	var told string
	d.must(d.db.Get(t.Context(), &told, "SELECT gateway_status FROM evidence WHERE kind = 'callback'"))
	if told != "7" {
		t.Errorf("stored status %q", told)
	}
}

// brokenOff is a body whose sender goes away.
type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, errors.New("gone") }

func TestBrokenBody(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	if status, _ := d.postFrom("192.0.2.1:1", path, formType, brokenOff{}); status != http.StatusBadRequest {
		t.Errorf("answered %d", status)
	}
	d.metric(`payrun_notifications_total{fate="unreadable"}`, "1")
}

func TestNoSuccessWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	d.must(d.db.Close())
	for range 3 {
		status, answer := d.post(path, formType, signed(honest(), key).Encode())
		if status != http.StatusServiceUnavailable || strings.Contains(answer, "success") {
			t.Errorf("answered %d %q", status, answer)
		}
	}
	if n := strings.Count(d.log.String(), "notifications are not stored"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, d.log)
	}
	d.metric(`payrun_notifications_total{fate="not-stored"}`, "3")
	d.metric("payrun_database_up", "0")
	if status, _ := d.get("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d", status)
	}
	if status, _ := d.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	if d.woken.Load() != 0 {
		t.Error("a look-up was called for")
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, path, 405}, {http.MethodPut, path, 405}, {http.MethodPost, "/healthz", 405}, {http.MethodPost, "/metrics", 405},
		{http.MethodGet, "/", 404}, {http.MethodGet, "/debug/pprof/", 404}, {http.MethodPost, path + "/x", 404},
		{http.MethodGet, "/healthz", 200}, {http.MethodGet, "/readyz", 200}, {http.MethodGet, "/metrics", 200},
	} {
		recorder := httptest.NewRecorder()
		d.server.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), test.method, test.path, nil))
		if recorder.Code != test.want {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, recorder.Code, test.want)
		}
	}
}

func TestEachAddressHasItsOwnLimit(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 1)
	post := func(remote string) int {
		status, _ := d.postFrom(remote, path, formType, strings.NewReader("x"))
		return status
	}
	for _, test := range []struct {
		name, first, second string
		limited             bool
	}{
		{"one address, other port", "192.0.2.7:1000", "192.0.2.7:2000", true},
		{"another address", "192.0.2.8:1000", "192.0.2.9:1000", false},
		{"one network of version 6", "[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1", true},
		{"another network of version 6", "[2001:db8:1:3::1]:1", "[2001:db8:1:4::1]:1", false},
		{"version 4 inside 6", "[::ffff:192.0.2.77]:1", "192.0.2.77:1", true},
	} {
		begun := time.Now()
		first, second := post(test.first), post(test.second)
		if time.Since(begun) > 500*time.Millisecond {
			continue // too slow a machine to say anything: the interval is over
		}
		if first != http.StatusBadRequest || (second == http.StatusTooManyRequests) != test.limited {
			t.Errorf("%s: answered %d, then %d", test.name, first, second)
		}
	}
	if _, body := d.get("/metrics"); !strings.Contains(body, `payrun_notifications_total{fate="too-many"}`) {
		t.Error("what is turned away is not counted")
	}
}

func TestMetricsStandAtZeroBeforeAnythingHappens(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	d.engine.Counters.Sent.Add(3)
	d.metric("payrun_payouts_sent_total", "3")
	d.metric("payrun_payouts_in_doubt_total", "0")
	d.metric("payrun_database_up", "1")
	for _, state := range []string{"SENDING", "UNKNOWN", "ACCEPTED", "REVIEW"} {
		d.metric(`payrun_payouts_open{state="`+state+`"}`, "0")
		d.metric(`payrun_payouts_oldest_seconds{state="`+state+`"}`, "0")
	}
	d.metric(`payrun_exceptions_open{kind="in-doubt"}`, "0")
	if _, body := d.get("/metrics"); !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "# HELP payrun_notifications_total ") {
		t.Error("the process's own metrics or the help texts are missing")
	}
}

func TestAlertsThatDidNotArriveAreCounted(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	book := ledger.New(d.db, ledger.Config{AlertTo: []string{"webhook"}})
	for i := range 3 {
		if _, err := book.RaiseAlert(t.Context(), ledger.Alert{Once: fmt.Sprint(i), Kind: "stuck"}); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := book.TakeDeliveries(t.Context(), "webhook", 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := book.DeliveryFailed(t.Context(), "webhook", taken, []time.Duration{0}, "gone"); err != nil {
		t.Fatal(err)
	}
	d.metric(`payrun_alerts_undelivered{fate="waiting",way="webhook"}`, "2")
	d.metric(`payrun_alerts_undelivered{fate="given-up",way="webhook"}`, "1")
}

// slow stores a notification only when told to.
type slow struct{ arrived, store chan struct{} }

func (s slow) Notification(context.Context, string, []byte) error {
	close(s.arrived)
	<-s.store
	return nil
}

func TestStopLetsANotificationUnderWayEnd(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	notifier := slow{make(chan struct{}), make(chan struct{})}
	server, err := web.New(web.Config{Book: d.book, Notifier: notifier})
	d.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	ctx, stop := context.WithCancel(t.Context())
	served, answered := make(chan error, 1), make(chan string, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Post("http://"+listener.Addr().String()+path, formType, strings.NewReader("x"))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answered <- string(body)
	}()
	<-notifier.arrived
	stop()
	close(notifier.store)
	if answer := <-answered; answer != "success" {
		t.Errorf("answered %q", answer)
	}
	if err := <-served; err != nil {
		t.Errorf("a graceful stop ended with %v", err)
	}
}

func TestListenerThatFailsEndsServe(t *testing.T) {
	t.Parallel()
	d := openDesk(t, 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	d.must(err)
	d.must(listener.Close())
	if err := d.server.Serve(t.Context(), listener); err == nil || !strings.Contains(err.Error(), "stopped listening") {
		t.Errorf("got %v", err)
	}
}

func TestNewNeedsBooksAndNotifier(t *testing.T) {
	t.Parallel()
	if _, err := web.New(web.Config{}); err == nil {
		t.Error("a server without books")
	}
}

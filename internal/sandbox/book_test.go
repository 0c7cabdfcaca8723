package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"payrun/internal/money"
)

// childBook is set in the process that TestBookSurvivesKill starts and kills.
const childBook = "PAYRUN_SANDBOX_CHILD_BOOK"

func childConfig(book string) Config {
	return Config{BookPath: book, TimeScale: 0.0001, Duplicates: DuplicatePay, Fees: map[string]Fee{PerfectMoney: {Flat: 5}}}
}

func runChild(book string) {
	s, err := New(childConfig(book))
	if err == nil {
		err = s.Start("127.0.0.1:0")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	select {} // until killed
}

func TestBookSurvivesKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "book.jsonl")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childBook+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := createUntilDead(t, strings.TrimSpace(url), func() { _ = child.Process.Kill() })
	_ = child.Wait() // it was killed

	g := start(t, childConfig(path))
	g.settle()
	book := g.Book()
	checkFunds(t, book)
	for no := range acknowledged {
		if o := book.Orders[no]; o.Accepted != 1 || o.Paid != 1 || o.Creates != 1 {
			t.Errorf("order %s was acknowledged before the kill; the book says %+v", no, o)
		}
	}
	if len(acknowledged) < 100 || book.Counts[Create] < len(acknowledged) {
		t.Errorf("%d creates acknowledged, %d in the book", len(acknowledged), book.Counts[Create])
	}
}

// createUntilDead sends creates from four goroutines, kills the server in
// their midst and returns the order numbers that were answered with code 1.
func createUntilDead(t *testing.T, url string, kill func()) map[string]bool {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var (
		mu           sync.Mutex
		acknowledged = make(map[string]bool)
		senders      sync.WaitGroup
		sent         atomic.Int64
	)
	for worker := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				no := fmt.Sprintf("KILL%d%06d", worker, i)
				response, err := client.Post(url+"payoutApi/createEwalletTransaction", "application/json", bytes.NewReader(signed(payout(no))))
				if err != nil {
					return // the server is dead
				}
				var e envelope
				err = json.NewDecoder(response.Body).Decode(&e)
				_ = response.Body.Close()
				if err == nil && e.Code == codeSuccess {
					mu.Lock()
					acknowledged[no] = true
					mu.Unlock()
				}
				if sent.Add(1) == 400 {
					kill()
				}
			}
		})
	}
	senders.Wait()
	return acknowledged
}

func TestBookSurvivesRestart(t *testing.T) {
	t.Parallel()
	config := Config{
		BookPath:   filepath.Join(t.TempDir(), "book.jsonl"),
		Duplicates: DuplicatePay,
		Balances:   map[money.Currency]money.Amount{"USD": 100_00},
		Scripts:    map[string]Outcome{"BACK0003": "19,7"},
		Clock:      NewManualClock(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)),
	}
	g := start(t, config)
	g.create("BACK0001", "accountNo", "U000906")
	g.create("BACK0002", "amount", "1000.00") // refused
	g.create("BACK0003")
	g.create("BACK0003")
	g.query("BACK0001")
	g.call(createPath, payout(""))
	before := g.Book()
	g.stop()

	g = start(t, config)
	if diff := cmp.Diff(before, g.Book(), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("the book changed over a restart (-before +after):\n%s", diff)
	}
	config.Clock.(*ManualClock).Advance(time.Hour)
	g.settle()
	book := g.Book()
	if got := book.Orders["BACK0001"].Status; got != StatusFailed {
		t.Errorf("order that was open at the restart has status %d, want %d", got, StatusFailed)
	}
	if got := book.Orders["BACK0003"].Paid; got != 2 {
		t.Errorf("order created twice was paid %d times, want 2", got)
	}
	if got, want := book.Funds["USD"], (Funds{Funded: 100_00, Available: 50_00, Spent: 50_00}); got != want {
		t.Errorf("funds %+v, want %+v: the opening balance is booked once", got, want)
	}
	first := book.Orders["BACK0001"].EpayOrderNo
	if next := g.create("BACK0004").value(t, "epayOrderNo"); next <= first {
		t.Errorf("gateway number %s after a restart does not follow %s", next, first)
	}
}

func TestTornLastLineIsCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "book.jsonl")
	config := Config{BookPath: path, TimeScale: 0.00001}
	g := start(t, config)
	g.create("TORN0001")
	g.settle()
	want := g.Book()
	g.stop()

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{`{"ev`, `{"event":"call","at":1}`, strings.Repeat("\x00", 9999)} {
		if err := os.WriteFile(path, append(whole[:len(whole):len(whole)], torn...), 0o600); err != nil {
			t.Fatal(err)
		}
		g = start(t, config)
		if diff := cmp.Diff(want, g.Book(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", torn, diff)
		}
		if mended, _ := os.ReadFile(path); !bytes.Equal(mended, whole) {
			t.Errorf("after %q the file is not what it was before", torn)
		}
		g.create("TORN0002")
		g.stop()
		g = start(t, config)
		if o := g.order("TORN0002"); o.Accepted != 1 {
			t.Errorf("after %q: a create was not kept: %+v", torn, o)
		}
		g.stop()
	}
}

// Every prefix of a book that ends with a line is a book itself, so a kill at
// any moment leaves something to go on with; and every cut within a line gives
// the prefix before it.
func TestBookCutAnywhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "book.jsonl")
	g := start(t, Config{BookPath: path, TimeScale: 0.00001, Outcomes: []Weighted{{"19,7", 1}}})
	for i := range 3 {
		g.create(fmt.Sprint("CUT", i))
	}
	g.settle()
	g.stop()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := range len(whole) {
		r := newRecords()
		end, err := replay(bytes.NewReader(whole[:size]), r.apply)
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		if want := int64(bytes.LastIndexByte(whole[:size], '\n') + 1); end != want {
			t.Fatalf("cut at %d: ends at %d, want %d", size, end, want)
		}
		for _, f := range r.funds {
			if f.Available+f.Held+f.Spent+f.Fees != f.Funded {
				t.Fatalf("cut at %d: %+v", size, f)
			}
		}
	}
}

func TestDamagedBookIsRefused(t *testing.T) {
	t.Parallel()
	const call = `{"event":"call","at":1,"endpoint":"create","order":"A"}` + "\n"
	const accept = `{"event":"accept","at":2,"order":"A","currency":"USD","amount":5,"outcome":"7"}` + "\n"
	tests := map[string]string{
		"not JSON":            "hello\n",
		"unknown event":       call + accept + `{"event":"gift","at":1,"order":"A"}` + "\n",
		"order without call":  accept,
		"leg left out":        call + strings.Replace(accept, `"order"`, `"leg":1,"order"`, 1),
		"unknown currency":    call + strings.Replace(accept, "USD", "XXQ", 1),
		"unknown funds":       `{"event":"fund","at":1,"currency":"XXQ","amount":5}` + "\n",
		"impossible outcome":  call + strings.Replace(accept, `"7"`, `"paid"`, 1),
		"status of no leg":    call + `{"event":"status","at":3,"order":"A","status":7,"step":1}` + "\n",
		"step too far":        call + accept + `{"event":"status","at":3,"order":"A","status":7,"step":2}` + "\n",
		"callback of nothing": call + accept + `{"event":"notice","at":3,"order":"A","try":1}` + "\n",
		"line without an end": `{"event":"` + strings.Repeat("x", 2<<20),
	}
	for name, content := range tests {
		path := filepath.Join(t.TempDir(), "book.jsonl")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{BookPath: path})
		if err == nil {
			t.Errorf("%s: accepted", name)
			_ = s.Close(t.Context())
		}
		if after, _ := os.ReadFile(path); string(after) != content {
			t.Errorf("%s: the refused book was changed", name)
		}
	}
}

func TestBookHasOneSandbox(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "book.jsonl")
	start(t, Config{BookPath: path})
	if s, err := New(Config{BookPath: path}); err == nil {
		t.Error("a second sandbox opened the same book")
		_ = s.Close(t.Context())
	}
}

func TestFullDiskIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		t.Log("no /dev/full here; the journal's own test covers the retry")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Outcomes: []Weighted{{"1", 1}}}
	var told atomic.Int64
	config.Callbacks.Transport = deaf(func(*http.Request) (*http.Response, error) {
		told.Add(1)
		return answer(http.StatusOK, "success"), nil
	})
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.journal = &journal{file: full} // nothing runs yet that could look at it
	if w := submit(s, payout("FULL0001", "notifyUrl", "http://127.0.0.1/n")); w.Code != http.StatusServiceUnavailable {
		t.Errorf("create on a full disk: HTTP %d %s", w.Code, w.Body)
	}
	if err := s.Move("FULL0001", StatusPaid); err == nil {
		t.Error("a payment on a full disk was reported as done")
	}
	if err := s.CaughtUp(t.Context()); err != nil || told.Load() != 0 {
		t.Errorf("a payment that is not on file was told %d times (%v)", told.Load(), err)
	}
	if err := s.Close(t.Context()); err == nil {
		t.Error("a book that could not be written was closed without an error")
	}
}

func TestJournalWritesAgainAfterAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "book.jsonl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	broken, err := os.Open(path) // not writable
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{file: broken}
	j.append(event{Event: eventFund, At: 1, Currency: "USD", Amount: 1})
	if err := j.flush(); err == nil {
		t.Fatal("a file that cannot be written was written")
	}
	j.append(event{Event: eventFund, At: 2, Currency: "USD", Amount: 2})
	j.file = file
	if err := errors.Join(j.close(), broken.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event":"fund","at":1,"currency":"USD","amount":1}` + "\n" + `{"event":"fund","at":2,"currency":"USD","amount":2}` + "\n"
	if string(got) != want {
		t.Errorf("file:\n%s\nwant:\n%s", got, want)
	}
}

// Whatever happens, the four kinds of money add up to what was funded, what
// was spent is what was paid, and the file replays to the same state.
func TestMoneyIsNeverLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "book.jsonl")
		_ = os.Remove(path)
		config := Config{
			BookPath: path, Duplicates: DuplicatePay, Clock: NewManualClock(time.Unix(1_700_000_000, 0)),
			Balances: map[money.Currency]money.Amount{"USD": 500_00, "EUR": 200_00},
			Fees:     map[string]Fee{PerfectMoney: {Flat: 7, PartsPerMillion: 12_345}},
		}
		s, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(t.Context()) }()
		for range rapid.IntRange(1, 40).Draw(t, "actions") {
			act(t, s)
			checkBook(t, s.Book())
		}
		if err := s.journal.flush(); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		again := &Server{records: newRecords()}
		if _, err := replay(file, again.records.apply); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.Book(), again.Book(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("replayed book (-live +replayed):\n%s", diff)
		}
	})
}

// act does something to the server that may be refused.
func act(t *rapid.T, s *Server) {
	no := rapid.SampledFrom([]string{"P1", "P2", "P3", "P4"}).Draw(t, "order")
	switch rapid.IntRange(0, 3).Draw(t, "action") {
	case 0, 1:
		amount := money.Amount(rapid.Int64Range(-1, 150_00).Draw(t, "amount"))
		param := payout(no,
			"amount", money.Format(amount, "USD"),
			"currency", rapid.SampledFrom([]string{"USD", "EUR"}).Draw(t, "currency"),
			"accountNo", rapid.SampledFrom([]string{"U000905", "U000907", "U000919", "U000920", "U000976"}).Draw(t, "account"))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, createPath, bytes.NewReader(signed(param))))
	case 2:
		status := rapid.SampledFrom([]int{1, 5, 6, 7, 8, 9, 11, 19, 20}).Draw(t, "status")
		if err := s.Move(no, status); err != nil && !errors.Is(err, ErrUnknownOrder) {
			t.Fatal(err)
		}
	case 3:
		s.config.Clock.(*ManualClock).Advance(time.Duration(rapid.IntRange(0, 30).Draw(t, "minutes")) * time.Minute)
		if err := s.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func checkBook(t *rapid.T, b Book) {
	var counted int
	spent := make(map[money.Currency]money.Amount)
	for _, total := range b.Totals {
		counted += total.Count
		if total.Status == StatusPaid {
			spent[total.Currency] += total.Amount
		}
	}
	accepted := 0
	for _, o := range b.Orders {
		accepted += o.Accepted
	}
	if counted != accepted {
		t.Fatalf("totals count %d orders, the book accepted %d", counted, accepted)
	}
	for currency, f := range b.Funds {
		if f.Available+f.Held+f.Spent+f.Fees != f.Funded || f.Spent != spent[currency] || f.Held < 0 {
			t.Fatalf("%s: %+v, spent by status %d", currency, f, spent[currency])
		}
	}
}

func TestBusiest(t *testing.T) {
	t.Parallel()
	at := func(ms ...int) []time.Time {
		var out []time.Time
		for _, m := range ms {
			out = append(out, time.UnixMilli(int64(m)))
		}
		return out
	}
	b := Book{Calls: map[Endpoint][]time.Time{Create: at(0, 500, 999, 1000, 2500), Query: at(998, 1001)}}
	tests := []struct {
		name      string
		endpoints []Endpoint
		window    time.Duration
		want      int
	}{
		{"one endpoint", []Endpoint{Create}, time.Second, 3},
		{"all endpoints", nil, time.Second, 5},
		{"a short window", nil, 2 * time.Millisecond, 2},
		{"nothing called", []Endpoint{Balance}, time.Second, 0},
	}
	for _, test := range tests {
		if got := b.Busiest(test.window, test.endpoints...); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

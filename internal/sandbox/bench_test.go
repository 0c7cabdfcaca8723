package sandbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"payrun/internal/money"
)

// BenchmarkCreate measures creates through the handler (without a network) and
// over loopback connections, with the book in memory and in a file.
func BenchmarkCreate(b *testing.B) {
	for _, where := range []string{"memory", "file"} {
		config := Config{Instant: true, Balances: map[money.Currency]money.Amount{"USD": 1 << 60}}
		if where == "file" {
			config.BookPath = filepath.Join(b.TempDir(), "book.jsonl")
		}
		b.Run(where+"/handler", func(b *testing.B) {
			s, err := New(config)
			if err != nil {
				b.Fatal(err)
			}
			benchmarkCreates(b, func(body string) error {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, createPath, strings.NewReader(body)))
				return nil
			}, s)
			if err := s.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
		b.Run(where+"/loopback", func(b *testing.B) {
			g := start(b, config)
			benchmarkCreates(b, func(body string) error {
				_, _, err := g.post(createPath, []byte(body))
				return err
			}, g.Server)
		})
	}
}

func benchmarkCreates(b *testing.B, create func(string) error, s *Server) {
	bodies := make([]string, b.N)
	for i := range bodies {
		bodies[i] = string(signed(payout(fmt.Sprintf("B%x%08d", time.Now().UnixNano(), i))))
	}
	before := s.Book().Counts[Create]
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := create(bodies[next.Add(1)-1]); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
	book := s.Book()
	if got := book.Counts[Create] - before; got != b.N {
		b.Errorf("%d creates in the book, want %d", got, b.N)
	}
	if got := book.Totals[0]; got.Status != StatusPaid || got.Count < b.N {
		b.Errorf("not all were paid: %+v", book.Totals)
	}
}

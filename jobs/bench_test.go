package jobs_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"payrun/epay"
	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// The benchmarks print, in one run, what the whole does, what its parts could
// do alone, and the ratio. Absolute figures belong to the machine; the ratios
// are what to watch.

const inFlight = 64

// instant answers every create at once, without HTTP: what is left is the
// store's work.
type instant struct{ jobs.Gateway }

func (instant) Submit(_ context.Context, o jobs.Order) jobs.Reply {
	return jobs.Reply{Verdict: jobs.Known, Status: jobs.Processing, FeeKnown: true, Evidence: ledger.Evidence{
		Kind: ledger.EvidenceCreate, Heard: "accepted", HTTPStatus: 200, Code: "1", GatewayOrder: "2" + o.Number, Status: "1",
		Digest: strings.Repeat("0", 64), Body: strings.Repeat("x", 400),
	}}
}

// BenchmarkDisburse sends 20,000 approved payouts: through HTTP alone, through
// the store alone, and through both, at full durability and with the budget
// wide open.
func BenchmarkDisburse(b *testing.B) {
	const payouts = 20_000
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			var whole, network, store time.Duration
			for range b.N {
				gateway, stop := benchGateway(b)
				network += timed(func() { callAll(b, gateway, payouts) })
				stop()
				gateway, stop = benchGateway(b)
				store += benchDisburse(b, engine, instant{gateway}, payouts)
				whole += benchDisburse(b, engine, gateway, payouts)
				stop()
			}
			rate := func(d time.Duration) float64 { return float64(payouts*b.N) / d.Seconds() }
			b.ReportMetric(rate(whole), "payouts/s")
			b.ReportMetric(rate(network), "http-alone/s")
			b.ReportMetric(rate(store), "store-alone/s")
			b.ReportMetric((network+store).Seconds()/whole.Seconds(), "of-harmonic-sum")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func benchGateway(b *testing.B) (jobs.Gateway, func()) {
	b.Helper()
	settings := sandbox.Demo()
	settings.Instant, settings.PlainAccounts, settings.Callbacks.Off = true, true, true
	server, err := sandbox.New(settings)
	check(b, err)
	check(b, server.Start("127.0.0.1:0"))
	client, err := epay.New(epay.Config{
		BaseURL: server.URL(), Account: sandbox.DefaultAccount, Key: sandbox.DefaultKey, MaxConnections: inFlight,
	})
	check(b, err)
	return jobs.NewEPAY(client, ""), func() {
		client.Close()
		check(b, server.Close(context.Background()))
	}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// callAll makes the bare calls, as many at a time as the engine would.
func callAll(b *testing.B, gateway jobs.Gateway, payouts int) {
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			for i := range numbers {
				reply := gateway.Submit(b.Context(), jobs.Order{
					Number: fmt.Sprintf("BENCH%08d", i), Channel: "16", Account: account("16", i), Amount: 10_00, Currency: "USD",
				})
				if reply.Verdict != jobs.Known {
					b.Error(reply.Detail)
				}
			}
		})
	}
	for i := range payouts {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
}

func benchDisburse(b *testing.B, engine string, gateway jobs.Gateway, payouts int) time.Duration {
	b.Helper()
	db := dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated)
	return benchSend(b, benchApproved(b, db, payouts), gateway, payouts)
}

func benchSend(b *testing.B, book *ledger.Book, gateway jobs.Gateway, payouts int) time.Duration {
	b.Helper()
	e := &jobs.Engine{
		Book: book, Gateway: gateway, Worker: "bench", Channels: []string{"11", "12", "16", "18"}, InFlight: inFlight,
		Rate: jobs.Rate{LookupPercent: 40},
	}
	check(b, e.Defaults())
	var done jobs.Disbursed
	var err error
	took := timed(func() { done, err = e.Disburse(b.Context()) })
	check(b, err)
	if done.Accepted != payouts {
		b.Fatalf("disbursed %+v", done)
	}
	return took
}

func benchApproved(b *testing.B, db *database.DB, payouts int) *ledger.Book {
	b.Helper()
	ctx := b.Context()
	book := ledger.New(db, ledger.Config{})
	admin, err := book.AddUser(ctx, ledger.User{}, "ada", ledger.Admin)
	check(b, err)
	maker, err := book.AddUser(ctx, admin, "mia", ledger.Maker)
	check(b, err)
	checker, err := book.AddUser(ctx, admin, "charles", ledger.Checker)
	check(b, err)
	check(b, book.Fund(ctx, admin, 1_000_000_000_00, "USD", "opening"))
	check(b, book.SetGatewayBalance(ctx, "USD", 1_000_000_000_00, ledger.AllCommitted))
	check(b, book.SetLimits(ctx, []ledger.Limit{{Channel: "16", Currency: "USD", Minimum: 1, Maximum: 1_000_00, Source: ledger.FromGateway}}))
	s, err := book.Stage(ctx, maker, "bench", "account")
	check(b, err)
	rows := make([]ledger.NewPayout, 0, 2000)
	for i := range payouts {
		rows = append(rows, ledger.NewPayout{Row: int64(i + 2), Reference: fmt.Sprint("R", i), Channel: "16", Account: account("16", i), Amount: 10_00, Currency: "USD"})
		if len(rows) == cap(rows) || i == payouts-1 {
			check(b, s.Add(ctx, rows))
			rows = rows[:0]
		}
	}
	batch, err := s.Publish(ctx, ledger.Counts{Read: int64(payouts), Accepted: int64(payouts)})
	check(b, err)
	check(b, book.Submit(ctx, maker, batch.ID))
	check(b, book.Approve(ctx, checker, batch.ID))
	return book
}

package jobs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"payrun/epay"
	"payrun/importers"
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
		Kind: ledger.EvidenceCreate, Outcome: "accepted", HTTPStatus: 200, Code: "1", GatewayOrder: "2" + o.Number, Status: "1",
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

// forget is a sink that keeps nothing.
type forget struct{}

func (forget) Rows([]importers.Row) error         { return nil }
func (forget) Problems([]importers.Problem) error { return nil }

// BenchmarkImport imports a csv sheet of 100,000 rows: reading alone, putting
// the same rows into a table by the engine's fastest way alone (COPY on
// PostgreSQL, one prepared insert in one transaction on SQLite), and the
// import with all its checks, digests and transactions, in turns. x-load is
// against the payouts' own table with its indexes and guards, x-plain-load
// against a plain one.
func BenchmarkImport(b *testing.B) {
	const rows = 100_000
	path := benchSheet(b, rows)
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			var whole, reading, loading, plain []time.Duration
			for range b.N {
				db := dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated)
				book := ledger.New(db, ledger.Config{})
				admin, err := book.AddUser(b.Context(), ledger.User{}, "ada", ledger.Admin)
				check(b, err)
				maker, err := book.AddUser(b.Context(), admin, "mia", ledger.Maker)
				check(b, err)
				im := &jobs.Import{Book: book, GatewayAccount: "account", Rules: importers.Rules{MaxRows: rows + 1, MaxBytes: 64 << 20}}
				reading = append(reading, timed(func() { _, err = importers.Read(b.Context(), path, im.Rules, forget{}) }))
				check(b, err)
				plain = append(plain, benchLoad(b, engine, "bare", rows))
				loading = append(loading, benchLoad(b, engine, "payouts", rows))
				whole = append(whole, timed(func() { _, err = im.File(b.Context(), maker, path, jobs.ImportChoice{}) }))
				check(b, err)
			}
			b.ReportMetric(rows/middle(whole), "rows/s")
			b.ReportMetric(rows/middle(reading), "reading-alone/s")
			b.ReportMetric(rows/middle(loading), "loading-alone/s")
			b.ReportMetric(middle(whole)/middle(loading), "x-load")
			b.ReportMetric(middle(whole)/middle(plain), "x-plain-load")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// middle is the median in seconds.
func middle(times []time.Duration) float64 {
	return slices.Sorted(slices.Values(times))[len(times)/2].Seconds()
}

// benchLoad puts rows of one batch into a table of a fresh store.
func benchLoad(b *testing.B, engine, table string, rows int) time.Duration {
	b.Helper()
	db := dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated)
	const columns = "id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, row_digest"
	load := "INSERT INTO " + table + " (" + columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	if db.Dialect.Name == database.Postgres.Name {
		load = "COPY " + table + " (" + columns + ") FROM STDIN"
	}
	tx, err := db.Writer().BeginTx(b.Context(), nil)
	check(b, err)
	defer tx.Rollback()
	for _, prepare := range []string{
		"CREATE TABLE bare (id BIGINT PRIMARY KEY, batch_id BIGINT, ordinal BIGINT, sheet TEXT, row_no BIGINT, reference TEXT, channel TEXT, account TEXT, payee TEXT, remark TEXT, pay_date TEXT, amount BIGINT, currency TEXT, fee_estimate BIGINT, row_digest TEXT)",
		"INSERT INTO users (id, name, created_at) VALUES (1, 'bare', 1)",
		"INSERT INTO batches (id, name, state, gateway_account, made_by, made_at) VALUES (900, 'bare', 'STAGING', 'account', 1, 1)",
	} {
		_, err = tx.Exec(prepare)
		check(b, err)
	}
	digest := strings.Repeat("0", 64)
	return timed(func() {
		statement, err := tx.Prepare(load)
		check(b, err)
		for i := range int64(rows) {
			_, err := statement.Exec(900_0000_0001+i, 900, i+1, "", i+2, fmt.Sprint("R", i), "16", account("16", int(i)), "", "", "", 10_00+i%90*100+i%100, "USD", 0, digest)
			check(b, err)
		}
		if db.Dialect.Name == database.Postgres.Name {
			_, err = statement.Exec() // only now COPY says whether it worked
			check(b, err)
		}
		check(b, statement.Close())
		check(b, tx.Commit())
	})
}

func benchSheet(b *testing.B, rows int) string {
	b.Helper()
	var text strings.Builder
	text.WriteString("reference,channel,account,amount,currency\n")
	for i := range rows {
		fmt.Fprintf(&text, "R%d,16,P1%07d,%d.%02d,USD\n", i, i, 10+i%90, i%100)
	}
	path := filepath.Join(b.TempDir(), "payouts.csv")
	check(b, os.WriteFile(path, []byte(text.String()), 0o600))
	return path
}

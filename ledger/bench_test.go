package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// BenchmarkPostings ends payouts, many at a time: state, evidence, event,
// entry, three lines and balances in one transaction. Beside it stands the
// bare limit, the same number of rows put into plain tables by the same kind
// of statement.
func BenchmarkPostings(b *testing.B) {
	const payouts = 20_000
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, size := range []int{1, 100, 500} {
			n := payouts
			if size == 1 {
				n = 500
			}
			b.Run(fmt.Sprintf("%s/batch=%d", engine, size), func(b *testing.B) {
				var ours, bare time.Duration
				for range b.N {
					db := dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated)
					book, claims := benchClaims(b, db, n)
					ours += benchRecord(b, book, claims, size)
					bare += benchBare(b, db, n, size)
				}
				b.ReportMetric(float64(n*b.N)/ours.Seconds(), "payouts/s")
				b.ReportMetric(float64(n*b.N)/bare.Seconds(), "bare-inserts/s")
				b.ReportMetric(bare.Seconds()/ours.Seconds(), "of-bare")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func benchClaims(b *testing.B, db *database.DB, payouts int) (*ledger.Book, []ledger.Claim) {
	b.Helper()
	book := benchApproved(b, db, 0, payouts)
	var claims []ledger.Claim
	for len(claims) < payouts {
		claimed, err := book.Claim(b.Context(), order(1000))
		check(b, err)
		claims = append(claims, claimed.Claims...)
	}
	return book, claims
}

// benchApproved is a ledger with a batch of payouts, behind others that are
// outside the limits.
func benchApproved(b *testing.B, db *database.DB, waiting, sendable int) *ledger.Book {
	b.Helper()
	payouts := waiting + sendable
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
	for _, channel := range []string{"11", "16"} {
		check(b, book.SetLimits(ctx, []ledger.Limit{{Channel: channel, Currency: "USD", Minimum: 1, Maximum: 1_000_00, Source: ledger.FromGateway}}))
	}
	rows := sheet("b", payouts)
	for i := range rows[:waiting] {
		rows[i].Amount = 2_000_00
	}
	s, err := book.Stage(ctx, maker, "bench", "account")
	check(b, err)
	check(b, s.Add(ctx, rows))
	batch, err := s.Publish(ctx, ledger.Counts{Read: int64(payouts), Accepted: int64(payouts)})
	check(b, err)
	check(b, book.Submit(ctx, maker, batch.ID))
	check(b, book.Approve(ctx, checker, batch.ID))
	return book
}

func benchRecord(b *testing.B, book *ledger.Book, claims []ledger.Claim, size int) time.Duration {
	b.Helper()
	findings := make([]ledger.Finding, len(claims))
	for i, c := range claims {
		findings[i] = answered(c, ledger.Succeeded, ledger.BySuccess)
		findings[i].Evidence.Body = strings.Repeat("x", 400)
	}
	start := time.Now()
	for first := 0; first < len(findings); first += size {
		part := findings[first:min(first+size, len(findings))]
		n, err := book.Record(b.Context(), "worker:bench", part)
		check(b, err)
		if n != len(part) {
			b.Fatalf("%d of %d took effect", n, len(part))
		}
	}
	return time.Since(start)
}

// benchBare inserts six rows per payout (evidence, event, entry, three lines)
// without any of the ledger's rules.
func benchBare(b *testing.B, db *database.DB, payouts, size int) time.Duration {
	b.Helper()
	ctx := b.Context()
	in := func(f func(*database.Tx) error) { check(b, db.InTx(ctx, f)) }
	in(func(tx *database.Tx) error {
		_, err := tx.Exec(ctx, "CREATE TABLE bare (id BIGINT PRIMARY KEY, a BIGINT NOT NULL, b BIGINT NOT NULL, body TEXT NOT NULL)")
		return err
	})
	const rowsPerPayout = 6
	body := strings.Repeat("x", 200)
	start := time.Now()
	for first := 0; first < payouts; first += size {
		n := min(size, payouts-first) * rowsPerPayout
		ids, bodies := make([]int64, n), make([]string, n)
		for i := range ids {
			ids[i], bodies[i] = int64(first*rowsPerPayout+i), body
		}
		in(func(tx *database.Tx) error { return insertBare(ctx, tx, ids, bodies) })
	}
	return time.Since(start)
}

func insertBare(ctx context.Context, tx *database.Tx, ids []int64, bodies []string) error {
	given := database.Rows{database.Ints("v_id", ids), database.Ints("v_a", ids), database.Ints("v_b", ids), database.Texts("v_body", bodies)}
	_, err := given.Exec(ctx, tx, "INSERT INTO bare (id, a, b, body) SELECT v_id, v_a, v_b, v_body FROM v")
	return err
}

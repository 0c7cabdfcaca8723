package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// history adds a batch of n payouts that were all paid, as fast as the engine
// can make rows.
func history(t testing.TB, db *database.DB, n int) {
	t.Helper()
	ctx := context.Background()
	err := db.InTx(ctx, func(tx *database.Tx) error {
		for _, statement := range []string{
			`INSERT INTO batches (id, name, state, gateway_account, rows_read, accepted, made_by, made_at)
				SELECT 9, 'history', 'STAGING', 'account', 0, 0, min(id), 1 FROM users`,
			fmt.Sprintf(`INSERT INTO payouts (id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount,
				currency, fee_estimate, row_digest, state, attempts, attempt_id, gateway_order_no, gateway_status, fee, fee_known, sent_at, ended_at)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
				SELECT 900000000 + i, 9, i, 'Payouts', i + 1, 'R', '16', 'P1000007', '', '', '', 1000, 'USD', 50, 'digest', 'SUCCEEDED', 1, i, 'E', '7', 50, 1, 1, 2 FROM n`, n),
			"UPDATE batches SET state = 'APPROVED', drained_at = 1 WHERE id = 9",
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if db.Path() != "" { // what came in one transaction would stay in the log, where reading is slow
		if _, err := db.Writer().ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
	}
}

// Rows before the sendable ones that wait for their day, for wider limits or
// for a higher balance do not keep them from being sent, however many.
func TestPayoutsBehindManyThatWaitAreSent(t *testing.T) {
	const waiting = 700 // more than a claim passes over
	for name, wait := range map[string]func(*ledger.NewPayout){
		"their day":        func(p *ledger.NewPayout) { p.PayDate = "2999-12-31" },
		"wider limits":     func(p *ledger.NewPayout) { p.Amount = 5_001_00 },
		"a higher balance": func(p *ledger.NewPayout) { p.Amount = 4_000_00 },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				must(t, o.Fund(t.Context(), o.admin, 100_000_000_00, "USD", "for those that wait"))
				must(t, o.SetGatewayBalance(t.Context(), "USD", 3_000_00, ledger.AllCommitted))
				rows := sheet("w", waiting+50)
				for i := range rows {
					rows[i].Channel = "16"
					if i < waiting {
						wait(&rows[i])
					}
				}
				for i, date := range []string{"", "2001-01-01", "2001-01-02"} {
					rows[waiting+i].PayDate = date
				}
				o.approved("waiting", rows)
				claims := append(o.claim(20), o.claim(100)...)
				if len(claims) != 50 {
					t.Fatalf("%d payouts were claimed, want 50", len(claims))
				}
				seen := map[int64]bool{}
				for _, c := range claims {
					if c.Ordinal <= waiting || seen[c.ID] {
						t.Errorf("row %d was claimed twice, or too early", c.Ordinal)
					}
					seen[c.ID] = true
				}
				o.sound()
			})
		})
	}
}

// Claims, takeovers and look-ups read unfinished work only: on PostgreSQL, by
// its own count of what it read. A plan that walks the history would show.
func TestOnlyUnfinishedWorkIsRead(t *testing.T) {
	t.Parallel()
	const finished, waiting = 20_000, 12_000
	db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, "postgres", migrated), MaxConnections: 2}, migrated) // one to write, one to read
	o := open(t, db)
	must(t, o.Fund(t.Context(), o.admin, 100_000_000_00, "USD", "for those that wait"))
	must(t, o.SetGatewayBalance(t.Context(), "USD", 1_000_000_00, ledger.AllCommitted))
	rows := sheet("w", waiting+200)
	for i := range rows[:waiting] {
		rows[i].Amount = 5_001_00
	}
	o.approved("waiting", rows)
	history(t, db, finished)
	claims := o.claim(100)
	for i, c := range claims {
		o.put(c, []ledger.State{ledger.Sending, ledger.Unknown, ledger.Accepted}[i%3])
	}
	o.exec("UPDATE payouts SET next_lookup_at = 1 WHERE next_lookup_at > 0")
	o.exec("UPDATE payouts SET lease_until = 1 WHERE state = 'SENDING'")
	for name, work := range map[string]func() int{
		"claim": func() int { return len(o.claim(20)) },
		"look up": func() int {
			due, err := o.DueLookups(t.Context(), ledger.LookupOrder{Max: 20, Lease: time.Minute})
			must(t, err)
			return len(due)
		},
		"take over":           func() int { n, err := o.ReleaseExpired(t.Context(), "worker:w2", 20); must(t, err); return n },
		"ask what comes next": func() int { _, err := o.NextLookup(t.Context()); must(t, err); return 20 },
	} {
		scansBefore, readBefore := o.reads()
		if n := work(); n != 20 {
			t.Fatalf("%s: %d payouts", name, n)
		}
		scans, read := o.reads()
		if scans != scansBefore || read-readBefore > 7_000 {
			t.Errorf("%s: %d scans of the whole table, %d rows read of %d that are finished and %d that wait", name, scans-scansBefore, read-readBefore, finished, waiting)
		}
	}
}

// reads is what PostgreSQL counted on payouts: scans of the whole table, and
// index entries read.
func (o *office) reads() (scans, entries int64) {
	o.t.Helper()
	const flush = "SELECT 1 FROM (SELECT pg_stat_force_next_flush()) f"
	must(o.t, o.db.InTx(o.t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(o.t.Context(), flush)
		return err
	}))
	o.count(flush)
	scans = o.count("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'payouts'")
	return scans, o.count("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'payouts'")
}

// What waits for a second person is found without reading what was decided, on
// PostgreSQL by its own count.
func TestOnlyOpenProposalsAreRead(t *testing.T) {
	t.Parallel()
	const decided = 5_000
	db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, "postgres", migrated), MaxConnections: 2}, migrated) // one to write, one to read
	o := open(t, db)
	o.approved("open", sheet("o", 1))
	claim := o.claim(1)[0]
	o.put(claim, ledger.Review)
	o.told()
	number := o.propose(o.maker, claim.OrderNo(), said(ledger.OutcomePaid))
	for _, statement := range []string{
		`INSERT INTO proposals (id, payout_id, outcome, reason, evidence, file_name, file_digest, fee, fee_known, state, attempt_id, event_id, blocked, proposed_by, created_at, seal)
			SELECT 1000000 + i, payout_id, 'paid', 'r', 'e', '', '', 0, 0, 'REVIEW', 0, 0, '', proposed_by, created_at, '' FROM proposals, generate_series(1, %d) i`,
		`INSERT INTO decisions (proposal_id, id, verdict, note, event_id, decided_by, created_at, seal)
			SELECT 1000000 + i, 2000000 + i, 'refused', '', 0, proposed_by, created_at, '' FROM proposals, generate_series(1, %d) i WHERE id < 1000000`,
		"ANALYZE -- %d",
	} {
		o.exec(fmt.Sprintf(statement, decided))
	}
	rules := ledger.AlertRules{Approval: time.Nanosecond}
	for name, work := range map[string]func() int64{
		"raise": func() int64 {
			alerts, err := o.Raise(t.Context(), rules)
			must(t, err)
			return int64(len(alerts))
		},
		"list":  func() int64 { all, err := o.Proposals(t.Context()); must(t, err); return int64(len(all)) },
		"cases": func() int64 { all, err := o.Exceptions(t.Context()); must(t, err); return int64(len(all)) },
	} {
		before := o.readOf("proposals", "decisions")
		if n := work(); n != 1 {
			t.Errorf("%s: %d, want the one about proposal %d", name, n, number)
		}
		if read := o.readOf("proposals", "decisions") - before; read > 100 {
			t.Errorf("%s: %d rows read, of %d that are decided", name, read, decided)
		}
	}
}

// readOf is how many rows PostgreSQL counted as read of some tables.
func (o *office) readOf(tables ...string) (read int64) {
	o.t.Helper()
	o.reads() // it makes the counts known
	for _, table := range tables {
		read += o.count("SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = ?", table)
	}
	return read
}

// BenchmarkFlat prints what a claim, a takeover and a poll of 200 cost with a
// million finished payouts in the tables and 100,000 unsent ones before the
// sendable, each as a ratio to the same on an empty history; in turns, since
// what a commit waits for the disk changes from minute to minute.
func BenchmarkFlat(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			empty, full := newFlat(b, engine, 0, 0), newFlat(b, engine, 1_000_000, 100_000)
			for range flatRounds {
				empty.round(b)
				full.round(b)
			}
			for name := range full.costs {
				b.ReportMetric(full.median(name).Seconds()/empty.median(name).Seconds(), name+"-ratio")
				b.ReportMetric(float64(full.median(name).Microseconds())/1000, name+"-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// flat is a ledger whose costs are measured.
type flat struct {
	db    *database.DB
	book  *ledger.Book
	costs map[string][]time.Duration
}

const flatAt, flatRounds = 200, 25

func newFlat(b *testing.B, engine string, finished, waiting int) *flat {
	db := dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated)
	f := &flat{db, benchApproved(b, db, waiting, flatAt*flatRounds), map[string][]time.Duration{}}
	if finished > 0 {
		history(b, db, finished)
	}
	return f
}

func (f *flat) round(b *testing.B) {
	measure := func(name string, work func() int) {
		start := time.Now()
		n := work()
		f.costs[name] = append(f.costs[name], time.Since(start))
		if n != flatAt {
			b.Fatalf("%s: %d payouts", name, n)
		}
	}
	measure("claim", func() int {
		claimed, err := f.book.Claim(b.Context(), order(flatAt))
		check(b, err)
		return len(claimed.Claims)
	})
	check(b, f.db.InTx(b.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(b.Context(), "UPDATE payouts SET lease_until = 1 WHERE state = 'SENDING' AND lease_until > 0")
		return err
	}))
	measure("takeover", func() int {
		n, err := f.book.ReleaseExpired(b.Context(), "worker:b", flatAt)
		check(b, err)
		return n
	})
	measure("poll", func() int {
		due, err := f.book.DueLookups(b.Context(), ledger.LookupOrder{Max: flatAt, Lease: time.Hour})
		check(b, err)
		return len(due)
	})
}

func (f *flat) median(name string) time.Duration {
	costs := slices.Sorted(slices.Values(f.costs[name]))
	return costs[len(costs)/2]
}

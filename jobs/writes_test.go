package jobs_test

import (
	"fmt"
	"testing"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// BenchmarkWrites counts what PostgreSQL writes for each payout from its claim
// to the gateway's answer: rows of every table, of the updates those that
// touch no index (hot), and bytes of the log.
func BenchmarkWrites(b *testing.B) {
	const payouts = 5_000
	config := database.Config{URL: dbtest.URL(b, "postgres", migrated)}
	db := dbtest.Open(b, config, migrated)
	benchApproved(b, db, payouts)
	check(b, db.Close()) // a connection counts what it did when it ends
	before, start := readWrites(b, config)
	gateway, stop := benchGateway(b)
	defer stop()
	db = dbtest.Open(b, config, migrated)
	benchSend(b, ledger.New(db, ledger.Config{}), instant{gateway}, payouts)
	check(b, db.Close())
	after, end := readWrites(b, config)

	inserted, updated := int64(0), int64(0)
	for i, w := range after {
		w.Inserted, w.Updated, w.Hot = w.Inserted-before[i].Inserted, w.Updated-before[i].Updated, w.Hot-before[i].Hot
		inserted, updated = inserted+w.Inserted, updated+w.Updated
		if w.Inserted+w.Updated > payouts/100 {
			b.Logf("%-12s inserted %s, updated %s, hot %s", w.Table, per(w.Inserted, payouts), per(w.Updated, payouts), per(w.Hot, payouts))
		}
	}
	b.ReportMetric(float64(inserted)/payouts, "inserts/payout")
	b.ReportMetric(float64(updated)/payouts, "updates/payout")
	b.ReportMetric(float64(end-start)/payouts, "log-bytes/payout")
	b.ReportMetric(0, "ns/op")
}

func per(n, payouts int64) string { return fmt.Sprintf("%.3f", float64(n)/float64(payouts)) }

// writes is what PostgreSQL counted on a table.
type writes struct {
	Table                  string `db:"relname"`
	Inserted, Updated, Hot int64
}

// readWrites waits until everybody else has told, and reads the counts and
// where the log ends.
func readWrites(b *testing.B, config database.Config) (tables []writes, end int64) {
	b.Helper()
	db := dbtest.Open(b, config, migrated)
	for others := int64(1); others > 0; {
		check(b, db.Get(b.Context(), &others, `SELECT count(*) - 2 FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend'`)) // two are ours
	}
	check(b, db.Get(b.Context(), &end, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))
	check(b, db.Select(b.Context(), &tables, `SELECT relname, n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_hot_upd AS hot
		FROM pg_stat_user_tables ORDER BY relname`))
	check(b, db.Close())
	return tables, end
}

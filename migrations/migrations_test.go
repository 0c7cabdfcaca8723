package migrations_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/migrations"
)

var engines = []string{"sqlite", "postgres"}

func open(t *testing.T, address string) *database.DB {
	t.Helper()
	return dbtest.Open(t, database.Config{URL: address}, func(context.Context, *database.DB) error { return nil })
}

func exec(t *testing.T, db *database.DB, statement string) error {
	t.Helper()
	return db.InTx(t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(t.Context(), statement)
		return err
	})
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := dbtest.Empty(t, engine)
			var wg sync.WaitGroup
			var mu sync.Mutex
			applied := 0
			for range 4 {
				db := open(t, address)
				wg.Go(func() {
					versions, err := migrations.Up(t.Context(), db)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					applied += len(versions)
					mu.Unlock()
				})
			}
			wg.Wait()
			if want := versions(t); applied != want {
				t.Errorf("%d versions were applied in all, want each of %d once", applied, want)
			}
			if err := migrations.Check(t.Context(), open(t, address)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		setUp func(*testing.T, *database.DB)
		check error
		up    error
	}{
		{"empty", func(*testing.T, *database.DB) {}, migrations.ErrPending, nil},
		{"foreign", func(t *testing.T, db *database.DB) {
			if err := exec(t, db, "CREATE TABLE blog_posts (id INTEGER)"); err != nil {
				t.Fatal(err)
			}
		}, migrations.ErrForeign, migrations.ErrForeign},
		{"newer", func(t *testing.T, db *database.DB) {
			if _, err := migrations.Up(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			if err := exec(t, db, "UPDATE payrun_migrations SET version_id = 99 WHERE version_id = (SELECT max(version_id) FROM payrun_migrations)"); err != nil {
				t.Fatal(err)
			}
		}, migrations.ErrNewer, migrations.ErrNewer},
	}
	for _, tt := range tests {
		for _, engine := range engines {
			t.Run(tt.name+"/"+engine, func(t *testing.T) {
				t.Parallel()
				db := open(t, dbtest.Empty(t, engine))
				tt.setUp(t, db)
				if err := migrations.Check(t.Context(), db); !errors.Is(err, tt.check) {
					t.Errorf("Check = %v, want %v", err, tt.check)
				}
				if _, err := migrations.Up(t.Context(), db); !errors.Is(err, tt.up) {
					t.Errorf("Up = %v, want %v", err, tt.up)
				}
			})
		}
	}
}

func migrated(ctx context.Context, db *database.DB) error {
	_, err := migrations.Up(ctx, db)
	return err
}

func TestInsertOnlyTablesRefuseChange(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, migrated, func(t *testing.T, db *database.DB) {
		seed := []string{
			"INSERT INTO users (id, name, created_at) VALUES (1, 'ann', 1)",
			"INSERT INTO days (id, business_day, opened_at) VALUES (1, '2026-01-02', 1)",
			"INSERT INTO accounts (id, currency, kind) VALUES (1, 'USD', 'available')",
			`INSERT INTO batches (id, name, state, gateway_account, made_by, made_at) VALUES (1, 'b', 'STAGING', 'g', 1, 1)`,
			`INSERT INTO payouts (id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date,
				amount, currency, fee_estimate, row_digest) VALUES (100000001, 1, 1, '', 2, '', '16', 'P1', '', '', '', 5, 'USD', 0, 'd')`,
			"UPDATE batches SET state = 'VALID'",
			"INSERT INTO audit (position, actor, action, subject, detail, created_at, digest) VALUES (1, 'a', 'b', 'c', 'd', 1, 'e')",
			"INSERT INTO batch_totals (batch_id, channel, currency, payouts, amount, fees) VALUES (1, '16', 'USD', 1, 5, 0)",
			`INSERT INTO problems (batch_id, position, code, severity, sheet, row_no, col, heading, value, message)
				VALUES (1, 1, 'c', 's', '', 2, 'A', '', '', '')`,
			`INSERT INTO attempts (id, payout_id, number, order_no, params_digest, limits_source, worker, send_by, created_at, seal)
				VALUES (1, 100000001, 1, 'o', 'd', '', 'w', 1, 1, 's')`,
			`INSERT INTO evidence (id, payout_id, attempt_id, kind, outcome, reason, http_status, code, message,
				gateway_order_no, gateway_status, digest, body, created_at, seal)
				VALUES (1, 100000001, 1, 'create', 'accepted', '', 200, '1', '', '', '1', 'd', '', 1, 's')`,
			`INSERT INTO events (id, batch_id, payout_id, from_state, to_state, reason, note, actor, attempt_id, evidence_id, digest, created_at, seal)
				VALUES (1, 1, 100000001, 'APPROVED', 'SENDING', 'claimed', '', 'w', 1, 0, '', 1, 's')`,
			`INSERT INTO entries (id, day_id, kind, currency, batch_id, payout_id, corrects, note, actor, created_at, digest)
				VALUES (1, 1, 'hold', 'USD', 1, 0, 0, '', 'a', 1, 'd')`,
			"INSERT INTO lines (entry_id, position, account_id, side, amount) VALUES (1, 1, 1, 'debit', 5)",
		}
		for _, statement := range seed {
			if err := exec(t, db, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		refused := []string{
			"UPDATE payouts SET amount = 6", "UPDATE payouts SET account = 'P2'", "UPDATE payouts SET row_digest = 'x'",
			"DELETE FROM payouts", "UPDATE problems SET message = 'fine'", "DELETE FROM problems",
			"UPDATE lines SET amount = 6", "UPDATE entries SET note = 'x'", "UPDATE events SET to_state = 'FAILED'",
			"UPDATE evidence SET gateway_status = '7'", "UPDATE attempts SET send_by = 2", "UPDATE audit SET actor = 'x'",
			"UPDATE batch_totals SET amount = 6", "DELETE FROM lines", "DELETE FROM entries", "DELETE FROM events",
			`INSERT INTO payouts (id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date,
				amount, currency, fee_estimate, row_digest) VALUES (100000002, 1, 2, '', 3, '', '16', 'P2', '', '', '', 5, 'USD', 0, 'd')`,
			"DELETE FROM evidence", "DELETE FROM attempts", "DELETE FROM audit", "DELETE FROM batch_totals",
		}
		for _, statement := range refused {
			if err := exec(t, db, statement); !database.IsRefused(err) {
				t.Errorf("%s: %v, want it refused by a trigger", statement, err)
			}
		}
		if err := exec(t, db, "UPDATE payouts SET state = 'CANCELLED'"); err != nil {
			t.Errorf("a payout's progress must stay changeable: %v", err)
		}
	})
}

// versions counts the versions that there are files for.
func versions(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	seen := map[string]bool{}
	for _, name := range files {
		number, _, _ := strings.Cut(name, "_")
		seen[number] = true
	}
	return len(seen)
}

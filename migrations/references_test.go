package migrations_test

import (
	"testing"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/migrations"
)

// A store whose payees were noted before their references were has them all
// afterwards, and protects them as before.
func TestReferencesOfAnOlderStore(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := open(t, dbtest.Empty(t, engine))
			if err := migrations.UpTo(t.Context(), db, 20); err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{
				"INSERT INTO users (id, name, created_at) VALUES (1, 'ann', 1)",
				"INSERT INTO batches (id, name, state, gateway_account, made_by, made_at) VALUES (1, 'b', 'STAGING', 'g', 1, 1)",
				`INSERT INTO payouts (id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, row_digest)
					VALUES (100000001, 1, 1, '', 2, 'A-1', '16', 'P1', '', '', '', 5, 'USD', 0, 'd'), (100000002, 1, 2, '', 3, '', '16', 'P1', '', '', '', 5, 'USD', 0, 'd'),
					(100000003, 1, 3, '', 4, 'A-3', '16', 'P1', '', '', '', 5, 'USD', 0, 'd')`,
				"UPDATE batches SET state = 'VALID'",
				"INSERT INTO payees (account, channel, currency, amount, payout_id, approved_at) SELECT account, channel, currency, amount, id, 7 FROM payouts",
			} {
				if err := exec(t, db, statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			if _, err := migrations.Up(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			var kept []string
			if err := db.Select(t.Context(), &kept, "SELECT payout_id || ' ' || reference || ' ' || approved_at FROM payees ORDER BY payout_id"); err != nil {
				t.Fatal(err)
			}
			if len(kept) != 3 || kept[0] != "100000001 A-1 7" || kept[1] != "100000002  7" || kept[2] != "100000003 A-3 7" {
				t.Errorf("payees %q", kept)
			}
			for _, statement := range []string{"UPDATE payees SET reference = 'x'", "DELETE FROM payees"} {
				if err := exec(t, db, statement); !database.IsRefused(err) {
					t.Errorf("%s: %v, want it refused by a trigger", statement, err)
				}
			}
		})
	}
}

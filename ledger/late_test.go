package ledger_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

// addRow is SQL that copies a batch's last row behind it, with the digest that
// such a row would have.
func addRow(batch ledger.Batch, last ledger.NewPayout) string {
	digest := digested(batch.ID, batch.Accepted+1, last.Sheet, last.Row, last.Reference, last.Channel, last.Account, last.Payee, last.Remark,
		last.PayDate, int64(last.Amount), last.Currency, int64(last.FeeEstimate))
	return fmt.Sprintf(`INSERT INTO payouts (id, batch_id, ordinal, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, row_digest)
		SELECT id + 1, batch_id, ordinal + 1, sheet, row_no, reference, channel, account, payee, remark, pay_date, amount, currency, fee_estimate, '%s'
		FROM payouts WHERE batch_id = %d AND ordinal = %d`, digest, batch.ID, batch.Accepted)
}

// Nobody adds a payout to a batch that people have seen: the schema refuses
// it, and a claim does not know it even where the guard was taken away, nor
// where it has to pass over many rows.
func TestARowThatWasNotImportedIsNotSent(t *testing.T) {
	for name, waiting := range map[string]int{"among few": 0, "behind many that wait": 400} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				const sendable = 2
				rows := sheet("l", waiting+sendable)
				for i := range rows {
					if rows[i].Channel = "16"; i < waiting {
						rows[i].PayDate = "2999-12-31"
					}
				}
				forged := addRow(o.approved("late", rows), rows[len(rows)-1])
				err := o.db.InTx(t.Context(), func(tx *database.Tx) error {
					_, err := tx.Exec(t.Context(), forged)
					return err
				})
				if !database.IsRefused(err) {
					t.Errorf("a late row was taken: %v", err)
				}
				o.tamper(forged)
				if claims := o.claim(10); len(claims) != sendable {
					t.Errorf("claimed %d payouts of %d that may be sent", len(claims), sendable)
				}
			})
		})
	}
}

// A signed word about a payout that was never sent (after a restored backup,
// say) keeps it from being sent, and from being cancelled.
func TestAPayoutTheGatewayKnowsAlreadyIsNotSent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("known", sheet("k", 2))
		no := batch.OrderPrefix + "00000001"
		must(t, o.Notify(t.Context(), no, ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: "7"}))
		claims := o.claim(10)
		if len(claims) != 1 || claims[0].OrderNo() == no {
			t.Errorf("claimed %v", claims)
		}
		if n, err := o.Cancel(t.Context(), o.checker, batch.ID, "wrong month"); n != 0 || !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("cancelled %d, %v", n, err)
		}
		if open, err := o.Exceptions(t.Context()); err != nil || len(open) != 1 || open[0].Kind != ledger.ExceptionContrary {
			t.Errorf("exceptions %+v, %v", open, err)
		}
		o.sound()
	})
}

// A look-up that a notification asked for stays due, although an older
// look-up was under way and knew nothing yet.
func TestANotificationsLookupIsNotPutOff(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("nudge", sheet("n", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Accepted)
		must(t, o.Notify(t.Context(), c.OrderNo(), ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: "7"}))
		o.record(looked(c, ledger.Accepted, ledger.Accepted, ledger.ByFinding))
		due, err := o.DueLookups(t.Context(), ledger.LookupOrder{Max: 5, Lease: 1})
		must(t, err)
		if len(due) != 1 {
			t.Errorf("%d look-ups are due", len(due))
		}
	})
}

// Whoever approves second hears that somebody else was first.
func TestTwoApproveAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.imported("twice", sheet("t", 1))
		must(t, o.Submit(t.Context(), o.maker, batch.ID))
		other, err := o.AddUser(t.Context(), o.admin, "chloe", ledger.Checker)
		must(t, err)
		outcomes := make(chan error, 2)
		for _, by := range []ledger.User{o.checker, other} {
			go func() { outcomes <- o.Approve(t.Context(), by, batch.ID) }()
		}
		first, second := <-outcomes, <-outcomes
		if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), ledger.ErrConflict) {
			t.Errorf("outcomes %v and %v", first, second)
		}
		o.sound()
	})
}

// Likewise one that comes while the older look-up's finding waits for its turn
// to be written: the time it goes by is that of its turn.
func TestANotificationBeforeAFindingsTurnIsNotPutOff(t *testing.T) {
	t.Parallel()
	o, c := officeAt(t, "postgres") // where two write at once
	o.approved("nudge", sheet("n", 1))
	claim := o.claim(1)[0]
	o.put(claim, ledger.Accepted)
	c.advance(2 * time.Minute)
	if due := o.due(ledger.LookupOrder{Max: 5, Lease: time.Hour}); len(due) != 1 {
		t.Fatalf("%d look-ups are due", len(due))
	}
	notified, recorded := make(chan error, 1), make(chan error, 1)
	must(t, o.db.InTx(t.Context(), func(tx *database.Tx) error {
		if _, err := tx.Exec(t.Context(), "UPDATE payouts SET lookups = lookups"); err != nil {
			return err
		}
		go func() { notified <- o.Notify(t.Context(), claim.OrderNo(), notifiedPaid()) }()
		o.waitForLocks(1)
		go func() {
			_, err := o.Record(t.Context(), "worker:w1", []ledger.Finding{looked(claim, ledger.Accepted, ledger.Accepted, ledger.ByFinding)})
			recorded <- err
		}()
		o.waitForLocks(2)
		c.advance(10 * time.Second)
		return nil
	}))
	must(t, <-notified)
	must(t, <-recorded)
	if due := o.due(ledger.LookupOrder{Max: 5, Lease: 1}); len(due) != 1 {
		t.Errorf("%d look-ups are due", len(due))
	}
	o.sound()
}

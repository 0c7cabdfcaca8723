package ledger_test

import (
	"errors"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

// whileLocked starts something that needs the accounts, has it wait for them
// while something else is done, and returns how it ended.
func (o *office) whileLocked(start func() error, meanwhile func()) error {
	o.t.Helper()
	ended := make(chan error, 1)
	must(o.t, o.db.InTx(o.t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(o.t.Context(), "UPDATE accounts SET balance = balance")
		if err == nil {
			go func() { ended <- start() }()
			o.waitForLocks(1)
			meanwhile()
		}
		return err
	}))
	return <-ended
}

// A notification that comes while a batch is being cancelled, after its payouts
// were read and before they are written, keeps its payout.
func TestANotificationBeatsACancellation(t *testing.T) {
	t.Parallel()
	for name, spoke := range map[string]func(*office, string){
		"spoken of": func(o *office, no string) { must(o.t, o.Notify(o.t.Context(), no, spoken("7"))) },
		"spoken of, and unblocked again": func(o *office, no string) {
			must(o.t, o.Notify(o.t.Context(), no, spoken("7")))
			o.decide(no, said(ledger.OutcomeUnblock))
		},
		"claimed": func(o *office, no string) {
			o.exec("UPDATE stops SET lifted_at = 1 WHERE lifted_at = 0")
			if claims := o.claim(1); len(claims) != 1 || claims[0].OrderNo() != no {
				o.t.Errorf("claimed %+v", claims)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := officeAt(t, "postgres") // where two write at once
			batch := o.approved("raced", sheet("r", 3))
			no := numbered(batch, 1)
			var cancelled int
			must(t, o.whileLocked(func() (err error) {
				cancelled, err = o.Cancel(t.Context(), o.checker, batch.ID, "wrong month")
				return err
			}, func() { spoke(o, no) }))
			if p := o.payout(no); cancelled != 2 || p.State == ledger.Cancelled {
				t.Errorf("%d cancelled, the first is %s", cancelled, p.State)
			}
			o.sound()
		})
	}
}

// What a lost copy of the store may have sent is not taken back unasked: not
// by one person, and by two only with the gateway's word.
func TestAfterARestoreNothingIsCancelledUnasked(t *testing.T) {
	eachGuarded(t, func(t *testing.T, g *guarded) {
		ctx := t.Context()
		batch := g.running()
		must(t, g.DeclareRestore(ctx, g.admin, "snapshot of the virtual machine"))
		must(t, g.LiftStop(ctx, g.checker, ledger.Everything, ""))
		before := g.usd()
		_, err := g.Cancel(ctx, g.checker, batch.ID, "wrong month")
		g.refused("cancelled", err, ledger.ErrConflict, "a backup was restored at 2026-11-02 09:00 UTC, and what was lost with it may have sent payouts of batch 1")
		g.stoppedOnly()
		no := numbered(batch, 2)
		unasked := ledger.Proposal{Outcome: ledger.OutcomeCancel, Reason: "wrong month"}
		number := g.propose(g.maker, no, unasked)
		g.refused("decided without evidence", g.Confirm(ctx, g.checker, number), ledger.ErrConflict, "what was lost with it may have sent the payout; propose it with --evidence")
		if after := g.usd(); after != before || g.payout(no).State != ledger.Approved {
			t.Errorf("balances %+v, want %+v", after, before)
		}
		must(t, g.Withdraw(ctx, g.maker, number))
		g.decide(no, said(ledger.OutcomeCancel))
		g.clock.advance(31 * 24 * time.Hour)
		g.decide(numbered(batch, 4), unasked)
		if n, err := g.Cancel(ctx, g.checker, batch.ID, "wrong month"); n != 2 || err != nil {
			t.Errorf("a month later %d were cancelled, %v", n, err)
		}
		g.sound()
	})
}

// A restore that is noticed while a batch is being cancelled ends that.
func TestARestoreEndsACancellation(t *testing.T) {
	t.Parallel()
	o, _ := officeAt(t, "postgres")
	batch := o.approved("raced", sheet("r", 3))
	err := o.whileLocked(func() error {
		_, err := o.Cancel(t.Context(), o.checker, batch.ID, "wrong month")
		return err
	}, func() { must(t, o.DeclareRestore(t.Context(), o.admin, "snapshot")) })
	if !errors.Is(err, ledger.ErrConflict) || o.payout(numbered(batch, 1)).State != ledger.Approved {
		t.Errorf("%v, the first is %s", err, o.payout(numbered(batch, 1)).State)
	}
	o.sound()
}

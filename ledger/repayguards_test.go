package ledger_test

import (
	"context"
	"fmt"
	"testing"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// The gateway that has to confirm that a payout failed is the one it was sent
// to.
func TestARepayBelongsToOneGatewayAccount(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		ours := o.failed("ours", 1)
		s, err := o.Stage(ctx, o.maker, "theirs", "other@example.com")
		must(t, err)
		must(t, s.Add(ctx, sheet("theirs", 1)))
		batch, err := s.Publish(ctx, accepted(1))
		must(t, err)
		must(t, o.Submit(ctx, o.maker, batch.ID))
		must(t, o.Approve(ctx, o.checker, batch.ID))
		c := o.claim(1)[0]
		o.fail(c)
		_, err = o.Repay(ctx, o.maker, append(ours, c.OrderNo()), ledger.Scrutiny{}, "again")
		o.refused("of two accounts", err, ledger.ErrInvalid, "belong to different gateway accounts")
		o.repaid(ours...)
		o.repaid(c.OrderNo())
		o.sound()
	})
}

// Whatever puts an end in doubt keeps the same payment from being made again.
func TestEveryDisputeStopsARepay(t *testing.T) {
	ways := map[string]func(o *office, other ledger.Claim){
		ledger.ExceptionReview: func(o *office, other ledger.Claim) { o.put(other, ledger.Review) },
		ledger.ExceptionContrary: func(o *office, other ledger.Claim) {
			o.fail(other)
			must(o.t, o.Notify(o.t.Context(), other.OrderNo(), notifiedPaid()))
		},
		ledger.ExceptionPaidTwice: func(o *office, other ledger.Claim) {
			o.fail(other)
			o.again(other.OrderNo())
			o.put(o.claim(1)[0], ledger.Succeeded)
			o.decide(other.OrderNo(), said(ledger.OutcomePaid))
		},
	}
	for kind, dispute := range ways {
		t.Run(kind, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				failed := o.failed("failed", 1)
				o.approved("other", sheet("other", 1))
				dispute(o, o.claim(1)[0])
				_, err := o.Repay(t.Context(), o.maker, failed, ledger.Scrutiny{}, "again")
				o.refused("disputed", err, ledger.ErrConflict, "a case of the kind "+kind)
				o.sound()
			})
		})
	}
}

// A dispute about another payment stops nothing.
func TestADisputeAboutAnotherPaymentStopsNothing(t *testing.T) {
	others := map[string]func(*ledger.NewPayout){
		"channel":  func(p *ledger.NewPayout) { p.Channel = "16" },
		"account":  func(p *ledger.NewPayout) { p.Account = "P2000000" },
		"amount":   func(p *ledger.NewPayout) { p.Amount = 10_01 },
		"currency": func(p *ledger.NewPayout) { p.Currency = "EUR" },
	}
	for name, change := range others {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				failed := o.failed("failed", 1)
				rows := sheet("other", 1)
				change(&rows[0])
				must(t, o.Fund(t.Context(), o.admin, topUp, "EUR", "bank reference 2"))
				must(t, o.SetGatewayBalance(t.Context(), "EUR", topUp, ledger.AllCommitted))
				must(t, o.SetLimits(t.Context(), []ledger.Limit{{Channel: rows[0].Channel, Currency: rows[0].Currency, Minimum: 1, Maximum: topUp, Source: ledger.FromGateway}}))
				o.approved("other", rows)
				o.put(o.claim(1)[0], ledger.Review)
				o.repaid(failed...)
				o.sound()
			})
		})
	}
}

// What was taken back pays nobody: nothing is paid twice then.
func TestATakenBackRepayIsNoSecondPayment(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.failed("first", 1)[0]
		again := o.again(first)
		_, err := o.Cancel(ctx, o.checker, again.ID, "not now")
		must(t, err)
		o.decide(first, said(ledger.OutcomePaid))
		for _, no := range []string{first, numbered(again, 1)} {
			if kinds := o.exceptionsOf(o.payout(no).ID); kinds != "" {
				t.Errorf("%s has the cases %q", no, kinds)
			}
		}
		o.sound()
	})
}

// An import whose process died in the middle pays nobody again either.
func TestARepayThatWasNeverPublishedIsNone(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		first := o.failed("first", 1)[0]
		half := o.repaid(first)
		o.tamper(fmt.Sprint("UPDATE batches SET state = 'STAGING', order_prefix = '' WHERE id = ", half.ID))
		o.repaid(first)
	})
}

// What it pays again cannot be looked at when its number was changed.
func TestARepayOfWhatIsNotOnFileIsNotSent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		first := o.failed("first", 1)[0]
		again := numbered(o.again(first), 1)
		o.tamper("UPDATE batches SET order_prefix = 'AAAAAAAAAAAAAAAA' WHERE id = " + fmt.Sprint(o.payout(first).BatchID))
		o.stopped(again)
	})
}

// What the gateway says that it has is not taken back without its written word;
// that reason stays when another one comes, or it could be.
func TestTheFirstReasonStays(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		first := o.failed("first", 1)[0]
		again := numbered(o.again(first), 1)
		must(t, o.Notify(t.Context(), again, notifiedPaid()))
		must(t, o.Notify(t.Context(), first, notifiedPaid()))
		if p := o.payout(again); p.Blocked != ledger.BlockedKnown {
			t.Errorf("blocked because %q", p.Blocked)
		}
		number := o.propose(o.maker, again, ledger.Proposal{Outcome: ledger.OutcomeCancel, Reason: "it looks so"})
		o.refused("taken back", o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, "the gateway notified about it")
		must(t, o.Withdraw(t.Context(), o.maker, number))
		o.sound()
	})
}

// Of a chain only what waits to be sent is blocked.
func TestWhatHasEndedIsNotBlocked(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		first, second, third := o.chain()
		must(t, o.Notify(t.Context(), first, notifiedPaid()))
		if p := o.payout(second); p.Blocked != "" || o.exceptionsOf(p.ID) != "" {
			t.Errorf("the failed one is blocked because %q, cases %q", p.Blocked, o.exceptionsOf(p.ID))
		}
		o.stopped(third)
		o.sound()
	})
}

// meanwhile runs f while a transaction that has made a change is open, and
// returns when both are through: f ends by itself, or waits for the change.
// The other engine has one writer anyway.
func meanwhile(t *testing.T, o *office, change func(*database.Tx) error, f func() error) error {
	t.Helper()
	changed, release := make(chan struct{}), make(chan struct{})
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		first <- dbtest.Patiently(t.Context(), o.db, func(tx *database.Tx) error {
			err := change(tx)
			close(changed)
			<-release
			return err
		})
	}()
	<-changed
	go func() { second <- f() }()
	waiting := func() bool {
		return o.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
	}
	for len(second) == 0 && !waiting() && t.Context().Err() == nil {
	}
	close(release)
	must(t, <-first)
	return <-second
}

// locked changes rows and keeps them locked.
func locked(ctx context.Context, statement string, args ...any) func(*database.Tx) error {
	return func(tx *database.Tx) error {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	}
}

// A dispute that is about to be stored while the re-pay is approved counts.
func TestARepayIsJudgedUnderTheLock(t *testing.T) {
	t.Parallel()
	o, _ := officeAt(t, "postgres")
	ctx := t.Context()
	first := o.failed("first", 1)[0]
	again := o.submittedBy(o.maker, first)
	notified := func(tx *database.Tx) error { // as Notify does, in its order
		if err := locked(ctx, "UPDATE payouts SET conflicts = conflicts WHERE id = ?", o.payout(first).ID)(tx); err != nil {
			return err
		}
		return locked(ctx, `INSERT INTO exceptions (id, kind, batch_id, payout_id, subject, detail, next_step, opened_at)
			SELECT 4711, 'contrary', batch_id, id, '', 'a notification', 'ask', 1 FROM payouts WHERE id = ?`, o.payout(first).ID)(tx)
	}
	err := meanwhile(t, o, notified, func() error { return o.Approve(ctx, o.checker, again.ID) })
	o.refused("approved", err, ledger.ErrConflict, "a case of the kind contrary")
}

// A re-pay that comes back unsent, while what it pays again turns out to be
// paid, is seen and blocked.
func TestARepayThatJustCameBackIsBlocked(t *testing.T) {
	paid := map[string]func(*office, string) error{
		"notified": func(o *office, no string) error { return o.Notify(o.t.Context(), no, notifiedPaid()) },
		"decided": func(o *office, no string) error {
			number, err := o.Propose(o.t.Context(), o.maker, no, said(ledger.OutcomePaid))
			if err == nil {
				err = o.Confirm(o.t.Context(), o.checker, number)
			}
			return err
		},
	}
	for name, pay := range paid {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := officeAt(t, "postgres")
			first := o.failed("first", 1)[0]
			o.again(first)
			c := o.claim(1)[0]
			back := locked(t.Context(), "UPDATE payouts SET state = 'UNSENT' WHERE id = ?", c.ID)
			must(t, meanwhile(t, o, back, func() error { return pay(o, first) }))
			if p := o.payout(c.OrderNo()); p.Blocked != ledger.BlockedRepaid {
				t.Errorf("it is %s, blocked because %q", p.State, p.Blocked)
			}
		})
	}
}

// A batch that is approved while another one is looked through is seen: first
// among those that wait, or else among the paid ones.
func TestABatchApprovedMeanwhileIsSeen(t *testing.T) {
	t.Parallel()
	o, _ := officeAt(t, "postgres")
	ctx := t.Context()
	other := o.imported("other", sheet("other", 2))
	must(t, o.Submit(ctx, o.maker, other.ID))
	rows := sheet("staged", 2)
	rows[1].Reference, rows[1].Amount = "other-2", 11_00
	staged := o.stage("staged", rows)
	approve := func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		for _, change := range []func(*database.Tx) error{
			locked(ctx, "LOCK TABLE batches IN ACCESS EXCLUSIVE MODE"),
			locked(ctx, "UPDATE batches SET state = 'APPROVED' WHERE id = ?", other.ID),
			locked(ctx, `INSERT INTO payees (account, channel, currency, amount, reference, payout_id, approved_at)
				SELECT account, channel, currency, amount, reference, id, ? FROM payouts WHERE batch_id = ?`, now, other.ID),
		} {
			if err == nil {
				err = change(tx)
			}
		}
		return err
	}
	var batch ledger.Batch
	must(t, meanwhile(t, o, approve, func() (err error) {
		counts := accepted(2)
		counts.Scrutiny = both
		batch, err = staged.Publish(ctx, counts)
		return err
	}))
	same(t, "approved meanwhile", o.wanted(batch.ID), []string{"2 payee-paid-before", "3 reference-used"})
}

// A proposer who has lost every role takes nothing back either.
func TestWhoLostTheRoleDoesNotWithdraw(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.approved("people", sheet("p", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Unknown)
		number := o.propose(o.both, c.OrderNo(), said(ledger.OutcomePaid))
		o.exec("DELETE FROM user_roles WHERE user_id = ?", o.both.ID)
		o.refused("withdrawn", o.Withdraw(ctx, o.both, number), ledger.ErrForbidden, "needs the role")
		must(t, o.Confirm(ctx, o.checker, number))
		o.sound()
	})
}

package ledger_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"payrun/internal/database"
	"payrun/ledger"
)

// failed makes a batch whose payouts have all failed, and returns their order
// numbers.
func (o *office) failed(name string, n int) []string {
	o.t.Helper()
	o.approved(name, sheet(name, n))
	var orders []string
	for _, c := range o.claim(n) {
		o.fail(c)
		orders = append(orders, c.OrderNo())
	}
	return orders
}

// fail has the gateway say that a payout, which it has, failed.
func (o *office) fail(c ledger.Claim) {
	o.t.Helper()
	f := answered(c, ledger.Failed, ledger.ByFailure)
	f.GatewayOrder, f.Status = "G"+c.OrderNo(), "6"
	if o.record(f) != 1 {
		o.t.Fatal("a failure took no effect")
	}
}

func (o *office) repaid(orders ...string) ledger.Batch {
	o.t.Helper()
	batch, err := o.Repay(o.t.Context(), o.maker, orders, ledger.Scrutiny{}, "the wallet is open again")
	must(o.t, err)
	return batch
}

func numbered(b ledger.Batch, ordinal int) string {
	return fmt.Sprintf("%s%08d", b.OrderPrefix, ordinal)
}

func TestAFailedPayoutIsPaidAgain(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		orders := o.failed("first", 3)
		batch := o.repaid(orders[2], orders[0])
		if batch.State != ledger.Valid || batch.Repeats != 0 || batch.Accepted != 2 || batch.OrderPrefix == "" || strings.HasPrefix(orders[0], batch.OrderPrefix) {
			t.Fatalf("batch %+v", batch)
		}
		if p := o.payout(numbered(batch, 1)); p.Repays != orders[0] || p.Account != "P1000000" || p.Amount != 10_00 || p.Reference != "first-1" {
			t.Errorf("re-pay %+v", p)
		}
		must(t, o.Submit(ctx, o.maker, batch.ID))
		o.refused("approved by its maker", o.Approve(ctx, o.both, o.submittedBy(o.both, orders[1]).ID), ledger.ErrForbidden, "made or submitted")
		must(t, o.Approve(ctx, o.checker, batch.ID))
		claims := o.claim(10)
		if len(claims) != 2 || claims[0].Repays != orders[0] || claims[1].Repays != orders[2] {
			t.Fatalf("claims %+v", claims)
		}
		o.put(claims[0], ledger.Succeeded)
		o.fail(claims[1])
		_, err := o.Repay(ctx, o.maker, []string{orders[0]}, ledger.Scrutiny{}, "once more")
		o.refused("what was paid again", err, ledger.ErrConflict, "is paid again already, as "+claims[0].OrderNo())
		_, err = o.Repay(ctx, o.maker, []string{orders[2]}, ledger.Scrutiny{}, "once more")
		o.refused("what was tried again", err, ledger.ErrConflict, "is paid again already, as "+claims[1].OrderNo())
		if third := o.repaid(claims[1].OrderNo()); third.OrderPrefix == batch.OrderPrefix {
			t.Error("a re-pay of a re-pay has its number")
		}
		_, steps, err := o.Story(ctx, orders[0])
		must(t, err)
		if last := steps[len(steps)-1]; last.What != "paid again" || last.Actor != "user:mia" || last.Detail != "as "+claims[0].OrderNo() {
			t.Errorf("the story ends with %+v", last)
		}
		o.sound()
	})
}

// submittedBy is a re-pay that a person made and submitted.
func (o *office) submittedBy(by ledger.User, orders ...string) ledger.Batch {
	o.t.Helper()
	batch, err := o.Repay(o.t.Context(), by, orders, ledger.Scrutiny{}, "by "+by.Name)
	must(o.t, err)
	must(o.t, o.Submit(o.t.Context(), by, batch.ID))
	return batch
}

func TestWhatMayNotBePaidAgain(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		froms := []ledger.State{ledger.Sending, ledger.Unknown, ledger.Accepted, ledger.Review, ledger.Succeeded, ledger.Closed, ledger.Approved}
		o.approved("states", sheet("s", len(froms)))
		for i, c := range o.claim(len(froms)) {
			o.put(c, froms[i])
			_, err := o.Repay(ctx, o.maker, []string{c.OrderNo()}, ledger.Scrutiny{}, "again")
			o.refused(string(froms[i]), err, ledger.ErrConflict, "only one that failed")
		}
		never := o.claim(1)[0]
		o.put(never, ledger.Failed)
		_, err := o.Repay(ctx, o.maker, []string{never.OrderNo()}, ledger.Scrutiny{}, "again")
		o.refused("never known to the gateway", err, ledger.ErrConflict, "cannot confirm that it failed")
		orders := o.failed("other", 9)
		for name, tt := range map[string]struct {
			by     ledger.User
			orders []string
			reason string
			want   error
		}{
			"by a checker": {o.checker, orders[:1], "r", ledger.ErrForbidden}, "by an admin": {o.admin, orders[:1], "r", ledger.ErrForbidden},
			"by nobody": {ledger.User{}, orders[:1], "r", ledger.ErrForbidden}, "without a reason": {o.maker, orders[:1], " ", ledger.ErrInvalid},
			"nothing": {o.maker, nil, "r", ledger.ErrInvalid}, "twice": {o.maker, []string{orders[0], orders[0]}, "r", ledger.ErrInvalid},
			"no order number": {o.maker, []string{"17"}, "r", ledger.ErrNotFound}, "not ours": {o.maker, []string{"AAAAAAAAAAAAAAAA00000001"}, "r", ledger.ErrNotFound},
		} {
			_, err := o.Repay(ctx, tt.by, tt.orders, ledger.Scrutiny{}, tt.reason)
			o.refused(name, err, tt.want, "")
		}
		must(t, o.Notify(ctx, orders[7], ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: "7"}))
		_, err = o.Repay(ctx, o.maker, orders[7:8], ledger.Scrutiny{}, "again")
		o.refused("disputed", err, ledger.ErrConflict, "a case of the kind contrary")
		number := o.propose(o.maker, orders[8], said(ledger.OutcomePaid))
		_, err = o.Repay(ctx, o.maker, orders[8:9], ledger.Scrutiny{}, "again")
		o.refused("proposed to be paid", err, ledger.ErrConflict, fmt.Sprintf("proposal %d about it is open", number))
		if n := o.count("SELECT count(*) FROM batches"); n != 2 {
			t.Errorf("%d batches, want the 2 that were imported", n)
		}
		o.sound()
	})
}

// A dispute about another payout of the same amount to the same payee counts:
// the gateway may mean that one.
func TestADisputeAboutThePayeeAndAmountCounts(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		one, other := o.failed("one", 1)[0], o.failed("other", 1)[0]
		must(t, o.Notify(t.Context(), one, ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: "7"}))
		_, err := o.Repay(t.Context(), o.maker, []string{other}, ledger.Scrutiny{}, "again")
		o.refused("disputed", err, ledger.ErrConflict, "may have been paid")
		o.decide(one, said(ledger.OutcomeFailed)) // the dispute is settled
		o.repaid(other)
		o.sound()
	})
}

// Discarded or cancelled, a re-pay leaves its payout free to be paid again;
// doing the discarded one anew meets the same numbers.
func TestATakenBackRepayCanBeDoneAnew(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		orders := o.failed("anew", 2)
		first := o.repaid(orders...)
		must(t, o.Discard(ctx, o.maker, first.ID, "too early"))
		again := o.repaid(orders[1], orders[0])
		if again.OrderPrefix != first.OrderPrefix || again.Repeats != 0 {
			t.Errorf("done anew: %+v, want the numbers of %+v", again, first)
		}
		must(t, o.Submit(ctx, o.maker, again.ID))
		must(t, o.Approve(ctx, o.checker, again.ID))
		if n, err := o.Cancel(ctx, o.checker, again.ID, "not now"); n != 2 || err != nil {
			t.Fatalf("cancelled %d, %v", n, err)
		}
		third := o.repaid(orders...)
		if third.Repeats != again.ID || third.OrderPrefix != "" {
			t.Errorf("after one that was approved it waits for leave: %+v", third)
		}
		o.sound()
	})
}

// Two makers re-pay the same payout at once: one of them does.
func TestRepaidAtOnceIsRepaidOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		orders := o.failed("at once", 3)
		errs := make([]error, 6)
		together(t, len(errs), func(i int) error {
			_, errs[i] = o.Repay(t.Context(), []ledger.User{o.maker, o.both}[i%2], []string{orders[0], orders[1+i%2]}, ledger.Scrutiny{}, "again")
			return nil
		})
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			} else if !errors.Is(err, ledger.ErrConflict) {
				t.Error(err)
			}
		}
		if done != 1 {
			t.Errorf("%d re-pays", done)
		}
		if n := o.count("SELECT count(*) FROM batches"); n != 2 {
			t.Errorf("%d batches", n)
		}
		o.sound()
	})
}

// When the first one turns out to be paid, the second one is stopped, or both
// are flagged.
func TestPaidAfterAllStopsTheRepay(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		orders := o.failed("after all", 3)
		approved := o.submittedBy(o.maker, orders[0])
		must(t, o.Approve(ctx, o.checker, approved.ID))
		o.put(o.claim(1)[0], ledger.Succeeded)
		chain := o.submittedBy(o.maker, orders[2])
		must(t, o.Approve(ctx, o.checker, chain.ID))
		o.fail(o.claim(1)[0])
		last := o.submittedBy(o.maker, numbered(chain, 1))
		must(t, o.Approve(ctx, o.checker, last.ID))
		waiting := o.submittedBy(o.maker, orders[1])
		must(t, o.Approve(ctx, o.checker, waiting.ID))
		for _, no := range orders {
			o.decide(no, said(ledger.OutcomePaid))
		}
		if got := o.claim(10); len(got) != 0 {
			t.Errorf("claimed %+v", got)
		}
		want := map[string]string{
			orders[0]: ledger.ExceptionPaidTwice, numbered(approved, 1): ledger.ExceptionPaidTwice,
			orders[1]: "", numbered(waiting, 1): ledger.ExceptionPaidTwice,
			numbered(chain, 1): ledger.ExceptionPaidTwice, numbered(last, 1): ledger.ExceptionPaidTwice,
		}
		for no, kinds := range want {
			if got := o.exceptionsOf(o.payout(no).ID); got != kinds {
				t.Errorf("%s (%s): cases %q, want %q", no, o.payout(no).State, got, kinds)
			}
		}
		for _, no := range []string{numbered(waiting, 1), numbered(last, 1)} {
			if p := o.payout(no); p.Blocked != ledger.BlockedRepaid {
				t.Errorf("%s is blocked because %q", no, p.Blocked)
			}
			number := o.propose(o.maker, no, said(ledger.OutcomeUnblock))
			err := o.Confirm(ctx, o.checker, number)
			if no == numbered(waiting, 1) {
				o.refused("let go", err, ledger.ErrConflict, orders[1]+", which it pays again, is SUCCEEDED")
				must(t, o.Withdraw(ctx, o.maker, number))
				o.decide(no, said(ledger.OutcomeCancel))
			}
		}
		o.decide(orders[0], said(ledger.OutcomePaid)) // upheld: it was paid, and the other one came back
		o.decide(numbered(approved, 1), said(ledger.OutcomeFailed))
		o.sound()
	})
}

// Two re-pays of one payout that are both about to commit: the second waits
// for the first, and sees it.
func TestTheSecondRepayWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	o, _ := officeAt(t, "postgres") // the other engine has one writer anyway
	orders := o.failed("waiting", 3)
	held, release := make(chan struct{}), make(chan struct{})
	ends := make(chan error, 3)
	go func() { // keeps everybody from committing
		ends <- o.db.InTx(t.Context(), func(tx *database.Tx) error {
			_, err := tx.Exec(t.Context(), "UPDATE audit_head SET position = position")
			close(held)
			<-release
			return err
		})
	}()
	<-held
	for i := range 2 {
		go func() {
			_, err := o.Repay(t.Context(), o.maker, []string{orders[0], orders[1+i]}, ledger.Scrutiny{}, "again")
			ends <- err
		}()
	}
	for o.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) < 2 {
		runtime.Gosched()
	}
	close(release)
	refused := 0
	for range cap(ends) {
		if err := <-ends; errors.Is(err, ledger.ErrConflict) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != 1 {
		t.Errorf("%d re-pays were refused, want 1", refused)
	}
	o.sound()
}

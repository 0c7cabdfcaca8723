package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// twoFaced is a gateway that says another status about one order.
type twoFaced struct {
	jobs.Gateway
	number string
	status jobs.Status
}

// Lookup lies about one order.
func (g *twoFaced) Lookup(ctx context.Context, o jobs.Order) jobs.Reply {
	reply := g.Gateway.Lookup(ctx, o)
	if o.Number == g.number {
		reply.Status = g.status
	}
	return reply
}

// failedThenRepaid pays a payout that fails, and approves a batch that pays it
// again.
func (s *shop) failedThenRepaid(reference string) (old, again ledger.Payout) {
	s.t.Helper()
	ctx := s.t.Context()
	first := s.approved(s.sheet(0, reference+",11,U1000906,10.00,USD"))
	s.disburse()
	s.follow(first.ID)
	old = s.only(first)
	var said int64 // what two people may rest on, were it under review
	s.must(s.db.Get(ctx, &said, "SELECT count(*) FROM evidence WHERE payout_id = ? AND kind = 'lookup' AND outcome = ?", old.ID, ledger.HeardUnpaid))
	if said == 0 {
		s.t.Error("no look-up is on file as saying that it ended unpaid")
	}
	batch, err := s.book.Repay(ctx, s.maker, []string{old.OrderNo()}, ledger.Scrutiny{}, "the wallet is open again")
	s.must(err)
	s.must(s.book.Submit(ctx, s.maker, batch.ID))
	s.must(s.book.Approve(ctx, s.checker, batch.ID))
	return old, s.only(batch)
}

// only is the one payout of a batch, as it stands.
func (s *shop) only(batch ledger.Batch) ledger.Payout {
	s.t.Helper()
	p, err := s.book.Payout(s.t.Context(), fmt.Sprintf("%s%08d", batch.OrderPrefix, 1))
	s.must(err)
	return p
}

// A payout that pays another one again leaves only while the gateway says that
// the other one failed.
func TestARepayAsksAboutWhatItPaysAgain(t *testing.T) {
	tests := []struct {
		name    string
		fault   sandbox.Kind // of the look-up about the old order
		says    jobs.Status  // instead of failed
		sent    bool
		blocked string
	}{
		{"still failed", "", jobs.FailedReleased, true, ""},
		{"failed, with the fee kept", "", jobs.FailedFeeKept, true, ""},
		{"paid after all", "", jobs.Succeeded, false, ledger.BlockedRepaid},
		{"under way again", "", jobs.Processing, false, ledger.BlockedRepaid},
		{"closed", "", jobs.ClosedUnclear, false, ledger.BlockedRepaid},
		{"a status nobody knows", "", jobs.Unusual, false, ledger.BlockedRepaid},
		{"not found", sandbox.FaultNotFound, jobs.FailedReleased, false, ledger.BlockedRepaid},
		{"another amount", sandbox.FaultMismatch, jobs.FailedReleased, false, ledger.BlockedRepaid},
		{"refused", sandbox.FaultErrorCode, jobs.FailedReleased, false, ledger.BlockedRepaid},
		{"no answer", sandbox.FaultLostReply, jobs.FailedReleased, false, ""},
		{"wrongly signed", sandbox.FaultBadSign, jobs.FailedReleased, false, ""},
	}
	settings := sandbox.Demo()
	settings.TimeScale, settings.Duplicates = 0.0001, sandbox.DuplicatePay
	each(t, settings, func(t *testing.T, s *shop) {
		s.engine.Account = sandbox.DefaultAccount
		truth := s.engine.Gateway
		for i, tt := range tests {
			old, again := s.failedThenRepaid(fmt.Sprint("R", i))
			if old.State != ledger.Failed || again.Repays != old.OrderNo() {
				t.Fatalf("%s: %+v, paid again as %+v", tt.name, old, again)
			}
			s.engine.Gateway = &twoFaced{truth, old.OrderNo(), tt.says}
			if tt.fault != "" {
				s.faults(sandbox.Fault{At: sandbox.Query, Kind: tt.fault, OrderNo: old.OrderNo()})
			}
			_, err := s.engine.Disburse(t.Context())
			s.must(err)
			s.engine.Gateway = truth
			s.faults()

			p, err := s.book.Payout(t.Context(), again.OrderNo())
			s.must(err)
			order, _ := s.sandbox.Order(again.OrderNo())
			if (order.Creates == 1) != tt.sent || p.Blocked != tt.blocked {
				t.Errorf("%s: %d creates, is %s, blocked because %q", tt.name, order.Creates, p.State, p.Blocked)
			}
			if tt.blocked != "" {
				s.endBlocked(tt.name, p)
				continue
			}
			s.disburse() // what got no answer is asked again, and leaves
			s.follow(p.BatchID)
			if order, _ := s.sandbox.Order(again.OrderNo()); order.Creates != 1 {
				t.Errorf("%s: %d creates in the end", tt.name, order.Creates)
			}
		}
		s.sound()
	})
}

// A blocked payout has a case of its own: a second one, about payouts that
// wait for limits or money, would send people the wrong way.
func TestWhatIsBlockedIsNotCalledHeldBack(t *testing.T) {
	settings := sandbox.Demo()
	settings.TimeScale = 0.0001
	each(t, settings, func(t *testing.T, s *shop) {
		s.engine.Account = sandbox.DefaultAccount
		truth := s.engine.Gateway
		old, again := s.failedThenRepaid("R")
		s.engine.Gateway = &twoFaced{truth, old.OrderNo(), jobs.Succeeded}
		s.disburse()
		s.approved(s.sheet(1)) // what is sent has the reasons of the rest looked at
		s.disburse()
		var kinds []string
		open, err := s.book.Exceptions(t.Context())
		s.must(err)
		for _, e := range open {
			kinds = append(kinds, e.Kind+" "+e.OrderNo)
		}
		if !slices.Equal(kinds, []string{ledger.ExceptionBlocked + " " + again.OrderNo()}) {
			t.Errorf("open cases: %q", kinds)
		}
		waiting, err := s.book.Waiting(t.Context(), s.engine.Channels, time.Hour)
		s.must(err)
		if len(waiting) != 1 || !waiting[0].Blocked || waiting[0].Payouts != 1 {
			t.Errorf("waiting: %+v", waiting)
		}
	})
}

// endBlocked has two people unblock a re-pay: it leaves once the gateway says
// failed again.
func (s *shop) endBlocked(name string, p ledger.Payout) {
	s.t.Helper()
	if again := s.disburse(); again.Sent != 0 {
		s.t.Errorf("%s: sent although it is blocked", name)
	}
	s.must(s.learn())
	s.unblock(p.OrderNo())
	s.disburse()
	s.follow(p.BatchID)
	if order, _ := s.sandbox.Order(p.OrderNo()); order.Creates != 1 {
		s.t.Errorf("%s: %d creates after it was unblocked", name, order.Creates)
	}
}

// learn has the gateway asked about a number that was never used.
func (s *shop) learn() error {
	const never = "NEVERNEVERNEVER200000001"
	reply := s.engine.Gateway.Lookup(s.t.Context(), jobs.Order{Number: never, Channel: "11", Account: "U1000000", Amount: 1, Currency: "USD"})
	_, err := s.book.Learn(s.t.Context(), s.checker, sandbox.DefaultAccount, reply.Evidence.Shape(never))
	return err
}

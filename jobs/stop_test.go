package jobs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"payrun/importers"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// payouts lists a batch in the order of its sheet.
func (s *shop) payouts(batch int64) (all []ledger.Payout) {
	s.t.Helper()
	s.must(s.book.EachPayout(s.t.Context(), batch, func(p *ledger.Payout) error {
		all = append(all, *p)
		return nil
	}))
	return all
}

// Stops of each scope during a run: from the commit of the stop plus the time
// in which the brakes are looked at again, nothing that it names leaves.
func TestStopsOfEachScopeHoldDuringARun(t *testing.T) {
	for _, c := range []struct {
		scope   ledger.Scope
		subject func(p ledger.Payout) string
	}{
		{ledger.Everything, func(ledger.Payout) string { return "" }},
		{ledger.OneChannel, func(p ledger.Payout) string { return p.Channel }},
		{ledger.OneBatch, func(p ledger.Payout) string { return fmt.Sprint(p.BatchID) }},
		{ledger.OneWallet, func(p ledger.Payout) string { return ledger.Wallet(p.Channel, strings.ToUpper(p.Account)) }},
		{ledger.OnePayout, func(p ledger.Payout) string { return p.OrderNo() }},
	} {
		t.Run(string(c.scope), func(t *testing.T) {
			each(t, hostile(), func(t *testing.T, s *shop) {
				batch := s.approved(s.sheet(48))
				all := s.payouts(batch.ID)
				last := all[len(all)-1]
				stop := ledger.Stop{Scope: c.scope, Subject: c.subject(last)}
				s.engine.Rate = jobs.Rate{CallsPerSecond: 25, LookupPercent: 40} // 48 payouts take three seconds
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if _, err := s.engine.Disburse(t.Context()); err != nil {
						t.Error(err)
					}
				}()
				s.arrived(5)
				s.must(s.book.PlaceStop(t.Context(), s.maker, stop.Scope, stop.Subject, "a doubt about it"))
				const lookedAtAgain = 150*time.Millisecond + time.Second // and what is on its way, on a slow machine
				effective := time.Now().Add(lookedAtAgain)
				<-ended
				book := s.sandbox.Book()
				for _, p := range all {
					order, sent := book.Orders[p.OrderNo()]
					if stop.Holds(p) && sent && order.History[0].At.After(effective) {
						t.Errorf("%s left %s after it was stopped", p.OrderNo(), order.History[0].At.Sub(effective)+lookedAtAgain)
					}
					if !stop.Holds(p) && !sent {
						t.Errorf("%s on channel %s was not sent although only %s is stopped", p.OrderNo(), p.Channel, stop.Name())
					}
				}
				if _, sent := book.Orders[last.OrderNo()]; sent {
					t.Error("the last one was sent in spite of the stop")
				}
				s.must(s.book.LiftStop(t.Context(), s.checker, stop.Scope, stop.Subject))
				s.engine.Rate = jobs.Rate{LookupPercent: 40}
				s.disburse()
				s.settle(batch.ID)
				s.sound()
			})
		})
	}
}

// The stop of a wallet is the list of payees that are blocked: a sheet that
// names one is refused until a checker lifts it.
func TestASheetThatNamesAStoppedWalletIsRefused(t *testing.T) {
	each(t, sandbox.Demo(), func(t *testing.T, s *shop) {
		ctx := t.Context()
		wallet := ledger.Wallet("11", account("11", 0))
		s.must(s.book.PlaceStop(ctx, s.maker, ledger.OneWallet, wallet, "the payee left"))
		sheet := s.sheet(5)
		im, err := s.importing.File(ctx, s.maker, sheet, jobs.ImportChoice{})
		if !errors.Is(err, jobs.ErrRowsRejected) || im.Sheet.Rejected != 1 || im.Problems[0].Code != importers.AccountBlocked {
			t.Fatalf("%v, %+v", err, im)
		}
		s.must(s.book.LiftStop(ctx, s.checker, ledger.OneWallet, wallet))
		if im, err := s.importing.File(ctx, s.maker, sheet, jobs.ImportChoice{}); err != nil || im.Sheet.Accepted != 5 {
			t.Errorf("%v, %+v", err, im)
		}
	})
}

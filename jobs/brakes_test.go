package jobs_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/epay"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// The ledger looks for words of the gateway's package in evidence.
func TestTheBrakesKnowTheGatewaysWords(t *testing.T) {
	t.Parallel()
	if epay.Rejected.String() != string(ledger.HeardRejected) || string(epay.ReasonBadSignature) != ledger.ReasonBadSignature {
		t.Errorf("the gateway says %q and %q", epay.Rejected, epay.ReasonBadSignature)
	}
}

// brake makes sending stop by itself.
func (s *shop) brake() {
	s.book = ledger.New(s.db, ledger.Config{Brakes: ledger.Brakes{
		Window: 10 * time.Minute, Minimum: 10, InDoubtPercent: 20, RefusedPercent: 20, BadSignatures: 5, BalancePercent: 1,
	}})
	s.engine.Book, s.limits.Book, s.importing.Book = s.book, s.book, s.book
}

func (s *shop) stops() []ledger.Stop {
	s.t.Helper()
	stops, err := s.book.Stops(s.t.Context())
	s.must(err)
	return stops
}

// What the gateway does wrong stops sending, counted over two workers.
func TestTroubleAtTheGatewayStopsSending(t *testing.T) {
	const halfOfThem = 450_000
	for name, c := range map[string]struct {
		fault sandbox.Fault
		scope ledger.Scope
		says  string
	}{
		"no answers":     {sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultStatus, HTTPStatus: 500, Channel: sandbox.PerfectMoney, Rate: halfOfThem}, ledger.OneChannel, "left in doubt, the brake is at 20 percent"},
		"refusals":       {sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultOutage, Channel: sandbox.PerfectMoney, Rate: halfOfThem}, ledger.OneChannel, "were refused"},
		"bad signatures": {sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultBadSign, Rate: halfOfThem}, ledger.Everything, "wrongly signed, the brake is at 5"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, hostile(), func(t *testing.T, s *shop) {
				s.brake()
				batch := s.approved(s.sheet(240))
				s.faults(c.fault)
				workers := []*jobs.Engine{s.engine, s.worker("w2")}
				wanted := func(stop ledger.Stop) bool {
					return stop.Scope == c.scope && strings.Contains(stop.Reason, c.says) && (c.scope == ledger.Everything || stop.Subject == sandbox.PerfectMoney)
				}
				for i := 0; !slices.ContainsFunc(s.stops(), wanted); i++ {
					if i == 60 {
						t.Fatalf("stops %+v", s.stops())
					}
					_, _ = workers[i%2].Disburse(t.Context()) // in trouble, as it reports
				}
				before := s.sandbox.Book().Counts[sandbox.Create]
				for _, e := range workers {
					_, _ = e.Disburse(t.Context())
				}
				if after := s.sandbox.Book().Counts[sandbox.Create]; c.scope == ledger.Everything && after != before {
					t.Errorf("%d creates after the stop", after-before)
				}
				s.faults()
				for _, stop := range s.stops() {
					s.must(s.book.LiftStop(t.Context(), s.checker, stop.Scope, stop.Subject))
				}
				for s.states(batch.ID)[ledger.Approved] > 0 {
					if len(s.stops()) > 0 {
						t.Fatalf("stopped again without a reason: %+v", s.stops())
					}
					_, _ = s.engine.Disburse(t.Context())
				}
				s.settle(batch.ID)
				s.sound()
			})
		})
	}
}

// Money that leaves the gateway account for other reasons than our payouts.
func TestMoneyThatGoesElsewhereStopsEverything(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.brake()
		batch := s.approved(s.sheet(40))
		s.disburse()
		s.must(s.limits.Run(t.Context()))
		s.follow(batch.ID)
		s.must(s.limits.Run(t.Context()))
		if stops := s.stops(); len(stops) != 0 {
			t.Fatalf("our own payouts stopped it: %+v", stops)
		}
		s.must(s.sandbox.Fund("USD", -s.sandbox.Book().Funds["USD"].Available/10))
		s.must(s.limits.Run(t.Context()))
		if stops := s.stops(); len(stops) != 1 || stops[0].Scope != ledger.Everything || !strings.Contains(stops[0].Reason, "more than all our claims explain") {
			t.Errorf("stops %+v", stops)
		}
		s.sound()
	})
}

// Anybody can post a forged notification: it is counted, and stops nothing.
func TestForgedNotificationsStopNothing(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.brake()
		batch := s.approved(s.sheet(8))
		s.disburse()
		address := s.listen() + "/notify/epay"
		for i := range 50 {
			forged := fmt.Sprintf("merchantOrderNo=%s&status=6&sign=%064d", s.payouts(batch.ID)[i%8].OrderNo(), i)
			response, err := http.Post(address, "application/x-www-form-urlencoded", strings.NewReader(forged))
			s.must(err)
			s.must(response.Body.Close())
			if response.StatusCode != http.StatusBadRequest {
				t.Fatalf("a forged notification is answered with %d", response.StatusCode)
			}
		}
		http.DefaultClient.CloseIdleConnections()
		if stops := s.stops(); len(stops) != 0 {
			t.Errorf("stops %+v", stops)
		}
		s.follow(batch.ID)
		s.sound()
	})
}

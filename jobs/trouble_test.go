package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"payrun/internal/money"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// The gateway is away: dial refused. Nothing was sent, so nothing is in doubt.
func TestAGatewayThatIsAway(t *testing.T) {
	for _, n := range []int{1, 8, 40} {
		t.Run(fmt.Sprint(n, " payouts"), func(t *testing.T) {
			each(t, hostile(), func(t *testing.T, s *shop) {
				batch := s.approved(s.sheet(n))
				s.door.shut()
				s.client.Close() // an idle connection that broke unseen would be a doubt, rightly
				done, err := s.engine.Disburse(t.Context())
				if !errors.Is(err, jobs.ErrGateway) && !done.Waiting {
					t.Errorf("a run that sent nothing of %d says %+v, %v", n, done, err)
				}
				if n >= 8 && !errors.Is(err, jobs.ErrGateway) {
					t.Errorf("no trouble is reported: %v", err)
				}
				if got := s.states(batch.ID); got[ledger.Approved] != int64(n) || done.Sent != 0 {
					t.Errorf("states %v after %+v", got, done)
				}
				if kinds := s.exceptions(); len(kinds) > 0 {
					t.Errorf("open cases %v", kinds)
				}
				s.door.open()
				if done := s.disburse(); done.Accepted != n {
					t.Errorf("then %+v", done)
				}
				s.follow(batch.ID)
				s.sound()
			})
		})
	}
}

// A gateway that answers nobody stops the run before a whole batch is in doubt.
func TestAGatewayInTroubleStopsTheRun(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"503":    {Kind: sandbox.FaultStatus, HTTPStatus: 503},
		"silent": {Kind: sandbox.FaultDelay, Wait: 2 * callTimeout, Stored: true},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, hostile(), func(t *testing.T, s *shop) {
				const n = 60
				s.engine.CallTimeout = callTimeout
				batch := s.approved(s.sheet(n))
				fault.At = sandbox.Create
				s.faults(fault)
				done, err := s.engine.Disburse(t.Context())
				if !errors.Is(err, jobs.ErrGateway) {
					t.Fatalf("%+v, %v", done, err)
				}
				if most := 2*s.engine.InFlight + 5; done.InDoubt == 0 || done.InDoubt > most {
					t.Errorf("%d came into doubt, at most %d may", done.InDoubt, most)
				}
				if got := s.states(batch.ID); got[ledger.Unknown] != int64(done.InDoubt) || got[ledger.Approved] != int64(n-done.InDoubt) {
					t.Errorf("states %v after %+v", got, done)
				}
				if kinds := s.exceptions(); len(kinds) != done.InDoubt {
					t.Errorf("%d cases for %d doubts", len(kinds), done.InDoubt)
				}
				s.faults()
				s.disburse()
				s.settle(batch.ID)
				s.sound()
			})
		})
	}
}

// One refused payout is enough: the next would be refused for the same reason.
func TestBeingTurnedAwayStopsTheRun(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		for _, n := range []int{1, 60} {
			t.Run(fmt.Sprint(status, " for ", n), func(t *testing.T) {
				each(t, hostile(), func(t *testing.T, s *shop) {
					batch := s.approved(s.sheet(n))
					s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultStatus, HTTPStatus: status})
					done, err := s.engine.Disburse(t.Context())
					if !errors.Is(err, jobs.ErrGateway) || !strings.Contains(err.Error(), "turns us away") {
						t.Errorf("%+v, %v", done, err)
					}
					if done.InDoubt == 0 || done.InDoubt > 2*s.engine.InFlight {
						t.Errorf("%d came into doubt", done.InDoubt)
					}
					s.faults()
					s.disburse()
					s.settle(batch.ID)
					s.sound()
				})
			})
		}
	}
}

// oneChannelFails sends a batch in a single run while a fault strikes one of its
// four channels: the others are paid, and few payouts meet the fault.
func (s *shop) oneChannelFails(fault sandbox.Fault) ledger.Batch {
	s.t.Helper()
	const n = 160 // 40 in each channel
	batch := s.approved(s.sheet(n))
	fault.At = sandbox.Create
	s.faults(fault)
	done, err := s.engine.Disburse(s.t.Context())
	if !errors.Is(err, jobs.ErrGateway) {
		s.t.Errorf("no trouble is reported: %v", err)
	}
	if done.Accepted != n*3/4 {
		s.t.Errorf("%d of the other channels' %d were accepted", done.Accepted, n*3/4)
	}
	if met, most := done.Refused+done.InDoubt, 2*s.engine.InFlight+5; met > most {
		s.t.Errorf("%d payouts were refused or came into doubt, want at most %d", met, most)
	}
	return batch
}

// One channel refuses everything: it is stopped, the others flow.
func TestAChannelThatIsDownDoesNotDrainItsBatch(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.oneChannelFails(sandbox.Fault{Kind: sandbox.FaultOutage, Channel: sandbox.Payeer})
		stops, err := s.book.Stops(t.Context())
		s.must(err)
		if len(stops) != 1 || stops[0].Scope != ledger.OneChannel || stops[0].Subject != sandbox.Payeer {
			t.Fatalf("stops %+v, want the channel stopped until a person has looked", stops)
		}
		s.faults()
		if done := s.disburse(); done.Sent != 0 || !done.Waiting {
			t.Errorf("the stopped channel went on: %+v", done)
		}
		s.must(s.book.LiftStop(t.Context(), s.checker, ledger.OneChannel, sandbox.Payeer))
		s.disburse()
		s.settle(batch.ID)
		s.sound()
	})
}

// One channel that gives no answer costs a few doubts, and later one at a time;
// the others are paid in the same run.
func TestASilentChannelDoesNotStopTheOthers(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.oneChannelFails(sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 500, Channel: sandbox.PerfectMoney})
		for range 3 {
			again, err := s.engine.Disburse(t.Context())
			if again.Sent != 1 || !errors.Is(err, jobs.ErrGateway) {
				t.Errorf("a channel on probation got %d payouts, %v", again.Sent, err)
			}
		}
		s.faults()
		if rest, err := s.engine.Disburse(t.Context()); err != nil || rest.Waiting {
			t.Errorf("after the trouble: %+v, %v", rest, err)
		}
		s.settle(batch.ID)
		s.sound()
	})
}

// Whoever pulls the brake stops also what was claimed and waits for its slot.
func TestAStopHoldsWhatIsClaimedAlready(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const n = 60
		batch := s.approved(s.sheet(n))
		s.engine.Rate = jobs.Rate{CallsPerSecond: 25, LookupPercent: 40}
		ended := make(chan jobs.Disbursed)
		go func() {
			done, err := s.engine.Disburse(t.Context())
			if err != nil {
				t.Error(err)
			}
			ended <- done
		}()
		s.arrived(5)
		s.must(s.book.PlaceStop(t.Context(), s.checker, ledger.Everything, "", "fire"))
		pulled := s.sandbox.Book().Counts[sandbox.Create]
		done := <-ended
		const aSecond = 15 // and what is under way
		if after := s.sandbox.Book().Counts[sandbox.Create]; after > pulled+aSecond+s.engine.InFlight {
			t.Errorf("%d creates when the brake was pulled, %d at the end", pulled, after)
		}
		if got := s.states(batch.ID)[ledger.Approved]; got == 0 {
			t.Errorf("%+v, %d payouts wait", done, got)
		}
		s.must(s.book.LiftStop(t.Context(), s.checker, ledger.Everything, ""))
		s.disburse()
		s.settle(batch.ID)
		s.sound()
	})
}

// arrived waits until the gateway has seen so many creates.
func (s *shop) arrived(creates int) {
	s.t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(giveUp)
	defer tick.Stop()
	for s.sandbox.Book().Counts[sandbox.Create] < creates {
		select {
		case <-late:
			s.t.Fatal("too few creates arrived")
		case <-tick.C:
		}
	}
}

func TestRetryAfterSlowsEveryWorkerDown(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const quiet = 2 * time.Second
		batch := s.approved(s.sheet(12))
		s.engine.InFlight = 1
		s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultStatus, HTTPStatus: 429, RetryAfter: quiet, Times: 1})
		second := s.worker("w2")
		if done := s.disburse(); done.InDoubt != 1 {
			t.Errorf("first worker %+v", done)
		}
		if _, err := second.Disburse(t.Context()); err != nil {
			t.Error(err)
		}
		arrivals := s.sandbox.Book().Calls[sandbox.Create]
		const underWay = 3 // in the slots that were given out before
		late := 0
		for _, at := range arrivals[1:] {
			if at.Sub(arrivals[0]) < quiet-100*time.Millisecond {
				late++
			}
		}
		if late > underWay {
			t.Errorf("%d creates within the %s of quiet that the gateway asked for", late, quiet)
		}
		s.settle(batch.ID)
		s.sound()
	})
}

func TestNothingIsSentOnStaleLimits(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(8))
		s.engine.LimitsAge = time.Microsecond
		s.faults(sandbox.Fault{At: sandbox.Limits, Kind: sandbox.FaultStatus, HTTPStatus: 503})
		if err := s.limits.Run(t.Context()); err == nil {
			t.Error("failing limits are not reported")
		}
		if done := s.disburse(); done.Sent != 0 || !done.Waiting {
			t.Errorf("%+v", done)
		}
		s.faults()
		s.engine.LimitsAge = time.Minute
		s.must(s.limits.Run(t.Context()))
		if done := s.disburse(); done.Accepted != 8 {
			t.Errorf("%+v", done)
		}
		s.follow(batch.ID)
		s.sound()
	})
}

func TestLimitsThatShrinkHoldPayoutsBack(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(40)) // 10.00 to 49.39
		const most money.Amount = 30_00
		s.faults(sandbox.Fault{At: sandbox.Limits, Kind: sandbox.FaultLimits, Max: most})
		s.must(s.limits.Run(t.Context()))
		done := s.disburse()
		if done.Refused > 0 || !done.Waiting {
			t.Errorf("%+v", done)
		}
		s.must(s.book.EachPayout(t.Context(), batch.ID, func(p *ledger.Payout) error {
			if held := p.State == ledger.Approved; held != (p.Amount > most) {
				t.Errorf("%d is %s", p.Amount, p.State)
			}
			return nil
		}))
		s.faults()
		s.must(s.limits.Run(t.Context()))
		s.disburse()
		s.follow(batch.ID)
		s.sound()
	})
}

func TestABalanceThatIsTooLowHoldsPayoutsBack(t *testing.T) {
	settings := hostile()
	settings.Balances = map[money.Currency]money.Amount{"USD": 100_00}
	each(t, settings, func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(40))
		done := s.disburse()
		if done.Refused > 0 || done.Accepted == 0 || !done.Waiting {
			t.Errorf("%+v", done)
		}
		creates := len(s.sandbox.Book().Calls[sandbox.Create])
		if again := s.disburse(); again.Sent != 0 || len(s.sandbox.Book().Calls[sandbox.Create]) != creates {
			t.Errorf("a second run sent %+v", again)
		}
		s.must(s.sandbox.Fund("USD", 10_000_00))
		s.must(s.limits.Run(t.Context()))
		s.disburse()
		s.follow(batch.ID)
		s.sound()
	})
}

// slowBalances lets payouts be claimed between the gateway's answer and its
// being stored.
type slowBalances struct {
	jobs.Gateway
	answered, goOn chan struct{}
}

func (g *slowBalances) Balances(ctx context.Context) (map[money.Currency]money.Amount, error) {
	balances, err := g.Gateway.Balances(ctx)
	g.answered <- struct{}{}
	<-g.goOn
	return balances, err
}

func TestABalanceDoesNotForgetWhatWasClaimedMeanwhile(t *testing.T) {
	settings := hostile()
	settings.Balances = map[money.Currency]money.Amount{"USD": 200_00}
	each(t, settings, func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(40))
		slow := &slowBalances{s.engine.Gateway, make(chan struct{}), make(chan struct{})}
		refresh := &jobs.Limits{Book: s.book, Gateway: slow, Markets: s.limits.Markets}
		ended := make(chan error)
		go func() { ended <- refresh.Run(t.Context()) }()
		<-slow.answered
		if done := s.disburse(); done.Accepted == 0 || done.Refused > 0 {
			t.Fatalf("%+v", done)
		}
		close(slow.goOn)
		s.must(<-ended)
		theirs := s.sandbox.Book().Funds["USD"].Available
		ours, err := s.book.GatewayBalances(t.Context())
		s.must(err)
		if left := ours[0].Reported - ours[0].Committed; left > theirs {
			t.Errorf("we think %d are left at the gateway, there are %d", left, theirs)
		}
		if done := s.disburse(); done.Refused > 0 {
			t.Errorf("sent beyond the balance: %+v", done)
		}
		s.must(s.sandbox.Fund("USD", 10_000_00))
		s.must(s.limits.Run(t.Context()))
		s.disburse()
		s.settle(batch.ID)
		s.sound()
	})
}

package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payrun/internal/money"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// hostile is a gateway that pays a repeated order number again, so that a
// second send cannot hide.
func hostile() sandbox.Config {
	settings := sandbox.Demo()
	settings.TimeScale, settings.Duplicates, settings.PlainAccounts = 0.0001, sandbox.DuplicatePay, true
	settings.Outcomes = []sandbox.Weighted{{Outcome: "7", Weight: 1}}
	return settings
}

func (s *shop) faults(rules ...sandbox.Fault) {
	s.t.Helper()
	s.must(s.sandbox.SetFaults(sandbox.Faults{Rules: rules}))
}

// each fault strikes in a shop that the faults before it have struck, too.
const callTimeout = 400 * time.Millisecond

func TestFaultsOfCreate(t *testing.T) {
	const n = 4 // fewer than a run needs to give up
	cases := []struct {
		name   string
		fault  sandbox.Fault
		during ledger.State // after the run
		ends   ledger.State // when the fault is over
		reason string       // of the evidence
	}{
		{"lost reply", sandbox.Fault{Kind: sandbox.FaultLostReply}, ledger.Unknown, ledger.Succeeded, "reset"},
		{"reset before it is stored", sandbox.Fault{Kind: sandbox.FaultReset}, ledger.Unknown, ledger.Unknown, "reset"},
		{"reset after it is stored", sandbox.Fault{Kind: sandbox.FaultReset, Stored: true}, ledger.Unknown, ledger.Succeeded, "reset"},
		{"half-closed", sandbox.Fault{Kind: sandbox.FaultHalfClose, Stored: true}, ledger.Unknown, ledger.Succeeded, "truncated"},
		{"carried out after we gave up", sandbox.Fault{Kind: sandbox.FaultDelay, Wait: 2 * callTimeout}, ledger.Unknown, ledger.Succeeded, "timeout"},
		{"answered after we gave up", sandbox.Fault{Kind: sandbox.FaultDelay, Wait: 2 * callTimeout, Stored: true}, ledger.Unknown, ledger.Succeeded, "timeout"},
		{"drip-fed", sandbox.Fault{Kind: sandbox.FaultDrip, Wait: 4 * callTimeout}, ledger.Unknown, ledger.Succeeded, "timeout"},
		{"500", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 500}, ledger.Unknown, ledger.Unknown, "status-5xx"},
		{"502 after it is stored", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 502, Stored: true}, ledger.Unknown, ledger.Succeeded, "status-5xx"},
		{"503", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 503}, ledger.Unknown, ledger.Unknown, "status-5xx"},
		{"504 after it is stored", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 504, Stored: true}, ledger.Unknown, ledger.Succeeded, "status-5xx"},
		{"429 after it is stored", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 429, Stored: true}, ledger.Unknown, ledger.Succeeded, "throttled"},
		{"409", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 409, Stored: true}, ledger.Unknown, ledger.Succeeded, ""},
		{"a page", sandbox.Fault{Kind: sandbox.FaultHTML, Stored: true}, ledger.Unknown, ledger.Succeeded, "not-json"},
		{"a page instead of the work", sandbox.Fault{Kind: sandbox.FaultHTML}, ledger.Unknown, ledger.Unknown, "not-json"},
		{"empty", sandbox.Fault{Kind: sandbox.FaultEmpty, Stored: true}, ledger.Unknown, ledger.Succeeded, "empty"},
		{"truncated", sandbox.Fault{Kind: sandbox.FaultTruncated}, ledger.Unknown, ledger.Succeeded, ""},
		{"trailing junk", sandbox.Fault{Kind: sandbox.FaultTrailingJunk}, ledger.Unknown, ledger.Succeeded, "trailing-data"},
		{"wrongly signed", sandbox.Fault{Kind: sandbox.FaultBadSign}, ledger.Unknown, ledger.Succeeded, "bad-signature"},
		{"unsigned", sandbox.Fault{Kind: sandbox.FaultNoSign}, ledger.Accepted, ledger.Succeeded, ""},
		{"another order", sandbox.Fault{Kind: sandbox.FaultForeign}, ledger.Review, ledger.Succeeded, "foreign-order"},
		{"another amount", sandbox.Fault{Kind: sandbox.FaultMismatch}, ledger.Review, ledger.Succeeded, "mismatch"},
		{"redirect", sandbox.Fault{Kind: sandbox.FaultRedirect, HTTPStatus: 307}, ledger.Unknown, ledger.Unknown, "redirect"},
		{"redirect after it is stored", sandbox.Fault{Kind: sandbox.FaultRedirect, HTTPStatus: 308, Stored: true}, ledger.Unknown, ledger.Succeeded, "redirect"},
		{"stored, then an error", sandbox.Fault{Kind: sandbox.FaultErrorCode, Stored: true}, ledger.Unknown, ledger.Succeeded, ""},
		{"refused, not stored", sandbox.Fault{Kind: sandbox.FaultErrorCode}, ledger.Unknown, ledger.Unknown, ""},
		{"channel out of order", sandbox.Fault{Kind: sandbox.FaultOutage}, ledger.Unknown, ledger.Unknown, ""},
	}
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.engine.CallTimeout = callTimeout
		for _, c := range cases {
			ok := t.Run(c.name, func(t *testing.T) {
				s := s.within(t)
				batch := s.approved(s.sheet(n))
				c.fault.At = sandbox.Create
				s.faults(c.fault)
				done, err := s.engine.Disburse(t.Context())
				s.must(err)
				if got := s.states(batch.ID); got[c.during] != n {
					t.Errorf("after the run %v, want %d %s; %+v", got, n, c.during, done)
				}
				s.kept(batch.ID, ledger.EvidenceCreate, c.reason, n)
				s.faults()
				s.settle(batch.ID)
				if got := s.states(batch.ID); got[c.ends] != n {
					t.Errorf("in the end %v, want %d %s", got, n, c.ends)
				}
				if again := s.disburse(); again.Sent != 0 {
					t.Errorf("%d were sent again", again.Sent)
				}
				s.sound()
			})
			if !ok {
				return // what follows would be judged by what this one left
			}
		}
	})
}

func TestFaultsOfQuery(t *testing.T) {
	const n = 4
	cases := []struct {
		name   string
		fault  sandbox.Fault
		during ledger.State // the worst that the fault may make of it
		reason string       // of the evidence
	}{
		{"lost reply", sandbox.Fault{Kind: sandbox.FaultLostReply}, ledger.Accepted, "reset"},
		{"reset", sandbox.Fault{Kind: sandbox.FaultReset}, ledger.Accepted, "reset"},
		{"half-closed", sandbox.Fault{Kind: sandbox.FaultHalfClose, Stored: true}, ledger.Accepted, "truncated"},
		{"answered after we gave up", sandbox.Fault{Kind: sandbox.FaultDelay, Wait: 2 * callTimeout}, ledger.Accepted, "timeout"},
		{"drip-fed", sandbox.Fault{Kind: sandbox.FaultDrip, Wait: 4 * callTimeout}, ledger.Accepted, "timeout"},
		{"500", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 500}, ledger.Accepted, "status-5xx"},
		{"503", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 503}, ledger.Accepted, "status-5xx"},
		{"429", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 429}, ledger.Accepted, "throttled"},
		{"403", sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 403}, ledger.Accepted, ""},
		{"a page", sandbox.Fault{Kind: sandbox.FaultHTML}, ledger.Accepted, "not-json"},
		{"empty", sandbox.Fault{Kind: sandbox.FaultEmpty}, ledger.Accepted, "empty"},
		{"truncated", sandbox.Fault{Kind: sandbox.FaultTruncated}, ledger.Accepted, ""},
		{"trailing junk", sandbox.Fault{Kind: sandbox.FaultTrailingJunk}, ledger.Accepted, "trailing-data"},
		{"wrongly signed", sandbox.Fault{Kind: sandbox.FaultBadSign}, ledger.Accepted, "bad-signature"},
		{"another order", sandbox.Fault{Kind: sandbox.FaultForeign}, ledger.Review, "foreign-order"},
		{"another amount", sandbox.Fault{Kind: sandbox.FaultMismatch}, ledger.Review, ""},
		{"redirect", sandbox.Fault{Kind: sandbox.FaultRedirect}, ledger.Accepted, "redirect"},
		{"an error for a known order", sandbox.Fault{Kind: sandbox.FaultErrorCode}, ledger.Accepted, ""},
		{"denies a known order", sandbox.Fault{Kind: sandbox.FaultNotFound}, ledger.Accepted, ""},
		{"channel out of order", sandbox.Fault{Kind: sandbox.FaultOutage}, ledger.Accepted, ""},
	}
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.engine.CallTimeout = callTimeout
		for _, c := range cases {
			ok := t.Run(c.name, func(t *testing.T) {
				s := s.within(t)
				batch := s.approved(s.sheet(n))
				c.fault.At, c.fault.PerOrder = sandbox.Query, 1
				s.faults(c.fault)
				if done := s.disburse(); done.Accepted != n {
					t.Fatalf("disbursed %+v", done)
				}
				s.lookedUp(batch.ID)
				if got := s.states(batch.ID); got[ledger.Accepted]+got[ledger.Review]+got[ledger.Succeeded] != n {
					t.Errorf("after the first look-up %v", got)
				}
				if reviewed := s.reviewed(batch.ID); (reviewed > 0) != (c.during == ledger.Review) {
					t.Errorf("%d payouts went under review", reviewed)
				}
				s.kept(batch.ID, ledger.EvidenceLookup, c.reason, 1)
				s.follow(batch.ID)
				if got := s.states(batch.ID); got[ledger.Succeeded] != n {
					t.Errorf("in the end %v", got)
				}
				s.sound()
			})
			if !ok {
				return
			}
		}
	})
}

// reviewed counts the payouts of the batch that ever went under review.
func (s *shop) reviewed(batch int64) (n int64) {
	s.t.Helper()
	s.must(s.db.Get(s.t.Context(), &n, "SELECT count(*) FROM events WHERE batch_id = ? AND to_state = 'REVIEW'", batch))
	return n
}

// within is the same shop for a subtest.
func (s *shop) within(t *testing.T) *shop {
	inner := *s
	inner.t = t
	t.Cleanup(func() { s.sheets = inner.sheets })
	return &inner
}

// kept fails unless the batch has that much evidence of a kind for that reason.
func (s *shop) kept(batch int64, kind, reason string, least int64) {
	s.t.Helper()
	var reasons []struct {
		Reason string
		N      int64
	}
	s.must(s.db.Select(s.t.Context(), &reasons, `SELECT reason, count(*) AS n FROM evidence WHERE kind = ? AND payout_id / 100000000 = ?
		GROUP BY reason`, kind, batch))
	for _, r := range reasons {
		if (r.Reason == reason || reason == "") && r.N >= least {
			return
		}
	}
	s.t.Errorf("evidence of %s for reason %q: %v, want %d", kind, reason, reasons, least)
}

// lookedUp tracks until something of the batch was looked up.
func (s *shop) lookedUp(batch int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for {
		var n int64
		s.must(s.db.Get(ctx, &n, "SELECT count(*) FROM evidence WHERE kind = 'lookup' AND payout_id / 100000000 = ?", batch))
		if n > 0 {
			return
		}
		if _, err := s.engine.Track(ctx); err != nil {
			s.t.Fatal(err)
		}
		s.pause(ctx, batch)
	}
}

// A gateway that knows nothing of an order for a while is not asked to pay it
// again.
func TestAnOrderDeniedForAWhileIsNotSentAgain(t *testing.T) {
	settings := hostile()
	settings.NotFoundFor = 10_000 * time.Second // one second, scaled
	each(t, settings, func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(4))
		s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultLostReply})
		s.disburse()
		if got := s.states(batch.ID); got[ledger.Unknown] != 4 {
			t.Fatalf("states %v", got)
		}
		s.follow(batch.ID)
		if got := s.states(batch.ID); got[ledger.Succeeded] != 4 {
			t.Errorf("states %v", got)
		}
		s.kept(batch.ID, ledger.EvidenceLookup, "", 4)
		s.sound()
	})
}

func TestNotificationsInEveryDisorder(t *testing.T) {
	cases := []struct {
		name  string
		fault sandbox.Fault
	}{
		{"five at once", sandbox.Fault{Kind: sandbox.FaultCopies, Copies: 5}},
		{"before the create reply", sandbox.Fault{Kind: sandbox.FaultBeforeReply}},
		{"7, then 1", sandbox.Fault{Kind: sandbox.FaultOutOfOrder}},
		{"forged", sandbox.Fault{Kind: sandbox.FaultForge}},
		{"none", sandbox.Fault{Kind: sandbox.FaultDrop}},
	}
	each(t, hostile(), func(t *testing.T, s *shop) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := s.within(t)
				batch := s.approved(s.sheet(6))
				c.fault.At = sandbox.Callback
				s.faults(c.fault)
				s.disburse()
				s.follow(batch.ID)
				if got := s.states(batch.ID); got[ledger.Succeeded] != 6 {
					t.Errorf("states %v", got)
				}
				s.sound()
			})
		}
	})
}

// While look-ups fail, notifications alone move no money.
func TestNotificationsMoveNoMoney(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(4))
		s.faults(sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultStatus, HTTPStatus: 503})
		s.disburse()
		s.must(s.sandbox.Settled(t.Context())) // every notification was answered
		if _, err := s.engine.Track(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.states(batch.ID); got[ledger.Accepted] != 4 {
			t.Errorf("states %v", got)
		}
		s.kept(batch.ID, ledger.EvidenceCallback, "", 4)
		s.faults()
		s.follow(batch.ID)
		s.sound()
	})
}

// Payouts do get reversed: a gateway that takes a payment back must not be
// filed away in silence.
func TestAPaymentTakenBackIsFlagged(t *testing.T) {
	settings := hostile()
	settings.Outcomes = []sandbox.Weighted{{Outcome: "7", Weight: 1}}
	each(t, settings, func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(1))
		s.disburse()
		s.follow(batch.ID)
		s.must(s.sandbox.Move(s.number(batch, 1), sandbox.StatusFailed))
		s.must(s.sandbox.Settled(t.Context()))
		if got := s.states(batch.ID); got[ledger.Succeeded] != 1 {
			t.Errorf("states %v", got)
		}
		if kinds := s.exceptions(); len(kinds) != 1 {
			t.Errorf("open cases %v, want one about the payment that was taken back", kinds)
		}
	})
}

// Statuses that EPAY does not expect for wallets are watched by people.
func TestAnUnusualStatusIsFlagged(t *testing.T) {
	settings := hostile()
	settings.Outcomes = []sandbox.Weighted{{Outcome: "9", Weight: 1}}
	each(t, settings, func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(1))
		s.disburse()
		s.must(s.sandbox.Settled(t.Context()))
		s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.Status == "9" })
		if kinds := s.exceptions(); !slices.Equal(kinds, []string{ledger.ExceptionUnusual}) {
			t.Errorf("open cases %v", kinds)
		}
		s.must(s.sandbox.Move(s.number(batch, 1), sandbox.StatusPaid))
		s.follow(batch.ID)
		if kinds := s.exceptions(); len(kinds) > 0 {
			t.Errorf("open cases %v after it ended", kinds)
		}
		s.sound()
	})
}

// tracked tracks until every payout of the batch is as wanted.
func (s *shop) tracked(batch int64, ok func(*ledger.Payout) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for {
		if _, err := s.engine.Track(ctx); err != nil {
			s.t.Fatal(err)
		}
		waiting := 0
		s.must(s.book.EachPayout(ctx, batch, func(p *ledger.Payout) error {
			if !ok(p) {
				waiting++
			}
			return nil
		}))
		if waiting == 0 {
			return
		}
		s.pause(ctx, batch)
	}
}

func (s *shop) exceptions() (kinds []string) {
	s.t.Helper()
	open, err := s.book.Exceptions(s.t.Context())
	s.must(err)
	for _, e := range open {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (s *shop) number(batch ledger.Batch, ordinal int) string {
	return fmt.Sprintf("%s%08d", batch.OrderPrefix, ordinal)
}

func TestOutcomesOfEveryKind(t *testing.T) {
	settings := hostile()
	settings.Outcomes = []sandbox.Weighted{{Outcome: "7", Weight: 3}, {Outcome: "6", Weight: 1}, {Outcome: "5", Weight: 1}, {Outcome: "20", Weight: 1}, {Outcome: "8", Weight: 1}, {Outcome: "19,7", Weight: 1}}
	settings.Seed = 3
	each(t, settings, func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(60))
		s.disburse()
		s.follow(batch.ID)
		want := map[ledger.State]int64{}
		for _, total := range s.sandbox.Book().Totals {
			state := map[int]ledger.State{7: ledger.Succeeded, 5: ledger.Failed, 6: ledger.Failed, 20: ledger.FailedFee, 8: ledger.Closed}[total.Status]
			want[state] += int64(total.Count)
		}
		if diff := cmp.Diff(want, s.states(batch.ID)); diff != "" || len(want) != 4 {
			t.Errorf("theirs - ours +:\n%s", diff)
		}
		s.sound()
	})
}

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

// One channel is down: its payouts stop coming into doubt, the others flow.
func TestAChannelThatIsDownDoesNotDrainItsBatch(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const n = 160 // 40 in each channel
		batch := s.approved(s.sheet(n))
		s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultOutage, Channel: sandbox.Payeer})
		done, err := s.engine.Disburse(t.Context())
		if err != nil && !errors.Is(err, jobs.ErrGateway) {
			t.Fatal(err)
		}
		if done.Accepted != n*3/4 {
			t.Errorf("%d of the other channels' %d were accepted", done.Accepted, n*3/4)
		}
		if most := 2*s.engine.InFlight + 5; done.Refused > most {
			t.Errorf("%d payouts of the channel that is down came into doubt, want at most %d", done.Refused, most)
		}
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
		const n = 160 // 40 in each channel
		batch := s.approved(s.sheet(n))
		s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultStatus, HTTPStatus: 500, Channel: sandbox.PerfectMoney})
		first, err := s.engine.Disburse(t.Context())
		if !errors.Is(err, jobs.ErrGateway) {
			t.Errorf("no trouble is reported: %v", err)
		}
		if first.Accepted != n*3/4 {
			t.Errorf("%d of the other channels' %d were accepted", first.Accepted, n*3/4)
		}
		if most := 2*s.engine.InFlight + 5; first.InDoubt > most {
			t.Errorf("%d payouts came into doubt, want at most %d", first.InDoubt, most)
		}
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
		s.engine.Rate = jobs.Rate{CallsPerSecond: 50, LookupPercent: 40}
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
		const aFifthOfASecond = 10 // at 30 creates a second, and what is under way
		if after := s.sandbox.Book().Counts[sandbox.Create]; after > pulled+aFifthOfASecond+s.engine.InFlight {
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
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.sandbox.Book().Counts[sandbox.Create] < creates {
		select {
		case <-s.t.Context().Done():
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
		s.engine.BoundsAge = time.Microsecond
		s.faults(sandbox.Fault{At: sandbox.Limits, Kind: sandbox.FaultStatus, HTTPStatus: 503})
		if err := s.limits.Run(t.Context()); err == nil {
			t.Error("failing limits are not reported")
		}
		if done := s.disburse(); done.Sent != 0 || !done.Waiting {
			t.Errorf("%+v", done)
		}
		s.faults()
		s.engine.BoundsAge = time.Minute
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

// A stop is no trouble: what was claimed and not sent goes back.
func TestAStopGivesClaimsBack(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const n = 40
		batch := s.approved(s.sheet(n))
		s.engine.InFlight, s.engine.Rate = 16, jobs.Rate{CallsPerSecond: 20, LookupPercent: 50}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.door.onCreate(func() { cancel() })
		done, err := s.engine.Disburse(ctx)
		if err != nil {
			t.Errorf("a stop is reported as %v", err)
		}
		got := s.states(batch.ID)
		if got[ledger.Sending]+got[ledger.Unknown] > 0 || got[ledger.Approved]+int64(done.Sent) != n || done.Sent > 3 {
			t.Errorf("states %v after %+v", got, done)
		}
		s.engine.Rate = jobs.Rate{LookupPercent: 50}
		s.disburse()
		s.follow(batch.ID)
		s.sound()
	})
}

// A call that is under way when the stop comes is waited for and recorded.
func TestAStopWaitsForCallsUnderWay(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(4))
		s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultDelay, Wait: 200 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.door.onCreate(func() { cancel() })
		done, err := s.engine.Disburse(ctx)
		if err != nil || done.Accepted == 0 || done.InDoubt > 0 {
			t.Errorf("%+v, %v", done, err)
		}
		s.disburse()
		s.follow(batch.ID)
		s.sound()
	})
}

// Two to eight workers, one batch: nobody is paid twice.
func TestManyWorkersShareABatch(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const n, workers = 120, 6
		batch := s.approved(s.sheet(n))
		type result struct {
			done jobs.Disbursed
			err  error
		}
		results := make(chan result)
		for i := range workers {
			worker := s.worker(fmt.Sprint("w", i))
			go func() {
				done, err := worker.Disburse(t.Context())
				results <- result{done, err}
			}()
		}
		accepted := 0
		for range workers {
			r := <-results
			if r.err != nil {
				t.Error(r.err)
			}
			accepted += r.done.Accepted
		}
		if accepted != n {
			t.Errorf("%d workers sent %d of %d", workers, accepted, n)
		}
		s.follow(batch.ID)
		s.sound()
	})
}

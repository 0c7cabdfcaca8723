package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payrun/internal/sandbox"
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

// callTimeout is that of calls that get no answer in time. Others have a long
// one, since a slow machine would add faults of its own.
const callTimeout = time.Second

// strikes lets a fault strike in a shop that those before it have struck, too.
func (s *shop) strikes(fault sandbox.Fault) {
	s.t.Helper()
	s.engine.CallTimeout = time.Minute
	if fault.Wait > 0 {
		s.engine.CallTimeout = callTimeout
	}
	s.faults(fault)
}

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
		for _, c := range cases {
			ok := t.Run(c.name, func(t *testing.T) {
				s := s.within(t)
				batch := s.approved(s.sheet(n))
				c.fault.At = sandbox.Create
				s.strikes(c.fault)
				done, err := s.engine.Disburse(t.Context())
				s.must(err)
				if got := s.states(batch.ID); got[c.during] != n {
					t.Errorf("after the run %v, want %d %s; %+v", got, n, c.during, done)
				}
				s.kept(batch.ID, ledger.EvidenceCreate, c.reason, n)
				s.inWords(batch.ID)
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
		for _, c := range cases {
			ok := t.Run(c.name, func(t *testing.T) {
				s := s.within(t)
				batch := s.approved(s.sheet(n))
				c.fault.At, c.fault.PerOrder = sandbox.Query, 1
				s.strikes(c.fault)
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

// inWords fails the test when a case says what is wrong by a code word.
func (s *shop) inWords(batch int64) {
	s.t.Helper()
	var codes []string
	s.must(s.db.Select(s.t.Context(), &codes, `SELECT DISTINCT detail FROM exceptions
		WHERE payout_id / 100000000 = ? AND detail NOT LIKE '% % %'`, batch))
	if len(codes) > 0 {
		s.t.Errorf("people are told %q", codes)
	}
}

// lookedUp tracks until something of the batch was looked up.
func (s *shop) lookedUp(batch int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), giveUp)
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
	ctx, cancel := context.WithTimeout(s.t.Context(), giveUp)
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

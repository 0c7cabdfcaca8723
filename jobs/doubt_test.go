package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// doubting opens a shop on both engines that knows how the sandbox says "not
// found", has paid one payout that control look-ups can ask about, and proves
// an absence within the grace time. Its gateway pays a repeated number again.
func doubting(t *testing.T, policy ledger.Resend, grace time.Duration, test func(*testing.T, *shop)) {
	t.Helper()
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.resends(policy, grace)
		s.learns()
		s.engine.Gateway = jobs.NewEPAY(s.client, "") // only look-ups tell
		s.knows()
		test(t, s)
	})
}

// knows pays a payout, which control look-ups can ask about then.
func (s *shop) knows() {
	s.t.Helper()
	known := s.approved(s.sheet(1))
	s.works(known.ID, succeeded)
}

// sent disburses until nothing of the batch waits: a slow machine misses slots.
func (s *shop) sent(batch int64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), giveUp)
	defer cancel()
	for s.states(batch)[ledger.Approved] > 0 {
		if _, err := s.engine.Disburse(ctx); err != nil && !errors.Is(err, jobs.ErrGateway) {
			s.t.Fatal(err)
		}
	}
}

func (s *shop) resends(policy ledger.Resend, grace time.Duration) {
	s.book = ledger.New(s.db, ledger.Config{Resend: policy, Proof: ledger.Proof{Over: grace}})
	s.engine.Book, s.limits.Book, s.importing.Book = s.book, s.book, s.book
	s.engine.Patience = time.Second // proofs begin when it is over
	s.engine.Judge.InDoubt = fast
}

func (s *shop) learns() {
	s.t.Helper()
	shape, _, err := jobs.Learn(s.t.Context(), s.engine.Gateway)
	s.must(err)
	_, err = s.book.Learn(s.t.Context(), ledger.User{}, s.engine.Account, shape)
	s.must(err)
}

const doubts = 3

// doubted brings a batch in doubt: the sandbox took it if stored, and the
// replies were lost.
func (s *shop) doubted(stored bool) ledger.Batch {
	s.t.Helper()
	batch := s.approved(s.sheet(doubts))
	s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultReset, Stored: stored})
	s.sent(batch.ID)
	if got := s.states(batch.ID); got[ledger.Unknown] != doubts {
		s.t.Fatalf("states %v, want %d in doubt", got, doubts)
	}
	return batch
}

// each order of the batch gets the fault; others do not.
func of(batch ledger.Batch, fault sandbox.Fault) (rules []sandbox.Fault) {
	for i := range doubts {
		fault.OrderNo = fmt.Sprintf("%s%08d", batch.OrderPrefix, i+1)
		rules = append(rules, fault)
	}
	return rules
}

// works tracks and disburses in turns, until every payout is as wanted.
func (s *shop) works(batch int64, ok func(*ledger.Payout) bool) {
	s.t.Helper()
	all := func(p *ledger.Payout) bool { return p.State == ledger.Approved || ok(p) }
	for s.tracked(batch, all); s.states(batch)[ledger.Approved] > 0; s.tracked(batch, all) {
		s.sent(batch)
	}
}

// askedOften is true of a payout in doubt after more look-ups than a proof
// needs, over more than its time.
func askedOften(p *ledger.Payout) bool { return p.State == ledger.Unknown && p.Lookups >= 12 }

func succeeded(p *ledger.Payout) bool { return p.State == ledger.Succeeded }

// creates fails unless the sandbox saw so many creates of every order.
func (s *shop) creates(batch ledger.Batch, want int) {
	s.t.Helper()
	for i := range doubts {
		if o, _ := s.sandbox.Order(s.number(batch, i+1)); o.Creates != want {
			s.t.Errorf("%s: the sandbox saw %d creates, want %d", s.number(batch, i+1), o.Creates, want)
		}
	}
}

// steps returns the next steps of the open cases about a batch.
func (s *shop) steps(batch ledger.Batch) (steps []string) {
	s.t.Helper()
	open, err := s.book.Exceptions(s.t.Context())
	s.must(err)
	for _, e := range open {
		if e.BatchID == batch.ID {
			steps = append(steps, e.NextStep)
		}
	}
	return steps
}

// says fails unless there is a case about each doubt with the text.
func (s *shop) says(batch ledger.Batch, text string) {
	s.t.Helper()
	steps := s.steps(batch)
	if len(steps) != doubts {
		s.t.Errorf("%d cases, want %d", len(steps), doubts)
	}
	for _, step := range steps {
		if !strings.Contains(step, text) {
			s.t.Errorf("a case says %q, want %q", step, text)
		}
	}
}

func TestDoubtDrainsByItself(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 400*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(false)
		s.faults()
		s.works(batch.ID, succeeded)
		s.creates(batch, 2)
		if steps := s.steps(batch); len(steps) > 0 {
			t.Errorf("open cases %q", steps)
		}
		s.sound()
	})
}

func TestDoubtWaitsForPeople(t *testing.T) {
	doubting(t, ledger.ResendManual, 400*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(false)
		s.faults()
		s.works(batch.ID, askedOften)
		s.says(batch, "two people may send it again: payrun payout decide "+batch.OrderPrefix)
		s.creates(batch, 1)
		s.sound()
	})
}

// The gateway has the orders and denies them for a while. The grace time is
// longer than that.
func TestGraceOutlastsAGatewayThatDeniesWhatItHas(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 2*time.Second, func(t *testing.T, s *shop) {
		batch := s.doubted(true)
		s.faults(of(batch, sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultNotFound, Wait: 2 * time.Second})...)
		s.works(batch.ID, succeeded)
		s.kept(batch.ID, ledger.EvidenceLookup, "", doubts)
		s.creates(batch, 1)
		s.sound()
	})
}

// What the gateway has, and denies too long, is found at the last moment.
func TestTheGatewayIsAskedRightBeforeASecondSend(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 400*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(true)
		s.faults(of(batch, sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultNotFound})...)
		s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.State == ledger.Approved })
		s.faults()
		s.sent(batch.ID)
		s.follow(batch.ID)
		s.creates(batch, 1)
		s.sound()
	})
}

// Without a clear "not found" nothing is sent a second time.
func TestOnlyAClearNotFoundLetsASecondSendGo(t *testing.T) {
	for name, c := range map[string]struct {
		fault sandbox.Fault
		ends  ledger.State
	}{
		"no answer":            {sandbox.Fault{Kind: sandbox.FaultStatus, HTTPStatus: 503}, ledger.Unknown},
		"an answer too late":   {sandbox.Fault{Kind: sandbox.FaultDelay, Wait: 3 * time.Second}, ledger.Unknown},
		"another refusal":      {sandbox.Fault{Kind: sandbox.FaultErrorCode, Code: 4711}, ledger.Unknown},
		"another order's data": {sandbox.Fault{Kind: sandbox.FaultForeign}, ledger.Review},
	} {
		t.Run(name, func(t *testing.T) {
			doubting(t, ledger.ResendAutomatic, 400*time.Millisecond, func(t *testing.T, s *shop) {
				batch := s.doubted(c.ends == ledger.Review)
				s.faults(of(batch, sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultNotFound})...)
				s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.State == ledger.Approved })
				fault := c.fault
				fault.At = sandbox.Query
				s.faults(of(batch, fault)...)
				s.sent(batch.ID)
				if got := s.states(batch.ID); got[c.ends] != doubts {
					t.Errorf("states %v, want %s", got, c.ends)
				}
				s.creates(batch, 1)
			})
		})
	}
}

// An answer that comes only when it is too late to send leaves nothing sent.
func TestSendByHoldsAfterTheQuestion(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 400*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(false)
		s.faults()
		s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.State == ledger.Approved })
		s.engine.Patience = 300 * time.Millisecond
		s.faults(of(batch, sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultDelay, Wait: 500 * time.Millisecond, PerOrder: 1})...)
		s.works(batch.ID, succeeded)
		var missed int64
		s.must(s.db.Get(t.Context(), &missed, "SELECT count(*) FROM events WHERE batch_id = ? AND reason = 'not-sent' AND note = 'its slot was missed'", batch.ID))
		if missed < doubts {
			t.Errorf("%d were handed back as too late", missed)
		}
		s.creates(batch, 2)
		s.sound()
	})
}

// Answers that look otherwise than the one to a number that was never used
// prove nothing, however often they come.
func TestAnotherShapeOfNotFoundProvesNothing(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 100*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(true)
		s.faults(of(batch, sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultErrorCode, Code: 4711})...)
		s.works(batch.ID, askedOften)
		s.says(batch, "0 of 3 times")
		s.creates(batch, 1)
		s.faults()
		s.follow(batch.ID)
		s.sound()
	})
}

// A gateway that denies everything proves nothing: it does not know what it
// has paid either.
func TestAGatewayThatDeniesEverythingProvesNothing(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 100*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(true)
		s.faults(sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultNotFound})
		s.works(batch.ID, askedOften)
		s.says(batch, "the gateway did not know an order that it has either")
		s.creates(batch, 1)
		s.faults()
		s.follow(batch.ID)
		s.sound()
	})
}

// One that is out of order before or after it was asked proves nothing.
func TestBothControlsCount(t *testing.T) {
	for name, denied := range map[string]int{"the first": 0, "the second": 1} {
		t.Run(name, func(t *testing.T) {
			doubting(t, ledger.ResendAutomatic, 100*time.Millisecond, func(t *testing.T, s *shop) {
				batch := s.doubted(true)
				orders, err := s.book.KnownOrders(t.Context(), s.engine.Account)
				s.must(err)
				if len(orders) != 1 {
					t.Fatalf("%d known orders", len(orders))
				}
				s.engine.Gateway = &forgetful{Gateway: s.engine.Gateway, control: orders[0].OrderNo(), denied: denied}
				s.works(batch.ID, askedOften)
				s.creates(batch, 1)
				s.says(batch, "the gateway did not know an order that it has either")
			})
		})
	}
}

// forgetful denies everything, and of the two questions about the control
// order the first or the second.
type forgetful struct {
	jobs.Gateway
	control       string
	asked, denied int
}

func (g *forgetful) Lookup(ctx context.Context, o jobs.Order) jobs.Reply {
	if o.Number == g.control {
		if g.asked++; (g.asked-1)%2 != g.denied {
			return g.Gateway.Lookup(ctx, o)
		}
		g.asked += 1 - g.denied // without an answer to the first there is no second
	}
	o.Number = "AAAAAAAAAAAAAAAA00000000" // nobody's
	return g.Gateway.Lookup(ctx, o)
}

// A question that was asked while the order could still leave is too early,
// however late its answer comes.
func TestAnEarlyQuestionProvesNothing(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 100*time.Millisecond, func(t *testing.T, s *shop) {
		s.engine.Patience, s.engine.CallTimeout = 8*time.Second, 40*time.Second
		batch := s.doubted(false)
		s.faults()
		s.dozes(8500 * time.Millisecond)
		s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.Lookups > 0 || p.State == ledger.Approved })
		var reasons []string
		s.must(s.db.Select(t.Context(), &reasons, "SELECT DISTINCT outcome || ': ' || reason FROM evidence WHERE kind = 'lookup' AND payout_id / 100000000 = ?", batch.ID))
		// On a slow machine later questions may be asked in time already.
		if !slices.Contains(reasons, "refused: an attempt of it could still have left") {
			t.Errorf("evidence %q", reasons)
		}
	})
}

// A process that stands still between a question and its record would make
// answers look further apart than they were.
func TestAnAnswerThatIsKeptLateProvesNothing(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 100*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(false)
		s.faults()
		s.engine.CallTimeout, s.engine.Judge.InDoubt = 100*time.Millisecond, jobs.Ladder{time.Minute}
		s.dozes(500 * time.Millisecond) // longer than the lease of a look-up
		s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.Lookups > 0 })
		s.kept(batch.ID, ledger.EvidenceLookup, "this process stood still after it had asked", 1)
		s.creates(batch, 1)
		s.sound()
	})
}

// dozes has the engine hear the answers to the first look-ups, and to the
// control look-up that goes with them, so much later.
func (s *shop) dozes(wait time.Duration) {
	late := &drowsy{Gateway: s.engine.Gateway, wait: wait}
	late.left.Store(1 + doubts)
	s.engine.Gateway = late
}

type drowsy struct {
	jobs.Gateway
	wait time.Duration
	left atomic.Int64
}

func (d *drowsy) Lookup(ctx context.Context, o jobs.Order) jobs.Reply {
	reply := d.Gateway.Lookup(ctx, o)
	if d.left.Add(-1) >= 0 {
		<-time.After(d.wait)
	}
	return reply
}

// Before the gateway is known to have anything there is nothing to compare with.
func TestWithoutAKnownOrderNothingIsProven(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.resends(ledger.ResendAutomatic, 100*time.Millisecond)
		s.learns()
		batch := s.doubted(false)
		s.faults()
		s.works(batch.ID, askedOften)
		s.says(batch, "no order is known yet")
		s.creates(batch, 1)
		s.sound()
	})
}

// A gateway that notified about an order has it, whatever its look-ups say.
func TestANotificationIsProofOfExistence(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.resends(ledger.ResendAutomatic, 100*time.Millisecond)
		s.learns()
		s.knows()
		batch := s.doubted(true)
		s.faults(of(batch, sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultNotFound})...)
		s.must(s.sandbox.Settled(t.Context())) // every notification was answered
		s.works(batch.ID, askedOften)
		s.says(batch, "the gateway notified about it, so it has it")
		s.creates(batch, 1)
		s.faults()
		s.follow(batch.ID)
		s.sound()
	})
}

// Released, and then notified about: people let it go on, and still "not found"
// does not let it be sent.
func TestNotFoundIsNoAnswerOnceTheGatewayNotified(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 400*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.releasedInError()
		for i := range doubts {
			no := s.number(batch, i+1)
			s.must(s.book.Notify(t.Context(), no, ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: "7"}))
			s.unblock(no)
		}
		s.sentNoMore(batch)
	})
}

// A gateway that gets out of order right before a second send denies the order
// once more. That it knows no other order either gives it away.
func TestTheDenialBeforeASecondSendIsCompared(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 400*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.releasedInError()
		s.faults(sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultNotFound})
		s.sentNoMore(batch)
	})
}

// releasedInError is a batch whose payouts the gateway has, but denied for long
// enough that they may be sent again.
func (s *shop) releasedInError() ledger.Batch {
	s.t.Helper()
	batch := s.doubted(true)
	s.faults(of(batch, sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultNotFound})...)
	s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.State == ledger.Approved })
	return batch
}

// sentNoMore sends what may be sent, of which nothing is to leave, and lets the
// gateway tell what it has.
func (s *shop) sentNoMore(batch ledger.Batch) {
	s.t.Helper()
	s.sent(batch.ID)
	if got := s.states(batch.ID); got[ledger.Unknown] != doubts {
		s.t.Errorf("states %v, want all in doubt", got)
	}
	s.creates(batch, 1)
	s.faults()
	s.follow(batch.ID)
	s.sound()
}

// unblock has two people let a payout go on.
func (s *shop) unblock(orderNo string) {
	s.t.Helper()
	number, err := s.book.Propose(s.t.Context(), s.maker, orderNo, ledger.Proposal{Outcome: ledger.OutcomeUnblock, Reason: "let us ask"})
	s.must(err)
	s.must(s.book.Confirm(s.t.Context(), s.checker, number))
}

func TestAPayoutIsSentTwiceAtMost(t *testing.T) {
	doubting(t, ledger.ResendAutomatic, 400*time.Millisecond, func(t *testing.T, s *shop) {
		batch := s.doubted(false) // and never taken later either
		s.works(batch.ID, func(p *ledger.Payout) bool { return askedOften(p) && p.Attempts == 2 })
		s.creates(batch, 2)
		s.says(batch, "it was sent 2 times, and 2 is the most")
		s.sound()
	})
}

// A refusal with a code that is proven to mean "not created" ends as a
// failure, once the gateway denies the order, and gives the money back.
func TestAProvenRefusalFails(t *testing.T) {
	doubting(t, ledger.ResendManual, 400*time.Millisecond, func(t *testing.T, s *shop) {
		s.engine.Gateway = jobs.NewEPAY(s.client, "", "4711")
		batch := s.approved(s.sheet(doubts))
		s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultErrorCode, Code: 4711})
		s.sent(batch.ID)
		s.faults()
		s.works(batch.ID, func(p *ledger.Payout) bool { return p.State == ledger.Failed })
		s.creates(batch, 1)
		s.sound()
	})
}

// What our own client will never send is blocked with a case; it does not go
// round and round.
func TestAnInvalidPayoutIsBlocked(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		ctx := t.Context()
		s.must(s.limits.Run(ctx))
		staging, err := s.book.Stage(ctx, s.maker, "invalid", sandbox.DefaultAccount)
		s.must(err)
		s.must(staging.Add(ctx, []ledger.NewPayout{
			{Sheet: "s", Row: 2, Reference: "good", Channel: "16", Account: "P10000001", Amount: 5_00, Currency: "USD"},
			{Sheet: "s", Row: 3, Reference: "bad", Channel: "16", Account: "P1000 0002", Amount: 5_00, Currency: "USD"},
		}))
		batch, err := staging.Publish(ctx, ledger.Counts{SourceDigest: "d", Read: 2, Accepted: 2})
		s.must(err)
		s.must(s.book.Submit(ctx, s.maker, batch.ID))
		s.must(s.book.Approve(ctx, s.checker, batch.ID))
		done := s.disburse()
		if done.Accepted != 1 || done.NotSent != 1 {
			t.Errorf("disbursed %+v", done)
		}
		bad, err := s.book.Payout(ctx, s.number(batch, 2))
		s.must(err)
		if bad.State != ledger.Approved || bad.Blocked != ledger.BlockedInvalid || bad.Attempts != 1 {
			t.Errorf("payout %+v", bad)
		}
		open, err := s.book.Exceptions(ctx)
		s.must(err)
		if len(open) == 0 || open[0].Kind != ledger.ExceptionBlocked || !strings.Contains(open[0].Detail, "Account") || strings.Contains(open[0].Detail, "0002") {
			t.Errorf("cases %+v", open)
		}
		s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.ID == bad.ID || p.State == ledger.Succeeded })
		s.sound()
	})
}

// A notification that says otherwise than the look-ups keeps the payout where
// it stands, and people look when asking again has not helped.
func TestAContradictionGoesToPeople(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(doubts))
		s.faults(
			sandbox.Fault{At: sandbox.Query, Kind: sandbox.FaultStatus, HTTPStatus: 503},
			sandbox.Fault{At: sandbox.Callback, Kind: sandbox.FaultContradict, Status: 6},
		)
		s.sent(batch.ID)
		s.must(s.sandbox.Settled(t.Context())) // both notifications of each were answered
		s.faults()
		s.tracked(batch.ID, func(p *ledger.Payout) bool { return p.State == ledger.Review })
		s.says(batch, "two people decide")
		var paid, events int64
		s.must(s.db.Get(t.Context(), &paid, "SELECT count(*) FROM entries WHERE payout_id > 0"))
		s.must(s.db.Get(t.Context(), &events, "SELECT count(*) FROM evidence WHERE kind = 'lookup' AND gateway_status = '7'"))
		if paid != 0 || events < 4*doubts {
			t.Errorf("%d entries; %d contradictions are kept, want one for each rung and the last", paid, events)
		}
		_, breaches, err := s.book.Verify(t.Context())
		s.must(err)
		if len(breaches) > 0 {
			t.Errorf("%v", breaches)
		}
	})
}

package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

// spoken is a verified notification that an order ended.
func spoken(status string) ledger.Evidence {
	return ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: status}
}

// What the gateway spoke of it may have: it is asked about before anything is
// sent, in whatever way the payout came back into line.
func TestWhatTheGatewaySpokeOfIsAskedAboutFirst(t *testing.T) {
	ways := map[string]func(o *office){
		"it spoke while the call was open, and nothing had left": func(o *office) {
			o.approved("b", sheet("b", 1))
			c := o.claim(1)[0]
			must(o.t, o.Notify(o.t.Context(), c.OrderNo(), spoken("7")))
			o.put(c, ledger.Approved)
		},
		"it spoke before the sheet was there": func(o *office) {
			first := o.imported("b", sheet("b", 1))
			must(o.t, o.Discard(o.t.Context(), o.maker, first.ID, "to have its number"))
			must(o.t, o.Notify(o.t.Context(), numbered(first, 1), spoken("7")))
			o.approved("b", sheet("b", 1))
		},
		"it spoke of a payout that was discarded and imported anew": func(o *office) {
			first := o.imported("b", sheet("b", 1))
			must(o.t, o.Notify(o.t.Context(), numbered(first, 1), spoken("7")))
			must(o.t, o.Discard(o.t.Context(), o.maker, first.ID, "blocked"))
			o.approved("b", sheet("b", 1))
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				way(o)
				claims := o.claim(5)
				if len(claims) != 1 || !claims[0].AskFirst {
					t.Errorf("claimed %+v, want one that is asked about first", claims)
				}
				o.sound()
			})
		})
	}
}

func TestWhatTheGatewaySpokeOfIsNotTakenBack(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		batch := o.approved("unblocked", sheet("u", 2))
		no := numbered(batch, 1)
		must(t, o.Notify(ctx, no, spoken("7")))
		o.decide(no, said(ledger.OutcomeUnblock))
		n, err := o.Cancel(ctx, o.checker, batch.ID, "stop")
		must(t, err)
		if state := o.payout(no).State; n != 1 || state != ledger.Approved {
			t.Errorf("%d cancelled, the one it spoke of is %s", n, state)
		}
		o.sound()
	})
}

// An answer that names another end than a notification moves no money: the
// payout is asked about again, and people look.
func TestACreateReplyDoesNotOverruleANotification(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("b", sheet("b", 1))
		c := o.claim(1)[0]
		must(t, o.Notify(t.Context(), c.OrderNo(), spoken("7")))
		before := o.usd()
		f := answered(c, ledger.Failed, ledger.ByFailure)
		f.Status = "6"
		if n := o.record(f); n != 0 || o.payout(c.OrderNo()).State != ledger.Sending || o.usd() != before {
			t.Errorf("%d took effect, the payout is %s", n, o.payout(c.OrderNo()).State)
		}
		o.sound()
	})
}

// The newest notification and the look-up agree; an earlier one said otherwise,
// and people hear of it.
func TestAnEarlierNotificationIsNotForgotten(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("b", sheet("b", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Accepted)
		must(t, o.Notify(t.Context(), c.OrderNo(), spoken("7")))
		must(t, o.Notify(t.Context(), c.OrderNo(), spoken("6")))
		f := looked(c, ledger.Accepted, ledger.Failed, ledger.ByFailure)
		f.Status = "6"
		if n := o.record(f); n != 1 {
			t.Errorf("%d took effect", n)
		}
		if kinds := o.exceptionsOf(c.ID); !strings.Contains(kinds, ledger.ExceptionContrary) {
			t.Errorf("its cases are %q", kinds)
		}
		o.sound()
	})
}

// A person with both roles confirms a warning once, not twice.
func TestWhoConfirmedAsMakerDoesNotConfirmAsChecker(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		b := o.scrutinized("x", pays("P2 10", "P2 10"), ledger.Scrutiny{}, ledger.SheetWarning{Code: "payee-repeated", Row: 3})
		o.confirmed(o.both, b.ID)
		must(t, o.Submit(t.Context(), o.maker, b.ID))
		if _, err := o.ConfirmWarnings(t.Context(), o.both, b.ID, "", 0); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("confirmed on both sides: %v", err)
		}
		o.sound()
	})
}

// A claim that finds no free slot has not looked at the generation, and leaves
// the file as it is.
func TestAThrottledClaimKeepsTheGeneration(t *testing.T) {
	eachGuarded(t, func(t *testing.T, g *guarded) {
		g.running()
		asked := order(3)
		asked.Pace = ledger.Pace{Interval: 400 * time.Millisecond}
		throttled := false
		for range 10 {
			claimed, err := g.Claim(t.Context(), asked)
			must(t, err)
			throttled = throttled || claimed.Throttled > 0
		}
		if kept := g.kept(); !throttled || kept.Store == "" || kept.Number == 0 {
			t.Errorf("throttled %v, kept %+v", throttled, kept)
		}
		if why := g.notice(); why != "" {
			t.Errorf("noticed: %s", why)
		}
	})
}

func TestAGenerationOfNoStoreIsNotKept(t *testing.T) {
	t.Parallel()
	if err := (database.Generation{}).Write(t.TempDir() + "/generation"); !errors.Is(err, database.ErrUnusable) {
		t.Errorf("kept: %v", err)
	}
}

// An untrue notification leaves a way out: what the gateway wrote, shown to two
// people, counts for more than what it notified, and nothing less does.
func TestTheWrittenWordOverrulesANotification(t *testing.T) {
	ways := map[string]func(o *office, c *clock) string{
		"a look-up says it ended unpaid": func(o *office, _ *clock) string { return o.contradicted(ledger.HeardUnpaid, "6") },
		"a look-up says it is closed":    func(o *office, _ *clock) string { return o.contradicted(ledger.HeardClosed, "8") },
		"look-ups say it is not there": func(o *office, c *clock) string {
			o.learn()
			claim := o.claim(1)[0]
			o.put(claim, ledger.Unknown)
			o.absent(c, claim, ledger.Unknown)
			must(o.t, o.Notify(o.t.Context(), claim.OrderNo(), spoken("7")))
			return claim.OrderNo()
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			eachAt(t, func(t *testing.T, o *office, c *clock) {
				o.approved("b", sheet("b", 1))
				no := way(o, c)
				bare := o.propose(o.maker, no, ledger.Proposal{Outcome: ledger.OutcomeFailed, Reason: "it looks so"})
				if err := o.Confirm(t.Context(), o.checker, bare); !errors.Is(err, ledger.ErrConflict) || o.payout(no).State.Final() {
					t.Errorf("failed without a written word: %v, %s", err, o.payout(no).State)
				}
				must(t, o.Withdraw(t.Context(), o.maker, bare))
				o.decide(no, said(ledger.OutcomeFailed))
				if state := o.payout(no).State; state != ledger.Failed {
					t.Errorf("with it the payout is %s", state)
				}
				o.sound()
			})
		})
	}
}

// contradicted brings a payout under review: notified as paid, while a look-up
// says otherwise.
func (o *office) contradicted(heard ledger.Heard, status string) (orderNo string) {
	o.t.Helper()
	claim := o.claim(1)[0]
	f := answered(claim, ledger.Accepted, ledger.ByAcceptance)
	f.GatewayOrder, f.Status = "G1", "1"
	o.record(f)
	must(o.t, o.Notify(o.t.Context(), claim.OrderNo(), spoken("7")))
	f = looked(claim, ledger.Accepted, ledger.Review, ledger.ByConflict)
	f.Evidence.Heard, f.Evidence.Status = heard, status
	o.record(f)
	return claim.OrderNo()
}

// Released, and then the gateway notified about it after all: the way on says
// what happened, and leads through a question.
func TestANotificationAboutAReleasedPayout(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.learn()
		o.approved("b", sheet("b", 1))
		claim := o.claim(1)[0]
		o.put(claim, ledger.Unknown)
		o.absent(c, claim, ledger.Unknown)
		o.decide(claim.OrderNo(), said(ledger.OutcomeSendAgain))
		must(t, o.Notify(t.Context(), claim.OrderNo(), spoken("7")))
		if told := o.exceptionsOf(claim.ID); !strings.Contains(told, "contrary") {
			t.Errorf("the cases are %q", told)
		}
		o.refresh()
		if claims := o.claim(5); len(claims) > 0 {
			t.Errorf("claimed %+v", claims)
		}
		o.decide(claim.OrderNo(), said(ledger.OutcomeUnblock))
		if claims := o.claim(5); len(claims) != 1 || !claims[0].AskFirst || !claims[0].Spoken {
			t.Errorf("claimed %+v, want one that is asked about, with \"not found\" no answer", claims)
		}
		o.sound()
	})
}

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// notFound is how the gateway of these tests says that it has no such order.
var notFound = ledger.Shape{HTTPStatus: 200, Code: "4404", Message: "no order ORDER here"}

// doubtful is an office with one payout in doubt, on a clock that stands just
// past the moment at which it could last have left.
type doubtful struct {
	*office
	clock  *clock
	doubt  ledger.Claim
	config ledger.Config
}

// eachDoubt has one on both engines.
func eachDoubt(t *testing.T, config ledger.Config, test func(*testing.T, *doubtful)) {
	t.Helper()
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		test(t, newDoubt(t, engine, config))
	})
}

func newDoubt(t *testing.T, engine string, config ledger.Config) *doubtful {
	t.Helper()
	o, c := officeAt(t, engine)
	d := &doubtful{office: o, clock: c, config: config}
	o.Book = ledger.New(o.db, config)
	d.learn(ledger.User{}, notFound)
	o.approved("doubt", sheet("d", 1))
	d.doubt = o.claim(1)[0]
	o.put(d.doubt, ledger.Unknown)
	c.advance(time.Minute)
	return d
}

func (d *doubtful) learn(by ledger.User, shape ledger.Shape) {
	d.t.Helper()
	_, err := d.Learn(d.t.Context(), by, "acct@example.com", shape)
	must(d.t, err)
}

// denied records that the gateway denied the order, as often as there are
// waits, each after its wait.
func (d *doubtful) denied(waits ...time.Duration) {
	d.t.Helper()
	for _, wait := range waits {
		d.clock.advance(wait)
		d.looked(ledger.HeardAbsent, "")
	}
}

// looked records a look-up that leaves the payout where it stands.
func (d *doubtful) looked(heard ledger.Heard, gatewayOrder string) {
	d.t.Helper()
	p := d.payout(d.doubt.OrderNo())
	d.record(ledger.Finding{
		PayoutID: p.ID, AttemptID: p.AttemptID, From: p.State, To: p.State, NextLookup: time.Minute, Note: "code 4404",
		Evidence: &ledger.Evidence{
			Kind: ledger.EvidenceLookup, Heard: heard, HTTPStatus: 200, Code: "4404", Message: "no order " + d.doubt.OrderNo() + " here", GatewayOrder: gatewayOrder,
		},
	})
}

func (d *doubtful) notified(status string) {
	d.t.Helper()
	must(d.t, d.Notify(d.t.Context(), d.doubt.OrderNo(), ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: ledger.HeardEnded, Status: status}))
}

// conclude returns the state that the payout is in after it.
func (d *doubtful) conclude() ledger.State {
	d.t.Helper()
	done, err := d.Conclude(d.t.Context(), "worker:w1", []int64{d.doubt.ID})
	must(d.t, err)
	state := d.payout(d.doubt.OrderNo()).State
	if want := map[ledger.State]ledger.Concluded{ledger.Approved: {Released: 1}, ledger.Failed: {Failed: 1}}[state]; done != want {
		d.t.Errorf("the payout is %s, but %+v was concluded", state, done)
	}
	return state
}

// nextStep is what the open case about the payout asks for.
func (d *doubtful) nextStep() string {
	d.t.Helper()
	open, err := d.Exceptions(d.t.Context())
	must(d.t, err)
	for _, e := range open {
		if e.PayoutID == d.doubt.ID && (e.Kind == ledger.ExceptionInDoubt || e.Kind == ledger.ExceptionReview) {
			return e.NextStep
		}
	}
	return ""
}

var automatic = ledger.Config{Resend: ledger.ResendAutomatic}

const tenMinutes = 10 * time.Minute

// Each row leaves one thing out of the proof, or spoils it.
func TestNothingIsReleasedWithoutProof(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config ledger.Config
		do     func(*doubtful)
		ends   ledger.State
		step   string // of the case
	}{
		{"complete", automatic, func(d *doubtful) { d.denied(0, 15*time.Minute, 15*time.Minute) }, ledger.Approved, ""},
		{"complete, by people", ledger.Config{}, func(d *doubtful) { d.denied(0, 15*time.Minute, 15*time.Minute) }, ledger.Unknown, "two people may send it again: payrun payout decide ORDER --as send-again"},
		{"never looked up", automatic, func(*doubtful) {}, ledger.Unknown, "0 of 3 times; the next look-up is at 2026-11-02 09:01:00 UTC"},
		{"denied twice", automatic, func(d *doubtful) { d.denied(0, time.Hour) }, ledger.Unknown, "2 of 3 times; the next look-up is at"},
		{"denied often, but fast", automatic, func(d *doubtful) { d.denied(0, tenMinutes, tenMinutes, tenMinutes-time.Second) }, ledger.Unknown, "4 times within 29m59s, which must be 30m0s"},
		{"a shorter grace", ledger.Config{Resend: ledger.ResendAutomatic, Proof: ledger.Proof{Over: time.Second}}, func(d *doubtful) { d.denied(0, time.Second, 0) }, ledger.Approved, ""},
		{"more answers wanted", ledger.Config{Resend: ledger.ResendAutomatic, Proof: ledger.Proof{Answers: 4}}, func(d *doubtful) { d.denied(0, time.Hour, time.Hour) }, ledger.Unknown, "3 of 4 times"},
		{"denied by answers of another shape", automatic, func(d *doubtful) {
			for range 5 {
				d.clock.advance(tenMinutes)
				d.looked("refused", "")
			}
		}, ledger.Unknown, "0 of 3 times"},
		{"denied while it could still leave", automatic, func(d *doubtful) {
			d.clock.advance(-time.Minute) // back to the attempt itself
			d.denied(0, 2*time.Second)
			d.denied(time.Hour, time.Second)
		}, ledger.Unknown, "2 of 3 times"},
		{"notified about", automatic, func(d *doubtful) { d.denied(0, time.Hour, time.Hour); d.notified("7") }, ledger.Unknown, ""},
		{"notified about before", automatic, func(d *doubtful) { d.notified("1"); d.denied(0, time.Hour, time.Hour) }, ledger.Unknown, "the gateway notified about it"},
		{"named by the gateway meanwhile", automatic, func(d *doubtful) { d.denied(0, time.Hour); d.looked("unknown", "G1"); d.denied(time.Hour, time.Hour) }, ledger.Unknown, "2 of 3 times"},
		{"named by the gateway, then denied for long", automatic, func(d *doubtful) { d.looked("unknown", "G1"); d.denied(time.Second, time.Hour, time.Hour) }, ledger.Approved, ""},
		{"under review", automatic, func(d *doubtful) {
			d.record(looked(d.doubt, ledger.Unknown, ledger.Review, ledger.ByConflict))
			d.denied(1, time.Hour, time.Hour)
		}, ledger.Review, "two people may call it failed: payrun payout decide ORDER --as failed"},
		{"found meanwhile", automatic, func(d *doubtful) {
			d.denied(0, time.Hour, time.Hour)
			d.record(looked(d.doubt, ledger.Unknown, ledger.Accepted, ledger.ByFinding))
		}, ledger.Accepted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachDoubt(t, c.config, func(t *testing.T, d *doubtful) {
				c.do(d)
				step := d.nextStep()
				if got := d.conclude(); got != c.ends {
					t.Errorf("it is %s, want %s", got, c.ends)
				}
				if want := strings.ReplaceAll(c.step, "ORDER", d.doubt.OrderNo()); !strings.Contains(step, want) || want == "" && c.ends == ledger.Unknown && step == "" {
					t.Errorf("the case says %q, want %q", step, want)
				}
				if kinds := d.exceptionsOf(d.doubt.ID); (kinds == "") != (c.ends == ledger.Approved || c.ends == ledger.Accepted) {
					t.Errorf("open cases %q of a payout that is %s", kinds, c.ends)
				}
				d.sound()
			})
		})
	}
}

// Nobody can prove anything before it is known how the gateway says no to this
// account.
func TestWithoutALearnedAnswerNothingIsProven(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		_, err := o.Learn(t.Context(), o.admin, "other@example.com", notFound)
		must(t, err)
		o.approved("unlearned", sheet("u", 1))
		d := &doubtful{office: o, doubt: o.claim(1)[0]}
		o.put(d.doubt, ledger.Unknown)
		if step := d.nextStep(); !strings.Contains(step, "run payrun check") {
			t.Errorf("the case says %q", step)
		}
		o.sound()
	})
}

// A payout that was released goes out under the same number and to the letter,
// after the gateway was asked again, and not a third time.
func TestAReleasedPayoutIsSentOnceMore(t *testing.T) {
	eachDoubt(t, automatic, func(t *testing.T, d *doubtful) {
		d.denied(0, time.Hour, time.Hour)
		d.conclude()
		d.refresh()
		pace := order(5)
		pace.Pace = ledger.PaceOf(time.Second, 10)
		claimed, err := d.Claim(t.Context(), pace)
		must(t, err)
		if len(claimed.Claims) != 1 {
			t.Fatalf("claimed %+v", claimed)
		}
		again := claimed.Claims[0]
		if again.Number != 2 || !again.AskFirst || again.OrderNo() != d.doubt.OrderNo() || again.ControlAfter-again.AskAfter != 100*time.Millisecond || again.SendAfter-again.ControlAfter != 100*time.Millisecond {
			t.Errorf("claimed %+v", again)
		}
		if next := d.count("SELECT next_free_at FROM budgets WHERE name = 'sends'"); next != d.clock.now().Add(300*time.Millisecond).UnixMicro() {
			t.Errorf("the questions have no slots of their own in the budget")
		}
		d.put(again, ledger.Unknown)
		d.clock.advance(time.Minute)
		d.denied(0, time.Hour, time.Hour)
		if got := d.conclude(); got != ledger.Unknown {
			t.Errorf("after two attempts it is %s", got)
		}
		if step := d.nextStep(); !strings.Contains(step, "it was sent 2 times, and 2 is the most; two people may call it failed") {
			t.Errorf("the case says %q", step)
		}
		number := d.propose(d.maker, d.doubt.OrderNo(), said(ledger.OutcomeSendAgain))
		d.refused("a third time, by two people", d.Confirm(t.Context(), d.checker, number), ledger.ErrConflict, "it was sent 2 times")
		must(t, d.Withdraw(t.Context(), d.maker, number))
		d.sound()
	})
}

// What was sent once is sent again to the letter, or not at all, even when
// somebody changed the row and made its digest fit.
func TestASecondAttemptSaysWhatTheFirstSaid(t *testing.T) {
	eachDoubt(t, automatic, func(t *testing.T, d *doubtful) {
		d.denied(0, time.Hour, time.Hour)
		d.conclude()
		d.refresh()
		d.tamper((&scene{office: d.office}).reaccount(1, 1)...)
		if claims := d.claim(1); len(claims) > 0 {
			t.Errorf("claimed %+v", claims)
		}
		if p := d.payout(d.doubt.OrderNo()); p.Blocked != ledger.BlockedTampered || d.exceptionsOf(p.ID) != ledger.ExceptionTampered {
			t.Errorf("payout %+v with cases %q", p, d.exceptionsOf(p.ID))
		}
		number := d.propose(d.maker, d.doubt.OrderNo(), said(ledger.OutcomeUnblock))
		d.refused("let go by two people", d.Confirm(t.Context(), d.checker, number), ledger.ErrConflict, "not what an earlier attempt sent")
	})
}

// An attempt of which no byte left is none: it neither has to be asked about
// nor counts against the most that are allowed.
func TestAnAttemptThatStayedHereDoesNotCount(t *testing.T) {
	eachDoubt(t, automatic, func(t *testing.T, d *doubtful) {
		o := d.office
		o.approved("stayed", sheet("s", 1))
		d.refresh()
		first := o.claim(1)[0]
		o.put(first, ledger.Approved)
		second := o.claim(1)[0]
		if second.ID != first.ID || second.AskFirst {
			t.Errorf("claimed %+v after an attempt that stayed here", second)
		}
		o.put(second, ledger.Approved)
		o.put(o.claim(1)[0], ledger.Approved)
		third := o.claim(1)[0]
		o.put(third, ledger.Unknown)
		d.doubt = third
		d.clock.advance(time.Minute)
		d.denied(0, time.Hour, time.Hour)
		if got := d.conclude(); got != ledger.Approved {
			t.Errorf("with one attempt that may have left it is %s", got)
		}
		// The question before the second send brings no answer.
		d.refresh()
		asked := o.claim(1)[0]
		f := answered(asked, ledger.Unknown, ledger.ByNotSending)
		f.Evidence.Kind = ledger.EvidenceLookup
		o.record(f)
		d.clock.advance(time.Minute)
		d.denied(0, time.Hour, time.Hour)
		if got := d.conclude(); got != ledger.Approved {
			t.Errorf("after a question without an answer it is %s", got)
		}
		o.sound()
	})
}

// A refusal alone is no failure; one that is proven to mean "not created" is,
// once the gateway also denies the order.
func TestARefusalFailsOnlyWithProof(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		heard ledger.Heard
		waits []time.Duration
		ends  ledger.State
	}{
		{"proven code and absent", ledger.HeardNotCreated, []time.Duration{0, time.Hour, time.Hour}, ledger.Failed},
		{"proven code, not denied enough", ledger.HeardNotCreated, []time.Duration{0, time.Hour}, ledger.Unknown},
		{"any code and absent", "rejected", []time.Duration{0, time.Hour, time.Hour}, ledger.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachDoubt(t, ledger.Config{}, func(t *testing.T, d *doubtful) {
				d.approved("refused", sheet("r", 1))
				d.refresh()
				d.doubt = d.claim(1)[0]
				f := answered(d.doubt, ledger.Unknown, ledger.ByDoubt)
				f.Evidence.Heard = c.heard
				d.record(f)
				d.clock.advance(time.Minute)
				d.denied(c.waits...)
				before := d.usd()
				if got := d.conclude(); got != c.ends {
					t.Errorf("it is %s, want %s", got, c.ends)
				}
				if back := d.usd().Available - before.Available; (back == 10_50) != (c.ends == ledger.Failed) {
					t.Errorf("%d came back", back)
				}
				d.sound()
			})
		})
	}
}

// Proof is judged again under the payout's lock: a notification that comes
// while somebody concludes is never overlooked.
func TestANotificationBeatsARelease(t *testing.T) {
	eachDoubt(t, automatic, func(t *testing.T, d *doubtful) {
		d.denied(0, time.Hour, time.Hour)
		together(t, 2, func(i int) error {
			if i == 0 {
				_, err := d.Conclude(t.Context(), "worker:w1", []int64{d.doubt.ID})
				return err
			}
			return d.Notify(t.Context(), d.doubt.OrderNo(), ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: ledger.HeardEnded, Status: "7"})
		})
		p := d.payout(d.doubt.OrderNo())
		if p.State != ledger.Unknown && p.Blocked == "" {
			t.Errorf("it is %s and may be claimed, though the gateway notified about it", p.State)
		}
		d.refresh()
		if got := d.claim(1); len(got) > 0 {
			t.Errorf("claimed %+v", got)
		}
		d.sound()
	})
}

// Conclude waits for the payout's lock, and judges by what was committed then.
func TestProofIsJudgedUnderTheLock(t *testing.T) {
	t.Parallel()
	d := newDoubt(t, "postgres", automatic)
	d.denied(0, time.Hour, time.Hour)
	locked, concluded := make(chan struct{}), make(chan error, 1)
	go func() {
		<-locked
		_, err := d.Conclude(context.WithoutCancel(t.Context()), "worker:w1", []int64{d.doubt.ID})
		concluded <- err
	}()
	must(t, d.db.InTx(t.Context(), func(tx *database.Tx) error {
		var id int64
		if err := tx.Get(t.Context(), &id, "SELECT id FROM payouts WHERE id = ? FOR UPDATE", d.doubt.ID); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `INSERT INTO evidence SELECT 1, payout_id, attempt_id, 'callback', 'ended', reason, http_status, code, message,
			gateway_order_no, '7', digest, body, created_at, seal FROM evidence WHERE payout_id = ? LIMIT 1`, d.doubt.ID)
		close(locked)
		d.waitForLocks(1)
		return err
	}))
	must(t, <-concluded)
	if p := d.payout(d.doubt.OrderNo()); p.State != ledger.Unknown {
		t.Errorf("it is %s although the gateway notified about it", p.State)
	}
}

// A worker's word releases or fails nothing: only Conclude does, with proof.
func TestOnlyProofReleases(t *testing.T) {
	t.Parallel()
	d := newDoubt(t, "sqlite", automatic)
	for _, f := range []ledger.Finding{
		looked(d.doubt, ledger.Unknown, ledger.Approved, ledger.ByRelease),
		looked(d.doubt, ledger.Unknown, ledger.Failed, ledger.ByProof),
	} {
		if n, err := d.Record(t.Context(), "worker:w1", []ledger.Finding{f}); n != 0 || !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("%s: %d took effect, error %v", f.Reason, n, err)
		}
	}
}

// What takes two people no worker writes down, whatever it has learned.
func TestNoFindingDecidesForPeople(t *testing.T) {
	t.Parallel()
	d := newDoubt(t, "sqlite", automatic)
	for _, change := range ledger.Transitions {
		if change.Reason != ledger.ByTwoPeople && change.Reason != ledger.ByCorrection {
			continue
		}
		f := looked(d.doubt, change.From, change.To, change.Reason)
		if n, err := d.Record(t.Context(), "worker:w1", []ledger.Finding{f}); n != 0 || !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("%s to %s, %s: %d took effect, error %v", change.From, change.To, change.Reason, n, err)
		}
	}
}

func TestHowNotFoundIsLearned(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		const account = "acct@example.com"
		if l, err := o.Learned(ctx, account); err != nil || l.ID != 0 {
			t.Fatalf("learned %+v, %v", l, err)
		}
		first, err := o.Learn(ctx, ledger.User{}, account, notFound)
		must(t, err)
		same, err := o.Learn(ctx, o.maker, account, notFound)
		must(t, err)
		if same != first || first.By != "operator" {
			t.Errorf("learned %+v, then %+v", first, same)
		}
		other := notFound
		other.Code = "4405"
		for _, by := range []ledger.User{{}, o.maker, {ID: 99, Name: "eve", Roles: []ledger.Role{ledger.Checker}}} {
			if _, err := o.Learn(ctx, by, account, other); !errors.Is(err, ledger.ErrForbidden) {
				t.Errorf("%q changed what counts as proof: %v", by.Name, err)
			}
		}
		second, err := o.Learn(ctx, o.checker, account, other)
		must(t, err)
		if now, err := o.Learned(ctx, account); err != nil || now != second || now.Shape != other || now.By != "user:charles" {
			t.Errorf("learned %+v, %v", now, err)
		}
		if n := o.count("SELECT count(*) FROM audit WHERE action = 'gateway.learn'"); n != 2 {
			t.Errorf("%d audit records of two shapes", n)
		}
		if l, err := o.Learned(ctx, "another@example.com"); err != nil || l.ID != 0 {
			t.Errorf("another account's gateway is known as %+v, %v", l, err)
		}
		o.sound()
	})
}

func TestVerifyNamesAForgedProof(t *testing.T) {
	eachDoubt(t, automatic, func(t *testing.T, d *doubtful) {
		d.denied(0, time.Hour, time.Hour)
		d.conclude()
		d.refresh()
		d.put(d.claim(1)[0], ledger.Succeeded)
		d.sound()
		s := &scene{office: d.office}
		payout, of := "payout "+d.doubt.OrderNo(), fmt.Sprint(" WHERE payout_id = ", d.doubt.ID)
		for _, f := range []forgery{
			{"release deleted", edit("DELETE FROM events" + of + " AND reason = 'released'"), "re-sends", []string{payout}},
			{"proof deleted", edit("DELETE FROM evidence" + of + " AND outcome = 'absent'"), "re-sends", []string{payout}},
			{"all but one answer deleted", edit("DELETE FROM evidence" + of + fmt.Sprint(" AND outcome = 'absent' AND id > ", d.count("SELECT min(id) FROM evidence"+of+" AND outcome = 'absent'"))), "re-sends", []string{payout}},
			{"answers before it could last leave", edit(fmt.Sprintf("UPDATE attempts SET send_by = %d", d.clock.now().UnixMicro()) + of), "re-sends", []string{payout}},
			{"answer of another shape", edit("UPDATE evidence SET code = '7'" + of + " AND outcome = 'absent'"), "not found", []string{payout}},
			{"shape of an account", edit("UPDATE learned SET code = '7'"), "not found", []string{payout, fmt.Sprintf("learned answer %d of acct@example.com", d.count("SELECT id FROM learned"))}},
			{"shape that nobody learned", edit("INSERT INTO learned SELECT 999999, gateway_account, http_status, code, message, learned_by, created_at, seal FROM learned"), "not found",
				[]string{"learned answer 999999 of acct@example.com"}},
			{"notification before the release", edit(fmt.Sprintf(`INSERT INTO evidence SELECT 1, payout_id, attempt_id, 'callback', 'ended', reason, http_status, code, message,
				gateway_order_no, '7', digest, body, created_at, seal FROM evidence WHERE id = %d`, d.count("SELECT min(id) FROM evidence"+of))), "re-sends", []string{payout}},
			{"end that contradicts a notification", edit(fmt.Sprintf("UPDATE payouts SET notified_status = '6', gateway_status = '7' WHERE id = %d", d.doubt.ID), "DELETE FROM exceptions"+of), "contradictions", []string{payout}},
		} {
			t.Run(f.name, func(t *testing.T) { s.try(t, f) })
		}
		s.t = t
		s.sound()
	})
}

// Whatever happens in whatever order, a payout leaves a second time only when
// everything that a model of the proof asks for has happened.
func TestNoSecondSendWithoutProof(t *testing.T) {
	t.Parallel()
	o, c := officeAt(t, "sqlite")
	o.Book = ledger.New(o.db, automatic)
	d := &doubtful{office: o, clock: c}
	d.learn(ledger.User{}, notFound)
	sheets := 0
	lives(t, 100, func(rt *rapid.T) {
		sheets++
		o.approved(fmt.Sprint("proof", sheets), sheet(fmt.Sprint("proof", sheets), 1))
		o.refresh()
		d.doubt = o.claim(1)[0]
		o.put(d.doubt, ledger.Unknown)
		sendBy, sent, notified := c.now().Add(d.doubt.SendBy), 1, false
		var answers []time.Time
		proven := func() bool {
			return !notified && sent < 2 && len(answers) >= 3 && answers[len(answers)-1].Sub(answers[0]) >= 30*time.Minute
		}
		inDoubt := func() {
			if o.payout(d.doubt.OrderNo()).State != ledger.Unknown {
				rt.Skip("not in doubt")
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"wait": func(rt *rapid.T) {
				c.advance(time.Duration(rapid.IntRange(1, 20*60).Draw(rt, "seconds")) * time.Second)
			},
			"other": func(*rapid.T) { inDoubt(); d.looked("refused", "") },
			"named": func(*rapid.T) {
				inDoubt()
				d.looked("unknown", "G1")
				if answers = nil; c.now().After(sendBy) {
					sendBy = c.now()
				}
			},
			"notify": func(rt *rapid.T) {
				inDoubt()
				notified = rapid.IntRange(0, 9).Draw(rt, "dice") == 0 || notified
				if notified {
					d.notified("7")
				}
			},
			"deny": func(*rapid.T) {
				inDoubt()
				d.looked(ledger.HeardAbsent, "")
				if c.now().After(sendBy) {
					answers = append(answers, c.now())
				}
			},
			"deny more": func(*rapid.T) {
				inDoubt()
				c.advance(11 * time.Minute)
				d.looked(ledger.HeardAbsent, "")
				answers = append(answers, c.now())
			},
			"conclude": func(rt *rapid.T) {
				inDoubt()
				want := ledger.Unknown
				if proven() {
					want = ledger.Approved
				}
				if got := d.conclude(); got != want {
					rt.Fatalf("it is %s, want %s: %d attempts, notified %t, answers %v after %s", got, want, sent, notified, answers, sendBy)
				}
			},
			"send": func(rt *rapid.T) {
				o.refresh()
				claims := o.claim(1)
				released := o.count("SELECT count(*) FROM events WHERE payout_id = ? AND reason = 'released'", d.doubt.ID) == int64(sent)
				if (len(claims) == 1) != released {
					rt.Fatalf("claimed %d times, released: %t", len(claims), released)
				}
				if len(claims) == 1 {
					o.put(claims[0], ledger.Unknown)
					sent, answers, sendBy = sent+1, nil, c.now().Add(claims[0].SendBy)
				}
			},
		})
		// Nothing of this case may be claimed by the next one.
		o.exec("UPDATE payouts SET blocked = 'done' WHERE id = ? AND state = 'UNSENT'", d.doubt.ID)
	})
	if n := o.count("SELECT count(*) FROM attempts WHERE number > 1"); n == 0 {
		t.Error("no payout was ever sent again")
	}
	if n := o.count("SELECT count(*) FROM attempts WHERE number > 2"); n > 0 {
		t.Errorf("%d payouts left a third time", n)
	}
}

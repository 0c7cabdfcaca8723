package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/internal/money"
	"payrun/ledger"
)

var alertRules = ledger.AlertRules{
	After:    map[string]time.Duration{ledger.ExceptionInDoubt: 30 * time.Minute, ledger.ExceptionHeldBack: 10 * time.Minute},
	Approval: time.Hour, Again: time.Hour,
}

// told raises what is due now.
func (o *office) told() []ledger.Alert {
	o.t.Helper()
	alerts, err := o.Raise(o.t.Context(), alertRules)
	must(o.t, err)
	return alerts
}

// tells checks that exactly one alert is raised, with these words in it, and
// that it is not raised again.
func (o *office) tells(kind string, words ...string) ledger.Alert {
	o.t.Helper()
	alerts := o.told()
	if len(alerts) != 1 || alerts[0].Kind != kind {
		o.t.Fatalf("told %+v, want one alert of kind %s", alerts, kind)
	}
	text := strings.Join([]string{alerts[0].Summary, alerts[0].Detail, alerts[0].NextStep}, " | ")
	for _, w := range words {
		if !strings.Contains(text, w) {
			o.t.Errorf("it says %q, without %q", text, w)
		}
	}
	o.tellsNothing()
	return alerts[0]
}

func (o *office) tellsNothing() {
	o.t.Helper()
	if alerts := o.told(); len(alerts) > 0 {
		o.t.Errorf("told %+v", alerts)
	}
}

func TestADoubtIsToldWhenItLastsTooLong(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		batch := o.approved("november.xlsx", sheet("n", 2))
		claims := o.claim(2)
		o.put(claims[0], ledger.Unknown)
		o.put(claims[1], ledger.Unknown)
		o.tellsNothing()
		c.advance(29 * time.Minute)
		o.record(looked(claims[1], ledger.Unknown, ledger.Succeeded, ledger.BySuccess)) // settled in time
		o.tellsNothing()
		c.advance(time.Minute)
		p := o.payout(fmt.Sprintf("%s%08d", batch.OrderPrefix, claims[0].Ordinal))
		a := o.tells(ledger.ExceptionInDoubt, "In doubt too long: payout "+p.OrderNo(), "10.00 USD to "+p.MaskedAccount(), "batch 1", "payrun payout show "+p.OrderNo())
		if a.OrderNo != p.OrderNo() || a.BatchID != batch.ID || a.RaisedAt.Sub(a.Since) != 30*time.Minute {
			t.Errorf("told %+v", a)
		}
		if strings.Contains(fmt.Sprintf("%+v", a), p.Account) {
			t.Errorf("it names the whole account: %+v", a)
		}
		c.advance(24 * time.Hour)
		o.tellsNothing()
		if b := o.breaches(); len(b) > 0 {
			t.Errorf("verify: %q", b)
		}
	})
}

func TestCasesAreToldByTheirRealCauses(t *testing.T) {
	const stranger = "STRANGERSTRANGER00000001"
	callback := func(status string) ledger.Evidence {
		return ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "ended", Status: status, HTTPStatus: 200, Digest: "d", Body: "b"}
	}
	tests := map[string]struct {
		cause func(*office, ledger.Claim)
		kind  string
		words []string
	}{
		"a notification about a stranger": {func(o *office, _ ledger.Claim) {
			must(o.t, o.Notify(o.t.Context(), stranger, callback("7")))
		}, ledger.ExceptionOrphan, []string{"order that is not ours: " + stranger, "nobody here did"}},
		"another end than before": {func(o *office, c ledger.Claim) {
			o.put(c, ledger.Succeeded)
			must(o.t, o.Notify(o.t.Context(), c.OrderNo(), callback("6")))
		}, ledger.ExceptionContrary, []string{"The gateway says otherwise: payout ", "now it says 6"}},
		"evidence that contradicts": {func(o *office, c ledger.Claim) {
			f := answered(c, ledger.Review, ledger.ByConflict)
			f.Note = "the account differs: ours is " + c.Account + ", theirs U7654321, for eve@example.org"
			o.record(f)
		}, ledger.ExceptionReview, []string{"contradicts", "theirs ****4321, for ****.org", "ours is ****2345"}},
		"an unusual status": {func(o *office, c ledger.Claim) {
			f := answered(c, ledger.Accepted, ledger.ByAcceptance)
			f.Unusual = "the gateway calls it status 11"
			o.record(f)
		}, ledger.ExceptionUnusual, []string{"Unusual status at the gateway", "status 11", "10.00 USD"}},
		"a kind nobody has heard of": {func(o *office, c ledger.Claim) {
			must(o.t, o.OpenException(o.t.Context(), ledger.Exception{Kind: "pending-withdrawal", BatchID: c.BatchID, PayoutID: c.ID, Detail: "72 h", NextStep: "ask the payee"}))
		}, "pending-withdrawal", []string{"Pending withdrawal: payout ", "ask the payee; payrun payout show "}},
		"a case that was closed before anybody looked": {func(o *office, _ ledger.Claim) {
			must(o.t, o.OpenException(o.t.Context(), ledger.Exception{Kind: "stuck", Subject: "x", Detail: "d", NextStep: "n"}))
			must(o.t, o.CloseExceptions(o.t.Context(), "stuck", "user:x", "done"))
		}, "stuck", []string{"Stuck: x"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			eachAt(t, func(_ *testing.T, o *office, _ *clock) {
				rows := sheet("n", 2)
				rows[0].Account = "FP12345" // known as one only by being the payout's own
				o.approved("november.xlsx", rows)
				test.cause(o, o.claim(2)[0])
				a := o.tells(test.kind, test.words...)
				if text := fmt.Sprintf("%+v", a); strings.Contains(text, "FP12345") || strings.Contains(text, "U7654321") || strings.Contains(text, "eve@") {
					o.t.Errorf("a whole account number: %s", text)
				}
			})
		})
	}
}

func TestEveryStopIsTold(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		must(t, o.PlaceStop(t.Context(), o.maker, ledger.Everything, "", "look at account U1234567, order ABCDEFGHIJKLMNOP00000001, 1000000.00 USD of 2026-11-21"))
		o.tells(ledger.AlertStopped, "Stopped: everything, by mia",
			"account ****4567, order ABCDEFGHIJKLMNOP00000001, 1000000.00 USD of 2026-11-21", "payrun stop lift")
		must(t, o.Brake(t.Context(), "worker:w1", "16", "5 payouts in a row were refused"))
		o.tells(ledger.AlertStopped, "Stopped: channel 16, by worker:w1", "5 payouts in a row")
		must(t, o.LiftStop(t.Context(), o.checker, ledger.OneChannel, "16"))
		must(t, o.Brake(t.Context(), "worker:w1", "16", "again"))
		c.advance(90 * time.Second)
		must(t, o.LiftStop(t.Context(), o.checker, ledger.OneChannel, "16"))
		o.tells(ledger.AlertStopped, "again; it was lifted 1m30s later")
		must(t, o.PlaceStop(t.Context(), o.maker, ledger.OneWallet, ledger.Wallet("11", "U7654321"), "fraud"))
		a := o.tells(ledger.AlertStopped, "Stopped: wallet ****4321 on channel 11, by mia")
		if strings.Contains(fmt.Sprintf("%+v", a), "7654321") {
			t.Errorf("a whole account number: %+v", a)
		}
		if b := o.breaches(); len(b) > 0 {
			t.Errorf("verify: %q", b)
		}
	})
}

func TestABatchThatWaitsForApprovalIsTold(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		waiting := o.imported("november.xlsx", sheet("n", 3))
		approved := o.imported("december.xlsx", sheet("d", 1))
		for _, b := range []ledger.Batch{waiting, approved} {
			must(t, o.Submit(t.Context(), o.maker, b.ID))
		}
		c.advance(59 * time.Minute)
		must(t, o.Approve(t.Context(), o.checker, approved.ID))
		o.tellsNothing()
		c.advance(time.Minute)
		o.tells(ledger.AlertApproval, "batch 1 (november.xlsx)", "3 payouts, 30.00 USD; handed in by mia", "payrun batch approve 1")
		must(t, o.Recall(t.Context(), o.maker, waiting.ID, "typo"))
		c.advance(2 * time.Hour)
		o.tellsNothing()
		must(t, o.Submit(t.Context(), o.maker, waiting.ID)) // it waits anew
		o.tellsNothing()
		c.advance(time.Hour)
		o.tells(ledger.AlertApproval, "batch 1")
	})
}

func TestAProposalThatWaitsForASecondPersonIsTold(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("november.xlsx", sheet("n", 2))
		claims := o.claim(2)
		for _, claim := range claims {
			o.put(claim, ledger.Review)
		}
		if got := o.told(); len(got) != 2 { // the reviews themselves
			t.Fatalf("told %+v", got)
		}
		var numbers []int64
		for _, claim := range claims {
			n, err := o.Propose(t.Context(), o.maker, claim.OrderNo(), ledger.Proposal{Outcome: ledger.OutcomePaid, Reason: "the statement shows U1234567", Evidence: "line 7"})
			must(t, err)
			numbers = append(numbers, n)
		}
		must(t, o.Withdraw(t.Context(), o.maker, numbers[1]))
		c.advance(59 * time.Minute)
		o.tellsNothing()
		c.advance(time.Minute)
		o.tells(ledger.AlertProposal, `Waiting for a second person: "paid" for payout `+claims[0].OrderNo()+", 10.00 USD to ****0000, batch 1",
			"proposed by mia: the statement shows ****4567", fmt.Sprint("payrun decision confirm ", numbers[0]))
	})
}

func TestAFinishedBatchIsToldOnceWithItsTotals(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, _ *clock) {
		o.approved("november.xlsx", sheet("n", 6))
		claims := o.claim(5) // one stays behind
		o.put(claims[0], ledger.Succeeded)
		o.put(claims[1], ledger.Succeeded)
		o.put(claims[2], ledger.FailedFee)
		o.put(claims[3], ledger.Accepted)
		o.tellsNothing() // one is sent, one accepted, one not sent
		_, err := o.Cancel(t.Context(), o.checker, 1, "enough")
		must(t, err)
		o.tells(ledger.AlertStopped) // to cancel is to stop first
		o.record(looked(claims[3], ledger.Accepted, ledger.Failed, ledger.ByFailure))
		o.tellsNothing() // one call is still under way
		o.put(claims[4], ledger.Unknown)
		o.tellsNothing()
		o.record(looked(claims[4], ledger.Unknown, ledger.Succeeded, ledger.BySuccess))
		o.tells(ledger.AlertFinished, "Finished: batch 1 (november.xlsx)",
			"paid: 3 payouts, 30.00 USD; failed: 1 payout, 10.00 USD; failed, the fee kept: 1 payout, 10.00 USD; cancelled: 1 payout, 10.00 USD")
		o.stoppedOnly() // what cancel stopped has ended
		if b := o.breaches(); len(b) > 0 {
			t.Errorf("verify: %q", b)
		}
	})
}

func TestLimitsThatShrinkAreTold(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.told()
		set := func(minimum, maximum money.Amount) []ledger.Alert {
			before, err := o.Alerts(t.Context(), 100)
			must(t, err)
			must(t, o.SetLimits(t.Context(), []ledger.Limit{{Channel: "16", Currency: "USD", Minimum: minimum, Maximum: maximum, Source: ledger.FromGateway}}))
			after, err := o.Alerts(t.Context(), 100)
			must(t, err)
			return after[:len(after)-len(before)]
		}
		for _, step := range []struct {
			minimum, maximum money.Amount
			want             string
		}{
			{1, 5_000_00, ""},
			{1, 6_000_00, ""}, // wider
			{1, 500_00, "Limits shrunk: channel 16 in USD takes 0.01 to 500.00 per payout now"},
			{1, 500_00, ""},
			{5_00, 500_00, "Limits shrunk: channel 16 in USD takes 5.00 to 500.00 per payout now"},
			{1, 6_000_00, ""},
			{5_00, 500_00, ""}, // the same again on one day
		} {
			news := set(step.minimum, step.maximum)
			if step.want == "" && len(news) > 0 || step.want != "" && (len(news) != 1 || news[0].Summary != step.want || news[0].Kind != ledger.AlertLimits) {
				t.Errorf("%d to %d: told %+v, want %q", step.minimum, step.maximum, news, step.want)
			}
		}
		c.advance(24 * time.Hour)
		set(1, 6_000_00)
		if news := set(5_00, 500_00); len(news) != 1 || !strings.Contains(news[0].Detail, "before, it took 0.01 to 6000.00") {
			t.Errorf("the next day: %+v", news)
		}
	})
}

func TestABalanceThatIsLowIsTold(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		look := func(floors map[money.Currency]money.Amount) {
			t.Helper()
			low, err := o.BalancesLow(t.Context(), floors)
			must(t, err)
			must(t, o.KeepCases(t.Context(), "worker:w1", ledger.ExceptionBalanceLow, low))
		}
		hold := func(amount money.Amount) {
			t.Helper()
			must(t, o.SetGatewayBalance(t.Context(), "USD", amount, ledger.AllCommitted))
		}
		o.approved("november.xlsx", sheet("n", 4)) // needs 42.00
		hold(42_00)
		look(nil)
		o.tellsNothing()
		hold(41_99)
		look(nil)
		look(nil)
		o.tells(ledger.ExceptionBalanceLow, "Balance low: USD", "holds 41.99 USD", "need 42.00 USD", "top up")
		o.put(o.claim(1)[0], ledger.Succeeded) // 31.49 free now, and 31.50 needed
		look(nil)
		hold(31_50)
		look(nil)
		if open, err := o.Exceptions(t.Context()); err != nil || len(open) > 0 {
			t.Errorf("still open: %+v, %v", open, err)
		}
		look(map[money.Currency]money.Amount{"USD": 31_51}) // a floor of our own; but it was told just now
		o.tellsNothing()
		c.advance(59 * time.Minute)
		o.tellsNothing()
		c.advance(time.Minute)
		o.tells(ledger.ExceptionBalanceLow, "holds 31.50 USD", "alert.balance_low asks for 31.51 USD")
	})
}

// What comes and goes is told once an hour, and only while it is there.
func TestACaseThatComesAndGoesIsNotToldEachTime(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		keep := func(cases ...ledger.Exception) { must(t, o.KeepCases(t.Context(), "w", "flapping", cases)) }
		one := ledger.Exception{Subject: "x", Detail: "d", NextStep: "n"}
		keep(one)
		o.tells("flapping", "Flapping: x")
		for range 5 {
			keep()
			keep(one)
			c.advance(10 * time.Minute)
			o.tellsNothing()
		}
		keep()
		c.advance(time.Hour)
		o.tellsNothing() // it is gone
		keep(one, ledger.Exception{Subject: "y", Detail: "d", NextStep: "n"})
		if alerts := o.told(); len(alerts) != 2 {
			t.Errorf("told %+v", alerts)
		}
	})
}

func TestManyProcessesTellEachThingOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const things = 700 // more than one transaction takes
		for i := range things {
			must(t, o.OpenException(t.Context(), ledger.Exception{Kind: "stuck", Subject: fmt.Sprint("thing ", i), Detail: "d", NextStep: "n"}))
		}
		o.approved("november.xlsx", sheet("n", 1))
		o.put(o.claim(1)[0], ledger.Succeeded)
		waiting := o.imported("w.xlsx", sheet("w", 1))
		must(t, o.Submit(t.Context(), o.maker, waiting.ID))
		must(t, o.Brake(t.Context(), "worker:w1", "16", "r"))
		var all [4][]ledger.Alert
		together(t, len(all), func(i int) (err error) {
			all[i], err = o.Raise(t.Context(), ledger.AlertRules{})
			return err
		})
		seen := map[string]int{}
		for _, a := range slices.Concat(all[0], all[1], all[2], all[3]) {
			seen[a.Once]++
		}
		stored, err := o.Alerts(t.Context(), 10_000)
		must(t, err)
		if len(seen) != things+3 || len(stored) != things+3 {
			t.Errorf("%d things told, %d stored, want %d", len(seen), len(stored), things+3)
		}
		for once, n := range seen {
			if n != 1 {
				t.Errorf("%s was told %d times", once, n)
			}
		}
	})
}

// telling is an office whose alerts go one way.
func telling(t *testing.T, o *office, n int) *ledger.Book {
	t.Helper()
	book := ledger.New(o.db, ledger.Config{AlertTo: []string{"webhook", "mail"}})
	for i := range n {
		must(t, book.OpenException(t.Context(), ledger.Exception{Kind: "stuck", Subject: fmt.Sprint(i), Detail: "d", NextStep: "n"}))
	}
	_, err := book.Raise(t.Context(), alertRules)
	must(t, err)
	return book
}

func TestADeliveryIsTakenByOneAndComesBack(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		book := telling(t, o, 3)
		take := func(most int) []ledger.Undelivered {
			t.Helper()
			taken, err := book.TakeDeliveries(t.Context(), "webhook", most, time.Minute)
			must(t, err)
			return taken
		}
		first := take(2)
		if len(first) != 2 || first[0].Subject != "0" || first[0].Tries != 1 {
			t.Fatalf("took %+v", first)
		}
		if rest := take(5); len(rest) != 1 || rest[0].Subject != "2" {
			t.Fatalf("another took %+v", rest)
		}
		must(t, book.Delivered(t.Context(), "webhook", first[:1], "204"))
		must(t, book.DeliveryFailed(t.Context(), "webhook", first[1:], []time.Duration{10 * time.Second}, "503"))
		c.advance(9 * time.Second)
		if again := take(5); len(again) != 0 {
			t.Errorf("taken too early: %+v", again)
		}
		c.advance(51 * time.Second) // the others' lease ends as well
		again := take(5)
		if len(again) != 2 || again[0].Subject != "1" || again[0].Tries != 2 {
			t.Errorf("taken again: %+v", again)
		}
		// The one who was too slow reports a failure that is nobody's business
		// any more, then a success that is true all the same.
		must(t, book.DeliveryFailed(t.Context(), "webhook", first[1:], []time.Duration{0}, "late"))
		c.advance(time.Minute)
		if again = take(5); len(again) != 2 {
			t.Errorf("a late report took one away: %+v", again)
		}
		must(t, book.Delivered(t.Context(), "webhook", first[1:], "204"))
		must(t, book.DeliveryFailed(t.Context(), "webhook", again[:1], []time.Duration{time.Second}, "late"))
		c.advance(time.Hour)
		if again = take(5); len(again) != 1 || again[0].Subject != "2" {
			t.Errorf("what arrived is taken again: %+v", again)
		}
	})
}

func TestWhatIsGivenUpStaysVisible(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		book := telling(t, o, 2)
		taken, err := book.TakeDeliveries(t.Context(), "webhook", 5, time.Minute)
		must(t, err)
		must(t, book.DeliveryFailed(t.Context(), "webhook", taken[:1], []time.Duration{0}, "gone for good"))
		must(t, book.Delivered(t.Context(), "webhook", taken[1:], "204"))
		c.advance(24 * time.Hour)
		if taken, err = book.TakeDeliveries(t.Context(), "webhook", 5, time.Minute); err != nil || len(taken) > 0 {
			t.Errorf("taken again: %+v, %v", taken, err)
		}
		left, err := book.Backlogs(t.Context())
		must(t, err)
		if want := []ledger.Backlog{{Way: "mail", Waiting: 2}, {Way: "webhook", GivenUp: 1}}; !slices.Equal(left, want) {
			t.Errorf("left: %+v, want %+v", left, want)
		}
		mails, err := book.TakeDeliveries(t.Context(), "mail", 5, time.Minute)
		must(t, err)
		must(t, book.Delivered(t.Context(), "mail", mails, "250"))
		alerts, err := book.UndeliveredAlerts(t.Context(), 10)
		must(t, err)
		deliveries, err := book.Deliveries(t.Context(), alerts)
		must(t, err)
		if len(alerts) != 1 || len(deliveries) != 2 || deliveries[1].GivenUpAt == 0 || deliveries[1].Answer != "gone for good" {
			t.Errorf("undelivered: %+v, %+v", alerts, deliveries)
		}
	})
}

// A case that is told while somebody has proposed what to do says that it has
// to be confirmed, and by whom; once that is refused it says its own next step.
func TestATellingKnowsOfAnOpenProposal(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("november", sheet("n", 3))
		claims := o.claim(3)
		var numbers []int64
		for i, claim := range claims {
			o.put(claim, ledger.Unknown)
			as := []ledger.Outcome{ledger.OutcomePaid, ledger.OutcomePaid, ledger.OutcomeSendAgain}[i]
			numbers = append(numbers, o.propose(o.maker, claim.OrderNo(), said(as)))
		}
		must(t, o.Refuse(t.Context(), o.checker, numbers[1], "no such line"))
		c.advance(30 * time.Minute)
		want := map[string]string{
			claims[0].OrderNo(): fmt.Sprintf("a checker other than mia: payrun decision confirm %d; payrun payout show", numbers[0]),
			claims[1].OrderNo(): "wait, the money stays held",
			claims[2].OrderNo(): fmt.Sprintf("a checker other than mia: payrun decision confirm %d, but first wait, the money stays held", numbers[2]),
		}
		for _, a := range o.told() {
			if a.Kind == ledger.ExceptionInDoubt && !strings.HasPrefix(a.NextStep, want[a.OrderNo]) {
				t.Errorf("%s: the next step is %q, want %q", a.OrderNo, a.NextStep, want[a.OrderNo])
			}
			if a.Kind == ledger.ExceptionInDoubt {
				delete(want, a.OrderNo)
			}
		}
		if len(want) > 0 {
			t.Errorf("not told: %v", want)
		}
	})
}

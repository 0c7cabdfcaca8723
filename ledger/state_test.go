package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

var (
	states = []ledger.State{
		ledger.Valid, ledger.Submitted, ledger.Approved, ledger.Cancelled, ledger.Sending, ledger.Unknown, ledger.Accepted,
		ledger.Review, ledger.Succeeded, ledger.Failed, ledger.FailedFee, ledger.Closed,
	}
	reasons = []ledger.Reason{
		ledger.BySubmission, ledger.ByRejection, ledger.ByRecall, ledger.ByApproval, ledger.ByDiscarding, ledger.ByCancellation,
		ledger.ByClaim, ledger.ByNotSending, ledger.ByAcceptance, ledger.ByDoubt, ledger.ByLostLease, ledger.ByFinding, ledger.ByRelease,
		ledger.ByProof, ledger.BySuccess, ledger.ByFailure, ledger.ByKeptFee, ledger.ByClosing, ledger.ByConflict, ledger.ByTwoPeople,
		ledger.ByCorrection,
	}
	// holding are the states whose money is held.
	holding = []ledger.State{ledger.Approved, ledger.Sending, ledger.Unknown, ledger.Accepted, ledger.Review}
)

func legal(from, to ledger.State, reason ledger.Reason) bool {
	return slices.ContainsFunc(ledger.Transitions, func(t ledger.Transition) bool {
		return t.From == from && t.To == to && t.Reason == reason
	})
}

// A state without its place in the order and its words would be missing from
// what people are shown.
func TestEveryStateIsCalledSomething(t *testing.T) {
	t.Parallel()
	for _, state := range states {
		if rank := state.Rank(); rank < 0 || ledger.States[rank].Short == "" || ledger.States[rank].Meaning == "" {
			t.Errorf("%s has no words", state)
		}
	}
	if ledger.State("UNSENT").Rank() >= 0 || len(ledger.States) != len(states) {
		t.Errorf("%d states have words, want %d", len(ledger.States), len(states))
	}
}

func TestTheTableIsASpecification(t *testing.T) {
	t.Parallel()
	for i, tr := range ledger.Transitions {
		name := fmt.Sprintf("%s to %s as %s", tr.From, tr.To, tr.Reason)
		if tr.Guard == "" || tr.Posting == nil || tr.From == tr.To {
			t.Errorf("%s: incomplete", name)
		}
		if !slices.Contains(states, tr.From) || !slices.Contains(states, tr.To) || !slices.Contains(reasons, tr.Reason) {
			t.Errorf("%s: unknown words", name)
		}
		for _, other := range ledger.Transitions[:i] {
			if other.From == tr.From && other.To == tr.To && other.Reason == tr.Reason {
				t.Errorf("%s: twice", name)
			}
		}
		if tr.From.Final() && tr.Reason != ledger.ByCorrection {
			t.Errorf("%s: a final state is left without a correction", name)
		}
		if tr.From == ledger.Cancelled && tr.To != ledger.Succeeded {
			t.Errorf("%s: what was cancelled stays so, unless the gateway paid it", name)
		}
		if tr.To == ledger.Sending && tr.From != ledger.Approved {
			t.Errorf("%s: only what is approved is sent", name)
		}
		if tr.To == ledger.Approved && tr.From.Sent() && tr.Reason != ledger.ByNotSending && tr.Reason != ledger.ByRelease {
			t.Errorf("%s: sent again without proof", name)
		}
		if tr.Reason == ledger.ByCorrection && !tr.From.Final() {
			t.Errorf("%s: a correction of what has not ended", name)
		}
	}
	for _, s := range states {
		reached := s == ledger.Valid || slices.ContainsFunc(ledger.Transitions, func(t ledger.Transition) bool { return t.To == s })
		left := slices.ContainsFunc(ledger.Transitions, func(t ledger.Transition) bool { return t.From == s })
		if !reached || !left {
			t.Errorf("%s: reached %t, left %t", s, reached, left)
		}
	}
}

// anySums draws sums up to what a sheet can hold, with fees that may be
// absent, unexpected, or larger than what was held for them.
func anySums(rt *rapid.T) ledger.Sums {
	const most = 1_000_000_000_000_00
	fee := rapid.OneOf(rapid.Just(money.Amount(0)), rapid.Map(rapid.Int64Range(1, most), func(n int64) money.Amount { return money.Amount(n) }))
	return ledger.Sums{
		Amount:   money.Amount(rapid.Int64Range(1, most).Draw(rt, "amount")),
		Estimate: fee.Draw(rt, "estimate"),
		Fee:      fee.Draw(rt, "fee"),
	}
}

// signed adds a posting's lines to balances: debits less credits.
func signed(balances map[ledger.Kind]money.Amount, lines []ledger.Line) {
	for _, l := range lines {
		if l.Side == ledger.Debit {
			balances[l.Account] += l.Amount
		} else {
			balances[l.Account] -= l.Amount
		}
	}
}

func total(balances map[ledger.Kind]money.Amount) (sum money.Amount) {
	for _, b := range balances {
		sum += b
	}
	return sum
}

func TestEveryPostingBalances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		sums := anySums(rt)
		for _, tr := range ledger.Transitions {
			lines := tr.Posting(sums)
			balances := map[ledger.Kind]money.Amount{}
			signed(balances, lines)
			if sum := total(balances); sum != 0 {
				rt.Errorf("%s to %s as %s: off by %d", tr.From, tr.To, tr.Reason, sum)
			}
			for i, l := range lines {
				if l.Amount <= 0 || l.Side != ledger.Debit && l.Side != ledger.Credit {
					rt.Errorf("%s to %s: line %+v", tr.From, tr.To, l)
				}
				if slices.ContainsFunc(lines[:i], func(other ledger.Line) bool { return other.Account == l.Account }) {
					rt.Errorf("%s to %s: two lines on %s", tr.From, tr.To, l.Account)
				}
			}
			held, before, after := balances[ledger.Held], slices.Contains(holding, tr.From), slices.Contains(holding, tr.To)
			switch {
			case before == after && held != 0:
				rt.Errorf("%s to %s moves %d of what is held", tr.From, tr.To, held)
			case before && !after && held != -sums.Amount-sums.Estimate:
				rt.Errorf("%s to %s gives back %d of %d held", tr.From, tr.To, -held, sums.Amount+sums.Estimate)
			case !before && after && held != sums.Amount+sums.Estimate:
				rt.Errorf("%s to %s holds %d of %d", tr.From, tr.To, held, sums.Amount+sums.Estimate)
			}
		}
	})
}

// Whatever way a payout takes, no money appears or goes missing, and what it
// does not need any more is not held any more.
func TestMoneyIsConservedOnEveryPath(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		sums := anySums(rt)
		balances := map[ledger.Kind]money.Amount{}
		state := ledger.Valid
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			var ways []ledger.Transition
			for _, tr := range ledger.Transitions {
				if tr.From == state {
					ways = append(ways, tr)
				}
			}
			if len(ways) == 0 {
				break
			}
			way := ways[rapid.IntRange(0, len(ways)-1).Draw(rt, "way")]
			signed(balances, way.Posting(sums))
			state = way.To
			var held, suspended, paid money.Amount
			switch {
			case slices.Contains(holding, state):
				held = sums.Amount + sums.Estimate
			case state == ledger.Closed:
				suspended = sums.Amount + sums.Estimate
			case state == ledger.Succeeded:
				paid = sums.Amount
			}
			if sum := total(balances); sum != 0 {
				rt.Fatalf("%s as %s: %d from nowhere: %v", state, way.Reason, sum, balances)
			}
			if balances[ledger.Held] != held || balances[ledger.Suspense] != suspended || balances[ledger.Paid] != paid || balances[ledger.Funding] != 0 {
				rt.Fatalf("%s as %s: %v", state, way.Reason, balances)
			}
			if fees := balances[ledger.Fees]; fees != 0 && fees != sums.Fee {
				rt.Fatalf("%s as %s: fees %d, the gateway took %d", state, way.Reason, fees, sums.Fee)
			}
		}
	})
}

// Every change of state that the table does not know is refused, from every
// state a payout can really be in, and leaves no trace in its state, events
// and books.
func TestWhatTheTableDoesNotKnowIsRefused(t *testing.T) {
	t.Parallel()
	for engine, every := range map[string]int{"sqlite": 1, "postgres": 37} { // PostgreSQL takes a sample
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o, _ := officeAt(t, engine)
			froms := []ledger.State{
				ledger.Sending, ledger.Unknown, ledger.Accepted, ledger.Review, ledger.Succeeded, ledger.Failed, ledger.FailedFee, ledger.Closed, ledger.Approved,
			}
			o.approved("states", sheet("s", len(froms)))
			claims := o.claim(len(froms))
			for i, from := range froms {
				o.put(claims[i], from)
			}
			snapshot := func() string {
				var all string
				for _, c := range claims {
					all += fmt.Sprintf("%+v\n", o.payout(c.OrderNo()))
				}
				return all + fmt.Sprintf("%+v %d %d", o.usd(), o.count("SELECT count(*) FROM events"), o.count("SELECT count(*) FROM entries"))
			}
			before, tried := snapshot(), 0
			for i, from := range froms {
				for _, to := range states {
					for _, reason := range reasons {
						if from == to || legal(from, to, reason) {
							continue
						}
						if tried++; tried%every != 0 {
							continue
						}
						f := looked(claims[i], from, to, reason)
						if n, err := o.Record(t.Context(), "worker:w1", []ledger.Finding{f}); n != 0 || !errors.Is(err, ledger.ErrTransition) {
							t.Fatalf("%s to %s as %s: %d took effect, error %v", from, to, reason, n, err)
						}
					}
				}
			}
			if after := snapshot(); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			if tried < 2000 {
				t.Errorf("only %d changes were tried", tried)
			}
			o.sound()
		})
	}
}

// What takes two people is no finding: no single worker or user can record it.
func TestDecisionsOfTwoPeopleAreNotFindings(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		var decisions []ledger.Transition
		for _, tr := range ledger.Transitions {
			if tr.Reason == ledger.ByTwoPeople || tr.Reason == ledger.ByCorrection {
				decisions = append(decisions, tr)
			}
		}
		o.approved("decisions", sheet("d", len(decisions)))
		for i, c := range o.claim(len(decisions)) {
			tr := decisions[i]
			o.put(c, tr.From)
			money := o.usd()
			n, err := o.Record(t.Context(), "user:mia", []ledger.Finding{looked(c, tr.From, tr.To, tr.Reason)})
			if n != 0 || err == nil || o.payout(c.OrderNo()).State != tr.From || o.usd() != money {
				t.Errorf("%s to %s as %s: one person's word took effect (%d, error %v)", tr.From, tr.To, tr.Reason, n, err)
			}
		}
		o.sound()
	})
}

// Each step of a batch starts from one state only.
func TestABatchTakesOneStepAtATime(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		actions := []struct {
			name string
			from ledger.State
			do   func(batch int64) error
		}{
			{"submit", ledger.Valid, func(b int64) error { return o.Submit(ctx, o.maker, b) }},
			{"discard", ledger.Valid, func(b int64) error { return o.Discard(ctx, o.maker, b, "reason") }},
			{"approve", ledger.Submitted, func(b int64) error { return o.Approve(ctx, o.checker, b) }},
			{"reject", ledger.Submitted, func(b int64) error { return o.Reject(ctx, o.checker, b, "reason") }},
			{"recall", ledger.Submitted, func(b int64) error { return o.Recall(ctx, o.maker, b, "reason") }},
			{"cancel", ledger.Approved, func(b int64) error { _, err := o.Cancel(ctx, o.checker, b, "reason"); return err }},
		}
		for _, state := range []ledger.State{ledger.Valid, ledger.Submitted, ledger.Approved, ledger.Cancelled} {
			for _, action := range actions {
				name := fmt.Sprintf("%s a batch that is %s", action.name, state)
				batch := o.imported(name, sheet(name, 1))
				switch state {
				case ledger.Submitted, ledger.Approved:
					must(t, o.Submit(ctx, o.maker, batch.ID))
				case ledger.Cancelled:
					must(t, o.Discard(ctx, o.maker, batch.ID, "reason"))
				}
				if state == ledger.Approved {
					must(t, o.Approve(ctx, o.checker, batch.ID))
				}
				before, err := o.Batch(ctx, batch.ID)
				must(t, err)
				err = action.do(batch.ID)
				if action.from == state {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				after, readErr := o.Batch(ctx, batch.ID)
				must(t, readErr)
				if !errors.Is(err, ledger.ErrConflict) || after != before {
					t.Errorf("%s: error %v, batch %+v", name, err, after)
				}
			}
		}
		for _, action := range actions {
			if err := action.do(4711); !errors.Is(err, ledger.ErrNotFound) && !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("%s a batch that does not exist: %v", action.name, err)
			}
		}
		o.sound()
	})
}

func TestStepsBackNeedAReason(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		batch := o.imported("reasons", sheet("r", 1))
		if err := o.Discard(ctx, o.maker, batch.ID, ""); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("discarded without a reason: %v", err)
		}
		must(t, o.Submit(ctx, o.maker, batch.ID))
		for name, err := range map[string]error{
			"rejected": o.Reject(ctx, o.checker, batch.ID, ""), "recalled": o.Recall(ctx, o.maker, batch.ID, ""),
		} {
			if !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("%s without a reason: %v", name, err)
			}
		}
		must(t, o.Approve(ctx, o.checker, batch.ID))
		if _, err := o.Cancel(ctx, o.checker, batch.ID, ""); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("cancelled without a reason: %v", err)
		}
	})
}

func TestOnlyWhatIsAvailableIsApproved(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		all := usd10("all", func(p *ledger.NewPayout) { p.Amount, p.FeeEstimate = topUp-50, 50 })
		o.approved("all", all)
		if got := o.usd(); got.Available != 0 || got.Held != topUp {
			t.Errorf("balances %+v", got)
		}
		cent := o.imported("cent", usd10("cent", func(p *ledger.NewPayout) { p.Amount, p.FeeEstimate = 1, 0 }))
		must(t, o.Submit(ctx, o.maker, cent.ID))
		if err := o.Approve(ctx, o.checker, cent.ID); !errors.Is(err, ledger.ErrFunds) {
			t.Errorf("approved a cent that is not there: %v", err)
		}
		must(t, o.Fund(ctx, o.admin, 1, "USD", "bank reference 2"))
		must(t, o.Approve(ctx, o.checker, cent.ID))
		o.sound()
	})
}

// Two checkers may approve at the same moment: the money is there once.
func TestApprovalsAtOnceDoNotSpendMoneyTwice(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const batches = 6
		var ids []int64
		for i := range batches {
			name := fmt.Sprint("half", i)
			b := o.imported(name, usd10(name, func(p *ledger.NewPayout) { p.Amount, p.FeeEstimate = topUp/2-50, 50 }))
			must(t, o.Submit(t.Context(), o.maker, b.ID))
			ids = append(ids, b.ID)
		}
		approved := make([]bool, batches)
		together(t, batches, func(i int) error {
			err := o.Approve(t.Context(), o.checker, ids[i])
			approved[i] = err == nil
			if errors.Is(err, ledger.ErrFunds) {
				return nil
			}
			return err
		})
		n := 0
		for _, yes := range approved {
			if yes {
				n++
			}
		}
		if got := o.usd(); n != 2 || got.Available != 0 || got.Held != topUp {
			t.Errorf("%d of %d halves approved, balances %+v", n, batches, got)
		}
		o.sound()
	})
}

// What cannot be sent any more is given back, what is under way goes on.
func TestCancelGivesBackWhatWasNeverSent(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("cancel", sheet("c", 6))
		claims := o.claim(3)
		o.put(claims[0], ledger.Succeeded)
		o.put(claims[1], ledger.Approved) // tried once, with proof that nothing was sent
		n, err := o.Cancel(t.Context(), o.checker, batch.ID, "wrong month")
		if n != 4 || err != nil {
			t.Errorf("cancelled %d, error %v", n, err)
		}
		if got := o.usd(); got.Held != 10_50 || got.Paid != 10_00 {
			t.Errorf("balances %+v", got)
		}
		if left := o.claim(10); len(left) != 0 {
			t.Errorf("claimed %d payouts of a cancelled batch", len(left))
		}
		_, err = o.Cancel(t.Context(), o.checker, batch.ID, "again")
		if want := "nothing left that could be taken back: 1 paid, 4 cancelled, 1 being sent"; !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("cancelled again: %v", err)
		}
		o.stoppedOnly("batch 1") // the one that is being sent may come back
		o.sound()
	})
}

// A batch that is taken back leaves no stop behind that holds nothing.
func TestCancelLiftsItsStopWhenNothingIsLeft(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("all", sheet("a", 2))
		_, err := o.Cancel(t.Context(), o.checker, batch.ID, "wrong month")
		must(t, err)
		o.stoppedOnly()
		if n := o.count("SELECT count(*) FROM audit WHERE action = 'batch.cancel' AND detail = '2 payouts: wrong month'"); n != 1 {
			t.Errorf("%d audit records of it", n)
		}
		for _, alert := range o.told() {
			if alert.Kind == ledger.AlertStopped {
				t.Errorf("told of a stop that was over: %s", alert.Summary)
			}
		}

		under := o.approved("under way", sheet("u", 2))
		o.put(o.claim(1)[0], ledger.Accepted) // cannot be sent again
		must(t, o.PlaceStop(t.Context(), o.maker, ledger.OneBatch, fmt.Sprint(under.ID), "wait"))
		_, err = o.Cancel(t.Context(), o.checker, under.ID, "wrong month")
		must(t, err)
		o.stoppedOnly()

		for id, want := range map[int64]ledger.Ended{batch.ID: {BatchID: 1, Payouts: 2, Cancelled: 1}, under.ID: {BatchID: 2, Payouts: 1}} {
			if ended, err := o.Ended(t.Context()); err != nil || ended[id] != want {
				t.Errorf("batch %d: %+v, %v", id, ended[id], err)
			}
		}
		o.sound()
	})
}

// Nothing to take back: nothing is stopped, and nobody told.
func TestCancelOfAFinishedBatchChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("paid", sheet("p", 2))
		for _, claim := range o.claim(2) {
			o.put(claim, ledger.Succeeded)
		}
		before := o.count("SELECT count(*) FROM audit")
		_, err := o.Cancel(t.Context(), o.checker, batch.ID, "too late")
		if !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), "batch 1 has nothing left that could be taken back: 2 paid") {
			t.Errorf("%v", err)
		}
		if after := o.count("SELECT count(*) FROM audit"); after != before {
			t.Errorf("%d audit records more", after-before)
		}
		o.stoppedOnly()
	})
}

func (o *office) stoppedOnly(want ...string) {
	o.t.Helper()
	stops, err := o.Stops(o.t.Context())
	must(o.t, err)
	var got []string
	for _, s := range stops {
		got = append(got, s.Name())
	}
	if !slices.Equal(got, want) {
		o.t.Errorf("stopped: %q, want %q", got, want)
	}
}

// While a batch is cancelled it is being paid: each payout is one or the other.
func TestCancelAndClaimAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const payouts = 60
		batch := o.approved("both", sheet("b", payouts))
		var cancelled int
		together(t, 4, func(i int) (err error) {
			if i == 0 {
				cancelled, err = o.Cancel(t.Context(), o.checker, batch.ID, "stop")
				if errors.Is(err, ledger.ErrConflict) { // all were claimed first
					err = nil
				}
				return err
			}
			_, err = o.Claim(t.Context(), order(10))
			return err
		})
		sending := o.count("SELECT count(*) FROM payouts WHERE state = 'SENDING'")
		if int64(cancelled)+sending != payouts {
			t.Errorf("%d cancelled, %d claimed, of %d", cancelled, sending, payouts)
		}
		if held := o.usd().Held; held != money.Amount(sending)*10_50 {
			t.Errorf("held %d for %d payouts", held, sending)
		}
		o.sound()
	})
}

// Sums that no int64 holds are an error, never a wrapped number.
func TestSumsThatOverflowAreRefused(t *testing.T) {
	const most = money.Amount(1<<63 - 1)
	tests := []struct {
		name string
		rows []ledger.NewPayout
	}{
		{"amount and fee of one payout", usd10("a", func(p *ledger.NewPayout) { p.Amount, p.FeeEstimate = most, most })},
		{"amount and fee, by one", usd10("b", func(p *ledger.NewPayout) { p.Amount, p.FeeEstimate = most, 1 })},
		{"amounts of one channel", []ledger.NewPayout{
			usd10("c", func(p *ledger.NewPayout) { p.Amount = most })[0], usd10("c")[0],
		}},
		{"amounts of two channels", []ledger.NewPayout{
			usd10("d", func(p *ledger.NewPayout) { p.Amount = most })[0], usd10("d", func(p *ledger.NewPayout) { p.Channel = "16" })[0],
		}},
		{"fees of one channel", []ledger.NewPayout{
			usd10("e", func(p *ledger.NewPayout) { p.FeeEstimate = most })[0], usd10("e")[0],
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				batch, err := o.stagedAndPublished(tt.name, tt.rows)
				if err == nil {
					err = o.Submit(t.Context(), o.maker, batch.ID)
				}
				if err == nil {
					err = o.Approve(t.Context(), o.checker, batch.ID)
				}
				if err == nil || database.IsConnection(err) {
					t.Errorf("approved; error %v", err)
				}
				if got := o.usd(); got.Held != 0 || got.Available != topUp {
					t.Errorf("balances %+v", got)
				}
				o.sound()
			})
		})
	}
}

func (o *office) stagedAndPublished(name string, rows []ledger.NewPayout) (ledger.Batch, error) {
	o.t.Helper()
	s, err := o.Stage(o.t.Context(), o.maker, name, "acct@example.com")
	must(o.t, err)
	if err := s.Add(o.t.Context(), rows); err != nil {
		return ledger.Batch{}, errors.Join(err, s.Discard(o.t.Context()))
	}
	n := int64(len(rows))
	return s.Publish(o.t.Context(), ledger.Counts{SourceDigest: name, Read: n, Accepted: n})
}

package ledger_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/ledger"
)

// modelled is one payout as the model knows it.
type modelled struct {
	id, batch int64
	no        string
	state     ledger.State
	attempt   int64
	attempts  int
	notSent   int // attempts of which no byte left
	amount    money.Amount
	estimate  money.Amount
	fee       money.Amount
	feeKnown  bool
	known     bool // the gateway notified about it before it was ever sent
	spoken    bool // the gateway notified about it, whenever
	booked    money.Amount
	has       bool // the gateway named an order of its own
	disputed  bool // the gateway notified about it
	repaid    bool // blocked: what it pays again was paid after all
	unblocked bool // by people, so that the gateway is asked before it is sent
	repays    *modelled
	again     *modelled // what pays it again, the newest
}

// asked reports whether the gateway is asked before it is sent.
func (p *modelled) asked() bool { return p.unblocked || p.spoken || p.repays != nil }

// life plays a ledger's life, step by random step, beside a model that knows
// no database, no transition table and no posting.
type life struct {
	*office
	rt       *rapid.T
	ctx      context.Context
	clock    *clock
	sheets   int
	steps    int
	batches  map[ledger.State][]int64
	stopped  map[int64]bool
	payouts  map[int64]*modelled
	balances ledger.Balances
}

func newLife(rt *rapid.T, o *office, c *clock) *life {
	return &life{
		office: o, rt: rt, ctx: o.t.Context(), clock: c, batches: map[ledger.State][]int64{}, stopped: map[int64]bool{},
		payouts: map[int64]*modelled{}, balances: ledger.Balances{Currency: "USD", Funding: -topUp, Available: topUp},
	}
}

func (l *life) must(err error) {
	if err != nil {
		l.rt.Fatal(err)
	}
}

// any draws a batch in a state; without one the step is skipped.
func (l *life) any(state ledger.State) int64 {
	if len(l.batches[state]) == 0 {
		l.rt.Skip("no batch is ", state)
	}
	return rapid.SampledFrom(l.batches[state]).Draw(l.rt, "batch")
}

// move takes a batch from a state to another, with those of its payouts that
// stand where it stands.
func (l *life) move(batch int64, from, to ledger.State) {
	l.batches[from] = slices.DeleteFunc(l.batches[from], func(id int64) bool { return id == batch })
	l.batches[to] = append(l.batches[to], batch)
	for _, p := range l.of(batch, from) {
		p.state = to
	}
}

// of lists the payouts of a batch (0: of any) in one of the states, in order.
func (l *life) of(batch int64, states ...ledger.State) []*modelled {
	var found []*modelled
	for _, p := range l.payouts {
		if (batch == 0 || p.batch == batch) && slices.Contains(states, p.state) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *modelled) int { return int(a.id - b.id) })
	return found
}

func (l *life) importSheet(*rapid.T) {
	l.sheets++
	name := fmt.Sprint("sheet", l.sheets)
	rows := sheet(name, rapid.IntRange(1, 4).Draw(l.rt, "rows"))
	for i := range rows {
		rows[i].Amount = money.Amount(rapid.Int64Range(1, 600_00).Draw(l.rt, "amount"))
		rows[i].FeeEstimate = money.Amount(rapid.Int64Range(0, 5_00).Draw(l.rt, "estimate"))
	}
	s, err := l.Stage(l.ctx, l.maker, name, "acct@example.com")
	l.must(err)
	l.must(s.Add(l.ctx, rows))
	if rapid.IntRange(0, 9).Draw(l.rt, "fate") == 0 {
		l.must(s.Discard(l.ctx))
		return
	}
	counts := accepted(len(rows))
	counts.SourceDigest = name
	batch, err := s.Publish(l.ctx, counts)
	l.must(err)
	l.batches[ledger.Valid] = append(l.batches[ledger.Valid], batch.ID)
	for i, row := range rows {
		id := batch.ID*100_000_000 + int64(i+1)
		l.payouts[id] = &modelled{
			id: id, batch: batch.ID, no: fmt.Sprintf("%s%08d", batch.OrderPrefix, i+1), state: ledger.Valid, amount: row.Amount, estimate: row.FeeEstimate,
		}
	}
}

func (l *life) submit(*rapid.T) {
	batch := l.any(ledger.Valid)
	l.must(l.Submit(l.ctx, l.maker, batch))
	l.move(batch, ledger.Valid, ledger.Submitted)
}

func (l *life) reject(*rapid.T) {
	batch := l.any(ledger.Submitted)
	l.must(l.Reject(l.ctx, l.checker, batch, "not yet"))
	l.move(batch, ledger.Submitted, ledger.Valid)
}

func (l *life) discard(*rapid.T) {
	batch := l.any(ledger.Valid)
	l.must(l.Discard(l.ctx, l.maker, batch, "typing error"))
	l.move(batch, ledger.Valid, ledger.Cancelled)
}

func (l *life) approve(*rapid.T) {
	batch := l.any(ledger.Submitted)
	var needed money.Amount
	for _, p := range l.of(batch, ledger.Submitted) {
		needed += p.amount + p.estimate
	}
	err := l.Approve(l.ctx, l.checker, batch)
	stale, disputed := l.overtaken(batch)
	if errors.Is(err, ledger.ErrConflict) && (stale || disputed) {
		return
	}
	if needed > l.balances.Available {
		if !errors.Is(err, ledger.ErrFunds) {
			l.rt.Fatalf("%d are needed, %d available: %v", needed, l.balances.Available, err)
		}
		return
	}
	l.must(err)
	if stale {
		l.rt.Fatalf("batch %d is approved, though what it pays again has not failed", batch)
	}
	l.balances.Available -= needed
	l.balances.Held += needed
	l.move(batch, ledger.Submitted, ledger.Approved)
}

func (l *life) fund(*rapid.T) {
	amount := money.Amount(rapid.Int64Range(1, 2_000_00).Draw(l.rt, "amount"))
	l.must(l.Fund(l.ctx, l.admin, amount, "USD", fmt.Sprint("bank reference of step ", l.steps, " and balance ", l.balances.Funding)))
	l.balances.Funding -= amount
	l.balances.Available += amount
}

func (l *life) claimSome(*rapid.T) {
	max := rapid.IntRange(1, 6).Draw(l.rt, "max")
	waiting := slices.DeleteFunc(l.of(0, ledger.Approved), func(p *modelled) bool { return p.known || p.repaid || l.stopped[p.batch] })
	asked := order(max)
	asked.LimitsAge = 10_000 * time.Hour
	claimed, err := l.Claim(l.ctx, asked)
	l.must(err)
	waiting = slices.DeleteFunc(waiting, l.stoodDown)
	most, least := min(max, len(waiting)), min(max, len(waiting))
	if slices.ContainsFunc(waiting, (*modelled).asked) { // then some take up to three slots
		least = (most + 2) / 3
	}
	if n := len(claimed.Claims); n > most || n < least {
		l.rt.Fatalf("claimed %d of %d payouts, at most %d", n, len(waiting), max)
	}
	for _, c := range claimed.Claims {
		p := l.payouts[c.ID]
		if !slices.Contains(waiting, p) || c.OrderNo() != p.no || c.Amount != p.amount || int(c.Number) != p.attempts+1 || p.state != ledger.Approved {
			l.rt.Fatalf("claimed %+v, the model says %+v", c, p)
		}
		p.state, p.attempt, p.attempts = ledger.Sending, c.AttemptID, p.attempts+1
	}
}

// stoodDown reports whether a payout is blocked because something it pays
// again may have been paid: which disputes count is the ledger's to know.
func (l *life) stoodDown(p *modelled) bool {
	found, err := l.Payout(l.ctx, p.no)
	l.must(err)
	p.repaid = found.Blocked == ledger.BlockedRepaid
	return p.repaid
}

// ends are the answers to a payout that the gateway has or may have.
var ends = map[ledger.State][]ledger.Transition{}

func init() {
	for _, tr := range ledger.Transitions {
		// Two people decide some, a proof others.
		person := slices.Contains([]ledger.Reason{ledger.ByTwoPeople, ledger.ByCorrection, ledger.ByRelease, ledger.ByProof}, tr.Reason)
		if (tr.From.Sent() || tr.From == ledger.Review) && !person {
			ends[tr.From] = append(ends[tr.From], tr)
		}
	}
}

// find records legal findings about some payouts, some of them stale.
func (l *life) find(*rapid.T) {
	candidates := l.of(0, ledger.Sending, ledger.Unknown, ledger.Accepted, ledger.Review)
	if len(candidates) == 0 {
		l.rt.Skip("nothing is under way")
	}
	chosen := rapid.Permutation(candidates).Draw(l.rt, "payouts")[:rapid.IntRange(1, len(candidates)).Draw(l.rt, "findings")]
	var findings []ledger.Finding
	effects := 0
	for _, p := range chosen {
		f := l.finding(p)
		switch rapid.IntRange(0, 9).Draw(l.rt, "trouble") {
		case 0: // an answer to an attempt that is not this one
			f.AttemptID++
		case 1: // a decision taken on an old state
			f.From = map[bool]ledger.State{true: ledger.Accepted, false: ledger.Unknown}[f.From == ledger.Unknown]
			f.To, f.Reason = ledger.Succeeded, ledger.BySuccess
		case 2: // two workers bring the same answer
			findings = append(findings, f)
			if effects++; f.From == f.To {
				effects++
			}
			l.apply(p, f)
		default:
			effects++
			l.apply(p, f)
		}
		findings = append(findings, f)
	}
	n, err := l.Record(l.ctx, "worker:w1", findings)
	l.must(err)
	if n != effects {
		l.rt.Fatalf("%d findings took effect, want %d", n, effects)
	}
}

func (l *life) finding(p *modelled) ledger.Finding {
	f := looked(ledger.Claim{Payout: ledger.Payout{ID: p.id, AttemptID: p.attempt}}, p.state, p.state, ledger.ByFinding)
	if p.state == ledger.Sending || rapid.IntRange(0, 3).Draw(l.rt, "news") > 0 {
		way := rapid.SampledFrom(ends[p.state]).Draw(l.rt, "way")
		f.To, f.Reason = way.To, way.Reason
	}
	f.GatewayOrder = "G" + p.no
	f.FeeKnown = rapid.Bool().Draw(l.rt, "fee is known")
	f.Fee = money.Amount(rapid.Int64Range(0, 8_00).Draw(l.rt, "fee"))
	return f
}

// apply does to the model what a finding means.
func (l *life) apply(p *modelled, f ledger.Finding) {
	p.has = p.has || f.GatewayOrder != ""
	if f.FeeKnown {
		p.fee, p.feeKnown = f.Fee, true
	} else if !p.feeKnown {
		p.fee = p.estimate
	}
	if f.To == p.state {
		return
	}
	if f.Reason == ledger.ByNotSending {
		p.notSent++
	}
	p.state, p.booked = f.To, 0
	if f.To == ledger.Succeeded || f.To == ledger.FailedFee {
		p.booked = p.fee
	}
	all := p.amount + p.estimate
	b := &l.balances
	switch p.state {
	case ledger.Succeeded:
		b.Held -= all
		b.Paid += p.amount
		b.Fees += p.fee
		b.Available += p.estimate - p.fee
	case ledger.Failed:
		b.Held -= all
		b.Available += all
	case ledger.FailedFee:
		b.Held -= all
		b.Fees += p.fee
		b.Available += all - p.fee
	case ledger.Closed:
		b.Held -= all
		b.Suspense += all
	}
}

func (l *life) cancel(*rapid.T) {
	batch := l.any(ledger.Approved)
	n, err := l.Cancel(l.ctx, l.checker, batch, "wrong month")
	nothing := errors.Is(err, ledger.ErrConflict)
	if !nothing {
		l.must(err)
		l.stopped[batch] = true
	}
	cancelled := 0
	for _, p := range l.of(batch, ledger.Approved) {
		if p.attempts == p.notSent && !p.known && !p.spoken { // nothing ever left
			p.state = ledger.Cancelled
			l.balances.Held -= p.amount + p.estimate
			l.balances.Available += p.amount + p.estimate
			cancelled++
		}
	}
	if n != cancelled || nothing && cancelled > 0 {
		l.rt.Fatalf("cancelled %d (%v), want %d", n, err, cancelled)
	}
}

func (l *life) loseWorkers(*rapid.T) {
	l.clock.advance(5 * time.Minute)
	sending := l.of(0, ledger.Sending)
	n, err := l.ReleaseExpired(l.ctx, "system", 100)
	l.must(err)
	if n != len(sending) {
		l.rt.Fatalf("%d attempts were lost, want %d", n, len(sending))
	}
	for _, p := range sending {
		l.apply(p, ledger.Finding{To: ledger.Unknown})
	}
}

func (l *life) notify(*rapid.T) {
	all := l.of(0, states...)
	if len(all) == 0 {
		l.rt.Skip("no payouts")
	}
	p := rapid.SampledFrom(all).Draw(l.rt, "payout")
	l.must(l.Notify(l.ctx, p.no, ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "notified", Status: "7"}))
	for _, other := range l.payouts {
		other.disputed = true // a case about one is a case about its payee and amount
		waits := slices.Contains([]ledger.State{ledger.Valid, ledger.Submitted, ledger.Approved}, other.state)
		other.spoken = other.spoken || other.no == p.no
		if waits && other.no == p.no { // a re-pay that is done anew has the numbers of the discarded one
			other.known = true
		}
	}
}

func (l *life) closeDay(*rapid.T) {
	_, err := l.CloseDay(l.ctx, "system")
	l.must(err)
}

// agree compares the ledger with the model; now and then it verifies all.
func (l *life) agree(*rapid.T) {
	l.clock.advance(time.Millisecond)
	all, err := l.Balances(l.ctx)
	l.must(err)
	if len(all) != 1 || all[0] != l.balances {
		l.rt.Fatalf("balances %+v, the model says %+v", all, l.balances)
	}
	if l.steps++; l.steps%6 == 0 {
		l.verify()
	}
}

func (l *life) verify() {
	_, breaches, err := l.Verify(l.ctx)
	l.must(err)
	for _, b := range breaches {
		l.rt.Errorf("%s: %s: %s", b.Check, b.Row, b.Wrong)
	}
	for batch := range l.stopped {
		l.compare(batch)
	}
	for _, ids := range l.batches {
		for _, batch := range ids {
			l.compare(batch)
		}
	}
}

// compare reads a batch's payouts and compares each with the model.
func (l *life) compare(batch int64) {
	l.must(l.EachPayout(l.ctx, batch, func(p *ledger.Payout) error {
		m := l.payouts[p.ID]
		if p.State != m.state || int(p.Attempts) != m.attempts || (p.FeeKnown == 1) != m.feeKnown {
			l.rt.Errorf("payout %+v, the model says %+v", p, m)
		}
		return nil
	}))
}

func (l *life) play() {
	l.must(l.SetGatewayBalance(l.ctx, "USD", 1_000_000_000_00, ledger.AllCommitted))
	l.rt.Repeat(map[string]func(*rapid.T){
		"import": l.importSheet, "submit": l.submit, "reject": l.reject, "discard": l.discard, "approve": l.approve, "fund": l.fund,
		"claim": l.claimSome, "claim more": l.claimSome, "find": l.find, "find more": l.find, "cancel": l.cancel, "lose workers": l.loseWorkers,
		"notify": l.notify, "decide": l.decide, "decide more": l.decide, "repay": l.repay, "close day": l.closeDay, "": l.agree,
	})
	l.verify()
}

// lives checks a property on so many per cent of the cases that rapid makes:
// a store per case is dear.
func lives(t *testing.T, percent int, property func(*rapid.T)) {
	t.Helper()
	checks, err := strconv.Atoi(flag.Lookup("rapid.checks").Value.String())
	must(t, err)
	left := max(1, checks*percent/100)
	rapid.Check(t, func(rt *rapid.T) {
		if left > 0 {
			property(rt)
			left-- // not reached by a case that fails, so that rapid can shrink it
		}
	})
}

func TestALedgersLifeOnSQLite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cases := 0
	lives(t, 15, func(rt *rapid.T) {
		cases++
		path := filepath.Join(folder, fmt.Sprint(cases, ".db"))
		c := newClock()
		testTime.copyTo(t, path, c.now)
		db, err := database.Open(t.Context(), database.Config{URL: "sqlite:" + path, Clock: c.now})
		must(t, err)
		defer db.Close()
		newLife(rt, reopened(t, db), c).play()
	})
}

func TestALedgersLifeOnPostgreSQL(t *testing.T) {
	t.Parallel()
	lives(t, 3, func(rt *rapid.T) {
		c := newClock()
		db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, "postgres", migrated), Clock: c.now, MaxConnections: 4}, migrated)
		newLife(rt, open(t, db), c).play()
	})
}

package ledger_test

import (
	"testing"
	"time"

	"payrun/ledger"
)

func (o *office) due(asked ledger.LookupOrder) []ledger.Lookup {
	o.t.Helper()
	due, err := o.DueLookups(o.t.Context(), asked)
	must(o.t, err)
	return due
}

// toSlot waits for the next slot of a pace.
func (c *clock) toSlot(interval time.Duration) {
	c.advance(interval - time.Duration(c.micros.Load())*time.Microsecond%interval)
}

// Control look-ups have slots of the look-ups' budget, one before and one
// after those in doubt.
func TestControlsHaveTheirSlots(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("slots", sheet("s", 4))
		claims := o.claim(4)
		o.put(claims[0], ledger.Unknown)
		o.put(claims[1], ledger.Unknown)
		c.advance(time.Minute)
		pace := ledger.PaceOf(time.Second, 1) // one slot within the horizon and one at its end
		due := o.due(ledger.LookupOrder{Max: 9, Pace: pace, Lease: time.Hour, Control: true})
		if len(due) != 2 || due[0].Slot.Sub(due[0].Before) != time.Second || due[1].Slot.Sub(due[0].Before) != 2*time.Second || due[1].After.Sub(due[0].Before) != 3*time.Second {
			t.Fatalf("due %+v", due)
		}
		next := o.count("SELECT next_free_at FROM budgets WHERE name = 'lookups'")
		if in := time.Duration(next-c.now().UnixMicro()) * time.Microsecond; in < 4*time.Second || in > 5*time.Second {
			t.Errorf("the next look-up may leave in %s", in)
		}
		if due[0].SendByAge <= 0 || !due[0].InDoubt() {
			t.Errorf("due %+v", due[0])
		}
		if due := o.due(ledger.LookupOrder{Max: 9, Pace: pace, Lease: time.Hour, Control: true}); len(due) != 0 {
			t.Errorf("%d look-ups are due while the budget is used up", len(due))
		}
		c.advance(10 * time.Second)
		o.put(claims[2], ledger.Accepted)
		c.advance(time.Minute)
		due = o.due(ledger.LookupOrder{Max: 9, Pace: pace, Lease: time.Hour, Control: true})
		if len(due) != 1 || !due[0].Before.Equal(due[0].Slot) {
			t.Errorf("nothing is in doubt, yet there are slots for controls: %+v", due)
		}
	})
}

// A slow pace does not mean one look-up in doubt for every two controls.
func TestDoubtsShareTheirControls(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("share", sheet("s", 8))
		for _, claim := range o.claim(8) {
			o.put(claim, ledger.Unknown)
		}
		c.advance(time.Minute)
		c.toSlot(10 * time.Second)
		due := o.due(ledger.LookupOrder{Max: 8, Pace: ledger.PaceOf(10*time.Second, 1), Lease: time.Hour, Control: true})
		if len(due) != 5 {
			t.Errorf("%d look-ups are taken together", len(due))
		}
		c.advance(time.Hour)
		c.toSlot(10 * time.Second)
		if due := o.due(ledger.LookupOrder{Max: 2, Pace: ledger.PaceOf(10*time.Second, 1), Lease: time.Minute, Control: true}); len(due) != 2 {
			t.Errorf("%d look-ups are taken, 2 places are free", len(due))
		}
	})
}

// Only what the gateway has said that it has can be asked about for comparison.
func TestKnownOrders(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		known := func(account string) (nos []string) {
			orders, err := o.KnownOrders(t.Context(), account)
			must(t, err)
			for _, p := range orders {
				nos = append(nos, p.OrderNo())
			}
			return nos
		}
		o.approved("known", sheet("k", 9))
		claims := o.claim(9)
		for i, to := range []ledger.State{ledger.Unknown, ledger.Review, ledger.Approved, ledger.Sending, ledger.Succeeded} {
			o.put(claims[i], to) // without an order number of the gateway's
		}
		if got := known("acct@example.com"); len(got) != 0 {
			t.Errorf("known %v", got)
		}
		accepted := answered(claims[5], ledger.Accepted, ledger.ByAcceptance)
		accepted.GatewayOrder = "G5"
		o.record(accepted)
		if got := known("acct@example.com"); len(got) != 1 || got[0] != claims[5].OrderNo() {
			t.Errorf("known %v, want the one that was accepted", got)
		}
		for i, end := range []ledger.State{ledger.Succeeded, ledger.Failed} {
			f := answered(claims[6+i], end, map[ledger.State]ledger.Reason{ledger.Succeeded: ledger.BySuccess, ledger.Failed: ledger.ByFailure}[end])
			f.GatewayOrder = "G"
			o.record(f)
		}
		want := []string{claims[7].OrderNo(), claims[6].OrderNo(), claims[5].OrderNo()}
		if got := known("acct@example.com"); len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("known %v, want %v", got, want)
		}
		accepted = answered(claims[8], ledger.Accepted, ledger.ByAcceptance)
		accepted.GatewayOrder = "G8"
		o.record(accepted)
		f := answered(claims[8], ledger.Review, ledger.ByConflict)
		f.From = ledger.Accepted
		o.record(f)
		o.decide(claims[8].OrderNo(), got(9_00))
		if got := known("acct@example.com"); len(got) != 3 || got[0] != want[0] {
			t.Errorf("known %v, want %v: it has another amount than we ordered", got, want)
		}
		if got := known("another@example.com"); len(got) != 0 {
			t.Errorf("another account's gateway knows %v", got)
		}
	})
}

// The newest end that a notification told is kept beside the payout, and how
// often look-ups contradicted it in a row.
func TestWhatNotificationsSayIsKept(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("notified", sheet("n", 1))
		claim := o.claim(1)[0]
		o.put(claim, ledger.Accepted)
		c.advance(time.Hour)
		notify := func(heard ledger.Heard, status string) {
			t.Helper()
			must(t, o.Notify(t.Context(), claim.OrderNo(), ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: heard, Status: status}))
		}
		contradict := func(conflict bool, status string) {
			t.Helper()
			f := looked(claim, ledger.Accepted, ledger.Accepted, ledger.ByFinding)
			f.Conflict, f.Status, f.Unusual = conflict, status, "a notification says otherwise"
			o.record(f)
		}
		kept := func(notified string, conflicts int64) {
			t.Helper()
			c.advance(time.Hour)
			due := o.due(ledger.LookupOrder{Max: 1, Lease: time.Minute})
			if len(due) != 1 || due[0].Notified != notified || due[0].Conflicts != conflicts {
				t.Errorf("due %+v, want %q contradicted %d times", due, notified, conflicts)
			}
		}
		kept("", 0)
		notify("verified", "1")
		kept("", 0)
		notify(ledger.HeardEnded, "7")
		kept("7", 0)
		contradict(true, "6")
		contradict(true, "6")
		notify(ledger.HeardEnded, "7") // says the same again
		kept("7", 2)
		contradict(false, "") // no answer
		kept("7", 2)
		contradict(false, "1") // not ended, it says now
		kept("7", 0)
		contradict(true, "6")
		notify(ledger.HeardEnded, "6")
		kept("6", 0)
		o.sound()
	})
}

// Look-ups that are due at the same moment keep their cases in one statement,
// and a case keeps what it was opened for.
func TestCasesFollowTheDoubt(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.Book = ledger.New(o.db, ledger.Config{})
		d := &doubtful{office: o, clock: c}
		d.learn(ledger.User{}, notFound)
		o.approved("cases", sheet("c", 3))
		var findings []ledger.Finding
		for _, claim := range o.claim(3) {
			f := answered(claim, ledger.Unknown, ledger.ByDoubt)
			f.Note = "no answer"
			findings = append(findings, f)
		}
		o.record(findings...)
		opened := c.now()
		c.advance(30 * time.Second)
		for i := range findings {
			f := &findings[i]
			f.From, f.Note = ledger.Unknown, "code 4404"
			f.Evidence = &ledger.Evidence{Kind: ledger.EvidenceLookup, Heard: ledger.HeardAbsent, HTTPStatus: 200, Code: "4404"}
		}
		o.record(findings...)
		open, err := o.Exceptions(t.Context())
		must(t, err)
		if len(open) != 3 {
			t.Fatalf("%d cases", len(open))
		}
		for _, e := range open {
			if e.Detail != "no answer" || e.OpenedAt.Time() != opened.UTC() || e.NextStep != `wait, the money stays held: the gateway has said "not found" 1 of 3 times; the next look-up is at 2026-11-02 09:01:30 UTC; if a statement shows it paid: payrun payout decide `+e.OrderNo+` --as paid --reason … --evidence "statement line"` {
				t.Errorf("case %+v", e)
			}
		}
	})
}

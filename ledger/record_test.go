package ledger_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/ledger"
)

// A finding that is about another attempt, or starts from another state, is
// what a slow worker brings: it may not move anything.
func TestAFindingThatComesTooLateLeavesOnlyItsEvidence(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("late", sheet("l", 2))
		stale := o.claim(1)[0]
		o.put(stale, ledger.Approved) // it was not sent, so it is claimed again
		fresh := o.claim(1)[0]
		if fresh.ID != stale.ID || fresh.Number != 2 || fresh.AttemptID == stale.AttemptID {
			t.Fatalf("claimed %d, attempt %d again", fresh.ID, fresh.Number)
		}
		tests := []struct {
			name    string
			finding ledger.Finding
		}{
			{"another attempt succeeded", answered(stale, ledger.Succeeded, ledger.BySuccess)},
			{"another attempt was not sent", answered(stale, ledger.Approved, ledger.ByNotSending)},
			{"no attempt at all", answered(ledger.Claim{Payout: ledger.Payout{ID: fresh.ID}}, ledger.Failed, ledger.ByFailure)},
			{"another state", looked(fresh, ledger.Unknown, ledger.Succeeded, ledger.BySuccess)},
			{"another state that stays", looked(fresh, ledger.Accepted, ledger.Accepted, ledger.ByFinding)},
			{"cancelled although claimed", looked(fresh, ledger.Approved, ledger.Cancelled, ledger.ByCancellation)},
		}
		for _, tt := range tests {
			before, money, evidence := o.payout(fresh.OrderNo()), o.usd(), o.evidenceOf(fresh.ID)
			if n := o.record(tt.finding); n != 0 {
				t.Errorf("%s: took effect", tt.name)
			}
			if after := o.payout(fresh.OrderNo()); after != before {
				t.Errorf("%s: payout changed from %+v to %+v", tt.name, before, after)
			}
			if after := o.usd(); after != money {
				t.Errorf("%s: balances changed from %+v to %+v", tt.name, money, after)
			}
			if n := o.evidenceOf(fresh.ID); n != evidence+1 {
				t.Errorf("%s: %d pieces of evidence, want %d", tt.name, n, evidence+1)
			}
		}
		o.sound()
	})
}

// Two workers may look at one payout, and their findings may be recorded
// together: they take effect one after the other, each only from where the
// one before left the payout.
func TestFindingsAboutOnePayoutRecordedTogether(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		tests := []struct {
			name  string
			state ledger.State
			make  func(ledger.Claim) [2]ledger.Finding
		}{
			{"the same acceptance twice", ledger.Sending, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{answered(c, ledger.Accepted, ledger.ByAcceptance), answered(c, ledger.Accepted, ledger.ByAcceptance)}
			}},
			{"the same success twice", ledger.Sending, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{answered(c, ledger.Succeeded, ledger.BySuccess), answered(c, ledger.Succeeded, ledger.BySuccess)}
			}},
			{"acceptance and doubt", ledger.Sending, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{answered(c, ledger.Accepted, ledger.ByAcceptance), answered(c, ledger.Unknown, ledger.ByDoubt)}
			}},
			{"success and failure", ledger.Accepted, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{looked(c, ledger.Accepted, ledger.Succeeded, ledger.BySuccess), looked(c, ledger.Accepted, ledger.Failed, ledger.ByFailure)}
			}},
			{"no news, then success", ledger.Accepted, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{looked(c, ledger.Accepted, ledger.Accepted, ledger.ByFinding), looked(c, ledger.Accepted, ledger.Succeeded, ledger.BySuccess)}
			}},
			{"success, then no news", ledger.Accepted, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{looked(c, ledger.Accepted, ledger.Succeeded, ledger.BySuccess), looked(c, ledger.Accepted, ledger.Accepted, ledger.ByFinding)}
			}},
			{"a late doubt beside a success", ledger.Accepted, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{answered(c, ledger.Unknown, ledger.ByDoubt), looked(c, ledger.Accepted, ledger.Succeeded, ledger.BySuccess)}
			}},
			{"a late acceptance beside a look-up", ledger.Unknown, func(c ledger.Claim) [2]ledger.Finding {
				return [2]ledger.Finding{answered(c, ledger.Accepted, ledger.ByAcceptance), looked(c, ledger.Unknown, ledger.Accepted, ledger.ByFinding)}
			}},
			{"another attempt's success beside no news", ledger.Accepted, func(c ledger.Claim) [2]ledger.Finding {
				other := c
				other.AttemptID++
				return [2]ledger.Finding{looked(other, ledger.Accepted, ledger.Succeeded, ledger.BySuccess), looked(c, ledger.Accepted, ledger.Accepted, ledger.ByFinding)}
			}},
		}
		o.approved("together", sheet("t", len(tests)))
		claims := o.claim(len(tests))
		for i, tt := range tests {
			c := claims[i]
			o.put(c, tt.state)
			evidence, known := o.evidenceOf(c.ID), o.breaches()
			findings := tt.make(c)
			want := 1
			if findings[0].To == tt.state { // no news: the other one still fits
				want = 2
			}
			if n := o.record(findings[:]...); n != want {
				t.Errorf("%s: %d findings took effect, want %d", tt.name, n, want)
			}
			if n := o.evidenceOf(c.ID) - evidence; n != 2 {
				t.Errorf("%s: %d answers were kept, want both", tt.name, n)
			}
			for _, breach := range o.breaches() {
				if !slices.Contains(known, breach) {
					t.Errorf("%s: Verify finds %s", tt.name, breach)
				}
			}
		}
	})
}

func TestOneBadFindingNeverTakesItsBatchWithIt(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const among = 5
		tests := []struct {
			name    string
			refused bool
			spoil   func(*ledger.Finding)
		}{
			{"an illegal change of state", true, func(f *ledger.Finding) { f.To, f.Reason = ledger.Closed, ledger.ByApproval }},
			{"a correction that nobody made", true, func(f *ledger.Finding) { f.From, f.To, f.Reason = ledger.Failed, ledger.Succeeded, ledger.BySuccess }},
			{"a payout that does not exist", false, func(f *ledger.Finding) { f.PayoutID, f.To, f.Reason = 77_0000_0001, ledger.Succeeded, ledger.BySuccess }},
			{"a kind of evidence that does not exist", true, func(f *ledger.Finding) { f.Evidence.Kind = "rumour" }},
			{"a claim without an attempt", true, func(f *ledger.Finding) {
				f.From, f.To, f.Reason = ledger.Sending, ledger.Sending, ledger.ByClaim
				f.Evidence.Kind = ""
			}},
		}
		o.approved("bad", sheet("b", among*len(tests)))
		claims := o.claim(among * len(tests))
		for i, tt := range tests {
			findings := make([]ledger.Finding, among)
			for j := range findings {
				findings[j] = answered(claims[i*among+j], ledger.Succeeded, ledger.BySuccess)
			}
			bad := i % among // at another place each time
			tt.spoil(&findings[bad])
			n, err := o.Record(t.Context(), "worker:w1", findings)
			if n != among-1 || (err != nil) != tt.refused {
				t.Errorf("%s: %d findings took effect, error %v", tt.name, n, err)
			}
			if p := o.payout(claims[i*among+bad].OrderNo()); p.State != ledger.Sending {
				t.Errorf("%s: the payout is %s", tt.name, p.State)
			}
		}
		o.sound()
	})
}

// What a gateway said is kept even when the ledger will not act on it.
func TestARefusedFindingKeepsItsEvidence(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("refused", sheet("r", 1))
		c := o.claim(1)[0]
		o.put(c, ledger.Failed)
		before := o.evidenceOf(c.ID)
		n, err := o.Record(t.Context(), "worker:w1", []ledger.Finding{looked(c, ledger.Failed, ledger.Succeeded, ledger.BySuccess)})
		if n != 0 || !errors.Is(err, ledger.ErrTransition) {
			t.Errorf("%d took effect, error %v, want ErrTransition", n, err)
		}
		if got := o.evidenceOf(c.ID); got != before+1 {
			t.Errorf("the gateway's \"succeeded\" about a failed payout was not kept")
		}
		o.sound()
	})
}

func TestAFindingRecordedByManyAtOncePostsOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const payouts, workers = 4, 8
		o.approved("race", sheet("r", payouts))
		claims := o.claim(payouts)
		findings := []ledger.Finding{
			answered(claims[0], ledger.Succeeded, ledger.BySuccess), answered(claims[1], ledger.Failed, ledger.ByFailure),
			answered(claims[2], ledger.FailedFee, ledger.ByKeptFee), answered(claims[3], ledger.Unknown, ledger.ByDoubt),
		}
		effects := make([]int, workers)
		together(t, workers, func(i int) (err error) {
			effects[i], err = o.Record(t.Context(), "worker:w1", findings)
			return err
		})
		total := 0
		for _, n := range effects {
			total += n
		}
		if total != payouts {
			t.Errorf("%d findings took effect %d times", payouts, total)
		}
		for i, c := range claims {
			if n := o.evidenceOf(c.ID); n != workers {
				t.Errorf("payout %d: %d answers kept, want %d", i+1, n, workers)
			}
		}
		if n := o.count("SELECT count(*) FROM entries WHERE payout_id > 0"); n != 3 {
			t.Errorf("%d entries for 3 ended payouts", n)
		}
		o.sound()
	})
}

func TestTheFeeThatIsBooked(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		tests := []struct {
			name    string
			told    []ledger.Finding // only Fee and FeeKnown matter
			fee     int64
			known   int64
			returns int64 // to available, of the 50 that were held for the fee
		}{
			{"absent: the estimate", []ledger.Finding{{}}, 50, 0, 0},
			{"absent, a number left in the field", []ledger.Finding{{Fee: 7}}, 50, 0, 0},
			{"as estimated", []ledger.Finding{{Fee: 50, FeeKnown: true}}, 50, 1, 0},
			{"less", []ledger.Finding{{Fee: 20, FeeKnown: true}}, 20, 1, 30},
			{"none", []ledger.Finding{{FeeKnown: true}}, 0, 1, 50},
			{"more", []ledger.Finding{{Fee: 80, FeeKnown: true}}, 80, 1, -30},
			{"known early, absent at the end", []ledger.Finding{{Fee: 20, FeeKnown: true}, {}}, 20, 1, 30},
			{"known twice: the last word", []ledger.Finding{{Fee: 20, FeeKnown: true}, {Fee: 25, FeeKnown: true}}, 25, 1, 25},
		}
		o.approved("fees", sheet("f", len(tests)))
		for i, c := range o.claim(len(tests)) {
			tt := tests[i]
			before := o.usd()
			if len(tt.told) > 1 {
				f := answered(c, ledger.Accepted, ledger.ByAcceptance)
				f.Fee, f.FeeKnown = tt.told[0].Fee, tt.told[0].FeeKnown
				o.record(f)
			} else {
				o.put(c, ledger.Accepted)
				o.exec("UPDATE payouts SET fee = 0, fee_known = 0 WHERE id = ?", c.ID)
			}
			last := tt.told[len(tt.told)-1]
			f := looked(c, ledger.Accepted, ledger.Succeeded, ledger.BySuccess)
			f.Fee, f.FeeKnown = last.Fee, last.FeeKnown
			o.record(f)
			p, after := o.payout(c.OrderNo()), o.usd()
			if int64(p.Fee) != tt.fee || p.FeeKnown != tt.known || int64(after.Fees-before.Fees) != tt.fee {
				t.Errorf("%s: fee %d, known %d, booked %d; want %d, %d", tt.name, p.Fee, p.FeeKnown, after.Fees-before.Fees, tt.fee, tt.known)
			}
			if got := int64(after.Available - before.Available); got != tt.returns {
				t.Errorf("%s: %d came back, want %d", tt.name, got, tt.returns)
			}
		}
		o.sound()
	})
}

// Whatever is said about a payout that ended, its end and its sums stand.
func TestAnEndedPayoutIsOnlyAnnotated(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ends := []ledger.State{ledger.Succeeded, ledger.Failed, ledger.FailedFee, ledger.Closed}
		o.approved("ended", sheet("e", len(ends)))
		for i, c := range o.claim(len(ends)) {
			o.put(c, ends[i])
			before, money := o.payout(c.OrderNo()), o.usd()
			again := looked(c, ends[i], ends[i], ledger.ByFinding)
			again.Fee, again.FeeKnown = 95, true
			o.record(again)
			after := o.payout(c.OrderNo())
			if after.Fee != before.Fee || after.State != before.State || after.EndedAt != before.EndedAt {
				t.Errorf("%s: fee %d became %d, end %s became %s", ends[i], before.Fee, after.Fee, before.EndedAt, after.EndedAt)
			}
			if got := o.usd(); got != money {
				t.Errorf("%s: balances changed from %+v to %+v", ends[i], money, got)
			}
			if n := o.evidenceOf(c.ID); n < 2 {
				t.Errorf("%s: the later answer was not kept", ends[i])
			}
		}
		o.sound()
	})
}

// The money of a batch that nobody approved is not held, so nothing of it can
// be given back.
func TestAPayoutThatWasNotApprovedCannotBeCancelledOneByOne(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.imported("valid", sheet("v", 1))
		payout := batch.ID*100_000_000 + 1
		n, err := o.Record(t.Context(), "user:charles", []ledger.Finding{{
			PayoutID: payout, From: ledger.Approved, To: ledger.Cancelled, Reason: ledger.ByCancellation, Note: "early",
		}})
		if n != 0 || err != nil {
			t.Errorf("%d took effect, error %v", n, err)
		}
		if got := o.usd(); got.Held != 0 || got.Available != topUp {
			t.Errorf("balances %+v", got)
		}
		o.sound()
	})
}

func TestAGatewaysTextIsKeptHoweverBroken(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		tests := []struct{ name, said, kept string }{
			{"plain", `{"code":1}`, `{"code":1}`},
			{"markup", "<b>&amp; 'quoted' \\u0041</b>", "<b>&amp; 'quoted' \\u0041</b>"},
			{"other scripts", "Zahlung über 5 € — 已付款 \U0001F4B8", "Zahlung über 5 € — 已付款 \U0001F4B8"},
			{"line separators", "a\u2028b\r\n\tc", "a\u2028b\r\n\tc"},
			{"NUL", "a\x00b", "a\uFFFDb"},
			{"NUL alone", "\x00", "\uFFFD"},
			{"broken UTF-8", "a\xffb\xc3", "a\uFFFDb\uFFFD"},
			{"long", strings.Repeat("0123456789", 10_000), strings.Repeat("0123456789", 10_000)},
		}
		o.approved("texts", sheet("t", len(tests)))
		for i, c := range o.claim(len(tests)) {
			tt := tests[i]
			f := answered(c, ledger.Unknown, ledger.ByDoubt)
			f.Note, f.GatewayOrder, f.Status, f.Rate, f.Received = tt.said, tt.said, tt.said, tt.said, tt.said
			f.Evidence = &ledger.Evidence{
				Kind: ledger.EvidenceCreate, Heard: ledger.Heard(tt.said), Reason: tt.said, Code: tt.said, Message: tt.said,
				GatewayOrder: tt.said, Status: tt.said, Digest: tt.said, Body: tt.said,
			}
			if n, err := o.Record(t.Context(), "worker:w1", []ledger.Finding{f}); n != 1 || err != nil {
				t.Errorf("%s: %d took effect, error %v", tt.name, n, err)
				continue
			}
			var body, message string
			must(t, o.db.Get(t.Context(), &body, "SELECT body FROM evidence WHERE payout_id = ?", c.ID))
			must(t, o.db.Get(t.Context(), &message, "SELECT message FROM evidence WHERE payout_id = ?", c.ID))
			p := o.payout(c.OrderNo())
			for field, got := range map[string]string{"body": body, "message": message, "gateway order": p.GatewayOrder, "rate": p.Rate} {
				if got != tt.kept {
					t.Errorf("%s: %s is kept as %.40q, want %.40q", tt.name, field, got, tt.kept)
				}
			}
			var detail string
			must(t, o.db.Get(t.Context(), &detail, "SELECT detail FROM exceptions WHERE payout_id = ?", c.ID))
			if detail != tt.kept {
				t.Errorf("%s: the exception says %.40q, want %.40q", tt.name, detail, tt.kept)
			}
		}
		o.sound()
	})
}

func TestANotificationIsKeptAndOnlyHurriesTheLookup(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		said := ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "notified", Code: "1", Status: "7", Digest: "d", Body: "status=7"}
		states := []ledger.State{ledger.Unknown, ledger.Accepted, ledger.Review, ledger.Sending, ledger.Succeeded, ledger.Failed}
		o.approved("notified", sheet("n", len(states)))
		claims := o.claim(len(states))
		for i, claim := range claims {
			o.put(claim, states[i])
			before, money := o.payout(claim.OrderNo()), o.usd()
			must(t, o.Notify(t.Context(), claim.OrderNo(), said))
			after := o.payout(claim.OrderNo())
			hurries := states[i] == ledger.Unknown || states[i] == ledger.Accepted || states[i] == ledger.Review
			if due := after.NextLookup.Time().Equal(c.now().UTC()); due != hurries {
				t.Errorf("%s: next look-up %s at %s", states[i], after.NextLookup, c.now().UTC())
			}
			after.NextLookup = before.NextLookup
			if after != before || o.usd() != money {
				t.Errorf("%s: a notification changed %+v to %+v", states[i], before, after)
			}
		}
		o.sound()
	})
}

// A conflict may be put aside without a next look-up; a notification is a
// reason to look again.
func TestANotificationWakesAPayoutUnderReview(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("review", sheet("r", 1))
		claim := o.claim(1)[0]
		f := answered(claim, ledger.Review, ledger.ByConflict)
		f.NextLookup = 0
		o.record(f)
		must(t, o.Notify(t.Context(), claim.OrderNo(), ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "notified"}))
		if next := o.payout(claim.OrderNo()).NextLookup; !next.Time().Equal(c.now().UTC()) {
			t.Errorf("next look-up %s", next)
		}
	})
}

func TestEveryNotificationAboutAForeignOrderIsSeen(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		foreign := []string{"SOMEBODYELSES", strings.Repeat("A", 16) + "00000001", "", "\xff\x00broken", strings.Repeat("\x00", 16) + "00000001"}
		for _, orderNo := range foreign {
			if err := o.Notify(t.Context(), orderNo, ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: "notified", Body: orderNo}); err != nil {
				t.Errorf("order %q: %v", orderNo, err)
			}
		}
		if n := o.evidenceOf(0); n != int64(len(foreign)) {
			t.Errorf("%d of %d notifications were kept", n, len(foreign))
		}
		open, err := o.Exceptions(t.Context())
		must(t, err)
		var told strings.Builder
		for _, e := range open {
			told.WriteString(e.Kind + ": " + e.Detail + "\n")
		}
		for _, orderNo := range foreign[:2] {
			if !strings.Contains(told.String(), orderNo) {
				t.Errorf("nobody is told about order %s; open exceptions:\n%s", orderNo, told.String())
			}
		}
	})
}

func TestOrderNumbersAreReadStrictly(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("strict", sheet("s", 1))
		no := o.claim(1)[0].OrderNo()
		for _, near := range []string{
			no[:16] + "+0000001", no[:16] + "0000001", no + "0", strings.ToLower(no), " " + no[1:], no[:16] + "00000000", no[:16] + "00000002", "",
		} {
			if p, err := o.Payout(t.Context(), near); !errors.Is(err, ledger.ErrNotFound) {
				t.Errorf("%q found payout %s, error %v", near, p.OrderNo(), err)
			}
		}
	})
}

func TestAnExceptionEndsWithWhatItWasAbout(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("exceptions", sheet("x", 3))
		claims := o.claim(3)
		for _, c := range claims {
			o.put(c, ledger.Unknown)
			o.record(answered(c, ledger.Unknown, ledger.ByDoubt)) // a second doubt is the same case
			if got := o.exceptionsOf(c.ID); got != ledger.ExceptionInDoubt {
				t.Errorf("in doubt: exceptions %q", got)
			}
		}
		o.record(looked(claims[0], ledger.Unknown, ledger.Review, ledger.ByConflict))
		o.record(looked(claims[1], ledger.Unknown, ledger.Succeeded, ledger.BySuccess))
		o.record(looked(claims[2], ledger.Unknown, ledger.Accepted, ledger.ByFinding))
		for i, want := range []string{ledger.ExceptionReview, "", ""} {
			if got := o.exceptionsOf(claims[i].ID); got != want {
				t.Errorf("payout %d: exceptions %q, want %q", i+1, got, want)
			}
		}
		// An unusual status of an accepted payout is settled by its end, too.
		must(t, o.OpenException(t.Context(), ledger.Exception{Kind: ledger.ExceptionUnusual, BatchID: claims[2].BatchID, PayoutID: claims[2].ID, Detail: "status 19"}))
		o.record(looked(claims[2], ledger.Accepted, ledger.Succeeded, ledger.BySuccess))
		if got := o.exceptionsOf(claims[2].ID); got != "" {
			t.Errorf("a paid payout keeps the exceptions %q", got)
		}
		o.sound()
	})
}

func TestALostLeaseIsDoubt(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("lease", sheet("l", 3))
		claims := o.claim(3)
		o.put(claims[0], ledger.Accepted)
		lease := claims[1].SendBy + order(1).CallTimeout + 5*time.Second
		c.advance(lease)
		if n, err := o.ReleaseExpired(t.Context(), "system", 10); n != 0 || err != nil {
			t.Fatalf("%d leases were taken while they lasted: %v", n, err)
		}
		c.advance(time.Microsecond)
		if n, err := o.ReleaseExpired(t.Context(), "system", 1); n != 1 || err != nil {
			t.Fatalf("%d leases were taken, want 1: %v", n, err)
		}
		if n, err := o.ReleaseExpired(t.Context(), "system", 10); n != 1 || err != nil {
			t.Fatalf("%d leases were taken, want 1: %v", n, err)
		}
		c.advance(time.Millisecond)
		due, err := o.DueLookups(t.Context(), ledger.LookupOrder{Max: 10, Lease: time.Minute})
		must(t, err)
		if len(due) != 2 {
			t.Errorf("%d look-ups are due, want 2", len(due))
		}
		for _, claim := range claims[1:] {
			if p := o.payout(claim.OrderNo()); p.State != ledger.Unknown || o.exceptionsOf(claim.ID) != ledger.ExceptionInDoubt {
				t.Errorf("payout is %s with exceptions %q", p.State, o.exceptionsOf(claim.ID))
			}
			// The worker wakes up and reports after all: what it brings is kept, its proof comes too late.
			if n := o.record(answered(claim, ledger.Approved, ledger.ByNotSending)); n != 0 {
				t.Error("a lost attempt was put back")
			}
		}
		o.sound()
	})
}

// A worker that is as slow as it may be still has its attempt: it leaves at
// the last moment, and the call takes all of its time.
func TestALeaseOutlivesTheCall(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.approved("lease", sheet("l", 1))
		claim := o.claim(1)[0]
		for _, step := range []struct {
			wait time.Duration
			lost int
		}{{claim.SendBy + order(1).CallTimeout, 0}, {time.Minute, 1}} {
			c.advance(step.wait)
			if n, err := o.ReleaseExpired(t.Context(), "worker:w2", 10); n != step.lost || err != nil {
				t.Errorf("%d attempts are lost after %s more, want %d (%v)", n, step.wait, step.lost, err)
			}
		}
		o.sound()
	})
}

package jobs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"payrun/jobs"
	"payrun/ledger"
)

// Every duration differs, so that a table row says which one was taken.
var judge = jobs.Judge{
	Accepted: jobs.Ladder{11 * time.Second, 12 * time.Second, 13 * time.Second},
	InDoubt:  jobs.Ladder{21 * time.Second, 22 * time.Second, 23 * time.Second},

	Conflict: jobs.Ladder{31 * time.Second, 32 * time.Second, 33 * time.Second},

	ClosedAgain: 10 * time.Minute, Stuck: 24 * time.Hour, Pending: 72 * time.Hour,
}

var (
	someEvidence = ledger.Evidence{Kind: ledger.EvidenceLookup, Heard: "o", Code: "1", GatewayOrder: "G1", Status: "s", Digest: "d"}
	somePayout   = ledger.Payout{ID: 100000007, BatchID: 1, Ordinal: 7, AttemptID: 44, Attempts: 1, Amount: 10_00, Currency: "USD"}
)

// says is a reply in which the gateway knows the order, with its own word for
// the status.
func says(status jobs.Status, word string) jobs.Reply {
	evidence := someEvidence
	evidence.Status = word
	return jobs.Reply{Verdict: jobs.Known, Status: status, Evidence: evidence, Fee: 25, FeeKnown: true, Rate: "1.0", Received: "10.00 USD"}
}

func silent(verdict jobs.Verdict) jobs.Reply {
	return jobs.Reply{Verdict: verdict, Detail: "why", Evidence: ledger.Evidence{Kind: ledger.EvidenceLookup, Heard: "o", Reason: "why"}}
}

// judgement is what a finding decides: the rest of it repeats the reply.
type judgement struct {
	To     ledger.State
	Reason ledger.Reason
	Next   time.Duration
	Kept   bool // as evidence
}

func judged(f ledger.Finding) judgement {
	return judgement{f.To, f.Reason, f.NextLookup, f.Evidence != nil}
}

func TestJudgeSubmitted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply jobs.Reply
		want  judgement
	}{
		"no answer":                 {silent(jobs.NoAnswer), judgement{ledger.Unknown, ledger.ByDoubt, 21 * time.Second, true}},
		"zero reply claims nothing": {jobs.Reply{}, judgement{ledger.Unknown, ledger.ByDoubt, 21 * time.Second, true}},
		"refused is not failed":     {silent(jobs.Refused), judgement{ledger.Unknown, ledger.ByDoubt, 21 * time.Second, true}},
		"not sent":                  {silent(jobs.NotSent), judgement{ledger.Approved, ledger.ByNotSending, 0, true}},
		"another order":             {silent(jobs.Contrary), judgement{ledger.Review, ledger.ByConflict, 21 * time.Second, true}},
		"processing":                {says(jobs.Processing, "1"), judgement{ledger.Accepted, ledger.ByAcceptance, 11 * time.Second, true}},
		"waits for the payee":       {says(jobs.PendingWithdrawal, "19"), judgement{ledger.Accepted, ledger.ByAcceptance, 11 * time.Second, true}},
		"unusual":                   {says(jobs.Unusual, "9"), judgement{ledger.Accepted, ledger.ByAcceptance, 11 * time.Second, true}},
		"succeeded":                 {says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}},
		"failed":                    {says(jobs.FailedReleased, "6"), judgement{ledger.Failed, ledger.ByFailure, 0, true}},
		"failed, fee kept":          {says(jobs.FailedFeeKept, "20"), judgement{ledger.FailedFee, ledger.ByKeptFee, 0, true}},
		"closed is asked again":     {says(jobs.ClosedUnclear, "8"), judgement{ledger.Accepted, ledger.ByAcceptance, 10 * time.Minute, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := judge.Submitted(ledger.Claim{Payout: somePayout, Number: 1}, c.reply)
			if diff := cmp.Diff(c.want, judged(f)); diff != "" {
				t.Errorf("judged wrongly (-want +got):\n%s", diff)
			}
			if f.From != ledger.Sending || f.PayoutID != somePayout.ID || f.AttemptID != somePayout.AttemptID || f.Note != c.reply.Detail {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

func TestJudgeLookedUp(t *testing.T) {
	t.Parallel()
	const age = 10 * time.Minute
	type before struct {
		state   ledger.State
		status  string        // the gateway's word so far
		age     time.Duration // of that word
		lookups int64
	}
	for name, c := range map[string]struct {
		before before
		reply  jobs.Reply
		want   judgement
	}{
		// In doubt.
		"unknown, no answer":           {before{ledger.Unknown, "", 0, 0}, silent(jobs.NoAnswer), judgement{ledger.Unknown, "", 22 * time.Second, true}},
		"unknown, still no answer":     {before{ledger.Unknown, "", 0, 1}, silent(jobs.NoAnswer), judgement{ledger.Unknown, "", 23 * time.Second, true}},
		"unknown, never gives up":      {before{ledger.Unknown, "", 0, 1 << 40}, silent(jobs.NoAnswer), judgement{ledger.Unknown, "", 23 * time.Second, true}},
		"unknown, refused":             {before{ledger.Unknown, "", 0, 0}, silent(jobs.Refused), judgement{ledger.Unknown, "", 22 * time.Second, true}},
		"unknown, not sent":            {before{ledger.Unknown, "", 0, 0}, silent(jobs.NotSent), judgement{ledger.Unknown, "", 22 * time.Second, true}},
		"unknown, another order":       {before{ledger.Unknown, "", 0, 0}, silent(jobs.Contrary), judgement{ledger.Review, ledger.ByConflict, 21 * time.Second, true}},
		"unknown, processing":          {before{ledger.Unknown, "", 0, 5}, says(jobs.Processing, "1"), judgement{ledger.Accepted, ledger.ByFinding, 11 * time.Second, true}},
		"unknown, waits for the payee": {before{ledger.Unknown, "", 0, 5}, says(jobs.PendingWithdrawal, "19"), judgement{ledger.Accepted, ledger.ByFinding, 11 * time.Second, true}},
		"unknown, unusual":             {before{ledger.Unknown, "", 0, 5}, says(jobs.Unusual, "11"), judgement{ledger.Accepted, ledger.ByFinding, 11 * time.Second, true}},
		"unknown, succeeded":           {before{ledger.Unknown, "", 0, 5}, says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}},
		"unknown, failed":              {before{ledger.Unknown, "", 0, 5}, says(jobs.FailedReleased, "6"), judgement{ledger.Failed, ledger.ByFailure, 0, true}},
		"unknown, fee kept":            {before{ledger.Unknown, "", 0, 5}, says(jobs.FailedFeeKept, "20"), judgement{ledger.FailedFee, ledger.ByKeptFee, 0, true}},
		"unknown, closed once":         {before{ledger.Unknown, "", 0, 5}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Accepted, ledger.ByFinding, age, true}},
		"unknown, closed twice":        {before{ledger.Unknown, "8", age, 5}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Closed, ledger.ByClosing, 0, true}},

		// Under way.
		"accepted, no answer":             {before{ledger.Accepted, "1", time.Hour, 0}, silent(jobs.NoAnswer), judgement{ledger.Accepted, "", 12 * time.Second, true}},
		"accepted, refused":               {before{ledger.Accepted, "1", time.Hour, 7}, silent(jobs.Refused), judgement{ledger.Accepted, "", 13 * time.Second, true}},
		"accepted, another order":         {before{ledger.Accepted, "1", time.Hour, 0}, silent(jobs.Contrary), judgement{ledger.Review, ledger.ByConflict, 21 * time.Second, true}},
		"accepted, says the same":         {before{ledger.Accepted, "1", time.Hour, 0}, says(jobs.Processing, "1"), judgement{ledger.Accepted, "", 12 * time.Second, false}},
		"accepted, says something new":    {before{ledger.Accepted, "1", time.Hour, 0}, says(jobs.PendingWithdrawal, "19"), judgement{ledger.Accepted, "", 12 * time.Second, true}},
		"accepted, still at the payee":    {before{ledger.Accepted, "19", time.Hour, 3}, says(jobs.PendingWithdrawal, "19"), judgement{ledger.Accepted, "", 13 * time.Second, false}},
		"accepted, unusual":               {before{ledger.Accepted, "1", time.Hour, 0}, says(jobs.Unusual, "9"), judgement{ledger.Accepted, "", 12 * time.Second, true}},
		"accepted, still unusual":         {before{ledger.Accepted, "9", time.Hour, 3}, says(jobs.Unusual, "9"), judgement{ledger.Accepted, "", 13 * time.Second, false}},
		"accepted, differently unusual":   {before{ledger.Accepted, "9", time.Hour, 0}, says(jobs.Unusual, "77"), judgement{ledger.Accepted, "", 12 * time.Second, true}},
		"accepted, succeeded":             {before{ledger.Accepted, "1", time.Hour, 0}, says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}},
		"accepted, failed":                {before{ledger.Accepted, "1", time.Hour, 0}, says(jobs.FailedReleased, "5"), judgement{ledger.Failed, ledger.ByFailure, 0, true}},
		"accepted, fee kept":              {before{ledger.Accepted, "1", time.Hour, 0}, says(jobs.FailedFeeKept, "20"), judgement{ledger.FailedFee, ledger.ByKeptFee, 0, true}},
		"accepted, closed once":           {before{ledger.Accepted, "1", time.Hour, 0}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Accepted, "", age, true}},
		"accepted, closed, asked early":   {before{ledger.Accepted, "8", age - 1, 0}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Accepted, "", age, false}},
		"accepted, closed, asked at once": {before{ledger.Accepted, "8", 0, 1}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Accepted, "", age, false}},
		"accepted, closed twice":          {before{ledger.Accepted, "8", age, 1}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Closed, ledger.ByClosing, 0, true}},
		"accepted, closed, then open":     {before{ledger.Accepted, "8", age, 1}, says(jobs.Processing, "1"), judgement{ledger.Accepted, "", 13 * time.Second, true}},
		"accepted, closed, then paid":     {before{ledger.Accepted, "8", age, 1}, says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}},

		// Under review: only a clean end resolves it, the rest is kept for people.
		"review, no answer":     {before{ledger.Review, "1", time.Hour, 0}, silent(jobs.NoAnswer), judgement{ledger.Review, "", 22 * time.Second, true}},
		"review, refused":       {before{ledger.Review, "", 0, 0}, silent(jobs.Refused), judgement{ledger.Review, "", 22 * time.Second, true}},
		"review, another order": {before{ledger.Review, "", 0, 0}, silent(jobs.Contrary), judgement{ledger.Review, "", 22 * time.Second, true}},
		"review, processing":    {before{ledger.Review, "1", time.Hour, 0}, says(jobs.Processing, "1"), judgement{ledger.Review, "", 22 * time.Second, true}},
		"review, unusual":       {before{ledger.Review, "", 0, 2}, says(jobs.Unusual, "9"), judgement{ledger.Review, "", 23 * time.Second, true}},
		"review, succeeded":     {before{ledger.Review, "1", time.Hour, 0}, says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}},
		"review, failed":        {before{ledger.Review, "1", time.Hour, 0}, says(jobs.FailedReleased, "6"), judgement{ledger.Failed, ledger.ByFailure, 0, true}},
		"review, fee kept":      {before{ledger.Review, "1", time.Hour, 0}, says(jobs.FailedFeeKept, "20"), judgement{ledger.FailedFee, ledger.ByKeptFee, 0, true}},
		"review, closed twice":  {before{ledger.Review, "8", age, 1}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Closed, ledger.ByClosing, 0, true}},
		"review, closed once":   {before{ledger.Review, "1", age, 1}, says(jobs.ClosedUnclear, "8"), judgement{ledger.Review, "", age, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := somePayout
			p.State, p.Status, p.Lookups = c.before.state, c.before.status, c.before.lookups
			f := judge.LookedUp(ledger.Lookup{Payout: p, StatusAge: c.before.age}, c.reply)
			if diff := cmp.Diff(c.want, judged(f)); diff != "" {
				t.Errorf("judged wrongly (-want +got):\n%s", diff)
			}
			if f.From != c.before.state || f.PayoutID != p.ID || f.AttemptID != p.AttemptID {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

// The manual promises one gateway order per order number. A second one means
// that somebody was paid twice, or that an answer is about something else.
func TestAnotherGatewayOrderIsAConflict(t *testing.T) {
	t.Parallel()
	for _, state := range []ledger.State{ledger.Accepted, ledger.Unknown} {
		for _, reply := range []jobs.Reply{says(jobs.Processing, "1"), says(jobs.Succeeded, "7"), says(jobs.FailedReleased, "6")} {
			p := somePayout
			p.State, p.Status, p.GatewayOrder = state, "1", "G0"
			f := judge.LookedUp(ledger.Lookup{Payout: p, StatusAge: time.Hour}, reply)
			if want := (judgement{ledger.Review, ledger.ByConflict, 21 * time.Second, true}); judged(f) != want {
				t.Errorf("%s, status %s of G1 where G0 was accepted: %+v", state, reply.Evidence.Status, judged(f))
			}
		}
	}
}

func TestWhatTheGatewayToldIsCarriedOver(t *testing.T) {
	t.Parallel()
	p := somePayout
	p.State = ledger.Accepted
	f := judge.LookedUp(ledger.Lookup{Payout: p}, says(jobs.Succeeded, "7"))
	got := []string{f.GatewayOrder, f.Status, f.Rate, f.Received, fmt.Sprint(f.Fee, f.FeeKnown)}
	if diff := cmp.Diff([]string{"G1", "7", "1.0", "10.00 USD", "25 true"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	unclear := says(jobs.Succeeded, "7")
	unclear.Verdict = jobs.NoAnswer // a badly signed reply may carry all of it
	f = judge.LookedUp(ledger.Lookup{Payout: p}, unclear)
	if f.GatewayOrder != "" || f.Status != "" || f.FeeKnown || f.To != ledger.Accepted {
		t.Errorf("an answer that proves nothing was believed: %+v", f)
	}
}

// Whatever comes, a judgement is a legal change of state, only a known order
// moves money, and what has not ended is looked up again.
func TestEveryJudgementIsLegal(t *testing.T) {
	t.Parallel()
	legal := map[string]bool{}
	for _, tr := range ledger.Transitions {
		legal[fmt.Sprint(tr.From, tr.To, tr.Reason)] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		reply := jobs.Reply{
			Verdict:  rapid.SampledFrom([]jobs.Verdict{jobs.NoAnswer, jobs.NotSent, jobs.Refused, jobs.Known, jobs.Contrary, jobs.Absent}).Draw(t, "verdict"),
			Status:   jobs.Status(rapid.IntRange(int(jobs.Processing), int(jobs.ClosedUnclear)+1).Draw(t, "status")),
			Evidence: ledger.Evidence{Kind: ledger.EvidenceLookup, Status: rapid.SampledFrom([]string{"", "1", "8"}).Draw(t, "word")},
		}
		p := somePayout
		p.State = rapid.SampledFrom([]ledger.State{ledger.Unknown, ledger.Accepted, ledger.Review}).Draw(t, "state")
		p.Status = rapid.SampledFrom([]string{"", "1", "8"}).Draw(t, "status before")
		p.Lookups = rapid.Int64Range(0, 100).Draw(t, "look-ups")
		age := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "age"))
		notified := rapid.SampledFrom([]string{"", "1", "8"}).Draw(t, "notified")
		conflicts := rapid.Int64Range(0, 5).Draw(t, "conflicts")
		for _, f := range []ledger.Finding{
			judge.Submitted(ledger.Claim{Payout: somePayout}, reply),
			judge.Asked(ledger.Claim{Payout: somePayout}, reply),
			judge.LookedUp(ledger.Lookup{Payout: p, StatusAge: age, SentAge: age * 30, Notified: notified, Conflicts: conflicts}, reply),
		} {
			if f.From != f.To && !legal[fmt.Sprint(f.From, f.To, f.Reason)] {
				t.Fatalf("%s to %s as %s is not in the ledger's table", f.From, f.To, f.Reason)
			}
			if f.To.Final() && reply.Verdict != jobs.Known {
				t.Fatalf("verdict %d ended a payout as %s", reply.Verdict, f.To)
			}
			if f.To.Final() && f.From != ledger.Sending && notified != "" && notified != reply.Evidence.Status {
				t.Fatalf("status %s ended a payout as %s, a notification said %s", reply.Evidence.Status, f.To, notified)
			}
			if !f.To.Final() && f.To != ledger.Approved && f.NextLookup <= 0 {
				t.Fatalf("%s is never looked up again", f.To)
			}
			if f.To == ledger.Approved && (f.From != ledger.Sending || reply.Verdict != jobs.NotSent) {
				t.Fatalf("verdict %d frees a %s payout to be sent again", reply.Verdict, f.From)
			}
		}
	})
}

// A question before a second send that is not answered with "not found" sends
// nothing, and is judged by what it learned.
func TestJudgeAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply jobs.Reply
		want  judgement
	}{
		"no answer":     {silent(jobs.NoAnswer), judgement{ledger.Unknown, ledger.ByNotSending, 21 * time.Second, true}},
		"zero reply":    {jobs.Reply{}, judgement{ledger.Unknown, ledger.ByNotSending, 21 * time.Second, true}},
		"not asked":     {silent(jobs.NotSent), judgement{ledger.Approved, ledger.ByNotSending, 0, true}},
		"another order": {silent(jobs.Contrary), judgement{ledger.Review, ledger.ByConflict, 21 * time.Second, true}},
		"processing":    {says(jobs.Processing, "1"), judgement{ledger.Accepted, ledger.ByAcceptance, 11 * time.Second, true}},
		"succeeded":     {says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}},
		"failed":        {says(jobs.FailedReleased, "6"), judgement{ledger.Failed, ledger.ByFailure, 0, true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := judge.Asked(ledger.Claim{Payout: somePayout, Number: 2, AskFirst: true}, c.reply)
			if diff := cmp.Diff(c.want, judged(f)); diff != "" {
				t.Errorf("judged wrongly (-want +got):\n%s", diff)
			}
		})
	}
}

// A payout that our own side refuses to send is blocked; one that merely was
// not sent is not.
func TestJudgeInvalid(t *testing.T) {
	t.Parallel()
	reply := silent(jobs.NotSent)
	if f := judge.Submitted(ledger.Claim{Payout: somePayout}, reply); f.Block != "" {
		t.Errorf("blocked: %s", f.Block)
	}
	reply.Invalid = true
	if f := judge.Submitted(ledger.Claim{Payout: somePayout}, reply); f.Block != ledger.BlockedInvalid || f.To != ledger.Approved {
		t.Errorf("finding %+v", f)
	}
}

// A look-up that tells another end than a notification moves no money.
func TestJudgeContradiction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state     ledger.State
		notified  string
		conflicts int64
		reply     jobs.Reply
		want      judgement
		conflict  bool
	}{
		"paid, notified as failed":      {ledger.Accepted, "6", 0, says(jobs.Succeeded, "7"), judgement{ledger.Accepted, "", 31 * time.Second, true}, true},
		"failed, notified as paid":      {ledger.Accepted, "7", 0, says(jobs.FailedReleased, "6"), judgement{ledger.Accepted, "", 31 * time.Second, true}, true},
		"fee kept, notified as paid":    {ledger.Accepted, "7", 0, says(jobs.FailedFeeKept, "20"), judgement{ledger.Accepted, "", 31 * time.Second, true}, true},
		"closed, notified as paid":      {ledger.Accepted, "7", 0, says(jobs.ClosedUnclear, "8"), judgement{ledger.Accepted, "", 31 * time.Second, true}, true},
		"a second time":                 {ledger.Accepted, "6", 1, says(jobs.Succeeded, "7"), judgement{ledger.Accepted, "", 32 * time.Second, true}, true},
		"a third time":                  {ledger.Accepted, "6", 2, says(jobs.Succeeded, "7"), judgement{ledger.Accepted, "", 33 * time.Second, true}, true},
		"after the last rung":           {ledger.Accepted, "6", 3, says(jobs.Succeeded, "7"), judgement{ledger.Review, ledger.ByConflict, 21 * time.Second, true}, true},
		"in doubt":                      {ledger.Unknown, "6", 0, says(jobs.Succeeded, "7"), judgement{ledger.Accepted, ledger.ByFinding, 31 * time.Second, true}, true},
		"in doubt, after the last rung": {ledger.Unknown, "6", 3, says(jobs.Succeeded, "7"), judgement{ledger.Review, ledger.ByConflict, 21 * time.Second, true}, true},
		"under review":                  {ledger.Review, "6", 9, says(jobs.Succeeded, "7"), judgement{ledger.Review, "", 33 * time.Second, true}, true},
		"under review, then agreed":     {ledger.Review, "7", 9, says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}, false},
		"agreed":                        {ledger.Accepted, "7", 2, says(jobs.Succeeded, "7"), judgement{ledger.Succeeded, ledger.BySuccess, 0, true}, false},
		"not ended yet":                 {ledger.Accepted, "7", 2, says(jobs.Processing, "1"), judgement{ledger.Accepted, "", 12 * time.Second, true}, false},
		"never notified":                {ledger.Accepted, "", 0, says(jobs.FailedReleased, "6"), judgement{ledger.Failed, ledger.ByFailure, 0, true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := somePayout
			p.State = c.state
			f := judge.LookedUp(ledger.Lookup{Payout: p, Notified: c.notified, Conflicts: c.conflicts}, c.reply)
			if diff := cmp.Diff(c.want, judged(f)); diff != "" {
				t.Errorf("judged wrongly (-want +got):\n%s", diff)
			}
			if f.Conflict != c.conflict || (f.Unusual != "") != (c.conflict && f.To == ledger.Accepted) {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

// What stays under way for too long becomes a case, by its age.
func TestJudgeAge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state             ledger.State
		status            string
		statusAge, sentAt time.Duration
		reply             jobs.Reply
		kind              string
	}{
		"under way":                           {ledger.Accepted, "1", 0, 24*time.Hour - 1, says(jobs.Processing, "1"), ""},
		"under way for a day":                 {ledger.Accepted, "1", 0, 24 * time.Hour, says(jobs.Processing, "1"), ledger.ExceptionStuck},
		"no answer for a day":                 {ledger.Accepted, "1", 0, 24 * time.Hour, silent(jobs.NoAnswer), ledger.ExceptionStuck},
		"denied for a day":                    {ledger.Accepted, "1", 0, 24 * time.Hour, silent(jobs.Refused), ledger.ExceptionStuck},
		"waits for its payee":                 {ledger.Accepted, "19", 72*time.Hour - 1, 90 * time.Hour, says(jobs.PendingWithdrawal, "19"), ""},
		"waits for its payee for three days":  {ledger.Accepted, "19", 72 * time.Hour, 90 * time.Hour, says(jobs.PendingWithdrawal, "19"), ledger.ExceptionPending},
		"waits for its payee since just now":  {ledger.Accepted, "1", 72 * time.Hour, 90 * time.Hour, says(jobs.PendingWithdrawal, "19"), ""},
		"ended after a day":                   {ledger.Accepted, "1", 0, 24 * time.Hour, says(jobs.Succeeded, "7"), ""},
		"in doubt for a day, which is a case": {ledger.Unknown, "", 0, 24 * time.Hour, silent(jobs.NoAnswer), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := somePayout
			p.State, p.Status = c.state, c.status
			f := judge.LookedUp(ledger.Lookup{Payout: p, StatusAge: c.statusAge, SentAge: c.sentAt}, c.reply)
			if f.UnusualKind != c.kind || (f.Unusual != "") != (c.kind != "") {
				t.Errorf("case %q: %q, want %q", f.UnusualKind, f.Unusual, c.kind)
			}
		})
	}
}

func TestALadderNeverEnds(t *testing.T) {
	t.Parallel()
	for _, ladder := range []jobs.Ladder{jobs.DefaultAccepted, jobs.DefaultInDoubt, jobs.DefaultConflict} {
		last := time.Duration(0)
		for n := range int64(20) {
			if wait := ladder.At(n); wait < last || wait <= 0 {
				t.Errorf("look-up %d after %s, the one before after %s", n, wait, last)
			} else {
				last = wait
			}
		}
		if ladder.At(1<<62) != last || last > time.Hour {
			t.Errorf("in the end every %s", ladder.At(1<<62))
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"payrun/internal/sandbox"
)

// decided has the maker propose and the checker confirm.
func (b *payer) decided(order, outcome string, more ...string) {
	b.t.Helper()
	var proposed struct{ Proposal int64 }
	shown := b.as(b.maker).must(append([]string{"payout", "decide", order, "--as", outcome, "--reason", "they wrote", "--json"}, more...)...)
	shown.document(&proposed)
	b.as(b.checker).must("decision", "confirm", fmt.Sprint(proposed.Proposal))
}

// nextStep is what exceptions says about a payout, as arguments; what is in
// doubt about it is filled in.
func (b *payer) nextStep(order string) []string {
	b.t.Helper()
	var open []struct {
		Order string `json:"order"`
		Next  string `json:"next_step"`
	}
	if err := json.Unmarshal([]byte(b.must("exceptions", "--json").out), &open); err != nil {
		b.t.Fatal(err)
	}
	for _, e := range open {
		command := regexp.MustCompile(`payrun (.*)`).FindStringSubmatch(e.Next)
		if e.Order == order && command != nil {
			return strings.Fields(strings.ReplaceAll(command[1], "…", "it-would-be-paid-twice"))
		}
	}
	b.t.Fatalf("no case about %s names a command: %+v", order, open)
	return nil
}

// A re-pay that was released to be sent again, when what it pays again turns
// out to have been paid: exceptions names the command that takes it back.
func TestAReleasedRepayIsTakenBack(t *testing.T) {
	t.Parallel()
	b := newPayer(t, "PAYRUN_RESEND_ANSWERS=2", "PAYRUN_RESEND_GRACE=1ms")
	b.must("check")
	b.handedIn("1", "A,Perfect Money,U001000906,10.25,USD,One", "B,Perfect Money,U002000907,11.25,USD,Two")
	b.must("job", "run", "disburse")
	eventually(t, "one has failed", func() bool {
		b.must("job", "run", "track")
		return b.states(1)["FAILED"] == 1 && b.states(1)["SUCCEEDED"] == 1
	})
	first := b.orders(1)[0]
	b.as(b.maker).must("repay", first, "--reason", "the wallet is open again")
	b.as(b.maker).must("batch", "submit", "2")
	b.as(b.checker).must("batch", "approve", "2")
	again := b.orders(2)[0]
	if err := b.gateway.SetFaults(sandbox.Faults{Rules: []sandbox.Fault{{At: sandbox.Create, Kind: sandbox.FaultStatus}}}); err != nil {
		t.Fatal(err)
	}
	b.must("job", "run", "disburse")
	eventually(t, "it is proven absent", func() bool {
		b.must("job", "run", "track")
		return strings.Contains(b.must("exceptions").out, "proven absent")
	})
	b.decided(again, "send-again")
	b.decided(first, "paid", "--evidence", "statement line 7")
	b.as(b.maker).must("payout", "decide", again, "--as", "unblock", "--reason", "let it go")
	var open []decisionView
	b.must("decision", "list", "--json").document(&open)
	number := fmt.Sprint(open[0].Proposal)
	b.as(b.checker).run("decision", "confirm", number).exits(exitRefused).complains(first + ", which it pays again, is SUCCEEDED; cancel it")
	b.as(b.maker).must("decision", "withdraw", number)

	b.as(b.maker).must(b.nextStep(again)...)
	b.as(b.checker).must(b.nextStep(again)...).says(again + " is CANCELLED")
	b.must("exceptions").says("Nothing needs a person.")
	b.must("job", "run", "disburse").says("0 sent")
	b.must("verify")
}

// After a restore a batch is not taken back unasked, and the refusal says what
// can be done.
func TestCancelAfterARestoreSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	b.handedIn("1", goodRows(2)...)
	b.as(b.admin).must("restored", "--reason", "the disk died")
	b.as(b.checker).run("batch", "cancel", "1", "--reason", "wrong month").exits(exitRefused).
		complains("what was lost with it may have sent payouts of batch 1", "payrun batch pause 1", "payrun payout decide ORDER --as cancel")
	b.decided(b.orders(1)[0], "cancel", "--evidence", "mail of 2 November")
	if states := b.states(1); states["CANCELLED"] != 1 || states["APPROVED"] != 1 {
		t.Errorf("states %v", states)
	}
	b.must("verify")
}

// The gateway says that it has another amount than was ordered: the case shows
// both and the difference, and two people book what really moved.
func TestAnotherAmountIsDecided(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	b.handedIn("1", goodRows(2)...)
	faults := []sandbox.Fault{{At: sandbox.Create, Kind: sandbox.FaultMismatch, Times: 1}, {At: sandbox.Query, Kind: sandbox.FaultMismatch, OrderNo: b.orders(1)[0]}}
	faults[0].OrderNo = faults[1].OrderNo
	if err := b.gateway.SetFaults(sandbox.Faults{Rules: faults}); err != nil {
		t.Fatal(err)
	}
	no := faults[0].OrderNo
	b.must("job", "run", "disburse")
	b.must("exceptions").says("review", "the gateway has 110.25 USD, we ordered 10.25 USD: 100.00 more", "--amount where it paid another one")
	b.as(b.maker).run("payout", "decide", no, "--as", "paid", "--reason", "r", "--evidence", "e", "--amount", "0").exits(exitUsage).complains("--amount: it is not above zero")
	b.decided(no, "paid", "--evidence", "statement line 7", "--amount", "110.25")
	b.must("decision", "list", "--all").says("really paid: 110.25 USD, 10.25 USD were ordered")
	b.must("payout", "show", no).says("really paid 110.25 USD, as two people found")
	eventually(t, "the other one is paid", func() bool {
		b.must("job", "run", "track")
		return b.states(1)["SUCCEEDED"] == 2
	})
	b.must("exceptions").says("Nothing needs a person.")
	b.must("verify")
	b.must("report", "--out", filepath.Join(t.TempDir(), "report.xlsx"))
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"payrun/internal/sandbox"
)

// demoTokens are the tokens of the people that run makes on the sandbox, as a
// newcomer gets them.
func (p *place) demoTokens() (maker, checker *place) {
	p.t.Helper()
	token := func(as *place, name string) string { return strings.TrimSpace(as.must("user", "token", name).out) }
	boss := p.as(token(p, "demo-admin"))
	return p.as(token(boss, "demo-maker")), p.as(token(boss, "demo-checker"))
}

// orders are the order numbers of a batch, in the order of its sheet.
func (p *place) orders(batch int) []string {
	p.t.Helper()
	var listed []listedView
	p.must("payout", "list", "--batch", fmt.Sprint(batch), "--json").document(&listed)
	orders := make([]string, len(listed))
	for i, l := range listed {
		orders[i] = l.Order
	}
	return orders
}

// A newcomer on the sandbox: a payout that the gateway closed is decided by
// two people, failed ones are paid again.
func TestDecideAndRepayOnTheSandbox(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("run", p.sheet("A,Perfect Money,U001000906,10.25,USD,One", "B,Perfect Money,U002000907,11.25,USD,Two",
		"C,Perfect Money,U003000908,12.25,USD,Three", "D,Perfect Money,U004000920,13.25,USD,Four"))
	maker, checker := p.demoTokens()
	orders := p.orders(1)
	failed, paid, closed := orders[0], orders[1], orders[2]

	p.must("exceptions").says("closed", "payout "+closed, "payrun payout decide "+closed+" --as paid --reason …")
	p.must("payout", "list").says(closed, "CLOSED", "****0908")
	p.must("payout", "list", "--state", "FAILED", "--state", "FAILED_FEE").says(failed, orders[3], "payrun repay "+failed)
	p.must("payout", "list", "--in-doubt").says("No such payouts.")

	p.run("payout", "decide", closed, "--as", "paid", "--reason", "r", "--evidence", "e").exits(exitRefused).complains("set PAYRUN_TOKEN")
	maker.run("payout", "decide", closed, "--as", "paid", "--reason", "r").exits(exitRefused).complains("needs evidence")
	maker.run("payout", "decide", closed, "--as", "won", "--reason", "r").exits(exitUsage)
	maker.run("payout", "decide", closed, "--as", "paid", "--reason", "r", "--evidence", "e", "--fee", "1,5").exits(exitUsage).complains("--fee")
	maker.run("payout", "decide", closed, "--as", "paid", "--reason", "r", "--evidence-file", "/nowhere").exits(exitUsage).complains("--evidence-file")
	maker.run("payout", "decide", paid, "--as", "send-again", "--reason", "r").exits(exitRefused).complains("is SUCCEEDED; send-again cannot be decided")
	file := p.file("statement.txt", "12.25 paid", 0o600)
	maker.must("payout", "decide", closed, "--as", "paid", "--reason", "they wrote", "--evidence-file", file, "--fee", "0.10").
		says("Nothing has changed yet", "payrun decision confirm ")
	var open []decisionView
	p.must("decision", "list", "--json").document(&open)
	if len(open) != 1 || open[0].Order != closed || open[0].FileName != "statement.txt" || len(open[0].FileDigest) != 64 || open[0].Fee != "0.10" {
		t.Fatalf("open proposals %+v", open)
	}
	number := fmt.Sprint(open[0].Proposal)
	p.must("decision", "list").says("Proposal "+number, "it was CLOSED, 12.25 USD", "they wrote", "SHA-256 "+open[0].FileDigest)
	maker.run("decision", "confirm", number).exits(exitRefused).complains("needs the role checker")
	checker.must("decision", "confirm", number).says("is confirmed by demo-checker", closed+" is SUCCEEDED")
	checker.run("decision", "confirm", number).exits(exitRefused).complains("the proposal is confirmed")
	p.must("decision", "list").says("No proposal waits")
	p.must("decision", "list", "--all").says("confirmed by demo-checker")
	p.must("payout", "show", closed).says("proposal "+number, "user:demo-maker", "statement paid", "CLOSED to SUCCEEDED", "entry corrected").
		says("sent, the gateway took it", "asked, it was closed", "status 8 (closed)").lacks("ended-closed")
	p.must("exceptions").says("Nothing needs a person.")

	checker.must("payout", "decide", paid, "--as", "failed", "--reason", "came back", "--evidence", "line 3")
	p.must("decision", "list", "--json").document(&open)
	number = fmt.Sprint(open[0].Proposal)
	checker.run("decision", "confirm", number).exits(exitRefused).complains("demo-checker proposed it; somebody else has to confirm it")
	checker.must("decision", "withdraw", number).says("is withdrawn by demo-checker")

	checker.run("repay", failed, "--reason", "r").exits(exitRefused).complains("needs the role maker")
	maker.run("repay", "--reason", "r").exits(exitUsage)
	maker.run("repay", paid, "--reason", "r").exits(exitRefused).complains("only one that failed can be paid again")
	maker.must("repay", "--batch", "1", "--reason", "the wallets are open").says("Batch 2 pays 2 payouts again", "payrun batch submit 2")
	maker.run("repay", "--batch", "1", "--reason", "the wallets are open").exits(exitRefused).complains("no failed payout of batch 1 is left")
	again := p.orders(2)
	maker.run("repay", failed, "--reason", "r").exits(exitRefused).complains("is paid again already, as " + again[0])
	p.must("payout", "show", again[0]).says("pays " + failed + " again")
	p.must("payout", "show", failed).says("paid again", "as "+again[0], "nothing was paid").silent("received")
	p.must("payout", "show", strings.ToLower(paid)).says("Payout "+paid, "received")
	maker.must("batch", "submit", "2")
	checker.must("batch", "approve", "2")

	maker.must("payout", "decide", paid, "--as", "failed", "--reason", "came back", "--evidence", "line 3")
	p.must("decision", "list", "--json").document(&open)
	checker.must("decision", "confirm", fmt.Sprint(open[0].Proposal))
	p.must("payout", "show", paid).says("entry corrected", "the fee of", "was kept; nothing was paid")
	p.must("verify").says("re-pays", "proposals", "corrections")
}

// A case about no single payout is closed by a checker.
func TestCloseACase(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, checker := p.people()
	maker2, checker2 := p.as(maker), p.as(checker)
	maker2.run("exceptions", "close", "1", "--reason", "r").exits(exitRefused).complains("needs the role checker")
	checker2.run("exceptions", "close", "4711", "--reason", "r").exits(exitRefused).complains("no open case about no single payout has this number")
	p.must("exceptions", "--json").says("[]")
}

// A proposal that the gateway's answer has overtaken is not shown as one to be
// confirmed.
func TestAProposalThatWasOvertakenSaysSo(t *testing.T) {
	t.Parallel()
	p, maker := newPlace(t).sentOne(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultLostReply})
	p.as(maker).must("payout", "decide", p.orders(1)[0], "--as", "paid", "--reason", "they wrote", "--evidence", "line 7")
	p.must("decision", "list").says("payrun decision confirm")
	eventually(t, "the gateway's answer ends it", func() bool {
		p.must("job", "run", "track")
		return p.states(1)["SUCCEEDED"] == 1
	})
	p.must("decision", "list").says("it was UNKNOWN", "has moved on and is SUCCEEDED", "payrun decision withdraw").lacks("payrun decision confirm")
}

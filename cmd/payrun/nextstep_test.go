package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// lacks fails when the output says something that is not true any more.
func (r result) lacks(texts ...string) result {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.out, text) {
			r.t.Errorf("says %q:\n%s", text, r.out)
		}
	}
	return r
}

func TestABatchSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	mia, carl := p.as(maker), p.as(checker)
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x")
	mia.must("import", p.sheet(goodRows(2)...))
	p.must("batch", "show", "1").says("Next, mia: payrun batch submit 1")
	mia.must("batch", "submit", "1")
	p.must("batch", "show", "1").says("submitted by mia", "Next, a checker other than mia: payrun batch approve 1")
	carl.must("batch", "reject", "1", "--reason", "check row 182").says("goes back to mia", "Next, mia: payrun batch submit 1 again, or payrun batch discard 1 --reason …")
	p.must("batch", "show", "1").says(`sent back by carl at `, `"check row 182"`, "Next, mia: payrun batch submit 1").lacks("submitted by")
	var shown struct {
		Back  sentBackView `json:"sent_back"`
		Batch batchView    `json:"batch"`
	}
	p.must("batch", "show", "1", "--json").document(&shown)
	if shown.Back.By != "carl" || shown.Back.How != "rejected" || shown.Back.Reason != "check row 182" || shown.Batch.Submitter != "" {
		t.Errorf("for programs: %+v", shown)
	}
	mia.must("batch", "submit", "1")
	mia.must("batch", "recall", "1", "--reason", "a slip")
	p.must("batch", "show", "1").says(`taken back by mia at `, `"a slip"`).lacks("sent back")
	mia.must("batch", "submit", "1")

	mia.must("stop", "everything", "--reason", "fire drill").says("Only a checker lifts it: payrun stop lift everything")
	carl.must("batch", "approve", "1").says("approved by carl. It is not sent yet: everything is stopped (payrun stop list).").lacks("serve sends it")
	p.must("batch", "show", "1").says("Waits: everything is stopped by mia since ", `"fire drill". Next, a checker: payrun stop lift everything`)
	p.must("job", "list").says("2 payouts approved on Perfect Money in USD wait: everything is stopped by mia (payrun stop lift everything)")

	order := p.orders(1)[0]
	mia.must("stop", "payout", order, "--reason", "wrong person")
	p.must("payout", "show", order).says("STOPPED: payout "+order+" is stopped by mia since ", `"wrong person". Next, a checker: payrun stop lift payout `+order)
	mia.must("stop", "wallet", "--of", order, "--reason", "wrong person")
	p.must("payout", "show", order).says("payrun stop lift wallet --of " + order)
	p.must("stop", "list").says("wallet ****0907 on Perfect Money")
	carl.must("stop", "lift", "everything").says("The stop of everything is lifted. Still stopped: payout "+order, "wallet ****0907 on Perfect Money (payrun stop list)").lacks("go again")
	p.must("job", "list").says("1 payout approved on Perfect Money in USD waits for fresh limits of the channel, which payrun serve asks for", "are stopped (payrun stop list)")
	p.must("batch", "show", "1").says("Waits: payout "+order+" is stopped by mia", "waits for fresh limits of the channel")

	carl.must("stop", "channel", "perfect money", "--reason", "down").says("channel 11 (Perfect Money)")
	carl.must("stop", "lift", "payout", order)
	carl.must("stop", "lift", "wallet", "--of", order)
	carl.must("stop", "lift", "channel", "Perfect Money").says("The stop of channel 11 (Perfect Money) is lifted: payouts go again.")
}

// Whoever asks why a payout is not sent is told its day.
func TestAPayDateIsShown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x")
	p.as(maker).must("import", p.file("december.csv", "channel,account,amount,currency,pay date\nPayeer,P10000907,10.50,USD,2999-12-24\n", 0o600))
	p.must("batch", "show", "1").says("1 payout is sent not before 2999-12-24.")
	p.as(maker).must("batch", "confirm", "1", "--kind", "date-far")
	p.as(maker).must("batch", "submit", "1")
	p.as(checker).must("batch", "approve", "1")
	p.must("payout", "show", p.orders(1)[0]).says("pay date 2999-12-24: not sent before")
	p.must("batch", "show", "1").says("1 payout on Payeer in USD waits for the pay date, 2999-12-24")
	p.must("job", "list").says("1 payout approved on Payeer in USD waits for the pay date, 2999-12-24.")
}

// The commands of a next step work as they stand.
func TestNextStepsOfWarnings(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	mia, carl := p.as(maker), p.as(checker)
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x")
	sheet := p.sheet(goodRows(2)...)
	mia.must("import", sheet)
	mia.must("batch", "submit", "1")
	carl.must("batch", "approve", "1")
	mia.must("import", sheet).says("a checker has to allow the repeat: payrun batch allow-repeat 2")
	p.must("batch", "show", "2").says("Next, a checker other than mia: payrun batch allow-repeat 2 --reason …")
	confirm := "payrun batch warnings 2, then payrun batch confirm 2 --kind payee-paid-before, then payrun batch "
	carl.must("batch", "allow-repeat", "2", "--reason", "next month").says("Next, mia: " + confirm + "submit 2")
	mia.run("batch", "submit", "2").exits(exitRefused).complains("payrun batch confirm 2 --kind payee-paid-before confirms them, by name")
	mia.must("batch", "confirm", "2", "--kind", "payee-paid-before")
	mia.must("batch", "submit", "2").says("Next, a checker other than mia: " + confirm + "approve 2")
	carl.run("batch", "approve", "2").exits(exitRefused).complains("payrun batch confirm 2 --kind payee-paid-before confirms them, by name")
	carl.must("batch", "confirm", "2", "--kind", "payee-paid-before")
	p.must("batch", "show", "2").says("Next, a checker other than mia: payrun batch approve 2")
	carl.must("batch", "approve", "2").says("payrun serve sends it.")
}

// What failed is listed until it is paid again, and then under which number.
func TestNextStepsOfFailedPayouts(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("run", p.sheet("A,Perfect Money,U001000906,10.25,USD,One", "B,Perfect Money,U002000907,11.25,USD,Two"))
	maker, checker := p.demoTokens()
	failed := p.orders(1)[0]
	p.must("payout", "list").says("No payout needs a decision. 1 failed: payrun payout list --state FAILED")
	p.must("payout", "list", "--state", "failed").says(failed, "payrun repay "+failed)
	p.must("payout", "list", "--state", "Paid").says(p.orders(1)[1])
	p.run("payout", "list", "--state", "won").exits(exitUsage).complains(`there is no state "won"; the states are VALID, SUBMITTED`)
	p.run("report", "--status", "won").exits(exitUsage).complains(`--status: there is no state "won"`)
	p.must("report", "--channel", "perfect money", "--status", "paid", "--csv").says("1 payout")
	p.must("batch", "show", "1").says("Next, a maker: payrun repay --batch 1 --reason …")
	checker.run("repay", "--batch", "1", "--reason", "open again").exits(exitRefused).complains("demo-checker needs the role maker")
	maker.must("repay", "--batch", "1", "--reason", "open again").says("Batch 2 pays 1 payout again", "Next, demo-maker: payrun batch ")
	again := p.orders(2)[0]
	p.must("batch", "show", "1").lacks("payrun repay")
	p.must("payout", "list", "--state", "FAILED").says("paid again as " + again).lacks("payrun repay")
	p.must("payout", "show", failed).says("next: paid again as " + again).lacks("payrun repay")
	var shown payoutView
	p.must("payout", "show", failed, "--json").document(&shown)
	if shown.PaidAgain != again {
		t.Errorf("for programs it is paid again as %q, want %q", shown.PaidAgain, again)
	}
	p.must("payout", "list").says("No payout needs a decision.").lacks("failed:")
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	p.run("batch", "recall", "1").exits(exitUsage).complains(`a reason is missing: --reason "…" (payrun batch recall --help)`)
	p.run("stop", "channel", "11").exits(exitUsage).complains("(payrun stop channel --help)")
	p.run("payout", "decide", "X").exits(exitUsage).complains("--as", "payrun --help lists the commands")
	p.as(checker).run("import", p.sheet(goodRows(1)...)).exits(exitRefused).complains("carl needs the role maker")
	p.must("job", "why", "track").says("it runs all the time in payrun serve and payrun work")
	p.run("job", "why", "import").exits(exitRefused).complains("inbox.folder is not set")
	p.run("job", "why", "nonsense").exits(exitRefused).complains(`there is no job "nonsense"; the jobs are `, "disburse, import, limits, report, settle, track, verify")
	p.run("job", "why", "settle").exits(exitRefused).complains("never scheduled here")
	p.as(maker).must("profile", "add", "riga2", p.file("riga.yaml", "owner: mia\nchannel: Payeer\ncurrency: USD\n", 0o600))
	out := filepath.Join(t.TempDir(), "t4.xlsx")
	p.must("template", "--profile", "riga2", out).says("payrun import --profile riga2 ")
	token := p.as(admin).must("user", "token", "mia")
	if !strings.Contains(token.err, "valid for 90 days, until 2") {
		t.Errorf("how long the token is valid: %s", token.err)
	}
	if token = p.as(admin).must("user", "token", "mia", "--life", "90m"); !strings.Contains(token.err, "valid for 1h30m0s, until 2") {
		t.Errorf("how long the token is valid: %s", token.err)
	}
}

// What was left out and what was confirmed are not listed alike.
func TestABatchShowsWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("run", p.sheet(append(goodRows(1), badRow, "R-7,Advcash,U12345678901,30.00,USD,C")...), "--good-rows", "--totals", "2 good, 1 bad, 40.25 USD")
	p.must("batch", "show", "1").says("  rejected  row 3, column ", "  warning   row 4, column ")
}

package main

import (
	"io"
	"strings"
	"testing"
)

// A wallet's number comes by standard input or by an order, never by the
// command line, and is not shown whole.
func TestStopAWallet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x")
	p.as(maker).must("import", p.sheet(goodRows(2)...))
	typed := func(as *place, text string, run func(a *app) error) error {
		a := as.opened(io.Discard)
		a.in = strings.NewReader(text)
		return run(a)
	}
	wallet := walletArg{Channel: "11"}
	stop := (&stopWalletCmd{wallet, withReason{"left the company"}}).Run
	for _, text := range []string{"", "\n", "U000 000907\n"} {
		if err := typed(p.as(maker), text, stop); exitCode(err) != exitUsage {
			t.Errorf("standard input %q: %v", text, err)
		}
	}
	for channel, no := range map[string]string{"16": "P10004", "11": "X000000907", "12": "1"} {
		err := typed(p.as(maker), no+"\n", (&stopWalletCmd{walletArg{Channel: channel}, withReason{"fraud"}}).Run)
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "nothing is stopped") {
			t.Errorf("%s on channel %s: %v", no, channel, err)
		}
	}
	p.must("stop", "list").says("Nothing is stopped")
	var said strings.Builder
	a := p.as(maker).opened(io.Discard)
	a.out, a.in = &said, strings.NewReader("U000000907\n")
	must(t, stop(a))
	if !strings.Contains(said.String(), "No payout to it is on record: check the number.") {
		t.Errorf("a wallet that was never paid: %s", said.String())
	}
	p.must("stop", "list").says("wallet ****0907 on Perfect Money", "left the company")
	if r := p.must("stop", "list", "--json"); strings.Contains(r.out, "u000000907") || strings.Contains(r.out, "U000000907") {
		t.Errorf("the account is shown whole: %s", r.out)
	}
	p.as(maker).run("import", p.sheet(append(goodRows(1), "R-7,Perfect Money,U001000907,3.00,USD,x")...)).exits(exitSheet).says("Payments to this wallet are stopped.")
	if err := typed(p.as(maker), "U000000907", (&liftWalletCmd{wallet}).Run); exitCode(err) != exitRefused {
		t.Errorf("a maker lifted it: %v", err)
	}
	must(t, typed(p.as(checker), "u000000907", (&liftWalletCmd{wallet}).Run))

	order := p.firstOrder(t)
	p.as(maker).must("stop", "payout", order, "--reason", "wrong").says("payout " + order)
	p.as(maker).must("stop", "wallet", "--of", order, "--reason", "wrong").says("wallet ****0907 on Perfect Money")
	p.as(maker).must("stop", "batch", "1", "--reason", "wrong")
	p.as(maker).run("stop", "wallet", "--reason", "which").exits(exitUsage).complains("--of ORDER")
	p.as(checker).must("stop", "lift", "payout", order)
	p.as(checker).must("stop", "lift", "wallet", "--of", order)
	p.as(checker).must("stop", "lift", "batch", "1")
	p.must("stop", "list").says("Nothing is stopped")
}

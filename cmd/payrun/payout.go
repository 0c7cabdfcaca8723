package main

import (
	"payrun/ledger"
)

// payoutCmd tells about one payout.
type payoutCmd struct {
	Show payoutShowCmd `cmd:"" help:"Everything that happened to a payout, in order."`
}

type payoutShowCmd struct {
	Order string `arg:"" help:"Order number."`
}

// Run tells the story.
func (c *payoutShowCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	p, steps, err := a.book.Story(a.ctx, c.Order)
	if err != nil {
		return err
	}
	p.Account = ledger.Mask(p.Account)
	return a.show(map[string]any{"order": c.Order, "payout": p, "steps": steps}, func() {
		a.sayf("Payout %s: %s, %s to %s on %s", c.Order, p.State, amount(p.Amount, p.Currency), p.Account, a.channelName(p.Channel))
		a.sayf("  batch %d, row %d of the sheet, reference %q, payee %q", p.BatchID, p.Row, p.Reference, p.Payee)
		if p.GatewayOrder != "" {
			a.sayf("  the gateway calls it %s, its status is %s, rate %s, received %s", p.GatewayOrder, p.Status, p.Rate, p.Received)
		}
		if p.Blocked != "" {
			a.sayf("  blocked: %s", p.Blocked)
		}
		a.sayf("")
		t := newTable(a.out, "at", "what", "who", "detail")
		for _, s := range steps {
			t.row(a.localTime(s.At), s.What, s.Actor, s.Detail)
		}
		t.flush()
	})
}

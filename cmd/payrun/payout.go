package main

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
	return a.show(viewPayout(p, steps), func() {
		a.sayf("Payout %s: %s, %s to %s on %s", p.OrderNo(), p.State, amount(p.Amount, p.Currency), p.MaskedAccount(), a.channelName(p.Channel))
		a.sayf("  batch %d, row %d of the sheet, reference %q, payee %q", p.BatchID, p.Row, p.Reference, p.Payee)
		if p.Beside != "" {
			a.sayf("  beside it in the sheet: %s", p.Beside)
		}
		if p.GatewayOrder != "" {
			a.sayf("  the gateway calls it %s: status %s, fee %s, rate %s, received %s", p.GatewayOrder, orNone(p.Status), amount(fee(p), p.Currency), orNone(p.Rate), orNone(p.Received))
		}
		if p.Blocked != "" {
			a.sayf("  BLOCKED: %s", p.Blocked)
		}
		a.sayf("")
		t := newTable(a.out, "at", "what", "who", "detail")
		for _, s := range steps {
			t.row(a.localTime(s.At), s.What, s.Actor, s.Detail)
		}
		t.flush()
	})
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

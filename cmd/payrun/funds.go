package main

import (
	"payrun/internal/money"
)

// fundsCmd shows and books money.
type fundsCmd struct {
	Show fundsShowCmd `cmd:"" default:"1" help:"Balances in our books and at the gateway."`
	Add  fundsAddCmd  `cmd:"" help:"Book a top-up with its evidence (admin)."`
}

type fundsShowCmd struct{}

// Run shows balances.
func (c *fundsShowCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	ours, err := a.book.Balances(a.ctx)
	if err != nil {
		return err
	}
	theirs, err := a.book.GatewayBalances(a.ctx)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"books": views(ours, viewBalances), "gateway": views(theirs, viewReported)}, func() {
		if len(ours) == 0 {
			a.sayf("No money is booked yet: payrun funds add 1000.00 USD --evidence \"bank reference\" books a top-up.")
		} else {
			t := newTable(a.out, "currency", "available ", "held ", "paid out ", "fees ", "suspense ", "paid in ")
			for _, b := range ours {
				f := func(m money.Amount) string { return grouped(m, b.Currency) }
				t.row(b.Currency, f(b.Available), f(b.Held), f(b.Paid), f(b.Fees), f(b.Suspense), f(-b.Funding))
			}
			t.flush()
		}
		for _, g := range theirs {
			a.sayf("  The gateway reported %s at %s.", amount(g.Reported, g.Currency), a.localTime(g.FetchedAt))
		}
	})
}

type fundsAddCmd struct {
	Amount   string `arg:"" help:"Such as 1000.00."`
	Currency string `arg:"" help:"Such as USD."`
	Evidence string `required:"" help:"What proves it, such as a bank reference."`
}

// Run books a top-up.
func (c *fundsAddCmd) Run(a *app) error {
	currency := money.Currency(c.Currency)
	sum, err := money.Parse(c.Amount, currency)
	if err != nil {
		return usagef("%w; write the amount as 1000.00 and the currency as USD", err)
	}
	by, err := a.user()
	if err != nil {
		return err
	}
	if err := a.book.Fund(a.ctx, by, sum, currency, c.Evidence); err != nil {
		return err
	}
	return a.show(map[string]any{"booked": decimal(sum, currency), "currency": currency, "by": by.Name}, func() {
		a.sayf("Booked %s by %s: %s.", amount(sum, currency), by.Name, c.Evidence)
	})
}

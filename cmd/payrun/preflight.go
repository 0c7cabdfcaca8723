package main

import (
	"time"

	"payrun/jobs"
	"payrun/ledger"
)

// printPreflight shows what a maker and a checker look at before money moves.
func (a *app) printPreflight(p jobs.Preflight) {
	a.sayf("\nBefore money moves: batch %d (%s)", p.Batch.ID, p.Batch.Name)
	t := newTable(a.out, "channel", "payouts ", "amount ", "est. fees ", "currency", "limits")
	for _, total := range p.Totals {
		t.row(a.channelName(total.Channel), count(total.Payouts), grouped(total.Amount, total.Currency),
			grouped(total.Fees, total.Currency), total.Currency, limitWords(p.Limits, total))
	}
	for _, sum := range sums(p.Totals) {
		t.row("together", count(sum.Payouts), grouped(sum.Amount, sum.Currency), grouped(sum.Fees, sum.Currency), sum.Currency, "")
	}
	t.flush()
	for _, f := range p.Funds {
		a.printFunds(f)
	}
	if p.Batch.Rejected > 0 {
		a.sayf("  Not in the batch: %s.", counted(p.Batch.Rejected, "rejected row", "rejected rows"))
	}
	a.printToConfirm(p.Batch, p.Warnings)
	a.printOverlaps(p.Batch, p.Overlaps)
	if p.Duration > 0 {
		a.sayf("  Sending takes about %s at the configured rate.", max(p.Duration.Round(time.Second), time.Second))
	}
}

func (a *app) printFunds(f jobs.Funds) {
	verdict := "Enough"
	switch {
	case f.Available < f.Needed:
		verdict = "NOT ENOUGH in our books, it cannot be approved (payrun funds add)"
	case !f.Enough():
		verdict = "NOT ENOUGH at the gateway, sending will wait for a top-up"
	}
	a.sayf("  Needed with fees: %s. %s:", amount(f.Needed, f.Currency), verdict)
	a.sayf("  available in our books %s, at the gateway %s.", amount(f.Available, f.Currency), amount(f.AtGateway, f.Currency))
}

// sums adds totals up by currency, where there is more than one to add.
func sums(totals []ledger.Total) []ledger.Total {
	var all []ledger.Total
	added := false
	for _, t := range totals {
		i := 0
		for i < len(all) && all[i].Currency != t.Currency {
			i++
		}
		if i == len(all) {
			all = append(all, ledger.Total{Currency: t.Currency})
		} else {
			added = true
		}
		all[i].Payouts += t.Payouts
		all[i].Amount += t.Amount
		all[i].Fees += t.Fees
	}
	if !added {
		return nil
	}
	return all
}

func limitWords(limits []ledger.Limit, t ledger.Total) string {
	for _, l := range limits {
		if l.Channel == t.Channel && l.Currency == t.Currency {
			words := grouped(l.Minimum, l.Currency) + " to " + grouped(l.Maximum, l.Currency)
			if l.Source != ledger.FromGateway {
				words += " (" + l.Source + ")"
			}
			return words
		}
	}
	return "not known yet"
}

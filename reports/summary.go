package reports

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"payrun/internal/money"
	"payrun/ledger"
)

const (
	summarySheet = "Summary"
	summaryTitle = "Payout reconciliation"
)

// summaryWidths: the tables of the Summary share their columns.
var summaryWidths = []float64{11, 26, 13, 18, 16, 18, 44}

// writeSummary fills the first sheet: charts of the busiest currency on top,
// tables under them, charts of further currencies at the end.
func (r *report) writeSummary(_ context.Context, b *book) error {
	s := b.newSheet(summarySheet, layout{widths: summaryWidths, paper: a4Upright})
	if err := errors.Join(s.open(), r.preamble(s), r.glance(s)); err != nil {
		return err
	}
	drawing := charts{sheet: s, busiest: r.busiest()}
	drawing.reserve()
	for _, write := range []func(*sheet, *charts) error{r.statusTable, r.channelTable, r.checkTable, r.exceptionTable, r.batchTable} {
		if err := write(s, &drawing); err != nil {
			return fmt.Errorf("summary: %w", err)
		}
	}
	if err := errors.Join(drawing.draw(), s.finish()); err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	return nil
}

func (r *report) preamble(s *sheet) error {
	asOf := r.snapshot.AsOf.Time().In(r.options.zone()).Format("2 January 2006 15:04:05") + " " + r.options.zone().String()
	err := s.title(summaryTitle, fmt.Sprintf("As of %s, audit position %d. Amounts of different currencies are never added up.", asOf, r.snapshot.Position))
	for _, line := range [][2]string{
		{"Period", r.filter.period(r.options.zone())},
		{"Shows", r.filter.selection(r.options)},
		{"Account", r.options.GatewayAccount},
		{"Made by", r.options.By},
	} {
		if line[1] != "" {
			err = errors.Join(err, s.line(text(line[0]).as(label), text(line[1])))
		}
	}
	return err
}

// glance is what most readers want to know: how much was paid, and whether
// the file agrees with the ledger.
func (r *report) glance(s *sheet) error {
	err := s.begin("At a glance", []column{left("Currency", 0), left("Agrees with the ledger", 0), right("Payouts", 0), right("Paid", 0),
		right("Fees taken", 0), right("Still open", 0)})
	paid, kept := r.perCurrency(in(ledger.Succeeded)), r.perCurrency(in(ledger.Succeeded, ledger.Failed, ledger.FailedFee))
	open := r.perCurrency(func(state ledger.State) bool { return !state.Final() })
	for _, g := range r.tally.by(byCurrency) {
		c := g.Currency
		err = errors.Join(err, s.put([]value{text(string(c)), text(r.verdict(c)).as(good), count(g.Payouts), amount(paid[c].Paid, c),
			amount(kept[c].Fees, c), amount(open[c].Amount, c)}))
	}
	if len(r.tally) == 0 {
		err = errors.Join(err, s.line(text("No payouts.").as(note)))
	}
	return err
}

// verdict is read from the checks; a report that fails one is never offered.
func (r *report) verdict(currency money.Currency) string {
	n := 0
	for _, c := range r.checks {
		if c.currency == currency && c.difference() == 0 {
			n++
		}
	}
	return fmt.Sprintf("yes, %d sums compared", n)
}

func (r *report) busiest() money.Currency {
	var most countedGroup
	for _, g := range r.tally.by(byCurrency) {
		if g.Payouts > most.Payouts {
			most = g
		}
	}
	return most.Currency
}

func (s sums) values(currency money.Currency, what, remark string) []value {
	return []value{text(string(currency)), text(what), count(s.Payouts), amount(s.Amount, currency), amount(s.Fees, currency),
		amount(s.Amount+s.Fees, currency), text(remark)}
}

// sumTable writes groups with a sum after each currency, and tells drawn where
// each currency's lines are.
func (s *sheet) sumTable(what, remark string, groups []countedGroup, name func(countedGroup) (string, string), drawn func(chartRange)) error {
	err := s.begin("By "+strings.ToLower(what), []column{left("Currency", 0), left(what, 0), right("Payouts", 0), right("Amount", 0), right("Fees", 0),
		right("Amount and fees", 0), left(remark, 0)})
	for len(groups) > 0 && err == nil {
		n := 1
		for n < len(groups) && groups[n].Currency == groups[0].Currency {
			n++
		}
		drawn(chartRange{groups[0].Currency, s.row + 1, s.row + n})
		err = s.sumsOf(groups[:n], name)
		groups = groups[n:]
	}
	return err
}

// sumsOf writes the groups of one currency and their sum.
func (s *sheet) sumsOf(groups []countedGroup, name func(countedGroup) (string, string)) error {
	var all sums
	for _, g := range groups {
		what, remark := name(g)
		if err := errors.Join(all.add(g.sums), s.put(g.values(g.Currency, what, remark))); err != nil {
			return err
		}
	}
	sum := all.values(groups[0].Currency, "all", "")
	for i := range sum {
		sum[i] = sum[i].as(total)
	}
	return s.line(sum...)
}

func (r *report) statusTable(s *sheet, c *charts) error {
	return s.sumTable("Status", "What it means", r.tally.by(byState),
		func(g countedGroup) (string, string) { return string(g.State), meaning(g.State) }, c.byStatus)
}

func (r *report) channelTable(s *sheet, c *charts) error {
	return s.sumTable("Channel", "", r.tally.by(byChannel),
		func(g countedGroup) (string, string) { return channelName(r.options, g.Channel), "" }, c.byChannel)
}

func (r *report) batchTable(s *sheet, _ *charts) error {
	return s.sumTable("Batch", "Name", r.tally.by(byBatch),
		func(g countedGroup) (string, string) { return fmt.Sprint("batch ", g.Batch), r.batches[g.Batch] }, func(chartRange) {})
}

// checkTable shows the main comparisons that were made before the file was
// offered, by currency.
func (r *report) checkTable(s *sheet, _ *charts) error {
	err := s.begin("Ledger and file compared", checkColumns)
	for _, c := range r.sortedChecks() {
		if c.headline {
			err = errors.Join(err, s.put(c.values()))
		}
	}
	return err
}

func (r *report) exceptionTable(s *sheet, _ *charts) error {
	err := s.begin("Exceptions", []column{right("Count", 0), left("Kind", 0), left("Next step", 0)})
	for _, k := range r.exceptions {
		err = errors.Join(err, s.putAcross([]value{count(k.n), text(k.kind), text(inShort(k.next))}))
	}
	if len(r.exceptions) == 0 {
		err = errors.Join(err, s.line(text("None.").as(good)))
	}
	return err
}

// inShort leaves the command out of a next step that is longer than a line: it
// is for one payout only, and stands on the sheet Exceptions.
func inShort(next string) string {
	const line = 110 // letters
	if utf8.RuneCountInString(next) <= line {
		return next
	}
	step, _, _ := strings.Cut(next, ": payrun ")
	return step
}

package reports

import (
	"context"
	"errors"
	"fmt"

	"payrun/internal/money"
)

const (
	summarySheet = "Summary"
	summaryTitle = "Payout reconciliation"
)

// The tables of the Summary share their columns.
var summaryWidths = []float64{11, 26, 13, 18, 16, 18, 44, 3}

// writeSummary fills the first sheet. Its tables stand one under the other,
// its charts to the right of them.
func (r *report) writeSummary(_ context.Context, b *book) error {
	s := b.newSheet(summarySheet, layout{widths: summaryWidths, paper: a4})
	if err := s.open(); err != nil {
		return err
	}
	if err := r.preamble(s); err != nil {
		return err
	}
	drawing := charts{book: b, sheet: summarySheet, row: s.row + 2}
	for _, write := range []func(*sheet, *charts) error{r.statusTable, r.channelTable, r.checkTable, r.exceptionTable, r.batchTable} {
		if err := write(s, &drawing); err != nil {
			return fmt.Errorf("summary: %w", err)
		}
	}
	if err := drawing.draw(); err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	return s.finish()
}

func (r *report) preamble(s *sheet) error {
	asOf := r.snapshot.AsOf.Time().In(r.options.zone()).Format("2 January 2006 15:04:05") + " " + r.options.zone().String()
	err := s.line(text(summaryTitle).as(title))
	for _, line := range [][2]string{
		{"Period", r.filter.period(r.options.zone())},
		{"Shows", r.filter.selection(r.options)},
		{"As of", fmt.Sprintf("%s, audit position %d", asOf, r.snapshot.Position)},
		{"Account", r.options.GatewayAccount},
		{"Made by", r.options.By},
	} {
		if line[1] != "" {
			err = errors.Join(err, s.line(text(line[0]).as(label), text(line[1])))
		}
	}
	return err
}

// sumColumns are the columns of a table of sums; the second and the last one
// differ.
func sumColumns(what, remark string) []column {
	return []column{{heading: "Currency"}, {heading: what}, {heading: "Payouts"}, {heading: "Amount"}, {heading: "Fees"},
		{heading: "Amount and fees"}, {heading: remark}}
}

func (s sums) values(currency money.Currency, what, remark string) []value {
	return []value{text(string(currency)), text(what), count(s.Payouts), amount(s.Amount, currency), amount(s.Fees, currency),
		amount(s.Amount+s.Fees, currency), text(remark)}
}

// table writes groups with a sum after each currency, and tells the charts
// where each currency's lines are.
func (s *sheet) table(groups []countedGroup, what, remark string, name, explain func(countedGroup) string, drawn func(chartRange)) error {
	columns := sumColumns(what, remark)
	if err := s.begin("By "+what, columns); err != nil {
		return err
	}
	for len(groups) > 0 {
		n, all := 0, sums{}
		from := chartRange{currency: groups[0].Currency, first: s.row + 1}
		for ; n < len(groups) && groups[n].Currency == from.currency; n++ {
			g := groups[n]
			if err := errors.Join(all.add(g.sums), s.put(g.values(g.Currency, name(g), explain(g)))); err != nil {
				return err
			}
		}
		from.last = s.row
		drawn(from)
		sum := all.values(from.currency, "all", "")
		for i := range sum {
			sum[i] = sum[i].as(total)
		}
		if err := s.line(sum...); err != nil {
			return err
		}
		groups = groups[n:]
	}
	return nil
}

func (r *report) statusTable(s *sheet, c *charts) error {
	return s.table(r.tally.by(byState), "status", "What it means",
		func(g countedGroup) string { return string(g.State) },
		func(g countedGroup) string { return meaning(g.State) }, c.byStatus)
}

func (r *report) channelTable(s *sheet, c *charts) error {
	return s.table(r.tally.by(byChannel), "channel", "",
		func(g countedGroup) string { return channelName(r.options, g.Channel) },
		func(countedGroup) string { return "" }, c.byChannel)
}

func (r *report) batchTable(s *sheet, _ *charts) error {
	return s.table(r.tally.by(byBatch), "batch", "",
		func(g countedGroup) string { return fmt.Sprint("batch ", g.Batch) },
		func(countedGroup) string { return "" }, func(chartRange) {})
}

// checkTable shows every comparison that was made before the file was
// offered.
func (r *report) checkTable(s *sheet, _ *charts) error {
	err := s.begin("What the ledger says, and what this file says",
		[]column{{heading: "Currency"}, {heading: "Check"}, {heading: ""}, {heading: "Ledger"}, {heading: "This file"}, {heading: "Difference"}, {heading: ""}})
	for _, c := range r.checks {
		err = errors.Join(err, s.put([]value{text(string(c.currency)), text(c.what), {}, c.value(c.ledger), c.value(c.file),
			c.value(c.difference()).as(good)}))
	}
	return err
}

func (r *report) exceptionTable(s *sheet, _ *charts) error {
	err := s.begin("Exceptions", []column{{heading: "Count"}, {heading: "Kind"}})
	for _, k := range r.exceptions {
		err = errors.Join(err, s.put([]value{count(k.n), text(k.kind)}))
	}
	if len(r.exceptions) == 0 {
		err = errors.Join(err, s.line(text("none").as(good)))
	}
	return err
}

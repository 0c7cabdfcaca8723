package reports

import (
	"errors"
	"fmt"
	"strings"
)

var manifestWidths = []float64{26, 14, 14, 20, 18, 40}

// instructions for whoever wants to check the workbook without trusting it.
var instructions = []string{
	"1. Make the csv of the same payouts from the same ledger (payrun report, csv) and take its SHA-256: it is the digest of the sheet Payouts below.",
	"2. Make this workbook again with the same filter while nothing has changed: it is the same file, byte for byte.",
	"3. Let the ledger check itself (payrun verify): balances, postings, states, approved rows, closed days and the audit chain.",
	"4. Look up the audit position below in the ledger: its digest must be the head named here. Every later record builds on it.",
	"5. Add up the sheet Payouts: counts and amounts per currency and status are those of the Summary; debits and credits of the Journal are equal.",
	"A sheet's digest covers its headings and rows written as csv: commas, quotes where needed, LF, amounts with all decimals, times in UTC.",
}

// manifest writes what proves the other sheets.
func (r *report) manifest(b *book) error {
	if err := b.addSheet("Manifest"); err != nil {
		return err
	}
	s := b.newSheet("Manifest", layout{widths: manifestWidths, paper: a4})
	if err := s.open(); err != nil {
		return err
	}
	sheets := b.written
	return errors.Join(
		s.line(text("Manifest").as(title)),
		s.line(text("What this workbook was made from, and how to check it.").as(note)),
		r.origin(s), manifestSheets(s, sheets), r.manifestTotals(s), howToCheck(s), s.finish())
}

func (r *report) origin(s *sheet) error {
	states := make([]string, len(r.filter.States))
	for i, state := range r.filter.States {
		states[i] = string(state)
	}
	lines := [][2]string{
		{"As of (UTC)", iso(r.snapshot.AsOf)},
		{"Audit position", fmt.Sprint(r.snapshot.Position)},
		{"Audit chain head", r.snapshot.Head},
		{"Last closed day", r.snapshot.Closed.BusinessDay},
		{"Its entries", closedEntries(r.snapshot)},
		{"Its digest", r.snapshot.Closed.Digest},
		{"Filter: from (UTC)", iso(r.filter.From)},
		{"Filter: to (UTC)", iso(r.filter.To)},
		{"Filter: batch", orAll(r.filter.Batch != 0, fmt.Sprint(r.filter.Batch))},
		{"Filter: channel", orAll(r.filter.Channel != "", r.filter.Channel)},
		{"Filter: status", orAll(len(states) > 0, strings.Join(states, ", "))},
		{"Times shown in", r.options.zone().String()},
		{"Gateway account", r.options.GatewayAccount},
		{"Made by", r.options.By},
		{"Software", r.options.Version},
		{"Database schema", fmt.Sprint(r.snapshot.Schema)},
	}
	var err error
	err = errors.Join(s.line(), s.line(spread(section, "Origin", len(manifestWidths))...))
	for _, l := range lines {
		if l[1] == "" {
			l[1] = "-"
		}
		err = errors.Join(err, s.line(text(l[0]).as(label), text(l[1])))
	}
	return err
}

func closedEntries(s snapshot) string {
	if s.Closed.ID == 0 {
		return ""
	}
	return fmt.Sprint(s.Closed.Entries)
}

func orAll(narrowed bool, to string) string {
	if narrowed {
		return to
	}
	return "all"
}

func manifestSheets(s *sheet, sheets []written) error {
	err := s.begin("Sheets", []column{{heading: "Sheet"}, {heading: "Parts"}, {heading: "Rows"}, {heading: "Digest (SHA-256)"}})
	for _, w := range sheets {
		err = errors.Join(err, s.put([]value{text(w.name), count(int64(w.parts)), count(w.rows), text(w.digest)}))
	}
	return err
}

func (r *report) manifestTotals(s *sheet) error {
	err := s.begin("Totals", []column{{heading: "Status"}, {heading: "Currency"}, {heading: "Payouts"}, {heading: "Amount"}, {heading: "Fees"}})
	for _, g := range r.tally.by(byState) {
		err = errors.Join(err, s.put([]value{text(string(g.State)), text(string(g.Currency)), count(g.Payouts),
			amount(g.Amount, g.Currency), amount(g.Fees, g.Currency)}))
	}
	return err
}

func howToCheck(s *sheet) error {
	s.columns = nil
	err := errors.Join(s.line(), s.line(spread(section, "How to check it", len(manifestWidths))...))
	for _, sentence := range instructions {
		err = errors.Join(err, s.line(text(sentence)))
	}
	return err
}

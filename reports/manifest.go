package reports

import (
	"errors"
	"fmt"
	"strings"
)

var manifestWidths = []float64{24, 30, 13, 20, 20, 16, 16}

// instructions for whoever wants to check the workbook without trusting it.
var instructions = []string{
	"1. Make the csv of the same payouts from the same ledger (payrun report, csv) and take its SHA-256: it is the digest of the sheet Payouts below.",
	"2. Make this workbook again with the same filter while nothing has changed: the digests of Payouts, Journal and Trial balance below stay the same.",
	"3. Let the ledger check itself (payrun verify): balances, postings, states, approved rows, closed days and the audit chain.",
	"4. Look up the audit position above in the ledger: its digest must be the head named here. Every later record builds on it.",
	"5. Add up the sheet Payouts: counts and amounts per currency and status are those of the Summary; debits and credits of the Journal are equal.",
	"A sheet's digest covers its headings and rows written as csv: commas, quotes where needed, LF, amounts with all decimals, times in UTC.",
}

// manifest writes what proves the other sheets.
func (r *report) manifest(b *book) error {
	if err := b.addSheet("Manifest"); err != nil {
		return err
	}
	s := b.newSheet("Manifest", layout{widths: manifestWidths, paper: a4Upright})
	sheets := b.written
	return errors.Join(s.open(), s.title("Manifest", "What this workbook was made from, and how to check it."),
		r.origin(s), howToCheck(s), manifestSheets(s, sheets), r.manifestTotals(s), r.manifestChecks(s), s.finish())
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
	err := s.section("Origin")
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
	err := s.begin("Sheets", []column{left("Sheet", 0), left("Digest (SHA-256)", 0), left("", 0), left("", 0), left("", 0), right("Rows", 0), right("Parts", 0)})
	for _, w := range sheets {
		err = errors.Join(err, s.put([]value{text(w.name), text(w.digest), {}, {}, {}, count(w.rows), count(int64(w.parts))}))
	}
	return err
}

func (r *report) manifestTotals(s *sheet) error {
	err := s.begin("Totals", []column{left("Currency", 0), left("Status", 0), right("Payouts", 0), right("Amount", 0), right("Fees", 0)})
	for _, g := range r.tally.by(byState) {
		err = errors.Join(err, s.put([]value{text(string(g.Currency)), text(string(g.State)), count(g.Payouts),
			amount(g.Amount, g.Currency), amount(g.Fees, g.Currency)}))
	}
	return err
}

func howToCheck(s *sheet) error {
	err := s.section("How to check it")
	for _, sentence := range instructions {
		err = errors.Join(err, s.line(text(sentence)))
	}
	return err
}

// manifestChecks lists every comparison that was made before the file was
// offered.
func (r *report) manifestChecks(s *sheet) error {
	err := s.begin("Compared with the ledger", checkColumns)
	for _, c := range r.sortedChecks() {
		err = errors.Join(err, s.put(c.values()))
	}
	return err
}

package importers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"payrun/internal/money"
)

// title is a row above the headings.
type title struct {
	number int
	cells  []cell
}

// judgeTitles asks about what stands above the headings, where nothing is read
// but totals: payouts, and what is said there about all of them.
func (r *reader) judgeTitles() {
	var paid noted
	for _, t := range r.titles {
		if r.looksPaid(t) {
			paid.add(t.number)
		} else if said := r.saidOfAll(t); said != "" {
			r.report(Problem{Code: TitleNotRead, Severity: Warning, Row: t.number, Message: said})
		}
	}
	r.titles = nil
	if paid.count > 0 {
		r.report(Problem{Code: RowsAboveHeadings, Severity: Warning, Row: paid.first[0], Message: fmt.Sprintf(
			"What looks like a payout stands above the headings (%s), where no payouts are read. Put the headings above all payouts, or confirm that these are not to be paid.", paid)})
	}
}

// looksPaid tells whether a row has a wallet and an amount.
func (r *reader) looksPaid(t title) bool {
	wallet := slices.ContainsFunc(t.cells, func(c cell) bool { return c.kind == kindText && r.rules.looksLikeWallet(c.text) })
	return wallet && slices.ContainsFunc(t.cells, func(c cell) bool {
		return c.kind == kindNumber || c.kind == kindFormula || c.kind == kindText && isFigure(c.text)
	})
}

// saidOfAll quotes a title such as "Pay date: 2026-11-30" that would matter to
// every payout if it were read, and that nothing else says.
func (r *reader) saidOfAll(t title) string {
	var texts []string
	for _, c := range t.cells {
		if text := strings.TrimSpace(c.text); text != "" {
			texts = append(texts, text)
		}
	}
	label, value, _ := strings.Cut(strings.Join(texts[:min(2, len(texts))], ":"), ":")
	value = strings.Trim(value, ": ")
	if name := fold(label); name == "date" || name == "дата" { // of the sheet
		return ""
	}
	for _, field := range r.rules.aliases[fold(label)] {
		if r.layout.at[field] < 0 && r.matters(field, value) {
			return fmt.Sprintf("This row says %s: %s. Above the headings that is not read, and no payout has this %s. Add a column with it, or confirm that it means nothing to the payouts.",
				shown(label), shown(value), field)
		}
	}
	return ""
}

// matters tells whether a value for all payouts is one of its field, and another
// than they have.
func (r *reader) matters(field Field, value string) bool {
	switch field {
	case FieldPayDate:
		return strings.ContainsFunc(value, unicode.IsDigit)
	case FieldTest:
		return value != ""
	case FieldCurrency:
		_, err := money.Currency(value).Exponent()
		return err == nil && money.Currency(value) != r.layout.currency
	case FieldChannel:
		channel := r.rules.channel(value)
		return channel != nil && channel != r.rules.channel(r.rules.Channel)
	}
	return false
}

// warnOfUnnamed asks about columns in which something stands, and of which
// neither a heading nor the import profile says what it is.
func (r *reader) warnOfUnnamed() {
	p := Problem{Code: ColumnUnnamed, Severity: Warning, Row: r.result.HeaderRow}
	var filled []string
	for column, extra := range r.layout.extras {
		if extra == nil || extra.named || extra.rows.count == 0 {
			continue
		}
		letter := columnLetter(column)
		if len(filled) == 0 {
			p.Column = letter
			p.Row = cmp.Or(p.Row, extra.rows.first[0])
		}
		filled = append(filled, fmt.Sprintf("column %s (%s)", letter, extra.rows))
		r.result.Columns = append(r.result.Columns, Column{Letter: letter})
	}
	if len(filled) == 0 {
		return
	}
	unknown, advice := "without a heading", "Write a heading"
	if r.rules.NoHeadings {
		unknown, advice = "of which the import profile says nothing", "Say there what it is (letters)"
	}
	p.Message = fmt.Sprintf("Something stands in %s, %s. It is kept and not read. %s, or confirm that it means nothing to the payouts.", strings.Join(filled, " and "), unknown, advice)
	r.report(p)
}

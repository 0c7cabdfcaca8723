package importers

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"payrun/internal/money"
)

// heading is one filled cell of a possible header row.
type heading struct {
	column     int
	text       string
	candidates []Field
	hints      []Field        // what the part of it means that is known, where the rest is not
	byHand     bool           // the rules assign its one candidate
	currency   money.Currency // named in the heading of an amount
}

func (set *ruleset) headings(row *record) []heading {
	var found []heading
	var taken [fieldCount]bool
	for i, c := range row.cells {
		text := strings.TrimSpace(c.text)
		if text == "" {
			continue
		}
		h := set.heading(i, text)
		if h.byHand {
			taken[h.candidates[0]] = true
		}
		found = append(found, h)
	}
	for i := range found {
		found[i].leave(taken)
	}
	return found
}

// leave gives up the fields that somebody assigned to other headings.
func (h *heading) leave(taken [fieldCount]bool) {
	if h.byHand {
		return
	}
	var left []Field
	for _, field := range h.candidates {
		if !taken[field] {
			left = append(left, field)
		}
	}
	h.candidates = left
	if taken[FieldAmount] {
		h.currency = ""
	}
}

// heading finds out what a heading may mean. One that the rules assign, by
// letter or by name, means that field and nothing else. The heading of an
// amount may end with the currency: "Amount (USD)".
func (set *ruleset) heading(column int, text string) heading {
	h := heading{column: column, text: text}
	if isOwnHeading(text) { // whatever its letter is to mean
		h.text, _, _ = strings.Cut(text, "\n")
		h.candidates = []Field{FieldProblems}
		return h
	}
	field, assigned := set.letters[column]
	if !assigned {
		field, assigned = set.byHand[fold(text)]
	}
	switch {
	case !assigned:
		h.candidates, h.hints = set.candidates(text)
	case field == FieldIgnored:
		return h
	default:
		h.candidates, h.byHand = []Field{field}, true
	}
	bare, currency := splitCurrency(text)
	if currency == "" {
		return h
	}
	meant, hints := h.candidates, []Field(nil)
	if !h.byHand {
		meant, hints = set.candidates(bare)
	}
	if slices.Contains(meant, FieldAmount) {
		h.candidates, h.hints, h.currency = []Field{FieldAmount}, hints, currency
	}
	return h
}

// halves are the parts of a heading that may say the same in two languages.
func halves(text string) iter.Seq[string] {
	return strings.FieldsFuncSeq(text, func(r rune) bool { return r == '/' || r == '\n' || r == '|' })
}

// splitCurrency splits known currencies off the ends of a heading's halves. One
// with two currencies has none.
func splitCurrency(text string) (bare string, currency money.Currency) {
	var rest []string
	for half := range halves(text) {
		name, found := cutCurrency(half)
		if found != "" && currency != "" && found != currency {
			return "", ""
		}
		currency = cmp.Or(found, currency)
		if strings.TrimSpace(name) != "" {
			rest = append(rest, name)
		}
	}
	return strings.Join(rest, "/"), currency
}

// cutCurrency cuts a currency's code or sign off the end of a text: "Sum, USD".
func cutCurrency(text string) (name string, currency money.Currency) {
	end := strings.TrimRight(text, ")] ")
	if sign, size := utf8.DecodeLastRuneInString(end); signs[sign] != "" {
		return strings.TrimRight(end[:len(end)-size], "([,;: "), signs[sign]
	}
	if len(end) < 3 {
		return text, ""
	}
	name, currency = end[:len(end)-3], money.Currency(end[len(end)-3:])
	bare := strings.TrimRight(name, "([,;: ")
	if _, err := currency.Exponent(); err != nil || bare == name && bare != "" {
		return text, ""
	}
	return bare, currency
}

// candidates are the fields that a heading may mean. Bilingual headings
// ("Account number / Номер счета") mean what their known halves agree on.
// Where only a part is known, hints are what that part means. With a part in
// brackets that is not known, as in "Amount (in cents)", the heading means
// nothing.
func (set *ruleset) candidates(text string) (fields, hints []Field) {
	if fields, ok := set.aliases[fold(text)]; ok {
		return fields, nil
	}
	unknown, limited := false, false
	for half := range halves(text) {
		known, ok := set.aliases[fold(half)]
		if !ok {
			outside, _, bracketed := strings.Cut(half, "(")
			known, unknown, limited = set.aliases[fold(outside)], true, limited || bracketed
		}
		switch {
		case len(known) == 0:
		case fields == nil:
			fields = known
		default:
			fields = intersection(fields, known)
		}
	}
	switch {
	case limited:
		return nil, fields
	case unknown:
		return fields, fields
	}
	return fields, nil
}

func intersection(a, b []Field) []Field {
	both := []Field{}
	for _, field := range a {
		if slices.Contains(b, field) {
			both = append(both, field)
		}
	}
	return both
}

// isFigure tells an amount from a heading, which has more letters than those of
// a currency.
func isFigure(text string) bool {
	if name, currency := splitCurrency(text); currency != "" {
		text = name
	}
	return strings.ContainsFunc(text, unicode.IsDigit) && !strings.ContainsFunc(text, unicode.IsLetter)
}

package importers

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"payrun/internal/money"
)

// Field is what a column of a sheet means to a payout.
type Field uint8

// The fields. FieldPayeeID is known so that it is not mistaken for a reference;
// no rule uses it. FieldTest marks rows that are only a test, and not paid;
// FieldProblems is the column of an annotated copy.
const (
	FieldIgnored Field = iota
	FieldReference
	FieldChannel
	FieldAccount
	FieldAmount
	FieldCurrency
	FieldPayee
	FieldRemark
	FieldPayDate
	FieldPayeeID
	FieldTest
	FieldProblems // written by Payrun itself
	fieldCount
)

var fieldNames = [fieldCount]string{
	"ignored", "reference", "channel", "account", "amount", "currency", "payee", "remark", "pay date", "payee id",
	"test mark", "problems",
}

// String is the field's name in messages and in saved profiles.
func (f Field) String() string { return fieldNames[f] }

// MarshalText writes the field's name.
func (f Field) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a field's name.
func (f *Field) UnmarshalText(text []byte) error {
	for i, name := range fieldNames {
		if name == string(text) {
			*f = Field(i)
			return nil
		}
	}
	return fmt.Errorf("no field is called %q", text)
}

// aliases lists the headings by which sheets in the wild call a field. A
// heading that stands under two fields is settled by the other columns, or
// the sheet is refused as ambiguous.
var aliases = [fieldCount][]string{
	FieldReference: {
		"reference", "ref", "refcode", "reference id", "payout reference id", "payment id", "payment number",
		"payment reference", "transfer id", "transaction id", "client order id", "order id", "order number",
		"merchant reference number", "merchant order no", "request id", "unique id", "invoice", "id", "referenz",
		"номер платежа", "номер заявки", "номер платежу", "референс",
	},
	FieldChannel: {
		"channel", "channel code", "wallet type", "wallet", "method", "payout mode", "payment method", "payout method",
		"payout method type", "transfer mode", "payment mode", "payment system", "paysystem", "system", "provider",
		"service", "ps", "способ выплаты", "платежная система", "платёжная система", "платіжна система",
		"система выплаты", "способ оплаты", "спосіб виплати", "система виплати", "канал",
	},
	FieldAccount: {
		"account", "account number", "account no", "wallet", "wallet id", "wallet number", "wallet address", "e-wallet",
		"purse", "destination", "payee account", "payee identifier", "payee wallet", "to", "recipient", "recipient id",
		"recipient account", "recipient wallet", "recipient detail", "beneficiary account", "bene id", "idap", "address",
		"vpa", "crypto address", "card number",
		"номер счета", "номер счёта", "номер кошелька", "кошелек", "кошелёк", "счет", "счёт", "получатель",
		"кошелек получателя", "кошелёк получателя", "счет получателя", "счёт получателя",
		"рахунок", "номер рахунку", "номер гаманця", "гаманець", "отримувач", "гаманець отримувача", "рахунок отримувача",
	},
	FieldAmount: {
		"amount", "sum", "payout amount", "payment amount", "service amount", "target amount", "receiving amount",
		"transfer amount", "credited amount", "net amount", "value", "betrag", "сумма", "сумма выплаты", "сумма к выплате",
		"сума", "сума виплати", "сума до виплати",
	},
	FieldCurrency: {
		"currency", "currency code", "ccy", "cur", "payout currency", "target currency", "receiving currency",
		"amount currency", "submitted amount currency", "crypto currency", "währung",
		"валюта", "валюта платежа", "валюта выплаты", "валюта платежу", "валюта виплати",
	},
	FieldPayee: {
		"name", "full name", "recipient name", "beneficiary name", "account name", "payee name", "contact name",
		"nickname", "payee", "recipient", "sbp full name", "фио", "фио получателя", "имя", "имя получателя", "получатель",
		"піб", "піб отримувача", "ім'я", "ім'я отримувача", "отримувач",
	},
	FieldRemark: {
		"remark", "remarks", "note", "notes", "memo", "comment", "comments", "description", "message", "narration",
		"payout narration", "ewallet message", "subject", "purpose", "reason", "kommentar",
		"комментарий", "назначение", "назначение платежа", "описание", "примечание", "коментар", "призначення", "призначення платежу", "опис", "примітка",
	},
	FieldPayDate: {
		"date", "scheduled date", "transfer date", "value date", "pay date", "payment date", "payout date", "execution date",
		"дата", "дата выплаты", "дата виплати",
	},
	FieldPayeeID:  {"payee id", "contact id", "customer id", "user id", "beneficiary id", "external id", "id"},
	FieldTest:     {"test", "is test", "test payment", "payment type (0/1)", "тест", "тестовый платеж", "тестовий платіж"},
	FieldProblems: {ProblemsHeading},
}

// headingAliases indexes the aliases by folded heading.
func headingAliases() map[string][]Field {
	index := make(map[string][]Field)
	for field, names := range aliases {
		for _, name := range names {
			index[fold(name)] = append(index[fold(name)], Field(field))
		}
	}
	return index
}

// fold makes spellings of one heading or channel name equal: compatibility
// forms, case, spaces and punctuation do not count.
func fold(text string) string {
	folded := cases.Fold().String(norm.NFKC.String(text))
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cf) || strings.ContainsRune("_-.:#*()[]{}'’", r) {
			return -1
		}
		return r
	}, folded)
}

// layout says in which column each field stands, -1 for none.
type layout struct {
	columns []Column
	at      [fieldCount]int
	fields  int // csv fields in the header, 0 for a workbook
	// currency is what the amount's heading says, "Amount (USD)", or else the
	// rules' currency; "" leaves it to the rows.
	currency money.Currency
	stated   bool           // the heading says it
	extras   []*extraColumn // by column, nil for one with a meaning to a payout
	doubts   []Problem      // about headings
}

// extraColumn is a column without a meaning to a payout.
type extraColumn struct {
	name  string // its heading, or else its letter
	named bool   // whoever made the sheet or the profile knows of it
	rows  noted  // in which something stands there
}

// extra returns a column without a meaning to a payout, nil for one that has
// one. The headings need not reach as far as the rows below them.
func (l *layout) extra(column int) *extraColumn {
	for column >= len(l.extras) {
		l.extras = append(l.extras, &extraColumn{name: columnLetter(len(l.extras))})
	}
	return l.extras[column]
}

// heading returns the column that holds the field, or a Column without a
// letter if the sheet has none.
func (l *layout) heading(field Field) Column {
	if at := l.at[field]; at >= 0 {
		for _, column := range l.columns {
			if column.Letter == columnLetter(at) {
				return column
			}
		}
	}
	return Column{Field: field}
}

// matchHeader decides whether a row is the header. It returns the layout if
// exactly one assignment of columns to fields fits, otherwise the refusal
// that this row deserves if no other row is the header, with the number of
// headings it recognised.
func (set *ruleset) matchHeader(row *record) (*layout, *FileError, int) {
	if set.NoHeadings {
		layout, fault := set.fixedLayout(row)
		return layout, fault, len(set.letters)
	}
	headings := set.headings(row)
	known := 0
	for _, h := range headings {
		if len(h.candidates) > 0 {
			known++
		}
	}
	if known < 2 {
		return nil, nil, known
	}
	if fault := set.unmet(headings); fault != nil {
		return nil, fault.at(row.number), known
	}
	solutions := assignments(headings, set.required(headings))
	switch len(solutions) {
	case 1:
		layout, fault := set.newLayout(row, headings, solutions[0])
		return layout, fault, known
	case 0:
		return nil, set.headerFault(headings).at(row.number), known
	}
	return nil, ambiguity(headings, solutions).at(row.number), known
}

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

// required lists the fields that the header must have.
func (set *ruleset) required(headings []heading) []Field {
	fields := []Field{FieldAccount, FieldAmount}
	if set.Channel == "" {
		fields = append(fields, FieldChannel)
	}
	if set.Currency == "" && !slices.ContainsFunc(headings, func(h heading) bool { return h.currency != "" }) {
		fields = append(fields, FieldCurrency)
	}
	return fields
}

// assignments finds up to two ways to give every known heading a field of
// its own so that all required fields are there.
func assignments(headings []heading, required []Field) [][]Field {
	var solutions [][]Field
	chosen := make([]Field, len(headings))
	var used [fieldCount]bool
	var try func(i int)
	try = func(i int) {
		if len(solutions) == 2 {
			return
		}
		if i == len(headings) {
			for _, field := range required {
				if !used[field] {
					return
				}
			}
			solutions = append(solutions, slices.Clone(chosen))
			return
		}
		if len(headings[i].candidates) == 0 {
			chosen[i] = FieldIgnored
			try(i + 1)
		}
		for _, field := range headings[i].candidates {
			if !used[field] {
				used[field], chosen[i] = true, field
				try(i + 1)
				used[field] = false
			}
		}
	}
	try(0)
	return solutions
}

// emptyLayout has no field in any column yet.
func (set *ruleset) emptyLayout(row *record) *layout {
	l := &layout{fields: row.fields, currency: set.Currency}
	for i := range l.at {
		l.at[i] = -1
	}
	return l
}

func (set *ruleset) newLayout(row *record, headings []heading, fields []Field) (*layout, *FileError) {
	l := set.emptyLayout(row)
	for i, h := range headings {
		*l.extra(h.column) = extraColumn{name: h.text, named: true}
		if fields[i] != FieldIgnored {
			l.at[fields[i]], l.extras[h.column] = h.column, nil
		}
		if fields[i] == FieldAmount && isFigure(h.text) {
			return nil, refuse(HeaderMissing, "This row was to be the headings, and has %s where the heading of the amount should be: it looks like a payout. Put a row of headings above it; or, if the sheet has none, say so (headings: none, in an import profile).",
				shown(h.text)).in(row.number, columnLetter(h.column))
		}
		if h.currency != "" {
			l.currency, l.stated = h.currency, true
		}
		l.columns = append(l.columns, Column{fields[i], h.text, columnLetter(h.column)})
	}
	for i, h := range headings {
		if message := l.doubt(h, fields[i]); message != "" {
			l.doubts = append(l.doubts, Problem{Code: HeadingInPart, Severity: Warning, Row: row.number, Column: columnLetter(h.column), Heading: shown(h.text), Message: message})
		}
	}
	if l.stated && set.Currency != "" && l.currency != set.Currency {
		return nil, refuse(HeaderAmbiguous, "The amounts are headed %s, but the import profile says that they are %s. Correct the heading or choose another profile.",
			l.currency, set.Currency).in(row.number, columnLetter(l.at[FieldAmount]))
	}
	return l, nil
}

// doubt says what is to be confirmed about a heading that is known in part: that
// it is read, or that it is not, though nothing else says what it may say.
func (l *layout) doubt(h heading, field Field) string {
	if len(h.hints) == 0 {
		return ""
	}
	if field != FieldIgnored {
		return fmt.Sprintf("Only a part of this heading is known, by which the column is read as the %s. Confirm that it is, or say what it is (--map, or columns in an import profile).", field)
	}
	for _, hint := range h.hints {
		if l.at[hint] < 0 && slices.Contains([]Field{FieldPayDate, FieldTest, FieldCurrency, FieldChannel, FieldReference}, hint) {
			return fmt.Sprintf("Only a part of this heading is known, so the column is not read; it may be the %s. Say what it is (--map, or columns in an import profile), or confirm that it means nothing to the payouts.", hint)
		}
	}
	return ""
}

// isFigure tells an amount from a heading, which has more letters than those of
// a currency.
func isFigure(text string) bool {
	if name, currency := splitCurrency(text); currency != "" {
		text = name
	}
	return strings.ContainsFunc(text, unicode.IsDigit) && !strings.ContainsFunc(text, unicode.IsLetter)
}

// fixedLayout is that of a sheet without headings, by the profile's letters. A
// first row that ends early says nothing about the rows below it.
func (set *ruleset) fixedLayout(row *record) (*layout, *FileError) {
	width := len(row.cells)
	for column := range set.letters {
		width = max(width, column+1)
	}
	l := set.emptyLayout(row)
	for column := range width {
		field, assigned := set.letters[column]
		extra := l.extra(column)
		if extra.named = assigned || strings.TrimSpace(row.at(column).text) != ""; !extra.named {
			continue
		}
		if field != FieldIgnored {
			l.at[field], l.extras[column] = column, nil
		}
		if field != FieldIgnored || strings.TrimSpace(row.at(column).text) != "" {
			l.columns = append(l.columns, Column{Field: field, Letter: columnLetter(column)})
		}
	}
	for _, field := range set.required(nil) {
		if at := l.at[field]; at < 0 || at >= len(row.cells) {
			return nil, refuse(HeaderMissing, "The sheet is to be read without headings, and nothing says where its %s stands. Give the column's letter in the import profile, or one value for the whole sheet.", field).at(row.number)
		}
	}
	if set.Unconfirmed {
		return nil, refuse(HeaderUnconfirmed, "The sheet has no headings. Its first row would be read so: %s. If that is right, confirm it (--confirm-columns); if not, say where each column stands (--map).",
			set.preview(l, row)).at(row.number)
	}
	return l, nil
}

// preview shows how the layout reads a row: "A is the account …0001".
func (set *ruleset) preview(l *layout, row *record) string {
	parts := make([]string, 0, len(l.columns))
	for _, column := range l.columns {
		at, _ := columnIndex(column.Letter)
		value := set.discreet(row.at(at).text)
		switch column.Field {
		case FieldIgnored:
			parts = append(parts, fmt.Sprintf("%s (%q) is not used", column.Letter, value))
			continue
		case FieldAccount:
			value = masked(row.at(at).text)
		}
		parts = append(parts, fmt.Sprintf("%s is the %s %q", column.Letter, column.Field, value))
	}
	return strings.Join(parts, "; ")
}

// unmet refuses headings without a column that somebody said was there: to go
// on without it, a pay date for one, would be to pay otherwise than they think.
func (set *ruleset) unmet(headings []heading) *FileError {
	for _, name := range slices.Sorted(maps.Keys(set.Columns)) {
		if field := set.Columns[name]; field != FieldIgnored && !slices.ContainsFunc(headings, func(h heading) bool { return fold(h.text) == fold(name) }) {
			return refuse(HeaderMissing, "The column %q was to be the %s, and no heading is called so. Correct the heading, or what was said about it (--map, or columns in an import profile).",
				name, field)
		}
	}
	for _, letter := range slices.Sorted(maps.Keys(set.Letters)) {
		column, _ := columnIndex(letter) // Validate saw it
		if field := set.Letters[letter]; field != FieldIgnored && !slices.ContainsFunc(headings, func(h heading) bool { return h.column == column }) {
			return refuse(HeaderMissing, "Column %s was to be the %s, and has no heading. Give it one, or correct what was said about it (--map, or letters in an import profile).",
				letter, field)
		}
	}
	return nil
}

// headerFault explains why no assignment fits: a required column is absent,
// or two columns claim one field.
func (set *ruleset) headerFault(headings []heading) *FileError {
	var claimed [fieldCount][]string
	for _, h := range headings {
		for _, field := range h.candidates {
			claimed[field] = append(claimed[field], fmt.Sprintf("%s (%s)", columnLetter(h.column), shown(h.text)))
		}
	}
	var missing []string
	once := ""
	for _, field := range set.required(headings) {
		if len(claimed[field]) > 0 {
			continue
		}
		missing = append(missing, fmt.Sprintf("%s (for example %q)", field, aliases[field][0]))
		if field == FieldChannel || field == FieldCurrency {
			once += fmt.Sprintf(" If it is the same %s in all rows, say it once: --%s, or %s in an import profile.", field, field, field)
		}
	}
	if len(missing) > 0 {
		return refuse(HeaderMissing, "The row of headings has no column for: %s. Add the column, or say which one it is (--map, or columns in an import profile).%s",
			strings.Join(missing, ", "), once)
	}
	for field, columns := range claimed {
		if len(columns) > 1 {
			all, others := "all", "all but one"
			if len(columns) == 2 {
				all, others = "both", "one of them"
			}
			return refuse(HeaderDoubled, "Columns %s could %s be the %s, and only one may be. Rename or delete %s, or say which one is meant (--map, or columns in an import profile).",
				strings.Join(columns, " and "), all, Field(field), others)
		}
	}
	return refuse(HeaderDoubled, "The headings do not give every column a meaning of its own. Rename the columns that mean the same.")
}

func ambiguity(headings []heading, solutions [][]Field) *FileError {
	var doubts []string
	for i, h := range headings {
		if solutions[0][i] != solutions[1][i] {
			doubts = append(doubts, fmt.Sprintf("column %s (%s) may be the %s or the %s",
				columnLetter(h.column), shown(h.text), solutions[0][i], solutions[1][i]))
		}
	}
	return refuse(HeaderAmbiguous, "The headings can be read in more than one way: %s. Rename them so that only one is possible, or say which one is meant (--map, or columns in an import profile).",
		strings.Join(doubts, "; "))
}

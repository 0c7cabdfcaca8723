package importers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"payrun/internal/money"
)

// Words by which sheets label a row of totals or of counts.
var (
	totalWords = wordSet("total totals subtotal sum summe gesamt итого всего сумма разом усього всього")
	countWords = wordSet("count number rows количество кількість anzahl")
)

func wordSet(words string) map[string]bool { return index(strings.Fields(words)) }

// controls compares the totals that a sheet gives with what its rows add up to.
type controls struct {
	all, section tally                     // since the top; since the last control row
	above        []titleTotal              // given above the header, checked at the end
	wrong        *FileError                // the first total that is plainly wrong
	last         int                       // the last amount that agreed, counted from 1 among the sheet's totals
	uncovered    map[money.Currency]*noted // rows below it that no other total has in it
}

// cover notes that an amount agreed, of one currency or of all.
func (c *controls) cover(currency money.Currency) {
	if currency == "" || c.uncovered == nil {
		c.uncovered = map[money.Currency]*noted{}
	}
	delete(c.uncovered, currency)
}

// tally adds up the data rows, good and bad, as the sheet's author would.
type tally struct {
	rows       int
	unreadable noted // an amount that is no number in a known currency
	asText     noted // an amount stored as text, which a spreadsheet's SUM leaves out
	sums       map[money.Currency]money.Amount
}

// noted counts rows that have something in common.
type noted struct {
	count int
	first []int // the first few of them
}

func (n *noted) add(row int) {
	if n.count++; len(n.first) < firstRows {
		n.first = append(n.first, row)
	}
}

// String names them: "row 7", "rows 4 to 13 and 2 others".
func (n noted) String() string { return someRows(n.first, n.count) }

type titleTotal struct {
	row     int
	column  int
	value   cell
	isCount bool
}

func (c *controls) add(row int, currency money.Currency, amount money.Amount, asText bool) {
	if c.last > 0 {
		if c.uncovered[currency] == nil {
			c.uncovered[currency] = &noted{}
		}
		c.uncovered[currency].add(row)
	}
	for _, t := range []*tally{&c.all, &c.section} {
		t.rows++
		if t.sums == nil {
			t.sums = map[money.Currency]money.Amount{}
		}
		sum, err := money.Add(t.sums[currency], amount)
		if err != nil {
			t.unreadable.add(row)
			continue
		}
		t.sums[currency] = sum
		if asText {
			t.asText.add(row)
		}
	}
}

func (c *controls) addUnreadable(row int) {
	for _, t := range []*tally{&c.all, &c.section} {
		t.rows++
		t.unreadable.add(row)
	}
}

func (c *controls) addEmpty() {
	c.all.rows++
	c.section.rows++
}

// sum adds up one currency, or with "" all of them, as a sheet's SUM does.
// ok is false if they cannot be added. The currency is that of the sum's
// decimals.
func (t *tally) sum(currency money.Currency) (total money.Amount, of money.Currency, ok bool) {
	if currency != "" {
		return t.sums[currency], currency, true
	}
	for c, amount := range t.sums {
		if of != "" && exponent(of) != exponent(c) {
			return 0, "", false
		}
		var err error
		if total, err = money.Add(total, amount); err != nil {
			return 0, "", false
		}
		of = max(of, c)
	}
	return total, of, of != ""
}

func exponent(currency money.Currency) int {
	decimals, _ := currency.Exponent() // only currencies that Parse accepted are summed
	return decimals
}

// takeControl recognises a row below the header that gives a total or a
// count instead of a payout, and compares it.
func (r *reader) takeControl(row *record) bool {
	account := strings.TrimSpace(row.at(r.layout.at[FieldAccount]).text)
	if account != "" && row.at(r.layout.at[FieldChannel]).text != "" {
		return false // quickly, for nearly all rows
	}
	label, isCount := controlLabel(row)
	switch {
	case label >= 0 && (account == "" || label == r.layout.at[FieldAccount]) && r.labels(row, label):
	case label < 0 && r.onlyAmount(row):
	default:
		return false
	}
	at := r.layout.at[FieldAmount]
	if isCount && row.at(at).text == "" {
		at = nextFilled(row, label)
	}
	r.compare(row.number, at, row.at(at), r.controlCurrency(row), isCount)
	if label < 0 {
		r.askOfLoneSum()
	}
	r.controls.section = tally{}
	return true
}

// askOfLoneSum asks about a sum without a label of one payout: it may be
// another such payout whose account is missing.
func (r *reader) askOfLoneSum() {
	sum := r.result.ControlTotals[len(r.result.ControlTotals)-1]
	if sum.Agrees && r.controls.section.rows == 1 && (r.controls.all.rows == 1 || sum.Given != sum.Found) {
		r.report(Problem{
			Code: ControlTotalUnchecked, Severity: Warning, Row: sum.Row, Column: sum.Column, Value: shown(sum.Given),
			Message: "This row has an amount and nothing else, and is taken for the sum of the one payout above it. If it is a payout, its account is missing: write it; if not, confirm.",
		})
	}
}

// controlLabel finds the cell that labels a row of totals, -1 for none.
func controlLabel(row *record) (column int, isCount bool) {
	for i := range row.cells {
		if row.cells[i].kind != kindText || row.cells[i].text == "" {
			continue
		}
		if total, count := labelWords(row.cells[i].text); total || count {
			return i, count
		}
	}
	return -1, false
}

// labels tells whether a cell labels its row. It does if it is the row's first
// but for the sum and its currency, or if it says nothing but "Total". A payout
// without account whose remark speaks of a total stays a payout.
func (r *reader) labels(row *record, column int) bool {
	if totalWords[strings.Trim(strings.ToLower(row.cells[column].text), " .:")] {
		return true
	}
	for i, c := range row.cells[:column] {
		if strings.TrimSpace(c.text) != "" && i != r.layout.at[FieldAmount] && i != r.layout.at[FieldCurrency] {
			return false
		}
	}
	return true
}

// labelWords looks for a label among the first words of a cell.
func labelWords(text string) (total, count bool) {
	const longestLabel = 80
	if len(text) > longestLabel {
		return false, false
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) })
	for _, word := range words[:min(2, len(words))] {
		total = total || totalWords[word]
		count = count || countWords[word]
	}
	return total, count
}

// onlyAmount tells whether a row has an amount and nothing else but perhaps a
// currency, and sums of columns that mean nothing: a sum without a label.
func (r *reader) onlyAmount(row *record) bool {
	for i, c := range row.cells {
		switch {
		case c.text == "" && c.kind == kindText, i == r.layout.at[FieldAmount], i == r.layout.at[FieldCurrency]:
		case r.layout.extra(i) != nil && (c.kind == kindNumber || c.kind == kindFormula || isFigure(c.text)):
		default:
			return false
		}
	}
	c := row.at(r.layout.at[FieldAmount])
	return c.text != "" || c.kind != kindText
}

func nextFilled(row *record, after int) int {
	for i := after + 1; i < len(row.cells); i++ {
		if row.cells[i].text != "" {
			return i
		}
	}
	return -1
}

// controlCurrency is the currency that a row of totals names, "" for none.
func (r *reader) controlCurrency(row *record) money.Currency {
	if at := r.layout.at[FieldCurrency]; at >= 0 && strings.TrimSpace(row.at(at).text) == "" {
		return ""
	}
	return r.meantCurrency(row)
}

// takeTitleControl notes a total given above the header: a label, then a
// number in the next filled cell.
func (r *reader) takeTitleControl(row *record) {
	label, isCount := controlLabel(row)
	if label < 0 || nextFilled(row, -1) != label {
		return
	}
	at := nextFilled(row, label)
	value := row.at(at)
	if at >= 0 && (value.kind == kindNumber || value.kind == kindFormula || isFigure(value.text)) {
		r.controls.above = append(r.controls.above, titleTotal{row.number, at, value, isCount})
	}
}

// checkTitleControls compares the totals above the headings once all rows are
// read.
func (r *reader) checkTitleControls() {
	last := r.controls.last
	r.controls.section = tally{}
	for _, given := range r.controls.above {
		r.compare(given.row, given.column, given.value, "", given.isCount)
	}
	r.warnOfRowsBelow(last)
}

// warnOfRowsBelow asks about payouts below the last total that are in no total:
// somebody may have added them after the sheet was summed up.
func (r *reader) warnOfRowsBelow(last int) {
	var below noted
	for _, rows := range r.controls.uncovered {
		below.count += rows.count
		below.first = append(below.first, rows.first...)
	}
	if below.count == 0 {
		return
	}
	slices.Sort(below.first)
	below.first = below.first[:min(len(below.first), firstRows)]
	control := &r.result.ControlTotals[last-1]
	control.Below = below.count
	r.report(Problem{
		Code: RowsBelowTotal, Severity: Warning, Row: control.Row, Column: control.Column, Value: shown(control.Given),
		Message: fmt.Sprintf("%s below this total and in no other (%s). Check that nothing was added by mistake, then confirm.",
			counted(below.count, "payout row stands", "payout rows stand"), below),
	})
}

// compare holds one given total against the rows above it: all of them, or
// those since the last total, for sheets with subtotals.
func (r *reader) compare(row, column int, value cell, currency money.Currency, isCount bool) {
	control := ControlTotal{Row: row, Kind: ControlAmount, Currency: currency, Given: strings.TrimSpace(value.text)}
	if column >= 0 {
		control.Column = columnLetter(column)
	}
	var comparable bool
	if isCount {
		control.Kind, control.Currency = ControlCount, ""
		comparable = r.compareCount(&control, value)
	} else {
		comparable = r.compareAmount(&control, value, currency)
	}
	control.Unchecked = !comparable || !control.Agrees && control.Unread > 0
	r.result.ControlTotals = append(r.result.ControlTotals, control)
	if control.Agrees && !isCount {
		r.controls.cover(currency)
		r.controls.last = len(r.result.ControlTotals)
	}
	switch {
	case control.Unchecked:
		r.report(r.uncheckedControl(control, comparable))
	case !control.Agrees && r.controls.wrong == nil:
		r.controls.wrong = r.wrongControl(control)
	}
}

func (r *reader) compareCount(control *ControlTotal, value cell) (comparable bool) {
	control.Found = strconv.Itoa(r.controls.all.rows)
	given, err := strconv.Atoi(shortestDecimal(strings.TrimSpace(value.text)))
	if err != nil {
		return false
	}
	control.Agrees = given == r.controls.all.rows || given == r.controls.section.rows && given > 0
	return true
}

func (r *reader) compareAmount(control *ControlTotal, value cell, currency money.Currency) (comparable bool) {
	found, of, ok := r.controls.all.sum(currency)
	if !ok {
		return false
	}
	control.Found = money.Format(found, of)
	given, ok := r.rules.givenTotal(value, of)
	if !ok {
		return false
	}
	control.Given = money.Format(given, of)
	control.Unread = r.controls.all.unreadable.count
	if control.Agrees = given == found; control.Agrees {
		return true
	}
	section, sectionOf, ok := r.controls.section.sum(currency)
	if control.Agrees = ok && sectionOf == of && given == section && section != 0; control.Agrees {
		control.Unread = r.controls.section.unreadable.count
	}
	return true
}

// givenTotal reads the cell of a total. Its number may be the result of a
// spreadsheet's own addition and carry the dust of binary arithmetic
// (141282.55000000002), which is brushed off: a total is compared, not paid.
func (set *ruleset) givenTotal(c cell, currency money.Currency) (money.Amount, bool) {
	plain := shortestDecimal(c.text)
	if c.kind == kindText {
		var code Code
		if plain, code = set.plainNumber(strings.TrimSpace(c.text)); code != "" {
			return 0, false
		}
	}
	if amount, err := set.toAmount(plain, currency); err == nil {
		return amount, true
	}
	if c.kind == kindText {
		return 0, false
	}
	decimals := exponent(currency)
	if set.MinorUnits {
		decimals = 0
	}
	amount, err := set.toAmount(withoutDust(plain, decimals), currency)
	return amount, err == nil
}

// withoutDust rounds a decimal to the given decimals if all that is lost is
// at least four zeros or nines and what follows them.
func withoutDust(plain string, decimals int) string {
	whole, fraction, _ := strings.Cut(plain, ".")
	if len(fraction) < decimals+4 {
		return plain
	}
	kept := whole + "." + fraction[:decimals]
	switch dust := fraction[decimals:]; {
	case strings.HasPrefix(dust, "0000"):
		return strings.TrimSuffix(kept, ".")
	case strings.HasPrefix(dust, "9999"):
		return oneMore(strings.TrimSuffix(kept, "."))
	}
	return plain
}

// oneMore adds one to the last digit of a decimal, away from zero.
func oneMore(decimal string) string {
	digits := []byte(decimal)
	for i := len(digits) - 1; i >= 0; i-- {
		switch c := digits[i]; {
		case c == '9':
			digits[i] = '0'
		case c >= '0' && c < '9':
			digits[i]++
			return string(digits)
		case c == '-':
			return "-1" + string(digits[1:])
		}
	}
	return "1" + string(digits)
}

func (r *reader) wrongControl(control ControlTotal) *FileError {
	all := r.controls.all
	rows := counted(all.rows, "payout row", "payout rows")
	if control.Kind == ControlCount {
		return refuse(ControlTotalWrong, "The sheet gives a count of %s, but it has %s, good and bad. Correct the count or the rows.",
			shown(control.Given), rows).in(control.Row, control.Column)
	}
	hint := ""
	if all.asText.count > 0 {
		hint = fmt.Sprintf(" %s stored as text (%s), which a spreadsheet's SUM leaves out.", counted(all.asText.count, "amount is", "amounts are"), all.asText)
	}
	return refuse(ControlTotalWrong, "The sheet gives a total of %s, but the amounts of its %s, good and bad, add up to %s.%s Correct the total or the amounts.",
		strings.TrimSpace(shown(control.Given)+" "+string(control.Currency)), rows, control.Found, hint).in(control.Row, control.Column)
}

func (r *reader) uncheckedControl(control ControlTotal, comparable bool) Problem {
	p := Problem{
		Code: ControlTotalUnchecked, Severity: Warning, Row: control.Row, Column: control.Column, Value: shown(control.Given),
		Message: "This row looks like a total, but its amount cannot be read or compared, so nothing was checked. Confirm that the total is right.",
	}
	if unreadable := r.controls.all.unreadable; comparable {
		p.Message = fmt.Sprintf("The sheet gives a total of %s, and the amounts that can be read add up to %s. "+
			"%s no amount that can be read in a known currency (%s), so the total could not be checked. Correct what is wrong there, or confirm.",
			control.Given, control.Found, counted(unreadable.count, "row has", "rows have"), unreadable)
	}
	return p
}

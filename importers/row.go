package importers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"payrun/internal/money"
)

// judge checks a data row against every rule, reports each fault, and
// returns the payout, which only means something if nothing rejected it.
func (r *reader) judge(row *record) Row {
	r.judgeShape(row)
	payout := Row{Sheet: r.result.Sheet, Number: row.number}
	if r.layout.isNote(row) {
		r.fault(row, FieldIgnored, RowNote, "The row has neither an account nor an amount, so it is no payout. If it is a note, move it above the headings or delete it.")
		return payout
	}
	channel := r.judgeChannel(row)
	if channel != nil {
		payout.Channel = channel.Code
	}
	payout.Currency = r.judgeCurrency(row, channel)
	meant := cmp.Or(payout.Currency, r.meantCurrency(row))
	payout.Amount = r.judgeAmount(row, channel, meant)
	payout.Account = r.judgeAccount(row, channel, meant)
	payout.Reference = r.judgeReference(row)
	payout.Payee = r.judgeText(row, FieldPayee, longestPayee)
	payout.Remark = r.judgeText(row, FieldRemark, longestRemark)
	payout.PayDate = r.judgeDate(row)
	r.judgeTest(row)
	r.judgeStruck(row)
	payout.Beside = r.beside(row)
	if !r.rejected {
		if first := r.repeats.payee(payout); first > 0 {
			r.warn(row, FieldAmount, PayeeRepeated, "Row %d already pays the same amount to the same account. Confirm that both are meant.", first)
		}
	}
	return payout
}

// isNote tells whether a row has nothing in any column that a payout needs:
// "Prepared by: Mia" below the table.
func (l *layout) isNote(row *record) bool {
	for _, field := range []Field{FieldAccount, FieldAmount, FieldChannel, FieldCurrency} {
		if c := row.at(l.at[field]); c.kind != kindText || strings.TrimSpace(c.text) != "" {
			return false
		}
	}
	return true
}

// longestBeside is how many bytes of the columns without a meaning are kept.
const longestBeside = 1000

// beside puts the cells of the columns without a meaning into words. They are
// kept for people, so that nothing of a sheet is lost, and never interpreted.
func (r *reader) beside(row *record) string {
	var parts []string
	length := 0
	for column := range row.cells {
		c := &row.cells[column]
		text := strings.TrimSpace(c.text)
		if text == "" && c.kind != kindFormula { // whose result need not be stored
			continue
		}
		extra := r.layout.extra(column)
		if extra == nil {
			continue
		}
		if !r.rejected { // whatever else is wrong, such as a delimiter, is corrected first
			extra.rows.add(row.number)
		}
		if text == "" || length > longestBeside {
			continue
		}
		part := shown(extra.name) + ": " + shown(text)
		parts = append(parts, part)
		length += len(part)
	}
	return strings.Join(parts, "; ")
}

// fault reports why the row cannot be paid, warn what a person must confirm.
func (r *reader) fault(row *record, field Field, code Code, format string, args ...any) {
	r.about(row, field, code, RowRejected, fmt.Sprintf(format, args...))
}

func (r *reader) warn(row *record, field Field, code Code, format string, args ...any) {
	r.about(row, field, code, Warning, fmt.Sprintf(format, args...))
}

func (r *reader) about(row *record, field Field, code Code, severity Severity, message string) {
	p := Problem{Code: code, Severity: severity, Row: row.number, Message: message}
	if field != FieldIgnored {
		column := r.layout.heading(field)
		p.Column, p.Heading = column.Letter, column.Heading
		p.Value = r.rules.discreet(row.at(r.layout.at[field]).text)
		if field == FieldAccount {
			p.Value = masked(row.at(r.layout.at[field]).text)
		}
	}
	r.report(p)
}

func (r *reader) judgeShape(row *record) {
	if r.imported {
		r.fault(row, FieldIgnored, RowImported, "The row is marked as imported already. Delete it; or, if that batch was discarded, or if the row is to be paid once more, clear the mark.")
	}
	if row.hidden {
		r.fault(row, FieldIgnored, RowHidden, "The row is hidden, by hand or by a filter. Unhide it to pay it, or delete it.")
	}
	if row.fields > 0 && row.fields != r.layout.fields && !r.layout.isNote(row) {
		r.fault(row, FieldIgnored, FieldCount,
			"The row has %d fields where the headings have %d, so its values may stand under the wrong headings. Look for a missing or an extra delimiter.",
			row.fields, r.layout.fields)
	}
}

// plainText returns a cell's text without outer spaces, after refusing what
// is not text at all. ok is false once a fault was reported.
func (r *reader) plainText(row *record, field Field) (value string, ok bool) {
	c := row.at(r.layout.at[field])
	switch c.kind {
	case kindText:
		return strings.TrimSpace(c.text), true
	case kindNumber:
		return c.text, true
	case kindFormula:
		r.fault(row, field, CellFormula, "The %s is a formula, whose stored result may be out of date. Replace it with its value (copy, then paste as values).", field)
	case kindFailure:
		r.fault(row, field, CellError, "The %s is the error value %s. Correct the cell.", field, shown(c.text))
	case kindBoolean:
		r.fault(row, field, CellBoolean, "The %s is TRUE or FALSE. Write the value itself.", field)
	default:
		r.fault(row, field, DateUnreadable, "The %s is stored as a date or a percentage. Format the column as text and write it again.", field)
	}
	return "", false
}

func (r *reader) judgeChannel(row *record) *Channel {
	if r.layout.at[FieldChannel] < 0 {
		return r.rules.channel(r.rules.Channel)
	}
	name, ok := r.plainText(row, FieldChannel)
	if !ok {
		return nil
	}
	if name == "" {
		r.fault(row, FieldChannel, ChannelEmpty, "The channel is missing. Use one of %s.", r.rules.channelNames())
		return nil
	}
	channel := r.rules.channel(name)
	if channel == nil {
		r.fault(row, FieldChannel, ChannelUnknown, "There is no channel called %q.%s Use one of %s.", r.rules.discreet(name), lookAlike(name), r.rules.channelNames())
		return nil
	}
	if of := r.rules.channel(r.rules.Channel); of != nil && channel != of {
		r.fault(row, FieldChannel, ChannelOtherwise, "The channel is %s, but the import profile (or --channel) says that all are %s. Correct one of them.", channel.Name, of.Name)
		return nil
	}
	return channel
}

// channel finds a channel by the name in a sheet. Sheets repeat few names, so
// the exact spelling is tried before the folded one.
func (set *ruleset) channel(name string) *Channel {
	if channel, ok := set.spellings[name]; ok {
		return channel
	}
	channel := set.channels[fold(name)]
	if channel != nil && name != channel.Code && !strings.ContainsFunc(name, unicode.IsLetter) {
		channel = nil // 1.6 is not 16
	}
	if len(set.spellings) < 100 {
		set.spellings[name] = channel
	}
	return channel
}

func (r *reader) judgeCurrency(row *record, channel *Channel) money.Currency {
	currency := r.layout.currency
	if r.layout.at[FieldCurrency] >= 0 {
		code, ok := r.plainText(row, FieldCurrency)
		if !ok {
			return ""
		}
		if currency = r.knownCurrency(row, code); currency == "" {
			return ""
		}
		if r.layout.stated && currency != r.layout.currency {
			r.fault(row, FieldCurrency, CurrencyHeading, "The currency is %s, but the amounts are headed %s. Correct one of them.", currency, r.layout.currency)
			return ""
		}
		if of := r.rules.Currency; of != "" && currency != of {
			r.fault(row, FieldCurrency, CurrencyOtherwise, "The currency is %s, but the import profile (or --currency) says that all are %s. Correct one of them.", currency, of)
			return ""
		}
	}
	if channel != nil && !channel.pays(currency) {
		r.fault(row, FieldCurrency, CurrencyChannel, "%s does not pay %s here. It pays %s.", channel.Name, currency, currencyList(channel.Currencies))
		return ""
	}
	return currency
}

func (r *reader) knownCurrency(row *record, code string) money.Currency {
	if code == "" {
		r.fault(row, FieldCurrency, CurrencyEmpty, "The currency is missing. Write its three-letter code, such as USD.")
		return ""
	}
	if _, err := money.Currency(code).Exponent(); err == nil {
		return money.Currency(code)
	}
	if upper := money.Currency(strings.ToUpper(code)); code != string(upper) {
		if _, err := upper.Exponent(); err == nil {
			r.fault(row, FieldCurrency, CurrencyCase, "The currency is written %q. Write it in capitals: %s.", shown(code), upper)
			return ""
		}
	}
	r.fault(row, FieldCurrency, CurrencyUnknown, "There is no currency %q.%s Write the three-letter code, such as USD.", r.rules.discreet(code), lookAlike(code))
	return ""
}

func (channel *Channel) pays(currency money.Currency) bool {
	return slices.Contains(channel.Currencies, currency)
}

func currencyList(list []money.Currency) string {
	names := make([]string, len(list))
	for i, currency := range list {
		names[i] = string(currency)
	}
	return strings.Join(names, ", ")
}

func (r *reader) judgeAmount(row *record, channel *Channel, currency money.Currency) money.Amount {
	if currency == "" {
		r.controls.addUnreadable(row.number)
		return 0 // the currency was reported; decimals cannot be judged without one
	}
	c := row.at(r.layout.at[FieldAmount])
	amount, readable, code := r.rules.parseAmount(c, currency)
	r.meant = meant{currency, amount, readable}
	switch {
	case readable:
		r.controls.add(row.number, currency, amount, c.kind == kindText && r.result.Format == formatXLSX)
	case code == AmountEmpty:
		r.controls.addEmpty()
	default:
		r.controls.addUnreadable(row.number)
	}
	if code != "" {
		r.fault(row, FieldAmount, code, "%s", r.amountMessage(code, c, currency))
		return 0
	}
	r.judgeLimits(row, channel, currency, amount)
	r.judgeDisplay(row, c, amount, currency)
	return amount
}

// meantCurrency is the currency that the author of a row with a faulty one
// meant, "" if that cannot be told. The row is not paid, but its other faults
// can be named and its amount be compared with the sheet's totals.
func (r *reader) meantCurrency(row *record) money.Currency {
	currency := r.layout.currency
	if at := r.layout.at[FieldCurrency]; at >= 0 {
		currency = money.Currency(strings.ToUpper(strings.TrimSpace(row.at(at).text)))
	}
	if _, err := currency.Exponent(); err != nil {
		return ""
	}
	return currency
}

func (r *reader) judgeLimits(row *record, channel *Channel, currency money.Currency, amount money.Amount) {
	if most, ok := r.rules.MaxAmounts[currency]; ok && amount > most {
		r.fault(row, FieldAmount, AmountAboveRole, "The amount is above the %s %s that you may hand in for one payout. Ask for a higher limit or split the payout.",
			money.Format(most, currency), currency)
	}
	if channel == nil {
		return
	}
	limit := channel.Limits[currency]
	if amount < limit.Min {
		r.fault(row, FieldAmount, AmountBelowLimit, "%s pays no less than %s %s at a time.", channel.Name, money.Format(limit.Min, currency), currency)
	}
	if limit.Max > 0 && amount > limit.Max {
		r.fault(row, FieldAmount, AmountAboveLimit, "%s pays no more than %s %s at a time. Split the payout.", channel.Name, money.Format(limit.Max, currency), currency)
	}
}

// judgeStruck asks about a payout that somebody crossed out.
func (r *reader) judgeStruck(row *record) {
	for _, field := range []Field{FieldAmount, FieldAccount} {
		if row.at(r.layout.at[field]).struck {
			r.warn(row, field, RowStruck, "The %s is struck through. Delete the row, or confirm that it is to be paid.", field)
			return
		}
	}
}

// judgeDisplay warns where the sheet shows another amount than it stores.
func (r *reader) judgeDisplay(row *record, c cell, amount money.Amount, currency money.Currency) {
	if c.kind != kindNumber {
		return
	}
	if c.currency != "" && c.currency != currency {
		r.warn(row, FieldAmount, AmountDisplay, "The cell's number format shows the amount as %s, but the row says %s. Payrun pays %s %s: confirm it, or correct the format or the currency.",
			c.currency, currency, money.Format(amount, currency), currency)
		return
	}
	if c.decimals == -1 {
		return
	}
	stored := shortestDecimal(c.text)
	if c.decimals == shownOtherwise {
		r.warn(row, FieldAmount, AmountDisplay, "The cell stores %s but its number format shows something else, such as thousands or nothing. Payrun pays the stored %s %s: confirm it, or correct the format.",
			stored, money.Format(amount, currency), currency)
		return
	}
	_, fraction, _ := strings.Cut(stored, ".")
	if len(strings.TrimRight(fraction, "0")) > int(c.decimals) {
		r.warn(row, FieldAmount, AmountDisplay, "The cell stores %s but its number format shows only %d decimals. Payrun pays the stored %s %s: confirm it, or correct the cell.",
			stored, c.decimals, money.Format(amount, currency), currency)
	}
}

// referenceFault says why a reference that is stored as a number may not be the
// one that its author sees; "" if it is, or is a text.
func referenceFault(c cell) string {
	isDate := c.kind == kindDate || c.kind == kindPercent
	if !isDate && (c.kind != kindNumber || isDigits(c.text) && len(c.text) <= 15 && !c.dressed) {
		return ""
	}
	var as string
	switch plain := shortestDecimal(c.text); {
	case isDate:
		as = "a date or a percentage"
	case len(plain) > 15 || !isPlain(plain):
		as = "a number, and a spreadsheet keeps no more than 15 digits of one"
	case !isDigits(plain):
		as = fmt.Sprintf("the number %s, with a decimal mark or a sign, which programs write in different ways", plain)
	default:
		as = fmt.Sprintf("the number %s, and the cell's number format may show it in another way", plain)
	}
	return "The reference is stored as " + as + ". Format the column as text and write the reference as it is to be read."
}

func (r *reader) judgeReference(row *record) string {
	if r.layout.at[FieldReference] < 0 {
		return ""
	}
	if message := referenceFault(row.at(r.layout.at[FieldReference])); message != "" {
		r.fault(row, FieldReference, ReferenceNumber, "%s", message)
		return ""
	}
	reference := r.judgeText(row, FieldReference, longestReference)
	if reference == "" {
		return ""
	}
	if first := r.repeats.reference(reference, row.number); first > 0 {
		r.fault(row, FieldReference, ReferenceRepeated, "Row %d has the same reference. Give every payout its own, or delete the repeated row.", first)
	}
	return reference
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// judgeText checks a free text of at most longest characters.
func (r *reader) judgeText(row *record, field Field, longest int) string {
	if r.layout.at[field] < 0 {
		return ""
	}
	value, ok := r.plainText(row, field)
	if !ok || value == "" {
		return ""
	}
	code, clause := textFault(value)
	if code == "" && field == FieldRemark {
		code, clause = reservedFault(value)
	}
	if code != "" {
		r.fault(row, field, code, "The %s %s. Write it without.", field, clause)
		return ""
	}
	if len(value) > longest && utf8.RuneCountInString(value) > longest {
		r.fault(row, field, TextTooLong, "The %s is longer than %d characters. Shorten it.", field, longest)
	}
	return value
}

// judgeDate reads the optional pay date: an ISO date as text, or a date cell.
func (r *reader) judgeDate(row *record) string {
	at := r.layout.at[FieldPayDate]
	if at < 0 {
		return ""
	}
	value := ""
	if c := row.at(at); c.kind == kindDate {
		value = dateOf(c.text, r.date1904)
	} else {
		var ok bool
		if value, ok = r.plainText(row, FieldPayDate); !ok || value == "" {
			return ""
		}
	}
	day, ok := r.rules.day(value)
	if !ok && r.rules.noSuchDay(value) {
		r.fault(row, FieldPayDate, DateUnreadable, "The pay date is %s, and that day does not exist. Correct it.", shown(value))
		return ""
	}
	if !ok {
		r.fault(row, FieldPayDate, DateUnreadable, "The pay date is no day that can be read without guessing. Write it as year-month-day, such as 2026-11-30.")
		return ""
	}
	r.judgeFarDate(row, day)
	return day
}

// judgeFarDate warns of a pay date that is likely a slip, such as a wrong year,
// or the date of something else.
func (r *reader) judgeFarDate(row *record, day string) {
	switch {
	case r.rules.Today == "":
	case day < r.rules.earliest:
		r.warn(row, FieldPayDate, DateFar, "The pay date is long past: the payout would be sent as soon as it is approved. Confirm it, or correct the date.")
	case day > r.rules.latest:
		r.warn(row, FieldPayDate, DateFar, "The pay date is more than a year away: until then the payout would only hold its money. Confirm it, or correct the date.")
	}
}

// dayLayouts are those of ISO and of the profile's order.
func (set *ruleset) dayLayouts() []string {
	switch set.DateOrder {
	case DayMonthYear:
		return []string{time.DateOnly, "2.1.2006", "2/1/2006", "2-1-2006"}
	case MonthDayYear:
		return []string{time.DateOnly, "1.2.2006", "1/2/2006", "1-2-2006"}
	}
	return []string{time.DateOnly}
}

// day reads a date written as ISO has it or in the profile's order.
func (set *ruleset) day(text string) (string, bool) {
	for _, layout := range set.dayLayouts() {
		if day, err := time.Parse(layout, text); err == nil {
			return day.Format(time.DateOnly), true
		}
	}
	return "", false
}

// noSuchDay tells whether a text is a date in a form that is read, but of a day
// that no month has, such as 2026-02-30.
func (set *ruleset) noSuchDay(text string) bool {
	for _, layout := range set.dayLayouts() {
		_, err := time.Parse(layout, text)
		wrong, ok := errors.AsType[*time.ParseError](err)
		if ok && (wrong.Message == ": day out of range" || layout == time.DateOnly && wrong.Message == ": month out of range") {
			return true // 30.13.2026 may be in the other order
		}
	}
	return false
}

// judgeTest keeps rows that their author marked as a test from being paid.
func (r *reader) judgeTest(row *record) {
	if r.layout.at[FieldTest] < 0 {
		return
	}
	mark := row.at(r.layout.at[FieldTest])
	if mark.kind == kindFormula { // whose result may not be stored
		_, _ = r.plainText(row, FieldTest)
		return
	}
	switch strings.ToLower(strings.TrimSpace(mark.text)) {
	case "", "0", "no", "false", "live":
	case "1", "yes", "true", "test":
		r.fault(row, FieldTest, RowTest, "The row is marked as a test. Remove the mark to pay it, or delete the row.")
	default:
		r.fault(row, FieldTest, RowTest, "The test mark is neither 0 (pay) nor 1 (only a test). Correct it.")
	}
}

// dateOf turns the content of a date cell into an ISO date, "" if it is none:
// a day number, or, in the cells of few programs, an ISO date and time.
func dateOf(text string, from1904 bool) string {
	if len(text) >= len(time.DateOnly) && text[4] == '-' {
		return text[:len(time.DateOnly)]
	}
	return serialDate(text, from1904)
}

// serialDate turns a workbook's day number into an ISO date, "" if it is
// none. Days count from 1900, or from 1904 in workbooks that say so; before
// March 1900 spreadsheets disagree about the calendar, so those are refused.
func serialDate(text string, from1904 bool) string {
	whole, _, _ := strings.Cut(shortestDecimal(text), ".")
	days, err := strconv.Atoi(whole)
	if err != nil || days < 61 || days > 2_958_465 {
		return ""
	}
	epoch := time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC)
	if from1904 {
		epoch = time.Date(1904, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return epoch.AddDate(0, 0, days).Format(time.DateOnly)
}

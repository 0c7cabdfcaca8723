package sheets

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
	"payrun/internal/money"
)

// PayoutsSheet is the sheet for payouts in the workbooks that Payrun makes.
const PayoutsSheet = "Payouts"

// TemplateChoice narrows a template down; "" leaves all there is.
type TemplateChoice struct {
	Channel  string // code or name
	Currency money.Currency
}

// ErrNoSuchChoice: no channel that is switched on fits the choice.
var ErrNoSuchChoice = errors.New("no channel fits")

// ErrNoForm: the profile reads sheets that no template can look like.
var ErrNoForm = errors.New("there are templates only for sheets whose columns are found by their headings and whose amounts are written like 10.50, not in cents")

// Template writes an empty payout sheet into a new workbook: headings that the
// importer knows under the same rules, drop-downs, formats that keep accounts
// as text, and a sheet of instructions. What the rules fix has no column. It
// returns [ErrNoSuchChoice], [ErrNoForm], and fs.ErrExist if target is the name of
// something already.
func Template(target string, rules importers.Rules, choice TemplateChoice) error {
	form, err := newForm(rules, choice)
	if err != nil {
		return err
	}
	file := excelize.NewFile()
	defer file.Close()
	if err := errors.Join(form.writeTable(file), form.writeInstructions(file)); err != nil {
		return fmt.Errorf("make the template: %w", err)
	}
	return create(target, func(w *os.File) error { return save(file, w) })
}

// form is what a template asks for.
type form struct {
	channels   []importers.Channel // that may be chosen, each with the currencies that may
	currencies []money.Currency
	columns    []formColumn
	charset    string // of csv
}

// formColumn is one column of a template.
type formColumn struct {
	field   importers.Field
	heading string
	width   float64
	look    look
	needed  string // in words
	meaning string // what to write
}

func newForm(rules importers.Rules, choice TemplateChoice) (*form, error) {
	if rules.NoHeadings || len(rules.Letters) > 0 || rules.MinorUnits {
		return nil, ErrNoForm
	}
	channels := rules.Channels
	if channels == nil {
		channels = importers.DefaultChannels()
	}
	f := &form{charset: cmp.Or(rules.Charset, "UTF-8")}
	for _, channel := range channels {
		channel.Currencies = slices.DeleteFunc(slices.Clone(channel.Currencies), func(c money.Currency) bool {
			return !isOrAny(c, rules.Currency) || !isOrAny(c, choice.Currency)
		})
		if len(channel.Currencies) > 0 && called(channel, rules.Channel) && called(channel, choice.Channel) {
			f.channels = append(f.channels, channel)
			f.currencies = append(f.currencies, channel.Currencies...)
		}
	}
	if len(f.channels) == 0 {
		return nil, fmt.Errorf("%w: channel %q, currency %q", ErrNoSuchChoice, choice.Channel, choice.Currency)
	}
	slices.Sort(f.currencies)
	f.currencies = slices.Compact(f.currencies)
	f.columns = f.chooseColumns(rules)
	return f, nil
}

func isOrAny(currency, wanted money.Currency) bool { return wanted == "" || currency == wanted }

// called tells whether a channel goes by the name; all go by "".
func called(channel importers.Channel, name string) bool {
	same := func(other string) bool { return strings.EqualFold(other, name) }
	return name == "" || same(channel.Code) || same(channel.Name) || slices.ContainsFunc(channel.Aliases, same)
}

// chooseColumns leaves out what the rules fix, and uses the headings that
// they assign by hand.
func (f *form) chooseColumns(rules importers.Rules) []formColumn {
	var columns []formColumn
	for _, c := range f.everyColumn() {
		fixed := c.field == importers.FieldChannel && rules.Channel != "" || c.field == importers.FieldCurrency && rules.Currency != ""
		if fixed {
			continue
		}
		c.heading = cmp.Or(headingByHand(rules, c.field), c.heading)
		columns = append(columns, c)
	}
	return columns
}

func headingByHand(rules importers.Rules, field importers.Field) string {
	first := ""
	for heading, assigned := range rules.Columns {
		if assigned == field && (first == "" || heading < first) {
			first = heading
		}
	}
	return first
}

func (f *form) everyColumn() []formColumn {
	const always, ifKnown = "always", "if you like"
	return []formColumn{
		{importers.FieldReference, "Reference", 20, textLook, ifKnown, "Your own number for the payout. No two rows may have the same."},
		{importers.FieldChannel, "Channel", 18, textLook, always, "The e-wallet, chosen from the list: " + f.channelList() + "."},
		{importers.FieldAccount, "Account", 24, textLook, always, "The payee's wallet, exactly as the payee gave it. " + f.accountList()},
		{importers.FieldAmount, "Amount", 16, entryLook, always, "What the payee gets: a plain number above zero, no formula. No more decimals than the currency has, which is two for most."},
		{importers.FieldCurrency, "Currency", 12, textLook, always, "The three-letter code, chosen from the list: " + f.currencyList() + "."},
		{importers.FieldPayee, "Payee", 28, textLook, ifKnown, "Who is paid, for the people who check and audit."},
		{importers.FieldRemark, "Remark", 34, textLook, ifKnown, "A note. It is kept and shown, and never sent."},
		{importers.FieldPayDate, "Pay date", 14, dateLook, ifKnown, "The first day on which the payout may be sent. Without it: as soon as it is approved."},
	}
}

func (f *form) channelList() string {
	return strings.Join(each(f.channels, func(c importers.Channel) string { return c.Name }), ", ")
}

func (f *form) currencyList() string {
	return strings.Join(each(f.currencies, func(c money.Currency) string { return string(c) }), ", ")
}

// accountList says what wallets look like, channel by channel.
func (f *form) accountList() string {
	var list strings.Builder
	for _, channel := range f.channels {
		for _, form := range f.accountForms(channel) {
			fmt.Fprintf(&list, "%s: %s. ", channel.Name, accountForm(form))
		}
	}
	return strings.TrimSpace(list.String())
}

// accountForms are the forms of a channel's wallets in the chosen currencies.
func (f *form) accountForms(channel importers.Channel) []importers.AccountForm {
	return slices.DeleteFunc(slices.Clone(channel.Accounts), func(form importers.AccountForm) bool {
		return form.Currency != "" && !slices.Contains(channel.Currencies, form.Currency)
	})
}

func accountForm(form importers.AccountForm) string {
	digits := fmt.Sprintf("%d to %d digits", form.MinDigits, form.MaxDigits)
	if form.MinDigits == form.MaxDigits {
		digits = fmt.Sprintf("%d digits", form.MinDigits)
	}
	text := form.Prefix + " and " + digits
	if form.Currency != "" {
		text += " for " + string(form.Currency)
	}
	return text
}

// writeTable writes the sheet to fill in.
func (f *form) writeTable(file *excelize.File) error {
	if err := file.SetSheetName(file.GetSheetName(0), PayoutsSheet); err != nil {
		return err
	}
	looks := newLooks(file)
	for i, column := range f.columns {
		letter, err := excelize.ColumnNumberToName(i + 1)
		if err != nil {
			return err
		}
		style, err := looks.of(column.look, f.decimals())
		headed := headingLook
		if column.look == entryLook {
			headed = numberHeadingLook
		}
		heading, headingErr := looks.of(headed, 0)
		if err := errors.Join(err, headingErr,
			file.SetColWidth(PayoutsSheet, letter, letter, column.width), file.SetColStyle(PayoutsSheet, letter, style),
			file.SetCellStr(PayoutsSheet, letter+"1", column.heading), file.SetCellStyle(PayoutsSheet, letter+"1", letter+"1", heading),
			f.restrict(file, column, letter),
		); err != nil {
			return err
		}
	}
	const height = 24
	return errors.Join(file.SetRowHeight(PayoutsSheet, 1, height),
		file.SetPanes(PayoutsSheet, &excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}),
		printOnePageWide(file, PayoutsSheet))
}

// decimals are those of the amounts: the most that a chosen currency has.
func (f *form) decimals() int {
	most := 0
	for _, currency := range f.currencies {
		if decimals, err := currency.Exponent(); err == nil {
			most = max(most, decimals)
		}
	}
	return most
}

// restrict adds the column's drop-down or check, and a hint that shows while
// a cell is being filled in.
func (f *form) restrict(file *excelize.File, column formColumn, letter string) error {
	const longestHint = 255
	check := excelize.NewDataValidation(true)
	check.SetSqref(fmt.Sprintf("%s2:%s%d", letter, letter, excelize.TotalRows))
	hint := column.meaning
	if len(hint) > longestHint {
		hint = "What to write here is on the sheet " + importers.InstructionsSheet + "."
	}
	check.SetInput(column.heading, hint)
	var err error
	switch column.field {
	case importers.FieldChannel:
		err = check.SetDropList(each(f.channels, func(c importers.Channel) string { return c.Name }))
		check.SetError(excelize.DataValidationErrorStyleStop, column.heading, "Choose one from the list: "+f.channelList()+".")
	case importers.FieldCurrency:
		err = check.SetDropList(each(f.currencies, func(c money.Currency) string { return string(c) }))
		check.SetError(excelize.DataValidationErrorStyleStop, column.heading, "Choose one from the list: "+f.currencyList()+".")
	case importers.FieldAmount:
		err = check.SetRange("0", "", excelize.DataValidationTypeDecimal, excelize.DataValidationOperatorGreaterThan)
		check.SetError(excelize.DataValidationErrorStyleStop, column.heading, "Write a number above zero.")
	case importers.FieldPayDate:
		const year2000 = "36526" // as spreadsheets count days
		err = check.SetRange(year2000, "", excelize.DataValidationTypeDate, excelize.DataValidationOperatorGreaterThan)
		check.SetError(excelize.DataValidationErrorStyleStop, column.heading, "Write a date.")
	}
	return errors.Join(err, file.AddDataValidation(PayoutsSheet, check))
}

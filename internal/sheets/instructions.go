package sheets

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
)

// writeInstructions explains the template on a sheet that is never read.
func (f *form) writeInstructions(file *excelize.File) error {
	p, err := newPage(file, newLooks(file), importers.InstructionsSheet, 18, 16, 34, 18, 14, 44)
	if err != nil {
		return err
	}
	return errors.Join(
		p.title("How to fill in this sheet"), f.steps(p),
		f.columnTable(p), f.channelTable(p), f.refusals(p), f.examples(p))
}

func (f *form) steps(p *page) error {
	return notes(p,
		"1. Write one payout per row on the sheet "+PayoutsSheet+", from the second row on, and leave the headings as they are.",
		"2. If you like, end with a row that has the word Total in its first cell and the sum in the column of the amounts: Payrun then checks that nothing is missing.",
		"3. Save as .xlsx, or as CSV in "+f.charset+", and hand the file in. Nothing is paid before a second person has approved it.",
		"4. If something is wrong, the same sheet comes back with the cells marked and the reasons beside them. Correct them there and hand that in.",
		"This sheet is never read; nothing that stands here is paid.")
}

func notes(p *page, sentences ...string) error {
	var err error
	for _, sentence := range sentences {
		err = errors.Join(err, p.note(sentence))
	}
	return err
}

func (f *form) columnTable(p *page) error {
	err := errors.Join(p.section("The columns"), p.headings(left("Column"), left("Needed"), left("What to write"), left(""), left(""), left("")))
	for _, column := range f.columns {
		err = errors.Join(err, p.broad(2, words(column.heading, strongLook), words(column.needed, plainLook), words(column.meaning, sentenceLook)))
	}
	return err
}

func (f *form) channelTable(p *page) error {
	err := errors.Join(p.section("The channels"), p.headings(left("Channel"), left("Code"), left("A wallet is"), left("Pays"), left(""), left("")))
	for _, channel := range f.channels {
		forms := strings.Join(each(f.accountForms(channel), accountForm), "; ")
		pays := strings.Join(each(channel.Currencies, toString), ", ")
		err = errors.Join(err, p.line(words(channel.Name, strongLook), words(channel.Code, plainLook), words(forms, sentenceLook), words(pays, sentenceLook)))
	}
	return err
}

func toString[T ~string](t T) string { return string(t) }

func (f *form) refusals(p *page) error {
	return errors.Join(p.section("What is refused, so that nobody is paid by mistake"), notes(p,
		"Formulas: copy the cells and paste them as values.",
		"Wallets that became numbers: a spreadsheet drops leading zeros and rounds long numbers. The column is formatted as text here; keep it so when you paste (paste values only).",
		"Amounts with signs, thousands separators or currency symbols in text, percentages, zero, and negative amounts.",
		"Hidden rows, hidden columns with data, merged cells among the payouts, and a second sheet with data.",
		"Two rows with the same reference. Two rows with the same wallet and amount wait until you confirm that both are meant.",
		"Line breaks, and text that begins with = + - or @. In an account or a remark also the characters & and = anywhere."))
}

// examples shows rows with wallets that nobody has: the importer refuses them
// wherever they are copied to. Their columns are in the order of the sheet to
// fill in, so that a row can be compared cell by cell.
func (f *form) examples(p *page) error {
	var headings []field
	for _, column := range f.columns {
		switch {
		case !inExamples(column.field):
		case column.field == importers.FieldAmount:
			headings = append(headings, right(column.heading))
		default:
			headings = append(headings, left(column.heading))
		}
	}
	err := errors.Join(p.section("Examples"),
		p.note("Wallets with nothing but zeros belong to nobody. A row that has one is refused, so an example cannot be paid by accident."),
		p.headings(headings...))
	for i, channel := range f.channels {
		if len(f.accountForms(channel)) > 0 {
			err = errors.Join(err, p.line(f.example(i+1, channel)...))
		}
	}
	return err
}

// inExamples tells whether the examples have a column: the page has no room
// for all.
func inExamples(f importers.Field) bool {
	return f != importers.FieldPayee && f != importers.FieldPayDate
}

// example is one row, without the columns that the template leaves out.
func (f *form) example(number int, channel importers.Channel) []field {
	wallet, currency := f.accountForms(channel)[0], channel.Currencies[0]
	cells := map[importers.Field]field{
		importers.FieldReference: words(fmt.Sprintf("EXAMPLE-%d", number), plainLook),
		importers.FieldChannel:   words(channel.Name, plainLook),
		importers.FieldAccount:   words(wallet.Prefix+strings.Repeat("0", wallet.MinDigits), plainLook),
		importers.FieldAmount:    sum(12_50, currency),
		importers.FieldCurrency:  words(string(currency), plainLook),
		importers.FieldRemark:    words("November, invoice 17", plainLook),
	}
	var row []field
	for _, column := range f.columns {
		if cell, ok := cells[column.field]; ok {
			row = append(row, cell)
		}
	}
	return row
}

// broad writes a row whose last field reaches over the columns from the given
// one (counted from 0) to the page's end.
func (p *page) broad(from int, fields ...field) error {
	width := 0.0
	for _, w := range p.widths[from:] {
		width += w
	}
	text := fields[from].text
	fields[from].look = plainLook
	if err := p.line(fields...); err != nil {
		return err
	}
	first, err := excelize.CoordinatesToCellName(from+1, p.row)
	last, lastErr := excelize.CoordinatesToCellName(len(p.widths), p.row)
	if err := errors.Join(err, lastErr); err != nil {
		return err
	}
	style, err := p.looks.of(sentenceLook, 0)
	const lineHeight = 16
	return errors.Join(err, p.file.MergeCell(p.name, first, last), p.file.SetCellStyle(p.name, first, last, style),
		p.file.SetRowHeight(p.name, p.row, float64(linesOf(text, width))*lineHeight))
}

package sheets

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"

	"payrun/internal/money"
)

// page is a sheet that Payrun writes from top to bottom.
type page struct {
	file   *excelize.File
	looks  looks
	name   string
	widths []float64
	row    int // last written
}

// field is one cell of a page.
type field struct {
	text     string
	look     look
	number   bool // the text is a decimal
	decimals int
	link     string // place in the workbook to go to, "" for none
}

func words(text string, l look) field { return field{text: text, look: l} }

func count(n int) field { return field{text: strconv.Itoa(n), look: countLook, number: true} }

// sum is an amount. The cell gets its decimal text as the number it is, and
// nothing is computed on the way.
func sum(amount money.Amount, currency money.Currency) field {
	decimals, err := currency.Exponent()
	if err != nil {
		return words("", plainLook)
	}
	return field{text: money.Format(amount, currency), look: amountLook, number: true, decimals: decimals}
}

// newPage adds a sheet for reading, without grid lines, that prints one page wide.
func newPage(file *excelize.File, l looks, name string, widths ...float64) (*page, error) {
	if _, err := file.NewSheet(name); err != nil {
		return nil, err
	}
	grid := false
	err := errors.Join(file.SetSheetView(name, 0, &excelize.ViewOptions{ShowGridLines: &grid}), printOnePageWide(file, name))
	for i, width := range widths {
		letter, nameErr := excelize.ColumnNumberToName(i + 1)
		err = errors.Join(err, nameErr, file.SetColWidth(name, letter, letter, width))
	}
	return &page{file: file, looks: l, name: name, widths: widths}, err
}

// printOnePageWide sets a sheet up for paper: A4, landscape, no column cut off.
func printOnePageWide(file *excelize.File, name string) error {
	fit, wide, tall, a4, landscape := true, 1, 0, 9, "landscape"
	return errors.Join(
		file.SetSheetProps(name, &excelize.SheetPropsOptions{FitToPage: &fit}),
		file.SetPageLayout(name, &excelize.PageLayoutOptions{Size: &a4, Orientation: &landscape, FitToWidth: &wide, FitToHeight: &tall}),
	)
}

// line writes a row, as high as its longest text needs.
func (p *page) line(fields ...field) error {
	p.row++
	lines := 1
	for i, f := range fields {
		if f.look == sentenceLook || f.look == noteLook {
			lines = max(lines, linesOf(f.text, p.widths[i]))
		}
		if err := p.put(i+1, f); err != nil {
			return err
		}
	}
	const lineHeight = 15 // points
	if lines == 1 {
		return nil
	}
	return p.file.SetRowHeight(p.name, p.row, min(float64(lines)*lineHeight, excelize.MaxRowHeight))
}

// linesOf estimates how many lines a text takes: letters are narrower than the
// digits that widths count.
func linesOf(text string, width float64) int {
	const perWidth = 1.2
	lines := 0
	for paragraph := range strings.SplitSeq(text, "\n") {
		lines += 1 + utf8.RuneCountInString(paragraph)/int(perWidth*width)
	}
	return lines
}

func (p *page) put(column int, f field) error {
	cell, err := excelize.CoordinatesToCellName(column, p.row)
	if err != nil {
		return err
	}
	set := p.file.SetCellStr
	if f.number {
		set = p.file.SetCellDefault
	}
	style, err := p.looks.of(f.look, f.decimals)
	if err := errors.Join(err, set(p.name, cell, f.text), p.file.SetCellStyle(p.name, cell, cell, style)); err != nil {
		return err
	}
	if f.link == "" {
		return nil
	}
	return p.file.SetCellHyperLink(p.name, cell, f.link, "Location")
}

// title writes the heading of the page.
func (p *page) title(text string) error {
	const height = 30
	return errors.Join(p.line(words(text, titleLook)), p.file.SetRowHeight(p.name, p.row, height))
}

// note writes a sentence over the width of the page.
func (p *page) note(text string) error {
	width := 0.0
	for _, w := range p.widths {
		width += w
	}
	p.row++
	from, err := excelize.CoordinatesToCellName(1, p.row)
	if err != nil {
		return err
	}
	to, err := excelize.CoordinatesToCellName(len(p.widths), p.row)
	if err != nil {
		return err
	}
	const lineHeight = 16
	return errors.Join(p.put(1, words(text, noteLook)), p.file.MergeCell(p.name, from, to),
		p.file.SetRowHeight(p.name, p.row, float64(linesOf(text, width))*lineHeight))
}

// section writes the heading of a part, underlined over the width.
func (p *page) section(text string) error {
	p.row++ // air
	fields := make([]field, len(p.widths))
	for i := range fields {
		fields[i] = words("", sectionLook)
	}
	fields[0].text = text
	const height = 24
	return errors.Join(p.line(fields...), p.file.SetRowHeight(p.name, p.row, height))
}

// headings writes the headings of a table; those of numbers stand right.
func (p *page) headings(headings ...field) error {
	const height = 20
	return errors.Join(p.line(headings...), p.file.SetRowHeight(p.name, p.row, height))
}

func left(text string) field  { return words(text, headingLook) }
func right(text string) field { return words(text, numberHeadingLook) }

func fraction(decimals int) string {
	if decimals == 0 {
		return ""
	}
	return "." + strings.Repeat("0", decimals)
}

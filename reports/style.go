package reports

import (
	"strings"

	"github.com/xuri/excelize/v2"

	"payrun/internal/money"
)

// look is how a cell stands out.
type look uint8

const (
	plain        look = iota
	title             // of the workbook
	section           // of a part of a sheet
	headingLeft       // of a column of words
	headingRight      // of a column of numbers
	label             // of a line
	note              // small print
	total             // a sum
	good              // a check that holds
	wrapped           // text that may take several lines
)

const (
	ink    = "1F2A44" // headings and titles
	shade  = "E8ECF4" // under totals
	faded  = "6B7280" // small print
	hair   = "C5CCD9" // lines
	agreed = "1B7F4B" // a difference of nothing
)

// styles hands out the workbook's styles, each made once. One goroutine uses
// it.
type styles struct {
	file *excelize.File
	made map[styleKey]int
}

type styleKey struct {
	look     look
	kind     kind
	currency string
}

// of returns the style of a value. Plain words need none: they look like an
// untouched cell.
func (s *styles) of(v value) (int, error) {
	if v.look == plain && v.kind == words {
		return 0, nil
	}
	key := styleKey{look: v.look, kind: v.kind}
	if v.kind == monetary {
		key.currency = v.text
	}
	if id, ok := s.made[key]; ok {
		return id, nil
	}
	format, err := v.format()
	if err != nil {
		return 0, err
	}
	style := describe(v.look)
	if format != "" {
		style.CustomNumFmt = &format
	}
	id, err := s.file.NewStyle(style)
	s.made[key] = id
	return id, err
}

func describe(l look) *excelize.Style {
	font := func(size float64, bold bool, color string) *excelize.Font {
		return &excelize.Font{Family: "Calibri", Size: size, Bold: bold, Color: color}
	}
	fill := func(color string) excelize.Fill {
		return excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{color}}
	}
	switch l {
	case title:
		return &excelize.Style{Font: font(18, true, ink)}
	case section:
		return &excelize.Style{Font: font(13, true, ink), Border: []excelize.Border{{Type: "bottom", Color: ink, Style: 2}}}
	case headingLeft, headingRight:
		side, indent := "left", 0
		if l == headingRight {
			side, indent = "right", 1
		}
		return &excelize.Style{
			Font: font(11, true, "FFFFFF"), Fill: fill(ink),
			Alignment: &excelize.Alignment{Horizontal: side, Indent: indent, Vertical: "center", WrapText: true},
		}
	case label:
		return &excelize.Style{Font: font(11, true, ink)}
	case note:
		return &excelize.Style{Font: font(10, false, faded)}
	case total:
		return &excelize.Style{Font: font(11, true, ink), Fill: fill(shade), Border: []excelize.Border{{Type: "top", Color: hair, Style: 1}}}
	case good:
		return &excelize.Style{Font: font(11, true, agreed)}
	case wrapped:
		return &excelize.Style{Alignment: &excelize.Alignment{Vertical: "top", WrapText: true}}
	}
	return &excelize.Style{}
}

// Number formats. Each ends with a gap as wide as a bracket, which keeps a
// number off the words in the next column.
const (
	gap           = "_)"
	countFormat   = "#,##0" + gap
	instantFormat = "yyyy-mm-dd hh:mm:ss" + gap
	dayFormat     = "yyyy-mm-dd" + gap
)

// format is the number format of the value: for amounts the currency's
// decimals and thousands separators, with negative ones in red.
func (v value) format() (string, error) {
	switch v.kind {
	case counted:
		return countFormat, nil
	case timed:
		return instantFormat, nil
	case dated:
		return dayFormat, nil
	case monetary:
		exponent, err := money.Currency(v.text).Exponent()
		digits := "#,##0"
		if exponent > 0 {
			digits += "." + strings.Repeat("0", exponent)
		}
		return digits + gap + ";[Red]-" + digits + gap, err
	}
	return "", nil
}

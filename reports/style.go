package reports

import (
	"strings"

	"github.com/xuri/excelize/v2"

	"payrun/internal/money"
)

// look is how a cell stands out.
type look uint8

const (
	plain   look = iota
	title        // of the workbook
	section      // of a part of a sheet
	heading      // of a column
	label        // of a line
	note         // small print
	total        // a sum
	good         // a check that holds
	wrapped      // text that may take several lines
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
	look   look
	format string
}

// of returns the style for a look and a number format; 0, the style of an
// untouched cell, needs no look-up.
func (s *styles) of(l look, format string) (int, error) {
	if l == plain && format == "" {
		return 0, nil
	}
	key := styleKey{l, format}
	if id, ok := s.made[key]; ok {
		return id, nil
	}
	style := describe(l)
	if format != "" {
		style.CustomNumFmt = &format
	}
	id, err := s.file.NewStyle(style)
	if err == nil {
		s.made[key] = id
	}
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
	case heading:
		return &excelize.Style{
			Font: font(11, true, "FFFFFF"), Fill: fill(ink),
			Alignment: &excelize.Alignment{Vertical: "center", WrapText: true},
		}
	case label:
		return &excelize.Style{Font: font(11, true, ink), Alignment: &excelize.Alignment{Vertical: "top"}}
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

const (
	countFormat   = "#,##0"
	instantFormat = "yyyy-mm-dd hh:mm:ss"
	dayFormat     = "yyyy-mm-dd"
)

// moneyFormats caches the number format of each currency.
type moneyFormats map[string]string

// of returns the format with the currency's decimals and thousands
// separators, negative amounts with a minus and in red.
func (m moneyFormats) of(currency string) (string, error) {
	if format, ok := m[currency]; ok {
		return format, nil
	}
	exponent, err := money.Currency(currency).Exponent()
	if err != nil {
		return "", err
	}
	format := "#,##0"
	if exponent > 0 {
		format += "." + strings.Repeat("0", exponent)
	}
	format += ";[Red]-" + format
	m[currency] = format
	return format, nil
}

package sheets

import "github.com/xuri/excelize/v2"

// look is how a cell that Payrun writes stands out.
type look uint8

const (
	plainLook look = iota
	titleLook
	sectionLook
	noteLook
	headingLook
	numberHeadingLook
	sentenceLook // wraps
	adviceLook   // the same, standing low as cells do that nobody aligned
	strongLook
	linkLook
	amountLook // a sum with the decimals of its currency
	countLook
	entryLook // an amount to be typed in; saved as csv it is still a plain number
	dateLook
	textLook // a cell that stays text, whatever is typed into it
)

// Colours. The fills are light enough to read dark text on, and differ in
// brightness too, for those who see no colours.
const (
	ink          = "1F2A44"
	body         = "374151"
	faded        = "6B7280"
	shade        = "E8ECF4"
	hair         = "C5CCD9"
	rejectedFill = "F8B4B4"
	rejectedInk  = "7F1D1D"
	warningFill  = "FDE9A9"
	warningInk   = "713F12"
	importedFill = "EEF0F3"
)

// looks hands out a workbook's styles, each made once.
type looks struct {
	file *excelize.File
	made map[lookKey]int
}

func newLooks(file *excelize.File) looks { return looks{file, map[lookKey]int{}} }

type lookKey struct {
	look     look
	decimals int
}

// of returns the style of a look. The decimals only matter to amounts.
func (l looks) of(which look, decimals int) (int, error) {
	key := lookKey{which, decimals}
	if id, ok := l.made[key]; ok {
		return id, nil
	}
	id, err := l.file.NewStyle(describe(which, decimals))
	l.made[key] = id
	return id, err
}

func describe(which look, decimals int) *excelize.Style {
	font := func(size float64, bold bool, color string) *excelize.Font {
		return &excelize.Font{Family: "Calibri", Size: size, Bold: bold, Color: color}
	}
	format := func(code string) *string { return &code }
	top := &excelize.Alignment{Vertical: "top"}
	const gap = "_)" // as wide as a bracket, to keep a number off the words beside it
	switch which {
	case titleLook:
		return &excelize.Style{Font: font(18, true, ink)}
	case sectionLook:
		return &excelize.Style{Font: font(13, true, ink), Border: []excelize.Border{{Type: "bottom", Color: ink, Style: 2}}}
	case noteLook:
		return &excelize.Style{Font: font(11, false, body), Alignment: &excelize.Alignment{Vertical: "top", WrapText: true}}
	case headingLook, numberHeadingLook:
		side, indent := "left", 0
		if which == numberHeadingLook {
			side, indent = "right", 1
		}
		return &excelize.Style{
			Font: font(11, true, "FFFFFF"), Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{ink}},
			Alignment: &excelize.Alignment{Horizontal: side, Indent: indent, Vertical: "center", WrapText: true},
		}
	case sentenceLook:
		return &excelize.Style{Alignment: &excelize.Alignment{Vertical: "top", WrapText: true}}
	case adviceLook:
		return &excelize.Style{Alignment: &excelize.Alignment{WrapText: true}}
	case strongLook:
		return &excelize.Style{Font: font(11, true, ink), Alignment: top}
	case linkLook:
		return &excelize.Style{Font: &excelize.Font{Family: "Calibri", Size: 11, Underline: "single", Color: "1D4ED8"}, Alignment: top}
	case amountLook:
		return &excelize.Style{CustomNumFmt: format("#,##0" + fraction(decimals) + gap), Alignment: top}
	case countLook:
		return &excelize.Style{CustomNumFmt: format("#,##0" + gap), Alignment: top}
	case entryLook:
		return &excelize.Style{CustomNumFmt: format("0" + fraction(decimals))}
	case dateLook:
		return &excelize.Style{CustomNumFmt: format("yyyy-mm-dd")}
	case textLook:
		return &excelize.Style{CustomNumFmt: format("@")}
	}
	return &excelize.Style{Alignment: top}
}

package reports

import (
	"time"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// book is the workbook under way.
type book struct {
	file    *excelize.File
	styles  styles
	zone    *time.Location
	maxRows int // of a sheet
	named   int // sheets that exist
	written []written
}

// written is what the manifest says about a sheet.
type written struct {
	name   string
	rows   int64 // of data, over all parts
	parts  int
	digest string
}

func newBook(folder string, zone *time.Location, maxRows int) *book {
	file := excelize.NewFile(excelize.Options{TmpDir: folder})
	return &book{file: file, styles: styles{file, map[styleKey]int{}}, zone: zone, maxRows: maxRows}
}

// addSheet makes an empty sheet; the first one exists already.
func (b *book) addSheet(name string) error {
	b.named++
	if b.named == 1 {
		return b.file.SetSheetName("Sheet1", name)
	}
	_, err := b.file.NewSheet(name)
	return err
}

// cell turns a value into a cell of its type: words are always text.
func (b *book) cell(v value) (excelize.Cell, error) {
	style, err := b.styles.of(v)
	return excelize.Cell{StyleID: style, Value: b.content(v)}, err
}

func (b *book) content(v value) any {
	switch v.kind {
	case words:
		return fitting(v.text)
	case counted:
		return v.n
	case monetary:
		if number, ok := v.number(); ok {
			return number
		}
		return v.csv()
	case timed:
		return v.serial(b.zone)
	case dated:
		if serial, ok := v.daySerial(); ok {
			return serial
		}
		return v.text
	}
	return nil
}

// longest is how many UTF-16 units a cell takes; a text has at most as many as
// it has bytes. Excelize would cut silently.
const longest = excelize.TotalCellChars

func fitting(s string) string {
	const mark = " … (cut here)"
	if len(s) <= longest {
		return s
	}
	end := longest - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

package reports

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// column is one column of a table.
type column struct {
	heading string
	width   float64 // in characters
}

// book is the workbook under way.
type book struct {
	file    *excelize.File
	styles  styles
	formats moneyFormats
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
	return &book{file: file, styles: styles{file, map[styleKey]int{}}, formats: moneyFormats{}, zone: zone, maxRows: maxRows}
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

// sheet writes one sheet row by row. A table that is too long for a sheet
// goes on, under the same headings, on "NAME 2" and so on.
type sheet struct {
	*book
	name    string
	layout  layout
	part    int
	stream  *excelize.StreamWriter
	row     int      // last written in this part
	columns []column // of the table under way
	rows    int64    // of data, over all parts
	lines   *lines
	cells   []excelize.Cell
	refs    []any
}

// layout is what is set once per sheet.
type layout struct {
	widths []float64
	frozen int  // columns that stay when scrolling; the heading row does too
	table  bool // one table from the first row: frozen, filtered, repeated in print
	paper  int
	across int // pages side by side
}

const (
	a4 = 9
	a3 = 8
)

// newTable begins a sheet that is one table with its headings in the first row.
func (b *book) newTable(name string, columns []column, l layout) (*sheet, error) {
	l.table = true
	for _, c := range columns {
		l.widths = append(l.widths, c.width)
	}
	if err := b.addSheet(name); err != nil {
		return nil, err
	}
	s := b.newSheet(name, l)
	s.columns = columns
	if err := s.lines.headings(columns); err != nil {
		return nil, err
	}
	return s, s.open()
}

func (b *book) newSheet(name string, l layout) *sheet {
	return &sheet{book: b, name: name, layout: l, lines: newLines(io.Discard)}
}

func (s *sheet) partName() string {
	if s.part == 1 {
		return s.name
	}
	return s.name + " " + strconv.Itoa(s.part)
}

// open begins the next part of the sheet.
func (s *sheet) open() error {
	s.part++
	s.row = 0
	name := s.partName()
	if s.part > 1 {
		if err := s.addSheet(name); err != nil {
			return err
		}
	}
	if err := s.setUpPage(name); err != nil {
		return err
	}
	var err error
	if s.stream, err = s.file.NewStreamWriter(name); err != nil {
		return err
	}
	for i, width := range s.layout.widths {
		if err := s.stream.SetColWidth(i+1, i+1, width); err != nil {
			return err
		}
	}
	if s.layout.table {
		if err := s.freeze(); err != nil {
			return err
		}
	}
	if len(s.columns) > 0 {
		return s.headings()
	}
	return nil
}

func (s *sheet) setUpPage(name string) error {
	fit, orientation, tall := true, "landscape", 0
	paper, across := max(s.layout.paper, a3), max(s.layout.across, 1)
	margin, edge := 0.4, 0.6
	grid := s.layout.table
	return errors.Join(
		s.file.SetSheetProps(name, &excelize.SheetPropsOptions{FitToPage: &fit}),
		s.file.SetPageLayout(name, &excelize.PageLayoutOptions{Size: &paper, Orientation: &orientation, FitToWidth: &across, FitToHeight: &tall}),
		s.file.SetPageMargins(name, &excelize.PageLayoutMarginsOptions{Left: &margin, Right: &margin, Top: &edge, Bottom: &edge}),
		s.file.SetHeaderFooter(name, &excelize.HeaderFooterOptions{OddFooter: "&L&8&A&R&8Page &P of &N"}),
		s.file.SetSheetView(name, 0, &excelize.ViewOptions{ShowGridLines: &grid}),
	)
}

func (s *sheet) freeze() error {
	corner, err := excelize.CoordinatesToCellName(s.layout.frozen+1, 2)
	if err != nil {
		return err
	}
	pane := "bottomRight"
	if s.layout.frozen == 0 {
		pane = "bottomLeft"
	}
	return s.stream.SetPanes(&excelize.Panes{Freeze: true, XSplit: s.layout.frozen, YSplit: 1, TopLeftCell: corner, ActivePane: pane})
}

func (s *sheet) headings() error {
	values := make([]value, len(s.columns))
	for i, c := range s.columns {
		values[i] = text(c.heading).as(heading)
	}
	return s.write(values, excelize.RowOpts{Height: 32})
}

// put writes one row of data.
func (s *sheet) put(values []value) error {
	if err := s.room(); err != nil {
		return err
	}
	s.rows++
	if err := s.lines.row(values); err != nil {
		return err
	}
	return s.write(values)
}

// line writes a row that belongs to the page, not to the data.
func (s *sheet) line(values ...value) error {
	if err := s.room(); err != nil {
		return err
	}
	return s.write(values)
}

// begin starts another table further down on the same sheet.
func (s *sheet) begin(name string, columns []column) error {
	s.columns = nil
	if err := errors.Join(s.line(), s.line(spread(section, name, len(columns))...)); err != nil {
		return err
	}
	s.columns = columns
	return errors.Join(s.lines.headings(columns), s.headings())
}

// spread is a text whose look goes on over n cells.
func spread(l look, words string, n int) []value {
	values := make([]value, n)
	for i := range values {
		values[i].look = l
	}
	values[0] = text(words).as(l)
	return values
}

// room goes on with the next part when this one is full.
func (s *sheet) room() error {
	if s.row < s.maxRows {
		return nil
	}
	if err := s.finishPart(); err != nil {
		return err
	}
	return s.open()
}

func (s *sheet) write(values []value, options ...excelize.RowOpts) error {
	s.row++
	for len(s.cells) < len(values) {
		s.cells = append(s.cells, excelize.Cell{})
	}
	s.refs = s.refs[:0]
	for i, v := range values {
		if v == (value{}) {
			s.refs = append(s.refs, nil)
			continue
		}
		var err error
		if s.cells[i], err = s.cell(v); err != nil {
			return err
		}
		s.refs = append(s.refs, &s.cells[i])
	}
	return s.stream.SetRow("A"+strconv.Itoa(s.row), s.refs, options...)
}

// cell turns a value into a cell of its type: words are always text.
func (b *book) cell(v value) (excelize.Cell, error) {
	content, format := b.content(v)
	if v.kind == monetary {
		var err error
		if format, err = b.formats.of(v.text); err != nil {
			return excelize.Cell{}, err
		}
	}
	style, err := b.styles.of(v.look, format)
	return excelize.Cell{StyleID: style, Value: content}, err
}

func (b *book) content(v value) (content any, format string) {
	switch v.kind {
	case words:
		return fitting(v.text), ""
	case counted:
		return v.n, countFormat
	case monetary:
		if number, ok := v.number(); ok {
			return number, ""
		}
		return v.csv(), ""
	case timed:
		return v.serial(b.zone), instantFormat
	case dated:
		if serial, ok := v.daySerial(); ok {
			return serial, dayFormat
		}
		return v.text, ""
	}
	return nil, ""
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

// finishPart ends the part under way.
func (s *sheet) finishPart() error {
	if s.layout.table {
		if err := s.filterAndRepeat(); err != nil {
			return err
		}
	}
	return s.stream.Flush()
}

func (s *sheet) filterAndRepeat() error {
	last, err := excelize.CoordinatesToCellName(len(s.columns), s.row)
	if err != nil {
		return err
	}
	name := s.partName()
	if err := s.file.AutoFilter(name, "A1:"+last, nil); err != nil {
		return err
	}
	return s.file.SetDefinedName(&excelize.DefinedName{
		Name: "_xlnm.Print_Titles", RefersTo: fmt.Sprintf("'%s'!$1:$1", name), Scope: name,
	})
}

// finish ends the sheet and notes what it holds for the manifest.
func (s *sheet) finish() error {
	digest, err := s.lines.digest()
	if err != nil {
		return err
	}
	s.written = append(s.written, written{s.name, s.rows, s.part, digest})
	return s.finishPart()
}

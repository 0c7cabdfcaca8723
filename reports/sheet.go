package reports

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

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
	wraps   bool
	cells   []excelize.Cell
	refs    []any
}

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
	s.columns, s.wraps = columns, slices.ContainsFunc(columns, func(c column) bool { return c.wraps })
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

// headings reach over the whole width, also of a narrower table.
func (s *sheet) headings() error {
	values := make([]value, len(s.layout.widths))
	for i := range values {
		values[i].look = headingLeft
		if i < len(s.columns) {
			values[i] = text(s.columns[i].heading).as(s.columns[i].look)
		}
	}
	return s.write(values, excelize.RowOpts{Height: headingHeight})
}

// count makes room for a row of data and digests it.
func (s *sheet) count(values []value) error {
	if err := s.room(1); err != nil {
		return err
	}
	s.rows++
	return s.lines.row(values)
}

// put writes one row of data.
func (s *sheet) put(values []value) error {
	if err := s.count(values); err != nil {
		return err
	}
	if s.wraps {
		return s.putWrapped(values)
	}
	return s.write(values)
}

// putWrapped gives the row the height its sentences need.
func (s *sheet) putWrapped(values []value) error {
	height := 0.0
	for i, c := range s.columns {
		if c.wraps {
			height = max(height, heightOf(values[i].text, c.width))
		}
		if values[i].kind != blank {
			values[i].look = wrapped
		}
	}
	return s.write(values, excelize.RowOpts{Height: height})
}

// putAcross writes one row of data whose last value is a sentence, over the
// rest of the page's width.
func (s *sheet) putAcross(values []value) error {
	if err := s.count(values); err != nil {
		return err
	}
	last := len(values) - 1
	width := 0.0
	for _, w := range s.layout.widths[last:] {
		width += w
	}
	sentence := values[last].text
	for i := range values {
		values[i].look = wrapped
	}
	if err := s.write(values, excelize.RowOpts{Height: heightOf(sentence, width)}); err != nil {
		return err
	}
	from, err := excelize.CoordinatesToCellName(last+1, s.row)
	to, toErr := excelize.CoordinatesToCellName(len(s.layout.widths), s.row)
	return errors.Join(err, toErr, s.stream.MergeCell(from, to))
}

// heightOf is what a sentence needs over a width: not every program works that
// out for itself.
func heightOf(sentence string, width float64) float64 {
	const perWidth = 1.2 // letters are narrower than the digits that widths count
	lines := 1 + utf8.RuneCountInString(sentence)/int(perWidth*width)
	return min(rowHeight*float64(lines), excelize.MaxRowHeight)
}

// line writes a row that belongs to the page, not to the data.
func (s *sheet) line(values ...value) error {
	if err := s.room(1); err != nil {
		return err
	}
	return s.write(values)
}

// skip leaves rows empty and returns the first of them.
func (s *sheet) skip(rows int) (first int) {
	first = s.row + 1
	s.row += rows
	return first
}

// title writes the heading of a page, with a sentence under it.
func (s *sheet) title(name, sentence string) error {
	return errors.Join(s.write([]value{text(name).as(title)}, excelize.RowOpts{Height: titleHeight}), s.line(text(sentence).as(note)))
}

// section writes the heading of a part of the page, underlined over its width.
func (s *sheet) section(name string) error {
	if err := errors.Join(s.room(4), s.line()); err != nil { // for the headings and a row, too
		return err
	}
	values := make([]value, len(s.layout.widths))
	for i := range values {
		values[i].look = section
	}
	values[0] = text(name).as(section)
	return s.write(values, excelize.RowOpts{Height: sectionHeight})
}

// begin starts another table further down on the same sheet.
func (s *sheet) begin(name string, columns []column) error {
	s.columns = nil
	if err := s.section(name); err != nil {
		return err
	}
	s.columns = columns
	return errors.Join(s.lines.headings(columns), s.headings())
}

// room goes on with the next part when this one has fewer rows left.
func (s *sheet) room(rows int) error {
	if s.row+rows <= s.maxRows {
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

// finishPart ends the part under way.
func (s *sheet) finishPart() error {
	if s.layout.table {
		if err := s.filterAndRepeat(); err != nil {
			return err
		}
	}
	return errors.Join(s.fillPages(), s.stream.Flush())
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

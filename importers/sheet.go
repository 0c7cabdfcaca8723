package importers

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
)

// sheetCell is one cell as the scan sees it: everything but its text.
type sheetCell struct {
	column  int // from 0
	kind    kind
	style   int
	filled  bool // has text, or a shared string
	shared  int  // index of the shared string, -1 for none
	formula bool
	from    int // the stored number stands in sheetRow.numbers[from:to]
	to      int
}

// sheetRow is one row as the scan sees it. It is valid until the next row.
type sheetRow struct {
	number  int
	hidden  bool
	cells   []sheetCell
	numbers []byte
}

// columnRange is a run of columns, from 0, ends included.
type columnRange struct{ from, to int }

// rowRange is a run of rows touched by a merged range, ends included.
type rowRange struct{ from, to int }

// sheetScanner reads a worksheet's XML strictly, row by row, without the
// texts of its cells. Anything that two programs could read differently is
// refused: rows or cells out of order or doubled, references that do not
// belong to their row, indexes that point nowhere, elements in the wrong place.
type sheetScanner struct {
	xml       *xmlScanner
	limits    sheetLimits
	row       sheetRow
	began     bool // sheetData was reached
	ended     bool // sheetData was left
	hiddenAll bool // rows are hidden unless they say otherwise

	hiddenColumns []columnRange
	merges        []rowRange
	spills        []cellRange // that a formula further up fills
}

// cellRange is a block of cells, rows from 1 and columns from 0, ends included.
type cellRange struct {
	fromColumn, toColumn int
	toRow                int
}

// sheetLimits bounds what a sheet may refer to.
type sheetLimits struct {
	columns int // columns a sheet may use
	strings int // shared strings
	styles  int // cell formats
}

func newSheetScanner(in io.Reader, limits sheetLimits) *sheetScanner {
	return &sheetScanner{xml: newXMLScanner(in), limits: limits}
}

// next returns the next row element, or io.EOF after the last one, by which
// time the rest of the sheet has been read and checked too.
func (s *sheetScanner) next() (*sheetRow, error) {
	for {
		t, err := s.xml.next()
		if err == io.EOF && !s.began {
			err = damagedXML("a sheet has no data part")
		}
		if err != nil {
			return nil, err
		}
		switch {
		case t.kind == tokenClose && s.xml.depth == 1 && string(t.name) == "sheetData":
			s.ended = true
		case t.kind != tokenOpen:
		case string(t.name) == "row" && s.inData():
			return &s.row, s.readRow(t.attributes)
		default:
			if err := s.element(t); err != nil {
				return nil, err
			}
		}
	}
}

// inData tells whether the open tag stands directly below sheetData.
func (s *sheetScanner) inData() bool { return s.began && !s.ended && s.xml.depth == 3 }

// element takes note of what stands outside of the rows.
func (s *sheetScanner) element(t *token) error {
	switch string(t.name) {
	case "sheetData":
		if s.began || s.xml.depth != 2 {
			return damagedXML("a sheet has its data in two places")
		}
		s.began = true
	case "row", "c":
		if s.xml.depth <= 4 {
			return damagedXML("a sheet has cells outside of its data").at(s.row.number)
		}
	case "sheetFormatPr":
		s.hiddenAll = isTrue(attribute(t.attributes, "zeroHeight"))
	case "col":
		return s.columns(t.attributes)
	case "mergeCell":
		return s.merge(t.attributes)
	}
	return nil
}

func isTrue(value []byte) bool { return string(value) == "1" || string(value) == "true" }

func (s *sheetScanner) columns(attributes []byte) error {
	from, errFrom := strconv.Atoi(string(attribute(attributes, "min")))
	to, errTo := strconv.Atoi(string(attribute(attributes, "max")))
	if errFrom != nil || errTo != nil || from < 1 || to < from || to > lastColumn {
		return refuse(CellOrder, "The workbook is damaged: a column format names no proper columns. Save it again in a spreadsheet program.")
	}
	if isTrue(attribute(attributes, "hidden")) || isZero(attribute(attributes, "width")) {
		s.hiddenColumns = append(s.hiddenColumns, columnRange{from - 1, to - 1})
	}
	return nil
}

// isZero recognises a width or height of nothing: "0", "0.0".
func isZero(value []byte) bool {
	return len(value) > 0 && len(bytes.Trim(value, "0.")) == 0 && value[0] == '0'
}

// merge notes the rows of a merged range. A range of one cell hides nothing.
func (s *sheetScanner) merge(attributes []byte) error {
	first, last, isRange := bytes.Cut(attribute(attributes, "ref"), []byte(":"))
	fromColumn, fromRow, ok := parseReference(first)
	toColumn, toRow, okTo := fromColumn, fromRow, true
	if isRange {
		toColumn, toRow, okTo = parseReference(last)
	}
	if !ok || !okTo || toRow < fromRow || toColumn < fromColumn {
		return refuse(CellOrder, "The workbook is damaged: the merged range %q is no range of cells. Save it again in a spreadsheet program.", shown(string(attribute(attributes, "ref"))))
	}
	if fromRow != toRow || fromColumn != toColumn {
		s.merges = append(s.merges, rowRange{fromRow, toRow})
	}
	return nil
}

func (s *sheetScanner) readRow(list []byte) error {
	previous := s.row.number
	s.row = sheetRow{number: previous + 1, hidden: s.hiddenAll, cells: s.row.cells[:0], numbers: s.row.numbers[:0]}
	numbered, flat := false, false
	a := attributes{rest: list}
	for a.next() {
		switch string(a.name) {
		case "r":
			n, ok := parseIndex(a.value)
			if !ok || n <= previous || n > lastRow || numbered {
				return refuse(CellOrder, "The workbook's rows are not in ascending order (row %q follows row %d), so programs would read different payouts. Save it again in a spreadsheet program.",
					shown(string(a.value)), previous)
			}
			s.row.number, numbered = n, true
		case "hidden":
			s.row.hidden = isTrue(a.value)
		case "ht":
			flat = isZero(a.value)
		}
	}
	if a.bad {
		return damagedXML("a row has broken attributes").at(previous + 1)
	}
	s.row.hidden = s.row.hidden || flat
	return s.readCells()
}

func (s *sheetScanner) readCells() error {
	next := 0
	for {
		t, err := s.xml.next()
		if err != nil {
			return orDamaged(err)
		}
		switch {
		case t.kind == tokenClose && s.xml.depth == 2:
			return nil
		case t.kind == tokenOpen && string(t.name) == "c" && s.xml.depth == 4:
			c, err := s.openCell(t.attributes, next)
			if err != nil {
				return err
			}
			next = c.column + 1
			if err := s.readCell(&c); err != nil {
				return err
			}
			s.row.cells = append(s.row.cells, c)
		case t.kind == tokenOpen && (string(t.name) == "c" || string(t.name) == "row" || string(t.name) == "sheetData"):
			return damagedXML("a row has a cell in the wrong place").at(s.row.number)
		}
	}
}

// openCell reads a cell's reference, style and type; next is the first column
// that it may have.
func (s *sheetScanner) openCell(list []byte, next int) (sheetCell, error) {
	c := sheetCell{column: next, kind: kindNumber, shared: -1}
	var seen [3]bool
	a := attributes{rest: list}
	for a.next() {
		which := strings.IndexByte("rst", a.name[0])
		if which < 0 || len(a.name) > 1 {
			continue
		}
		if seen[which] {
			return c, damagedXML("a cell has an attribute twice").at(s.row.number)
		}
		seen[which] = true
		if err := s.cellAttribute(&c, a.name[0], a.value, next); err != nil {
			return c, err
		}
	}
	if a.bad {
		return c, damagedXML("a cell has broken attributes").at(s.row.number)
	}
	if c.column >= s.limits.columns {
		return c, refuse(TooManyColumns, "The sheet uses column %s, and no more than %d columns are taken. Delete what stands to the right of the payouts, formats included.",
			columnLetter(c.column), s.limits.columns).in(s.row.number, columnLetter(c.column))
	}
	return c, nil
}

func (s *sheetScanner) cellAttribute(c *sheetCell, name byte, value []byte, next int) error {
	switch name {
	case 'r':
		column, row, ok := parseReference(value)
		if !ok || row != s.row.number || column < next {
			return refuse(CellOrder, "The workbook's cells are not in ascending order, or the cell %q stands in row %d, so programs would read different payouts. Save it again in a spreadsheet program.",
				shown(string(value)), s.row.number).at(s.row.number)
		}
		c.column = column
	case 's':
		style, ok := parseIndex(value)
		if !ok || style >= s.limits.styles {
			return s.badIndex(c, "format", value)
		}
		c.style = style
	case 't':
		var ok bool
		if c.kind, ok = cellType(value); !ok {
			return refuse(CellIndex, "A cell is of the unknown type %q. Save the workbook again in a spreadsheet program.", shown(string(value))).in(s.row.number, columnLetter(c.column))
		}
		if string(value) == "s" {
			c.shared = 0
		}
	}
	return nil
}

func (s *sheetScanner) badIndex(c *sheetCell, what string, value []byte) error {
	return refuse(CellIndex, "The workbook is damaged: a cell refers to a %s %q that is not there, so its value is lost. Save it again in a spreadsheet program.",
		what, shown(string(value))).in(s.row.number, columnLetter(c.column))
}

// cellType is the kind of cell that a type of the file format stands for.
func cellType(name []byte) (kind, bool) {
	switch string(name) {
	case "n":
		return kindNumber, true
	case "s", "str", "inlineStr":
		return kindText, true
	case "b":
		return kindBoolean, true
	case "e":
		return kindFailure, true
	case "d":
		return kindDate, true
	}
	return kindText, false
}

// readCell reads up to the cell's closing tag and notes what it holds.
func (s *sheetScanner) readCell(c *sheetCell) error {
	var in cellContent
	c.from = len(s.row.numbers)
	for {
		t, err := s.xml.next()
		if err != nil {
			return orDamaged(err)
		}
		switch depth := s.xml.depth; {
		case t.kind == tokenClose && depth == 3:
			c.to, c.formula = len(s.row.numbers), in.formulas > 0 || c.filled && s.spilled(c.column)
			if in.values > 1 || in.lists > 1 || in.formulas > 1 {
				return damagedXML("a cell has two values").in(s.row.number, columnLetter(c.column))
			}
			return s.finishCell(c)
		case t.kind == tokenClose && depth == 4:
			in.field = 0
		case t.kind == tokenOpen && depth == 5:
			if !in.open(t.name) {
				return damagedXML("a cell stands inside another").in(s.row.number, columnLetter(c.column))
			}
			if in.field == 'f' {
				if err := s.spill(t.attributes); err != nil {
					return err
				}
			}
		case t.kind == tokenOpen && string(t.name) == "rPh":
			in.phonetic = depth
		case t.kind == tokenClose && depth == in.phonetic-1:
			in.phonetic = 0
		case t.kind == tokenText && in.field != 0 && depth >= 5:
			if in.length += len(t.text); in.length > longestCell*utf8Widest {
				return refuse(CellTooLong, "A cell holds more than a spreadsheet cell can. Delete its content.").in(s.row.number, columnLetter(c.column))
			}
			s.addText(c, &in, t.text)
		}
	}
}

// spill notes the cells that an array formula or a data table fills. Only the
// first of them says that it is a formula.
func (s *sheetScanner) spill(attributes []byte) error {
	if kind := string(attribute(attributes, "t")); kind != "array" && kind != "dataTable" {
		return nil
	}
	first, last, isRange := bytes.Cut(attribute(attributes, "ref"), []byte(":"))
	if !isRange {
		return nil
	}
	fromColumn, _, ok := parseReference(first)
	toColumn, toRow, okTo := parseReference(last)
	if !ok || !okTo {
		return refuse(CellOrder, "The workbook is damaged: a formula fills %q, which is no range of cells. Save it again in a spreadsheet program.", shown(string(attribute(attributes, "ref")))).at(s.row.number)
	}
	s.spills = slices.DeleteFunc(s.spills, func(r cellRange) bool { return r.toRow < s.row.number })
	if s.spills = append(s.spills, cellRange{fromColumn, toColumn, toRow}); len(s.spills) > mostSpills {
		return refuse(TooManyColumns, "More than %d formulas of the sheet fill several rows each. Replace them with their values (copy, then paste as values).", mostSpills).at(s.row.number)
	}
	return nil
}

// mostSpills bounds the ranges that each cell is compared with.
const mostSpills = 1000

// spilled tells whether a formula further up fills the column in this row.
func (s *sheetScanner) spilled(column int) bool {
	return slices.ContainsFunc(s.spills, func(r cellRange) bool {
		return r.fromColumn <= column && column <= r.toColumn && s.row.number <= r.toRow
	})
}

// cellContent is where in a cell the scanner is, and what it has seen there.
type cellContent struct {
	field                           byte // 'v', 'f', 'i' while inside that element
	phonetic                        int  // depth of the element with the reading aid, or 0
	values, lists, formulas, length int
}

// open enters an element of a cell; it returns false for one that cannot be there.
func (in *cellContent) open(name []byte) bool {
	switch string(name) {
	case "v":
		in.field, in.values = 'v', in.values+1
	case "is":
		in.field, in.lists = 'i', in.lists+1
	case "f":
		in.field, in.formulas = 'f', in.formulas+1
	case "c", "row":
		return false
	}
	return true
}

// addText keeps what a cell shows: its value, or that it has a text of its own.
func (s *sheetScanner) addText(c *sheetCell, in *cellContent, text []byte) {
	switch {
	case in.field == 'v':
		c.filled = true
		s.row.numbers = append(s.row.numbers, text...)
	case in.field == 'i' && in.phonetic == 0 && s.xml.depth >= 6:
		c.filled = true
	}
}

// A character of a cell's text takes up to this many bytes.
const utf8Widest = 4

func (s *sheetScanner) finishCell(c *sheetCell) error {
	if c.shared < 0 || !c.filled {
		return nil
	}
	value := bytes.TrimSpace(s.row.numbers[c.from:c.to])
	index, ok := parseIndex(value)
	if !ok || index >= s.limits.strings {
		return s.badIndex(c, "text", value)
	}
	c.shared = index
	return nil
}

package importers

import (
	"cmp"
	"io"
	"os"
	"slices"
	"strings"
)

// openXLSX scans the workbook strictly, chooses its sheet, and sets up the
// spreadsheet library to read the cells' values.
func (r *reader) openXLSX(file *os.File, size int64) (source, error) {
	archive, err := openArchive(file, size, r.rules)
	if err != nil {
		return nil, err
	}
	book, err := readWorkbook(archive, r.rules)
	if err != nil {
		return nil, err
	}
	r.date1904 = book.date1904
	values := openValues(file, r.rules)
	source, err := r.startXLSX(book, values)
	if err != nil {
		values.close()
		return nil, err
	}
	return source, nil
}

// startXLSX scans the sheets while the library unpacks the workbook. Only a
// sheet that passed the scan is read by the library.
func (r *reader) startXLSX(book *workbook, values *valueReader) (*xlsxSource, error) {
	sheet, facts, err := r.chooseSheet(book)
	if err != nil {
		return nil, err
	}
	content, err := book.archive.open(sheet.part)
	if err != nil {
		return nil, err
	}
	values.sheet <- sheet.name
	scanner := newSheetScanner(content, book.limits(r.rules))
	return &xlsxSource{part: content, scanner: scanner, values: values, book: book, merges: facts.merges}, nil
}

func (w *workbook) limits(rules *ruleset) sheetLimits {
	return sheetLimits{columns: rules.MaxColumns, strings: w.strings.count, styles: len(w.styles)}
}

// sheetFacts is what the first scan of a sheet found out.
type sheetFacts struct {
	filledRows int
	cells      int // and rows, with the gaps before each row's last cell
	merges     []rowRange
	hiddenData string // letter of a hidden column with data, "" for none
}

// chooseSheet scans the sheets and returns the one with data.
func (r *reader) chooseSheet(book *workbook) (chosen worksheet, facts sheetFacts, err error) {
	found := false
	for _, sheet := range book.sheets {
		if !r.rules.reads(sheet) {
			continue
		}
		r.result.Sheet = sheet.name
		f, err := r.scanSheet(book, sheet)
		switch {
		case err != nil:
			return chosen, facts, err
		case f.filledRows == 0:
			continue
		case sheet.hidden:
			return chosen, facts, refuse(HiddenSheet, "The hidden sheet %q holds data. Unhide it and check it, or delete it.", sheet.name)
		case found:
			return chosen, facts, refuse(SeveralSheets, "The sheets %q and %q both hold data, and only one can be read. Delete one, or name the sheet in the import profile.", chosen.name, sheet.name)
		}
		chosen, facts, found = sheet, f, true
	}
	r.result.Sheet, r.result.Cells = chosen.name, facts.cells
	switch {
	case !found && r.rules.Sheet != "" && !book.has(r.rules.Sheet):
		return chosen, facts, refuse(SheetMissing, "The workbook has no sheet %q, which the import profile names. Rename the sheet, or choose another profile.", r.rules.Sheet)
	case !found:
		return chosen, facts, refuse(NoData, "The workbook has no payouts: it is empty, or only the sheets that Payrun itself wrote hold anything.")
	case facts.hiddenData != "":
		return chosen, facts, refuse(HiddenColumn, "Column %s is hidden but holds data. Unhide it and check it, or delete it.", facts.hiddenData).in(0, facts.hiddenData)
	}
	return chosen, facts, nil
}

// reads tells whether the rules ask for the sheet. Those that Payrun wrote
// itself are only read if they are asked for by name.
func (set *ruleset) reads(sheet worksheet) bool {
	return set.Sheet == "" && !isOwnSheet(sheet.name) || strings.EqualFold(sheet.name, set.Sheet)
}

func (w *workbook) has(name string) bool {
	return slices.ContainsFunc(w.sheets, func(sheet worksheet) bool { return strings.EqualFold(sheet.name, name) })
}

// scanSheet reads a whole sheet strictly, without keeping its rows.
func (r *reader) scanSheet(book *workbook, sheet worksheet) (facts sheetFacts, err error) {
	content, err := book.archive.open(sheet.part)
	if err != nil {
		return facts, err
	}
	defer content.Close()
	scanner := newSheetScanner(content, book.limits(r.rules))
	filled := make([]bool, r.rules.MaxColumns)
	for {
		row, err := scanner.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return facts, err
		}
		facts.cells++
		if n := len(row.cells); n > 0 {
			facts.cells += row.cells[n-1].column + 1
		}
		if book.note(row, filled) {
			facts.filledRows++
		}
		if facts.filledRows > r.rules.MaxRows+2*longestPreamble {
			return facts, refuse(TooManyRows, "The sheet has more than %d payout rows. Split it.", r.rules.MaxRows)
		}
	}
	facts.merges = scanner.merges
	slices.SortFunc(facts.merges, func(a, b rowRange) int { return a.from - b.from })
	facts.hiddenData = hiddenData(scanner.hiddenColumns, filled)
	return facts, nil
}

// note marks the columns in which a row has data and tells if it has any.
func (w *workbook) note(row *sheetRow, filled []bool) (any bool) {
	for i := range row.cells {
		if c := &row.cells[i]; w.hasData(c) {
			filled[c.column], any = true, true
		}
	}
	return any
}

func (w *workbook) hasData(c *sheetCell) bool {
	return c.formula || c.filled && (c.shared < 0 || !w.strings.empty[c.shared])
}

func hiddenData(hidden []columnRange, filled []bool) string {
	for _, columns := range hidden {
		for i := columns.from; i <= columns.to && i < len(filled); i++ {
			if filled[i] {
				return columnLetter(i)
			}
		}
	}
	return ""
}

// xlsxSource joins the strict scan, which knows types, formats and what is
// hidden, with the spreadsheet library, which knows the values. Where they
// disagree about a row, the file is refused.
type xlsxSource struct {
	part     io.Closer
	scanner  *sheetScanner
	values   *valueReader
	book     *workbook
	merges   []rowRange // those that begin below the row at hand, in ascending order
	mergedTo int        // last row of the merges that began above
	read     int        // rows taken from the library
	row      record
}

func (s *xlsxSource) close() error {
	s.values.close()
	return s.part.Close()
}

func (s *xlsxSource) next() (*record, error) {
	row, err := s.scanner.next()
	if err == io.EOF {
		if _, err := s.values.next(); err != io.EOF {
			return nil, cmp.Or(err, disagreement(s.read+1))
		}
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	values, err := s.valuesOf(row.number)
	if err != nil {
		return nil, err
	}
	return &s.row, s.join(row, values)
}

func disagreement(row int) error {
	return refuse(ReaderDisagrees, "Two ways of reading this workbook gave different cells, so it is damaged in a way that could change payouts. Save it again in a spreadsheet program.").at(row)
}

// valuesOf takes rows from the library up to the given one. Rows that the
// scan did not see must be empty there too.
func (s *xlsxSource) valuesOf(number int) ([]string, error) {
	for {
		values, err := s.values.next()
		if err == io.EOF {
			return nil, disagreement(number)
		}
		if err != nil {
			return nil, err
		}
		if s.read++; s.read == number {
			return values, nil
		}
		if len(values) > 0 {
			return nil, disagreement(s.read)
		}
	}
}

// join builds the record of one row, comparing both readings cell by cell.
func (s *xlsxSource) join(row *sheetRow, values []string) error {
	s.row.number, s.row.hidden, s.row.merged = row.number, row.hidden, s.touchesMerge(row.number)
	s.row.cells = s.row.cells[:0]
	for i := range row.cells {
		c := &row.cells[i]
		for len(s.row.cells) < c.column {
			if at := len(s.row.cells); at < len(values) && values[at] != "" {
				return disagreement(row.number)
			}
			s.row.cells = append(s.row.cells, cell{decimals: -1})
		}
		value := ""
		if c.column < len(values) {
			value = values[c.column]
		}
		if (value != "") != (c.filled && s.book.hasData(c)) {
			return disagreement(row.number)
		}
		if c.filled && c.kind == kindNumber && value != string(row.numbers[c.from:c.to]) {
			return disagreement(row.number)
		}
		s.row.cells = append(s.row.cells, s.cell(c, value))
	}
	if len(values) > len(s.row.cells) {
		return disagreement(row.number)
	}
	return nil
}

// cell gives a value the kind that its type and number format make of it.
func (s *xlsxSource) cell(c *sheetCell, value string) cell {
	style := s.book.styles[c.style]
	switch {
	case c.formula:
		return cell{text: value, kind: kindFormula, decimals: -1}
	case value == "":
		return cell{decimals: -1}
	case c.kind == kindNumber:
		return cell{value, style.kind, style.decimals, style.dressed, style.struck, style.currency}
	}
	return cell{text: value, kind: c.kind, decimals: -1, struck: style.struck}
}

// touchesMerge tells whether a merged range touches the row. Rows and merges
// are both in ascending order, so each merge is looked at once.
func (s *xlsxSource) touchesMerge(row int) bool {
	for len(s.merges) > 0 && s.merges[0].from <= row {
		s.mergedTo = max(s.mergedTo, s.merges[0].to)
		s.merges = s.merges[1:]
	}
	return row <= s.mergedTo
}

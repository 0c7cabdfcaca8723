package importers

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// The delimiter is found in this many decoded bytes from the top.
const sampleSize = 64 << 10

var delimiters = []rune{',', ';', '\t', '|'}

var delimiterNames = map[rune]string{',': ",", ';': ";", '\t': "tab", '|': "|"}

// csvSource reads delimited text. Quotes are taken strictly: a lenient reader
// swallows rows.
type csvSource struct {
	csv      *csv.Reader
	rules    *ruleset
	row      record
	lastLine int // line on which the previous record ended
	above    int // lines that the reader does not see: that of sep=
}

func (r *reader) openCSV(file *os.File, size int64) (source, error) {
	decoded, encoding, err := decodeText(io.NewSectionReader(file, 0, size), r.rules.Charset)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(decoded, sampleSize)
	sample, err := buffered.Peek(sampleSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if err := checkSample(sample, err == io.EOF); err != nil {
		return nil, err
	}
	delimiter, skip, fault := r.rules.delimiter(sample, err == io.EOF)
	if fault != nil {
		return nil, fault
	}
	if _, err := buffered.Discard(skip); err != nil {
		return nil, err
	}
	r.result.Encoding, r.result.Delimiter = encoding, delimiterNames[delimiter]
	if r.result.Delimiter == "" {
		r.result.Delimiter = string(delimiter)
	}
	guarded := &lineGuard{in: buffered, delimiter: []byte(string(delimiter))}
	return &csvSource{csv: newCSVReader(guarded, delimiter), rules: r.rules, above: min(skip, 1)}, nil
}

func newCSVReader(text io.Reader, delimiter rune) *csv.Reader {
	reader := csv.NewReader(text)
	reader.Comma = delimiter
	reader.FieldsPerRecord = -1 // judged row by row
	reader.ReuseRecord = true
	return reader
}

// longestLine is the most bytes between two line ends, and mostFields the most
// fields of a row: the csv reader takes many times as much memory for a row of
// nothing but delimiters, and line ends between quotation marks end no row.
const (
	longestLine = 1 << 20
	mostFields  = 16_384
)

// lineGuard refuses text with a line or a row that is too long.
type lineGuard struct {
	in        io.Reader
	delimiter []byte
	length    int // of the line so far
	fields    int // of the row so far, less one
	quoted    bool
}

func (g *lineGuard) Read(buffer []byte) (int, error) {
	n, err := g.in.Read(buffer)
	g.measure(buffer[:n])
	if g.length > longestLine {
		return 0, refuse(CellTooLong, "A line of the text has more than %d bytes, which no payout has. Save the sheet again as CSV.", longestLine)
	}
	if g.fields >= mostFields {
		return 0, refuse(TooManyColumns, "A row of the text has more than %d fields, which no payout has. Save the sheet again as CSV.", mostFields)
	}
	return n, err
}

func (g *lineGuard) measure(text []byte) {
	end := bytes.LastIndexByte(text, '\n')
	if end >= 0 {
		g.length = 0
	}
	g.length += len(text) - end - 1
	g.quoted = !g.quoted // the first part goes on with what was before
	for part := range bytes.SplitSeq(text, []byte{'"'}) {
		if g.quoted = !g.quoted; g.quoted {
			continue
		}
		if end := bytes.LastIndexByte(part, '\n'); end >= 0 {
			g.fields, part = 0, part[end+1:]
		}
		g.fields += bytes.Count(part, g.delimiter)
	}
}

// decodeText turns the file into UTF-8 by its byte order mark. Without a mark
// the profile's charset counts, and without that the text must be UTF-8
// already; older code pages are never guessed.
func decodeText(file *io.SectionReader, charset string) (io.Reader, string, error) {
	var mark [4]byte
	n, err := file.ReadAt(mark[:], 0)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	switch {
	case bytes.HasPrefix(mark[:n], []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(mark[:n], []byte("\x00\x00\xfe\xff")):
		return nil, "", refuse(EncodingInvalid, "The text is UTF-32, which nothing but Payrun would have to read. Save it as UTF-8.")
	case bytes.HasPrefix(mark[:n], []byte("\xff\xfe")), bytes.HasPrefix(mark[:n], []byte("\xfe\xff")):
		decoder := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
		return transform.NewReader(file, decoder), "UTF-16", nil
	case bytes.HasPrefix(mark[:n], []byte("\xef\xbb\xbf")):
		_, err := file.Seek(3, io.SeekStart)
		return file, "UTF-8 with byte order mark", err
	}
	for _, c := range charsets {
		if c.name == charset && c.encoding != nil {
			if _, ofBytes := c.encoding.(*charmap.Charmap); ofBytes {
				if err := refuseUTF8(file, charset); err != nil {
					return nil, "", err
				}
			}
			return transform.NewReader(file, c.encoding.NewDecoder()), c.name, nil
		}
	}
	return file, "UTF-8", nil
}

// refuseUTF8 refuses text that the profile's charset would turn into nonsense
// without a fault. Text in a charset of single bytes is hardly ever valid UTF-8
// by accident.
func refuseUTF8(file *io.SectionReader, charset string) error {
	text := bufio.NewReader(file)
	foreign := false
	for {
		r, width, err := text.ReadRune()
		switch {
		case err == io.EOF && !foreign:
			return rewound(file)
		case err == io.EOF:
			return refuse(EncodingInvalid, "The text is UTF-8, but the import profile says that it is %s. Choose another profile, or none.", charset)
		case err != nil:
			return err
		case r == utf8.RuneError && width == 1:
			return rewound(file)
		}
		foreign = foreign || width > 1
	}
}

func rewound(file *io.SectionReader) error {
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// checkSample looks for text that no row could be read from.
func checkSample(sample []byte, whole bool) error {
	if zeros := bytes.Count(sample, []byte{0}); zeros > len(sample)/4 {
		return refuse(EncodingUTF16NoMark, "The text looks like UTF-16, but does not say so at its start (byte order mark). Save it as UTF-8 or as Unicode text.")
	}
	if text := bytes.TrimRight(sample, "\r"); bytes.IndexByte(text, '\r') >= 0 && bytes.IndexByte(text, '\n') < 0 {
		return refuse(CarriageReturnsOnly, "The lines end with carriage returns only, as old Mac programs wrote them. Save the sheet again as CSV UTF-8.")
	}
	for at := 0; at < len(sample); {
		r, width := utf8.DecodeRune(sample[at:])
		if r == utf8.RuneError && width == 1 {
			if !whole && len(sample)-at < utf8.UTFMax {
				return nil // cut in the middle of a character
			}
			return invalidText().at(1 + bytes.Count(sample[:at], []byte{'\n'}))
		}
		at += width
	}
	return nil
}

func invalidText() *FileError {
	return refuse(EncodingInvalid, "The text is not UTF-8, so letters would be read wrongly. Save the sheet again as CSV UTF-8 or as .xlsx, or name its charset in an import profile.")
}

// delimiter finds what separates the fields: a leading sep= line, as Excel
// writes it, decides; otherwise it is the one with which the header can be read,
// or most of it. skip is the length of the sep= line.
func (set *ruleset) delimiter(sample []byte, whole bool) (delimiter rune, skip int, err error) {
	first, _, _ := bytes.Cut(sample, []byte("\n"))
	line := strings.Trim(strings.TrimRight(string(first), "\r"), `"`)
	if mark, ok := strings.CutPrefix(strings.ToLower(line), "sep="); ok && utf8.RuneCountInString(mark) == 1 {
		delimiter, _ = utf8.DecodeRuneInString(mark)
		if delimiter == '"' || delimiter == utf8.RuneError || delimiter < ' ' && delimiter != '\t' {
			return 0, 0, refuse(DelimiterAmbiguous, "The sep= line names a delimiter that cannot be one.").at(1)
		}
		return delimiter, min(len(first)+1, len(sample)), nil
	}
	if set.Delimiter != "" {
		return rune(set.Delimiter[0]), 0, nil
	}
	if !whole {
		sample = sample[:bytes.LastIndexByte(sample, '\n')+1]
	}
	var fitting []rune
	delimiter, most := delimiters[0], 0
	for _, candidate := range delimiters {
		found, known := set.findHeader(sample, candidate)
		if found {
			fitting = append(fitting, candidate)
		} else if known > most {
			delimiter, most = candidate, known
		}
	}
	switch len(fitting) {
	case 0:
		return delimiter, 0, nil // the reader will say what is wrong with the header
	case 1:
		return fitting[0], 0, nil
	}
	return 0, 0, refuse(DelimiterAmbiguous, "The fields could be separated by %q or by %q. Put a line such as sep=%c at the very top, or name the delimiter in an import profile.", fitting[0], fitting[1], fitting[0])
}

// findHeader looks for the header with one delimiter. known is how many of its
// headings are known, or of the row that is most like one.
func (set *ruleset) findHeader(sample []byte, delimiter rune) (found bool, known int) {
	source := &csvSource{csv: newCSVReader(bytes.NewReader(sample), delimiter), rules: set}
	for range longestPreamble {
		row, err := source.next()
		if err != nil {
			break
		}
		layout, fault, n := set.matchHeader(row)
		if layout != nil || fault != nil && fault.Problem.Code == HeaderUnconfirmed {
			return true, n
		}
		known = max(known, n)
	}
	return false, known
}

func (s *csvSource) next() (*record, error) {
	fields, err := s.csv.Read()
	if err != nil {
		return nil, s.fault(err)
	}
	line, _ := s.csv.FieldPos(0)
	s.row.number += line - s.lastLine // empty lines are rows too, but the reader skips them
	s.lastLine = line
	if len(fields) > s.rules.MaxColumns {
		return nil, refuse(TooManyColumns, "The row has %d fields, and no more than %d are taken.", len(fields), s.rules.MaxColumns).at(s.row.number)
	}
	s.row.fields = len(fields)
	s.row.cells = slices.Grow(s.row.cells[:0], len(fields))[:len(fields)]
	for i, field := range fields {
		if err := checkField(field); err != nil {
			return nil, err.in(s.row.number, columnLetter(i))
		}
		if strings.IndexByte(field, '\n') >= 0 {
			s.lastLine += strings.Count(field, "\n")
		}
		s.row.cells[i] = cell{text: field, decimals: -1}
	}
	return &s.row, nil
}

func checkField(field string) *FileError {
	switch {
	case strings.IndexByte(field, 0) >= 0:
		return refuse(EncodingNUL, "The text holds a NUL character, so it is damaged or not text. Save the sheet again as CSV UTF-8.")
	case !utf8.ValidString(field):
		return invalidText()
	case len(field) > longestCell:
		return refuse(CellTooLong, "A field has more than %d bytes. Perhaps a quotation mark was not closed.", longestCell)
	}
	return nil
}

func (s *csvSource) fault(err error) error {
	fault, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return err
	}
	return refuse(QuoteNotClosed, "A quotation mark is not closed, or stands inside a field without being doubled (line %d of the text). Correct it, or save the sheet again as CSV.",
		s.above+fault.Line).at(s.row.number + fault.StartLine - s.lastLine)
}

func (s *csvSource) close() error { return nil }

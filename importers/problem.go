package importers

import (
	"fmt"
	"strings"
	"unicode"
)

// Severity says what a problem does to the file or the row it was found in.
type Severity string

// The severities, from worst to mildest.
const (
	FileRefused Severity = "file-refused" // nothing of the file may be used
	RowRejected Severity = "row-rejected" // the row is not paid, the others may be
	Warning     Severity = "warning"      // may go on once a person has confirmed it
)

// Problem is one thing that is wrong with a sheet. It never holds a whole
// account number.
type Problem struct {
	Code     Code
	Severity Severity
	Sheet    string // name of the sheet, "" for csv
	Row      int    // row as a spreadsheet program numbers it, 0 if not about a row
	Column   string // column letter, "" if not about a cell
	Heading  string // the column's heading as written, "" if it has none
	Value    string // what stands there, shortened; accounts show their last four characters
	Message  string // what is wrong and what to do about it, as sentences
}

// Where names the place of the problem in words, such as
// "sheet Payouts, row 7, column D (Amount)", or "file".
func (p Problem) Where() string {
	var parts []string
	if p.Sheet != "" {
		parts = append(parts, "sheet "+p.Sheet)
	}
	if p.Row > 0 {
		parts = append(parts, fmt.Sprintf("row %d", p.Row))
	}
	if p.Column != "" {
		column := "column " + p.Column
		if p.Heading != "" {
			column += " (" + p.Heading + ")"
		}
		parts = append(parts, column)
	}
	if len(parts) == 0 {
		return wholeFile
	}
	return strings.Join(parts, ", ")
}

// String is the place followed by the message.
func (p Problem) String() string { return p.Where() + ": " + p.Message }

// wholeFile is where a problem is that has no narrower place.
const wholeFile = "file"

// FileError is a refusal of the whole file. [Read] returns it, possibly
// wrapped; find it with errors.As.
type FileError struct{ Problem Problem }

// Error gives the place of the problem, if it is in one, and the message.
func (e *FileError) Error() string {
	if where := e.Problem.Where(); where != wholeFile {
		return where + ": " + e.Problem.Message
	}
	return e.Problem.Message
}

// refuse makes the error for a whole file; the reader adds the sheet's name.
func refuse(code Code, format string, args ...any) *FileError {
	return &FileError{Problem{Code: code, Severity: FileRefused, Message: fmt.Sprintf(format, args...)}}
}

// in places a refusal at a row and a column letter; either may be zero.
func (e *FileError) in(row int, column string) *FileError {
	e.Problem.Row, e.Problem.Column = row, column
	return e
}

// at places a refusal at a row.
func (e *FileError) at(row int) *FileError { return e.in(row, "") }

// longestValue is how many characters of a cell a problem repeats.
const longestValue = 60

// shown makes a cell's text safe and short enough to stand in a problem:
// characters that cannot be seen are written as their code point.
func shown(text string) string {
	var b strings.Builder
	count := 0
	for _, r := range text {
		if count++; count > longestValue {
			b.WriteString("…")
			break
		}
		writeVisible(&b, r)
	}
	return b.String()
}

func writeVisible(b *strings.Builder, r rune) {
	if r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) {
		b.WriteRune(r)
		return
	}
	fmt.Fprintf(b, "[U+%04X]", r)
}

// masked shows the last four characters of an account. Short text that
// cannot be an account number is still cut to its second half.
func masked(account string) string {
	if account == "" {
		return ""
	}
	runes := []rune(strings.TrimSpace(account))
	keep := min(4, len(runes)/2)
	return "…" + shown(string(runes[len(runes)-keep:]))
}

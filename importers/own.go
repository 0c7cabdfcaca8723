package importers

import (
	_ "embed"
	"regexp"
	"strings"
	"sync"
)

// What Payrun itself writes into workbooks, and therefore knows again when
// they come back. Only these exact names count, in any case: a sheet or a
// column that merely resembles them is the user's.
const (
	// InstructionsSheet belongs to the template. It is never read.
	InstructionsSheet = "Payrun instructions"
	// ProblemsSheet sums up the problems in an annotated copy. It is never read.
	ProblemsSheet = "Payrun problems"
	// ProblemsHeading is the heading of the column in which an annotated copy
	// names each row's problems. What stands below it does not count, unless
	// it begins with ImportedMark. What is wrong with the headings themselves
	// stands in the same cell, below. Of a sheet without headings it has none.
	ProblemsHeading = "Payrun problems"
	// ImportedMark begins the text of that column in rows that were imported
	// already. Such a row is rejected, so that handing the copy in again
	// cannot pay its good rows twice.
	ImportedMark = "Imported as batch "
)

func isOwnSheet(name string) bool {
	return strings.EqualFold(name, InstructionsSheet) || strings.EqualFold(name, ProblemsSheet)
}

// codesText is where the codes are listed: a copy of the list could lack one,
// whose sentence would then be taken for the user's.
//
//go:embed codes.go
var codesText string

// ownWords begin what an annotated copy says of a row: "[D] amount-zero: ",
// "(row) …" or that it was imported.
var ownWords = sync.OnceValue(func() *regexp.Regexp {
	var codes []string
	for _, code := range regexp.MustCompile(`Code = "(.+)"`).FindAllStringSubmatch(codesText, -1) {
		codes = append(codes, code[1])
	}
	return regexp.MustCompile(`^([\[(]([A-Z]{1,3}|row)[\])] (` + strings.Join(codes, "|") + `): |` + ImportedMark + `)`)
})

// IsOwnWord tells whether a cell says what an annotated copy says of a row. It
// is how the column is known in a sheet without headings, unless the profile
// gives the column a meaning: what stands there is the user's.
func IsOwnWord(text string) bool { return ownWords().MatchString(strings.TrimSpace(text)) }

// isOwnHeading tells whether a heading is that of Payrun's column.
func isOwnHeading(text string) bool {
	name, said, _ := strings.Cut(text, "\n")
	return fold(name) == fold(ProblemsHeading) && (said == "" || IsOwnWord(said))
}

func isImportedMark(text string) bool {
	return strings.HasPrefix(strings.TrimSpace(text), ImportedMark)
}

// dropOwn empties the cell that Payrun wrote about the row, so that neither
// its words nor its presence mean anything, and notes the mark of a row that
// was imported. The mark counts in a column of the user's too: it may be that
// the profile has given Payrun's column a meaning since.
func (r *reader) dropOwn(row *record) {
	r.imported = false
	switch {
	case r.rules.NoHeadings:
		for column, c := range row.cells {
			switch {
			case r.rules.letters[column] != FieldIgnored:
				r.imported = r.imported || isImportedMark(c.text)
			case IsOwnWord(c.text):
				r.dropCell(row, column)
			}
		}
	case r.layout != nil && r.layout.at[FieldProblems] >= 0:
		r.dropCell(row, r.layout.at[FieldProblems])
	}
}

func (r *reader) dropCell(row *record, column int) {
	if column < len(row.cells) {
		r.imported = r.imported || isImportedMark(row.cells[column].text)
		row.cells[column] = cell{decimals: -1}
	}
}

// isExample tells whether an account has no digit but zero, as the examples in
// the template have. No operator gives such a wallet away.
func isExample(account string) bool {
	digits := strings.TrimLeft(account, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	return digits != "" && strings.Trim(digits, "0") == ""
}

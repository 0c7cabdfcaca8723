package importers

import "strings"

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
	// it begins with ImportedMark.
	ProblemsHeading = "Payrun problems"
	// ImportedMark begins the text of that column in rows that were imported
	// already. Such a row is rejected, so that handing the copy in again
	// cannot pay its good rows twice.
	ImportedMark = "Imported as batch "
)

func isOwnSheet(name string) bool {
	return strings.EqualFold(name, InstructionsSheet) || strings.EqualFold(name, ProblemsSheet)
}

// dropOwn empties the cell that Payrun wrote about the row, so that neither
// its words nor its presence mean anything, and notes the mark of a row that
// was imported.
func (r *reader) dropOwn(row *record) {
	r.imported = false
	if r.layout == nil {
		return
	}
	if at := r.layout.at[FieldProblems]; at >= 0 && at < len(row.cells) {
		r.imported = strings.HasPrefix(strings.TrimSpace(row.cells[at].text), ImportedMark)
		row.cells[at] = cell{decimals: -1}
	}
}

// isExample tells whether an account has no digit but zero, as the examples in
// the template have. No operator gives such a wallet away.
func isExample(account string) bool {
	digits := strings.TrimLeft(account, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	return digits != "" && strings.Trim(digits, "0") == ""
}

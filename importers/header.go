package importers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"payrun/internal/money"
)

// layout says in which column each field stands, -1 for none.
type layout struct {
	columns []Column
	at      [fieldCount]int
	fields  int // csv fields in the header, 0 for a workbook
	// currency is what the amount's heading says, "Amount (USD)", or else the
	// rules' currency; "" leaves it to the rows.
	currency money.Currency
	stated   bool           // the heading says it
	extras   []*extraColumn // by column, nil for one with a meaning to a payout
	doubt    *Problem       // about headings, nil for none
}

// extraColumn is a column without a meaning to a payout.
type extraColumn struct {
	name  string // its heading, or else its letter
	named bool   // whoever made the sheet or the profile knows of it
	rows  noted  // in which something stands there
}

// extra returns a column without a meaning to a payout, nil for one that has
// one. The headings need not reach as far as the rows below them.
func (l *layout) extra(column int) *extraColumn {
	for column >= len(l.extras) {
		l.extras = append(l.extras, &extraColumn{name: columnLetter(len(l.extras))})
	}
	return l.extras[column]
}

// heading returns the column that holds the field, or a Column without a
// letter if the sheet has none.
func (l *layout) heading(field Field) Column {
	if at := l.at[field]; at >= 0 {
		for _, column := range l.columns {
			if column.Letter == columnLetter(at) {
				return column
			}
		}
	}
	return Column{Field: field}
}

// matchHeader decides whether a row is the header. It returns the layout if
// exactly one assignment of columns to fields fits, otherwise the refusal
// that this row deserves if no other row is the header, with the number of
// headings it recognised.
func (set *ruleset) matchHeader(row *record) (*layout, *FileError, int) {
	if set.NoHeadings {
		layout, fault := set.fixedLayout(row)
		return layout, fault, len(set.letters)
	}
	headings := set.headings(row)
	known := 0
	for _, h := range headings {
		if len(h.candidates) > 0 {
			known++
		}
	}
	if known < 2 {
		return nil, nil, known
	}
	if fault := set.unmet(headings); fault != nil {
		return nil, fault.at(row.number), known
	}
	solutions := assignments(headings, set.required(headings))
	switch len(solutions) {
	case 1:
		layout, fault := set.newLayout(row, headings, solutions[0])
		return layout, fault, known
	case 0:
		return nil, set.headerFault(headings).at(row.number), known
	}
	return nil, ambiguity(headings, solutions).at(row.number), known
}

// required lists the fields that the header must have.
func (set *ruleset) required(headings []heading) []Field {
	fields := []Field{FieldAccount, FieldAmount}
	if set.Channel == "" {
		fields = append(fields, FieldChannel)
	}
	if set.Currency == "" && !slices.ContainsFunc(headings, func(h heading) bool { return h.currency != "" }) {
		fields = append(fields, FieldCurrency)
	}
	return fields
}

// assignments finds up to two ways to give every known heading a field of
// its own so that all required fields are there.
func assignments(headings []heading, required []Field) [][]Field {
	var solutions [][]Field
	chosen := make([]Field, len(headings))
	var used [fieldCount]bool
	var try func(i int)
	try = func(i int) {
		if len(solutions) == 2 {
			return
		}
		if i == len(headings) {
			for _, field := range required {
				if !used[field] {
					return
				}
			}
			solutions = append(solutions, slices.Clone(chosen))
			return
		}
		if len(headings[i].candidates) == 0 {
			chosen[i] = FieldIgnored
			try(i + 1)
		}
		for _, field := range headings[i].candidates {
			if !used[field] {
				used[field], chosen[i] = true, field
				try(i + 1)
				used[field] = false
			}
		}
	}
	try(0)
	return solutions
}

// emptyLayout has no field in any column yet.
func (set *ruleset) emptyLayout(row *record) *layout {
	l := &layout{fields: row.fields, currency: set.Currency}
	for i := range l.at {
		l.at[i] = -1
	}
	return l
}

func (set *ruleset) newLayout(row *record, headings []heading, fields []Field) (*layout, *FileError) {
	l := set.emptyLayout(row)
	for i, h := range headings {
		*l.extra(h.column) = extraColumn{name: h.text, named: true}
		if fields[i] != FieldIgnored {
			l.at[fields[i]], l.extras[h.column] = h.column, nil
		}
		if fields[i] == FieldAmount && isFigure(h.text) {
			return nil, refuse(HeaderMissing, "This row was to be the headings, and has %s where the heading of the amount should be: it looks like a payout. Put a row of headings above it; or, if the sheet has none, say so (headings: none, in an import profile).",
				shown(h.text)).in(row.number, columnLetter(h.column))
		}
		if h.currency != "" {
			l.currency, l.stated = h.currency, true
		}
		l.columns = append(l.columns, Column{fields[i], h.text, columnLetter(h.column)})
	}
	l.doubt = doubtOf(l, headings, fields, row.number)
	if l.stated && set.Currency != "" && l.currency != set.Currency {
		return nil, refuse(HeaderAmbiguous, "The amounts are headed %s, but the import profile says that they are %s. Correct the heading or choose another profile.",
			l.currency, set.Currency).in(row.number, columnLetter(l.at[FieldAmount]))
	}
	return l, nil
}

// doubtOf asks about headings that are known in part: what they are read as, or
// what they may say although they are not read, if no other heading says it.
func doubtOf(l *layout, headings []heading, fields []Field, row int) *Problem {
	var doubts []string
	p := Problem{Code: HeadingInPart, Severity: Warning, Row: row}
	for i, h := range headings {
		doubt := l.doubtful(h.hints, fields[i])
		if doubt == "" {
			continue
		}
		if len(doubts) == 0 {
			p.Column, p.Heading = columnLetter(h.column), shown(h.text)
		}
		doubts = append(doubts, fmt.Sprintf("column %s (%s) %s", columnLetter(h.column), shown(h.text), doubt))
	}
	if len(doubts) == 0 {
		return nil
	}
	p.Message = "Some headings are known only in part: " + strings.Join(doubts, "; ") +
		". Say what the columns are (--map, or columns in an import profile), or confirm that this is right."
	return &p
}

func (l *layout) doubtful(hints []Field, field Field) string {
	if len(hints) > 0 && field != FieldIgnored {
		return "is read as the " + field.String()
	}
	for _, hint := range hints {
		if l.at[hint] < 0 && slices.Contains([]Field{FieldPayDate, FieldTest, FieldCurrency, FieldChannel, FieldReference}, hint) {
			return "is not read, and may be the " + hint.String()
		}
	}
	return ""
}

// fixedLayout is that of a sheet without headings, by the profile's letters. A
// first row that ends early says nothing about the rows below it.
func (set *ruleset) fixedLayout(row *record) (*layout, *FileError) {
	width := len(row.cells)
	for column := range set.letters {
		width = max(width, column+1)
	}
	l := set.emptyLayout(row)
	for column := range width {
		field, assigned := set.letters[column]
		extra := l.extra(column)
		if extra.named = assigned || strings.TrimSpace(row.at(column).text) != ""; !extra.named {
			continue
		}
		if field != FieldIgnored {
			l.at[field], l.extras[column] = column, nil
		}
		if field != FieldIgnored || strings.TrimSpace(row.at(column).text) != "" {
			l.columns = append(l.columns, Column{Field: field, Letter: columnLetter(column)})
		}
	}
	for _, field := range set.required(nil) {
		if at := l.at[field]; at < 0 || at >= len(row.cells) {
			return nil, refuse(HeaderMissing, "The sheet is to be read without headings, and nothing says where its %s stands. Give the column's letter in the import profile, or one value for the whole sheet.", field).at(row.number)
		}
	}
	if set.Unconfirmed {
		return nil, refuse(HeaderUnconfirmed, "The sheet has no headings. Its first row would be read so: %s. If that is right, confirm it (--confirm-columns); if not, say where each column stands (--map).",
			set.preview(l, row)).at(row.number)
	}
	return l, nil
}

// preview shows how the layout reads a row: "A is the account …0001".
func (set *ruleset) preview(l *layout, row *record) string {
	parts := make([]string, 0, len(l.columns))
	for _, column := range l.columns {
		at, _ := columnIndex(column.Letter)
		value := set.discreet(row.at(at).text)
		switch column.Field {
		case FieldIgnored:
			parts = append(parts, fmt.Sprintf("%s (%q) is not used", column.Letter, value))
			continue
		case FieldAccount:
			value = masked(row.at(at).text)
		}
		parts = append(parts, fmt.Sprintf("%s is the %s %q", column.Letter, column.Field, value))
	}
	return strings.Join(parts, "; ")
}

// unmet refuses headings without a column that somebody said was there: to go
// on without it, a pay date for one, would be to pay otherwise than they think.
func (set *ruleset) unmet(headings []heading) *FileError {
	for _, name := range slices.Sorted(maps.Keys(set.Columns)) {
		if field := set.Columns[name]; field != FieldIgnored && !slices.ContainsFunc(headings, func(h heading) bool { return fold(h.text) == fold(name) }) {
			return refuse(HeaderMissing, "The column %q was to be the %s, and no heading is called so. Correct the heading, or what was said about it (--map, or columns in an import profile).",
				name, field)
		}
	}
	for _, letter := range slices.Sorted(maps.Keys(set.Letters)) {
		column, _ := columnIndex(letter) // Validate saw it
		if field := set.Letters[letter]; field != FieldIgnored && !slices.ContainsFunc(headings, func(h heading) bool { return h.column == column }) {
			return refuse(HeaderMissing, "Column %s was to be the %s, and has no heading. Give it one, or correct what was said about it (--map, or letters in an import profile).",
				letter, field)
		}
	}
	return nil
}

// headerFault explains why no assignment fits: a required column is absent,
// or two columns claim one field.
func (set *ruleset) headerFault(headings []heading) *FileError {
	var claimed [fieldCount][]string
	for _, h := range headings {
		for _, field := range h.candidates {
			claimed[field] = append(claimed[field], fmt.Sprintf("%s (%s)", columnLetter(h.column), shown(h.text)))
		}
	}
	var missing []string
	once := ""
	for _, field := range set.required(headings) {
		if len(claimed[field]) > 0 {
			continue
		}
		missing = append(missing, fmt.Sprintf("%s (for example %q)", field, aliases[field][0]))
		if field == FieldChannel || field == FieldCurrency {
			once += fmt.Sprintf(" If it is the same %s in all rows, say it once: --%s, or %s in an import profile.", field, field, field)
		}
	}
	if len(missing) > 0 {
		return refuse(HeaderMissing, "The row of headings has no column for: %s. Add the column, or say which one it is (--map, or columns in an import profile).%s",
			strings.Join(missing, ", "), once)
	}
	for field, columns := range claimed {
		if len(columns) > 1 {
			all, others := "all", "all but one"
			if len(columns) == 2 {
				all, others = "both", "one of them"
			}
			return refuse(HeaderDoubled, "Columns %s could %s be the %s, and only one may be. Rename or delete %s, or say which one is meant (--map, or columns in an import profile).",
				strings.Join(columns, " and "), all, Field(field), others)
		}
	}
	return refuse(HeaderDoubled, "The headings do not give every column a meaning of its own. Rename the columns that mean the same.")
}

func ambiguity(headings []heading, solutions [][]Field) *FileError {
	var doubts []string
	for i, h := range headings {
		if solutions[0][i] != solutions[1][i] {
			doubts = append(doubts, fmt.Sprintf("column %s (%s) may be the %s or the %s",
				columnLetter(h.column), shown(h.text), solutions[0][i], solutions[1][i]))
		}
	}
	return refuse(HeaderAmbiguous, "The headings can be read in more than one way: %s. Rename them so that only one is possible, or say which one is meant (--map, or columns in an import profile).",
		strings.Join(doubts, "; "))
}

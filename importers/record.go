package importers

import (
	"strings"

	"payrun/internal/money"
)

// kind is what a cell holds, beyond its text.
type kind uint8

const (
	kindText    kind = iota // also every csv field and every empty cell
	kindNumber              // a number in plain format; the text is the stored decimal
	kindDate                // a number shown as a date; the text is the day's serial
	kindPercent             // a number shown as a percentage
	kindBoolean
	kindFailure // an error value such as #N/A
	kindFormula // the text is the stored result, which may be stale or missing
)

// cell is one cell of a record.
type cell struct {
	text string
	kind kind
	// decimals is how many decimals the number format shows, -1 for all, or
	// shownOtherwise.
	decimals int8
	dressed  bool           // the number format shows more than an integer's digits
	struck   bool           // shown with a line through it
	currency money.Currency // that the number format shows, "" for none
}

// record is one row of a sheet.
type record struct {
	number int // as a spreadsheet program numbers rows
	hidden bool
	merged bool // touched by a merged range
	fields int  // number of csv fields, 0 where rows have no fixed width
	cells  []cell
}

// at returns the cell of a column, empty if the row is shorter.
func (row *record) at(column int) cell {
	if column < 0 || column >= len(row.cells) {
		return cell{}
	}
	return row.cells[column]
}

func (row *record) blank() bool {
	for i := range row.cells {
		c := &row.cells[i]
		if c.kind == kindFormula || c.text != "" && strings.TrimSpace(c.text) != "" {
			return false
		}
	}
	return true
}

// source yields the rows of one sheet in ascending order; rows without any
// cell may be left out. After the last row next returns io.EOF. The record is
// only valid until the next call.
type source interface {
	next() (*record, error)
	close() error
}

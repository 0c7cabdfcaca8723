package importers

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"payrun/internal/money"
)

// Kind counts the problems of one code.
type Kind struct {
	Code     Code
	Severity Severity
	Count    int
	Rows     []int // the first few rows that have it, in sheet order
}

// firstRows is how many rows a Kind names.
const firstRows = 10

// RowList names rows for people: "row 6", "rows 6, 8 and 59"; of three or more
// in a run only the ends, "rows 4 to 9 and 12". They are in ascending order.
func RowList(rows []int) string {
	parts := rowParts(rows)
	list := "rows "
	if len(rows) == 1 {
		list = "row "
	}
	if last := len(parts) - 1; last > 0 {
		return list + strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	return list + strings.Join(parts, "")
}

func rowParts(rows []int) []string {
	var runs rowRuns
	for _, row := range rows {
		runs.add(row)
	}
	var parts []string
	for _, run := range runs {
		switch run.To - run.From {
		case 0:
			parts = append(parts, strconv.Itoa(run.From))
		case 1:
			parts = append(parts, strconv.Itoa(run.From), strconv.Itoa(run.To))
		default:
			parts = append(parts, fmt.Sprintf("%d to %d", run.From, run.To))
		}
	}
	return parts
}

// counted writes "1 row" or "12 rows".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// someRows names the first of count rows: "rows 4 to 8 and 12 others".
func someRows(first []int, count int) string {
	switch more := count - len(first); {
	case more == 1:
		return "rows " + strings.Join(rowParts(first), ", ") + " and 1 other"
	case more > 1:
		return fmt.Sprintf("rows %s and %d others", strings.Join(rowParts(first), ", "), more)
	}
	return RowList(first)
}

type kinds []Kind

func (k *kinds) add(p Problem) {
	at := slices.IndexFunc(*k, func(kind Kind) bool { return kind.Code == p.Code })
	if at < 0 {
		at = len(*k)
		*k = append(*k, Kind{Code: p.Code, Severity: p.Severity})
	}
	kind := &(*k)[at]
	kind.Count++
	if len(kind.Rows) < firstRows {
		kind.Rows = append(kind.Rows, p.Row)
	}
}

// list puts what rejects rows before what only needs confirmation, and what
// is frequent before what is rare.
func (k kinds) list() []Kind {
	mildness := func(kind Kind) int {
		if kind.Severity == Warning {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(k, func(a, b Kind) int {
		return cmp.Or(mildness(a)-mildness(b), b.Count-a.Count)
	})
	return k
}

// RowRange is a run of rows, ends included.
type RowRange struct{ From, To int }

// rowRuns are accepted rows in ascending order, kept as runs since hardly any
// sheet is good in every second row only.
type rowRuns []RowRange

func (runs *rowRuns) add(row int) {
	if last := len(*runs) - 1; last >= 0 && (*runs)[last].To == row-1 {
		(*runs)[last].To = row
		return
	}
	*runs = append(*runs, RowRange{row, row})
}

// RejectedTotal sums the rejected rows of one channel and currency, as far as
// they can be understood.
type RejectedTotal struct {
	Channel    string         // "" where the row names none that is known
	Currency   money.Currency // "" where the row names none that is known
	Count      int
	Amount     money.Amount // of the rows whose amount can be read
	Unreadable int          // rows whose amount cannot
}

// meant is what the row at hand would pay if its faults did not count.
type meant struct {
	currency money.Currency
	amount   money.Amount
	readable bool
}

type rejectedTotals []RejectedTotal

func (t *rejectedTotals) add(channel string, m meant) {
	at := slices.IndexFunc(*t, func(sum RejectedTotal) bool { return sum.Channel == channel && sum.Currency == m.currency })
	if at < 0 {
		at = len(*t)
		*t = append(*t, RejectedTotal{Channel: channel, Currency: m.currency})
	}
	sum := &(*t)[at]
	sum.Count++
	total, err := money.Add(sum.Amount, m.amount)
	if !m.readable || err != nil { // an absurd amount is as good as none
		sum.Unreadable++
		return
	}
	sum.Amount = total
}

func (t rejectedTotals) list() []RejectedTotal {
	slices.SortFunc(t, func(a, b RejectedTotal) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Currency, b.Currency))
	})
	return t
}

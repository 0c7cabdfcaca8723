package importers

import (
	"cmp"
	"slices"

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

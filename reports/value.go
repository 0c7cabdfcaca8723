package reports

import (
	"strconv"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// value is one cell before it is written as xlsx or csv.
type value struct {
	kind kind
	look look
	text string // of words and days; the currency of amounts
	n    int64  // count, minor units or microseconds
}

type kind uint8

const (
	blank    kind = iota
	words         // text, whatever it looks like
	counted       // a whole number
	monetary      // an amount in a currency
	timed         // an instant
	dated         // a day without a time, "2006-01-02"
)

// text is words, or an empty cell for none.
func text(s string) value {
	if s == "" {
		return value{}
	}
	return value{kind: words, text: s}
}

func count(n int64) value { return value{kind: counted, n: n} }

func amount(a money.Amount, c money.Currency) value {
	return value{kind: monetary, text: string(c), n: int64(a)}
}

// unless zero leaves a cell empty, where 0 means "none".
func (v value) unlessZero() value {
	if v.n == 0 {
		return value{look: v.look}
	}
	return v
}

// instant is an instant, or an empty cell for "never".
func instant(at database.Instant) value { return value{kind: timed, n: int64(at)}.unlessZero() }

// day is a day, or an empty cell for none.
func day(s string) value {
	v := text(s)
	if s != "" {
		v.kind = dated
	}
	return v
}

// as gives a value a look.
func (v value) as(l look) value {
	v.look = l
	return v
}

// iso writes an instant in UTC with its microseconds, as the database has it.
func iso(at database.Instant) string {
	if at == 0 {
		return ""
	}
	return at.String()
}

// csv is the value as a csv field.
func (v value) csv() string { return string(v.appendCSV(nil)) }

// number is the value as a number cell, and whether it fits in one.
//
// A spreadsheet keeps numbers as doubles and shows 15 digits. A decimal of up
// to 15 digits survives that unharmed: parsing takes the nearest double, and
// the shortest text that finds this double again, which is what excelize
// writes into the file, is the decimal we started from. So the file holds
// "941.44" and nothing was ever computed in floating point. A longer amount
// would be rounded; it becomes a text cell with all its digits.
func (v value) number() (float64, bool) {
	const exact = 999_999_999_999_999
	if v.n > exact || v.n < -exact {
		return 0, false
	}
	f, err := strconv.ParseFloat(money.Format(money.Amount(v.n), money.Currency(v.text)), 64)
	return f, err == nil
}

// serial is a time as spreadsheets count it: days since 30 December 1899 on
// the wall clock of the zone, to the second. The csv has the microseconds.
func (v value) serial(zone *time.Location) float64 {
	at := database.Instant(v.n).Time().In(zone)
	_, offset := at.Zone()
	return wallClock(at.Unix() + int64(offset))
}

// daySerial is a day as spreadsheets count it, and whether the text is one.
func (v value) daySerial() (float64, bool) {
	at, err := time.Parse(time.DateOnly, v.text)
	return wallClock(at.Unix()), err == nil
}

func wallClock(seconds int64) float64 {
	const epoch, perDay = 25569, 86400 // 1 January 1970
	return epoch + float64(seconds)/perDay
}

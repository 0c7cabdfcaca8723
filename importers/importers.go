package importers

import (
	"context"
	"fmt"
	"os"

	"payrun/internal/money"
)

// Row is one accepted payout row. Everything in it was checked against the
// [Rules] it was read with.
type Row struct {
	Sheet     string         // name of the sheet, "" for csv
	Number    int            // row as a spreadsheet program numbers it, from 1
	Reference string         // the sheet's own reference without outer spaces, may be ""
	Channel   string         // channel code, such as "16"
	Account   string         // the payee's wallet, exactly as in the sheet
	Amount    money.Amount   // minor units of Currency, above zero
	Currency  money.Currency // ISO 4217 code
	Payee     string         // name of the payee, may be ""
	Remark    string         // note; stored and shown, never sent
	PayDate   string         // "2006-01-02", or "" for as soon as approved
	Beside    string         // what stands in columns without a meaning, as "Team: Sales; Boss: Eve"; shortened
}

// Sink receives what [Read] finds, in sheet order and in batches. The slices
// are only valid during the call. An error stops the reading and comes back
// from Read, wrapped.
type Sink interface {
	Rows([]Row) error
	Problems([]Problem) error
}

// Column tells how one column of the sheet was understood.
type Column struct {
	Field   Field  // FieldIgnored if no rule needs the column
	Heading string // as written in the sheet
	Letter  string // "A" for the first column
}

// Total sums the accepted rows of one channel and currency.
type Total struct {
	Channel  string
	Currency money.Currency
	Count    int
	Amount   money.Amount
}

// ControlTotal is a total or a count that the sheet itself gives. An amount
// is compared with the sum of all data rows above it whose amount can be
// read, rejected rows included: that is what the sheet's author added up.
type ControlTotal struct {
	Row      int            // row that gives it
	Column   string         // letter of the cell
	Kind     ControlKind    // amount or count
	Currency money.Currency // "" where the row names none
	Given    string         // as the sheet says, "141282.55" or "120"
	Found    string         // as added up here, in the same form; "" if nothing could be
	Agrees   bool
	// Unchecked says that the sheet's number cannot be read, or differs where
	// not all amounts can be read. Nobody knows then whether it is right.
	Unchecked bool
	Unread    int // rows that Found leaves out, since their amount cannot be read
	Below     int // payouts below the last total that are in no total
}

// ControlKind says what a control total counts.
type ControlKind string

// The kinds of control totals.
const (
	ControlAmount ControlKind = "amount"
	ControlCount  ControlKind = "count"
)

// Result sums up one reading. For every file that was read to its end,
// Rows = Titles + 1 + ControlRows + Blank + Accepted + Rejected,
// where the 1 is the header; a sheet without headings has none.
type Result struct {
	Format        string         // "xlsx" or "csv"
	Sheet         string         // name of the sheet that was read, "" for csv
	Encoding      string         // of a csv file, such as "UTF-8 with byte order mark"
	Delimiter     string         // of a csv file, such as ";"
	Digest        string         // SHA-256 of the file's bytes, lower-case hexadecimal
	Size          int64          // bytes
	HeaderRow     int            // row of the headings, 0 for a sheet without
	Cells         int            // of a workbook's sheet: its rows and their cells, gaps before a cell counted
	Columns       []Column       // every column that has a heading or a field, in sheet order
	Rows          int            // rows down to the last one that is not blank
	Titles        int            // rows above the header that are not blank
	ControlRows   int            // rows below the header that give totals or counts
	Blank         int            // blank rows, above and below the header
	Accepted      int            // data rows that went to the sink
	Rejected      int            // data rows with at least one rejecting problem
	Warnings      int            // problems that need confirmation
	Kinds         []Kind         // all problems by code, what rejects rows first
	ControlTotals []ControlTotal // in sheet order
	Totals        []Total        // accepted rows by channel and currency, sorted
	// RejectedTotals sums the other data rows as far as they can be understood.
	RejectedTotals []RejectedTotal
	// AcceptedRows are the numbers of the accepted rows, ascending.
	AcceptedRows []RowRange
}

// Read reads the payout sheet at path and hands its rows and problems to the
// sink. The file's name decides nothing but a contradiction: a name that ends
// in .csv over a workbook's bytes is refused.
//
// A refusal of the whole file is a *[FileError]; the Result then holds what
// was known by that point. Other errors come from the disk, the context or
// the sink. Calls are independent of each other and may run concurrently.
func Read(ctx context.Context, path string, rules Rules, sink Sink) (Result, error) {
	file, err := os.Open(path)
	if err != nil {
		return Result{}, fmt.Errorf("read sheet: %w", err)
	}
	defer file.Close()
	return read(ctx, file, path, rules, sink)
}

package sheets

import (
	"encoding/json"
	"os"

	"payrun/importers"
	"payrun/internal/money"
)

// Twin is a [Judgement] for programs: what the import command prints with
// --json, and the file that the inbox lays beside a sheet. Field names are
// stable and listed in docs/sheets.md. Amounts are decimal texts, rows and
// columns are those that a spreadsheet program shows.
type Twin struct {
	File           string              `json:"file"`
	Digest         string              `json:"sha256"` // of the file's bytes; "" if it could not be read
	Size           int64               `json:"bytes"`
	Format         string              `json:"format,omitempty"`
	Encoding       string              `json:"encoding,omitempty"`
	Delimiter      string              `json:"delimiter,omitempty"`
	Sheet          string              `json:"sheet,omitempty"`
	HeaderRow      int                 `json:"header_row,omitempty"`
	Columns        []TwinColumn        `json:"columns"`
	Rows           int                 `json:"rows"`
	Titles         int                 `json:"title_rows"`
	ControlRows    int                 `json:"control_rows"`
	Blank          int                 `json:"blank"`
	Accepted       int                 `json:"accepted"`
	Rejected       int                 `json:"rejected"`
	Warnings       int                 `json:"warnings"`
	Totals         []TwinTotal         `json:"totals"`
	RejectedTotals []TwinRejectedTotal `json:"rejected_totals"`
	ControlTotals  []TwinControlTotal  `json:"control_totals"`
	Refused        *TwinProblem        `json:"refused"` // null unless the whole file was refused
	Kinds          []TwinKind          `json:"kinds"`
	Problems       []TwinProblem       `json:"problems"`
	Found          int                 `json:"problems_found"` // problems lists the first ones
	Batch          int64               `json:"imported_as,omitempty"`
	Reason         string              `json:"error,omitempty"`
}

// TwinColumn tells how a column was understood.
type TwinColumn struct {
	Column  string          `json:"column"`
	Heading string          `json:"heading"`
	Field   importers.Field `json:"field"`
}

// TwinTotal sums accepted rows.
type TwinTotal struct {
	Channel  string         `json:"channel"`
	Currency money.Currency `json:"currency"`
	Payouts  int            `json:"payouts"`
	Amount   string         `json:"amount"`
}

// TwinRejectedTotal sums rejected rows, as far as they can be understood.
type TwinRejectedTotal struct {
	Channel    string         `json:"channel"`
	Currency   money.Currency `json:"currency"`
	Rows       int            `json:"rows"`
	Amount     string         `json:"amount"`
	Unreadable int            `json:"unreadable"` // rows that the amount leaves out
}

// TwinControlTotal is a total that the sheet itself gives.
type TwinControlTotal struct {
	Row      int                   `json:"row"`
	Column   string                `json:"column,omitempty"`
	Kind     importers.ControlKind `json:"kind"`
	Currency money.Currency        `json:"currency,omitempty"`
	Given    string                `json:"given"`
	Found    string                `json:"found"`
	Agrees   bool                  `json:"agrees"`
	// What the comparison leaves open.
	Unchecked bool `json:"unchecked"`
	Unread    int  `json:"unread_rows"`
	Below     int  `json:"rows_below"`
}

// TwinKind counts the problems of one code.
type TwinKind struct {
	Code     importers.Code     `json:"code"`
	Severity importers.Severity `json:"severity"`
	Count    int                `json:"count"`
	Rows     []int              `json:"first_rows"`
}

// TwinProblem is one problem. Value is shortened, and an account masked;
// Message says what is wrong and what to do about it.
type TwinProblem struct {
	Code     importers.Code     `json:"code"`
	Severity importers.Severity `json:"severity"`
	Sheet    string             `json:"sheet,omitempty"`
	Row      int                `json:"row,omitempty"`
	Column   string             `json:"column,omitempty"`
	Heading  string             `json:"heading,omitempty"`
	Value    string             `json:"value,omitempty"`
	Message  string             `json:"message"`
}

// Twin returns the judgement for programs.
func (j Judgement) Twin() Twin {
	s := j.Sheet
	twin := Twin{
		File: j.File, Digest: s.Digest, Size: s.Size, Format: s.Format, Encoding: s.Encoding, Delimiter: s.Delimiter,
		Sheet: s.Sheet, HeaderRow: s.HeaderRow, Rows: s.Rows, Titles: s.Titles, ControlRows: s.ControlRows, Blank: s.Blank,
		Accepted: s.Accepted, Rejected: s.Rejected, Warnings: s.Warnings,
		Columns:        each(s.Columns, func(c importers.Column) TwinColumn { return TwinColumn{c.Letter, c.Heading, c.Field} }),
		Totals:         each(s.Totals, twinTotal),
		RejectedTotals: each(s.RejectedTotals, twinRejectedTotal),
		ControlTotals:  each(s.ControlTotals, func(c importers.ControlTotal) TwinControlTotal { return TwinControlTotal(c) }),
		Kinds:          each(s.Kinds, func(k importers.Kind) TwinKind { return TwinKind(k) }),
		Problems:       each(j.Problems, twinProblem), Found: j.Found, Batch: j.Batch, Reason: j.Reason,
	}
	if j.Refused != nil {
		refused := twinProblem(*j.Refused)
		twin.Refused = &refused
	}
	return twin
}

func twinTotal(t importers.Total) TwinTotal {
	return TwinTotal{t.Channel, t.Currency, t.Count, money.Format(t.Amount, t.Currency)}
}

func twinRejectedTotal(t importers.RejectedTotal) TwinRejectedTotal {
	amount := "0" // without a currency no amount was read
	if t.Currency != "" {
		amount = money.Format(t.Amount, t.Currency)
	}
	return TwinRejectedTotal{t.Channel, t.Currency, t.Count, amount, t.Unreadable}
}

func twinProblem(p importers.Problem) TwinProblem { return TwinProblem(p) }

// each converts a list; an empty one is [] in JSON and never null.
func each[T, V any](items []T, convert func(T) V) []V {
	all := make([]V, len(items))
	for i, item := range items {
		all[i] = convert(item)
	}
	return all
}

// WriteTwin writes the judgement's [Twin] as JSON into a new file, as [Annotate] writes
// the copy.
func WriteTwin(target string, j Judgement) error {
	return create(target, func(w *os.File) error {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(j.Twin())
	})
}

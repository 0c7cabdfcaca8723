package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"payrun/importers"
	"payrun/internal/config"
	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/migrations"
)

func TestGrouped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		amount   money.Amount
		currency money.Currency
		want     string
	}{
		{0, "USD", "0.00"}, {5, "USD", "0.05"}, {99999, "USD", "999.99"}, {100000, "USD", "1,000.00"},
		{123456789, "USD", "1,234,567.89"}, {-100000, "USD", "-1,000.00"}, {-99999, "USD", "-999.99"}, {1234567, "JPY", "1,234,567"}, {1234567, "KWD", "1,234.567"},
	} {
		if got := grouped(test.amount, test.currency); got != test.want {
			t.Errorf("grouped(%d %s) = %q, want %q", test.amount, test.currency, got, test.want)
		}
	}
}

func TestGroupingChangesNoDigit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := money.Amount(rapid.Int64().Draw(t, "amount"))
		back, err := money.Parse(strings.ReplaceAll(grouped(a, "USD"), ",", ""), "USD")
		if err != nil || back != a {
			t.Fatalf("%d became %q: %v", a, grouped(a, "USD"), err)
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table := newTable(&out, "name", "amount ", "note")
	table.row("Zoë", "1.00", "x")
	table.row("Anna-Lena", "1,000.00", "")
	table.flush()
	want := "  NAME         AMOUNT  NOTE\n  Zoë            1.00  x\n  Anna-Lena  1,000.00\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestWrapped(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("four ", 40) + strings.Repeat("x", 100)
	lines := strings.Split(wrapped(text, "    "), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "    ") || len(line) > lineWidth && i < len(lines)-1 {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if strings.Join(strings.Fields(strings.Join(lines, " ")), " ") != text {
		t.Errorf("words were lost: %q", lines)
	}
	if wrapped("", "  ") != "" {
		t.Error("nothing becomes a line")
	}
}

func TestSumsOfTotals(t *testing.T) {
	t.Parallel()
	if got := sums([]ledger.Total{{Channel: "11", Currency: "USD", Payouts: 1, Amount: 5}}); got != nil {
		t.Errorf("one total needs no sum: %v", got)
	}
	got := sums([]ledger.Total{{Currency: "EUR", Payouts: 1, Amount: 5, Fees: 1}, {Currency: "USD", Payouts: 2, Amount: 7}, {Currency: "USD", Payouts: 3, Amount: 8, Fees: 2}})
	if len(got) != 2 || got[0].Amount != 5 || got[1] != (ledger.Total{Currency: "USD", Payouts: 5, Amount: 15, Fees: 2}) {
		t.Errorf("got %+v", got)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("anything"), exitFailure},
		{usagef("x"), exitUsage},
		{&config.Error{Problems: []string{"x"}}, exitUsage},
		{database.ErrUnusable, exitDatabase},
		{database.ErrNotDurable, exitDatabase},
		{migrations.ErrForeign, exitDatabase},
		{migrations.ErrNewer, exitDatabase},
		{migrations.ErrPending, exitDatabase},
		{errEngineBusy, exitDatabase},
		{syscall.ENOSPC, exitDatabase},
		{errGateway, exitGateway},
		{jobs.ErrGateway, exitGateway},
		{jobs.ErrNoRows, exitSheet},
		{jobs.ErrRowsRejected, exitSheet},
		{&importers.FileError{}, exitSheet},
		{errNoToken, exitRefused},
		{ledger.ErrToken, exitRefused},
		{ledger.ErrForbidden, exitRefused},
		{ledger.ErrConflict, exitRefused},
		{ledger.ErrFunds, exitRefused},
		{ledger.ErrInvalid, exitRefused},
		{ledger.ErrNotFound, exitRefused},
		{errBreach, exitBreach},
		{errStillOpen, exitOpen},
		{errRestless, exitOpen},
		{errInterrupted, exitOpen},
		{errors.Join(errStillOpen, syscall.ENOSPC), exitDatabase},
	} {
		if test.err != nil {
			test.err = fmt.Errorf("around: %w", test.err)
		}
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%v: exit code %d, want %d", test.err, got, test.want)
		}
	}
	seen := map[int]bool{}
	for _, e := range exitMeanings {
		if seen[e.code] || e.meaning == "" {
			t.Errorf("exit code %d is documented twice or not at all", e.code)
		}
		seen[e.code] = true
	}
}

// One mistake in a whole column is told once, with its rows; what differs in
// anything that is said is told apart.
func TestTheSameProblemIsToldOnce(t *testing.T) {
	t.Parallel()
	at := func(message string, rows ...int) (problems []importers.Problem) {
		for _, row := range rows {
			problems = append(problems, importers.Problem{Code: importers.AmountFormat, Sheet: "May", Row: row, Column: "D", Heading: "Amount", Value: fmt.Sprint(row), Message: message})
		}
		return problems
	}
	for name, tt := range map[string]struct {
		problems []importers.Problem
		want     string
	}{
		"one":        {at("Bad.", 2), "1 problem: sheet May, row 2, column D (Amount) Bad."},
		"two":        {at("Bad.", 2, 9), "2 problems: sheet May, rows 2 and 9, column D (Amount) Bad."},
		"a run":      {at("Bad.", 2, 3, 4), "3 problems: sheet May, rows 2 to 4, column D (Amount) Bad."},
		"with gaps":  {at("Bad.", 2, 3, 9), "3 problems: sheet May, rows 2, 3 and 9, column D (Amount) Bad."},
		"two things": {append(at("Bad.", 2), at("Worse.", 3)...), "2 problems: sheet May, row 2, column D (Amount) Bad. sheet May, row 3, column D (Amount) Worse."},
	} {
		var out strings.Builder
		printProblems(&out, jobs.Imported{Problems: tt.problems, Found: len(tt.problems)})
		if got := strings.Join(strings.Fields(strings.ReplaceAll(out.String(), "rejected", "")), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	var out strings.Builder
	printProblems(&out, jobs.Imported{Problems: at("Bad.", 2, 3), Found: 12})
	if !strings.Contains(out.String(), "… and 10 more") {
		t.Errorf("problems that are not listed are not counted: %q", out.String())
	}
}

// A maker who read "3 rows from 6 to 59" had to search for the second one.
func TestWhereTheSameProblemIs(t *testing.T) {
	t.Parallel()
	run := func(from, to int) (rows []int) {
		for row := from; row <= to; row++ {
			rows = append(rows, row)
		}
		return rows
	}
	for want, rows := range map[string][]int{
		"row 6, column D (Amount)":                                     {6},
		"row 6, column D (Amount) ":                                    {6, 6},
		"rows 6 and 7, column D (Amount)":                              {6, 7},
		"rows 6, 8 and 59, column D (Amount)":                          {6, 8, 59},
		"rows 4 to 9, column D (Amount)":                               run(4, 9),
		"rows 2, 4 to 9, 11 and 12, column D (Amount)":                 append(append([]int{2}, run(4, 9)...), 11, 12),
		"rows 1 and 69, column D (Amount)":                             {69, 1},
		"rows 2 to 40, column D (Amount)":                              run(2, 40),
		"11 rows from 2 to 13, column D (Amount)":                      append([]int{2}, run(4, 13)...),
		"rows 2 and 4 to 12, column D (Amount)":                        append([]int{2}, run(4, 12)...),
		"1,001 rows from 2 to 1003, column D (Amount)":                 append([]int{2}, run(4, 1003)...),
		"rows 1, 3, 5, 7, 9, 11, 13, 15, 17 and 19, column D (Amount)": {1, 3, 5, 7, 9, 11, 13, 15, 17, 19},
	} {
		var same []importers.Problem
		for _, row := range rows {
			same = append(same, importers.Problem{Row: row, Column: "D", Heading: "Amount"})
		}
		if got := whereAll(same); got != strings.TrimSpace(want) {
			t.Errorf("rows %v: got %q, want %q", rows, got, want)
		}
	}
}

// A line that says "agrees" is read as: the whole sheet adds up.
func TestWhatIsSaidOfATotal(t *testing.T) {
	t.Parallel()
	for want, total := range map[string]importers.ControlTotal{
		"agrees":                           {Found: "1.00", Agrees: true},
		"DIFFERS: the rows add up to 1.00": {Found: "1.00"},
		"DIFFERS: there are 2 payout rows": {Kind: importers.ControlCount, Found: "2"},
		"could not be compared":            {Unchecked: true},
		"agrees, but leaves out 2 rows without a readable amount":                                   {Found: "1.00", Agrees: true, Unread: 2},
		"could not be checked: there is 1 row without a readable amount, the others add up to 1.00": {Found: "1.00", Unchecked: true, Unread: 1},
		"agrees with the rows above it, but 3 payout rows stand below it":                           {Found: "1.00", Agrees: true, Below: 3},
	} {
		if got := controlVerdict(total); got != want {
			t.Errorf("%+v: got %q, want %q", total, got, want)
		}
	}
}

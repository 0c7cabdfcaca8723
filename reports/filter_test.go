package reports_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/ledger"
	"payrun/reports"
)

// noon of November's first days, in UTC.
func noon(day int) time.Time { return time.Date(2026, time.November, day, 12, 0, 0, 0, time.UTC) }

// begin is the first instant of a day.
func begin(day int) database.Instant { return database.InstantOf(noon(day).Add(-12 * time.Hour)) }

// threeDays fills a ledger: batch 1 is approved on the first day, when two of
// its payouts are paid; batch 2 is imported and discarded on the second day;
// on the third, batch 3 is imported and another payout of batch 1 is paid.
func threeDays(t *testing.T, engine string) *office {
	clock := noon(1)
	config := database.Config{URL: dbtest.URL(t, engine, migrated), Clock: func() time.Time { return clock }}
	o := open(t, dbtest.Open(t, config, migrated))
	rows := func(name string, n int) []ledger.NewPayout {
		rows := sheet(name, n)
		for i := range rows {
			rows[i].Currency, rows[i].Amount, rows[i].Channel = "USD", 100_00, []string{"11", "16"}[i%2]
		}
		return rows
	}
	o.approved("one", rows("one", 4))
	claims := o.claim(4)
	slices.SortFunc(claims, func(a, b ledger.Claim) int { return int(a.ID - b.ID) })
	success, accepted := ends[0], ends[5]
	o.record(success.finding(claims[0]), success.finding(claims[1]), accepted.finding(claims[2]), accepted.finding(claims[3]))

	clock = noon(2)
	two := o.imported("two", rows("two", 2))
	must(t, o.Discard(t.Context(), o.maker, two.ID, "wrong month"))

	clock = noon(3)
	o.imported("three", rows("three", 3))
	found := success.finding(claims[2])
	found.From = ledger.Accepted
	o.record(found)
	return o
}

func TestFilters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		filter  reports.Filter
		payouts string // their references
		entries int
		batches string
	}{
		{"everything", reports.Filter{}, "one-1 one-2 one-3 one-4 two-1 two-2 three-1 three-2 three-3", 3 + 1 + 3, "1 2 3"},
		{"first day", reports.Filter{From: begin(1), To: begin(2)}, "one-1 one-2 one-3 one-4", 3 + 1 + 2, "1"},
		{"second day", reports.Filter{From: begin(2), To: begin(3)}, "one-3 one-4 two-1 two-2", 0, "1 2"},
		{"since the third day", reports.Filter{From: begin(3)}, "one-3 one-4 three-1 three-2 three-3", 1, "1 3"},
		{"until the third day", reports.Filter{To: begin(3)}, "one-1 one-2 one-3 one-4 two-1 two-2", 3 + 1 + 2, "1 2"},
		{"after all", reports.Filter{From: begin(4)}, "one-4 three-1 three-2 three-3", 0, "1 3"},
		{"before all", reports.Filter{To: begin(1)}, "", 0, ""},
		{"a batch", reports.Filter{Batch: 1}, "one-1 one-2 one-3 one-4", 1 + 3, "1"},
		{"a batch that is not there", reports.Filter{Batch: 7}, "", 0, ""},
		{"a channel", reports.Filter{Channel: "16"}, "one-2 one-4 two-2 three-2", 1, "1 2 3"},
		{"a state", reports.Filter{States: []ledger.State{ledger.Succeeded}}, "one-1 one-2 one-3", 3, "1"},
		{"two states, one of batches", reports.Filter{States: []ledger.State{ledger.Accepted, ledger.Valid}}, "one-4 three-1 three-2 three-3", 0, "1 3"},
		{"discarded", reports.Filter{States: []ledger.State{ledger.Cancelled}}, "two-1 two-2", 0, "2"},
		{"all of it together", reports.Filter{From: begin(1), To: begin(2), Batch: 1, Channel: "11", States: []ledger.State{ledger.Succeeded}}, "one-1 one-3", 1, "1"},
	}
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		o := threeDays(t, engine)
		for _, tt := range tests {
			path, _ := o.workbook(tt.filter)
			records, _ := o.csv(tt.filter)
			if got := references(table(cells(t, path, "Payouts"))); got != tt.payouts || references(table(records)) != got {
				t.Errorf("%s: payouts %q, in the csv %q", tt.name, got, references(table(records)))
			}
			if got := distinct(table(cells(t, path, "Journal")), "Entry"); len(got) != tt.entries {
				t.Errorf("%s: entries %v, want %d", tt.name, got, tt.entries)
			}
			if got := strings.Join(approvedBatches(cells(t, path, "Approvals and audit")), " "); got != tt.batches {
				t.Errorf("%s: batches %q", tt.name, got)
			}
		}
	})
}

// references of the lines, with their zeros dropped.
func references(lines []map[string]string) string {
	var all []string
	for _, line := range lines {
		all = append(all, strings.Replace(line["Reference"], "-00", "-", 1))
	}
	return strings.Join(all, " ")
}

func distinct(lines []map[string]string, column string) []string {
	var all []string
	for _, line := range lines {
		if !slices.Contains(all, line[column]) {
			all = append(all, line[column])
		}
	}
	return all
}

// approvedBatches are the numbers in the first table of the sheet.
func approvedBatches(rows [][]string) []string {
	var batches []string
	for _, row := range rows {
		switch {
		case len(row) > 0 && row[0] == "What they saw":
			return batches
		case len(row) > 3 && row[0] != "Batch":
			batches = append(batches, row[0])
		}
	}
	return batches
}

func TestTheTrialBalanceOpensAndClosesWithThePeriod(t *testing.T) {
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		o := threeDays(t, engine)
		path, _ := o.workbook(reports.Filter{From: begin(1), To: begin(3)})
		shown := map[string]string{}
		for _, line := range table(cells(t, path, "Trial balance")) {
			if line["Currency"] == "USD" && line["Account"] != "total" {
				shown[line["Account"]] = fmt.Sprintf("%s +%s -%s = %s, then %s = %s", line["Opening"], line["Debits"], line["Credits"],
					line["Closing"], line["Since then"], line["Balance now"])
			}
		}
		top := number(topUp, "USD")
		free := func(spent money.Amount) string { return number(topUp-spent, "USD") }
		want := map[string]string{ // 4 × 100.00 and 0.57 held; two paid with 0.41 taken, then one with the estimate given back
			"funding":   "0 +0 -" + top + " = -" + top + ", then 0 = -" + top,
			"available": "0 +" + number(topUp+32, "USD") + " -402.28 = " + free(401_96) + ", then 0.16 = " + free(401_80),
			"held":      "0 +402.28 -201.14 = 201.14, then -100.57 = 100.57",
			"paid":      "0 +200 -0 = 200, then 100 = 300",
			"fees":      "0 +0.82 -0 = 0.82, then 0.41 = 1.23",
			"suspense":  "0 +0 -0 = 0, then 0 = 0",
		}
		if diff := cmp.Diff(want, shown); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheSummarySaysWhatItShows(t *testing.T) {
	t.Parallel()
	o := threeDays(t, "sqlite")
	manila := time.FixedZone("Asia/Manila", 8*3600)
	local := options
	local.Zone = manila
	path := o.path("local.xlsx")
	filter := reports.Filter{From: begin(1), To: begin(2), Channel: "11", States: []ledger.State{ledger.Succeeded, ledger.Failed}}
	_, err := reports.Workbook(t.Context(), o.db, path, filter, local)
	must(t, err)
	shown := map[string]string{}
	for _, row := range cells(t, path, "Summary") {
		if len(row) == 2 {
			shown[row[0]] = row[1]
		}
	}
	want := map[string]string{
		"Period": "1 November 2026 08:00 to 2 November 2026 08:00 Asia/Manila", "Shows": "channel Perfect Money (11), status FAILED or SUCCEEDED",
		"Account": "acct@example.com", "Made by": "user:mia",
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Error(diff)
	}
	line := table(cells(t, path, "Payouts"))[0]
	const eightInTheEvening = "46327.83333333333" // of 1 November, as a spreadsheet counts days
	if line["Sent at"] != eightInTheEvening {
		t.Errorf("sent at %s", line["Sent at"])
	}
}

func TestSenselessFiltersAreRefused(t *testing.T) {
	t.Parallel()
	o := threeDays(t, "sqlite")
	for name, filter := range map[string]reports.Filter{
		"ends before it starts": {From: begin(2), To: begin(1)},
		"empty period":          {From: begin(2), To: begin(2)},
		"unknown state":         {States: []ledger.State{"PAID"}},
		"stored state":          {States: []ledger.State{"UNSENT"}},
	} {
		if _, err := reports.CSV(t.Context(), o.db, o.path("x.csv"), filter, options); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o.nothingLeft()
}

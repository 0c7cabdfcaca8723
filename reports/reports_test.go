package reports_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/ledger"
	"payrun/migrations"
	"payrun/reports"
)

func migrated(ctx context.Context, db *database.DB) error {
	_, err := migrations.Up(ctx, db)
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// office is a ledger with people, money, and a folder for reports.
type office struct {
	*ledger.Book
	t              testing.TB
	db             *database.DB
	admin          ledger.User
	maker, checker ledger.User
	folder         string
}

// each opens an office on both engines.
func each(t *testing.T, test func(*testing.T, *office)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, migrated, func(t *testing.T, db *database.DB) { test(t, open(t, db)) })
}

// topUp is enough for a million payouts.
const topUp money.Amount = 10_000_000_000_00

func open(t testing.TB, db *database.DB) *office {
	t.Helper()
	o := &office{Book: ledger.New(db, ledger.Config{}), t: t, db: db, folder: t.TempDir()}
	add := func(by ledger.User, name string, role ledger.Role) ledger.User {
		user, err := o.AddUser(t.Context(), by, name, role)
		must(t, err)
		return user
	}
	o.admin = add(ledger.User{}, "ada", ledger.Admin)
	o.maker = add(o.admin, "mia", ledger.Maker)
	o.checker = add(o.admin, "charles", ledger.Checker)
	for _, currency := range []money.Currency{"USD", "JPY", "KWD"} {
		must(t, o.Fund(t.Context(), o.admin, topUp, currency, "bank reference 1"))
		must(t, o.SetGatewayBalance(t.Context(), currency, topUp, ledger.AllCommitted))
		for _, channel := range []string{"11", "12", "16"} {
			must(t, o.SetLimits(t.Context(), []ledger.Limit{{
				Channel: channel, Currency: currency, Minimum: 1, Maximum: 100_000_000_00, Source: ledger.FromGateway,
			}}))
		}
	}
	return o
}

// sheet makes n payouts of different amounts, channels and currencies.
func sheet(name string, n int) []ledger.NewPayout {
	rows := make([]ledger.NewPayout, n)
	for i := range rows {
		rows[i] = ledger.NewPayout{
			Sheet: "Payouts", Row: int64(i + 2), Reference: fmt.Sprintf("%s-%03d", name, i+1), Channel: []string{"11", "16", "12"}[i%3],
			Account: fmt.Sprintf("U%07d", 1_000_000+i), Payee: fmt.Sprint("Payee ", i+1), Remark: "salary november",
			Amount: money.Amount(941_44 + i%977*17_03), Currency: []money.Currency{"USD", "USD", "USD", "JPY", "KWD"}[i%5], FeeEstimate: 57,
		}
	}
	return rows
}

func (o *office) imported(name string, rows []ledger.NewPayout, problems ...ledger.Problem) ledger.Batch {
	o.t.Helper()
	s, err := o.Stage(o.t.Context(), o.maker, name, "acct@example.com")
	must(o.t, err)
	for start := 0; start < len(rows); start += 1000 {
		must(o.t, s.Add(o.t.Context(), rows[start:min(start+1000, len(rows))]))
	}
	must(o.t, s.AddProblems(o.t.Context(), problems))
	n, bad := int64(len(rows)), int64(len(problems))
	batch, err := s.Publish(o.t.Context(), ledger.Counts{SourceDigest: "source of " + name, Read: n + bad, Accepted: n, Rejected: bad})
	must(o.t, err)
	return batch
}

func (o *office) approved(name string, rows []ledger.NewPayout, problems ...ledger.Problem) ledger.Batch {
	o.t.Helper()
	batch := o.imported(name, rows, problems...)
	must(o.t, o.Submit(o.t.Context(), o.maker, batch.ID))
	must(o.t, o.Approve(o.t.Context(), o.checker, batch.ID))
	return batch
}

func (o *office) claim(max int) []ledger.Claim {
	o.t.Helper()
	claimed, err := o.Claim(o.t.Context(), ledger.ClaimOrder{
		Worker: "w1", Max: max, Channels: []string{"11", "12", "16"}, Patience: 2 * time.Second,
		CallTimeout: 30 * time.Second, LimitsAge: time.Hour,
	})
	must(o.t, err)
	return claimed.Claims
}

func (o *office) record(findings ...ledger.Finding) {
	o.t.Helper()
	n, err := o.Record(o.t.Context(), "worker:w1", findings)
	must(o.t, err)
	if n != len(findings) {
		o.t.Fatalf("%d of %d findings took effect", n, len(findings))
	}
}

// end is how a claimed payout ends.
type end struct {
	to     ledger.State
	reason ledger.Reason
	status string
}

var ends = []end{
	{ledger.Succeeded, ledger.BySuccess, "7"}, {ledger.Succeeded, ledger.BySuccess, "7"}, {ledger.Succeeded, ledger.BySuccess, "7"},
	{ledger.Failed, ledger.ByFailure, "6"}, {ledger.FailedFee, ledger.ByKeptFee, "20"}, {ledger.Accepted, ledger.ByAcceptance, "1"},
	{ledger.Unknown, ledger.ByDoubt, ""}, {ledger.Succeeded, ledger.BySuccess, "7"}, {ledger.Review, ledger.ByConflict, "7"},
}

func (e end) finding(c ledger.Claim) ledger.Finding {
	return ledger.Finding{
		PayoutID: c.ID, AttemptID: c.AttemptID, From: ledger.Sending, To: e.to, Reason: e.reason, Note: "the gateway said so",
		Evidence:     &ledger.Evidence{Kind: ledger.EvidenceCreate, Heard: "accepted", HTTPStatus: 200, Code: "1", Status: e.status, Digest: "d"},
		GatewayOrder: fmt.Sprintf("E%016d", c.ID), Status: e.status, Fee: 41, FeeKnown: c.Ordinal%4 != 0,
		Rate: "1.0000", Received: money.Format(c.Amount, c.Currency) + " " + string(c.Currency), NextLookup: time.Minute,
	}
}

// busy fills the ledger with payouts in every state a sheet can reach.
func (o *office) busy(n int) {
	o.t.Helper()
	o.approved("November salaries", sheet("nov", n), ledger.Problem{
		Code: "amount-syntax", Severity: "rejected", Sheet: "Payouts", Row: int64(n + 2), Column: "D", Heading: "Amount", Value: "1,000.00",
		Message: "1,000.00 has a comma; write 1000.00",
	})
	claims := o.claim(n * 9 / 10)
	findings := make([]ledger.Finding, len(claims))
	for i, c := range claims {
		findings[i] = ends[i%len(ends)].finding(c)
	}
	o.record(findings...)
	o.imported("December salaries", sheet("dec", n/3))
	_, err := o.CloseDay(o.t.Context(), "user:ada")
	must(o.t, err)
}

var options = reports.Options{
	By: "user:mia", GatewayAccount: "acct@example.com", Version: "payrun 1.0.0",
	Channels: map[string]string{"11": "Perfect Money", "12": "Advcash", "16": "Payeer"},
}

func (o *office) path(name string) string { return filepath.Join(o.folder, name) }

func (o *office) workbook(filter reports.Filter) (path string, summary reports.Summary) {
	o.t.Helper()
	path = o.path("report.xlsx")
	summary, err := reports.Workbook(o.t.Context(), o.db, path, filter, options)
	must(o.t, err)
	return path, summary
}

func (o *office) csv(filter reports.Filter) (records [][]string, summary reports.Summary) {
	o.t.Helper()
	summary, err := reports.CSV(o.t.Context(), o.db, o.path("report.csv"), filter, options)
	must(o.t, err)
	file, err := os.Open(o.path("report.csv"))
	must(o.t, err)
	defer file.Close()
	records, err = csv.NewReader(file).ReadAll()
	must(o.t, err)
	return records, summary
}

// payouts returns all payouts of the ledger by order number.
func (o *office) payouts() map[string]ledger.Payout {
	o.t.Helper()
	all := map[string]ledger.Payout{}
	batches, err := o.Batches(o.t.Context())
	must(o.t, err)
	for _, b := range batches {
		must(o.t, o.EachPayout(o.t.Context(), b.ID, func(p *ledger.Payout) error {
			all[p.OrderNo()] = *p
			return nil
		}))
	}
	return all
}

// cells reads a sheet as its XML has it: numbers unformatted.
func cells(t testing.TB, path, sheet string) [][]string {
	t.Helper()
	f, err := excelize.OpenFile(path, excelize.Options{RawCellValue: true})
	must(t, err)
	defer f.Close()
	rows, err := f.GetRows(sheet)
	must(t, err)
	return rows
}

// table is a sheet (or csv) with one heading line, as column name to value.
func table(rows [][]string) []map[string]string {
	var lines []map[string]string
	for _, row := range rows[1:] {
		line := map[string]string{}
		for i, heading := range rows[0] {
			if i < len(row) {
				line[heading] = row[i]
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// number is how a spreadsheet writes the decimal of an amount.
func number(a money.Amount, c money.Currency) string {
	decimal := money.Format(a, c)
	if strings.Contains(decimal, ".") {
		decimal = strings.TrimRight(strings.TrimRight(decimal, "0"), ".")
	}
	return decimal
}

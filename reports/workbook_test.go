package reports_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"payrun/internal/money"
	"payrun/ledger"
	"payrun/reports"
)

var sheetNames = []string{"Summary", "Payouts", "Exceptions", "Journal", "Trial balance", "Approvals and audit", "Manifest"}

func TestTheWorkbookHasItsSheetsAndHeadings(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(30)
		path, _ := o.workbook(reports.Filter{})
		f, err := excelize.OpenFile(path)
		must(t, err)
		defer f.Close()
		if diff := cmp.Diff(sheetNames, f.GetSheetList()); diff != "" {
			t.Error(diff)
		}
		headings := map[string]string{
			"Payouts": "Batch|Sheet|Row|Reference|Order number|Gateway order|Channel|Channel name|Account|Payee|Currency|Amount|Fee|Fee is|Rate|" +
				"Received|Status|Gateway status|Attempts|Sent at|Ended at|Pay date|Held back because|Remark|Pays again",
			"Exceptions":    "Kind|Since|Days|Batch|Sheet|Row|Reference|Order number|Channel|Payouts|Currency|Amount|What is wrong|What to do next",
			"Journal":       "Entry|Business day|Time (UTC)|Kind|Batch|Order number|Account|Currency|Debit|Credit|By|Note|Corrects entry",
			"Trial balance": "Currency|Account|What it holds|Opening|Debits|Credits|Closing|Since then|Balance now|Ledger says|Difference",
		}
		for sheet, want := range headings {
			if got := strings.Join(cells(t, path, sheet)[0], "|"); got != want {
				t.Errorf("%s: %s", sheet, got)
			}
			panes, err := f.GetPanes(sheet)
			must(t, err)
			if !panes.Freeze || panes.YSplit != 1 {
				t.Errorf("%s: the headings are not frozen: %+v", sheet, panes)
			}
		}
		var charts int
		for name := range parts(t, path) {
			if strings.HasPrefix(name, "xl/charts/chart") {
				charts++
			}
		}
		if charts != 2*3 { // two for each currency
			t.Errorf("%d charts", charts)
		}
	})
}

// parts unzips a workbook.
func parts(t testing.TB, path string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(path)
	must(t, err)
	defer z.Close()
	all := map[string][]byte{}
	for _, entry := range z.File {
		r, err := entry.Open()
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, errors.Join(err, r.Close()))
		all[entry.Name] = content
	}
	return all
}

func TestEveryPayoutIsInWorkbookAndCSVWithExactAmounts(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		path, summary := o.workbook(reports.Filter{})
		records, twin := o.csv(reports.Filter{})
		want, sheet, file := o.payouts(), table(cells(t, path, "Payouts")), table(records)
		if len(sheet) != len(want) || len(file) != len(want) || summary.Payouts != int64(len(want)) || twin.Payouts != summary.Payouts {
			t.Fatalf("%d payouts, %d in the workbook, %d in the csv, %d and %d counted", len(want), len(sheet), len(file), summary.Payouts, twin.Payouts)
		}
		for i, line := range sheet {
			p := want[line["Order number"]]
			received := "" // what the gateway named for one that was not paid, nobody received
			if p.State == ledger.Succeeded {
				received = p.Received
			}
			same := map[string]string{
				"Batch": fmt.Sprint(p.BatchID), "Row": fmt.Sprint(p.Row), "Reference": p.Reference, "Gateway order": p.GatewayOrder,
				"Channel": p.Channel, "Channel name": options.Channels[p.Channel], "Account": "****" + p.Account[4:], "Payee": p.Payee,
				"Currency": string(p.Currency), "Status": string(p.State), "Gateway status": p.Status, "Attempts": fmt.Sprint(p.Attempts),
				"Rate": p.Rate, "Received": received, "Remark": p.Remark,
			}
			for column, value := range same {
				if line[column] != value || file[i][column] != value {
					t.Errorf("%s %s: %q in the workbook, %q in the csv, want %q", p.Reference, column, line[column], file[i][column], value)
				}
			}
			if line["Amount"] != number(p.Amount, p.Currency) || file[i]["Amount"] != money.Format(p.Amount, p.Currency) {
				t.Errorf("%s amount %d: %q in the workbook, %q in the csv", p.Reference, p.Amount, line["Amount"], file[i]["Amount"])
			}
			if got := file[i]["Ended at"]; p.EndedAt != 0 && got != p.EndedAt.String() || p.EndedAt == 0 && got != "" {
				t.Errorf("%s ended at %s: %q in the csv", p.Reference, p.EndedAt, got)
			}
		}
	})
}

func TestFeesSayWhereTheyComeFrom(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		records, _ := o.csv(reports.Filter{})
		seen := map[string]bool{}
		all := o.payouts()
		for _, line := range table(records) {
			p := all[line["Order number"]]
			want, source := p.FeeEstimate, "estimate, held"
			switch {
			case p.State == ledger.Failed || p.State == ledger.Cancelled:
				want, source = 0, ""
			case (p.State == ledger.Succeeded || p.State == ledger.FailedFee) && p.FeeKnown == 1:
				want, source = 41, "gateway"
			case p.State == ledger.Succeeded || p.State == ledger.FailedFee:
				want, source = 57, "estimate, booked"
			}
			seen[source] = true
			if line["Fee"] != money.Format(want, p.Currency) || line["Fee is"] != source {
				t.Errorf("%s %s: fee %s (%s), want %d (%s)", p.State, p.Reference, line["Fee"], line["Fee is"], want, source)
			}
		}
		if len(seen) != 4 {
			t.Errorf("the ledger shows only %v", seen)
		}
	})
}

func TestTheSameSnapshotMakesTheSameBytes(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(40)
		path, first := o.workbook(reports.Filter{})
		bytes1, err := os.ReadFile(path)
		must(t, err)
		sum := sha256.Sum256(bytes1)
		if first.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("the summary says %s, the file is %x", first.SHA256, sum)
		}
		for range 5 { // a map's order shows up sooner or later
			path, again := o.workbook(reports.Filter{})
			bytes2, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(bytes1, bytes2) || again.SHA256 != first.SHA256 {
				t.Fatal("the same snapshot made another file")
			}
		}
	})
}

func TestTheManifestNamesTheCSVsDigest(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(20)
		for _, filter := range []reports.Filter{{}, {Channel: "11"}, {Batch: 2}} {
			path, workbook := o.workbook(filter)
			_, csv := o.csv(filter)
			manifest := map[string]string{}
			for _, row := range cells(t, path, "Manifest") {
				if len(row) > 1 {
					manifest[row[0]] = row[1]
				}
			}
			if manifest["Payouts"] != csv.SHA256 {
				t.Errorf("%+v: the manifest names %s, the csv is %s", filter, manifest["Payouts"], csv.SHA256)
			}
			if manifest["Audit chain head"] != workbook.AuditHead || manifest["Audit position"] != fmt.Sprint(workbook.AuditPosition) {
				t.Errorf("the manifest names audit position %s and head %s", manifest["Audit position"], manifest["Audit chain head"])
			}
			position, head, err := o.Head(t.Context())
			must(t, err)
			if workbook.AuditHead != head || workbook.AuditPosition != position {
				t.Errorf("the summary's audit head is %s at %d, the ledger's %s at %d", workbook.AuditHead, workbook.AuditPosition, head, position)
			}
			if manifest["As of (UTC)"] != workbook.AsOf.String() || manifest["Software"] != options.Version || manifest["Database schema"] == "-" {
				t.Errorf("origin: %v", manifest)
			}
		}
	})
}

func TestJournalAndTrialBalanceAgreeWithTheBooks(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		path, _ := o.workbook(reports.Filter{})
		debits, credits, byAccount := map[string]money.Amount{}, map[string]money.Amount{}, map[string]money.Amount{}
		for _, line := range table(cells(t, path, "Journal")) {
			c := money.Currency(line["Currency"])
			debit, credit := parsed(t, line["Debit"], c), parsed(t, line["Credit"], c)
			debits[line["Currency"]] += debit
			credits[line["Currency"]] += credit
			byAccount[line["Currency"]+line["Account"]] += debit - credit
		}
		if diff := cmp.Diff(debits, credits); diff != "" || len(debits) != 3 {
			t.Errorf("debits and credits differ: %s", diff)
		}
		balances, err := o.Balances(t.Context())
		must(t, err)
		for _, b := range balances {
			c := string(b.Currency)
			want := map[string]money.Amount{"funding": b.Funding, "available": b.Available, "held": b.Held, "paid": b.Paid, "fees": b.Fees, "suspense": b.Suspense}
			for account, balance := range want {
				if byAccount[c+account] != balance {
					t.Errorf("%s %s: the journal adds up to %d, the balance is %d", c, account, byAccount[c+account], balance)
				}
			}
			for _, line := range table(cells(t, path, "Trial balance")) {
				if line["Currency"] != c {
					continue
				}
				if closing := parsed(t, line["Closing"], b.Currency); closing != want[line["Account"]] {
					t.Errorf("%s %s: closing %d, want %d", c, line["Account"], closing, want[line["Account"]])
				}
				if line["Account"] == "total" && (line["Debits"] != line["Credits"] || line["Debits"] == "0") {
					t.Errorf("%s: debits %s, credits %s", c, line["Debits"], line["Credits"])
				}
			}
		}
	})
}

// parsed reads a number cell exactly; an empty cell is 0.
func parsed(t testing.TB, cell string, c money.Currency) money.Amount {
	t.Helper()
	if cell == "" {
		return 0
	}
	a, err := money.Parse(cell, c)
	must(t, err)
	return a
}

func TestTheSummaryAddsUpThePayouts(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		path, summary := o.workbook(reports.Filter{})
		type sum struct {
			count  int64
			amount money.Amount
		}
		want := map[string]sum{}
		for _, p := range o.payouts() {
			key := string(p.Currency) + " " + string(p.State)
			want[key] = sum{want[key].count + 1, want[key].amount + p.Amount}
		}
		returned := map[string]sum{}
		for _, total := range summary.Totals {
			returned[string(total.Currency)+" "+string(total.State)] = sum{total.Payouts, total.Amount}
		}
		shown := map[string]sum{}
		for _, row := range cells(t, path, "Summary") {
			if len(row) < 7 || want[row[0]+" "+row[1]].count == 0 {
				continue
			}
			n, err := strconv.ParseInt(row[2], 10, 64)
			must(t, err)
			shown[row[0]+" "+row[1]] = sum{n, parsed(t, row[3], money.Currency(row[0]))}
		}
		for name, got := range map[string]map[string]sum{"returned": returned, "shown": shown} {
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(sum{})); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		for _, row := range cells(t, path, "Summary") {
			if len(row) == 6 && strings.HasPrefix(row[1], "paid to payees") && (row[3] != row[4] || row[5] != "0") {
				t.Errorf("comparison: %v", row)
			}
		}
	})
}

func TestExceptionsSayWhatIsWrongAndWhatToDo(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		path, _ := o.workbook(reports.Filter{})
		lines := table(cells(t, path, "Exceptions"))
		got := map[string]int{}
		for _, line := range lines {
			got[line["Kind"]]++
			if again := "payrun repay " + line["Order number"] + " "; line["Kind"] == "failed, fee kept" && !strings.HasPrefix(line["What to do next"], again) {
				t.Errorf("%q does not start with %q", line["What to do next"], again)
			}
			if line["What is wrong"] == "" || line["What to do next"] == "" || line["Since"] == "" || line["Days"] != "0" {
				t.Errorf("incomplete: %v", line)
			}
		}
		want := map[string]int{"in-doubt": 0, "review": 0, "failed, fee kept": 0, "approved, not sent": 1, "fee not named": 6, "sheet, refused": 1}
		for _, p := range o.payouts() {
			switch p.State {
			case ledger.Unknown:
				want["in-doubt"]++
			case ledger.Review:
				want["review"]++
			case ledger.FailedFee:
				want["failed, fee kept"]++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		last := lines[len(lines)-1]
		if last["Row"] != "62" || last["What is wrong"] != "Amount: 1,000.00 has a comma; write 1000.00" {
			t.Errorf("refused row: %v", last)
		}
	})
}

// Whoever is told to import a row again that was imported pays it twice.
// The Summary and the Manifest fill their pages. Nothing goes beyond the width:
// a long sentence there would make everything else too small to read.
func TestPagesForReadingFitOnPaper(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		path, _ := o.workbook(reports.Filter{})
		file, err := excelize.OpenFile(path)
		must(t, err)
		defer file.Close()
		for _, sheet := range []string{"Summary", "Manifest"} { // in three currencies
			layout, err := file.GetPageLayout(sheet)
			must(t, err)
			if *layout.Orientation != "portrait" || *layout.FitToWidth != 1 || *layout.FitToHeight != 2 {
				t.Errorf("%s: %s, %d pages wide, %d tall", sheet, *layout.Orientation, *layout.FitToWidth, *layout.FitToHeight)
			}
		}
		merged, err := file.GetMergeCells("Summary")
		must(t, err)
		if len(merged) == 0 {
			t.Error("no next step reaches over the columns beside it")
		}
		for _, cells := range merged {
			if step := cells.GetCellValue(); step == "" || len(step) > 130 || cells.GetEndAxis()[:1] != "G" {
				t.Errorf("%s to %s: %q", cells.GetStartAxis(), cells.GetEndAxis(), step)
			}
		}
		if last, err := file.GetPageLayout("Payouts"); err != nil || *last.FitToHeight != 0 {
			t.Errorf("a table is pressed onto one page: %v", err)
		}
	})
}

func TestOnlyRefusedRowsAreToBeImportedAgain(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		again := "correct the row and import it in a new sheet, if it should be paid"
		o.warned("open", 1)
		o.warned("confirmed", 2)
		o.warned("approved", 3)
		o.warned("discarded", 4)
		for batch := int64(2); batch <= 3; batch++ {
			kinds, err := o.WarningKinds(t.Context(), batch)
			must(t, err)
			for _, kind := range kinds {
				_, err := o.ConfirmWarnings(t.Context(), o.maker, batch, kind.Code, 0)
				must(t, err)
			}
		}
		must(t, o.Submit(t.Context(), o.maker, 3))
		_, err := o.ConfirmWarnings(t.Context(), o.checker, 3, "payee-repeated", 0)
		must(t, err)
		must(t, o.Approve(t.Context(), o.checker, 3))
		must(t, o.Discard(t.Context(), o.maker, 4, "wrong month"))

		path, _ := o.workbook(reports.Filter{})
		got := map[string]string{}
		for _, line := range table(cells(t, path, "Exceptions")) {
			if strings.HasPrefix(line["Kind"], "sheet") {
				got[strings.Join([]string{line["Batch"], line["Kind"], line["Row"], line["What is wrong"]}, "|")] = line["What to do next"]
			}
		}
		want := map[string]string{
			"1|sheet, warning|2|odd":         "confirm it: payrun batch confirm 1 --row 2",
			"1|sheet, warning|3|twice":       "confirm it: payrun batch confirm 1 --row 3",
			"2|sheet, warning|2|odd":         "confirmed by mia; the row was imported and waits with its batch: nothing to do",
			"2|sheet, warning|3|twice":       "confirmed by mia; the row was imported and waits with its batch: nothing to do",
			"3|sheet, warning|2|odd":         "confirmed by mia, checked by charles; the row was imported: nothing to do",
			"3|sheet, warning|3|twice":       "confirmed by mia, checked by charles; the row was imported: nothing to do",
			"4|sheet, warning|2|odd":         "the batch was discarded: nothing to do",
			"4|sheet, warning|3|twice":       "the batch was discarded: nothing to do",
			"4|sheet, warning|9|odd as well": "the batch was discarded: nothing to do",
			"4|sheet, refused|9|no amount":   "the batch was discarded: nothing to do",
		}
		for _, batch := range []string{"1", "2", "3"} {
			want[batch+"|sheet, refused|9|no amount"] = again
			want[batch+"|sheet, warning|9|odd as well"] = again
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, row := range cells(t, path, "Summary") {
			if len(row) > 2 && row[1] == "sheet, warning" && row[2] != "confirm it: payrun batch confirm 1 --row 2" {
				t.Errorf("summary: %q", row)
			}
		}
	})
}

func TestTextNeverBecomesAFormula(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		hostile := []string{"=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(1)", "\tx", "\rx", "=1+1\nnext", `quote " and, comma`, " leading", "_x000D_", "<b>&amp;", "\u202eabc", "'=1"}
		rows := sheet("hostile", len(hostile))
		for i, words := range hostile {
			rows[i].Payee, rows[i].Remark, rows[i].Reference = words, words, words
		}
		o.approved("=HYPERLINK(\"http://127.0.0.1\")", rows)
		path, _ := o.workbook(reports.Filter{})
		f, err := excelize.OpenFile(path)
		must(t, err)
		defer f.Close()
		for i, line := range table(cells(t, path, "Payouts")) {
			if want := hostile[i]; line["Payee"] != want || line["Remark"] != want {
				t.Errorf("%q came back as %q", want, line["Payee"])
			}
			kind, err := f.GetCellType("Payouts", fmt.Sprint("J", i+2))
			must(t, err)
			if kind != excelize.CellTypeInlineString {
				t.Errorf("%q is a cell of type %d", hostile[i], kind)
			}
		}
		for name, content := range parts(t, path) {
			if strings.HasPrefix(name, "xl/worksheets/sheet") && bytes.Contains(content, []byte("<f>")) {
				t.Errorf("%s has a formula", name)
			}
		}
		records, _ := o.csv(reports.Filter{})
		for i, line := range table(records) {
			want := hostile[i]
			if strings.ContainsAny(want[:1], "=+-@\t\r") {
				want = "'" + want
			}
			if line["Payee"] != want {
				t.Errorf("csv: %q came back as %q", hostile[i], line["Payee"])
			}
		}
	})
}

func TestNoWholeAccountNumberLeavesTheLedger(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		rows := sheet("canary", 9)
		for i := range rows {
			rows[i].Account = fmt.Sprintf("P9CANARY%04d", i)
		}
		o.approved("canary", rows)
		findings := []ledger.Finding{}
		for i, c := range o.claim(9) {
			f := ends[[]int{6, 8, 4}[i%3]].finding(c)
			f.Note = "the gateway echoed account " + c.Account
			findings = append(findings, f)
		}
		o.record(findings...)
		path, _ := o.workbook(reports.Filter{})
		for name, content := range parts(t, path) {
			if bytes.Contains(content, []byte("CANARY")) {
				t.Errorf("%s shows an account number", name)
			}
		}
		_, err := reports.CSV(t.Context(), o.db, o.path("report.csv"), reports.Filter{}, options)
		must(t, err)
		content, err := os.ReadFile(o.path("report.csv"))
		must(t, err)
		if bytes.Contains(content, []byte("CANARY")) || !bytes.Contains(content, []byte("****0008")) {
			t.Error("the csv does not mask accounts")
		}
	})
}

func TestALongTableGoesOnOnTheNextSheet(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(30)
		path := o.path("short.xlsx")
		const rows = 15 // of a sheet, headings included
		_, err := reports.WorkbookOfShortSheets(t.Context(), o.db, path, rows, options)
		must(t, err)
		f, err := excelize.OpenFile(path)
		must(t, err)
		defer f.Close()
		orders, all := map[string]bool{}, o.payouts()
		for i := range (len(all) + rows - 2) / (rows - 1) {
			name := "Payouts"
			if i > 0 {
				name += " " + strconv.Itoa(i+1)
			}
			part := cells(t, path, name)
			if len(part) > rows || part[0][0] != "Batch" {
				t.Errorf("%s has %d rows and starts with %v", name, len(part), part[0])
			}
			for _, line := range table(part) {
				orders[line["Order number"]] = true
			}
		}
		if len(orders) != len(all) {
			t.Errorf("%d of %d payouts are on the sheets %v", len(orders), len(all), f.GetSheetList())
		}
		if list := f.GetSheetList(); slices.Index(list, "Payouts 2") != slices.Index(list, "Payouts")+1 {
			t.Errorf("sheets in the order %v", list)
		}
	})
}

func TestAnEmptyLedgerMakesAnEmptyReport(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		path, summary := o.workbook(reports.Filter{Batch: 99})
		records, _ := o.csv(reports.Filter{Batch: 99})
		if summary.Payouts != 0 || len(summary.Totals) != 0 || len(records) != 1 || len(cells(t, path, "Payouts")) != 1 {
			t.Errorf("%+v, csv %v", summary, records)
		}
	})
}

package main

import (
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
)

// TestProfiles saves, uses and removes an import profile.
func TestProfiles(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, checker := p.people()
	riga := p.file("riga.yaml", "# how Riga writes\ncolumns: {account: Konto}\nchannel: Payeer\ncurrency: USD\ndecimal_mark: ','\n", 0o600)
	wrong := p.file("wrong.yaml", "colour: red\n", 0o600)
	sheet := p.file("sheet.csv", "Konto;Amount;Team\nP10000001;10,50;Sales\n", 0o600)

	p.as(checker).run("profile", "add", "riga", riga).exits(exitRefused).complains("needs the role maker or admin")
	p.run("profile", "add", "riga", riga).exits(exitRefused).complains("who you are")
	p.as(maker).run("profile", "add", "riga", wrong).exits(exitUsage).complains("colour")
	p.as(maker).run("profile", "add", "Riga!", riga).exits(exitUsage).complains("cannot be its name")
	p.as(maker).run("profile", "add", "riga", "/no/such/file").exits(exitFailure).complains("cannot be read: there is no file called /no/such/file")
	p.as(maker).must("profile", "add", "riga", riga).says("is saved")
	p.as(maker).run("profile", "add", "riga", riga).exits(exitRefused).complains("--replace")
	p.as(maker).must("profile", "add", "riga", riga, "--replace")
	p.must("profile", "list").says("riga", "preset: WebMoney")
	p.must("profile", "show", "riga").says("account: Konto", "channel: Payeer")
	p.run("profile", "show", "oslo").exits(exitRefused).complains("profile list")

	p.run("import", "--dry-run", sheet).exits(exitSheet).complains("No row of headings", "--map")
	p.must("import", "--dry-run", "--profile", "riga", sheet).says("1 good row", "Konto    account", "(kept, not interpreted)")
	p.must("import", "--dry-run", "--map", "account=Konto", "--map", "pay-date=B", "--map", "amount=heading:Amount", "--channel", "16", "--currency", "USD",
		p.file("by-hand.csv", "Konto;Wann;Amount\nP10000001;2026-11-30;10.50\n", 0o600)).says("1 good row", "pay date")
	p.as(maker).must("import", "--profile", "riga", sheet)
	p.must("batch", "show", "1").says("read by import profile riga")
	p.run("import", "--dry-run", "--profile", "oslo", sheet).exits(exitRefused).complains("no such import profile")
	p.run("import", "--dry-run", "--map", "wallet=A", sheet).exits(exitUsage).complains("no field is called")
	swapped := p.file("swapped.csv", "10.00;P10000451;hello;R1\n", 0o600)
	p.run("import", "--dry-run", "--profile", "webmoney", "--channel", "16", "--currency", "USD", swapped).exits(exitSheet).complains(`B is the amount "…0451"`, "--map")
	p.must("import", "--dry-run", "--profile", "webmoney", "--channel", "16", "--currency", "USD", "--map", "account=B", "--map", "amount=A", "--confirm-columns", swapped).says("1 good row")
	p.run("import", "--dry-run", "--map", "account=A", "--map", "amount=A", sheet).exits(exitUsage).complains("both")
	p.run("import", "--dry-run", "--map", "account", sheet).exits(exitUsage).complains("FIELD=COLUMN")
	p.run("import", "--dry-run", "--channel", "gold", sheet).exits(exitUsage).complains("no channel")

	p.as(maker).must("profile", "remove", "riga").says("is removed")
	p.as(maker).run("profile", "remove", "riga").exits(exitRefused)
	p.as(maker).run("profile", "remove", "paypal").exits(exitUsage).complains("preset")
	p.must("verify")
}

// The copy of a csv sheet has its text, so that it needs the same profile: without
// it every row failed, and nothing had said so.
func TestACopySaysHowItIsRead(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	mia := p.as(maker)
	mia.must("profile", "add", "riga", p.file("riga.yaml", "columns: {account: Konto}\ndecimal_mark: ','\n", 0o600))
	sheet := p.file("sheet.csv", "Konto;Amount;Ref no\nP10000001;10,50;1\nP10000002;nil;2\nTotal;10,50;\n", 0o600)
	args := []string{"--profile", "riga", "--map", "reference=Ref no", "--channel", "16", "--currency", "USD"}
	const again = "--profile riga --map 'reference=Ref no' --channel 16 --currency USD"
	mia.run(append([]string{"import", sheet}, args...)...).exits(exitSheet).says("correct them there and hand that in,\nas before with " + again + ".")
	mia.run("import", p.sheet(badRow)).exits(exitSheet).says("correct them there and hand that in.").lacks("as before")
	q := newPlace(t)
	q.run("run", "--channel", "16", q.file("q.csv", "Account,Amount,Currency\nP10000001,nil,USD\n", 0o600)).exits(exitSheet).says("as before with --channel 16.")

	mia.must(append([]string{"import", "--good-rows", "--totals", "1 good, 1 bad, 10.50 USD", sheet}, args...)...)
	file, err := excelize.OpenFile(sheet + ".problems-2.xlsx")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	todo, err := file.GetCellValue(importers.ProblemsSheet, "A3")
	for _, want := range []string{"The sheet was read with " + again + ", and this file needs the same", "Delete the grey rows first", "own total or count still has them in it"} {
		if err != nil || !strings.Contains(todo, want) {
			t.Errorf("the summary lacks %q: %q %v", want, todo, err)
		}
	}
}

// TestSheetsWithoutHeadings shows the first row before anything is imported.
func TestSheetsWithoutHeadings(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sheet := p.file("webmoney.csv", "P10000009;12.50;Bonus;A1\n", 0o600)
	args := []string{"import", "--dry-run", "--profile", "webmoney", "--channel", "payeer", "--currency", "USD", sheet}
	p.run(args...).exits(exitSheet).complains(`A is the account "…0009"`, "--confirm-columns")
	p.must(append(args, "--confirm-columns")...).says("1 good row", "12.50")
}

// TestGoodRowsAlone wants to hear what is left.
func TestGoodRowsAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	sheet := p.sheet("R-1,16,P10000001,10.00,USD,A", "R-2,16,P10000002,0,USD,B")
	const totals = "1 good, 1 bad, 10.00 USD"
	p.run("import", "--dry-run", sheet).exits(exitSheet).complains("--good-rows")
	p.must("import", "--dry-run", "--good-rows", sheet).says(totals)
	p.as(maker).run("import", "--good-rows", sheet).exits(exitSheet).complains("1 good, 1 bad, 10.00 USD", "--totals")
	p.as(maker).run("import", "--good-rows", "--totals", "2 good", sheet).exits(exitSheet)
	p.as(maker).must("import", "--good-rows", "--totals", totals, sheet).says("Batch 1,")
	p.must("batch", "show", "1").says("its maker confirmed: " + totals)
}

// TestFirstPaymentsAreConfirmed as the settings want it.
func TestFirstPaymentsAreConfirmed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "PAYRUN_WARNINGS_LARGE_AMOUNT=50")
	_, maker, _ := p.people()
	for i, c := range []struct{ setting, want string }{{"all", "3 warnings to confirm"}, {"large", "1 warning to confirm"}, {"none", "Next: payrun batch submit"}} {
		sheet := p.sheet("R-1,16,P10000001,50.00,USD,A", "R-2,16,P10000002,50.01,USD,B", []string{"R-3,16,P10000003,1.00,USD,C", "R-4,16,P10000004,1.00,USD,D", "R-5,16,P10000005,1.00,USD,E"}[i])
		q := p.with("PAYRUN_WARNINGS_FIRST_PAYMENT="+c.setting, "PAYRUN_WARNINGS_REPEATS_WITHIN=0", "PAYRUN_WARNINGS_REFERENCES_WITHIN=0")
		q.as(maker).must("import", sheet).says(c.want)
	}
}

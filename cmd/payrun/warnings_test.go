package main

import (
	"slices"
	"testing"
)

// What a team did whose sheet came again with one amount corrected, after the
// first was approved: the corrected payout was paid twice without a word.
func TestACorrectedSheetIsNotPaidAgainUnnoticed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	mia, carl := p.as(maker), p.as(checker)
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x")
	mia.must("import", p.sheet(goodRows(3)...))
	mia.must("batch", "submit", "1")
	carl.must("batch", "approve", "1")

	rows := goodRows(3)
	rows[1] = "R-002,Perfect Money,U001000907,111.25,USD,Payee 2"
	mia.must("import", p.sheet(rows...)).says("3 warnings to confirm first: payrun batch warnings 2")
	const meaning = "the reference was paid under already"
	p.must("batch", "show", "2").says("reference-used", meaning, "payee-paid-before")
	p.must("batch", "warnings", "2", "--kind", "reference-used").says(`row 3  111.25 USD to ****0907, "Payee 2"  reference-used`,
		"Row 3 of batch 1 (payouts.csv) has the reference \"R-002\" too, and pays\n    11.25 USD to ****0907; it is not sent yet. Confirm that both are meant.")
	var listed struct{ Warnings []warningView }
	p.must("--json", "batch", "warnings", "2", "--kind", "reference-used").document(&listed)
	if len(listed.Warnings) != 1 || listed.Warnings[0].RepeatsBatch != 1 || listed.Warnings[0].RepeatsRow != 3 || listed.Warnings[0].Amount != "111.25" {
		t.Errorf("for programs: %+v", listed.Warnings)
	}
	mia.must("batch", "confirm", "2", "--kind", "payee-paid-before")
	mia.run("batch", "submit", "2").exits(exitRefused).complains("1 of reference-used", "payrun batch confirm 2 --kind reference-used confirms them, by name")
	mia.must("batch", "confirm", "2", "--kind", "reference-used", "--row", "3").says("1 of reference-used, 111.25 USD: " + meaning)
	mia.must("batch", "submit", "2")
	carl.must("batch", "confirm", "2", "--kind", "payee-paid-before")
	carl.run("batch", "approve", "2").exits(exitRefused).complains("1 of reference-used")
	carl.must("batch", "confirm", "2", "--row", "3")
	carl.must("batch", "approve", "2")
	p.must("batch", "warnings", "2").says("confirmed by mia, checked by carl")
	p.must("verify")
}

// What a team read of a sheet that came three times: only that a discarded
// batch pays the same, while the first one was approved.
func TestWhatLivesIsNamedAndCounted(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	admin, maker, checker := p.people()
	mia, carl := p.as(maker), p.as(checker)
	p.as(admin).must("funds", "add", "1000.00", "USD", "--evidence", "x")
	rows := goodRows(3)
	for i, row := range rows {
		rows[i] = row[len("R-001"):]
	}
	mia.must("import", p.sheet(rows...))
	mia.must("import", p.sheet(rows[1], rows[0], rows[2]))
	mia.must("import", p.sheet(rows[:2]...))
	mia.must("import", p.sheet(rows[0])).says("PAID TWICE? The only row is in batch 1 already (VALID), same wallet and amount: 10.25 USD",
		"PAID TWICE? The only row is in batch 2 already", "PAID TWICE? The only row is in batch 3 already")
	p.must("batch", "show", "2").says("PAID TWICE? 1 of these 3 rows is in batch 4 already (VALID)", "PAID TWICE? 3 of these 3 rows are in batch 1 already (VALID)")
	mia.must("batch", "confirm", "3", "--kind", "payee-waiting")
	mia.must("batch", "discard", "2", "--reason", "twice")
	mia.must("batch", "discard", "4", "--reason", "twice")
	mia.must("batch", "submit", "1")
	carl.must("batch", "approve", "1")

	twice := "PAID TWICE? 2 of these 2 rows are in batch 1 already (APPROVED), same wallet and amount"
	p.must("batch", "show", "3").says(twice, "2 not yet, by the maker", "Next, mia: payrun batch warnings 3")
	p.must("batch", "warnings", "3").says("Row 2 of batch 1 pays the same amount to the same account; it is not sent").lacks("CANCELLED", "confirmed by")
	mia.run("batch", "submit", "3").exits(exitRefused).says(twice).complains("2 of payee-waiting", "payrun batch confirm 3 --kind payee-waiting")
	mia.must("batch", "confirm", "3", "--kind", "payee-waiting")
	mia.must("batch", "submit", "3").says(twice)
	p.must("verify")
}

// A sheet is known by its file, and by its count and totals, in a person's
// words; a setting leaves the second out.
func TestASheetAsAWholeIsKnownAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	mia := p.as(maker)
	rows := append(goodRows(2), badRow)
	path := p.sheet(rows...)
	mia.must("import", "--good-rows", "--totals", "2 good, 1 bad, 21.50 USD", path)
	mia.must("stop", "wallet", "--of", p.orders(1)[0], "--reason", "wrong person")
	mia.must("import", "--good-rows", "--totals", "1 good, 2 bad, 11.25 USD", path)
	p.must("batch", "show", "2").says("file-used", "the same file was imported before, with other rows")
	p.must("batch", "warnings", "2", "--kind", "file-used").says("the sheet as a whole  file-used",
		"Batch 1 (payouts.csv, VALID) came from this very file, with other rows.\n    Look at both: payrun batch show 1")
	mia.must("batch", "confirm", "2", "--kind", "file-used").says("1 of file-used: the same file was imported before")

	others := []string{"S-1,Perfect Money,U100000907,20.25,USD,One", "S-2,Perfect Money,U101000907,1.25,USD,Two"}
	mia.must("import", p.sheet(others...)).says("1 warning to confirm first: payrun batch warnings 3")
	p.must("batch", "warnings", "3").says("the sheet as a whole  totals-repeated", "Batch 1 (payouts.csv, VALID) has as many payouts and the same totals.")
	slices.Reverse(others)
	mia.with("PAYRUN_WARNINGS_REPEATS_WITHIN=0", "PAYRUN_WARNINGS_REFERENCES_WITHIN=0").must("import", p.sheet(others...)).says("Next: payrun batch submit 4")
}

// A maker who confirmed one of three repeats was told that three were left,
// and of two rows only the last was confirmed.
func TestRowsAreConfirmedOneByOneAndTogether(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, checker := p.people()
	mia, carl := p.as(maker), p.as(checker)
	var rows []string
	for _, reference := range []string{"A", "B", "C", "D", "E"} { // rows 3 to 6 repeat row 2
		rows = append(rows, reference+",Perfect Money,U100000907,20.25,USD,One")
	}
	mia.must("import", p.sheet(rows...)).says("4 warnings to confirm first")
	mia.must("batch", "confirm", "1", "--row", "4").says("1 warning confirmed", "Not confirmed: 3 of payee-repeated")
	mia.run("batch", "confirm", "1", "--row", "3", "--row", "4").exits(exitRefused).complains("no such warning in row 4 that waits for a maker")
	p.must("batch", "show", "1").says("3 not yet, by the maker")
	mia.must("batch", "confirm", "1", "--row", "3", "--row", "5", "--row", "3").
		says("2 warnings confirmed", "2 of payee-repeated, 40.50 USD", "Not confirmed: 1 of payee-repeated")
	mia.must("batch", "confirm", "1", "--row", "6").lacks("Not confirmed")
	mia.run("batch", "confirm", "1", "--row", "0").exits(exitUsage)
	mia.must("batch", "submit", "1")
	carl.must("batch", "confirm", "1", "--row", "3,4").says("2 warnings confirmed", "Not confirmed: 2 of payee-repeated")
	p.must("verify")
}

// A maker who confirms by kind has to read of each column.
func TestEveryColumnThatIsAskedAboutIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	mia := p.as(maker)
	mia.must("import", p.file("odd.csv", "Channel / Kanał,Account,Amount / Kwota,Currency,,\nPayeer,P10000451,5.00,USD,not before Monday,2027-01-15\n", 0o600))
	p.must("--json", "batch", "warnings", "1").says("column A (Channel / Kanał) is read as the channel; column C (Amount / Kwota) is read as the amount",
		"column E (row 2) and column F (row 2)")
	mia.must("batch", "confirm", "1", "--all")
	mia.must("batch", "submit", "1")
	p.must("verify")
}

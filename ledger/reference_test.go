package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/ledger"
)

// noting looks for references alone, and both for repeats as well.
var (
	noting = ledger.Scrutiny{References: 24 * time.Hour}
	both   = ledger.Scrutiny{References: 24 * time.Hour, Repeats: 24 * time.Hour}
)

// changed is one row with the reference a, to P1 over 10.00, and a change.
func changed(change func(*ledger.NewPayout)) []ledger.NewPayout {
	rows := referenced("a", pays("P1 10"))
	change(&rows[0])
	return rows
}

// likeA are sheets with the reference of a payment of 10.00 to P1, and what is
// said of them: when that payment was approved, and while it waits.
var likeA = []struct {
	name          string
	account       string
	look          ledger.Scrutiny
	rows          []ledger.NewPayout
	used, waiting []string
}{
	{"another amount", "", both, changed(func(p *ledger.NewPayout) { p.Amount++ }), []string{"2 reference-used"}, []string{"2 reference-waiting"}},
	{"another wallet", "", both, changed(func(p *ledger.NewPayout) { p.Account = "P8" }), []string{"2 reference-used"}, []string{"2 reference-waiting"}},
	{"another channel", "", both, changed(func(p *ledger.NewPayout) { p.Channel = "11" }), []string{"2 reference-used"}, []string{"2 reference-waiting"}},
	{"another currency", "", both, changed(func(p *ledger.NewPayout) { p.Currency = "EUR" }), []string{"2 reference-used"}, []string{"2 reference-waiting"}},
	{"the same payment", "", both, changed(func(p *ledger.NewPayout) { p.Remark = "x" }), []string{"2 payee-paid-before"}, []string{"2 payee-waiting"}},
	{"the same payment, where repeats are not looked for", "", noting, changed(func(p *ledger.NewPayout) { p.PayDate = "2026-12-01" }),
		[]string{"2 reference-used"}, []string{"2 reference-waiting"}},
	{"the same payment, before repeats are looked for", "", ledger.Scrutiny{References: 24 * time.Hour, Repeats: time.Minute},
		changed(func(p *ledger.NewPayout) { p.PayDate = "2026-12-01" }), []string{"2 reference-used"}, []string{"2 payee-waiting"}},
	{"the same wallet and amount under another reference", "", both, referenced("z", pays("P1 10")), []string{"2 payee-paid-before"}, []string{"2 payee-waiting"}},
	{"no reference", "", both, pays("P8 10", "P9 11"), nil, nil},
	{"another reference", "", both, referenced("z", pays("P8 10")), nil, nil},
	{"only repeats are looked for", "", ledger.Scrutiny{Repeats: 24 * time.Hour}, changed(func(p *ledger.NewPayout) { p.Amount++ }), nil, nil},
	{"another gateway account", "other@example.com", both, changed(func(p *ledger.NewPayout) { p.Amount++ }), nil, nil},
	{"one row of several", "", both, referenced("zay", pays("P7 1", "P8 2", "P9 3")), []string{"3 reference-used"}, []string{"3 reference-waiting"}},
}

// TestAReferenceThatIsUsedIsNoticed, with what was approved and with what
// waits, and once where it is the same payment.
func TestAReferenceThatIsUsedIsNoticed(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		// The row without a reference must never be found by having none.
		first := o.scrutinized("first", append(referenced("ab", pays("P1 10", "P2 20")), pays("P3 30")...), ledger.Scrutiny{})
		try := func(when string, wanted func(i int) []string) {
			t.Helper()
			for i, tt := range likeA {
				account := tt.account
				if account == "" {
					account = "acct@example.com"
				}
				b := o.from(account, tt.name, tt.rows, tt.look)
				same(t, tt.name+", "+when, o.wanted(b.ID), wanted(i))
				again := strings.HasPrefix(tt.name, "the same payment") && wanted(i) != nil
				if overlaps, err := o.Overlaps(ctx, b.ID); err != nil || (len(overlaps) == 1) != again {
					t.Errorf("%s, %s: it pays again %+v, %v", tt.name, when, overlaps, err)
				}
				must(t, o.Discard(ctx, o.maker, b.ID, "twice"))
			}
		}
		waiting := func(i int) []string { return likeA[i].waiting }
		try("valid", waiting)
		must(t, o.Submit(ctx, o.maker, first.ID))
		try("submitted", waiting)
		must(t, o.Approve(ctx, o.checker, first.ID))
		for look, want := range map[*ledger.Scrutiny][]string{&noting: {"2 reference-used"}, &monthly: {"2 payee-paid-before"}} {
			now := o.scrutinized("at once", referenced("a", pays("P1 10")), *look)
			same(t, "where one of two is looked for, in the same instant", o.wanted(now.ID), want)
			must(t, o.Discard(ctx, o.maker, now.ID, "twice"))
		}
		now := o.scrutinized("at once", referenced("a", pays("P1 11")), monthly)
		same(t, "where references are not looked for, in the same instant", o.wanted(now.ID), nil)
		must(t, o.Discard(ctx, o.maker, now.ID, "twice"))
		c.advance(2 * time.Minute)
		try("approved", func(i int) []string { return likeA[i].used })

		corrected := referenced("a", pays("P1 11"))
		corrected[0].Row = 7
		b := o.scrutinized("corrected", corrected, both)
		warnings, err := o.Warnings(ctx, b.ID, ledger.ReferenceUsed, 10)
		want := ledger.Repeated{Batch: first.ID, Name: "first", State: ledger.Approved, Row: 2, Account: "P1", Amount: 10_00, Currency: "USD"}
		if err != nil || len(warnings) != 1 || warnings[0].Repeats != want || warnings[0].Payout.Reference != "a" || warnings[0].Payout.Amount != 11_00 {
			t.Errorf("it is linked as %+v, %v; want %+v", warnings, err, want)
		}
		must(t, o.Discard(ctx, o.maker, b.ID, "twice"))
		try("discarded", func(i int) []string { return likeA[i].used })

		c.advance(25 * time.Hour)
		try("long ago", func(int) []string { return nil })
		o.sound()
	})
}

// TestAReferenceThatPaidNothingIsFree, until somebody says that it may have.
func TestAReferenceThatPaidNothingIsFree(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.scrutinized("first", referenced("abcde", pays("P1 1", "P2 2", "P3 3", "P4 4", "P5 5")), ledger.Scrutiny{})
		must(t, o.Submit(ctx, o.maker, first.ID))
		must(t, o.Approve(ctx, o.checker, first.ID))
		disputed := ""
		for _, claim := range o.claim(5) {
			o.put(claim, map[string]ledger.State{"P1": ledger.Failed, "P2": ledger.FailedFee, "P3": ledger.Cancelled, "P4": ledger.Failed, "P5": ledger.Unknown}[claim.Account])
			if claim.Account == "P4" {
				disputed = claim.OrderNo()
			}
		}
		again := func() []ledger.NewPayout {
			return referenced("abcde", pays("P1 11", "P2 12", "P3 13", "P4 14", "P5 15"))
		}
		b := o.scrutinized("again", again(), both)
		same(t, "what was left unpaid", o.wanted(b.ID), []string{"6 reference-used"})
		must(t, o.Discard(ctx, o.maker, b.ID, "twice"))

		must(t, o.Notify(ctx, disputed, ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: ledger.HeardEnded, Status: "7"}))
		b = o.scrutinized("once more", again(), both)
		same(t, "disputed", o.wanted(b.ID), []string{"5 reference-used", "6 reference-used"})
	})
}

// TestAUsedReferenceIsConfirmedByMakerAndChecker, by its kind or row.
func TestAUsedReferenceIsConfirmedByMakerAndChecker(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.scrutinized("first", referenced("ab", pays("P1 10", "P2 20")), ledger.Scrutiny{})
		must(t, o.Submit(ctx, o.maker, first.ID))
		must(t, o.Approve(ctx, o.checker, first.ID))
		waiting := o.scrutinized("waiting", referenced("c", pays("P3 30")), ledger.Scrutiny{})
		b := o.scrutinized("second", referenced("abc", pays("P1 11", "P2 21", "P3 31")), both)
		same(t, "found", o.wanted(b.ID), []string{"4 reference-waiting", "2 reference-used", "3 reference-used"})

		_, err := o.ConfirmWarnings(ctx, o.maker, b.ID, "", 0)
		o.refused("with everything else", err, ledger.ErrConflict, "reference-used and reference-waiting may be the same payments again")
		_, err = o.ConfirmWarnings(ctx, o.maker, b.ID, "", 2)
		must(t, err)
		o.refused("handed in", o.Submit(ctx, o.maker, b.ID), ledger.ErrUnconfirmed, "1 of reference-used, 1 of reference-waiting")
		o.confirmed(o.maker, b.ID)
		must(t, o.Submit(ctx, o.maker, b.ID))
		o.refused("approved", o.Approve(ctx, o.checker, b.ID), ledger.ErrUnconfirmed, "2 of reference-used, 1 of reference-waiting")
		o.confirmed(o.checker, b.ID)
		must(t, o.Approve(ctx, o.checker, b.ID))
		must(t, o.Discard(ctx, o.maker, waiting.ID, "twice"))
		o.sound()
	})
}

// TestTheReferencesOfSheetsPublishedAtOnceAreSeen: one of two knows of the
// other.
func TestTheReferencesOfSheetsPublishedAtOnceAreSeen(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batches := make([]ledger.Batch, 4)
		stagings := make([]*ledger.Staging, len(batches))
		for i := range stagings {
			stagings[i] = o.stage(fmt.Sprint(i), referenced("a", pays(fmt.Sprintf("P%d 1", i))))
		}
		together(t, len(batches), func(i int) (err error) {
			counts := accepted(1)
			counts.SourceDigest, counts.Scrutiny = fmt.Sprint(i), both
			batches[i], err = stagings[i].Publish(t.Context(), counts)
			return err
		})
		found := 0
		for _, b := range batches {
			found += len(o.wanted(b.ID))
		}
		if found != len(batches)-1 {
			t.Errorf("%d of %d sheets know of another, want all but one", found, len(batches))
		}
		o.sound()
	})
}

// TestRepeatsAreFoundWithoutReadingTheHistory, on PostgreSQL by its own count
// of what it read, as soon as it knows how large its tables are.
func TestRepeatsAreFoundWithoutReadingTheHistory(t *testing.T) {
	t.Parallel()
	const paid, rows = 30_000, 100
	db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, "postgres", migrated), MaxConnections: 2}, migrated) // one to write, one to read
	o := open(t, db)
	must(t, o.Fund(t.Context(), o.admin, 100_000_000_00, "USD", "for the history"))
	o.approved("history", sheet("h", paid))
	o.approved("the same file", sheet("f", rows/2))
	again := sheet("h", rows)
	for i := range again {
		again[i].Amount += money.Amount(i + 1)
	}
	other := slices.Clone(again)
	slices.Reverse(other)
	for i := range other {
		other[i].Reference += "x"
	}
	o.approved("the same totals", other)
	o.exec("ANALYZE")
	before := o.readOf("payees", "payouts", "batches")
	b := o.scrutinized("the same file", again, both)
	if read := o.readOf("payees", "payouts", "batches") - before; read > 10*rows {
		t.Errorf("%d rows read for %d in the sheet, of %d that were paid", read, rows, paid)
	}
	if want := []string{"0 file-used", "0 totals-repeated"}; !slices.Equal(o.ofTheSheet(b.ID), want) {
		t.Errorf("found %q, want %q", o.ofTheSheet(b.ID), want)
	}
	if found := o.count("SELECT count(*) FROM warnings WHERE code = 'reference-used'"); found != rows {
		t.Errorf("%d used references found, want %d", found, rows)
	}
}

package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

// careful is how a program looks at imports that is set to notice everything.
func careful() ledger.Scrutiny {
	return ledger.Scrutiny{Repeats: 30 * 24 * time.Hour, FirstPayments: true, Large: map[money.Currency]money.Amount{"USD": 50_00}}
}

// pays is a sheet of one-line rows: account and whole dollars.
func pays(rows ...string) []ledger.NewPayout {
	var all []ledger.NewPayout
	for i, row := range rows {
		var account string
		var dollars int64
		if _, err := fmt.Sscan(row, &account, &dollars); err != nil {
			panic(err)
		}
		all = append(all, ledger.NewPayout{Sheet: "Payouts", Row: int64(i + 2), Channel: "16", Account: account, Amount: money.Amount(dollars * 100), Currency: "USD", FeeEstimate: 10})
	}
	return all
}

// scrutinized imports rows with the importer's warnings.
func (o *office) scrutinized(name string, rows []ledger.NewPayout, look ledger.Scrutiny, found ...ledger.SheetWarning) ledger.Batch {
	o.t.Helper()
	s := o.stage(name, rows)
	must(o.t, s.AddWarnings(o.t.Context(), found))
	counts := accepted(len(rows))
	counts.SourceDigest, counts.Scrutiny = name, look
	batch, err := s.Publish(o.t.Context(), counts)
	must(o.t, err)
	return batch
}

func (o *office) confirmed(by ledger.User, batch int64) {
	o.t.Helper()
	kinds, err := o.WarningKinds(o.t.Context(), batch)
	must(o.t, err)
	head, err := o.Batch(o.t.Context(), batch)
	must(o.t, err)
	waited := false
	for _, kind := range kinds {
		if head.State == ledger.Valid && kind.Open > 0 || head.State == ledger.Submitted && kind.Unchecked > 0 {
			waited = true
			_, err := o.ConfirmWarnings(o.t.Context(), by, batch, kind.Code, 0)
			must(o.t, err)
		}
	}
	if !waited {
		o.t.Fatalf("nothing of batch %d waits for %s", batch, by.Name)
	}
}

// wanted lists the warnings of a batch as "row kind".
func (o *office) wanted(batch int64) []string {
	o.t.Helper()
	warnings, err := o.Warnings(o.t.Context(), batch, "", 1000)
	must(o.t, err)
	var all []string
	for _, w := range warnings {
		all = append(all, fmt.Sprint(w.Row, " ", w.Code))
	}
	return all
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// TestWhatIsWorthASecondLook finds repeats and first payments, and only those.
func TestWhatIsWorthASecondLook(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		first := o.scrutinized("first", pays("P1 10", "P2 60"), careful())
		same(t, "nobody was paid before", o.wanted(first.ID), []string{"2 wallet-first-payment", "3 wallet-first-large"})

		second := o.scrutinized("second", pays("P1 10", "P3 10", "P1 20"), careful())
		same(t, "the first waits", o.wanted(second.ID), []string{"2 payee-waiting", "2 wallet-first-payment", "3 wallet-first-payment", "4 wallet-first-payment"})

		o.confirmed(o.maker, first.ID)
		must(t, o.Submit(t.Context(), o.maker, first.ID))
		must(t, o.Approve(t.Context(), o.checker, first.ID))
		third := o.scrutinized("third", pays("P1 10", "P2 10", "P4 1"), careful())
		same(t, "the first is approved, the second waits", o.wanted(third.ID), []string{"2 payee-paid-before", "2 payee-waiting", "4 wallet-first-payment"})
		warnings, err := o.Warnings(t.Context(), third.ID, ledger.PayeePaid, 10)
		if err != nil || len(warnings) != 1 || warnings[0].Repeats != (ledger.Repeated{Batch: first.ID, Name: "first", State: ledger.Approved, Row: 2, Account: "P1", Amount: 10_00, Currency: "USD"}) {
			t.Errorf("the repeat is linked as %+v, %v", warnings, err)
		}

		must(t, o.Discard(t.Context(), o.maker, second.ID, "twice"))
		must(t, o.Discard(t.Context(), o.maker, third.ID, "twice"))
		o.scrutinized("another that waits", pays("P8 1"), ledger.Scrutiny{})
		fourth := o.scrutinized("fourth", pays("P1 10", "P1 11"), ledger.Scrutiny{Repeats: time.Hour, Large: map[money.Currency]money.Amount{"USD": 50_00}})
		same(t, "what was discarded does not wait", o.wanted(fourth.ID), []string{"2 payee-paid-before"})
		must(t, o.Discard(t.Context(), o.maker, fourth.ID, "twice"))

		for _, claim := range o.claim(2) {
			o.put(claim, map[string]ledger.State{"P1": ledger.Failed, "P2": ledger.Succeeded}[claim.Account])
		}
		fifth := o.scrutinized("fifth", pays("P1 10", "P2 60"), ledger.Scrutiny{Repeats: time.Hour})
		same(t, "what failed was not paid", o.wanted(fifth.ID), []string{"3 payee-paid-before"})
		must(t, o.Discard(t.Context(), o.maker, fifth.ID, "twice"))

		c.advance(2 * time.Hour)
		sixth := o.scrutinized("sixth", pays("P2 60"), ledger.Scrutiny{Repeats: time.Hour})
		same(t, "long ago", o.wanted(sixth.ID), nil)
		o.sound()
	})
}

// TestWarningsAreConfirmedByMakerAndChecker goes the whole way of a batch that
// has warnings of both kinds.
func TestWarningsAreConfirmedByMakerAndChecker(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		b := o.scrutinized("odd", pays("P1 10", "P1 10", "P2 5"), ledger.Scrutiny{},
			ledger.SheetWarning{Code: "account-length", Row: 2}, ledger.SheetWarning{Code: "account-length", Row: 4}, ledger.SheetWarning{Code: "payee-repeated", Row: 3})
		refused := func(what string, err error, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		confirm := func(by ledger.User, kind string, row int64) error {
			_, err := o.ConfirmWarnings(ctx, by, b.ID, kind, row)
			return err
		}
		refused("unconfirmed", o.Submit(ctx, o.maker, b.ID), ledger.ErrUnconfirmed)
		refused("confirmed by a checker too early", confirm(o.checker, "", 0), ledger.ErrForbidden)
		refused("no such kind", confirm(o.maker, "wallet-first-payment", 0), ledger.ErrConflict)
		refused("no such row", confirm(o.maker, "account-length", 3), ledger.ErrConflict)

		must(t, confirm(o.maker, "account-length", 2))
		refused("one row confirmed", o.Submit(ctx, o.maker, b.ID), ledger.ErrUnconfirmed)
		refused("confirmed twice", confirm(o.maker, "account-length", 2), ledger.ErrConflict)
		must(t, confirm(o.maker, "", 4))
		must(t, confirm(o.maker, "payee-repeated", 0))
		must(t, o.Submit(ctx, o.maker, b.ID))

		refused("not checked", o.Approve(ctx, o.checker, b.ID), ledger.ErrUnconfirmed)
		refused("its maker as checker", confirm(o.maker, "", 0), ledger.ErrForbidden)
		refused("nothing of that kind for a checker", confirm(o.checker, "account-length", 0), ledger.ErrConflict)
		must(t, confirm(o.both, "payee-repeated", 3))
		refused("another checker confirmed", o.Approve(ctx, o.checker, b.ID), ledger.ErrUnconfirmed)
		refused("a repeat with everything else", confirm(o.checker, "", 0), ledger.ErrConflict)
		must(t, confirm(o.checker, "payee-repeated", 0))
		must(t, o.Approve(ctx, o.checker, b.ID))
		refused("too late", confirm(o.both, "", 0), ledger.ErrConflict)

		kinds, err := o.WarningKinds(ctx, b.ID)
		must(t, err)
		if want := []ledger.WarningKind{{Code: "account-length", Warnings: 2}, {Code: "payee-repeated", Warnings: 1}}; !slices.Equal(kinds, want) {
			t.Errorf("kinds %+v, want %+v", kinds, want)
		}
		warnings, err := o.Warnings(ctx, b.ID, "payee-repeated", 10)
		if err != nil || len(warnings) != 1 || warnings[0].Maker != "mia" || warnings[0].Checker == "" {
			t.Errorf("warnings %+v, %v", warnings, err)
		}
		o.sound()
	})
}

// TestRepeatsAreNeverConfirmedWithEverythingElse: one word must not pay a
// sheet twice, neither the maker's nor the checker's.
func TestRepeatsAreNeverConfirmedWithEverythingElse(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.scrutinized("first", pays("P1 10", "P2 20", "P3 30"), ledger.Scrutiny{})
		b := o.scrutinized("second", pays("P1 10", "P2 20", "P4 40"), careful(), ledger.SheetWarning{Code: "control-total-unchecked"})
		confirmed, err := o.ConfirmWarnings(ctx, o.maker, b.ID, "", 0)
		want := []ledger.ConfirmedKind{{Code: "control-total-unchecked", Warnings: 1}, {Code: ledger.FirstPayment, Currency: "USD", Warnings: 3, Amount: 70_00}}
		if err != nil || !slices.Equal(confirmed, want) {
			t.Errorf("with everything else: %v, %v; want %v", confirmed, err, want)
		}
		if confirmed, err := o.ConfirmWarnings(ctx, o.maker, b.ID, "", 0); confirmed != nil || !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), ledger.PayeeWaiting) {
			t.Errorf("once more: %v, %v", confirmed, err)
		}
		if err := o.Submit(ctx, o.maker, b.ID); !errors.Is(err, ledger.ErrUnconfirmed) {
			t.Errorf("handed in: %v", err)
		}
		confirmed, err = o.ConfirmWarnings(ctx, o.maker, b.ID, "", 3)
		if want := []ledger.ConfirmedKind{{Code: ledger.PayeeWaiting, Currency: "USD", Warnings: 1, Amount: 20_00}}; err != nil || !slices.Equal(confirmed, want) {
			t.Errorf("by row: %v, %v; want %v", confirmed, err, want)
		}
		confirmed, err = o.ConfirmWarnings(ctx, o.maker, b.ID, ledger.PayeeWaiting, 0)
		if want := []ledger.ConfirmedKind{{Code: ledger.PayeeWaiting, Currency: "USD", Warnings: 1, Amount: 10_00}}; err != nil || !slices.Equal(confirmed, want) {
			t.Errorf("the rest of the kind: %v, %v; want %v", confirmed, err, want)
		}
		must(t, o.Submit(ctx, o.maker, b.ID))
		if confirmed, err := o.ConfirmWarnings(ctx, o.checker, b.ID, "", 0); confirmed != nil || !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("a checker with everything else: %v, %v", confirmed, err)
		}
		if err := o.Approve(ctx, o.checker, b.ID); !errors.Is(err, ledger.ErrUnconfirmed) {
			t.Errorf("approved: %v", err)
		}
		must(t, o.Discard(ctx, o.maker, first.ID, "twice"))
		o.sound()
	})
}

// referenced gives every row a reference: one letter each.
func referenced(letters string, rows []ledger.NewPayout) []ledger.NewPayout {
	for i := range rows {
		rows[i].Reference = letters[i : i+1]
	}
	return rows
}

// TestABatchSaysWhatItPaysAgain, from both sides and until it is settled.
func TestABatchSaysWhatItPaysAgain(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		overlaps := func(what string, batch int64, want ...ledger.Overlap) {
			t.Helper()
			got, err := o.Overlaps(ctx, batch)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
			}
		}
		look := ledger.Scrutiny{Repeats: time.Hour}
		first := o.scrutinized("first", referenced("abc", pays("P1 10", "P2 20", "P3 30")), look)
		overlaps("alone", first.ID)
		// The same wallets and amounts, but a bill of its own; and a later
		// batch must not hide the one with the same bill.
		other := o.scrutinized("other bills", referenced("xyz", pays("P1 10", "P2 20", "P3 30")), look)
		overlaps("other bills", other.ID)
		second := o.scrutinized("second", referenced("abc", pays("P1 10", "P2 20", "P3 31")), look)
		overlaps("waiting", second.ID, ledger.Overlap{Batch: first.ID, State: ledger.Valid, Currency: "USD", Payouts: 2, Referenced: 2, Amount: 30_00})
		overlaps("from the other side", first.ID, ledger.Overlap{Batch: second.ID, State: ledger.Valid, Currency: "USD", Payouts: 2, Referenced: 2, Amount: 30_00})

		must(t, o.Submit(ctx, o.maker, first.ID))
		must(t, o.Approve(ctx, o.checker, first.ID))
		must(t, o.Discard(ctx, o.maker, other.ID, "twice"))
		third := o.scrutinized("third", referenced("ab", pays("P1 10", "P2 20")), look)
		both := []ledger.Overlap{
			{Batch: first.ID, State: ledger.Approved, Currency: "USD", Payouts: 2, Referenced: 2, Amount: 30_00},
			{Batch: second.ID, State: ledger.Valid, Currency: "USD", Payouts: 2, Referenced: 2, Amount: 30_00},
		}
		overlaps("approved and waiting", third.ID, both...)
		must(t, o.Discard(ctx, o.maker, second.ID, "twice"))
		overlaps("what was discarded is not paid", third.ID, both[:1]...)
		for _, claim := range o.claim(3) {
			o.put(claim, map[string]ledger.State{"P1": ledger.Failed, "P2": ledger.Succeeded, "P3": ledger.Succeeded}[claim.Account])
		}
		overlaps("what failed is not paid", third.ID, ledger.Overlap{Batch: first.ID, State: ledger.Approved, Currency: "USD", Payouts: 1, Referenced: 1, Amount: 20_00})
		o.sound()
	})
}

// TestNobodyChecksWhatTheyMade, whatever their roles.
func TestNobodyChecksWhatTheyMade(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		s, err := o.Stage(ctx, o.both, "mine", "acct@example.com")
		must(t, err)
		must(t, s.Add(ctx, pays("P1 10", "P1 10")))
		must(t, s.AddWarnings(ctx, []ledger.SheetWarning{{Code: "payee-repeated", Row: 3}}))
		made, err := s.Publish(ctx, accepted(2))
		must(t, err)
		o.confirmed(o.maker, made.ID)
		must(t, o.Submit(ctx, o.maker, made.ID))
		if n, err := o.ConfirmWarnings(ctx, o.both, made.ID, "", 0); n != nil || !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("who made it checked %v, %v", n, err)
		}
		submitted := o.scrutinized("handed in", pays("P2 10", "P2 10"), ledger.Scrutiny{}, ledger.SheetWarning{Code: "payee-repeated", Row: 3})
		o.confirmed(o.both, submitted.ID)
		must(t, o.Submit(ctx, o.both, submitted.ID))
		if n, err := o.ConfirmWarnings(ctx, o.both, submitted.ID, "", 0); n != nil || !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("who submitted it checked %v, %v", n, err)
		}
	})
}

// TestTheReadingIsKept: how a sheet was read is kept with its batch, and its
// file is known again.
func TestTheReadingIsKept(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		want := ledger.Reading{Source: "/inbox/a.csv 2026", Profile: "team", Settings: "decimal_mark: \",\"", Columns: "A account", GoodRows: "1 good, 2 bad, 10.00 USD"}
		s := o.stage("a", pays("P1 10"))
		counts := accepted(1)
		counts.Reading = want
		if known, err := o.Imported(t.Context(), want.Source); known != 0 || err != nil {
			t.Errorf("known as batch %d before it is published, %v", known, err)
		}
		b, err := s.Publish(t.Context(), counts)
		must(t, err)
		if got, err := o.Reading(t.Context(), b.ID); got != want || err != nil {
			t.Errorf("kept %+v, %v", got, err)
		}
		if known, err := o.Imported(t.Context(), want.Source); known != b.ID || err != nil {
			t.Errorf("known as batch %d, %v", known, err)
		}
		if known, err := o.Imported(t.Context(), ""); known != 0 || err != nil {
			t.Errorf("sheets of people are known as batch %d, %v", known, err)
		}
	})
}

// TestWarningsAreForged edits what people confirmed behind the ledger's back.
func TestWarningsAreForged(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		b := o.scrutinized("odd", pays("P1 10", "P1 10"), ledger.Scrutiny{}, ledger.SheetWarning{Code: "payee-repeated", Row: 3})
		o.confirmed(o.maker, b.ID)
		must(t, o.Submit(ctx, o.maker, b.ID))
		o.confirmed(o.checker, b.ID)
		must(t, o.Approve(ctx, o.checker, b.ID))
		valid := o.scrutinized("valid", pays("P9 10"), ledger.Scrutiny{})
		o.sound()
		payout := "payout " + b.OrderPrefix + "00000001"
		for _, f := range []struct {
			name, edit, check string
			row               string
		}{
			{"warning deleted", "DELETE FROM warnings", "confirmations", fmt.Sprint("batch ", b.ID)},
			{"warning added", fmt.Sprintf("INSERT INTO warnings VALUES (%d, 'x', 2, 0, 0, 0)", valid.ID), "confirmations", fmt.Sprint("batch ", valid.ID)},
			{"warning of another kind", "UPDATE warnings SET code = 'account-length'", "confirmations", fmt.Sprint("batch ", b.ID)},
			{"warning of another row", "UPDATE confirmations SET row_no = 7", "confirmations", fmt.Sprint("batch ", b.ID)},
			{"maker's confirmation deleted", "DELETE FROM confirmations WHERE role = 'maker'", "confirmations", fmt.Sprint("batch ", b.ID)},
			{"checker's confirmation deleted", "DELETE FROM confirmations WHERE role = 'checker'", "confirmations", fmt.Sprint("batch ", b.ID)},
			{"who confirmed", "UPDATE confirmations SET actor = 'user:bo' WHERE role = 'maker'", "confirmations", fmt.Sprint("batch ", b.ID)},
			{"confirmation forged", fmt.Sprintf("INSERT INTO confirmations VALUES (999999, %d, 'x', 0, 'maker', 1, 'user:mia', 1, '%s')", valid.ID,
				digested(999999, valid.ID, "x", 0, "maker", 1, "user:mia", 1)), "confirmations", fmt.Sprint("batch ", valid.ID)},
			{"how the sheet was read", fmt.Sprint("UPDATE readings SET profile = 'other' WHERE batch_id = ", b.ID), "confirmations", fmt.Sprint("batch ", b.ID)},
			{"number of warnings", fmt.Sprint("UPDATE readings SET warnings = 1 WHERE batch_id = ", valid.ID), "confirmations", fmt.Sprint("batch ", valid.ID)},
			{"reading deleted", fmt.Sprint("DELETE FROM readings WHERE batch_id = ", b.ID), "confirmations", fmt.Sprint("batch ", b.ID)},
			{"payee deleted", fmt.Sprintf("DELETE FROM payees WHERE payout_id = %d00000001", b.ID), "payees", payout},
			{"payee changed", fmt.Sprintf("UPDATE payees SET amount = 5 WHERE payout_id = %d00000001", b.ID), "payees", payout},
			{"time of a payee", fmt.Sprintf("UPDATE payees SET approved_at = 5 WHERE payout_id = %d00000001", b.ID), "payees", payout},
			{"reference of a payee", fmt.Sprintf("UPDATE payees SET reference = 'x' WHERE payout_id = %d00000001", b.ID), "payees", payout},
			{"payee added", "INSERT INTO payees VALUES ('P7', '16', 'USD', 5, 77, 5, '')", "payees", "payout 77"},
		} {
			(&scene{office: o}).try(t, forgery{f.name, []string{f.edit}, f.check, []string{f.row}})
		}
		o.t = t
		o.sound()
		for _, edit := range []string{"DELETE FROM warnings", "UPDATE warnings SET code = 'x'", "DELETE FROM confirmations", "UPDATE confirmations SET actor = 'x'",
			"DELETE FROM payees", "UPDATE payees SET amount = 1", "DELETE FROM readings", "UPDATE readings SET profile = 'x'",
			fmt.Sprintf("INSERT INTO warnings VALUES (%d, 'x', 2, 0, 0, 0)", valid.ID)} {
			err := o.db.InTx(ctx, func(tx *database.Tx) error {
				_, err := tx.Exec(ctx, edit)
				return err
			})
			if !database.IsRefused(err) {
				t.Errorf("%s: %v", edit, err)
			}
		}
	})
}

// TestAClearedImportTakesItsWarningsAlong, or it could not be cleared away.
func TestAClearedImportTakesItsWarningsAlong(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		rows := pays("P1 10", "P2 10")
		rows[1].Beside = "Team: Sales"
		s := o.stage("a", rows)
		if n := o.count("SELECT count(*) FROM extras"); n != 1 {
			t.Errorf("%d payouts have something beside them", n)
		}
		must(t, s.AddWarnings(t.Context(), []ledger.SheetWarning{{Code: "account-length", Row: 2}}))
		must(t, s.Discard(t.Context()))
		if n := o.count("SELECT (SELECT count(*) FROM warnings) + (SELECT count(*) FROM extras)"); n != 0 {
			t.Errorf("%d warnings and extras are left", n)
		}
		if err := s.AddWarnings(t.Context(), []ledger.SheetWarning{{Code: "x", Row: 2}}); err == nil || !strings.Contains(err.Error(), "cleared away") {
			t.Errorf("warnings of a cleared import: %v", err)
		}
	})
}

package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/ledger"
)

// passed takes a batch with warnings, if any, through maker and checker.
func (o *office) passed(b ledger.Batch) ledger.Batch {
	o.t.Helper()
	kinds, err := o.WarningKinds(o.t.Context(), b.ID)
	must(o.t, err)
	if len(kinds) > 0 {
		o.confirmed(o.maker, b.ID)
	}
	must(o.t, o.Submit(o.t.Context(), o.maker, b.ID))
	if slices.ContainsFunc(kinds, ledger.WarningKind.Repeats) {
		o.confirmed(o.checker, b.ID)
	}
	must(o.t, o.Approve(o.t.Context(), o.checker, b.ID))
	return b
}

// allFailed sends what is approved, of which a batch's payouts fail.
func (o *office) allFailed(batch ledger.Batch) {
	o.t.Helper()
	for _, claim := range o.claim(100) {
		if claim.BatchID == batch.ID {
			o.put(claim, ledger.Failed)
		} else {
			o.put(claim, ledger.Succeeded)
		}
	}
}

// names lists what the warnings of a batch name, as "kind: row of batch".
func (o *office) names(batch ledger.Batch) []string {
	o.t.Helper()
	warnings, err := o.Warnings(o.t.Context(), batch.ID, "", 100)
	must(o.t, err)
	var all []string
	for _, w := range warnings {
		all = append(all, fmt.Sprintf("%s: %d of %d", w.Code, w.Repeats.Row, w.Repeats.Batch))
	}
	return all
}

// TestAWarningNamesWhatLives, once what it named is discarded, and what was
// confirmed before is confirmed again.
func TestAWarningNamesWhatLives(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.scrutinized("first", pays("P1 100", "P2 50", "P3 30"), monthly)
		second := o.scrutinized("second", pays("P2 50", "P1 100", "P3 30"), monthly)
		third := o.scrutinized("third", pays("P1 100", "P2 50"), monthly)
		same(t, "at first", o.names(third), []string{fmt.Sprintf("payee-waiting: 3 of %d", second.ID), fmt.Sprintf("payee-waiting: 2 of %d", second.ID)})
		o.confirmed(o.maker, third.ID)
		renamed := func(since int) error {
			return o.db.InTx(ctx, func(tx *database.Tx) error {
				_, err := tx.Exec(ctx, fmt.Sprintf("UPDATE warnings SET repeats = 7, since = %d WHERE batch_id = %d", since, third.ID))
				return err
			})
		}
		if err := renamed(0); !database.IsRefused(err) {
			t.Errorf("it names another, and stays confirmed: %v", err)
		}
		must(t, o.Discard(ctx, o.maker, second.ID, "twice"))
		want := []string{fmt.Sprintf("payee-waiting: 2 of %d", first.ID), fmt.Sprintf("payee-waiting: 3 of %d", first.ID)}
		same(t, "at once", o.names(third), want)
		o.passed(first)
		same(t, "approved meanwhile", o.names(third), want)

		o.refused("confirmed about the one that is discarded", o.Submit(ctx, o.maker, third.ID), ledger.ErrUnconfirmed, "by the maker: 2 of payee-waiting")
		warnings, err := o.Warnings(ctx, third.ID, "", 100)
		if err != nil || warnings[0].Maker != "" || warnings[0].Repeats.State != ledger.Approved {
			t.Errorf("it reads as confirmed, or of what waits: %+v, %v", warnings[0], err)
		}
		want2 := ledger.Overlap{Batch: first.ID, State: ledger.Approved, Currency: "USD", Payouts: 2, Amount: 150_00}
		if overlaps, err := o.Overlaps(ctx, third.ID); err != nil || !slices.Equal(overlaps, []ledger.Overlap{want2}) {
			t.Errorf("it pays again %+v, %v; want %+v", overlaps, err, want2)
		}
		o.passed(third)
		if err := renamed(1_000_000); !database.IsRefused(err) {
			t.Errorf("it names another after its approval: %v", err)
		}
		o.sound()
	})
}

// likeTwins are three sheets, by the reference that they pay under, of which
// each names the one before, and what the third is told of it.
var likeTwins = map[string]func(i int) []ledger.NewPayout{
	ledger.PayeePaid:     func(i int) []ledger.NewPayout { return pays("P1 10", fmt.Sprintf("P%d %d", i+5, i+5)) },
	ledger.ReferenceUsed: func(i int) []ledger.NewPayout { return referenced("a", pays(fmt.Sprintf("P%d 1%d", i, i))) },
}

// TestWhatWasConfirmedOfAnEndedTwinIsConfirmedAgain, where nobody noticed
// before the batch is submitted, or approved, that a payment has failed.
func TestWhatWasConfirmedOfAnEndedTwinIsConfirmedAgain(t *testing.T) {
	for code, rows := range likeTwins {
		t.Run(code, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				ctx := t.Context()
				look := ledger.Scrutiny{Repeats: monthly.Repeats, References: monthly.Repeats}
				var batches []ledger.Batch
				for i := range 3 {
					batches = append(batches, o.passed(o.scrutinized(fmt.Sprint("paid ", i), rows(i), look)))
				}
				b := o.scrutinized("again", rows(3), look)
				of := func(i int) []string { return []string{fmt.Sprintf("%s: 2 of %d", code, batches[i].ID)} }
				same(t, "the latest", o.names(b), of(2))
				o.confirmed(o.maker, b.ID)

				claims := o.claim(100)
				end := func(i int) {
					t.Helper()
					for _, claim := range claims {
						if claim.BatchID == batches[i].ID {
							o.put(claim, ledger.Failed)
						}
					}
				}
				end(2)
				o.refused("submitted", o.Submit(ctx, o.maker, b.ID), ledger.ErrUnconfirmed, fmt.Sprintf("while batch %d pays the same", batches[1].ID))
				same(t, "before it is submitted", o.names(b), of(1))
				o.refused("submitted again", o.Submit(ctx, o.maker, b.ID), ledger.ErrUnconfirmed, "1 of "+code)
				o.confirmed(o.maker, b.ID)
				must(t, o.Submit(ctx, o.maker, b.ID))
				o.confirmed(o.checker, b.ID)

				end(1)
				back := fmt.Sprintf("payrun batch reject %d", b.ID)
				err := o.Approve(ctx, o.checker, b.ID)
				o.refused("approved", err, ledger.ErrConflict, back)
				same(t, "before it is approved", o.names(b), of(0))
				o.sound()
				o.confirmed(o.checker, b.ID)
				if err = o.Approve(ctx, o.checker, b.ID); errors.Is(err, ledger.ErrUnconfirmed) {
					t.Errorf("more confirming is asked for: %v", err)
				}
				o.refused("approved without the maker", err, ledger.ErrConflict, back)
				must(t, o.Reject(ctx, o.checker, b.ID, "look again"))
				o.refused("submitted unconfirmed", o.Submit(ctx, o.maker, b.ID), ledger.ErrUnconfirmed, "by the maker: 1 of "+code)
				o.confirmed(o.maker, b.ID)
				must(t, o.Submit(ctx, o.maker, b.ID))

				end(0)
				must(t, o.Approve(ctx, o.checker, b.ID)) // nothing else lives
				same(t, "once it is approved", o.names(b), of(0))
				o.sound()
			})
		})
	}
}

// TestARowIsToldOfOneThatLives: a warning need not change whose row has
// another one that names what lives.
func TestARowIsToldOfOneThatLives(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		paid := o.passed(o.scrutinized("paid", pays("P1 10"), monthly))
		waits := o.scrutinized("waits", pays("P1 10", "P5 5"), monthly)
		b := o.scrutinized("again", pays("P1 10", "P6 6"), monthly)
		want := []string{fmt.Sprintf("payee-paid-before: 2 of %d", paid.ID), fmt.Sprintf("payee-waiting: 2 of %d", waits.ID)}
		same(t, "both", o.names(b), want)
		o.confirmed(o.maker, b.ID)
		must(t, o.Discard(t.Context(), o.maker, waits.ID, "twice"))
		must(t, o.Submit(t.Context(), o.maker, b.ID))
		same(t, "still", o.names(b), want)
		o.sound()
	})
}

// TestNoLookGoesFurtherBackThanTheImport did.
func TestNoLookGoesFurtherBackThanTheImport(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.passed(o.scrutinized("last month", pays("P1 10"), monthly))
		c.advance(31 * 24 * time.Hour)
		o.refresh()
		paid := o.passed(o.scrutinized("paid", pays("P1 10", "P5 5"), monthly))
		b := o.scrutinized("again", pays("P1 10", "P6 6"), monthly)
		o.confirmed(o.maker, b.ID)
		o.allFailed(paid)
		must(t, o.Submit(t.Context(), o.maker, b.ID))
		o.sound()
	})
}

// TestLeaveToRepeatIsForWhatLives: none that was given for a batch that has
// ended since lets the same rows be paid once more.
func TestLeaveToRepeatIsForWhatLives(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		repeats := func(what string, b, other ledger.Batch, allowed bool) {
			t.Helper()
			head, err := o.Batch(ctx, b.ID)
			if err != nil || head.Repeats != other.ID || head.RepeatNumber > 0 != allowed || head.OrderPrefix != "" != allowed {
				t.Errorf("%s: repeats %d, %d times, %v; want %d", what, head.Repeats, head.RepeatNumber, err, other.ID)
			}
		}
		sheet := func(name string) ledger.Batch { return o.scrutinized(name, pays("P1 10", "P2 20"), ledger.Scrutiny{}) }
		first, second, third := sheet("one"), sheet("two"), sheet("three")
		must(t, o.AllowRepeat(ctx, o.checker, third.ID, "a second run"))
		repeats("allowed", third, second, true)
		must(t, o.Discard(ctx, o.maker, second.ID, "twice"))
		repeats("the one before is discarded", third, first, false)
		o.refused("submitted", o.Submit(ctx, o.maker, third.ID), ledger.ErrConflict, "a checker has to allow the repeat first")
		must(t, o.AllowRepeat(ctx, o.checker, third.ID, "a second run"))
		o.passed(first)
		o.passed(third)

		fourth, fifth := sheet("four"), sheet("five")
		repeats("the latest", fourth, third, false)
		must(t, o.Discard(ctx, o.maker, fifth.ID, "twice"))
		o.allFailed(third)
		o.refused("allowed", o.AllowRepeat(ctx, o.checker, fourth.ID, "a third run"), ledger.ErrConflict,
			fmt.Sprintf("has the same rows as batch %d, while the one that was named before has ended", first.ID))
		repeats("the latest has failed", fourth, first, false)
		must(t, o.AllowRepeat(ctx, o.checker, fourth.ID, "a third run"))
		o.passed(fourth)
		sixth := sheet("six")
		must(t, o.AllowRepeat(ctx, o.checker, sixth.ID, "a fourth run"))
		must(t, o.Submit(ctx, o.maker, sixth.ID))
		o.allFailed(fourth)
		for range 2 {
			o.refused("approved", o.Approve(ctx, o.checker, sixth.ID), ledger.ErrConflict, fmt.Sprintf("payrun batch reject %d", sixth.ID))
			repeats("it was submitted", sixth, fourth, true)
		}
		must(t, o.Reject(ctx, o.checker, sixth.ID, "look again"))
		repeats("it was sent back", sixth, first, false)
		seventh := sheet("seven")
		repeats("what waits", seventh, sixth, false)
		must(t, o.Discard(ctx, o.maker, sixth.ID, "not any more"))
		repeats("what lives comes before what has failed later", sheet("eight"), seventh, false)
		o.sound()
	})
}

// TestASheetIsLikeWhatLives, once the one that it was like is discarded.
func TestASheetIsLikeWhatLives(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		for kind, sheet := range map[string]func(i int) ledger.Batch{
			ledger.FileUsed: func(i int) ledger.Batch { return o.from("acct", "bytes", pays(fmt.Sprintf("P%d %d", i, i+1)), monthly) },
			ledger.TotalsRepeated: func(i int) ledger.Batch {
				return o.from("acct", fmt.Sprint(i), pays(fmt.Sprintf("P%d %d", i, 20-i), fmt.Sprintf("P%d %d", i, 30+i)), monthly)
			},
		} {
			first, second, third := sheet(1), sheet(2), sheet(3)
			of := func(other ledger.Batch) []string { return []string{fmt.Sprintf("%s: 0 of %d", kind, other.ID)} }
			same(t, kind, o.names(third), of(second))
			o.confirmed(o.maker, third.ID)
			must(t, o.Discard(ctx, o.maker, second.ID, "twice"))
			same(t, kind+", the latest is discarded", o.names(third), of(first))
			o.refused(kind, o.Submit(ctx, o.maker, third.ID), ledger.ErrUnconfirmed, "1 of "+kind)
			o.passed(first)
			o.passed(third)
		}
		o.sound()
	})
}

// TestEveryRowThatAnotherBatchPaysIsCounted, whichever batch its warning names.
func TestEveryRowThatAnotherBatchPaysIsCounted(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		all := pays("P1 10", "P2 20", "P3 30")
		all[2].Reference = "c"
		first := o.scrutinized("all", all, monthly)
		second := o.scrutinized("one", pays("P1 10"), monthly)
		third := o.scrutinized("two", pays("P2 20", "P2 20"), monthly)
		b := o.scrutinized("again", append(all[:3:3], pays("P4 40")...), monthly)
		overlap := func(other ledger.Batch, payouts, referenced, dollars int64) ledger.Overlap {
			return ledger.Overlap{Batch: other.ID, State: ledger.Valid, Currency: "USD", Payouts: payouts, Referenced: referenced, Amount: money.Amount(dollars * 100)}
		}
		for _, tt := range []struct {
			of   ledger.Batch
			want []ledger.Overlap
		}{
			{b, []ledger.Overlap{overlap(first, 3, 1, 60), overlap(second, 1, 0, 10), overlap(third, 1, 0, 20)}},
			{first, []ledger.Overlap{overlap(second, 1, 0, 10), overlap(third, 1, 0, 20), overlap(b, 3, 1, 60)}},
			{third, []ledger.Overlap{overlap(first, 2, 0, 40), overlap(b, 2, 0, 40)}},
		} {
			if got, err := o.Overlaps(ctx, tt.of.ID); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("batch %d: %+v, %v; want %+v", tt.of.ID, got, err, tt.want)
			}
		}
	})
}

// TestTwinsAreFoundWithoutReadingTheHistory, on PostgreSQL by its own count of
// what it read.
func TestTwinsAreFoundWithoutReadingTheHistory(t *testing.T) {
	t.Parallel()
	const paid, rows = 30_000, 100
	db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, "postgres", migrated), MaxConnections: 2}, migrated) // one to write, one to read
	o := open(t, db)
	must(t, o.Fund(t.Context(), o.admin, 100_000_000_00, "USD", "for the history"))
	history := o.approved("history", sheet("h", paid))
	ended := o.approved("ended", append(sheet("h", rows), pays("P1 1")...))
	b := o.scrutinized("again", sheet("h", rows), both)
	o.confirmed(o.maker, b.ID)
	o.exec("UPDATE payouts SET state = 'FAILED' WHERE batch_id = ?", ended.ID)
	o.exec("ANALYZE")
	before := o.readOf("payees", "payouts", "batches", "warnings")
	o.refused("submitted", o.Submit(t.Context(), o.maker, b.ID), ledger.ErrUnconfirmed, fmt.Sprintf("while batch %d pays the same", history.ID))
	overlaps, err := o.Overlaps(t.Context(), b.ID)
	if err != nil || len(overlaps) != 1 || overlaps[0].Batch != history.ID || overlaps[0].Payouts != rows {
		t.Errorf("it pays again %+v, %v", overlaps, err)
	}
	if read := o.readOf("payees", "payouts", "batches", "warnings") - before; read > 30*rows {
		t.Errorf("%d rows read for %d in the sheet, of %d that were paid", read, rows, paid)
	}
}

package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"payrun/ledger"
)

// monthly looks for repeats within a month.
var monthly = ledger.Scrutiny{Repeats: 30 * 24 * time.Hour}

// from imports a file with these bytes into a gateway account.
func (o *office) from(account, bytes string, rows []ledger.NewPayout, look ledger.Scrutiny) ledger.Batch {
	o.t.Helper()
	s, err := o.Stage(o.t.Context(), o.maker, "sheet.csv", account)
	must(o.t, err)
	must(o.t, s.Add(o.t.Context(), rows))
	counts := accepted(len(rows))
	counts.SourceDigest, counts.Scrutiny = bytes, look
	b, err := s.Publish(o.t.Context(), counts)
	must(o.t, err)
	return b
}

// third pays the third row by another channel.
func third(rows []ledger.NewPayout) []ledger.NewPayout {
	rows[2].Channel = "11"
	return rows
}

// exchanged pays all but the third row by another channel.
func exchanged(rows []ledger.NewPayout) []ledger.NewPayout {
	for i := range rows[:2] {
		rows[i].Channel = "11"
	}
	return rows
}

// euros are rows in another currency.
func euros(rows []ledger.NewPayout) []ledger.NewPayout {
	for i := range rows {
		rows[i].Currency = "EUR"
	}
	return rows
}

// three is a sheet of P1 10, P2 20 and, by the other channel, P3 30.
func three() []ledger.NewPayout { return third(pays("P1 10", "P2 20", "P3 30")) }

// threeReversed are its rows in another order.
func threeReversed() []ledger.NewPayout {
	rows := three()
	slices.Reverse(rows)
	return rows
}

// likeThree are sheets after three came from the file "bytes", and what is
// said of the sheet as a whole.
var likeThree = []struct {
	name, account, bytes string
	rows                 []ledger.NewPayout
	look                 ledger.Scrutiny
	want                 []string
	held                 bool
}{
	{"the same file, another row left out", "acct", "bytes", pays("P1 10", "P2 20"), monthly, []string{"0 file-used"}, false},
	{"the same file, where nothing is looked for", "acct", "bytes", pays("P1 10", "P2 20"), ledger.Scrutiny{}, []string{"0 file-used"}, false},
	{"the same file and totals, other rows", "acct", "bytes", third(pays("P7 10", "P8 20", "P9 30")), monthly, []string{"0 file-used"}, false},
	{"the same file and rows", "acct", "bytes", three(), monthly, nil, true},
	{"the same rows, saved anew", "acct", "other", three(), monthly, nil, true},
	{"the same rows in another order", "acct", "other", threeReversed(), monthly, []string{"0 totals-repeated"}, false},
	{"the same rows under other references", "acct", "other", referenced("xyz", three()), monthly, []string{"0 totals-repeated"}, false},
	{"the same totals for others", "acct", "other", third(pays("P7 15", "P8 15", "P9 30")), monthly, []string{"0 totals-repeated"}, false},
	{"the same totals, where repeats are not looked for", "acct", "other", third(pays("P7 15", "P8 15", "P9 30")), ledger.Scrutiny{References: time.Hour}, nil, false},
	{"another sum", "acct", "other", third(pays("P7 10", "P8 20", "P9 31")), monthly, nil, false},
	{"the same sum by one channel", "acct", "other", pays("P7 10", "P8 20", "P9 30"), monthly, nil, false},
	{"the same sums, by channel of more and fewer", "acct", "other", exchanged(pays("P7 10", "P8 20", "P9 30")), monthly, nil, false},
	{"the same sum of fewer", "acct", "other", pays("P7 30", "P8 30"), monthly, nil, false},
	{"the same totals in another currency", "acct", "other", euros(third(pays("P7 10", "P8 20", "P9 30"))), monthly, nil, false},
	{"the same file for another gateway account", "else", "bytes", pays("P7 10", "P8 21"), monthly, nil, false},
	{"the same totals for another gateway account", "else", "other", third(pays("P7 10", "P8 20", "P9 30")), monthly, nil, false},
	{"another file and other totals", "acct", "other", pays("P7 10", "P8 21"), monthly, nil, false},
}

// ofTheSheet lists the warnings about the sheet as a whole.
func (o *office) ofTheSheet(batch int64) (kinds []string) {
	for _, w := range o.wanted(batch) {
		if w[:2] == "0 " {
			kinds = append(kinds, w)
		}
	}
	return kinds
}

// TestASheetThatIsLikeAnotherIsNoticed: by its file or its totals, in every
// state of the other one that pays something, and once.
func TestASheetThatIsLikeAnotherIsNoticed(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		first := o.from("acct", "bytes", three(), ledger.Scrutiny{})
		try := func(when string) {
			t.Helper()
			for _, tt := range likeThree {
				b := o.from(tt.account, tt.bytes, tt.rows, tt.look)
				same(t, tt.name+", "+when, o.ofTheSheet(b.ID), tt.want)
				if held := b.Repeats == first.ID; held != tt.held {
					t.Errorf("%s, %s: it is held: %t, want %t", tt.name, when, held, tt.held)
				}
				must(t, o.Discard(ctx, o.maker, b.ID, "twice"))
			}
		}
		try("valid")
		must(t, o.Submit(ctx, o.maker, first.ID))
		try("submitted")
		must(t, o.Approve(ctx, o.checker, first.ID))
		try("approved")
		for _, claim := range o.claim(3) {
			o.put(claim, map[string]ledger.State{"P1": ledger.Failed, "P2": ledger.Failed, "P3": ledger.Succeeded}[claim.Account])
		}
		try("partly paid")

		c.advance(31 * 24 * time.Hour)
		b := o.from("acct", "other", threeReversed(), monthly)
		same(t, "the same totals a month ago", o.ofTheSheet(b.ID), nil)
		b = o.from("acct", "bytes", pays("P3 30", "P1 10"), monthly)
		same(t, "the same file, however long ago", o.ofTheSheet(b.ID), []string{"0 file-used"})
		o.sound()
	})
}

// TestASheetIsNotLikeWhatPaysNothing: discarded, cancelled or failed.
func TestASheetIsNotLikeWhatPaysNothing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		nothing := func(when string) {
			t.Helper()
			for bytes, rows := range map[string][]ledger.NewPayout{"bytes": pays("P7 10"), "other": threeReversed()} {
				b := o.from("acct", bytes, rows, monthly)
				same(t, when, o.ofTheSheet(b.ID), nil)
				must(t, o.Discard(ctx, o.maker, b.ID, "twice"))
			}
		}
		imported := func() ledger.Batch { return o.from("acct", "bytes", three(), ledger.Scrutiny{}) }
		approved := func(b ledger.Batch) {
			must(t, o.Submit(ctx, o.maker, b.ID))
			must(t, o.Approve(ctx, o.checker, b.ID))
		}
		first := imported()
		must(t, o.Discard(ctx, o.maker, first.ID, "not now"))
		nothing("discarded")
		cancelled := imported()
		approved(cancelled)
		_, err := o.Cancel(ctx, o.checker, cancelled.ID, "not now")
		must(t, err)
		nothing("cancelled unsent")
		failed := imported()
		must(t, o.AllowRepeat(ctx, o.checker, failed.ID, "it was cancelled"))
		approved(failed)
		for _, claim := range o.claim(3) {
			o.put(claim, ledger.Failed)
		}
		nothing("failed")
		o.sound()
	})
}

// TestOfAnotherBatchOneThingIsSaid, and of several batches what each is.
func TestOfAnotherBatchOneThingIsSaid(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		rows := o.from("acct", "one", pays("P1 10", "P2 20"), ledger.Scrutiny{})
		o.from("acct", "two", pays("P7 20", "P8 10"), ledger.Scrutiny{})
		totals := o.from("acct", "three", pays("P7 10", "P8 20"), ledger.Scrutiny{})
		o.from("acct", "four", pays("P9 2"), ledger.Scrutiny{})
		file := o.from("acct", "four", pays("P9 1"), ledger.Scrutiny{})
		b := o.from("acct", "four", pays("P1 10", "P2 20"), monthly)
		if b.Repeats != rows.ID {
			t.Errorf("it is held for batch %d, want %d", b.Repeats, rows.ID)
		}
		warnings, err := o.Warnings(t.Context(), b.ID, "", 10)
		must(t, err)
		got := map[string]ledger.Repeated{}
		for _, w := range warnings {
			if w.Row == 0 {
				got[w.Code] = w.Repeats
			}
		}
		like := func(other ledger.Batch) string {
			return fmt.Sprint(ledger.Repeated{Batch: other.ID, Name: "sheet.csv", State: ledger.Valid})
		}
		if len(got) != 2 || fmt.Sprint(got[ledger.FileUsed]) != like(file) || fmt.Sprint(got[ledger.TotalsRepeated]) != like(totals) {
			t.Errorf("%+v, want batch %d for its file and %d for its totals", got, file.ID, totals.ID)
		}
		single := o.from("acct", "five", pays("P5 1"), monthly)
		same(t, "a single payout is like many", o.ofTheSheet(single.ID), nil)
		o.sound()
	})
}

// TestASheetLikeAnotherIsConfirmedByMakerAndChecker, by its kind.
func TestASheetLikeAnotherIsConfirmedByMakerAndChecker(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.from("acct", "bytes", pays("P1 10", "P2 20"), ledger.Scrutiny{})
		for kind, b := range map[string]ledger.Batch{
			ledger.FileUsed:       o.from("acct", "bytes", pays("P3 10"), monthly),
			ledger.TotalsRepeated: o.from("acct", "other", pays("P4 15", "P5 15"), monthly),
		} {
			_, err := o.ConfirmWarnings(ctx, o.maker, b.ID, "", 0)
			o.refused("with everything else", err, ledger.ErrConflict, kind+" may be the same payments again")
			o.refused("handed in", o.Submit(ctx, o.maker, b.ID), ledger.ErrUnconfirmed, "1 of "+kind)
			o.confirmed(o.maker, b.ID)
			must(t, o.Submit(ctx, o.maker, b.ID))
			o.refused("approved", o.Approve(ctx, o.checker, b.ID), ledger.ErrUnconfirmed, "1 of "+kind)
			o.confirmed(o.checker, b.ID)
			must(t, o.Approve(ctx, o.checker, b.ID))
			if overlaps, err := o.Overlaps(ctx, b.ID); err != nil || len(overlaps) != 0 {
				t.Errorf("a sheet as a whole is counted as a payment: %+v, %v", overlaps, err)
			}
		}
		o.sound()
	})
}

// TestARepayIsNoSheet: it pays what a whole batch did, and is asked about by
// its own rules.
func TestARepayIsNoSheet(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		failed := o.failed("sheet", 2)
		o.from("acct@example.com", "other", sheet("other", 2), ledger.Scrutiny{})
		again, err := o.Repay(ctx, o.maker, failed, monthly, "the wallets are open")
		must(t, err)
		same(t, "a re-pay", o.ofTheSheet(again.ID), nil)
	})
}

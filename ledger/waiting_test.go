package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/ledger"
)

// Of all that is stopped, a batch is told what holds its own payouts.
func TestWhatHoldsABatch(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		rows := sheet("held", 4)       // 11, 16, 11, 16
		rows[1].Account = "P1ABC99999" // its wallet
		mine, other := o.approved("held", rows), o.approved("other", sheet("other", 1))
		must(t, o.PlaceStop(ctx, o.maker, ledger.OnePayout, numbered(other, 1), "of others"))
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneBatch, fmt.Sprint(other.ID), "of others"))
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneChannel, "12", "of others"))
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneWallet, ledger.Wallet("16", "P7777777"), "of others"))
		holds := func() (names []string) {
			stops, err := o.StopsOf(ctx, mine.ID)
			must(t, err)
			for _, s := range stops {
				names = append(names, string(s.Scope))
			}
			return names
		}
		if got := holds(); len(got) != 0 {
			t.Fatalf("stops of others hold it: %v", got)
		}
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneWallet, ledger.Wallet("16", "P1ABC99999"), "left"))
		must(t, o.PlaceStop(ctx, o.maker, ledger.OnePayout, numbered(mine, 4), "wrong"))
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneChannel, "16", "down"))
		waiting, err := o.WaitingOf(ctx, mine.ID, []string{"11", "16"}, time.Hour)
		must(t, err)
		var stopped, all int64
		for _, w := range waiting {
			all += w.Payouts
			if w.Stopped() {
				stopped += w.Payouts
			}
		}
		if all != 4 || stopped != 2 {
			t.Errorf("%d of %d payouts of the batch wait for a stop: %+v", stopped, all, waiting)
		}
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneBatch, fmt.Sprint(mine.ID), "wait"))
		must(t, o.PlaceStop(ctx, o.maker, ledger.Everything, "", "fire drill"))
		if got := holds(); !slices.Equal(got, []string{"wallet", "payout", "channel", "batch", "everything"}) {
			t.Errorf("held by %v", got)
		}
		must(t, o.LiftStop(ctx, o.checker, ledger.OneChannel, "16"))
		if got := holds(); slices.Contains(got, "channel") {
			t.Errorf("a lifted stop holds: %v", got)
		}
	})
}

// Why a batch came back is told until it is handed in again.
func TestHowABatchCameBack(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		batch := o.imported("back", sheet("back", 1)).ID
		wants := func(by string, reason ledger.Reason, note string) {
			t.Helper()
			back, err := o.SentBack(ctx, batch)
			must(t, err)
			if back.By != by || back.Reason != reason || back.Note != note || (back.At == 0) != (by == "") {
				t.Errorf("came back %+v, want by %q as %q: %q", back, by, reason, note)
			}
		}
		wants("", "", "")
		must(t, o.Submit(ctx, o.maker, batch))
		must(t, o.Reject(ctx, o.checker, batch, "check row 182"))
		wants(o.checker.Name, ledger.ByRejection, "check row 182")
		must(t, o.Submit(ctx, o.maker, batch))
		wants("", "", "")
		must(t, o.Recall(ctx, o.maker, batch, "a slip"))
		wants(o.maker.Name, ledger.ByRecall, "a slip")
		must(t, o.Submit(ctx, o.maker, batch))
		must(t, o.Approve(ctx, o.checker, batch))
		wants("", "", "")
	})
}

// What pays a failed payout again is named, unless it was taken back.
func TestWhatIsPaidAgain(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		orders := o.failed("first", 3)
		batch := o.repaid(orders[0])
		dropped := o.repaid(orders[1])
		must(t, o.Discard(ctx, o.maker, dropped.ID, "not meant"))
		again, err := o.PaidAgain(ctx, orders)
		must(t, err)
		if len(again) != 1 || again[orders[0]] != numbered(batch, 1) {
			t.Errorf("paid again: %v, want only %s as %s", again, orders[0], numbered(batch, 1))
		}
		if again, err := o.PaidAgain(ctx, nil); err != nil || len(again) != 0 {
			t.Errorf("of nothing: %v, %v", again, err)
		}
	})
}

// While a proposal about a payout is open, its case says who confirms it.
func TestTheNextStepIsToConfirmWhatWasProposed(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.approved("doubt", sheet("doubt", 1))
		claim := o.claim(1)[0]
		o.put(claim, ledger.Closed)
		next := func() string {
			open, err := o.Exceptions(ctx)
			must(t, err)
			if len(open) != 1 {
				t.Fatalf("cases %+v", open)
			}
			return open[0].NextStep
		}
		decide := next()
		if !strings.Contains(decide, "--as paid --reason … --evidence") || !strings.Contains(decide, "--as failed --reason … --evidence") {
			t.Errorf("a step that is refused as it stands: %s", decide)
		}
		number := o.propose(o.maker, claim.OrderNo(), said(ledger.OutcomePaid))
		if want := "a checker other than " + o.maker.Name + ": payrun decision confirm " + fmt.Sprint(number); next() != want {
			t.Errorf("next %q, want %q", next(), want)
		}
		must(t, o.Withdraw(ctx, o.maker, number))
		if next() != decide {
			t.Errorf("next %q after the proposal was withdrawn", next())
		}
	})
}

// What payouts do instead of being sent is told of one and of many.
func TestWhatPayoutsDoInsteadIsToldInWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		waiting ledger.Waiting
		want    string
	}{
		{ledger.Waiting{Payouts: 1, Reason: "its turn"}, "waits for its turn"},
		{ledger.Waiting{Payouts: 2, Reason: "its turn"}, "wait for their turn"},
		{ledger.Waiting{Payouts: 1, Reason: "the pay date", Date: "2026-12-24"}, "waits for the pay date, 2026-12-24"},
		{ledger.Waiting{Payouts: 2, Reason: "the pay date", Date: "2026-12-24"}, "wait for the pay date, the first for 2026-12-24"},
		{ledger.Waiting{Payouts: 1, Reason: "stopped"}, "waits"},
		{ledger.Waiting{Payouts: 2, Reason: "stopped"}, "wait"},
		{ledger.Waiting{Payouts: 1, Reason: ledger.BlockedRepaid, Blocked: true}, "is blocked: " + ledger.BlockedRepaid},
		{ledger.Waiting{Payouts: 2, Reason: ledger.BlockedKnown, Blocked: true}, "are blocked: " + ledger.BlockedKnown},
	}
	for _, tt := range tests {
		if got := tt.waiting.Words(); got != tt.want {
			t.Errorf("%d payouts, %q: they %q, want %q", tt.waiting.Payouts, tt.waiting.Reason, got, tt.want)
		}
	}
}

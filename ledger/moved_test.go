package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"payrun/internal/money"
	"payrun/ledger"
)

// got is a proposal that the payee got another amount than was ordered.
func got(moved money.Amount) ledger.Proposal {
	p := said(ledger.OutcomePaid)
	p.Moved = moved
	return p
}

// What a payee really got is booked, and what it got more or less goes through
// suspense in a linked entry; 10.00 and a fee of 0.50 were ordered.
func TestAnotherAmountThanOrderedIsBooked(t *testing.T) {
	tests := []struct {
		name   string
		from   ledger.State
		moved  money.Amount
		linked int64 // entries that go through suspense
		booked ledger.Balances
	}{
		{"less", ledger.Review, 9_00, 1, ledger.Balances{Available: -9_50, Paid: 9_00, Fees: 50}},
		{"more", ledger.Review, 12_34, 1, ledger.Balances{Available: -12_84, Paid: 12_34, Fees: 50}},
		{"less, in doubt", ledger.Unknown, 1, 1, ledger.Balances{Available: -51, Paid: 1, Fees: 50}},
		{"as ordered", ledger.Review, 10_00, 0, ledger.Balances{Available: -10_50, Paid: 10_00, Fees: 50}},
	}
	each(t, func(t *testing.T, o *office) {
		o.approved("moved", sheet("m", len(tests)))
		for i, claim := range o.claim(len(tests)) {
			tt, no := tests[i], claim.OrderNo()
			o.put(claim, tt.from)
			before := o.usd()
			o.decide(no, got(tt.moved))
			after := o.usd()
			moved := ledger.Balances{
				Available: after.Available - before.Available - 10_50, Held: after.Held - before.Held + 10_50,
				Paid: after.Paid - before.Paid, Fees: after.Fees - before.Fees, Suspense: after.Suspense - before.Suspense,
			}
			linked := o.count("SELECT count(*) FROM entries e JOIN lines l ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id "+
				"WHERE e.payout_id = ? AND e.corrects > 0 AND a.kind = 'suspense'", claim.ID)
			if moved != tt.booked || linked != tt.linked || o.exceptionsOf(claim.ID) != "" {
				t.Errorf("%s: moved %+v in %d linked entries, want %+v; cases %q", tt.name, moved, linked, tt.booked, o.exceptionsOf(claim.ID))
			}
			o.sound()
			back := before
			o.decide(no, said(ledger.OutcomeFailed)) // it came back, but for the fee
			o.sound()
			if now := o.usd(); now.Paid != back.Paid || now.Suspense != 0 || now.Available != before.Available+10_50-50 {
				t.Errorf("%s, came back: %+v after %+v", tt.name, now, before)
			}
			o.decide(no, said(ledger.OutcomePaid)) // and was paid again
			if now := o.usd(); now != after {
				t.Errorf("%s, paid after all: %+v, want %+v", tt.name, now, after)
			}
			o.sound()
		}
	})
}

func TestAnotherAmountIsToldInWords(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("moved", sheet("m", 1))
		claim := o.claim(1)[0]
		o.put(claim, ledger.Review)
		o.decide(claim.OrderNo(), got(9_00))
		_, steps, err := o.Story(t.Context(), claim.OrderNo())
		must(t, err)
		if text := fmt.Sprint(steps); !strings.Contains(text, "paid 9.00 USD instead of 10.00 USD: proposed by mia, confirmed by charles") {
			t.Errorf("the story: %s", text)
		}
		if p := o.payout(claim.OrderNo()); p.Moved != 9_00 || p.Amount != 10_00 {
			t.Errorf("payout %+v", p)
		}
	})
}

func TestWhereAnotherAmountCannotBeNamed(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("moved", sheet("m", 2))
		claims := o.claim(2)
		o.put(claims[0], ledger.Review)
		o.put(claims[1], ledger.Failed)
		refused := func(claim ledger.Claim, p ledger.Proposal, want error, words string) {
			_, err := o.Propose(t.Context(), o.maker, claim.OrderNo(), p)
			o.refused(words, err, want, words)
		}
		refused(claims[0], got(-1), ledger.ErrInvalid, "above zero")
		failed := said(ledger.OutcomeFailed)
		failed.Moved = 9_00
		refused(claims[0], failed, ledger.ErrInvalid, "only of what was paid")
		refused(claims[1], got(9_00), ledger.ErrConflict, "decided while it is in doubt or under review")
	})
}

// Nobody changes afterwards what was proposed to have moved, or did.
func TestVerifyNamesAForgedAmount(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.approved("moved", sheet("m", 2))
		claims := o.claim(2)
		o.put(claims[0], ledger.Review)
		o.put(claims[1], ledger.Succeeded)
		o.decide(claims[0].OrderNo(), got(9_00))
		o.sound()
		for _, forgery := range []struct{ edit, undo, check string }{
			{"UPDATE proposals SET moved = 8", "UPDATE proposals SET moved = 900", "seals"},
			{"UPDATE proposals SET moved = 0", "UPDATE proposals SET moved = 900", "seals"},
			{"UPDATE payouts SET moved = 8 WHERE moved > 0", "UPDATE payouts SET moved = 900 WHERE moved > 0", "corrections"},
			{"UPDATE payouts SET moved = 8 WHERE moved = 0", "UPDATE payouts SET moved = 0 WHERE moved = 8", "postings"},
		} {
			o.tamper(forgery.edit)
			if got := strings.Join(o.breaches(), "\n"); !strings.Contains(got, forgery.check+": payout ") {
				t.Errorf("%s: %q", forgery.edit, got)
			}
			o.tamper(forgery.undo)
		}
		o.sound()
	})
}

// The fee that a correction leaves with the gateway is counted where the batch
// is looked at, as it is booked.
func TestAFeeThatACorrectionLeftIsCounted(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("corrected", sheet("c", 3))
		claims := o.claim(3)
		o.put(claims[0], ledger.Succeeded)
		o.put(claims[1], ledger.Succeeded)
		o.put(claims[2], ledger.Failed)
		o.decide(claims[0].OrderNo(), said(ledger.OutcomeFailed))
		progress, err := o.Progress(t.Context(), batch.ID)
		must(t, err)
		fees := map[ledger.State]money.Amount{}
		for _, p := range progress {
			fees[p.State] += p.Fees
		}
		if booked := o.usd().Fees; fees[ledger.Failed] != 50 || fees[ledger.Failed]+fees[ledger.Succeeded] != booked {
			t.Errorf("fees %v, booked %d", fees, booked)
		}
	})
}

package ledger_test

import (
	"strings"
	"testing"

	"payrun/internal/database"
	"payrun/ledger"
)

func TestAStoppedWalletOrPayoutIsPassedOver(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		rows := sheet("w", 4) // 11, 16, 11, 16
		rows[1].Account, rows[3].Account = "P1ABC99999", "P1ABC99999"
		batch := o.approved("wallets", rows)
		var all []ledger.Payout
		must(t, o.EachPayout(ctx, batch.ID, func(p *ledger.Payout) error { all = append(all, *p); return nil }))
		wallet := ledger.Wallet("16", "p1abc99999")
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneWallet, wallet, "the payee left"))
		must(t, o.PlaceStop(ctx, o.admin, ledger.OnePayout, all[0].OrderNo(), "a wrong amount"))
		waiting, err := o.Waiting(ctx, []string{"11", "16"}, 1<<40)
		must(t, err)
		var held int64
		for _, w := range waiting {
			if w.Reason == "stopped" && w.Meant {
				held += w.Payouts
			}
		}
		claims := o.claim(10)
		if len(claims) != 1 || claims[0].OrderNo() != all[2].OrderNo() || held != 3 {
			t.Fatalf("claimed %+v, %d wait for a stop to be lifted", claims, held)
		}
		o.put(claims[0], ledger.Succeeded)
		if err := o.PlaceStop(ctx, o.maker, ledger.OnePayout, all[2].OrderNo(), "too late"); err == nil {
			t.Error("a payout that has ended is said to be stopped")
		}
		must(t, o.LiftStop(ctx, o.checker, ledger.OneWallet, wallet))
		if claims := o.claim(10); len(claims) != 2 || claims[0].Account != "P1ABC99999" {
			t.Errorf("claimed %+v after the wallet may be paid again", claims)
		}
		must(t, o.LiftStop(ctx, o.checker, ledger.OnePayout, all[0].OrderNo()))
		if claims := o.claim(10); len(claims) != 1 || claims[0].ID != all[0].ID {
			t.Errorf("claimed %+v after the payout may go", claims)
		}
		var trail []string
		must(t, o.db.Select(ctx, &trail, "SELECT subject || ' ' || detail FROM audit"))
		if text := strings.ToLower(strings.Join(trail, "\n")); strings.Contains(text, "p1abc99999") || !strings.Contains(text, "wallet ****9999 on channel 16") {
			t.Errorf("the trail must name the wallet masked:\n%s", text)
		}
		o.sound()
	})
}

func TestStopsOfWalletsAndPayoutsThatHoldNothingAreRefused(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		for _, s := range []ledger.Stop{
			{Scope: ledger.OneWallet, Subject: "16"}, {Scope: ledger.OneWallet, Subject: "16 "}, {Scope: ledger.OneWallet, Subject: " P1"},
			{Scope: ledger.OneWallet, Subject: "16 P1000007"}, // claims look for lower case
			{Scope: ledger.OnePayout, Subject: ""}, {Scope: ledger.OnePayout, Subject: "AAAAAAAAAAAAAAAAAAAAAAAA"},
		} {
			if err := o.PlaceStop(t.Context(), o.checker, s.Scope, s.Subject, "brake"); err == nil {
				t.Errorf("%s %q is said to be stopped", s.Scope, s.Subject)
			}
		}
	})
}

// What was decided about a stop stays; it is lifted once, by whoever lifts it.
func TestStopsStayAsTheyWerePlaced(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		must(t, o.PlaceStop(t.Context(), o.maker, ledger.OneChannel, "11", "down"))
		must(t, o.LiftStop(t.Context(), o.checker, ledger.OneChannel, "11"))
		must(t, o.PlaceStop(t.Context(), o.maker, ledger.OneChannel, "11", "down again"))
		for _, edit := range []string{
			"DELETE FROM stops", "UPDATE stops SET reason = 'x'", "UPDATE stops SET subject = '12'",
			"UPDATE stops SET lifted_by = 'user:eve' WHERE lifted_at > 0", "UPDATE stops SET lifted_at = 0",
		} {
			err := o.db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(t.Context(), edit)
				return err
			})
			if !database.IsRefused(err) {
				t.Errorf("%s: %v", edit, err)
			}
		}
	})
}

package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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

// The reason of an automatic stop is not lost because people were faster: who
// lifts their stop sees it, and is told.
func TestAnAutomaticStopOfWhatIsStoppedIsTold(t *testing.T) {
	for scope, channel := range map[ledger.Scope]string{ledger.OneChannel: "11", ledger.Everything: ""} {
		t.Run(string(scope), func(t *testing.T) {
			each(t, func(t *testing.T, o *office) { o.brakedTwice(scope, channel) })
		})
	}
}

func (o *office) brakedTwice(scope ledger.Scope, channel string) {
	o.t.Helper()
	ctx := o.t.Context()
	const why = "9 of 10 payouts were refused"
	must(o.t, o.PlaceStop(ctx, o.maker, scope, channel, "a question"))
	o.told()
	for range 3 { // calls under way fail one after the other
		must(o.t, o.Brake(ctx, "worker:w1", channel, why))
	}
	stops, err := o.Stops(ctx)
	must(o.t, err)
	if len(stops) != 1 || stops[0].Reason != "a question" || stops[0].Also != "it would have been stopped automatically: "+why {
		o.t.Errorf("stops %+v", stops)
	}
	open, err := o.Exceptions(ctx)
	must(o.t, err)
	command := strings.TrimSpace("payrun stop lift " + string(scope) + " " + channel)
	if len(open) != 1 || open[0].Kind != ledger.ExceptionBraked || !strings.HasSuffix(open[0].NextStep, command) {
		o.t.Errorf("cases %+v", open)
	}
	if told := o.told(); len(told) != 1 || told[0].Kind != ledger.ExceptionBraked || !strings.Contains(told[0].Detail, why) {
		o.t.Errorf("told %+v", told)
	}
	must(o.t, o.LiftStop(ctx, o.checker, scope, channel))
	if open, err := o.Exceptions(ctx); err != nil || len(open) != 0 {
		o.t.Errorf("cases left: %+v, %v", open, err)
	}
	for range 2 {
		must(o.t, o.Brake(ctx, "worker:w1", channel, why))
	}
	if stops, err := o.Stops(ctx); err != nil || len(stops) != 1 || stops[0].Also != "" {
		o.t.Errorf("an automatic stop says twice why: %+v, %v", stops, err)
	}
	o.sound()
}

func TestARestoreOfWhatIsStoppedIsListed(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		must(t, o.PlaceStop(t.Context(), o.maker, ledger.Everything, "", "fire drill"))
		must(t, o.DeclareRestore(t.Context(), o.admin, "the disk died"))
		stops, err := o.Stops(t.Context())
		must(t, err)
		if len(stops) != 1 || stops[0].Reason != "fire drill" || stops[0].Also != "a restore was noticed or declared: the disk died" {
			t.Errorf("stops %+v", stops)
		}
	})
}

// Whoever lifts the stop of everything at the moment in which a restore is
// declared, or the brake is pulled, does not undo what they did not know of.
func TestLiftingDoesNotUndoAStopOfTheSameMoment(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stop    func(*office) error
		refused bool
	}{
		"a restore is declared": {func(o *office) error { return o.DeclareRestore(o.t.Context(), o.admin, "snapshot") }, true},
		"the brake is pulled":   {func(o *office) error { return o.Brake(o.t.Context(), "worker:w1", "", "bad signatures") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := officeAt(t, "postgres") // where two write at once
			must(t, o.PlaceStop(t.Context(), o.maker, ledger.Everything, "", "fire drill"))
			stopped, lifted := make(chan error, 1), make(chan error, 1)
			must(t, o.db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(t.Context(), "UPDATE audit_head SET position = position") // nobody commits
				if err == nil {
					go func() { stopped <- tt.stop(o) }()
					o.waitForLocks(1)
					go func() { lifted <- o.LiftStop(t.Context(), o.checker, ledger.Everything, "") }()
					o.waitForLocks(2)
				}
				return err
			}))
			must(t, <-stopped)
			if err := <-lifted; tt.refused {
				o.refused("lifted", err, ledger.ErrConflict, "a restore was declared just now")
				o.stoppedOnly("everything")
				must(t, o.LiftStop(t.Context(), o.checker, ledger.Everything, "")) // now that it is known
			} else {
				must(t, err) // the person had the stop before; the case was told
			}
			o.stoppedOnly()
			o.sound()
		})
	}
}

// A restore or a brake while the stop is being lifted stops everything anew.
func TestAStopWhileTheOneBeforeIsLifted(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*office) error{
		"a restore is declared": func(o *office) error { return o.DeclareRestore(o.t.Context(), o.admin, "snapshot") },
		"the brake is pulled":   func(o *office) error { return o.Brake(o.t.Context(), "worker:w1", "", "bad signatures") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := officeAt(t, "postgres")
			must(t, o.PlaceStop(t.Context(), o.maker, ledger.Everything, "", "fire drill"))
			stopped, lifted := make(chan error, 1), make(chan error, 1)
			must(t, o.db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(t.Context(), "UPDATE audit_head SET position = position")
				if err == nil {
					go func() { lifted <- o.LiftStop(t.Context(), o.checker, ledger.Everything, "") }()
					o.waitForLocks(1)
					go func() { stopped <- stop(o) }()
					o.waitForLocks(2)
				}
				return err
			}))
			must(t, <-lifted)
			must(t, <-stopped)
			o.stoppedOnly("everything")
			o.sound()
		})
	}
}

// The story tells each stop that held the payout while it might have been
// sent, who placed and who lifted it; other stops are not its story.
func TestTheStoryTellsWhatHeldThePayout(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		during := func(scope ledger.Scope, subject, why string) {
			t.Helper()
			c.advance(time.Second)
			must(t, o.PlaceStop(ctx, o.maker, scope, subject, why))
			c.advance(time.Second)
			must(t, o.LiftStop(ctx, o.checker, scope, subject))
		}
		during(ledger.Everything, "", "before its approval")
		batch := o.approved("held", usd10("held", func(p *ledger.NewPayout) { p.Account = "U1234567" }))
		order := numbered(batch, 1)
		during(ledger.Everything, "", "fire drill")
		during(ledger.OneChannel, "11", "down")
		during(ledger.OneChannel, "16", "another channel")
		during(ledger.OneBatch, fmt.Sprint(batch.ID), "wrong month")
		during(ledger.OneWallet, ledger.Wallet("11", "U1234567"), "fraud")
		during(ledger.OnePayout, order, "wrong payee")
		must(t, o.PlaceStop(ctx, o.maker, ledger.OneWallet, ledger.Wallet("11", "U1234567"), "fraud again"))
		told := func() (lines []string) {
			_, steps, err := o.Story(ctx, order)
			must(t, err)
			for _, s := range steps {
				if strings.HasPrefix(s.What, "stop") {
					lines = append(lines, fmt.Sprintf("%s|%s|%s", s.What, s.Actor, s.Detail))
				}
			}
			return lines
		}
		want := []string{
			"stop of everything|user:mia|fire drill; lifted by user:charles",
			"stop of its channel|user:mia|down; lifted by user:charles",
			"stop of its batch|user:mia|wrong month; lifted by user:charles",
			"stop of its wallet|user:mia|fraud; lifted by user:charles",
			"stop of the payout|user:mia|wrong payee; lifted by user:charles",
			"stop of its wallet|user:mia|fraud again; in force",
		}
		if got := told(); !slices.Equal(got, want) {
			t.Errorf("told %q\nwant %q", got, want)
		}
		must(t, o.LiftStop(ctx, o.checker, ledger.OneWallet, ledger.Wallet("11", "U1234567")))
		c.advance(time.Second)
		o.refresh()
		o.put(o.claim(1)[0], ledger.Succeeded)
		during(ledger.Everything, "", "after it was sent")
		if got := told(); len(got) != len(want) || !strings.HasSuffix(got[5], "; lifted by user:charles") {
			t.Errorf("after it was sent: %q", got)
		}
		o.sound()
	})
}

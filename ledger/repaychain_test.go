package ledger_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"payrun/internal/database"
	"payrun/ledger"
)

// notifiedPaid is a verified notification that an order was paid.
func notifiedPaid() ledger.Evidence {
	return ledger.Evidence{Kind: ledger.EvidenceCallback, Heard: ledger.HeardEnded, Status: "7"}
}

// again has failed payouts paid again, approved by a second person.
func (o *office) again(orders ...string) ledger.Batch {
	o.t.Helper()
	batch := o.submittedBy(o.maker, orders...)
	must(o.t, o.Approve(o.t.Context(), o.checker, batch.ID))
	return batch
}

// chain is a payout that failed, its re-pay that failed too, and the approved
// re-pay of that, which nobody has claimed.
func (o *office) chain() (first, second, third string) {
	o.t.Helper()
	first = o.failed("chain", 1)[0]
	o.again(first)
	claim := o.claim(1)[0]
	o.fail(claim)
	return first, claim.OrderNo(), numbered(o.again(claim.OrderNo()), 1)
}

// stopped fails the test unless a payout is unsent, blocked as a re-pay of what
// may have been paid, has its case, and is not claimed.
func (o *office) stopped(no string) {
	o.t.Helper()
	if got := o.claim(10); len(got) != 0 {
		o.t.Errorf("claimed %s", got[0].OrderNo())
	}
	p := o.payout(no)
	if p.State != ledger.Approved || p.Blocked != ledger.BlockedRepaid {
		o.t.Errorf("the re-pay is %s, blocked because %q", p.State, p.Blocked)
	}
	if kinds := o.exceptionsOf(p.ID); !strings.Contains(kinds, ledger.ExceptionBlocked) && !strings.Contains(kinds, ledger.ExceptionPaidTwice) {
		o.t.Errorf("its open cases are %q", kinds)
	}
}

// A re-pay in doubt is not sent again, by nobody and no one, once what it pays
// again was paid, however well its own absence is proven.
func TestADoubtfulRepayIsNotReleasedOnceTheFirstWasPaid(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		o.learn()
		first := o.failed("a", 1)[0]
		o.again(first)
		o.refresh()
		again := o.claim(1)[0]
		o.put(again, ledger.Unknown)
		o.decide(first, said(ledger.OutcomePaid))
		o.absent(c, again, ledger.Unknown)
		done, err := ledger.New(o.db, ledger.Config{Resend: ledger.ResendAutomatic}).Conclude(ctx, "worker:w1", []int64{again.ID})
		if done.Released != 0 || err != nil {
			t.Errorf("concluded %+v, %v", done, err)
		}
		if kinds := o.exceptionsOf(again.ID); !strings.Contains(kinds, ledger.ExceptionPaidTwice) {
			t.Errorf("its open cases are %q", kinds)
		}
		number := o.propose(o.maker, again.OrderNo(), said(ledger.OutcomeSendAgain))
		o.refused("sent again by two people", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, first+", which it pays again, is SUCCEEDED")
		must(t, o.Withdraw(ctx, o.maker, number))
		o.refresh()
		if got := o.claim(10); len(got) != 0 {
			t.Errorf("claimed %d", len(got))
		}
		o.decide(again.OrderNo(), said(ledger.OutcomeFailed)) // the way out: it is proven absent
		o.sound()
	})
}

// A re-pay that was being sent when the first turned out to be paid, and was
// not sent after all, stays here.
func TestARepayThatWasNotSentStaysOnceTheFirstWasPaid(t *testing.T) {
	for name, paid := range map[string]func(*office, string){
		"decided":  func(o *office, no string) { o.decide(no, said(ledger.OutcomePaid)) },
		"notified": func(o *office, no string) { must(o.t, o.Notify(o.t.Context(), no, notifiedPaid())) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				first := o.failed("a", 1)[0]
				o.again(first)
				again := o.claim(1)[0]
				paid(o, first)
				o.put(again, ledger.Approved)
				if kinds := o.exceptionsOf(again.ID); !strings.Contains(kinds, ledger.ExceptionBlocked) {
					t.Errorf("its open cases are %q", kinds)
				}
				o.stopped(again.OrderNo())
				o.sound()
			})
		})
	}
}

// The claim itself looks at the whole chain, whatever else was missed.
func TestAClaimLooksAtTheWholeChain(t *testing.T) {
	for name, paid := range map[string]func(*office, string){
		"decided":  func(o *office, no string) { o.decide(no, said(ledger.OutcomePaid)) },
		"notified": func(o *office, no string) { must(o.t, o.Notify(o.t.Context(), no, notifiedPaid())) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				other := o.failed("other", 2)[1]
				first, _, third := o.chain()
				fine := o.again(other)
				paid(o, first)
				o.exec("UPDATE payouts SET blocked = '' WHERE blocked <> ''") // as if nobody had noticed
				got := o.claim(10)
				if len(got) != 1 || got[0].BatchID != fine.ID {
					t.Errorf("claimed %+v, want the re-pay of what is not disputed", got)
				}
				o.stopped(third)
				o.sound()
			})
		})
	}
}

// A notification that the first of a chain was paid keeps the last of it here,
// until two people have settled the first.
func TestANotificationStopsTheWholeChain(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first, _, third := o.chain()
		must(t, o.Notify(ctx, first, notifiedPaid()))
		if p := o.payout(third); p.Blocked != ledger.BlockedRepaid {
			t.Errorf("blocked because %q", p.Blocked)
		}
		o.stopped(third)
		number := o.propose(o.maker, third, said(ledger.OutcomeUnblock))
		o.refused("let go", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, first+", which it pays again, may have been paid")
		must(t, o.Withdraw(ctx, o.maker, number))
		o.decide(first, said(ledger.OutcomeFailed)) // the notification was wrong
		o.decide(third, said(ledger.OutcomeUnblock))
		if got := o.claim(10); len(got) != 1 || got[0].OrderNo() != third || !got[0].AskFirst {
			t.Errorf("claimed %+v, want the last of the chain, after asking", got)
		}
		o.sound()
	})
}

// Two people cannot let go of the last of a chain whose first was paid.
func TestTheLastOfAChainStaysOnceTheFirstWasPaid(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first, second, third := o.chain()
		o.decide(first, said(ledger.OutcomePaid))
		o.decide(second, said(ledger.OutcomeFailed)) // its case is closed
		number := o.propose(o.maker, third, said(ledger.OutcomeUnblock))
		o.refused("let go", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, first+", which it pays again, is SUCCEEDED")
		must(t, o.Withdraw(ctx, o.maker, number))
		o.decide(third, said(ledger.OutcomeCancel))
		o.decide(first, said(ledger.OutcomePaid)) // upheld
		_, err := o.Repay(ctx, o.maker, []string{second}, ledger.Scrutiny{}, "once more")
		o.refused("paid a third time", err, ledger.ErrConflict, first+", which it pays again, is SUCCEEDED")
		o.sound()
	})
}

// What came up between the making of a re-pay and its approval counts.
func TestARepayIsCheckedAgainWhenApproved(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.failed("a", 1)[0]
		o.again(first)
		claim := o.claim(1)[0]
		o.fail(claim)
		batch := o.submittedBy(o.maker, claim.OrderNo())
		must(t, o.Notify(ctx, first, notifiedPaid()))
		o.refused("approved", o.Approve(ctx, o.checker, batch.ID), ledger.ErrConflict, "a case of the kind contrary")
		o.decide(first, said(ledger.OutcomeFailed))
		must(t, o.Approve(ctx, o.checker, batch.ID))
		if got := o.claim(10); len(got) != 1 {
			t.Errorf("claimed %d", len(got))
		}
		o.sound()
	})
}

// A payout that the gateway knows stays blocked for that reason.
func TestPaidAfterAllKeepsTheFirstReason(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		first := o.failed("a", 1)[0]
		no := numbered(o.again(first), 1)
		must(t, o.Notify(t.Context(), no, notifiedPaid()))
		o.decide(first, said(ledger.OutcomePaid))
		if p := o.payout(no); p.Blocked != ledger.BlockedKnown {
			t.Errorf("blocked because %q", p.Blocked)
		}
		o.sound()
	})
}

// A re-pay is looked through like an import: the payee may have been paid in a
// new sheet meanwhile. What it pays again is no repeat.
func TestARepayIsLookedThroughLikeAnImport(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		orders := o.failed("first", 2)
		sheetAgain := o.scrutinized("other", sheet("other", 1), ledger.Scrutiny{})
		must(t, o.Submit(ctx, o.maker, sheetAgain.ID))
		must(t, o.Approve(ctx, o.checker, sheetAgain.ID))
		o.put(o.claim(1)[0], ledger.Succeeded)
		batch, err := o.Repay(ctx, o.maker, orders, careful(), "again")
		must(t, err)
		same(t, "a re-pay", o.wanted(batch.ID), []string{"2 payee-paid-before"})
		o.refused("submitted", o.Submit(ctx, o.maker, batch.ID), ledger.ErrUnconfirmed, "payee-paid-before")
		o.confirmed(o.maker, batch.ID)
		must(t, o.Submit(ctx, o.maker, batch.ID))
		o.refused("approved", o.Approve(ctx, o.checker, batch.ID), ledger.ErrUnconfirmed, "payee-paid-before")
		o.confirmed(o.checker, batch.ID)
		must(t, o.Approve(ctx, o.checker, batch.ID))
		o.sound()
	})
}

// While it is disputed whether a payout failed, a new sheet that pays the same
// is a repeat.
func TestADisputedEndCountsAsARepeat(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		failed := o.failed("first", 2)
		stopped := o.approved("stopped", pays("P7 10"))
		_, err := o.Cancel(ctx, o.checker, stopped.ID, "not now")
		must(t, err)
		look := ledger.Scrutiny{Repeats: careful().Repeats}
		rows := append(sheet("other", 2), pays("P7 10")...)
		rows[2].Row = 9
		same(t, "nothing is disputed", o.wanted(o.discarded(o.scrutinized("b", rows, look)).ID), nil)
		must(t, o.Notify(ctx, failed[1], notifiedPaid()))
		must(t, o.Notify(ctx, numbered(stopped, 1), notifiedPaid()))
		same(t, "disputed", o.wanted(o.scrutinized("b", rows, look).ID), []string{"3 payee-paid-before", "9 payee-paid-before"})
		o.sound()
	})
}

// discarded takes a batch back at once.
func (o *office) discarded(b ledger.Batch) ledger.Batch {
	o.t.Helper()
	must(o.t, o.Discard(o.t.Context(), o.maker, b.ID, "only to look"))
	return b
}

// Of two sheets that are published at the same moment, one sees the other.
func TestSheetsPublishedAtOnceSeeEachOther(t *testing.T) {
	t.Parallel()
	o, _ := officeAt(t, "postgres") // the other engine has one writer anyway
	held, release := make(chan struct{}), make(chan struct{})
	ends := make(chan error, 3)
	stagings := []*ledger.Staging{o.stage("one", sheet("one", 1)), o.stage("two", sheet("two", 1))}
	go func() { // keeps everybody from committing
		ends <- o.db.InTx(t.Context(), func(tx *database.Tx) error {
			_, err := tx.Exec(t.Context(), "UPDATE audit_head SET position = position")
			close(held)
			<-release
			return err
		})
	}()
	<-held
	batches := make([]ledger.Batch, len(stagings))
	for i, s := range stagings {
		go func() {
			counts := accepted(1)
			counts.SourceDigest, counts.Scrutiny = string(rune('a'+i)), careful()
			var err error
			batches[i], err = s.Publish(t.Context(), counts)
			ends <- err
		}()
	}
	o.waitForLocks(2)
	close(release)
	var err error
	for range cap(ends) {
		err = errors.Join(err, <-ends)
	}
	must(t, err)
	var waiting int
	for _, b := range batches {
		waiting += strings.Count(strings.Join(o.wanted(b.ID), " "), ledger.PayeeWaiting)
	}
	if waiting != 1 {
		t.Errorf("%d of the two sheets know of the other, want 1", waiting)
	}
	o.sound()
}

// A re-pay that was released to be sent again, or that the gateway spoke of,
// can be let go by nobody once what it pays again was paid: it is taken back,
// with the proof that released it or with the gateway's word.
func TestARepayThatCannotBeLetGoIsTakenBack(t *testing.T) {
	released := func(o *office, c *clock, no string) {
		again := o.claim(1)[0]
		o.put(again, ledger.Unknown)
		o.absent(c, again, ledger.Unknown)
		o.decide(no, said(ledger.OutcomeSendAgain))
	}
	bare := ledger.Proposal{Outcome: ledger.OutcomeCancel, Reason: "paid twice otherwise"}
	for name, tt := range map[string]struct {
		before  func(o *office, c *clock, no string)
		without string // what is said to a proposal without evidence
	}{
		"released": {released, ""},
		"released, and not sent in its turn": {func(o *office, c *clock, no string) {
			released(o, c, no)
			o.refresh()
			o.put(o.claim(1)[0], ledger.Approved)
		}, ""},
		"spoken of": {func(o *office, c *clock, no string) {
			must(o.t, o.Notify(o.t.Context(), no, spoken("6")))
		}, "the gateway notified about it; propose it with --evidence"},
		"spoken of after it was released": {func(o *office, c *clock, no string) {
			released(o, c, no)
			must(o.t, o.Notify(o.t.Context(), no, spoken("6")))
		}, "the gateway notified about it; propose it with --evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			eachAt(t, func(t *testing.T, o *office, c *clock) {
				ctx := t.Context()
				o.learn()
				first := o.failed("a", 1)[0]
				no := numbered(o.again(first), 1)
				o.refresh()
				tt.before(o, c, no)
				number := o.propose(o.maker, no, said(ledger.OutcomeCancel))
				if tt.without != "" || strings.HasPrefix(name, "released") {
					o.refused("taken back before", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, "")
				}
				must(t, o.Withdraw(ctx, o.maker, number))
				o.decide(first, said(ledger.OutcomePaid))
				if p := o.payout(no); p.State != ledger.Approved || p.Blocked == "" {
					t.Fatalf("the re-pay is %s, blocked because %q", p.State, p.Blocked)
				}
				number = o.propose(o.maker, no, said(ledger.OutcomeUnblock))
				o.refused("let go", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, "is SUCCEEDED; cancel it")
				must(t, o.Withdraw(ctx, o.maker, number))
				proposal := bare
				if tt.without != "" {
					number = o.propose(o.maker, no, bare)
					o.refused("taken back without evidence", o.Confirm(ctx, o.checker, number), ledger.ErrConflict, tt.without)
					must(t, o.Withdraw(ctx, o.maker, number))
					proposal.Evidence = "mail of 2 November"
				}
				o.decide(no, proposal)
				if p, held := o.payout(no), o.usd().Held; p.State != ledger.Cancelled || held != 0 || o.exceptionsOf(p.ID) != "" {
					t.Errorf("the re-pay is %s, %d held, cases %q", p.State, held, o.exceptionsOf(p.ID))
				}
				o.sound()
			})
		})
	}
}

// What may have left since it was released stays: only the proof of absence
// lets it end.
func TestARepayThatLeftAgainIsNotTakenBack(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		o.learn()
		first := o.failed("a", 1)[0]
		no := numbered(o.again(first), 1)
		o.refresh()
		again := o.claim(1)[0]
		o.put(again, ledger.Unknown)
		o.absent(c, again, ledger.Unknown)
		o.decide(no, said(ledger.OutcomeSendAgain))
		o.refresh()
		o.put(o.claim(1)[0], ledger.Unknown)
		o.decide(first, said(ledger.OutcomePaid))
		o.tamper("UPDATE payouts SET state = 'UNSENT' WHERE id = " + strconv.FormatInt(again.ID, 10)) // to ask at all
		number := o.propose(o.maker, no, said(ledger.OutcomeCancel))
		o.refused("taken back", o.Confirm(t.Context(), o.checker, number), ledger.ErrConflict, "no proof that it stayed here")
	})
}

// A number that the gateway spoke of before any sheet had it is not taken back
// either.
func TestAnOrderSpokenOfBeforeItsSheetIsNotTakenBack(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		first := o.imported("b", sheet("b", 2))
		must(t, o.Discard(t.Context(), o.maker, first.ID, "to have its number"))
		no := numbered(first, 1)
		must(t, o.Notify(t.Context(), no, spoken("7")))
		batch := o.approved("b", sheet("b", 2))
		n, err := o.Cancel(t.Context(), o.checker, batch.ID, "wrong month")
		must(t, err)
		if state := o.payout(no).State; n != 1 || state != ledger.Approved {
			t.Errorf("%d cancelled, the one it spoke of is %s", n, state)
		}
		o.sound()
	})
}

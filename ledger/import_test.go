package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

// stage begins an import and adds rows to it.
func (o *office) stage(name string, rows []ledger.NewPayout) *ledger.Staging {
	o.t.Helper()
	s, err := o.Stage(o.t.Context(), o.maker, name, "acct@example.com")
	must(o.t, err)
	must(o.t, s.Add(o.t.Context(), rows))
	return s
}

func accepted(n int) ledger.Counts {
	return ledger.Counts{SourceDigest: "source", Read: int64(n), Accepted: int64(n)}
}

// Until it is published nobody can see, hand in, pay or find an import.
func TestAnImportIsInvisibleUntilItIsPublished(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		staging := o.stage("secret", sheet("s", 3))
		must(t, staging.AddProblems(ctx, []ledger.Problem{{Code: "amount-empty", Severity: "error", Sheet: "Payouts", Row: 5}}))
		id := o.count("SELECT id FROM batches")

		if all, err := o.Batches(ctx); err != nil || len(all) != 0 {
			t.Errorf("batches %v, error %v", all, err)
		}
		if b, err := o.Batch(ctx, id); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("batch %+v, error %v", b, err)
		}
		rows := 0
		if err := o.EachPayout(ctx, id, func(*ledger.Payout) error { rows++; return nil }); rows != 0 {
			t.Errorf("%d payouts are seen, error %v", rows, err)
		}
		if progress, err := o.Progress(ctx, id); err != nil || len(progress) != 0 {
			t.Errorf("progress %v, error %v", progress, err)
		}
		if totals, err := o.Totals(ctx, id); err != nil || len(totals) != 0 {
			t.Errorf("totals %v, error %v", totals, err)
		}
		if problems, err := o.Problems(ctx, id); err != nil || len(problems) != 0 {
			t.Errorf("problems %v, error %v", problems, err)
		}
		if waiting, err := o.Waiting(ctx, []string{"11", "16"}, time.Hour); err != nil || len(waiting) != 0 {
			t.Errorf("waiting %v, error %v", waiting, err)
		}
		for name, err := range map[string]error{
			"submitted": o.Submit(ctx, o.maker, id), "discarded": o.Discard(ctx, o.maker, id, "reason"),
			"approved": o.Approve(ctx, o.checker, id), "allowed to repeat": o.AllowRepeat(ctx, o.checker, id, "reason"),
		} {
			if !errors.Is(err, ledger.ErrNotFound) && !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if claims := o.claim(10); len(claims) != 0 {
			t.Errorf("claimed %d payouts", len(claims))
		}
		o.sound()

		batch, err := staging.Publish(ctx, ledger.Counts{SourceDigest: "d", Read: 5, Accepted: 3, Rejected: 1, Blank: 1})
		must(t, err)
		totals, err := o.Totals(ctx, batch.ID)
		must(t, err)
		want := []ledger.Total{{"11", "USD", 2, 20_00, 1_00}, {"16", "USD", 1, 10_00, 50}}
		if len(totals) != 2 || totals[0] != want[0] || totals[1] != want[1] {
			t.Errorf("totals %+v, want %+v", totals, want)
		}
		problems, err := o.Problems(ctx, batch.ID)
		must(t, err)
		if batch.State != ledger.Valid || batch.Accepted != 3 || batch.Rejected != 1 || batch.Blank != 1 || len(problems) != 1 {
			t.Errorf("batch %+v, problems %v", batch, problems)
		}
		must(t, staging.Discard(ctx)) // as a deferred clean-up would
		if after, err := o.Batch(ctx, batch.ID); err != nil || after != batch {
			t.Errorf("discarding the import changed the batch: %+v, error %v", after, err)
		}
		o.sound()
	})
}

// An import whose process died leaves nothing, once an hour has gone by.
func TestAnAbandonedImportIsClearedAway(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		ctx := t.Context()
		dead := o.stage("dead", sheet("d", 4))
		must(t, dead.AddProblems(ctx, []ledger.Problem{{Code: "x", Severity: "error"}}))
		left := func() int64 {
			return o.count("SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM payouts) + (SELECT count(*) FROM problems)")
		}
		c.advance(time.Hour)
		alive := o.stage("alive", sheet("a", 1))
		if n := left(); n != 1+4+1+1+1 {
			t.Errorf("%d rows: an import was cleared away within its hour", n)
		}
		c.advance(time.Microsecond)
		last := o.stage("last", sheet("l", 1))
		if n := left(); n != 1+1+1+1 {
			t.Errorf("%d rows are left, want the two imports that live", n)
		}
		if _, err := dead.Publish(ctx, accepted(4)); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("an import that was cleared away was published: %v", err)
		}
		if err := dead.Add(ctx, sheet("more", 1)); err == nil {
			t.Error("rows were added to an import that was cleared away")
		}
		for _, s := range []*ledger.Staging{alive, last} {
			if _, err := s.Publish(ctx, accepted(1)); err != nil {
				t.Error(err)
			}
		}
		o.sound()
	})
}

// A machine that stands still in the middle of a chunk keeps its locks, since
// the server waits for a COPY as long as it takes.
func TestAnImportThatStandsStillKeepsNobodyWaiting(t *testing.T) {
	o, c := officeAt(t, "postgres")
	o.stage("stands still", sheet("d", 4))
	c.advance(time.Hour + time.Microsecond)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT id FROM batches WHERE state = 'STAGING'"+tx.Dialect.ForShare); err != nil {
			return err
		}
		_, err := o.Stage(ctx, o.maker, "another", "acct@example.com")
		return err
	})
	must(t, err)
	o.stage("later", sheet("l", 1))
	if n := o.count("SELECT count(*) FROM batches"); n != 2 {
		t.Errorf("%d batches are left, want the two that live", n)
	}
}

func TestADiscardedImportLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := o.stage("gone", sheet("g", 3))
		must(t, s.AddProblems(t.Context(), []ledger.Problem{{Code: "x", Severity: "error"}}))
		must(t, s.Discard(t.Context()))
		must(t, s.Discard(t.Context()))
		if n := o.count("SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM payouts) + (SELECT count(*) FROM problems)"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		if _, err := s.Publish(t.Context(), accepted(3)); err == nil {
			t.Error("a discarded import was published")
		}
		o.sound()
	})
}

var orderNumber = regexp.MustCompile(`^[A-Z2-7]{16}[0-9]{8}$`)

func numbersOf(t *testing.T, o *office, batch int64) []string {
	t.Helper()
	var numbers []string
	must(t, o.EachPayout(t.Context(), batch, func(p *ledger.Payout) error {
		numbers = append(numbers, p.OrderNo())
		return nil
	}))
	return numbers
}

// The same rows in another store get the same numbers: after a restored
// backup the gateway is asked about the numbers it knows.
func TestOrderNumbersAreDerived(t *testing.T) {
	t.Parallel()
	first, _ := officeAt(t, "sqlite")
	second, _ := officeAt(t, "postgres")
	second.imported("something else before", sheet("x", 2))
	rows := sheet("november", 3)
	one := numbersOf(t, first, first.imported("november.xlsx", rows).ID)
	renamed := sheet("november", 3)
	for i := range renamed { // the file saved anew: the payments are the same
		renamed[i].Sheet, renamed[i].Row, renamed[i].Payee, renamed[i].Remark = "Sheet1", int64(i+9), "Somebody", "thanks"
	}
	two := numbersOf(t, second, second.imported("november (1).csv", renamed).ID)
	for i, no := range one {
		if !orderNumber.MatchString(no) || no != two[i] {
			t.Errorf("payout %d is %q in one store, %q in another", i+1, no, two[i])
		}
	}
	seen := map[string]string{one[0][:16]: "as it is"}
	differ := map[string]func(*ledger.NewPayout){
		"another amount":    func(p *ledger.NewPayout) { p.Amount++ },
		"another account":   func(p *ledger.NewPayout) { p.Account += "1" },
		"another channel":   func(p *ledger.NewPayout) { p.Channel = "16" },
		"another currency":  func(p *ledger.NewPayout) { p.Currency = "EUR" },
		"another reference": func(p *ledger.NewPayout) { p.Reference += "1" },
		"another pay date":  func(p *ledger.NewPayout) { p.PayDate = "2026-12-01" },
	}
	for name, change := range differ {
		changed := sheet("november", 3)
		change(&changed[0])
		prefix := first.imported(name, changed).OrderPrefix
		if other, known := seen[prefix]; known || prefix == "" {
			t.Errorf("%s: the same number as %s", name, other)
		}
		seen[prefix] = name
	}
	s, err := first.Stage(t.Context(), first.maker, "november.xlsx", "other@example.com")
	must(t, err)
	must(t, s.Add(t.Context(), rows))
	other, err := s.Publish(t.Context(), accepted(3))
	must(t, err)
	if _, known := seen[other.OrderPrefix]; known || other.Repeats != 0 {
		t.Errorf("another gateway account: prefix %q, repeats %d", other.OrderPrefix, other.Repeats)
	}
}

// Rows in chunks of any size, stored in any order, are the same sheet.
func TestChunksDoNotMatter(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		whole := o.imported("whole", sheet("w", 7))
		must(t, o.Discard(t.Context(), o.maker, whole.ID, "to compare"))
		s := o.stage("chunks", sheet("w", 7)[:2])
		var chunks []ledger.Chunk
		for _, rows := range [][]ledger.NewPayout{nil, sheet("w", 7)[2:3], sheet("w", 7)[3:5], sheet("w", 7)[5:]} {
			chunk, err := s.Chunk(rows)
			must(t, err)
			chunks = append(chunks, chunk)
		}
		must(t, chunks[3].Store(t.Context()))
		together(t, 3, func(i int) error { return chunks[i].Store(t.Context()) })
		again, err := s.Publish(t.Context(), accepted(7))
		must(t, err)
		if again.OrderPrefix != whole.OrderPrefix || again.RowsDigest != whole.RowsDigest {
			t.Errorf("whole %+v, in chunks %+v", whole, again)
		}
		row := int64(0)
		must(t, o.EachPayout(t.Context(), again.ID, func(p *ledger.Payout) error {
			if row++; p.Row != row+1 || p.Ordinal != row {
				t.Errorf("the %dth payout is %+v", row, p)
			}
			return nil
		}))
		o.sound()
	})
}

// Whoever forgets one chunk, or does not hear that it could not be stored, must
// not get a batch with a hole.
func TestAChunkThatIsNotStoredIsMissed(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := o.stage("hole", sheet("h", 6)[:2])
		missing, err := s.Chunk(sheet("h", 6)[2:4])
		must(t, err)
		must(t, s.Add(t.Context(), sheet("h", 6)[4:]))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := missing.Store(gone); err == nil {
			t.Fatal("stored without a database")
		}
		for _, n := range []int{4, 6} {
			if b, err := s.Publish(t.Context(), accepted(n)); !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("published as %+v, error %v", b, err)
			}
		}
		must(t, missing.Store(t.Context()))
		if b, err := s.Publish(t.Context(), accepted(6)); err != nil || b.Accepted != 6 {
			t.Errorf("with all chunks: %v", err)
		}
		o.sound()
	})
}

// Next month's identical payroll is legitimate, but a person has to say so.
func TestTheSameSheetAgainWaitsForAChecker(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.approved("november", sheet("payroll", 2))
		again := o.imported("december", sheet("payroll", 2))
		if again.Repeats != first.ID || again.OrderPrefix != "" {
			t.Errorf("again %+v", again)
		}
		if err := o.Submit(ctx, o.maker, again.ID); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("a repeat was submitted: %v", err)
		}
		theirs, err := o.Stage(ctx, o.both, "december", "acct@example.com")
		must(t, err)
		must(t, theirs.Add(ctx, sheet("payroll", 2)))
		third, err := theirs.Publish(ctx, accepted(2))
		must(t, err)
		for name, err := range map[string]error{
			"a maker":     o.AllowRepeat(ctx, o.maker, again.ID, "next month"),
			"an admin":    o.AllowRepeat(ctx, o.admin, again.ID, "next month"),
			"who made it": o.AllowRepeat(ctx, o.both, third.ID, "next month"),
		} {
			if !errors.Is(err, ledger.ErrForbidden) {
				t.Errorf("%s allowed a repeat: %v", name, err)
			}
		}
		if err := o.AllowRepeat(ctx, o.checker, again.ID, ""); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("allowed without a reason: %v", err)
		}
		if err := o.AllowRepeat(ctx, o.checker, first.ID, "no need"); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("an original was allowed to repeat: %v", err)
		}
		must(t, o.AllowRepeat(ctx, o.checker, again.ID, "next month"))
		must(t, o.AllowRepeat(ctx, o.checker, third.ID, "and the month after"))
		if err := o.AllowRepeat(ctx, o.checker, again.ID, "twice"); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("allowed twice: %v", err)
		}
		seen := map[string]bool{}
		for i, id := range []int64{first.ID, again.ID, third.ID} {
			b, err := o.Batch(ctx, id)
			must(t, err)
			if b.RepeatNumber != int64(i) {
				t.Errorf("batch %d has repeat number %d", id, b.RepeatNumber)
			}
			for _, no := range numbersOf(t, o, id) {
				if !orderNumber.MatchString(no) || seen[no] {
					t.Errorf("order number %q of batch %d", no, id)
				}
				seen[no] = true
			}
		}
		must(t, o.Submit(ctx, o.maker, again.ID))
		must(t, o.Approve(ctx, o.checker, again.ID))
		o.sound()
	})
}

func TestRepeatsAllowedAtOnceGetDifferentNumbers(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const repeats = 4
		o.imported("original", sheet("same", 2))
		var ids []int64
		for i := range repeats {
			ids = append(ids, o.imported(fmt.Sprint("repeat", i), sheet("same", 2)).ID)
		}
		together(t, repeats, func(i int) error { return o.AllowRepeat(t.Context(), o.checker, ids[i], "all are meant") })
		prefixes := map[string]bool{}
		for _, id := range ids {
			b, err := o.Batch(t.Context(), id)
			must(t, err)
			prefixes[b.OrderPrefix] = true
		}
		if len(prefixes) != repeats || prefixes[""] {
			t.Errorf("order prefixes %v", prefixes)
		}
		o.sound()
	})
}

// A batch that was discarded is as if it had never been; one that was
// approved keeps its numbers whatever became of it.
func TestOnlyADiscardedBatchFreesItsNumbers(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		first := o.imported("first", sheet("s", 2))
		must(t, o.Discard(ctx, o.maker, first.ID, "typing error"))
		second := o.imported("second", sheet("s", 2))
		if second.OrderPrefix != first.OrderPrefix || second.Repeats != 0 {
			t.Errorf("imported again: %+v", second)
		}
		if numbers := numbersOf(t, o, first.ID); numbers[0] != "" {
			t.Errorf("the discarded batch keeps its numbers: %q", numbers)
		}
		if p := o.payout(second.OrderPrefix + "00000001"); p.BatchID != second.ID {
			t.Errorf("the number leads to batch %d", p.BatchID)
		}
		must(t, o.Submit(ctx, o.maker, second.ID))
		must(t, o.Approve(ctx, o.checker, second.ID))
		_, err := o.Cancel(ctx, o.checker, second.ID, "not now")
		must(t, err)
		if third := o.imported("third", sheet("s", 2)); third.Repeats != second.ID || third.OrderPrefix != "" {
			t.Errorf("numbers of an approved batch were given out again: %+v", third)
		}
		o.sound()
	})
}

func TestTheSameSheetPublishedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const people = 4
		var staged []*ledger.Staging
		for i := range people {
			staged = append(staged, o.stage(fmt.Sprint("copy", i), sheet("same", 3)))
		}
		batches := make([]ledger.Batch, people)
		together(t, people, func(i int) (err error) {
			batches[i], err = staged[i].Publish(t.Context(), accepted(3))
			return err
		})
		originals := 0
		for _, b := range batches {
			if b.Repeats == 0 {
				originals++
			}
			if (b.Repeats == 0) != (b.OrderPrefix != "") {
				t.Errorf("batch %+v", b)
			}
		}
		if originals != 1 {
			t.Errorf("%d of %d copies are the original", originals, people)
		}
		o.sound()
	})
}

func TestPublishChecksTheCounts(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		tests := []struct {
			name   string
			counts ledger.Counts
		}{
			{"fewer than staged", ledger.Counts{Read: 2, Accepted: 2}},
			{"more than staged", ledger.Counts{Read: 4, Accepted: 4}},
			{"none", ledger.Counts{}},
			{"rows unaccounted for", ledger.Counts{Read: 4, Accepted: 3}},
			{"more used than read", ledger.Counts{Read: 3, Accepted: 3, Rejected: 1}},
			{"negative", ledger.Counts{Read: 3, Accepted: 3, Rejected: 1, Blank: -1}},
		}
		for _, tt := range tests {
			s := o.stage(tt.name, sheet(tt.name, 3))
			if b, err := s.Publish(t.Context(), tt.counts); err == nil {
				t.Errorf("%s: published as %+v", tt.name, b)
			}
			if b, err := s.Publish(t.Context(), accepted(3)); err != nil || b.Accepted != 3 {
				t.Errorf("%s: the right counts afterwards: %v", tt.name, err)
			}
		}
		o.sound()
	})
}

func TestAnEmptySheetIsNoBatch(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		s := o.stage("empty", nil)
		if b, err := s.Publish(t.Context(), ledger.Counts{SourceDigest: "d", Read: 2, Rejected: 1, Blank: 1}); err == nil {
			t.Errorf("a batch without payouts: %+v", b)
		}
	})
}

// A chunk is taken whole or not at all: whatever the importer does next, the
// ledger stays sound.
func TestABadChunkIsRefusedWhole(t *testing.T) {
	const most = money.Amount(1<<63 - 1)
	tests := []struct {
		name  string
		spoil func([]ledger.NewPayout)
	}{
		{"totals overflow", func(r []ledger.NewPayout) { r[0].Amount, r[2].Amount = most, 1 }},
		{"fees overflow", func(r []ledger.NewPayout) { r[0].FeeEstimate, r[2].FeeEstimate = most, 1 }},
		{"no amount", func(r []ledger.NewPayout) { r[1].Amount = 0 }},
		{"negative amount", func(r []ledger.NewPayout) { r[1].Amount = -5 }},
		{"negative fee", func(r []ledger.NewPayout) { r[1].FeeEstimate = -1 }},
		{"no account", func(r []ledger.NewPayout) { r[1].Account = "" }},
		{"unknown currency", func(r []ledger.NewPayout) { r[1].Currency = "ZZZ" }},
		{"NUL in a text", func(r []ledger.NewPayout) { r[1].Remark = "a\x00b" }},
		{"broken UTF-8", func(r []ledger.NewPayout) { r[1].Payee = "a\xff" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				s := o.stage(tt.name, sheet(tt.name, 2))
				bad := sheet("bad", 4)
				tt.spoil(bad)
				if err := s.Add(t.Context(), bad); err == nil {
					t.Error("the chunk was taken")
				}
				if b, err := s.Publish(t.Context(), accepted(2)); err == nil && b.Accepted != 2 {
					t.Errorf("published %+v", b)
				}
				o.sound()
			})
		})
	}
}

// Whatever a sheet says is paid and shown as it was written.
func TestTextsOfASheetSurvive(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		texts := []string{
			"plain", " spaces ", "O'Brien \"quoted\"", `back\slash \u0041 \n`, "<b>&amp;</b>", "Zoë Ñandú 王小明 \U0001F600", "a\u2028b", "tab\tnew\nline\r",
			"{1,2} NULL '; DROP TABLE payouts; --", "$1 ?1 ? %s", "1e3", "007", "true",
		}
		rows := sheet("texts", len(texts))
		for i, text := range texts {
			rows[i].Account, rows[i].Payee, rows[i].Remark, rows[i].Reference, rows[i].Sheet = "P"+text, text, text, text, text
		}
		batch := o.approved("texts", rows)
		i := 0
		must(t, o.EachPayout(t.Context(), batch.ID, func(p *ledger.Payout) error {
			if want := texts[i]; p.Account != "P"+want || p.Payee != want || p.Remark != want || p.Reference != want || p.Sheet != want {
				t.Errorf("%q is kept as account %q, payee %q, remark %q", want, p.Account, p.Payee, p.Remark)
			}
			i++
			return nil
		}))
		if n := len(o.claim(len(texts))); n != len(texts) {
			t.Errorf("%d of %d were claimed", n, len(texts))
		}
		o.sound()
	})
}

package ledger_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// entriesOf counts the entries of each day, oldest day first.
func (o *office) entriesOf() []int64 {
	o.t.Helper()
	var counts []int64
	must(o.t, o.db.Select(o.t.Context(), &counts,
		"SELECT (SELECT count(*) FROM entries e WHERE e.day_id = d.id) FROM days d ORDER BY d.id"))
	return counts
}

// Whatever is booked while a day is being closed lands in that day or in the
// next one, and the closed day never changes again.
func TestWhatIsBookedWhileADayClosesLandsInOneDay(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const payouts, closers = 24, 3
		o.approved("day", sheet("d", payouts))
		claims := o.claim(payouts)
		var mu sync.Mutex
		var closed []ledger.Day
		together(t, payouts+closers, func(i int) error {
			if i < payouts {
				_, err := o.Record(t.Context(), "worker:w1", []ledger.Finding{answered(claims[i], ledger.Succeeded, ledger.BySuccess)})
				return err
			}
			day, err := o.CloseDay(t.Context(), "system")
			mu.Lock()
			defer mu.Unlock()
			closed = append(closed, day)
			return err
		})
		counts := o.entriesOf()
		if len(counts) != closers+1 {
			t.Fatalf("%d days after %d closings", len(counts), closers)
		}
		var all int64
		for _, n := range counts {
			all += n
		}
		if want := int64(2 + payouts); all != want { // a top-up and a hold came before
			t.Errorf("days hold %v, together %d entries, want %d", counts, all, want)
		}
		slices.SortFunc(closed, func(a, b ledger.Day) int { return int(a.ID - b.ID) })
		for i, day := range closed {
			if day.Entries != counts[i] || day.ClosedAt == 0 || len(day.Digest) == 0 && day.Entries > 0 {
				t.Errorf("day %d was closed with %d entries, it holds %d", i+1, day.Entries, counts[i])
			}
		}
		days, err := o.Days(t.Context())
		must(t, err)
		for i, day := range closed {
			if kept := days[len(days)-1-i]; kept != day {
				t.Errorf("closed %+v, kept %+v", day, kept)
			}
		}
		o.sound()
	})
}

func TestADayIsClosedTwiceInARow(t *testing.T) {
	eachAt(t, func(t *testing.T, o *office, _ *clock) { // all at one instant
		ctx := t.Context()
		first, err := o.CloseDay(ctx, "user:otto")
		must(t, err)
		empty, err := o.CloseDay(ctx, "system")
		must(t, err)
		second, err := o.CloseDay(ctx, "system")
		must(t, err)
		if second.Entries != 0 || second.ID <= empty.ID {
			t.Errorf("empty %+v, then %+v", empty, second)
		}
		if first.Entries != 1 || first.ClosedBy != "user:otto" || empty.Entries != 0 || empty.ID <= first.ID {
			t.Errorf("first %+v, then %+v", first, empty)
		}
		must(t, o.Fund(ctx, o.admin, 100, "USD", "bank reference 2"))
		third, err := o.CloseDay(ctx, "system")
		must(t, err)
		if third.Entries != 1 || third.Digest == first.Digest || third.Digest == "" {
			t.Errorf("third %+v", third)
		}
		open := 0
		days, err := o.Days(ctx)
		must(t, err)
		for _, d := range days {
			if d.ClosedAt == 0 {
				open++
			}
		}
		if len(days) != 5 || open != 1 || days[0].ClosedAt != 0 {
			t.Errorf("days %+v", days)
		}
		o.sound()
	})
}

// A day may be closed before anything was ever booked.
func TestTheFirstDayMayBeEmpty(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, migrated, func(t *testing.T, db *database.DB) {
		day, err := ledger.New(db, ledger.Config{}).CloseDay(t.Context(), "system")
		if err != nil || day.Entries != 0 || day.ClosedAt == 0 {
			t.Errorf("day %+v, error %v", day, err)
		}
	})
}

// The digest that is kept elsewhere covers everything up to the closing:
// whoever rewrites a day and all digests in the store cannot keep it.
func TestADaysDigestCoversItsPast(t *testing.T) {
	t.Parallel()
	digest := func(before func(*office)) string {
		o, _ := officeAt(t, "sqlite")
		before(o)
		_, err := o.CloseDay(t.Context(), "system")
		must(t, err)
		must(t, o.Fund(t.Context(), o.admin, 7, "USD", "the same"))
		day, err := o.CloseDay(t.Context(), "system")
		must(t, err)
		return day.Digest
	}
	plain := digest(func(*office) {})
	if again := digest(func(*office) {}); again != plain {
		t.Errorf("the same history has two digests: %s, %s", plain, again)
	}
	for name, before := range map[string]func(*office){
		"an entry of the day before": func(o *office) { must(t, o.Fund(t.Context(), o.admin, 1, "USD", "one more")) },
		"a record of the audit trail": func(o *office) {
			must(t, o.Note(t.Context(), "user:otto", "report.export", "payouts", ""))
		},
	} {
		if other := digest(before); other == plain {
			t.Errorf("%s is not covered by the day's digest", name)
		}
	}
}

// A day is labelled by where the business is, not by UTC.
func TestTheBusinessDayIsLabelledInItsZone(t *testing.T) {
	t.Parallel()
	tests := []struct{ zone, at, day string }{
		{"UTC", "2026-11-02T23:59:59Z", "2026-11-02"},
		{"UTC", "2026-11-03T00:00:00Z", "2026-11-03"},
		{"Asia/Tokyo", "2026-11-02T14:59:59Z", "2026-11-02"},
		{"Asia/Tokyo", "2026-11-02T15:00:00Z", "2026-11-03"},
		{"America/New_York", "2026-11-02T04:59:59Z", "2026-11-01"},
		{"America/New_York", "2026-11-02T05:00:00Z", "2026-11-02"},
		{"America/New_York", "2026-10-31T04:00:00Z", "2026-10-31"}, // still summer time
		{"Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29"},    // the night the clocks change
		{"Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-29"},
		{"Asia/Kathmandu", "2026-11-02T18:15:00Z", "2026-11-03"},
	}
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.at, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(tt.zone)
			must(t, err)
			at, err := time.Parse(time.RFC3339, tt.at)
			must(t, err)
			config := database.Config{URL: dbtest.URL(t, "sqlite", migrated), Clock: func() time.Time { return at }}
			b := ledger.New(dbtest.Open(t, config, migrated), ledger.Config{Zone: zone})
			first, err := b.CloseDay(t.Context(), "system")
			must(t, err)
			days, err := b.Days(t.Context())
			must(t, err)
			if first.BusinessDay != tt.day || days[0].BusinessDay != tt.day {
				t.Errorf("closed %s, opened %s, want %s", first.BusinessDay, days[0].BusinessDay, tt.day)
			}
		})
	}
}

// A pay date is a day in the business zone, too.
func TestAPayDateBeginsInTheBusinessZone(t *testing.T) {
	t.Parallel()
	c := newClock()
	zone, err := time.LoadLocation("Asia/Tokyo")
	must(t, err)
	o := open(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrated), Clock: c.now}, migrated))
	o.Book = ledger.New(o.db, ledger.Config{Zone: zone})
	o.approved("tomorrow", usd10("t", func(p *ledger.NewPayout) { p.PayDate = "2026-11-03" }))
	c.advance(6*time.Hour - time.Microsecond) // 23:59:59.999999 in Tokyo
	o.refresh()
	if n := len(o.claim(1)); n != 0 {
		t.Error("claimed before its day")
	}
	c.advance(time.Microsecond)
	if n := len(o.claim(1)); n != 1 {
		t.Error("not claimed on its day")
	}
}

func TestTheSameEvidencePaysInOnce(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		must(t, o.Fund(ctx, o.admin, 700, "USD", "statement 18, line 4"))
		if err := o.Fund(ctx, o.admin, 700, "USD", "statement 18, line 4"); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("the same top-up again: %v, want ErrConflict", err)
		}
		must(t, o.Fund(ctx, o.admin, 700, "EUR", "statement 18, line 4"))
		must(t, o.Fund(ctx, o.admin, 700, "USD", "statement 18, line 5"))
	})
}

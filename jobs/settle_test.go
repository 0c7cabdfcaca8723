package jobs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"payrun/jobs"
	"payrun/ledger"
)

func TestSettleClosesTheDayAndKeepsItsDigest(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		settle := &jobs.Settle{Book: s.book, Heads: jobs.Heads(filepath.Join(t.TempDir(), "kept", "heads")), Actor: "user:ada"}
		batch := s.approved(s.sheet(8))
		s.disburse()
		s.follow(batch.ID)
		first, err := settle.Run(t.Context())
		s.must(err)
		const entries = 1 + 1 + 8 // the top-up, the hold, the payouts
		if first.Entries != entries || first.ClosedBy != "user:ada" || first.ClosedAt == 0 || first.Digest == "" {
			t.Errorf("closed %+v", first)
		}
		s.approved(s.sheet(4))
		second, err := settle.Run(t.Context())
		s.must(err)
		if second.Entries != 1 || second.Digest == first.Digest {
			t.Errorf("then closed %+v", second)
		}
		empty, err := settle.Run(t.Context())
		s.must(err)
		if empty.Entries != 0 {
			t.Errorf("a day without entries closed as %+v", empty)
		}
		days, err := s.book.Days(t.Context())
		s.must(err)
		if len(days) != 4 || days[3].Digest != first.Digest || days[0].ClosedAt != 0 {
			t.Errorf("days %+v", days)
		}
		s.heads(string(settle.Heads), first, second, empty)

		// A process that died between closing and writing is made up for.
		s.must(os.Truncate(string(settle.Heads), 0))
		late, err := settle.Run(t.Context())
		s.must(err)
		s.heads(string(settle.Heads), first, second, empty, late)
		s.sound()
	})
}

// heads fails unless the file holds one line per day, in order, and can be
// read by its owner only.
func (s *shop) heads(path string, days ...ledger.Day) {
	s.t.Helper()
	info, err := os.Stat(path)
	s.must(err)
	if info.Mode().Perm() != 0o600 {
		s.t.Errorf("the heads file has mode %s", info.Mode())
	}
	text, err := os.ReadFile(path)
	s.must(err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != len(days) {
		s.t.Fatalf("%d lines for %d days", len(lines), len(days))
	}
	for i, line := range lines {
		var at, day, digest, head string
		var entries int64
		line = strings.NewReplacer("day=", "", "entries=", "", "digest=", "", "audit=", "").Replace(line)
		if _, err := fmt.Sscan(line, &at, &day, &entries, &digest, &head); err != nil {
			s.t.Fatalf("line %q: %v", line, err)
		}
		if at != days[i].ClosedAt.String() || day != days[i].BusinessDay || entries != days[i].Entries || digest != days[i].Digest {
			s.t.Errorf("line %q, day %+v", line, days[i])
		}
		if head != days[i].AuditDigest || head == "" {
			s.t.Errorf("audit head %q, day %+v", head, days[i])
		}
	}
}

// What comes after the day was closed belongs to the next one.
func TestAClosedDayNeverChanges(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		settle := &jobs.Settle{Book: s.book, Heads: jobs.Heads(filepath.Join(t.TempDir(), "heads")), Actor: "user:ada"}
		batch := s.approved(s.sheet(8))
		s.disburse()
		closed, err := settle.Run(t.Context())
		s.must(err)
		s.follow(batch.ID)
		var late int64
		s.must(s.db.Get(t.Context(), &late, "SELECT count(*) FROM entries WHERE day_id = ? AND kind = 'gateway-succeeded'", closed.ID))
		var next int64
		s.must(s.db.Get(t.Context(), &next, "SELECT count(*) FROM entries WHERE day_id > ? AND kind = 'gateway-succeeded'", closed.ID))
		if late != 0 || next != 8 {
			t.Errorf("%d payments in the closed day, %d in the next", late, next)
		}
		s.sound()
	})
}

func TestSettleSaysWhenTheDigestIsNotKept(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		folder := t.TempDir()
		day, err := (&jobs.Settle{Book: s.book, Heads: jobs.Heads(folder), Actor: "user:ada"}).Run(t.Context())
		if !errors.As(err, new(*fs.PathError)) || day.Digest == "" {
			t.Errorf("%+v, %v", day, err)
		}
		settle := &jobs.Settle{Book: s.book, Heads: jobs.Heads(filepath.Join(folder, "heads")), Actor: "user:ada"}
		if _, err := settle.Run(t.Context()); err != nil {
			t.Error(err)
		}
		s.sound()
	})
}

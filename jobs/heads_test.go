package jobs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"payrun/jobs"
)

// What was kept outside the database tells when somebody rewrote a closed day,
// and whoever rewrote it can change all that is inside.
func TestARewrittenDayIsNoticed(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		heads := jobs.Heads(filepath.Join(t.TempDir(), "heads"))
		settle := &jobs.Settle{Book: s.book, Heads: heads, Actor: "user:ada"}
		verify := &jobs.Verify{Book: s.book, Heads: heads, Actor: "user:ada"}
		wrong := func(want string) {
			t.Helper()
			_, breaches, err := verify.Look(t.Context())
			s.must(err)
			switch {
			case want == "" && len(breaches) > 0, want != "" && len(breaches) != 1:
				t.Errorf("breaches %+v, want %q", breaches, want)
			case want != "" && !strings.Contains(breaches[0].Row+": "+breaches[0].Wrong, want):
				t.Errorf("breach %+v, want %q", breaches[0], want)
			}
		}
		wrong("") // no file yet
		first, err := settle.Run(t.Context())
		s.must(err)
		_, err = settle.Run(t.Context())
		s.must(err)
		kept, err := os.ReadFile(string(heads))
		s.must(err)
		wrong("")

		file := func(text string) { s.must(os.WriteFile(string(heads), []byte(text), 0o600)) }
		file(strings.Replace(string(kept), first.Digest, strings.Repeat("0", len(first.Digest)), 1))
		wrong("day " + first.BusinessDay + ": the file says")
		_, err = verify.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "one of them was rewritten") {
			t.Errorf("the daily check says %v", err)
		}
		_, err = settle.Run(t.Context()) // adds what it misses, and hides nothing
		s.must(err)
		wrong("day " + first.BusinessDay + ": the file says")

		file(string(kept) + "2001-02-03T04:05:06.000007Z day=2001-02-03 entries=9 digest=d audit=a\n")
		wrong("day closed at 2001-02-03T04:05:06.000007Z: the file says")

		file(string(kept[:len(kept)-20])) // a process died while it wrote
		wrong("")
		_, err = settle.Run(t.Context())
		s.must(err)
		wrong("")
		whole, err := os.ReadFile(string(heads))
		s.must(err)
		if _, second, _ := strings.Cut(strings.TrimSuffix(string(kept), "\n"), "\n"); !strings.Contains(string(whole), "\n"+second+"\n") {
			t.Errorf("the line that was cut off is not made up for: %q", whole)
		}

		file(string(kept) + "2001-02-03T04:05:06.000007Z day=2001-02-03 entries=9 digest=d audit=a\n")
		s.must(s.book.DeclareRestore(t.Context(), s.checker, "an older copy"))
		wrong("")
	})
}

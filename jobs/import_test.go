package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/importers"
	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/sandbox"
	"payrun/internal/sheets"
	"payrun/jobs"
	"payrun/ledger"
)

// A row that no rule lets through, and one for a wallet of another operator.
const (
	badAmount  = "X1,16,P10009999,-5.00,USD"
	badAccount = "X2,16,U10009999,5.00,USD"
)

// empty fails when an import left anything behind.
func (s *shop) empty() {
	s.t.Helper()
	for _, table := range []string{"batches", "payouts", "problems", "batch_totals"} {
		var n int64
		s.must(s.db.Get(s.t.Context(), &n, "SELECT count(*) FROM "+table))
		if n != 0 {
			s.t.Errorf("%d rows are left in %s", n, table)
		}
	}
}

func (s *shop) file(text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "payouts.csv")
	s.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

const heading = "reference,channel,account,amount,currency\n"

func TestASheetThatIsNotImportedLeavesNothing(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		for name, c := range map[string]struct {
			path  string
			wants func(error) bool
		}{
			"bad rows":            {s.sheet(3100, badAmount), func(err error) bool { return errors.Is(err, jobs.ErrRowsRejected) }},
			"no good row":         {s.sheet(0, badAmount, badAccount), func(err error) bool { return errors.Is(err, jobs.ErrNoRows) }},
			"no row":              {s.file(heading), refusedAs(importers.NoData)},
			"wrong control total": {s.sheet(3, "Total,,,99999.00,USD"), refusedAs(importers.ControlTotalWrong)},
			"no heading":          {s.file("1,2,3\n4,5,6\n"), refusedAs(importers.HeaderMissing)},
			"not a sheet":         {s.file("\x00\x01\x02"), func(err error) bool { return errors.As(err, new(*importers.FileError)) }},
			"no such file":        {filepath.Join(t.TempDir(), "gone.csv"), func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
			"a folder":            {t.TempDir(), func(err error) bool { return err != nil }},
		} {
			im, err := s.importing.File(t.Context(), s.maker, c.path, jobs.ImportChoice{})
			if !c.wants(err) || im.Batch != nil {
				t.Errorf("%s: %v, %v", name, im.Batch, err)
			}
			s.empty()
		}
		s.sound()
	})
}

func refusedAs(code importers.Code) func(error) bool {
	return func(err error) bool {
		var refused *importers.FileError
		return errors.As(err, &refused) && refused.Problem.Code == code
	}
}

func TestOnlyMakersImport(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		im, err := s.importing.File(t.Context(), s.checker, s.sheet(3), jobs.ImportChoice{})
		if !errors.Is(err, ledger.ErrForbidden) || im.Batch != nil {
			t.Errorf("%v, %v", im.Batch, err)
		}
		s.empty()
	})
}

func TestTheGoodRowsOfABadSheet(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		path := s.sheet(2500, badAmount, "", badAccount)
		im, err := s.importing.File(t.Context(), s.maker, path, jobs.ImportChoice{GoodRows: true, Totals: jobs.AnyTotals})
		s.must(err)
		b := im.Batch
		if b.Accepted != 2500 || b.Rejected != 2 || b.Blank != 1 || b.RowsRead != 2503 || b.State != ledger.Valid {
			t.Errorf("batch %+v", b)
		}
		problems, err := s.book.Problems(t.Context(), b.ID)
		s.must(err)
		if len(problems) != 2 || problems[0].Row != 2502 || problems[0].Code != string(importers.AmountNegative) || problems[1].Code != string(importers.AccountPrefix) {
			t.Errorf("problems %+v", problems)
		}
		next := int64(1)
		s.must(s.book.EachPayout(t.Context(), b.ID, func(p *ledger.Payout) error {
			if p.Ordinal != next || p.Row != next+1 || p.Reference != fmt.Sprintf("S%dR%d", s.sheets, next-1) {
				t.Fatalf("payout %d is row %d, reference %s", p.Ordinal, p.Row, p.Reference)
			}
			next++
			return nil
		}))
		s.sound()
	})
}

func TestTheFeeIsEstimatedPerRow(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		im, err := s.importing.File(t.Context(), s.maker, s.sheet(8), jobs.ImportChoice{})
		s.must(err)
		s.must(s.book.EachPayout(t.Context(), im.Batch.ID, func(p *ledger.Payout) error {
			want, err := s.importing.Fees[p.Channel].Of(p.Amount)
			if err != nil || p.FeeEstimate != want {
				t.Errorf("%d over %s: fee %d, want %d", p.Amount, p.Channel, p.FeeEstimate, want)
			}
			return nil
		}))
		s.must(s.book.Submit(t.Context(), s.maker, im.Batch.ID))
		s.must(s.book.Approve(t.Context(), s.checker, im.Batch.ID))
		s.sound()
	})
}

// The same rows again, under another name and saved anew, wait for a checker.
func TestARepeatIsHeld(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		path := s.sheet(20)
		first := s.approved(path)
		text, err := os.ReadFile(path)
		s.must(err)
		again := filepath.Join(t.TempDir(), "renamed.csv")
		s.must(os.WriteFile(again, append([]byte("\xef\xbb\xbf"), text...), 0o600))
		im, err := s.importing.File(t.Context(), s.maker, again, jobs.ImportChoice{})
		s.must(err)
		if im.Batch.Repeats != first.ID || im.Batch.OrderPrefix != "" {
			t.Errorf("imported as %+v", im.Batch)
		}
		if err := s.book.Submit(t.Context(), s.maker, im.Batch.ID); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("a repeat was submitted: %v", err)
		}
		s.disburse()
		s.follow(first.ID)
		s.must(s.book.AllowRepeat(t.Context(), s.checker, im.Batch.ID, "next month"))
		s.must(s.book.Submit(t.Context(), s.maker, im.Batch.ID))
		s.must(s.book.Approve(t.Context(), s.checker, im.Batch.ID))
		s.disburse()
		s.follow(im.Batch.ID)
		if got := s.sandbox.Book().Totals; len(got) != 1 || got[0].Count != 40 {
			t.Errorf("the sandbox paid %+v", got)
		}
		s.sound()
	})
}

func TestProblemsAreCapped(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const bad, most = 1500, 1000
		im, err := s.importing.File(t.Context(), s.maker, s.sheet(1, slices.Repeat([]string{badAmount}, bad)...), jobs.ImportChoice{GoodRows: true, Totals: jobs.AnyTotals})
		s.must(err)
		if im.Found < bad || len(im.Problems) != most || im.Batch.Rejected != bad {
			t.Errorf("%d problems handed back of %d, %d rows rejected", len(im.Problems), im.Found, im.Batch.Rejected)
		}
		kept, err := s.book.Problems(t.Context(), im.Batch.ID)
		if err != nil || len(kept) != most {
			t.Errorf("%d problems kept, %v", len(kept), err)
		}
	})
}

func TestRowsOutsideTheLimitsOfTheMomentAreNamed(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		s.faults(sandbox.Fault{At: sandbox.Limits, Kind: sandbox.FaultLimits, Max: 12_00})
		s.must(s.limits.Run(t.Context()))
		im, err := s.importing.File(t.Context(), s.maker, s.sheet(4), jobs.ImportChoice{}) // 10.00, 11.01, 12.02, 13.03
		if !errors.Is(err, jobs.ErrRowsRejected) || im.Sheet.Rejected != 2 || len(im.Problems) != 2 || im.Problems[0].Code != importers.AmountAboveLimit {
			t.Errorf("%d rows rejected, %v, %v", im.Sheet.Rejected, im.Problems, err)
		}
		s.empty()
	})
}

// The context ends when the first rows are in the store already. If the import
// was faster all the same, it has to say so: an error means that nothing is left.
func TestACancelledImportLeavesNothing(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		path := s.sheet(6_000)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		type result struct {
			im  jobs.Imported
			err error
		}
		ended := make(chan result)
		go func() {
			im, err := s.importing.File(ctx, s.maker, path, jobs.ImportChoice{})
			ended <- result{im, err}
		}()
		s.count("SELECT count(*) FROM payouts", func(n int64) bool { return n > 0 })
		cancel()
		r := <-ended
		switch {
		case r.err == nil && r.im.Batch == nil, r.err != nil && !errors.Is(r.err, context.Canceled):
			t.Errorf("%v, %v", r.im.Batch, r.err)
		case r.err != nil:
			s.empty()
		}
		s.sound()
	})
}

// SQLite tells a full disk by a bound on its file.
func TestAFullDiskLeavesNothing(t *testing.T) {
	t.Parallel()
	s := openShop(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrated)}, migrated), hostile())
	path := s.sheet(4_500)
	s.full(true)
	im, err := s.importing.File(t.Context(), s.maker, path, jobs.ImportChoice{})
	if !database.IsFull(err) || im.Batch != nil {
		t.Errorf("%v, %v", im.Batch, err)
	}
	in := s.inbox()
	s.drop(in, "good.csv", path, time.Minute)
	if _, err := in.Run(t.Context()); !database.IsFull(err) {
		t.Errorf("inbox: %v", err)
	}
	if got := s.lies(in); !slices.Equal(got, []string{"good.csv"}) {
		t.Errorf("in the folder: %q", got)
	}
	s.full(false)
	s.empty()
	if report, err := in.Run(t.Context()); err != nil || report != "1 imported, 0 refused" {
		t.Errorf("with room again: %q, %v", report, err)
	}
	s.sound()
}

// No commit, no send.
func TestAFullDiskSendsNothing(t *testing.T) {
	t.Parallel()
	s := openShop(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrated)}, migrated), hostile())
	batch := s.approved(s.sheet(200))
	s.engine.InFlight = 200
	s.full(true)
	if _, err := s.engine.Disburse(t.Context()); !database.IsFull(err) {
		t.Errorf("ended with %v", err)
	}
	s.full(false)
	if n := len(s.sandbox.Book().Calls[sandbox.Create]); n > 0 {
		t.Errorf("%d creates without a commit", n)
	}
	s.disburse()
	s.follow(batch.ID)
	s.sound()
}

// full lets the file grow by a few pages more, or by as many as it likes.
func (s *shop) full(full bool) {
	s.t.Helper()
	var pages int64
	s.must(s.db.Get(s.t.Context(), &pages, "PRAGMA page_count"))
	if !full {
		pages = 1 << 30
	}
	_, err := s.db.Writer().ExecContext(s.t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+2))
	s.must(err)
}

func TestCheckTouchesNoStore(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		path := s.sheet(10, badAmount)
		if _, err := s.importing.Check(t.Context(), path, jobs.ImportChoice{}); !errors.Is(err, jobs.ErrRowsRejected) {
			t.Errorf("without a choice: %v", err)
		}
		checked, err := s.importing.Check(t.Context(), path, jobs.ImportChoice{GoodRows: true, Totals: jobs.AnyTotals})
		if err != nil || checked.Sheet.Accepted != 10 || checked.Sheet.Rejected != 1 || len(checked.Problems) != 1 || checked.Batch != nil {
			t.Errorf("%+v, %v", checked, err)
		}
		s.empty()
	})
}

// inbox is a watched folder and what lies in it.
func (s *shop) inbox() *jobs.Inbox {
	return &jobs.Inbox{Import: s.importing, Book: s.book, Folder: s.t.TempDir(), Owner: "mia", Pause: time.Millisecond}
}

// drop puts a file into the folder that was last written so long ago.
func (s *shop) drop(in *jobs.Inbox, name string, from string, age time.Duration) {
	s.t.Helper()
	text, err := os.ReadFile(from)
	s.must(err)
	path := filepath.Join(in.Folder, name)
	s.must(os.WriteFile(path, text, 0o600))
	at := time.Now().Add(-age)
	s.must(os.Chtimes(path, at, at))
}

// lies lists what is in the folder and below, without the time in front.
func (s *shop) lies(in *jobs.Inbox) (names []string) {
	s.t.Helper()
	s.must(filepath.WalkDir(in.Folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(in.Folder, path)
		if folder, file := filepath.Split(name); folder != "" {
			name = folder + file[len("20060102-150405.000-"):]
		}
		names = append(names, name)
		return err
	}))
	slices.Sort(names)
	return names
}

// comesBack holds what lies beside a refused sheet against the sheet: the copy
// is judged as the sheet was, and both it and the document name the bad row.
func (s *shop) comesBack(in *jobs.Inbox) {
	s.t.Helper()
	one := func(pattern string) string {
		s.t.Helper()
		found, err := filepath.Glob(filepath.Join(in.Folder, "refused", pattern))
		s.must(err)
		if len(found) != 1 {
			s.t.Fatalf("%s: %q", pattern, found)
		}
		return found[0]
	}
	copied, err := s.importing.Check(s.t.Context(), one("*.problems.xlsx"), jobs.ImportChoice{})
	if !errors.Is(err, jobs.ErrRowsRejected) {
		s.t.Fatal(err)
	}
	if r := copied.Sheet; r.Accepted != 10 || r.Rejected != 1 || copied.Problems[0].Row != 12 || copied.Problems[0].Code != importers.AmountNegative {
		s.t.Errorf("the copy is judged %+v, %v", r, copied.Problems)
	}
	var twin sheets.Twin
	text, err := os.ReadFile(one("*.problems.json"))
	s.must(err)
	s.must(json.Unmarshal(text, &twin))
	if twin.File != "bad.csv" || twin.Rejected != 1 || len(twin.Problems) != 1 || twin.Problems[0].Row != 12 || twin.Reason == "" || twin.Batch != 0 {
		s.t.Errorf("the document says %+v", twin)
	}
}

// A file that is no sheet comes back with reasons, and without a copy.
func TestInboxAnswersWhatIsNoSheet(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in := s.inbox()
		s.drop(in, "old.xls", "../importers/testdata/old-format.xls", time.Minute)
		if report, err := in.Run(t.Context()); err != nil || report != "0 imported, 1 refused: old.xls" {
			t.Errorf("%q, %v", report, err)
		}
		want := []string{"refused/old.xls", "refused/old.xls.problems.json", "refused/old.xls.problems.txt"}
		if got := s.lies(in); !slices.Equal(got, want) {
			t.Errorf("in the folder: %q, want %q", got, want)
		}
		reasons, err := filepath.Glob(filepath.Join(in.Folder, "refused", "*.problems.txt"))
		s.must(err)
		text, err := os.ReadFile(reasons[0])
		s.must(err)
		if !strings.HasPrefix(string(text), "The file is in the old binary Excel format (.xls). Open it and save as .xlsx") || !strings.Contains(string(text), "There is no annotated copy") {
			t.Errorf("the reasons read %q", text)
		}
	})
}

func TestInbox(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in := s.inbox()
		s.drop(in, "good.csv", s.sheet(10), time.Minute)
		s.drop(in, "bad.csv", s.sheet(10, badAmount), time.Minute)
		s.drop(in, "being-copied.csv", s.sheet(10), 0)
		s.drop(in, ".hidden.csv", s.sheet(10), time.Minute)
		report, err := in.Run(t.Context())
		if err != nil || report != "1 imported, 1 refused: bad.csv" {
			t.Errorf("%q, %v", report, err)
		}
		want := []string{".hidden.csv", "being-copied.csv", "processed/good.csv", "refused/bad.csv",
			"refused/bad.csv.problems.json", "refused/bad.csv.problems.txt", "refused/bad.csv.problems.xlsx"}
		if got := s.lies(in); !slices.Equal(got, want) {
			t.Errorf("in the folder: %q, want %q", got, want)
		}
		reasons, err := filepath.Glob(filepath.Join(in.Folder, "refused", "*.problems.txt"))
		s.must(err)
		text, err := os.ReadFile(reasons[0])
		s.must(err)
		if !strings.Contains(string(text), "row 12") || strings.Contains(string(text), "P10009999") {
			t.Errorf("the reasons read %q", text)
		}
		if copied := strings.TrimSuffix(filepath.Base(reasons[0]), ".txt") + ".xlsx"; !strings.Contains(string(text), "The problems are marked in "+copied+", beside this file.") {
			t.Errorf("the reasons do not name the copy: %q", text)
		}
		s.comesBack(in)
		batches, err := s.book.Batches(t.Context())
		s.must(err)
		if len(batches) != 1 || batches[0].State != ledger.Valid || batches[0].Maker != "mia" || batches[0].Name != "good.csv" {
			t.Errorf("batches %+v: an inbox imports and no more", batches)
		}
		if report, err := in.Run(t.Context()); err != nil || report != "0 imported, 0 refused" {
			t.Errorf("then %q, %v", report, err)
		}
		s.sound()
	})
}

func TestInboxHoldsARepeat(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in, path := s.inbox(), s.sheet(10)
		for range 2 {
			s.drop(in, "payroll.csv", path, time.Minute)
			if _, err := in.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		batches, err := s.book.Batches(t.Context())
		s.must(err)
		if len(batches) != 2 || batches[0].Repeats != batches[1].ID || batches[0].OrderPrefix != "" {
			t.Errorf("batches %+v", batches)
		}
	})
}

// A file that was imported and could not be moved away is known again. One of
// other content is not, though it has the same name, size and time.
func TestInboxKnowsAFileByItsContent(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in := s.inbox()
		written := time.Now().Add(-time.Hour)
		for _, step := range []struct{ account, report string }{
			{"P11111111", "1 imported, 0 refused"},
			{"P22222222", "1 imported, 0 refused"},
			{"P22222222", "0 imported, 0 refused; 1 imported before, only moved away now"},
		} {
			path := filepath.Join(in.Folder, "weekly.csv")
			s.must(os.WriteFile(path, []byte("reference,channel,account,amount,currency\n"+step.account+",Payeer,"+step.account+",3.00,USD\n"), 0o600))
			s.must(os.Chtimes(path, written, written))
			if report, err := in.Run(t.Context()); err != nil || report != step.report {
				t.Errorf("%s: %q, %v", step.account, report, err)
			}
		}
		batches, err := s.book.Batches(t.Context())
		s.must(err)
		if len(batches) != 2 {
			t.Errorf("%d batches", len(batches))
		}

		s.must(s.book.Discard(t.Context(), s.maker, batches[0].ID, "read by the wrong profile"))
		filed, err := filepath.Glob(filepath.Join(in.Folder, jobs.ProcessedFolder, "*weekly.csv"))
		s.must(err)
		s.must(os.Rename(filed[len(filed)-1], filepath.Join(in.Folder, "weekly.csv")))
		if report, err := in.Run(t.Context()); err != nil || report != "1 imported, 0 refused" {
			t.Errorf("put back after its batch was discarded: %q, %v", report, err)
		}
	})
}

// A sheet that is saved again while the one before it is imported is not moved
// away with that one's name.
func TestInboxSeesASheetThatTakesTheOthersPlace(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		for name, before := range map[string]string{"good": s.sheet(3), "refused": s.sheet(3, badAmount), "as large and old": s.sheet(7)} {
			in := s.inbox()
			s.drop(in, name+".csv", before, time.Minute)
			read := in.Import.Read
			in.Import.Read = func(ctx context.Context, path string, rules importers.Rules, sink importers.Sink) (importers.Result, error) {
				result, err := importers.Read(ctx, path, rules, sink)
				seen, statErr := os.Stat(path)
				s.must(errors.Join(statErr, os.Remove(path)))
				s.drop(in, name+".csv", s.sheet(7), time.Minute)
				if name == "as large and old" {
					s.must(os.Chtimes(path, seen.ModTime(), seen.ModTime()))
				}
				return result, err
			}
			report, err := in.Run(t.Context())
			s.must(err)
			if strings.Contains(report, ".csv") || strings.Contains(report, "1 refused") {
				t.Errorf("%s: said to be refused: %q", name, report)
			}
			in.Import.Read = read
			if got := s.lies(in); len(got) != 1 || !strings.HasSuffix(got[0], name+".csv") || strings.Contains(got[0], "/") {
				t.Errorf("%s: in the folder %q", name, got)
			}
			if report, err := in.Run(t.Context()); err != nil || report != "1 imported, 0 refused" {
				t.Errorf("%s: then %q, %v", name, report, err)
			}
		}
	})
}

// Programs that copy or share files may give one another time at any moment.
func TestInboxImportsASheetOnceWhateverItsTime(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in := s.inbox()
		s.drop(in, "good.csv", s.sheet(3), time.Minute)
		in.Import.Read = func(ctx context.Context, path string, rules importers.Rules, sink importers.Sink) (importers.Result, error) {
			result, err := importers.Read(ctx, path, rules, sink)
			s.must(os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)))
			return result, err
		}
		if report, err := in.Run(t.Context()); err != nil || report != "1 imported, 0 refused" {
			t.Errorf("%q, %v", report, err)
		}
		if got := s.lies(in); !slices.Equal(got, []string{"processed/good.csv"}) {
			t.Errorf("in the folder: %q", got)
		}
	})
}

func TestInboxWithoutOwner(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		for name, owner := range map[string]string{"unknown": "nobody", "no maker": "charles"} {
			in := s.inbox()
			in.Owner = owner
			s.drop(in, "good.csv", s.sheet(10), time.Minute)
			if _, err := in.Run(t.Context()); err == nil {
				t.Errorf("%s: no error", name)
			}
			if got := s.lies(in); !slices.Equal(got, []string{"good.csv"}) {
				t.Errorf("%s: in the folder %q", name, got)
			}
		}
		s.empty()
	})
}

func TestInboxLeavesAloneWhatIsNoSheet(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in := s.inbox()
		s.drop(in, "~$payouts.xlsx", s.file("mia"), time.Minute) // Excel's mark of an open sheet
		s.must(os.Mkdir(filepath.Join(in.Folder, "old"), 0o700))
		s.must(os.Symlink(s.sheet(3), filepath.Join(in.Folder, "link.csv")))
		if report, err := in.Run(t.Context()); err != nil || report != "0 imported, 0 refused" {
			t.Errorf("%q, %v", report, err)
		}
		if got := s.lies(in); !slices.Equal(got, []string{"link.csv", "~$payouts.xlsx"}) {
			t.Errorf("in the folder: %q", got)
		}
		s.empty()
		in.Folder = filepath.Join(in.Folder, "gone")
		if _, err := in.Run(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a folder that is gone: %v", err)
		}
	})
}

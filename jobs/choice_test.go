package jobs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/importers"
	"payrun/jobs"
	"payrun/ledger"
)

// TestGoodRowsNeedTheirTotals goes on without the bad rows only when the maker
// has said what is left.
func TestGoodRowsNeedTheirTotals(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		path := s.file(heading + "A1,16,P10000001,5.00,USD\nA2,16,P10000002,7.50,USD\n" + badAmount + "\n")
		const totals = "2 good, 1 bad, 12.50 USD"
		for _, wrong := range []string{"", "2 good, 1 bad, 12.51 USD", "2 good, 0 bad, 12.50 USD"} {
			im, err := s.importing.File(t.Context(), s.maker, path, jobs.ImportChoice{GoodRows: true, Totals: wrong})
			if !errors.Is(err, jobs.ErrTotals) || !strings.Contains(err.Error(), totals) || im.Batch != nil {
				t.Errorf("%q: %v, %v", wrong, im.Batch, err)
			}
			s.empty()
		}
		sound := s.file(heading + "A1,16,P10000001,5.00,USD\nA2,16,P10000002,7.50,USD\n")
		if _, err := s.importing.File(t.Context(), s.maker, sound, jobs.ImportChoice{GoodRows: true, Totals: totals}); !errors.Is(err, jobs.ErrTotals) {
			t.Errorf("totals of another sheet, though all rows are good: %v", err)
		}
		s.empty()
		im, err := s.importing.File(t.Context(), s.maker, path, jobs.ImportChoice{GoodRows: true, Totals: totals})
		s.must(err)
		if reading, err := s.book.Reading(t.Context(), im.Batch.ID); err != nil || reading.GoodRows != totals {
			t.Errorf("on record: %+v, %v", reading, err)
		}
		if im.Batch.ID != 1 {
			t.Errorf("imports that came to nothing used up numbers: the first batch is %d", im.Batch.ID)
		}
		s.sound()
	})
}

// TestWarningsOfTheSheetAreConfirmed: a sheet's warnings keep its batch from
// being handed in, those of rows that are not imported do not.
func TestWarningsOfTheSheetAreConfirmed(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		path := s.file(heading + "A1,16,P10000001,5.00,USD\nA2,16,P10000001,5.00,USD\nA3,16,P123,5.00,USD\nA4,16,P124,-5.00,USD\n")
		im, err := s.importing.File(t.Context(), s.maker, path, jobs.ImportChoice{GoodRows: true, Totals: jobs.AnyTotals})
		s.must(err)
		batch := im.Batch.ID
		var found []string
		warnings, err := s.book.Warnings(t.Context(), batch, "", 10)
		s.must(err)
		for _, w := range warnings {
			if w.Message == "" {
				t.Errorf("row %d: no words for %s", w.Row, w.Code)
			}
			found = append(found, w.Code)
		}
		if want := []string{string(importers.PayeeRepeated), string(importers.AccountLength)}; !slices.Equal(found, want) {
			t.Errorf("warnings %q, want %q", found, want)
		}
		if err := s.book.Submit(t.Context(), s.maker, batch); !errors.Is(err, ledger.ErrUnconfirmed) {
			t.Errorf("handed in: %v", err)
		}
		for _, kind := range []string{"", string(importers.PayeeRepeated)} { // repeats not with everything else
			_, err = s.book.ConfirmWarnings(t.Context(), s.maker, batch, kind, 0)
			s.must(err)
		}
		s.must(s.book.Submit(t.Context(), s.maker, batch))
		if err := s.book.Approve(t.Context(), s.checker, batch); !errors.Is(err, ledger.ErrUnconfirmed) {
			t.Errorf("approved: %v", err)
		}
		_, err = s.book.ConfirmWarnings(t.Context(), s.checker, batch, string(importers.PayeeRepeated), 0)
		s.must(err)
		s.must(s.book.Approve(t.Context(), s.checker, batch))
		s.sound()
	})
}

// TestTheProfileIsKeptWithTheBatch: what changed how money was read is on
// record.
func TestTheProfileIsKeptWithTheBatch(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		path := s.file("Konto;Amount;Team\nP10000001;1.234,56;Sales\n")
		choice := jobs.ImportChoice{ProfileName: "team", Settings: "the text", Profile: importers.Profile{
			Columns: map[string]importers.Field{"Konto": importers.FieldAccount}, DecimalMark: ",", GroupMark: ".", Channel: "16", Currency: "USD",
		}}
		im, err := s.importing.File(t.Context(), s.maker, path, choice)
		s.must(err)
		want := ledger.Reading{Profile: "team", Settings: "the text", Columns: "A \"Konto\": account\nB \"Amount\": amount\nC \"Team\": ignored"}
		if got, err := s.book.Reading(t.Context(), im.Batch.ID); err != nil || got != want {
			t.Errorf("on record: %+v, %v", got, err)
		}
		p, _, err := s.book.Story(t.Context(), im.Batch.OrderPrefix+"00000001")
		if err != nil || p.Beside != "Team: Sales" {
			t.Errorf("beside the payout: %q, %v", p.Beside, err)
		}
	})
}

// TestInboxDoesNotImportWhatItCannotMove: the sheet stays where it is, and is
// known when it is seen again.
func TestInboxDoesNotImportWhatItCannotMove(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in := s.inbox()
		s.drop(in, "good.csv", s.sheet(3), time.Minute)
		s.must(os.WriteFile(filepath.Join(in.Folder, "processed"), nil, 0o600)) // in the folder's place
		for range 3 {
			if report, err := in.Run(t.Context()); err == nil || report != "0 imported, 0 refused" {
				t.Errorf("%q, %v", report, err)
			}
		}
		if all, err := s.book.Batches(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%d batches, %v", len(all), err)
		}
		s.must(os.Remove(filepath.Join(in.Folder, "processed")))
		if report, err := in.Run(t.Context()); err != nil || report != "0 imported, 0 refused; 1 imported before, only moved away now" {
			t.Errorf("%q, %v", report, err)
		}
		if all, err := s.book.Batches(t.Context()); err != nil || len(all) != 1 || all[0].State != ledger.Valid {
			t.Errorf("batches %+v, %v", all, err)
		}
		if got := s.lies(in); !slices.Equal(got, []string{"processed/good.csv"}) {
			t.Errorf("in the folder: %q", got)
		}
	})
}

// TestInboxWaitsForFilesThatGrow: the clock of a file server may say that a
// file is old while it is being written.
func TestInboxWaitsForFilesThatGrow(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		in := s.inbox()
		in.Pause = time.Hour
		s.drop(in, "growing.csv", s.sheet(3), time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := in.Run(ctx)
			ended <- err
		}()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		s.empty()

		in.Pause = 200 * time.Millisecond
		done := s.grow(filepath.Join(in.Folder, "growing.csv"))
		if report, err := in.Run(t.Context()); err != nil || report != "0 imported, 0 refused" {
			t.Errorf("a file that grows: %q, %v", report, err)
		}
		done()
		s.empty()

		in.Pause = time.Nanosecond
		in.Import = &jobs.Import{Book: s.book, GatewayAccount: s.importing.GatewayAccount, Fees: s.importing.Fees,
			Read: func(context.Context, string, importers.Rules, importers.Sink) (importers.Result, error) {
				return importers.Result{}, &importers.FileError{Problem: importers.Problem{Code: importers.FileChanged, Severity: importers.FileRefused, Message: "It changed."}}
			}}
		if report, err := in.Run(t.Context()); err == nil || report != "0 imported, 0 refused" {
			t.Errorf("a file that changes: %q, %v", report, err)
		}
		if got := s.lies(in); !slices.Equal(got, []string{"growing.csv"}) {
			t.Errorf("in the folder: %q", got)
		}
	})
}

// grow puts ever longer sheets in a file's place, each of which is old, until
// it is told that that is enough.
func (s *shop) grow(path string) (done func()) {
	text, err := os.ReadFile(path)
	s.must(err)
	fresh := filepath.Join(s.t.TempDir(), "fresh.csv")
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		old := time.Now().Add(-time.Hour)
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			text = append(text, '\n')
			if err := errors.Join(os.WriteFile(fresh, text, 0o600), os.Chtimes(fresh, old, old), os.Rename(fresh, path)); err != nil {
				<-stop
				stopped <- err
				return
			}
		}
	}()
	return func() {
		close(stop)
		s.must(<-stopped)
	}
}

package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"payrun/importers"
	"payrun/internal/sheets"
	"payrun/ledger"
)

// Inbox imports sheets that appear in a folder. It polls, since notification
// of changes does not cross network shares. It never submits anything.
type Inbox struct {
	Import *Import
	Book   *ledger.Book
	Folder string
	Owner  string // the maker who answers for its sheets
	// Choice says how its sheets are read; what concerns one sheet is ignored.
	Choice ImportChoice
	// Pause is between two looks at a file: only one that is the same at both
	// is taken [1 s].
	Pause time.Duration
}

// settledAfter is how old a file must be: it is then taken to be copied
// completely. The clock of a file server may be wrong, so that its size and
// time must also stay the same for a while.
const settledAfter = 5 * time.Second

// Where sheets go that were seen to, beside those that wait.
const (
	ProcessedFolder = "processed"
	RefusedFolder   = "refused"
)

// Run imports every settled sheet and moves it to the folder's processed or
// refused folder; beside a refused one lie the reasons, as text, as JSON and
// marked in a copy of the sheet.
func (in *Inbox) Run(ctx context.Context) (string, error) {
	owner, err := in.Book.User(ctx, in.Owner)
	if err != nil {
		return "", fmt.Errorf("inbox owner: %w", err)
	}
	files, err := in.settledFiles(ctx)
	if err != nil {
		return "", fmt.Errorf("read the inbox: %w", err)
	}
	var seen tally
	var failed error // one file does not keep the others waiting
	for _, file := range files {
		path := filepath.Join(in.Folder, file.Name())
		if !still(path, file) {
			continue
		}
		done, known, importErr := in.one(ctx, owner, path, file)
		if importErr != nil && !aboutSheet(importErr) {
			failed = errors.Join(failed, fmt.Errorf("%s stays in the inbox: %w", file.Name(), importErr))
			continue
		}
		filed, err := in.file(ctx, path, file, done, importErr)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		switch {
		case importErr != nil && !filed: // another sheet is in its place, and has its turn
		case known:
			seen.before++
		case importErr == nil:
			seen.imported++
		default:
			seen.refused = append(seen.refused, file.Name())
		}
	}
	return seen.String(), failed
}

// tally counts what became of an inbox's sheets.
type tally struct {
	imported, before int
	refused          []string // their names
}

func (t tally) String() string {
	words := fmt.Sprintf("%d imported, %d refused", t.imported, len(t.refused))
	if len(t.refused) > 0 {
		words += ": " + strings.Join(t.refused, ", ")
	}
	if t.before > 0 {
		words += fmt.Sprintf("; %d imported before, only moved away now", t.before)
	}
	return words
}

// Waiting counts the sheets that somebody has put into the folder.
func (in *Inbox) Waiting() (int, error) {
	files, err := in.look()
	return len(files), err
}

// one imports one sheet, unless that was done before and only moving it away
// did not work then.
func (in *Inbox) one(ctx context.Context, owner ledger.User, path string, file fs.FileInfo) (done Imported, before bool, err error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return Imported{}, false, err
	}
	choice := in.Choice
	choice.GoodRows, choice.Totals = false, ""
	choice.Source = fmt.Sprintf("%s, %d bytes, written %s", full, file.Size(), file.ModTime().UTC().Format(time.RFC3339Nano))
	batch, before, err := in.imported(ctx, choice.Source, path)
	if err != nil || before {
		return Imported{Batch: &batch, Sheet: importers.Result{Digest: batch.SourceDigest}}, before, err
	}
	done, err = in.Import.File(ctx, owner, path, choice)
	return done, false, err
}

// imported finds the batch that was made of this very file. Its content counts
// too: some programs give every file they write the same time.
func (in *Inbox) imported(ctx context.Context, source, path string) (ledger.Batch, bool, error) {
	known, err := in.Book.Imported(ctx, source)
	if err != nil || known == 0 {
		return ledger.Batch{}, false, err
	}
	batch, err := in.Book.Batch(ctx, known)
	if err != nil {
		return ledger.Batch{}, false, err
	}
	digest, err := importers.Digest(path)
	return batch, digest == batch.SourceDigest, err
}

// aboutSheet tells a bad sheet from a store that is away.
func aboutSheet(err error) bool {
	if refused, ok := errors.AsType[*importers.FileError](err); ok {
		return refused.Problem.Code != importers.FileChanged // it is being written again
	}
	return errors.Is(err, ErrRowsRejected) || errors.Is(err, ErrNoRows)
}

// settledFiles lists the files that nobody seems to be writing to.
func (in *Inbox) settledFiles(ctx context.Context) ([]fs.FileInfo, error) {
	before, err := in.look()
	if err != nil || len(before) == 0 {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(cmp.Or(in.Pause, time.Second)):
	}
	after, err := in.look()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(after, func(now fs.FileInfo) bool {
		return !slices.ContainsFunc(before, func(then fs.FileInfo) bool {
			return then.Name() == now.Name() && then.Size() == now.Size() && then.ModTime().Equal(now.ModTime())
		})
	}), nil
}

func (in *Inbox) look() ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(in.Folder)
	if err != nil {
		return nil, err
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && in.settled(info) { // it may be gone by now
			files = append(files, info)
		}
	}
	return files, nil
}

func (in *Inbox) settled(file fs.FileInfo) bool {
	// "~$" begins the lock files of spreadsheet programs.
	hidden := strings.HasPrefix(file.Name(), ".") || strings.HasPrefix(file.Name(), "~$")
	return file.Mode().IsRegular() && !hidden && time.Since(file.ModTime()) > settledAfter
}

// still tells whether a path leads to the file that was seen there, as far as
// size and time tell. Many a program saves a sheet by putting a new file in the
// old one's place.
func still(path string, seen fs.FileInfo) bool {
	now, err := os.Lstat(path)
	return err == nil && now.Mode() == seen.Mode() && now.Size() == seen.Size() && now.ModTime().Equal(seen.ModTime())
}

// wasRead tells whether a file is the one that was read: by its content, if
// that is known, since a file may get another time without another content.
func wasRead(path string, seen fs.FileInfo, digest string) (bool, error) {
	if digest == "" {
		return still(path, seen), nil
	}
	now, err := importers.Digest(path)
	return now == digest, err
}

// file puts a sheet away under a name that does not collide. Another sheet that
// took its place meanwhile is left to the next run, even if that was in the
// very moment of moving; then nothing is filed.
func (in *Inbox) file(ctx context.Context, path string, seen fs.FileInfo, done Imported, importErr error) (filed bool, err error) {
	if same, err := wasRead(path, seen, done.Sheet.Digest); err != nil || !same {
		return false, err
	}
	folder := ProcessedFolder
	if importErr != nil {
		folder = RefusedFolder
	}
	target := filepath.Join(in.Folder, folder, time.Now().UTC().Format("20060102-150405.000-")+filepath.Base(path))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return false, err
	}
	if importErr != nil {
		if err := in.answer(ctx, path, target, done, importErr); err != nil {
			return false, err
		}
	}
	if err := os.Rename(path, target); err != nil {
		return false, err
	}
	if same, err := wasRead(target, seen, done.Sheet.Digest); err != nil || same {
		return same, err
	}
	return false, os.Rename(target, filepath.Join(in.Folder, filepath.Base(target)))
}

// answer lays beside a refused sheet what is wrong with it: in words, for
// programs, and as a copy of the sheet with its problems marked.
func (in *Inbox) answer(ctx context.Context, path, target string, done Imported, importErr error) error {
	j := done.Judgement(path, importErr)
	words := reasons(j)
	err := done.Annotate(ctx, path, target+".problems.xlsx", j)
	if sheets.NoCopy(err) {
		words += "\nThere is no annotated copy: " + err.Error() + ".\n"
		err = nil
	} else if err == nil {
		words += fmt.Sprintf("\nThe problems are marked in %s, beside this file. Correct them there and put that into the inbox, into the folder that the sheet came from.\n",
			filepath.Base(target)+".problems.xlsx")
	}
	return errors.Join(err, sheets.WriteTwin(target+".problems.json", j),
		os.WriteFile(target+".problems.txt", []byte(words), 0o600))
}

// reasons says in words what a maker has to correct and, apart from that, what
// only wants confirming once the rest is right.
func reasons(j sheets.Judgement) string {
	var text strings.Builder
	fmt.Fprintln(&text, j.Reason)
	if s := j.Sheet; s.Accepted+s.Rejected > 0 {
		fmt.Fprintf(&text, "Nothing was imported. Rows: %s. Warnings: %d.\n", GoodTotals(s), s.Warnings)
	}
	list := func(title string, severity importers.Severity) {
		for _, p := range j.Problems {
			if p.Severity != severity {
				continue
			}
			fmt.Fprintf(&text, "%s- %s\n", title, p)
			title = ""
		}
	}
	list("\nTo be corrected:\n", importers.RowRejected)
	list("\nTo be confirmed by name, once the sheet is imported:\n", importers.Warning)
	if more := j.Found - len(j.Problems); more == 1 {
		fmt.Fprintln(&text, "\n1 more problem is not listed.")
	} else if more > 1 {
		fmt.Fprintf(&text, "\n%d more problems are not listed.\n", more)
	}
	return text.String()
}

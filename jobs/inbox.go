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
	imported, refused := 0, []string{}
	var failed error // one file does not keep the others waiting
	for _, file := range files {
		path := filepath.Join(in.Folder, file.Name())
		done, importErr := in.one(ctx, owner, path, file)
		if importErr != nil && !aboutSheet(importErr) {
			failed = errors.Join(failed, fmt.Errorf("%s stays in the inbox: %w", file.Name(), importErr))
			continue
		}
		if err := in.file(ctx, path, done, importErr); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if importErr == nil {
			imported++
		} else {
			refused = append(refused, file.Name())
		}
	}
	report := fmt.Sprintf("%d imported, %d refused", imported, len(refused))
	if len(refused) > 0 {
		report += ": " + strings.Join(refused, ", ")
	}
	return report, failed
}

// Waiting counts the sheets that somebody has put into the folder.
func (in *Inbox) Waiting() (int, error) {
	files, err := in.look()
	return len(files), err
}

// one imports one sheet, unless that was done before and only moving it away
// did not work then.
func (in *Inbox) one(ctx context.Context, owner ledger.User, path string, file fs.FileInfo) (Imported, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return Imported{}, err
	}
	choice := in.Choice
	choice.GoodRows, choice.Totals = false, ""
	choice.Source = fmt.Sprintf("%s, %d bytes, written %s", full, file.Size(), file.ModTime().UTC().Format(time.RFC3339Nano))
	known, err := in.Book.Imported(ctx, choice.Source)
	if err != nil {
		return Imported{}, err
	}
	if known == 0 {
		return in.Import.File(ctx, owner, path, choice)
	}
	batch, err := in.Book.Batch(ctx, known)
	return Imported{Batch: &batch}, err
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

// file puts a sheet away under a name that does not collide.
func (in *Inbox) file(ctx context.Context, path string, done Imported, importErr error) error {
	folder := ProcessedFolder
	if importErr != nil {
		folder = RefusedFolder
	}
	target := filepath.Join(in.Folder, folder, time.Now().UTC().Format("20060102-150405.000-")+filepath.Base(path))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	if importErr != nil {
		if err := in.answer(ctx, path, target, done, importErr); err != nil {
			return err
		}
	}
	return os.Rename(path, target)
}

// answer lays beside a refused sheet what is wrong with it: in words, for
// programs, and as a copy of the sheet with its problems marked.
func (in *Inbox) answer(ctx context.Context, path, target string, done Imported, importErr error) error {
	j := done.Judgement(path, importErr)
	words := reasons(j)
	err := done.Annotate(ctx, path, target+".problems.xlsx", j)
	if sheets.NoCopy(err) {
		words += "There is no annotated copy: " + err.Error() + ".\n"
		err = nil
	}
	return errors.Join(err, sheets.WriteTwin(target+".problems.json", j),
		os.WriteFile(target+".problems.txt", []byte(words), 0o600))
}

func reasons(j sheets.Judgement) string {
	var text strings.Builder
	fmt.Fprintln(&text, j.Reason)
	for _, p := range j.Problems {
		fmt.Fprintln(&text, p.String())
	}
	if more := j.Found - len(j.Problems); more > 0 {
		fmt.Fprintf(&text, "%d more problems are not listed.\n", more)
	}
	return text.String()
}

package jobs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
}

// settledAfter is how long a file must have stayed as it is: it is then taken
// to be copied completely.
const settledAfter = 5 * time.Second

// Run imports every settled sheet and moves it to the folder's processed or
// refused folder; beside a refused one lie the reasons, as text, as JSON and
// marked in a copy of the sheet.
func (in *Inbox) Run(ctx context.Context) (string, error) {
	owner, err := in.Book.User(ctx, in.Owner)
	if err != nil {
		return "", fmt.Errorf("inbox owner: %w", err)
	}
	files, err := os.ReadDir(in.Folder)
	if err != nil {
		return "", fmt.Errorf("read the inbox: %w", err)
	}
	imported, refused := 0, 0
	var failed error // one file does not keep the others waiting
	for _, file := range files {
		if !in.settled(file) {
			continue
		}
		path := filepath.Join(in.Folder, file.Name())
		done, importErr := in.Import.File(ctx, owner, path, ImportChoice{})
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
			refused++
		}
	}
	return fmt.Sprintf("%d imported, %d refused", imported, refused), failed
}

// aboutSheet tells a bad sheet from a store that is away.
func aboutSheet(err error) bool {
	var refused *importers.FileError
	return errors.As(err, &refused) || errors.Is(err, ErrRowsRejected) || errors.Is(err, ErrNoRows)
}

func (in *Inbox) settled(file fs.DirEntry) bool {
	info, err := file.Info()
	// "~$" begins the lock files of spreadsheet programs.
	hidden := strings.HasPrefix(file.Name(), ".") || strings.HasPrefix(file.Name(), "~$")
	return err == nil && info.Mode().IsRegular() && !hidden && time.Since(info.ModTime()) > settledAfter
}

// file puts a sheet away under a name that does not collide.
func (in *Inbox) file(ctx context.Context, path string, done Imported, importErr error) error {
	folder := "processed"
	if importErr != nil {
		folder = "refused"
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
	words := reasons(done, importErr)
	err := done.Annotate(ctx, path, target+".problems.xlsx", j)
	if sheets.NoCopy(err) {
		words += "There is no annotated copy: " + err.Error() + ".\n"
		err = nil
	}
	return errors.Join(err, sheets.WriteTwin(target+".problems.json", j),
		os.WriteFile(target+".problems.txt", []byte(words), 0o600))
}

func reasons(done Imported, importErr error) string {
	var text strings.Builder
	fmt.Fprintln(&text, importErr)
	for _, p := range done.Problems {
		fmt.Fprintln(&text, p.String())
	}
	if more := done.Found - len(done.Problems); more > 0 {
		fmt.Fprintf(&text, "%d more problems are not listed.\n", more)
	}
	return text.String()
}

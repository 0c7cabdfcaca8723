package sheets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// create writes a new file and shows it under its name once it is complete.
// A name in use is left alone: the error is then fs.ErrExist.
func create(target string, write func(*os.File) error) (err error) {
	if _, err := os.Lstat(target); err == nil {
		return &fs.PathError{Op: "create", Path: target, Err: fs.ErrExist} // before any work
	}
	draft, err := os.CreateTemp(filepath.Dir(target), ".payrun-*")
	if err != nil {
		return fmt.Errorf("begin the file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(draft.Name())
		}
	}()
	if err := errors.Join(write(draft), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	// Taking the name first keeps the rename from replacing anything.
	taken, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("take the name: %w", err)
	}
	if err := errors.Join(taken.Close(), os.Rename(draft.Name(), target)); err != nil {
		return fmt.Errorf("offer the file: %w", err)
	}
	return nil
}

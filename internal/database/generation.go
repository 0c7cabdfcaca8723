package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Generation says how often a store claimed payouts. A copy of it is kept in
// a file outside the database: the restored copy of a database is older than
// that file.
type Generation struct {
	Store  string // which store; see the table origin
	Number int64
}

// The line has one length, and is far shorter than a disk's sector: writing it
// over the one before leaves the old line or the new, as PostgreSQL relies on
// for its own control file.
const generationLine = "payrun store %s generation %020d\n"

// ReadGeneration reads the file. found is false when there is none; a file
// that holds anything else is an error, since nobody can tell what it replaced.
func ReadGeneration(path string) (g Generation, found bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, false, nil
	}
	if err != nil {
		return g, false, fmt.Errorf("%w: read the generation file: %w", ErrUnusable, err)
	}
	if _, err := fmt.Sscanf(string(text), generationLine, &g.Store, &g.Number); err != nil || g.line() != string(text) {
		return Generation{}, false, fmt.Errorf("%w: %s is no generation file of payrun; if it was damaged, remove it", ErrUnusable, path)
	}
	return g, true, nil
}

func (g Generation) line() string { return fmt.Sprintf(generationLine, g.Store, g.Number) }

// Write keeps the generation durably.
func (g Generation) Write(path string) error {
	if g.Store == "" {
		return fmt.Errorf("%w: a generation of no store is not kept", ErrUnusable)
	}
	if err := g.write(path); err != nil {
		return fmt.Errorf("%w: keep the generation outside the database: %w", ErrUnusable, err)
	}
	return nil
}

func (g Generation) write(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != int64(len(g.line())) {
		return g.create(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(g.line())
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// create writes beside and renames, so that the file is never there without
// its line.
func (g Generation) create(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".payrun-generation-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.WriteString(g.line())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncFolder(folder)
}

// SyncFolder makes the names in a folder survive a power cut.
func SyncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

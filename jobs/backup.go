package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"payrun/internal/database"
	"payrun/ledger"
)

// Backup copies an embedded store to another file, beside whatever runs on it.
type Backup struct {
	DB   *database.DB
	Book *ledger.Book
	// Heads is taken along: the proof of closed days that Settle keeps
	// outside the database.
	Heads Heads
	Actor string
}

// BackedUp is a copy that was checked before it was offered.
type BackedUp struct {
	Path   string
	Heads  string // the heads file's copy; "" when no day was ever closed
	Bytes  int64
	SHA256 string
	// Breaches of the ledger's promises in the copy, and so in the store:
	// such a copy is kept, as evidence.
	Breaches []ledger.Breach
}

// Run writes the copy to a file that must not exist, or into a folder under a
// name made of the time. The copy is opened and checked like any ledger before
// it gets its name, and the audit trail tells of it.
func (b *Backup) Run(ctx context.Context, target string) (done BackedUp, err error) {
	if done.Path, err = b.name(ctx, target); err != nil {
		return done, err
	}
	folder, err := os.MkdirTemp(filepath.Dir(done.Path), ".payrun-backup-")
	if err != nil {
		return done, fmt.Errorf("begin the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	draft := filepath.Join(folder, "payrun.db")
	if err := b.DB.CopyTo(ctx, draft); err != nil {
		return done, err
	}
	if err := done.check(ctx, draft); err != nil {
		return done, fmt.Errorf("check the backup: %w", err)
	}
	if err := b.takeHeads(&done, filepath.Join(folder, "heads")); err != nil {
		return done, fmt.Errorf("take the closed days along: %w", err)
	}
	if err := done.offer(draft); err != nil {
		return done, fmt.Errorf("offer the backup: %w", err)
	}
	return done, b.Book.Note(ctx, b.Actor, "store.backup", filepath.Base(done.Path), fmt.Sprintf("%d bytes, sha256 %s", done.Bytes, done.SHA256))
}

// name finds the copy's own name and refuses one that is taken.
func (b *Backup) name(ctx context.Context, target string) (string, error) {
	info, err := os.Stat(target)
	if err == nil && info.IsDir() {
		now, err := b.Book.Now(ctx)
		if err != nil {
			return "", err
		}
		target = filepath.Join(target, "payrun-"+now.Time().Format("20060102T150405Z")+".db")
		_, err = os.Lstat(target)
		return target, refuseTaken(target, err)
	}
	return target, refuseTaken(target, err)
}

func refuseTaken(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		folder := filepath.Dir(path)
		if _, err = os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: there is no folder %s; make it, or name another", ledger.ErrNotFound, folder)
		}
		return err
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s exists already; a backup is never written over another file", ledger.ErrConflict, path)
}

func (d *BackedUp) check(ctx context.Context, path string) (err error) {
	db, err := database.OpenCopy(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, d.Breaches, err = ledger.New(db, ledger.Config{}).Verify(ctx); err != nil {
		return err
	}
	d.Bytes, d.SHA256, err = FileDigest(path)
	return err
}

// FileDigest is the size of a file and its SHA-256, in hex.
func FileDigest(path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// takeHeads puts the closed days beside the copy, first: where there is a copy
// it is whole.
func (b *Backup) takeHeads(d *BackedUp, draft string) error {
	heads, err := os.ReadFile(string(b.Heads))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := appendDurably(draft, string(heads)); err != nil {
		return err
	}
	d.Heads = d.Path + ".closed-days.txt"
	return os.Rename(draft, d.Heads)
}

func (d *BackedUp) offer(draft string) error {
	_, err := os.Lstat(d.Path) // somebody may have been quicker
	if err := refuseTaken(d.Path, err); err != nil {
		return err
	}
	if err := os.Rename(draft, d.Path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(d.Path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

package reports

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"payrun/internal/database"
)

// draft is a file that is not offered yet. It lives in a folder of its own
// beside its final place, with everything else that is written on the way, so
// that one removal clears up whatever happened.
type draft struct {
	folder string
	file   *os.File
	buffer *bufio.Writer
	hash   hash.Hash
}

// offer lets write fill a draft and, when it succeeds, puts the file under
// its name in one step.
func offer(path string, write func(*draft) error) (err error) {
	folder, err := os.MkdirTemp(filepath.Dir(path), ".payrun-report-")
	if err != nil {
		return fmt.Errorf("begin the file: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	d := &draft{folder: folder, hash: sha256.New()}
	err = write(d)
	if err := errors.Join(err, d.close(err == nil)); err != nil {
		return err
	}
	if err := os.Rename(d.file.Name(), path); err != nil {
		return fmt.Errorf("offer the file: %w", err)
	}
	return database.SyncFolder(filepath.Dir(path))
}

// create begins the file itself. All that is written to it is digested.
func (d *draft) create() (io.Writer, error) {
	var err error
	if d.file, err = os.OpenFile(filepath.Join(d.folder, "report"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("begin the file: %w", err)
	}
	d.buffer = bufio.NewWriterSize(io.MultiWriter(d.file, d.hash), 64<<10)
	return d.buffer, nil
}

// close makes the file durable if it is to be kept: after the rename there
// must be no moment at which a power cut leaves half a file under the name.
func (d *draft) close(keep bool) error {
	if d.file == nil {
		return nil
	}
	var err error
	if keep {
		err = errors.Join(d.buffer.Flush(), d.file.Sync())
	}
	return errors.Join(err, d.file.Close())
}

// sha256 flushes and returns the digest of the file so far.
func (d *draft) sha256() (string, error) {
	if err := d.buffer.Flush(); err != nil {
		return "", err
	}
	return hex.EncodeToString(d.hash.Sum(nil)), nil
}

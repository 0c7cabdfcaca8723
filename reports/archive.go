package reports

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// archive is the zip file that excelize writes a workbook into.
//
// Excelize adds streamed sheets in the order of a Go map, which differs from
// run to run, and collects the finished file in memory. So it gets this
// archive instead: a file on disk whose entries are afterwards copied, still
// compressed, in the order of their names.
type archive struct {
	*zip.Writer
	file *os.File
}

func newArchive(folder string) (*archive, error) {
	file, err := os.OpenFile(filepath.Join(folder, "unsorted"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin the workbook: %w", err)
	}
	a := &archive{zip.NewWriter(file), file}
	a.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestSpeed)
	})
	return a, nil
}

// write lets excelize finish the workbook and copies it, sorted, to out. The
// copy has no times in it: the oldest that zip can say stands in every entry.
func (a *archive) write(f *excelize.File, out io.Writer) (err error) {
	defer func() { err = errors.Join(err, a.file.Close()) }()
	// Another order that comes from a Go map; its elements' type has no name here.
	types := f.ContentTypes.Defaults
	sort.Slice(types, func(i, j int) bool { return types[i].Extension < types[j].Extension })
	f.SetZipWriter(func(io.Writer) excelize.ZipWriter { return a })
	if err := f.Write(io.Discard); err != nil {
		return fmt.Errorf("write the workbook: %w", err)
	}
	size, err := a.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	unsorted, err := zip.NewReader(a.file, size)
	if err != nil {
		return fmt.Errorf("read the workbook back: %w", err)
	}
	return sorted(unsorted, out)
}

func sorted(unsorted *zip.Reader, out io.Writer) error {
	entries := slices.Clone(unsorted.File)
	slices.SortFunc(entries, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	copied := zip.NewWriter(out)
	for _, entry := range entries {
		if err := copied.Copy(entry); err != nil {
			return fmt.Errorf("write the workbook: %w", err)
		}
	}
	return copied.Close()
}

// Create begins an entry of no particular time; zip's own zero is a day that no
// calendar has.
func (a *archive) Create(name string) (io.Writer, error) {
	return a.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
}

// AddFS is part of excelize's interface; nothing calls it.
func (a *archive) AddFS(fs.FS) error { return errors.ErrUnsupported }

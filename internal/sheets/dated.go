package sheets

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/xuri/excelize/v2"
)

// datedZip gives the parts of a workbook the oldest date that a zip archive
// can say. Without any, unpackers show a day that no calendar has.
type datedZip struct{ *zip.Writer }

func (z datedZip) Create(name string) (io.Writer, error) {
	return z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
}

// AddFS is part of excelize's interface; nothing calls it.
func (z datedZip) AddFS(fs.FS) error { return errors.ErrUnsupported }

// save writes the workbook.
func save(file *excelize.File, out io.Writer) error {
	file.SetZipWriter(func(out io.Writer) excelize.ZipWriter { return datedZip{zip.NewWriter(out)} })
	return file.Write(out)
}

package importers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Formats as a Result names them.
const (
	formatXLSX = "xlsx"
	formatCSV  = "csv"
)

// open checks the file as a whole, decides its format by its first bytes and
// sets up the source of rows.
func (r *reader) open(file *os.File, path string) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	r.result.Size = info.Size()
	switch {
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case info.Size() > r.rules.MaxBytes:
		return refuse(FileTooLarge, "The file is larger than %s, which is the most that is taken. Split the sheet.", room(r.rules.MaxBytes))
	case info.Size() == 0:
		return refuse(NoData, "The file is empty.")
	}
	if r.result.Digest, err = digest(io.NewSectionReader(file, 0, info.Size())); err != nil {
		return err
	}
	var source source
	if r.result.Format, err = sniff(file, info.Size(), path); err != nil {
		return err
	}
	if r.result.Format == formatXLSX {
		source, err = r.openXLSX(file, info.Size())
	} else {
		source, err = r.openCSV(file, info.Size())
	}
	if err != nil {
		return err
	}
	r.source = &steadyFile{source, file, info}
	return nil
}

// room writes a number of bytes for people: "10 MiB".
func room(bytes int64) string {
	if bytes%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// Digest returns what [Result] has as the digest of a sheet.
func Digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	sum, err := digest(file)
	return sum, errors.Join(err, file.Close())
}

func digest(content io.Reader) (string, error) {
	hash := sha256.New()
	_, err := io.Copy(hash, content)
	return hex.EncodeToString(hash.Sum(nil)), err
}

// steadyFile refuses a file that changed while it was read, since its digest
// is then that of other rows.
type steadyFile struct {
	source
	file *os.File
	was  os.FileInfo
}

func (s *steadyFile) next() (*record, error) {
	row, err := s.source.next()
	if err != io.EOF {
		return row, err
	}
	now, statErr := s.file.Stat()
	if statErr != nil {
		return nil, statErr
	}
	if now.Size() != s.was.Size() || !now.ModTime().Equal(s.was.ModTime()) {
		return nil, changedFile()
	}
	return nil, io.EOF
}

func changedFile() error {
	return refuse(FileChanged, "The file changed while it was read. Hand it in again once it is finished.")
}

var (
	magicZip      = []byte("PK")
	magicCompound = []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	// the stream that holds an encrypted workbook, in the compound file's UTF-16
	encryptedStream = []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")
)

// sniff decides the format by content. The extension is only held against it.
func sniff(file io.ReaderAt, size int64, path string) (string, error) {
	head := make([]byte, min(size, 512))
	if _, err := file.ReadAt(head, 0); err != nil && err != io.EOF {
		return "", err
	}
	extension := strings.ToLower(filepath.Ext(path))
	switch {
	case bytes.HasPrefix(head, magicCompound):
		return "", compoundFault(file, size)
	case bytes.HasPrefix(head, magicZip) && len(head) >= 4 && head[2] < 9 && head[3] < 9:
		if slices.Contains([]string{".csv", ".txt", ".tsv", ".xls"}, extension) {
			return "", mismatch(extension, "a workbook or another zip file")
		}
		return formatXLSX, nil
	}
	if other := foreignFormat(head); other != "" {
		return "", refuse(FormatUnknown, "The file is %s, not a sheet. Save the sheet as .xlsx or .csv.", other)
	}
	if slices.Contains([]string{".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}, extension) {
		return "", mismatch(extension, "text or damaged")
	}
	return formatCSV, nil
}

func mismatch(extension, content string) error {
	return refuse(FormatMismatch, "The file's name ends in %s, but its content is %s. Open the sheet and save it again as .xlsx or .csv.", extension, content)
}

// compoundFault tells the two kinds of old container apart.
func compoundFault(file io.ReaderAt, size int64) error {
	content, err := io.ReadAll(io.NewSectionReader(file, 0, size))
	if err != nil {
		return fmt.Errorf("look for encryption: %w", err)
	}
	if bytes.Contains(content, encryptedStream) {
		return refuse(FormatEncrypted, "The workbook is protected by a password. Remove the password (save without encryption) and hand it in again.")
	}
	return refuse(FormatOldExcel, "The file is in the old binary Excel format (.xls). Open it and save as .xlsx, then hand that in.")
}

// foreignFormat names formats that people hand in by mistake.
func foreignFormat(head []byte) string {
	start := strings.ToLower(strings.TrimLeft(strings.TrimPrefix(string(head), "\ufeff"), " \r\n\t"))
	for _, known := range []struct{ prefix, name string }{
		{"%pdf", "a PDF document"}, {"{\\rtf", "a text document"}, {"<!doctype html", "a web page"}, {"<html", "a web page"},
		{"<table", "a web page"}, {"<?xml", "an XML file"}, {"\x1f\x8b", "a gzip archive"}, {"rar!", "a RAR archive"}, {"7z\xbc\xaf", "a 7-zip archive"},
	} {
		if strings.HasPrefix(start, known.prefix) {
			return known.name
		}
	}
	return ""
}

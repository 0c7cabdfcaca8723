package importers

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// Parts of a workbook other than sheets and shared strings are read whole by
// the spreadsheet library, so they must be small.
const largestPart = 8 << 20

// archive is the zip container of a workbook, checked before anything in it
// is believed.
type archive struct {
	rules *ruleset
	parts map[string]*zip.File
}

// openArchive checks the container: entries, names and sizes. Contents are
// checked part by part, by open.
func openArchive(file io.ReaderAt, size int64, rules *ruleset) (*archive, error) {
	if err := refuseZip64(file, size); err != nil {
		return nil, err
	}
	reader, err := zip.NewReader(file, size)
	if err != nil {
		return nil, refuse(ZipDamaged, "The workbook is cut off or damaged: its table of contents cannot be read. Save it again and hand in the new file.")
	}
	if len(reader.File) > rules.MaxEntries {
		return nil, refuse(ZipTooManyEntries, "The workbook holds %d files inside, and no more than %d are taken. Save the payouts alone in a new workbook.", len(reader.File), rules.MaxEntries)
	}
	a := &archive{rules: rules, parts: map[string]*zip.File{}}
	var unzipped uint64
	for _, entry := range reader.File {
		if err := a.add(entry); err != nil {
			return nil, err
		}
		if unzipped += entry.UncompressedSize64; unzipped > uint64(rules.MaxUnzipped) {
			return nil, refuse(ZipTooLarge, "The workbook unpacks to more than %s. Save the payouts alone in a new workbook.", room(rules.MaxUnzipped))
		}
	}
	return a, refuseOverlap(reader.File)
}

// add takes one entry under its lower-case name: names that differ in case
// only mean different parts to different readers.
func (a *archive) add(entry *zip.File) error {
	name := strings.ToLower(entry.Name)
	switch {
	case entry.Flags&1 != 0:
		return refuse(FormatEncrypted, "The workbook's zip container is encrypted. Save it without a password.")
	case entry.Method != zip.Store && entry.Method != zip.Deflate:
		return refuse(ZipDamaged, "The workbook is packed in a way that spreadsheet programs do not use. Save it again.")
	case strings.Contains(name, `\`) || a.parts[name] != nil:
		return refuse(ZipRepeatedEntry, "The workbook holds the part %q twice, or under a second spelling, so programs may see different contents. Save it again.", shown(entry.Name))
	case path.IsAbs(name) || strings.Contains(name, ":") || slices.Contains(strings.Split(name, "/"), ".."):
		return refuse(ZipUnsafePath, "The workbook holds a part named %q, which points outside of it. Do not open this file; ask where it came from.", shown(entry.Name))
	case isZip64(entry.Extra) || entry.UncompressedSize64 >= 1<<32-1:
		return zip64Fault()
	case entry.UncompressedSize64 > largestPart && !isLargePart(name) && strings.HasSuffix(name, ".xml"):
		return refuse(ZipPartTooLarge, "The workbook's part %q is unusually large. Copy the payouts into a new workbook.", shown(entry.Name))
	}
	a.parts[name] = entry
	return nil
}

func isLargePart(name string) bool {
	return strings.HasPrefix(name, "xl/worksheets/") || name == sharedStringsPart
}

// refuseZip64 looks for the locator of the 64-bit table of contents, which
// stands directly before the ordinary end record.
func refuseZip64(file io.ReaderAt, size int64) error {
	tail := make([]byte, min(size, 66_000))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	end := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if end >= 20 && bytes.HasPrefix(tail[end-20:], []byte("PK\x06\x07")) {
		return zip64Fault()
	}
	return nil
}

func zip64Fault() *FileError {
	return refuse(Zip64, "The workbook uses the 64-bit zip format, which no payout sheet needs and which can hide false sizes. Save it again in a spreadsheet program.")
}

// isZip64 looks for the 64-bit size field among an entry's extra fields.
func isZip64(extra []byte) bool {
	for len(extra) >= 4 {
		id, size := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if id == 1 {
			return true
		}
		extra = extra[min(4+size, len(extra)):]
	}
	return false
}

// refuseOverlap finds entries that share their bytes, the trick by which a
// small file unpacks to a huge one.
func refuseOverlap(entries []*zip.File) error {
	type span struct{ from, to int64 }
	spans := make([]span, 0, len(entries))
	for _, entry := range entries {
		from, err := entry.DataOffset()
		if err != nil {
			return refuse(ZipDamaged, "The workbook is damaged: its part %q cannot be found. Save it again.", shown(entry.Name))
		}
		spans = append(spans, span{from, from + int64(entry.CompressedSize64)})
	}
	slices.SortFunc(spans, func(a, b span) int { return int(min(max(a.from-b.from, -1), 1)) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return refuse(ZipFalseSize, "Parts of the workbook overlap inside the file. Save it again in a spreadsheet program.")
		}
	}
	return nil
}

// verify unpacks every part but those that are scanned later, to compare
// sizes and checksums, and has its content inspected.
func (a *archive) verify(later map[string]bool, inspect func(name string, content io.Reader) error) error {
	for _, name := range slices.Sorted(maps.Keys(a.parts)) {
		if later[name] {
			continue
		}
		if err := a.verifyPart(name, inspect); err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) verifyPart(name string, inspect func(string, io.Reader) error) error {
	content, err := a.open(name)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := inspect(name, content); err != nil {
		return err
	}
	// The rest must be read too: the checksum is compared at the end.
	_, err = io.Copy(io.Discard, content)
	return err
}

func isXML(name string) bool {
	return strings.HasSuffix(name, ".xml") || strings.HasSuffix(name, ".rels") || strings.HasSuffix(name, ".vml")
}

// open returns the content of a part. Reading it reports a false size or
// checksum as a refusal.
func (a *archive) open(name string) (io.ReadCloser, error) {
	entry := a.parts[strings.ToLower(name)]
	if entry == nil {
		return nil, refuse(ZipDamaged, "The workbook lacks its part %q. Save it again in a spreadsheet program.", shown(name))
	}
	content, err := entry.Open()
	if err != nil {
		return nil, partFault(entry.Name, err)
	}
	return &part{content, entry.Name}, nil
}

// readPart returns a whole small part.
func (a *archive) readPart(name string) ([]byte, error) {
	content, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	data, err := io.ReadAll(io.LimitReader(content, largestPart+1))
	if err == nil && len(data) > largestPart {
		err = refuse(ZipPartTooLarge, "The workbook's part %q is unusually large. Copy the payouts into a new workbook.", shown(name))
	}
	return data, err
}

// part gives the errors of one zip entry their words.
type part struct {
	io.ReadCloser
	name string
}

func (p *part) Read(buffer []byte) (int, error) {
	n, err := p.ReadCloser.Read(buffer)
	if err != nil && err != io.EOF {
		err = partFault(p.name, err)
	}
	return n, err
}

func partFault(name string, err error) error {
	switch {
	case errors.Is(err, zip.ErrChecksum):
		return refuse(ZipChecksum, "The workbook is damaged: the checksum of its part %q is wrong. Save it again and hand in the new file.", shown(name))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, zip.ErrFormat):
		return refuse(ZipFalseSize, "The workbook's part %q does not have the size it claims. Save it again in a spreadsheet program.", shown(name))
	}
	return refuse(ZipDamaged, "The workbook is damaged: its part %q cannot be unpacked. Save it again and hand in the new file.", shown(name))
}

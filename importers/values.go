package importers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/xuri/excelize/v2"
)

// Sheets and text tables above this size are unpacked to the temporary
// directory instead of into memory.
const unpackInMemory = 4 << 20

// valueBatch is some rows of values from the spreadsheet library.
type valueBatch struct {
	rows [][]string
	err  error
}

// valueReader runs the spreadsheet library in a goroutine of its own: it is
// by far the slowest part, and hides the scan and the rules behind it.
type valueReader struct {
	sheet   chan string // takes the name of the sheet to read
	batches chan valueBatch
	stop    chan struct{}
	current valueBatch
	at      int
}

func openValues(content *os.File, rules *ruleset) *valueReader {
	v := &valueReader{sheet: make(chan string, 1), batches: make(chan valueBatch, 2), stop: make(chan struct{})}
	go v.run(content, rules)
	return v
}

// run opens the workbook and reads all rows of the sheet. The library has
// panicked on damaged files before; such a file is refused.
func (v *valueReader) run(content *os.File, rules *ruleset) {
	defer close(v.batches)
	defer func() {
		if fault := recover(); fault != nil {
			v.send(valueBatch{err: refuse(ReaderDisagrees, "The workbook cannot be read: the spreadsheet reader gave up on it. Save it again in a spreadsheet program.")})
		}
	}()
	temp, err := os.MkdirTemp(rules.TempDir, "payrun-") // its own, since the library leaves files behind when it fails
	if err != nil {
		v.send(valueBatch{err: err})
		return
	}
	defer os.RemoveAll(temp)
	file, err := openWorkbook(content, excelize.Options{
		RawCellValue: true, UnzipSizeLimit: max(rules.MaxUnzipped, unpackInMemory), UnzipXMLSizeLimit: unpackInMemory, TmpDir: temp,
	})
	if file != nil {
		defer file.Close()
	}
	if err != nil {
		v.send(valueBatch{err: libraryFault(err)})
		return
	}
	select {
	case sheet := <-v.sheet:
		v.readSheet(file, sheet)
	case <-v.stop:
	}
}

// openWorkbook lets the library read from the file that is open already, whatever
// its path leads to by now. Where the system does not let it open such a file
// again, the library takes all of it into memory, for a moment twice.
func openWorkbook(content *os.File, options excelize.Options) (*excelize.File, error) {
	file, err := excelize.OpenFile(fmt.Sprintf("/dev/fd/%d", content.Fd()), options)
	if !errors.As(err, new(*fs.PathError)) {
		return file, err
	}
	return excelize.OpenReader(io.NewSectionReader(content, 0, math.MaxInt64), options)
}

func (v *valueReader) readSheet(file *excelize.File, sheet string) {
	rows, err := file.Rows(sheet)
	if err != nil {
		v.send(valueBatch{err: libraryFault(err)})
		return
	}
	defer rows.Close()
	v.readRows(rows)
}

func libraryFault(err error) error {
	return refuse(ReaderDisagrees, "The workbook cannot be read (%s). Save it again in a spreadsheet program.", shown(err.Error()))
}

func (v *valueReader) readRows(rows *excelize.Rows) {
	const size = 128
	batch := make([][]string, 0, size)
	for rows.Next() {
		values, err := rows.Columns()
		if err != nil {
			v.send(valueBatch{batch, libraryFault(err)})
			return
		}
		if batch = append(batch, values); len(batch) == size {
			if !v.send(valueBatch{rows: batch}) {
				return
			}
			batch = make([][]string, 0, size)
		}
	}
	err := rows.Error()
	if err != nil {
		err = libraryFault(err)
	}
	v.send(valueBatch{batch, err})
}

func (v *valueReader) send(batch valueBatch) bool {
	select {
	case v.batches <- batch:
		return true
	case <-v.stop:
		return false
	}
}

// next returns the values of the next row number, or io.EOF.
func (v *valueReader) next() ([]string, error) {
	for v.at == len(v.current.rows) {
		if v.current.err != nil {
			return nil, v.current.err
		}
		batch, ok := <-v.batches
		if !ok {
			return nil, io.EOF
		}
		v.current, v.at = batch, 0
	}
	v.at++
	return v.current.rows[v.at-1], nil
}

// close stops the goroutine and waits for it, so that no temporary file
// outlives the reading.
func (v *valueReader) close() {
	close(v.stop)
	for range v.batches {
		continue
	}
}

package importers_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
)

var benchSizes = []int{10_000, 100_000, 1_000_000}

// counter is a sink that only counts.
type counter struct{ rows, problems int }

func (c *counter) Rows(rows []importers.Row) error { c.rows += len(rows); return nil }
func (c *counter) Problems(problems []importers.Problem) error {
	c.problems += len(problems)
	return nil
}

// BenchmarkXLSX reads workbooks of 10,000 to 1,000,000 payouts, stored with
// shared strings as Excel saves them and with inline strings as exports have
// them. Each iteration alternates with the library's bare streaming loop over
// the same file; x-bare is the ratio, x-apart that of reading in a process
// apart to reading here, and MiB what that process takes above one that reads
// a small workbook.
func BenchmarkXLSX(b *testing.B) {
	for _, texts := range []string{"shared", "inline"} {
		for _, rows := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", texts, rows), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "payouts.xlsx")
				writeWorkbook(b, path, rows, texts == "shared")
				againstBare(b, path, rows, bareXLSX)
			})
		}
	}
}

// BenchmarkCSV does the same for csv, against encoding/csv alone. Text is not
// read apart.
func BenchmarkCSV(b *testing.B) {
	for _, rows := range benchSizes {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "payouts.csv")
			var text bytes.Buffer
			text.WriteString("Reference,Channel,Account,Amount,Currency,Remark\n")
			for i := range rows {
				text.WriteString(strings.Join(benchFields(i), ",") + "\n")
			}
			if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
				b.Fatal(err)
			}
			againstBare(b, path, rows, bareCSV)
		})
	}
}

func againstBare(b *testing.B, path string, rows int, bare func(testing.TB, string, int)) {
	b.Helper()
	rules := importers.Rules{MaxRows: rows, MaxBytes: 1 << 30, MaxUnzipped: 1 << 30}
	separate := apart("well")
	separate.Memory, separate.Time = 4<<30, 10*time.Minute
	isApart := filepath.Ext(path) == ".xlsx"
	var ours, theirs, apartTime time.Duration
	memory := 0
	for b.Loop() {
		runtime.GC()
		started := time.Now()
		bare(b, path, rows)
		theirs += time.Since(started)

		runtime.GC()
		started = time.Now()
		var sink counter
		if _, err := importers.Read(context.Background(), path, rules, &sink); err != nil || sink.rows != rows {
			b.Fatalf("%d rows, %d problems, %v", sink.rows, sink.problems, err)
		}
		ours += time.Since(started)

		if isApart {
			runtime.GC()
			started = time.Now()
			var err error
			if _, memory, err = watchApart(b, separate, path, rules, &counter{}); err != nil {
				b.Fatal(err)
			}
			apartTime += time.Since(started)
		}
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-bare")
	b.ReportMetric(float64(rows)*float64(b.N)/ours.Seconds(), "rows/s")
	b.ReportMetric(0, "ns/op")
	if isApart {
		_, idle, err := watchApart(b, separate, "testdata/payouts-libreoffice.xlsx", rules, &counter{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(apartTime)/float64(ours), "x-apart")
		b.ReportMetric(float64(memory-idle)/1024, "MiB")
	}
}

func bareXLSX(b testing.TB, path string, rows int) {
	file, err := excelize.OpenFile(path, excelize.Options{RawCellValue: true, UnzipXMLSizeLimit: 4 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	stream, err := file.Rows("Sheet1")
	if err != nil {
		b.Fatal(err)
	}
	defer stream.Close()
	count := 0
	for stream.Next() {
		if _, err := stream.Columns(); err != nil {
			b.Fatal(err)
		}
		count++
	}
	if count != rows+1 {
		b.Fatalf("%d rows", count)
	}
}

func bareCSV(b testing.TB, path string, _ int) {
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	reader := csv.NewReader(file)
	reader.ReuseRecord = true
	for {
		if _, err := reader.Read(); err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

func benchFields(i int) []string {
	account := []string{"U" + strconv.Itoa(1_000_000+i), "U" + strconv.Itoa(100_000_000_000+i), "P" + strconv.Itoa(10_000_000+i), "FP" + strconv.Itoa(100_000+i)}
	channel := []string{"Perfect Money", "Advcash", "Payeer", "FasaPay"}
	return []string{fmt.Sprintf("PO2026%08d", i), channel[i%4], account[i%4], fmt.Sprintf("%d.%02d", 1+i%2000, i%97+1), "USD", "November"}
}

func writeWorkbook(b *testing.B, path string, count int, shared bool) {
	b.Helper()
	var rows, texts bytes.Buffer
	rows.WriteString(headerCells)
	index := map[string]int{}
	text := func(ref, value string) {
		if !shared {
			rows.WriteString(textCell(ref, value))
			return
		}
		at, ok := index[value]
		if !ok {
			at = len(index)
			index[value] = at
			fmt.Fprintf(&texts, "<si><t>%s</t></si>", value)
		}
		fmt.Fprintf(&rows, `<c r="%s" t="s"><v>%d</v></c>`, ref, at)
	}
	for i := range count {
		fmt.Fprintf(&rows, `<row r="%d">`, i+2)
		for column, value := range benchFields(i) {
			if ref := string(rune('A'+column)) + strconv.Itoa(i+2); column == 3 {
				rows.WriteString(numberCell(ref, value))
			} else {
				text(ref, value)
			}
		}
		rows.WriteString("</row>")
	}
	workbook := newBook(rows.String())
	if shared {
		workbook.shared().edit("xl/sharedStrings.xml", "</sst>", texts.String()+"</sst>")
	}
	if err := os.WriteFile(path, workbook.bytes(b), 0o600); err != nil {
		b.Fatal(err)
	}
}

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

const benchRows = 100_000

// counter is a sink that only counts.
type counter struct{ rows, problems int }

func (c *counter) Rows(rows []importers.Row) error { c.rows += len(rows); return nil }
func (c *counter) Problems(problems []importers.Problem) error {
	c.problems += len(problems)
	return nil
}

// BenchmarkXLSX reads a workbook of 100,000 payouts, stored with shared
// strings as Excel saves it and with inline strings as exports have it. Each
// iteration alternates with the library's bare streaming loop over the same
// file; x-bare is the ratio, x-apart that of reading in a process apart to
// reading here.
func BenchmarkXLSX(b *testing.B) {
	for _, shared := range []bool{true, false} {
		name := map[bool]string{true: "shared", false: "inline"}[shared]
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "payouts.xlsx")
			writeWorkbook(b, path, shared)
			againstBare(b, path, bareXLSX)
		})
	}
}

// BenchmarkCSV does the same for csv, against encoding/csv alone.
func BenchmarkCSV(b *testing.B) {
	path := filepath.Join(b.TempDir(), "payouts.csv")
	var text bytes.Buffer
	text.WriteString("Reference,Channel,Account,Amount,Currency,Remark\n")
	for i := range benchRows {
		text.WriteString(strings.Join(benchFields(i), ",") + "\n")
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	againstBare(b, path, bareCSV)
}

func againstBare(b *testing.B, path string, bare func(testing.TB, string)) {
	b.Helper()
	rules := importers.Rules{MaxRows: benchRows, MaxBytes: 1 << 30, MaxUnzipped: 1 << 30}
	separate := apart("well")
	separate.Memory = 1 << 30
	var ours, theirs, apartTime time.Duration
	for b.Loop() {
		runtime.GC()
		started := time.Now()
		bare(b, path)
		theirs += time.Since(started)

		runtime.GC()
		started = time.Now()
		var sink counter
		if _, err := importers.Read(context.Background(), path, rules, &sink); err != nil || sink.rows != benchRows {
			b.Fatalf("%d rows, %d problems, %v", sink.rows, sink.problems, err)
		}
		ours += time.Since(started)

		runtime.GC()
		started = time.Now()
		sink = counter{}
		if _, err := separate.Read(context.Background(), path, rules, &sink); err != nil || sink.rows != benchRows {
			b.Fatalf("%d rows, %d problems, %v", sink.rows, sink.problems, err)
		}
		apartTime += time.Since(started)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-bare")
	b.ReportMetric(float64(apartTime)/float64(ours), "x-apart")
	b.ReportMetric(float64(benchRows)*float64(b.N)/ours.Seconds(), "rows/s")
	b.ReportMetric(0, "ns/op")
}

func bareXLSX(b testing.TB, path string) {
	file, err := excelize.OpenFile(path, excelize.Options{RawCellValue: true, UnzipXMLSizeLimit: 4 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	rows, err := file.Rows("Sheet1")
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		if _, err := rows.Columns(); err != nil {
			b.Fatal(err)
		}
		count++
	}
	if count != benchRows+1 {
		b.Fatalf("%d rows", count)
	}
}

func bareCSV(b testing.TB, path string) {
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

func writeWorkbook(b *testing.B, path string, shared bool) {
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
	for i := range benchRows {
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

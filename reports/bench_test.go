//go:build unix

package reports_test

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
	"payrun/reports"
)

// BenchmarkWorkbook makes the whole workbook from a ledger of so many payouts,
// all of them paid, in turns with a bare StreamWriter that writes as many rows
// of the same cells and does nothing else. ratio is our speed over the bare
// one's, memory-ratio our peak over the bare peak.
func BenchmarkWorkbook(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, size := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", engine, size), func(b *testing.B) { benchmarkWorkbook(b, engine, size) })
		}
	}
}

func benchmarkWorkbook(b *testing.B, engine string, size int) {
	o := open(b, dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated))
	o.paid(size)
	path := o.path("report.xlsx")
	make := func() {
		_, err := reports.Workbook(b.Context(), o.db, path, reports.Filter{}, options)
		must(b, err)
	}
	make()
	samples := sampled(b, path)
	var bares, ours rounds
	for b.Loop() {
		bares.measure(func() { bareWorkbook(b, o.path("bare.xlsx"), samples) })
		ours.measure(make)
	}
	b.ReportMetric(0, "ns/op") // both together: says nothing
	b.ReportMetric(median(ours.seconds), "s/workbook")
	b.ReportMetric(median(bares.seconds)/median(ours.seconds), "ratio")
	b.ReportMetric(median(ours.cpu), "cpu-s/workbook")
	b.ReportMetric(median(bares.cpu)/median(ours.cpu), "cpu-ratio")
	b.ReportMetric(median(ours.peaks), "MiB")
	b.ReportMetric(median(ours.peaks)/median(bares.peaks), "memory-ratio")
}

// BenchmarkCSV makes the csv of so many payouts.
func BenchmarkCSV(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			o := open(b, dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated))
			const size = 100_000
			o.paid(size)
			var ours rounds
			for b.Loop() {
				ours.measure(func() {
					_, err := reports.CSV(b.Context(), o.db, o.path("report.csv"), reports.Filter{}, options)
					must(b, err)
				})
			}
			b.ReportMetric(median(ours.peaks), "MiB")
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// paid fills the ledger with n payouts that have all ended.
func (o *office) paid(n int) {
	o.t.Helper()
	o.approved("large", sheet("large", n))
	for {
		claims := o.claim(500)
		if len(claims) == 0 {
			return
		}
		findings := make([]ledger.Finding, len(claims))
		for i, c := range claims {
			findings[i] = ends[[]int{0, 1, 2, 3}[i%4]].finding(c)
		}
		o.record(findings...)
	}
}

// bareSheet is a sheet as the bare StreamWriter writes it: rows in turn, so
// many of them.
type bareSheet struct {
	rows  [][]any
	count int
}

// sampled reads the head of every sheet of a workbook, as typed cells.
func sampled(b *testing.B, path string) []bareSheet {
	b.Helper()
	f, err := excelize.OpenFile(path)
	must(b, err)
	defer f.Close()
	var sheets []bareSheet
	for _, name := range f.GetSheetList() {
		const most = 1000
		var sample bareSheet
		rows, err := f.Rows(name)
		must(b, err)
		for ; rows.Next(); sample.count++ {
			if len(sample.rows) == most {
				continue
			}
			cells, err := rows.Columns(excelize.Options{RawCellValue: true})
			must(b, err)
			sample.rows = append(sample.rows, typed(b, f, name, sample.count+1, cells))
		}
		sheets = append(sheets, sample)
	}
	return sheets
}

func typed(b *testing.B, f *excelize.File, sheet string, row int, cells []string) []any {
	values := make([]any, len(cells))
	for i, content := range cells {
		if content == "" {
			continue
		}
		name, err := excelize.CoordinatesToCellName(i+1, row)
		must(b, err)
		kind, err := f.GetCellType(sheet, name)
		must(b, err)
		values[i] = content
		if kind == excelize.CellTypeUnset || kind == excelize.CellTypeNumber {
			number, err := strconv.ParseFloat(content, 64)
			must(b, err)
			values[i] = excelize.Cell{StyleID: 1, Value: number}
		}
	}
	return values
}

func bareWorkbook(b *testing.B, path string, sheets []bareSheet) {
	f := excelize.NewFile(excelize.Options{TmpDir: b.TempDir()})
	defer f.Close()
	_, err := f.NewStyle(&excelize.Style{NumFmt: 4})
	must(b, err)
	for i, sheet := range sheets {
		name := "Sheet" + strconv.Itoa(i+1)
		_, err := f.NewSheet(name)
		must(b, err)
		w, err := f.NewStreamWriter(name)
		must(b, err)
		for n := range sheet.count {
			must(b, w.SetRow("A"+strconv.Itoa(n+1), sheet.rows[n%len(sheet.rows)]))
		}
		must(b, w.Flush())
	}
	must(b, f.SaveAs(path))
}

// rounds are what several runs took: seconds, seconds of the processors, and
// the heap's peaks in MiB.
type rounds struct{ seconds, cpu, peaks []float64 }

func (r *rounds) measure(f func()) {
	runtime.GC()
	done, peak := make(chan struct{}), make(chan float64)
	go func() { peak <- heapPeak(done) }()
	start, cpu := time.Now(), cpuSeconds()
	f()
	r.seconds = append(r.seconds, time.Since(start).Seconds())
	r.cpu = append(r.cpu, cpuSeconds()-cpu)
	close(done)
	r.peaks = append(r.peaks, <-peak)
}

// cpuSeconds of this process; PostgreSQL's are not in it.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func heapPeak(done <-chan struct{}) float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	peak := uint64(0)
	for {
		metrics.Read(sample)
		peak = max(peak, sample[0].Value.Uint64())
		select {
		case <-done:
			return float64(peak) / (1 << 20)
		case <-tick.C:
		}
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

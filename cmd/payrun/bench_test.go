package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/ledger"
	"payrun/migrations"
)

// BenchmarkImport imports sheets as a person does, with the program itself: as
// csv, as a workbook with inline strings as exports have it, and with shared
// strings as Excel saves it. Five rounds each, medians, every one in turns with
// the bare limit: the spreadsheet library's own streaming over the workbook,
// and the engine's fastest way to put the same rows into the payouts' own table
// (COPY on PostgreSQL, one prepared insert in one transaction on SQLite).
//
// x-load is the whole import against that load alone, x-read-load against both
// limits together. MiB is the most memory that all its processes had above
// what as many idle ones have, on Linux, in a run of its own: watching them
// slows them down.
func BenchmarkImport(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, format := range []string{"csv", "inline", "shared"} {
			for _, rows := range []int{10_000, 100_000, 1_000_000} {
				if format == "shared" && rows > 100_000 {
					continue // the library would take gigabytes to write it
				}
				b.Run(fmt.Sprintf("%s/%s/%d", engine, format, rows), func(b *testing.B) { benchImport(b, engine, format, rows) })
			}
		}
	}
}

func benchImport(b *testing.B, engine, format string, rows int) {
	const rounds = 5
	program := filepath.Join(b.TempDir(), "payrun")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	sheet := benchSheet(b, format, rows)
	place := func() (p *place, maker *place) {
		p = newPlace(b, "PAYRUN_DATABASE_URL="+dbtest.URL(b, engine, migrated), "PAYRUN_SHEETS_MAX_ROWS=1000000", "PAYRUN_SHEETS_MAX_MIB=500",
			"PAYRUN_SHEETS_MAX_UNPACKED_MIB=1000", "PAYRUN_SHEETS_MAX_MEMORY_MIB=4000", "PAYRUN_SHEETS_MAX_TIME=10m")
		_, token, _ := p.people()
		return p, p.as(token)
	}
	var whole, reading, loading, processor []float64
	for range b.N {
		for range rounds {
			read := 0.0
			if format != "csv" {
				read = readBare(b, sheet, rows)
			}
			reading, loading = append(reading, read), append(loading, loadBare(b, engine, rows))
			_, maker := place()
			took, cpu := maker.timed(program, "import", sheet)
			whole, processor = append(whole, took.Seconds()), append(processor, cpu.Seconds())
		}
	}
	idle, maker := place()
	memory := maker.peaks(program, "import", sheet).above(idle.peaks(program, "version"))
	b.ReportMetric(float64(rows)/median(whole), "rows/s")
	b.ReportMetric(median(whole)/median(loading), "x-load")
	if format != "csv" {
		b.ReportMetric(median(whole)/(median(reading)+median(loading)), "x-read-load")
	}
	b.ReportMetric(median(processor), "cpu-s")
	b.ReportMetric(memory, "MiB")
	b.ReportMetric(0, "ns/op")
}

func migrated(ctx context.Context, db *database.DB) error {
	_, err := migrations.Up(ctx, db)
	return err
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }

// timed runs the program and tells how long it took, and of how many processors.
func (p *place) timed(program string, args ...string) (took, processor time.Duration) {
	p.t.Helper()
	command, complaints := p.command(program, args...)
	started := time.Now()
	if err := command.Run(); err != nil {
		p.t.Fatalf("payrun %s: %v\n%s", strings.Join(args, " "), err, short(complaints.String()))
	}
	return time.Since(started), command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}

func (p *place) command(program string, args ...string) (*exec.Cmd, *strings.Builder) {
	command, complaints := exec.Command(program, args...), &strings.Builder{}
	command.Env, command.Stderr = p.environ, complaints
	return command, complaints
}

// peaks is the most memory that each process of a program had, in MiB.
type peaks map[int]float64

// peaks runs the program and watches its processes, which slows them down.
func (p *place) peaks(program string, args ...string) peaks {
	p.t.Helper()
	command, complaints := p.command(program, args...)
	seen := peaks{}
	ended := make(chan error, 1)
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { ended <- command.Wait() }()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			seen.watch(command.Process.Pid)
		case err := <-ended:
			if err != nil {
				p.t.Fatalf("payrun %s: %v\n%s", strings.Join(args, " "), err, short(complaints.String()))
			}
			return seen
		}
	}
}

// watch notes the peaks of a process and its children: what wait tells counts
// the parent's memory, too.
func (m peaks) watch(pid int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // it may be gone
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kibibytes float64
	if _, err := fmt.Sscan(peak, &kibibytes); err == nil {
		m[pid] = kibibytes / 1024
	}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for text := range strings.FieldsSeq(string(children)) {
			var child int
			if _, err := fmt.Sscan(text, &child); err == nil {
				m.watch(child)
			}
		}
	}
}

// above is the memory of all processes beyond that of as many idle ones.
func (m peaks) above(idle peaks) (mebibytes float64) {
	nothing := slices.Max(slices.Collect(maps.Values(idle)))
	for _, peak := range m {
		mebibytes += peak - nothing
	}
	return mebibytes
}

// benchPayout is the ith payout of every sheet.
func benchPayout(i int) ledger.NewPayout {
	return ledger.NewPayout{
		Row: int64(i + 2), Reference: fmt.Sprintf("PO2026%08d", i), Channel: []string{"11", "12", "16", "18"}[i%4],
		Account: fmt.Sprintf([]string{"U%07d", "U%012d", "P%08d", "FP%06d"}[i%4], 1+i),
		Amount:  money.Amount(100*(10+i%90) + i%100), Currency: "USD", Remark: "November",
	}
}

// benchSheet writes as many payouts as told.
func benchSheet(b *testing.B, format string, rows int) string {
	b.Helper()
	headings := []any{"Reference", "Channel", "Account", "Amount", "Currency", "Remark"}
	payout := func(i int) []any {
		p := benchPayout(i)
		channel := map[string]string{"11": "Perfect Money", "12": "Advcash", "16": "Payeer", "18": "FasaPay"}[p.Channel]
		return []any{p.Reference, channel, p.Account, money.Format(p.Amount, p.Currency), string(p.Currency), p.Remark}
	}
	path := filepath.Join(b.TempDir(), "payouts.xlsx")
	if format == "csv" {
		path = filepath.Join(b.TempDir(), "payouts.csv")
		file, err := os.Create(path)
		check(b, err)
		text := bufio.NewWriter(file)
		fmt.Fprintln(text, "Reference,Channel,Account,Amount,Currency,Remark")
		for i := range rows {
			r := payout(i)
			fmt.Fprintf(text, "%s,%s,%s,%s,%s,%s\n", r...)
		}
		check(b, text.Flush())
		check(b, file.Close())
		return path
	}
	file := excelize.NewFile()
	defer file.Close()
	if format == "shared" {
		check(b, file.SetSheetRow("Sheet1", "A1", &headings))
		for i := range rows {
			r := payout(i)
			check(b, file.SetSheetRow("Sheet1", fmt.Sprint("A", i+2), &r))
		}
	} else {
		stream, err := file.NewStreamWriter("Sheet1")
		check(b, err)
		check(b, stream.SetRow("A1", headings))
		for i := range rows {
			check(b, stream.SetRow(fmt.Sprint("A", i+2), payout(i)))
		}
		check(b, stream.Flush())
	}
	check(b, file.SaveAs(path))
	return path
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readBare lets the library stream over the workbook, in seconds.
func readBare(b *testing.B, path string, rows int) float64 {
	b.Helper()
	started := time.Now()
	file, err := excelize.OpenFile(path, excelize.Options{RawCellValue: true, UnzipXMLSizeLimit: 4 << 20})
	check(b, err)
	defer file.Close()
	stream, err := file.Rows("Sheet1")
	check(b, err)
	defer stream.Close()
	read := 0
	for stream.Next() {
		_, err := stream.Columns()
		check(b, err)
		read++
	}
	if read != rows+1 {
		b.Fatalf("%d rows", read)
	}
	return time.Since(started).Seconds()
}

// loadBare puts the rows of a sheet into a fresh store, in seconds.
func loadBare(b *testing.B, engine string, rows int) float64 {
	b.Helper()
	db := dbtest.Open(b, database.Config{URL: dbtest.URL(b, engine, migrated)}, migrated)
	ctx := b.Context()
	book := ledger.New(db, ledger.Config{})
	admin, err := book.AddUser(ctx, ledger.User{}, "ada", ledger.Admin)
	check(b, err)
	maker, err := book.AddUser(ctx, admin, "mia", ledger.Maker)
	check(b, err)
	_, err = book.Stage(ctx, maker, "bare", "account")
	check(b, err)
	columns := []string{"id", "batch_id", "ordinal", "sheet", "row_no", "reference", "channel", "account", "payee", "remark", "pay_date", "amount", "currency", "fee_estimate", "row_digest"}
	digest := strings.Repeat("0", 64)
	started := time.Now()
	check(b, db.InTx(ctx, func(tx *database.Tx) error {
		return database.Load(ctx, tx, "payouts", columns, rows, func(i int) []any {
			p := benchPayout(i)
			return []any{1_0000_0001 + i, 1, i + 1, p.Sheet, p.Row, p.Reference, p.Channel, p.Account, p.Payee, p.Remark, p.PayDate, int64(p.Amount), string(p.Currency), 0, digest}
		})
	}))
	return time.Since(started).Seconds()
}

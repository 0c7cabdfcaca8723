package importers_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"payrun/importers"
	"payrun/internal/money"
)

// TestMain lets the test binary be the process that reads a sheet apart.
func TestMain(m *testing.M) {
	if way := os.Getenv(apartWay); way != "" {
		os.Exit(serveApart(way))
	}
	goleak.VerifyTestMain(m)
}

// FuzzReadCSV and FuzzReadXLSX hand over any bytes: nothing may panic, and
// what comes back must be consistent. Run them with -fuzzminimizetime=1x:
// goroutines and random hash seeds let the coverage vary, and the fuzzer
// would spend its time on making such inputs smaller.
func FuzzReadCSV(f *testing.F) {
	f.Add([]byte(goodCSV))
	f.Add([]byte("sep=;\nAccount;Amount\nP1;5\n"))
	seed(f, "*.csv", "*.txt")
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _, _ = readContent(t, "payouts.csv", content, smallRules())
	})
}

func FuzzReadXLSX(f *testing.F) {
	f.Add(twoRows().bytes(f))
	seed(f, "*.xlsx", "*.xls")
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _, _ = readContent(t, "payouts", content, smallRules())
	})
}

// FuzzReadSheetXML breaks the XML of a sheet inside a sound container, which
// the fuzzer would hardly ever get right by itself.
func FuzzReadSheetXML(f *testing.F) {
	f.Add(sheetXML("", headerCells+payoutRow(2), ""))
	f.Add(sheetXML(`<cols><col min="1" max="2" hidden="1"/></cols>`, headerCells+`<row/><row r="5"><c/><c r="D5"><f>1</f><v>2</v></c></row>`, `<mergeCells><mergeCell ref="A1:B2"/></mergeCells>`))
	f.Add(sheetXML("", headerCells+payoutRow(2, `<c r="F2" t="s"><v>1</v></c>`)+`<row r="3">`+textCell("A3", "Total")+numberCell("D3", "12.34")+`</row>`, ""))
	f.Fuzz(func(t *testing.T, sheet string) {
		_, _, _ = readContent(t, "payouts.xlsx", newBookOf(sheet).shared("", "Bonus").bytes(t), smallRules())
	})
}

// smallRules keep hostile inputs cheap.
func smallRules() importers.Rules {
	return importers.Rules{Profile: importers.Profile{Currency: "USD", Channel: "16"}, MaxBytes: 1 << 20, MaxUnzipped: 4 << 20, MaxRows: 1000}
}

// seed adds all samples of the given names.
func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		for _, folder := range []string{"testdata", filepath.Join("testdata", "office"), filepath.Join("..", "examples")} {
			paths, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				f.Fatal(err)
			}
			for _, path := range paths {
				content, err := os.ReadFile(path)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(content)
			}
		}
	}
}

// payout is a row as a sheet's author thinks of it.
type payout struct {
	channel, code, account string
	cents                  money.Amount
}

func drawPayout(t *rapid.T, i int) payout {
	channel := rapid.SampledFrom([]payout{
		{channel: "Perfect Money", code: "11", account: "U%07d"}, {channel: "volet", code: "12", account: "U10000%07d"},
		{channel: "16", code: "16", account: "P%08d"}, {channel: "FASAPAY", code: "18", account: "FP%06d"},
	}).Draw(t, "channel")
	channel.account = fmt.Sprintf(channel.account, i+1)
	channel.cents = money.Amount(rapid.Int64Range(1, 999_999_999).Draw(t, "cents"))
	return channel
}

// TestBothFormatsReadTheSamePayouts writes good payouts with columns in any
// order and blank rows anywhere, as csv and as xlsx.
func TestBothFormatsReadTheSamePayouts(t *testing.T) {
	t.Parallel()
	heads := []string{"Reference", "Channel", "Account", "Amount", "Currency", "Team"}
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(rt, "order")
		count := rapid.IntRange(1, 40).Draw(rt, "payouts")
		var text, sheet strings.Builder
		var want []importers.Row
		var sum money.Amount
		write := func(row int, fields []string) {
			cells, line := "", make([]string, len(order))
			for at, field := range order {
				line[at] = fields[field]
				ref := fmt.Sprintf("%c%d", 'A'+at, row)
				if field == 3 && row > 1 {
					cells += numberCell(ref, fields[field])
				} else if fields[field] != "" {
					cells += textCell(ref, fields[field])
				}
			}
			fmt.Fprintf(&sheet, `<row r="%d">%s</row>`, row, cells)
			text.WriteString(strings.Join(line, ",") + "\n")
		}
		write(1, heads)
		row := 1
		for i := range count {
			for range rapid.IntRange(0, 2).Draw(rt, "blank rows") {
				row++
				text.WriteString("\n")
			}
			row++
			p := drawPayout(rt, i)
			ref := fmt.Sprintf("PO-%d", i)
			write(row, []string{ref, p.channel, p.account, money.Format(p.cents, "USD"), "USD", "x"})
			want = append(want, importers.Row{Number: row, Reference: ref, Channel: p.code, Account: p.account, Amount: p.cents, Currency: "USD", Beside: "Team: x"})
			sum += p.cents
		}
		write(row+1, []string{"Total", "", "", money.Format(sum, "USD"), "USD", ""})

		expect(t, "payouts.csv", []byte(text.String()), want)
		expect(t, "payouts.xlsx", newBook(sheet.String()).bytes(t), want)
	})
}

func expect(t *testing.T, name string, content []byte, want []importers.Row) {
	t.Helper()
	result, sink, err := readContent(t, name, content, importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range sink.rows {
		sink.rows[i].Sheet = ""
	}
	if !slices.Equal(sink.rows, want) || len(sink.problems) > 0 || len(result.ControlTotals) != 1 || !result.ControlTotals[0].Agrees {
		t.Fatalf("%s: read %+v\nwant %+v\nproblems %v, result %+v", name, sink.rows, want, sink.problems, result)
	}
}

// TestDamageIsNoticed flips single bytes of a workbook: either the file is
// refused, or every row is still what it was.
func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("testdata/payouts-libreoffice.xlsx")
	if err != nil {
		t.Fatal(err)
	}
	_, intact, err := readContent(t, "payouts.xlsx", good, importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		at, bit := random.IntN(len(good)), byte(1)<<random.IntN(8)
		damaged := slices.Clone(good)
		damaged[at] ^= bit
		_, sink, err := readContent(t, "payouts.xlsx", damaged, importers.Rules{})
		if err == nil && !slices.Equal(sink.rows, intact.rows) {
			t.Fatalf("flipping byte %d by %d changed the rows unnoticed", at, bit)
		}
	}
}

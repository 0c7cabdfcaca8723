//go:build !race

package importers_test

// The race detector takes more memory than the limits allow, so that these
// tests are made without it.

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/importers"
)

// TestApartIsBounded holds the limits against sound sheets that are too large
// for them.
func TestApartIsBounded(t *testing.T) {
	t.Parallel()
	// At every limit another allocation is the one that fails.
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		path := manyRows(t, 60_000)
		rules := importers.Rules{MaxRows: 2_000_000, MaxBytes: 1 << 30, MaxUnzipped: 1 << 30}
		for mebibytes := int64(30); mebibytes < 60; mebibytes++ {
			a := apart("well")
			a.Memory = mebibytes << 20
			if _, _, _, err := readApart(t, a, path, rules); refusal(err) != importers.ReaderMemory {
				t.Errorf("with %d MiB: got %v, want code %s", mebibytes, err, importers.ReaderMemory)
			}
		}
	})
	t.Run("processor time", func(t *testing.T) {
		t.Parallel()
		a := apart("well")
		a.Time = time.Second
		rules := importers.Rules{MaxRows: 2_000_000, MaxBytes: 1 << 30, MaxUnzipped: 1 << 30}
		_, _, _, err := readApart(t, a, manyRows(t, 150_000), rules)
		if refusal(err) != importers.ReaderTime {
			t.Errorf("got %v, want code %s", err, importers.ReaderTime)
		}
	})
}

// manyRows is a sound sheet of many rows.
func manyRows(t testing.TB, count int) string {
	t.Helper()
	var rows strings.Builder
	rows.WriteString(headerCells)
	for i := range count {
		rows.WriteString(payoutRow(i + 2))
	}
	path := filepath.Join(t.TempDir(), "many.xlsx")
	if err := os.WriteFile(path, newBook(rows.String()).bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHostileFiles are small to send and large to read. None may take more
// than 256 MiB and 10 seconds, and none may be read.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	const most = 256 << 10 // KiB
	for _, tt := range hostileFiles() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, tt.content(t), 0o600); err != nil {
				t.Fatal(err)
			}
			code, memory := readHostile(t, path)
			if !slices.Contains(tt.codes, code) {
				t.Errorf("got code %q, want %v", code, tt.codes)
			}
			if dead := code == importers.ReaderMemory || code == importers.ReaderTime; memory > most || memory == 0 && !dead {
				t.Errorf("reading took %d KiB", memory)
			}
			t.Logf("%q with %d MiB", code, memory>>10)
		})
	}
}

// readHostile reads a workbook as Apart does it, and text in a process that
// does what Apart does here, to measure it.
func readHostile(t *testing.T, path string) (importers.Code, int) {
	t.Helper()
	if filepath.Ext(path) == ".xlsx" {
		_, _, memory, err := readApart(t, apart("well"), path, importers.Rules{})
		return refusal(err), memory
	}
	peak := filepath.Join(t.TempDir(), "peak")
	child := exec.CommandContext(t.Context(), os.Args[0], path)
	child.Env = []string{apartWay + "=text", apartPeak + "=" + peak}
	code, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	return importers.Code(code), readPeak(t, peak)
}

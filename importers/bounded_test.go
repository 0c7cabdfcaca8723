//go:build !race

package importers_test

// The race detector takes more memory than the limits allow, so that these
// tests are made without it.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/importers"
	"payrun/internal/sheets"
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
		_, _, _, err := readApart(t, a, manyRows(t, 400_000), rules)
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

// TestHostileFilesAreMarked has every workbook marked as if the importer had
// let it through: there is a copy or a reason why not, for no more than
// reading may cost.
func TestHostileFilesAreMarked(t *testing.T) {
	t.Parallel()
	const most = 256 << 10 // KiB
	for _, tt := range hostileFiles() {
		if filepath.Ext(tt.file) != ".xlsx" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			content := tt.content(t)
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			memory, err := markApart(t, path, judged(content))
			if err != nil && !sheets.NoCopy(err) {
				t.Errorf("got %v", err)
			}
			if memory > most {
				t.Errorf("marking took %d KiB", memory)
			}
			t.Logf("%d MiB: %v", memory>>10, err)
		})
	}
}

// judged says that one row of a small sheet is wrong.
func judged(content []byte) sheets.Judgement {
	digest := sha256.Sum256(content)
	return sheets.Judgement{
		Sheet: importers.Result{
			Sheet: "Sheet1", Digest: hex.EncodeToString(digest[:]), HeaderRow: 1, Rows: 2, Rejected: 1,
			Columns: []importers.Column{{Field: importers.FieldAmount, Heading: "Amount", Letter: "D"}},
		},
		Problems: []importers.Problem{{Code: importers.AmountZero, Severity: importers.RowRejected, Sheet: "Sheet1", Row: 2, Column: "D", Message: "The amount is zero."}},
		Found:    1,
	}
}

// markApart makes an annotated copy in a process apart and returns how much
// memory that took, in KiB.
func markApart(t *testing.T, path string, j sheets.Judgement) (int, error) {
	t.Helper()
	peak := filepath.Join(t.TempDir(), "peak")
	marking := sheets.Apart{Command: func(ctx context.Context) *exec.Cmd {
		child := exec.CommandContext(ctx, os.Args[0])
		child.Env = []string{apartWay + "=mark", apartPeak + "=" + peak}
		return child
	}}
	folder, rules := t.TempDir(), importers.Rules{TempDir: t.TempDir()}
	err := marking.Annotate(t.Context(), path, filepath.Join(folder, "copy.xlsx"), rules, j)
	for _, place := range []string{folder, rules.TempDir} {
		if left, readErr := os.ReadDir(place); readErr != nil || err != nil && len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, readErr)
		}
	}
	return readPeak(t, peak), err
}

// readHostile reads a workbook as Apart does it, and text in a process that
// does what Apart does here, to measure it.
func readHostile(t *testing.T, path string) (importers.Code, int) {
	t.Helper()
	if filepath.Ext(path) == ".xlsx" {
		_, _, memory, err := readApart(t, apart("well"), path, importers.Rules{})
		if err != nil && refusal(err) == "" {
			t.Error(err)
		}
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

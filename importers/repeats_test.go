package importers

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestRowTableIsAMap holds the table against a map, with hashes that collide
// in their lower bits, through every growth.
func TestRowTableIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var table rowTable
		defer table.close()
		seen := map[uint64]int{}
		crowded := rapid.Bool().Draw(t, "crowded")
		random := rapid.Uint64().Draw(t, "seed")
		rows := rapid.IntRange(1, 20_000).Draw(t, "rows")
		for row := 1; row <= rows; row++ {
			random = random*6364136223846793005 + 1442695040888963407
			hash := random
			if crowded {
				hash = random >> 50 << 40 // few values, which all begin at one slot
			}
			want := seen[hash>>rowBits]
			if want == 0 {
				seen[hash>>rowBits] = row
			}
			if got := table.first(hash, row); got != want {
				t.Fatalf("row %d: seen in row %d, want %d", row, got, want)
			}
		}
	})
}

// TestALongTableGoesOnInFiles: a million rows are found again, and take less
// than a megabyte and a half of memory, and no file is left.
func TestALongTableGoesOnInFiles(t *testing.T) {
	t.Parallel()
	table := rowTable{folder: t.TempDir()}
	const rows = 1_000_000
	for want := 0; want <= rows; want += rows {
		hash := uint64(1)
		for row := 1; row <= rows; row++ {
			hash = hash*6364136223846793005 + 1442695040888963407
			if got := table.first(hash, row); got != min(want, row) || table.fault != nil {
				t.Fatalf("row %d: seen in row %d, want %d (%v)", row, got, min(want, row), table.fault)
			}
		}
	}
	bytes := 0
	for _, part := range table.parts {
		if part, ok := part.(slotsInRAM); ok {
			bytes += len(part)
		}
	}
	if bytes > 3<<19 {
		t.Errorf("%d bytes of memory for %d rows", bytes, rows)
	}
	if left, err := os.ReadDir(table.folder); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := table.close(); err != nil {
		t.Error(err)
	}
}

// TestATableWithoutAPlaceForItsFile: nothing is said to be new, or to be a
// repeat, that was not looked up.
func TestATableWithoutAPlaceForItsFile(t *testing.T) {
	t.Parallel()
	table := rowTable{folder: filepath.Join(t.TempDir(), "missing")}
	defer table.close()
	random := rand.New(rand.NewPCG(1, 2))
	for row := 1; row <= 2*largestInRAM && table.fault == nil; row++ {
		table.first(random.Uint64(), row)
	}
	if !errors.Is(table.fault, os.ErrNotExist) {
		t.Errorf("got %v, want %v", table.fault, os.ErrNotExist)
	}
}

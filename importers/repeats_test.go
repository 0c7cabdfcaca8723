package importers

import (
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
		for row := 1; row <= rapid.IntRange(1, 20_000).Draw(t, "rows"); row++ {
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

// TestRowTableIsSmall: a million rows take less than 12 bytes each.
func TestRowTableIsSmall(t *testing.T) {
	t.Parallel()
	var table rowTable
	defer table.close()
	const rows = 1_000_000
	hash := uint64(1)
	for row := 1; row <= rows; row++ {
		hash = hash*6364136223846793005 + 1442695040888963407
		table.first(hash, row)
	}
	bytes := 0
	for _, part := range table.parts {
		bytes += len(part)
	}
	if bytes > 12*rows {
		t.Errorf("%d bytes for %d rows", bytes, rows)
	}
}

//go:build !race

package sheets_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"payrun/importers"
)

// As many rows as a sheet may have come back marked, from text and from a
// workbook, within what the process apart may take: with the race detector
// that says nothing.
func TestTheLargestSheetIsMarked(t *testing.T) {
	t.Parallel()
	const rows = 50_000
	var text strings.Builder
	text.WriteString("Reference,Channel,Account,Amount,Currency,Payee,Remark,Pay date\n")
	for i := range rows {
		fmt.Fprintf(&text, "PO-%06d,Payeer,P1%07d,%d,USD,Ann Example %d,Bonus for November,2026-11-30\n", i, i, i%10, i)
	}
	path := filepath.Join(t.TempDir(), "large.csv")
	must(t, os.WriteFile(path, []byte(text.String()), 0o600))
	for batch := range int64(2) { // the second time every row is marked
		rules := importers.Rules{TempDir: t.TempDir()}
		j, _ := judge(t, path, rules)
		if j.Sheet.Rejected != rows/10 {
			t.Fatalf("%d rows rejected, %v", j.Sheet.Rejected, j.Refused)
		}
		j.Batch, j.Problems = batch, j.Problems[:1000]
		target := filepath.Join(t.TempDir(), "copy.xlsx")
		must(t, apart("well").Annotate(t.Context(), path, target, rules, j))
		path = target
	}
}

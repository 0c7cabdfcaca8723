package sheets_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"payrun/importers"
	"payrun/internal/sheets"
)

func TestTry(t *testing.T) {
	os.RemoveAll("/tmp/try")
	os.MkdirAll("/tmp/try", 0o700)
	files, _ := filepath.Glob("../../importers/testdata/*.*")
	files = append(files, "../../examples/payouts.xlsx")
	for _, f := range files {
		j, _ := judge(t, f, importers.Rules{})
		target := "/tmp/try/" + filepath.Base(f) + ".problems.xlsx"
		err := sheets.Annotate(context.Background(), f, target, importers.Rules{}, j)
		t.Log(f, err)
		if err == nil {
			again, _ := judge(t, target, importers.Rules{})
			t.Log(j.Sheet.Accepted, j.Sheet.Rejected, again.Sheet.Accepted, again.Sheet.Rejected, again.Refused)
		}
	}
}

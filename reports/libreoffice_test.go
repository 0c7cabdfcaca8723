package reports_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/xuri/excelize/v2"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/reports"
)

// soffice finds LibreOffice. A machine that builds releases must have it.
func soffice(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("soffice")
	switch {
	case err == nil:
		return program
	case os.Getenv("CI") != "":
		t.Fatal("LibreOffice (soffice) is missing: CI has to open the workbook with it")
	default:
		t.Skip("LIBREOFFICE IS MISSING: nobody checked that the workbook opens in a spreadsheet program; install soffice")
	}
	return ""
}

// TestLibreOfficeReadsTheSameNumbers lets LibreOffice open the workbook and
// save it anew, and compares every cell of every sheet.
func TestLibreOfficeReadsTheSameNumbers(t *testing.T) {
	t.Parallel()
	program := soffice(t)
	o := open(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrated)}, migrated))
	o.busy(60)
	path, _ := o.workbook(reports.Filter{})
	out := t.TempDir()
	command := exec.CommandContext(t.Context(), program, "-env:UserInstallation=file://"+filepath.Join(out, "profile"),
		"--headless", "--convert-to", "xlsx", "--outdir", out, path)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	saved := filepath.Join(out, "report.xlsx")
	numbers := 0
	for _, sheet := range sheetNames {
		ours, theirs := cells(t, path, sheet), cells(t, saved, sheet)
		for i, row := range ours {
			for j, cell := range row {
				read := ""
				if i < len(theirs) && j < len(theirs[i]) {
					read = theirs[i][j]
				}
				if !sameCell(cell, read) {
					t.Errorf("%s, row %d, column %d: we wrote %q, LibreOffice read %q", sheet, i+1, j+1, cell, read)
				}
				if _, err := strconv.ParseFloat(cell, 64); err == nil {
					numbers++
				}
			}
		}
	}
	if numbers < 1000 {
		t.Errorf("only %d numbers were compared", numbers)
	}
	o.chartsSurvive(saved)
}

// sameCell compares texts as they are, numbers by value: LibreOffice writes
// times with 15 digits.
func sameCell(ours, theirs string) bool {
	if ours == theirs {
		return true
	}
	a, errA := strconv.ParseFloat(ours, 64)
	b, errB := strconv.ParseFloat(theirs, 64)
	const second = 1.0 / 86400
	return errA == nil && errB == nil && a > 40_000 && a < 60_000 && a-b < second/2 && b-a < second/2
}

func (o *office) chartsSurvive(path string) {
	o.t.Helper()
	f, err := excelize.OpenFile(path)
	must(o.t, err)
	defer f.Close()
	charts := 0
	for name := range parts(o.t, path) {
		if matched, _ := filepath.Match("xl/charts/chart*.xml", name); matched {
			charts++
		}
	}
	if charts != 6 {
		o.t.Errorf("LibreOffice kept %d of 6 charts", charts)
	}
}

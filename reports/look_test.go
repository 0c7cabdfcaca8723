package reports_test

import (
	"os"
	"testing"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/reports"
)

func TestLook(t *testing.T) {
	o := open(t, dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrated)}, migrated))
	o.busy(60)
	_, err := reports.Workbook(t.Context(), o.db, o.path("report.xlsx"), reports.Filter{}, options)
	must(t, err)
	b, _ := os.ReadFile(o.path("report.xlsx"))
	os.WriteFile("/tmp/look/report.xlsx", b, 0o600)
}

package sheets_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xuri/excelize/v2"
)

func TestView(t *testing.T) {
	path := os.Getenv("VIEW")
	if path == "" {
		return
	}
	f := open(t, path)
	fit, wide, tall, o := true, 1, 0, "landscape"
	for _, s := range f.GetSheetList() {
		must(t, f.SetSheetProps(s, &excelize.SheetPropsOptions{FitToPage: &fit}))
		must(t, f.SetPageLayout(s, &excelize.PageLayoutOptions{Orientation: &o, FitToWidth: &wide, FitToHeight: &tall}))
	}
	must(t, os.MkdirAll("/tmp/view", 0o700))
	must(t, f.SaveAs("/tmp/view/v.xlsx"))
	exec.Command("soffice", "-env:UserInstallation=file:///tmp/view/prof", "--headless", "--convert-to", "pdf", "--outdir", "/tmp/view", "/tmp/view/v.xlsx").Run()
	old, _ := filepath.Glob("/tmp/view/*.png")
	for _, p := range old {
		os.Remove(p)
	}
	exec.Command("pdftoppm", "-r", "110", "-png", "/tmp/view/v.pdf", "/tmp/view/p").Run()
}

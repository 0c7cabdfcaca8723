//go:build !race

package main

// The race detector takes more memory and time than the limits allow, so that
// this test is made without it.

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A sheet that the library cannot take costs nothing but the copy: marking
// is done by a process that may not grow.
func TestASheetThatCannotBeMarked(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	path := filepath.Join(t.TempDir(), "swollen.xlsx")
	const format = `<conditionalFormatting sqref="A1:XFD1048576"><cfRule type="expression" dxfId="0" priority="1"><formula>A1</formula></cfRule></conditionalFormatting>`
	rezip(t, "../../importers/testdata/trouble.xlsx", path, func(name, content string) string {
		return strings.Replace(content, "</sheetData>", "</sheetData>"+strings.Repeat(format, 300_000), 1)
	})
	p.as(maker).run("import", path).exits(exitSheet).
		says("3 good rows, 21 rejected", "There is no annotated copy: marking the sheet takes too much memory or time", "payrun import --dry-run --json")
	if got := beside(t, path); slices.Contains(got, "swollen.xlsx.problems.xlsx") {
		t.Errorf("beside the sheet lie %q", got)
	}
}

// rezip copies a workbook and changes its parts.
func rezip(t *testing.T, from, to string, change func(name, content string) string) {
	t.Helper()
	source, err := zip.OpenReader(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	var packed bytes.Buffer
	target := zip.NewWriter(&packed)
	for _, part := range source.File {
		content, err := fs.ReadFile(source, part.Name)
		if err != nil {
			t.Fatal(err)
		}
		w, err := target.Create(part.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, change(part.Name, string(content))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(target.Close(), os.WriteFile(to, packed.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

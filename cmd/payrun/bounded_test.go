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
	const format = `<conditionalFormatting sqref="A1:XFD1048576"><cfRule type="expression" dxfId="0" priority="1"><formula>A1</formula></cfRule></conditionalFormatting>`
	path := p.swollen("../../importers/testdata/trouble.xlsx", "</worksheet>", strings.Repeat(format, 300_000))
	p.as(maker).run("import", path).exits(exitSheet).
		says("3 good rows, 21 rejected", "There is no annotated copy: marking the sheet takes too much memory or time", "payrun import --dry-run --json")
	if got := beside(t, path); slices.Contains(got, "swollen.xlsx.problems.xlsx") {
		t.Errorf("beside the sheet lie %q", got)
	}
}

// Each limit of a sheet is a setting, and the refusal says the one that is set.
func TestSheetLimitsAreSettings(t *testing.T) {
	t.Parallel()
	const book = "../../importers/testdata/payouts-libreoffice.xlsx"
	p := newPlace(t)
	small, long := p.sheet(goodRows(3)...), p.sheet(append(goodRows(3), strings.Repeat("\n", 1<<20))...)
	padded := p.swollen(book, "</worksheet>", strings.Repeat("<!-- nothing -->", 100_000))
	texts := p.swollen(book, "</sst>", strings.Repeat("<si><t>nothing</t></si>", 1_000_000))
	tests := []struct{ setting, sheet, want string }{
		{"MAX_ROWS=2", small, "more than 2 payout rows"},
		{"MAX_COLUMNS=5", small, "no more than 5 are taken"},
		{"MAX_MIB=1", long, "larger than 1 MiB"},
		{"MAX_UNPACKED_MIB=1", padded, "more than 1 MiB"},
		{"MAX_PARTS=9", book, "no more than 9 are taken"},
		{"MAX_MEMORY_MIB=64", texts, "64 MiB"},
		{"MAX_TIME=1s", texts, "1s"},
	}
	for _, tt := range tests {
		t.Run(tt.setting, func(t *testing.T) {
			t.Parallel()
			p.with("PAYRUN_SHEETS_"+tt.setting).run("import", "--dry-run", tt.sheet).exits(exitSheet).complains(tt.want)
			if tt.sheet != texts {
				p.run("import", "--dry-run", tt.sheet).exits(exitOK)
			}
		})
	}
}

// swollen is a workbook with more in front of an end tag.
func (p *place) swollen(book, tag, more string) string {
	path := filepath.Join(p.t.TempDir(), "swollen.xlsx")
	rezip(p.t, book, path, func(name, content string) string { return strings.Replace(content, tag, more+tag, 1) })
	return path
}

// rezip copies a workbook and changes its parts.
func rezip(t testing.TB, from, to string, change func(name, content string) string) {
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

package sheets_test

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"payrun/importers"
	"payrun/internal/sheets"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// found is a sink that keeps problems and counts rows.
type found struct {
	problems []importers.Problem
	rows     []importers.Row
}

func (f *found) Rows(rows []importers.Row) error { f.rows = append(f.rows, rows...); return nil }

func (f *found) Problems(problems []importers.Problem) error {
	f.problems = append(f.problems, problems...)
	return nil
}

// judge reads a sheet as an import does.
func judge(t testing.TB, path string, rules importers.Rules) (sheets.Judgement, []importers.Row) {
	t.Helper()
	var sink found
	result, err := importers.Read(context.Background(), path, rules, &sink)
	j := sheets.Judgement{File: filepath.Base(path), Sheet: result, Problems: sink.problems, Found: len(sink.problems)}
	if refusal, ok := errors.AsType[*importers.FileError](err); ok {
		j.Refused, j.Reason = &refusal.Problem, err.Error()
	} else if err != nil {
		t.Fatal(err)
	}
	return j, sink.rows
}

// annotated is the annotated copy of a sheet.
func annotated(t testing.TB, path string, rules importers.Rules) string {
	t.Helper()
	j, _ := judge(t, path, rules)
	return annotate(t, path, rules, j)
}

func annotate(t testing.TB, path string, rules importers.Rules, j sheets.Judgement) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "copy.xlsx")
	must(t, sheets.Annotate(context.Background(), path, target, rules, j))
	return target
}

// edited opens a workbook, lets change it and saves it under another name.
func edited(t testing.TB, path string, change func(*excelize.File)) string {
	t.Helper()
	file := open(t, path)
	change(file)
	target := filepath.Join(t.TempDir(), "edited.xlsx")
	must(t, file.SaveAs(target))
	return target
}

func open(t testing.TB, path string) *excelize.File {
	t.Helper()
	file, err := excelize.OpenFile(path)
	must(t, err)
	t.Cleanup(func() { must(t, file.Close()) })
	return file
}

func cell(t testing.TB, file *excelize.File, sheet, name string) string {
	t.Helper()
	value, err := file.GetCellValue(sheet, name)
	must(t, err)
	return value
}

// saved lets LibreOffice open a sheet and save it anew.
func saved(t *testing.T, path, format string) string {
	t.Helper()
	program, err := exec.LookPath("soffice")
	if err != nil {
		t.Fatal("LibreOffice (soffice) is missing; scripts/setup installs it")
	}
	out := t.TempDir()
	command := exec.CommandContext(t.Context(), program, "-env:UserInstallation=file://"+filepath.Join(out, "profile"),
		"--headless", "--convert-to", format, "--outdir", out, path)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	extension, _, _ := strings.Cut(format, ":")
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) + "." + extension
	if _, err := os.Stat(filepath.Join(out, name)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(out, name)
}

// parts are the files inside a workbook.
func parts(t testing.TB, path string) map[string]string {
	t.Helper()
	archive, err := zip.OpenReader(path)
	must(t, err)
	defer archive.Close()
	all := map[string]string{}
	for _, entry := range archive.File {
		content, err := entry.Open()
		must(t, err)
		text, err := io.ReadAll(content)
		must(t, err)
		all[entry.Name] = string(text)
	}
	return all
}

// rezipped is a workbook whose files were changed by hand.
func rezipped(t testing.TB, path string, change func(name, content string) (string, string)) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "changed.xlsx")
	out, err := os.Create(target)
	must(t, err)
	archive := zip.NewWriter(out)
	for name, content := range parts(t, path) {
		name, content = change(name, content)
		entry, err := archive.Create(name)
		must(t, err)
		_, err = io.WriteString(entry, content)
		must(t, err)
	}
	must(t, errors.Join(archive.Close(), out.Close()))
	return target
}

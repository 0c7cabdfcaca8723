package importers_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"payrun/importers"
)

// collector is a sink that keeps everything.
type collector struct {
	rows     []importers.Row
	problems []importers.Problem
}

func (c *collector) Rows(rows []importers.Row) error {
	c.rows = append(c.rows, rows...)
	return nil
}

func (c *collector) Problems(problems []importers.Problem) error {
	c.problems = append(c.problems, problems...)
	return nil
}

// codes lists the problems as "row column code".
func (c *collector) codes() []string {
	var list []string
	for _, p := range c.problems {
		list = append(list, fmt.Sprintf("%d%s %s", p.Row, p.Column, p.Code))
	}
	return list
}

// readContent reads a sheet that exists only in the test.
func readContent(t testing.TB, name string, content []byte, rules importers.Rules) (importers.Result, *collector, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return readFile(t, path, rules)
}

// readFile reads a sheet and holds the result against what must be true of
// every reading.
func readFile(t testing.TB, path string, rules importers.Rules) (importers.Result, *collector, error) {
	t.Helper()
	var sink collector
	if rules.TempDir == "" {
		rules.TempDir = t.TempDir()
	}
	result, err := importers.Read(context.Background(), path, rules, &sink)
	checkReading(t, result, &sink, err)
	leftovers, readErr := os.ReadDir(rules.TempDir)
	if readErr != nil || len(leftovers) > 0 {
		t.Fatalf("temporary files left behind: %v, %v", leftovers, readErr)
	}
	return result, &sink, err
}

// checkReading holds for every file, good, bad or hostile.
func checkReading(t testing.TB, result importers.Result, sink *collector, err error) {
	t.Helper()
	if err != nil {
		refusal, ok := errors.AsType[*importers.FileError](err)
		if !ok {
			t.Fatalf("error is no refusal: %v", err)
		}
		checkProblem(t, refusal.Problem)
		return
	}
	header := 0
	if result.HeaderRow > 0 {
		header = 1
	}
	if sum := result.Titles + header + result.ControlRows + result.Blank + result.Accepted + result.Rejected; sum != result.Rows {
		t.Fatalf("%d rows were counted as %d: %+v", result.Rows, sum, result)
	}
	if len(sink.rows) != result.Accepted {
		t.Fatalf("%d rows accepted, %d received", result.Accepted, len(sink.rows))
	}
	checkRows(t, result, sink)
}

func checkRows(t testing.TB, result importers.Result, sink *collector) {
	t.Helper()
	paid, rejected, warnings := map[int]bool{}, map[int]bool{}, 0
	asked := map[string]bool{} // a warning is confirmed by its kind and its row
	for _, row := range sink.rows {
		if paid[row.Number] || row.Amount <= 0 || row.Account == "" || row.Number <= result.HeaderRow || row.Number > result.Rows {
			t.Fatalf("impossible row %+v", row)
		}
		paid[row.Number] = true
	}
	for _, p := range sink.problems {
		checkProblem(t, p)
		switch p.Severity {
		case importers.RowRejected:
			rejected[p.Row] = true
		case importers.Warning:
			warnings++
			if key := fmt.Sprint(p.Code, " in row ", p.Row); asked[key] {
				t.Fatalf("there are two of %s", key)
			} else {
				asked[key] = true
			}
		default:
			t.Fatalf("a problem of severity %q went to the sink: %v", p.Severity, p)
		}
		if p.Severity == importers.RowRejected && paid[p.Row] {
			t.Fatalf("row %d is both accepted and rejected: %v", p.Row, p)
		}
	}
	if len(rejected) != result.Rejected || warnings != result.Warnings {
		t.Fatalf("%d rejected rows and %d warnings received, result says %d and %d", len(rejected), warnings, result.Rejected, result.Warnings)
	}
	var count int
	for _, total := range result.Totals {
		count += total.Count
	}
	if count != result.Accepted {
		t.Fatalf("totals count %d rows of %d", count, result.Accepted)
	}
}

func checkProblem(t testing.TB, p importers.Problem) {
	t.Helper()
	if p.Code == "" || p.Severity == "" || !strings.HasSuffix(p.Message, ".") || strings.Contains(p.Message, "%!") {
		t.Fatalf("incomplete problem %+v", p)
	}
}

// refusal returns the code of a refused file, "" if it was read.
func refusal(err error) importers.Code {
	if refused, ok := errors.AsType[*importers.FileError](err); ok {
		return refused.Problem.Code
	}
	return ""
}

// book builds an xlsx file part by part, so that tests can break each one.
type book struct {
	parts []bookPart
}

type bookPart struct {
	name    string
	content string
	header  func(*zip.FileHeader) // changes the entry's header
}

const (
	xmlHead     = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	mainSpace   = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	relSpace    = `xmlns="http://schemas.openxmlformats.org/package/2006/relationships"`
	relType     = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	headerCells = `<row r="1">` +
		`<c r="A1" t="inlineStr"><is><t>Reference</t></is></c><c r="B1" t="inlineStr"><is><t>Channel</t></is></c>` +
		`<c r="C1" t="inlineStr"><is><t>Account</t></is></c><c r="D1" t="inlineStr"><is><t>Amount</t></is></c>` +
		`<c r="E1" t="inlineStr"><is><t>Currency</t></is></c><c r="F1" t="inlineStr"><is><t>Remark</t></is></c></row>`
)

// newBook is a good workbook with one sheet, whose rows are given as XML.
func newBook(rows string) *book { return newBookOf(sheetXML("", rows, "")) }

// sheetXML is a worksheet with extra elements before and after its data.
func sheetXML(before, rows, after string) string {
	return xmlHead + `<worksheet ` + mainSpace + `>` + before + `<sheetData>` + rows + `</sheetData>` + after + `</worksheet>`
}

// newBookOf is a workbook of the given worksheets.
func newBookOf(sheets ...string) *book {
	b := &book{}
	types := `<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>` +
		`<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>`
	var list, relations strings.Builder
	for i := range sheets {
		fmt.Fprintf(&list, `<sheet name="Sheet%d" sheetId="%d" r:id="rId%d"/>`, i+1, i+1, i+1)
		fmt.Fprintf(&relations, `<Relationship Id="rId%d" Type="%sworksheet" Target="worksheets/sheet%d.xml"/>`, i+1, relType, i+1)
		types += fmt.Sprintf(`<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>`, i+1)
	}
	b.set("[Content_Types].xml", xmlHead+`<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">`+types+`</Types>`)
	b.set("_rels/.rels", xmlHead+`<Relationships `+relSpace+`><Relationship Id="rId1" Type="`+relType+`officeDocument" Target="xl/workbook.xml"/></Relationships>`)
	b.set("xl/workbook.xml", xmlHead+`<workbook `+mainSpace+`><workbookPr/><sheets>`+list.String()+`</sheets></workbook>`)
	b.set("xl/_rels/workbook.xml.rels", xmlHead+`<Relationships `+relSpace+`>`+relations.String()+`</Relationships>`)
	for i, sheet := range sheets {
		b.set(fmt.Sprintf("xl/worksheets/sheet%d.xml", i+1), sheet)
	}
	b.edit("xl/_rels/workbook.xml.rels", `</Relationships>`, `<Relationship Id="rIdStyles" Type="`+relType+`styles" Target="styles.xml"/></Relationships>`)
	b.edit("[Content_Types].xml", `</Types>`, `<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>`)
	return b.styles()
}

// set replaces a part or adds it.
func (b *book) set(name, content string) *book {
	for i := range b.parts {
		if b.parts[i].name == name {
			b.parts[i].content = content
			return b
		}
	}
	return b.add(name, content)
}

// add adds an entry even if the name is taken.
func (b *book) add(name, content string) *book {
	b.parts = append(b.parts, bookPart{name: name, content: content})
	return b
}

// edit replaces text inside a part.
func (b *book) edit(name, old, new string) *book {
	for i := range b.parts {
		if b.parts[i].name == name {
			if !strings.Contains(b.parts[i].content, old) {
				panic("nothing to edit in " + name)
			}
			b.parts[i].content = strings.Replace(b.parts[i].content, old, new, 1)
		}
	}
	return b
}

// styles gives the workbook one cell format per number format code.
func (b *book) styles(codes ...string) *book {
	var formats, cells strings.Builder
	cells.WriteString(`<xf numFmtId="0"/>`)
	for i, code := range codes {
		fmt.Fprintf(&formats, `<numFmt numFmtId="%d" formatCode="%s"/>`, 164+i, escaped(code))
		fmt.Fprintf(&cells, `<xf numFmtId="%d" applyNumberFormat="1"/>`, 164+i)
	}
	return b.set("xl/styles.xml", xmlHead+`<styleSheet `+mainSpace+`><numFmts>`+formats.String()+`</numFmts>`+
		`<fonts><font><name val="Calibri"/></font></fonts><fills><fill><patternFill patternType="none"/></fill></fills><borders><border/></borders>`+
		`<cellStyleXfs><xf numFmtId="0"/></cellStyleXfs><cellXfs>`+cells.String()+`</cellXfs></styleSheet>`)
}

// shared gives the workbook a table of texts.
func (b *book) shared(texts ...string) *book {
	var items strings.Builder
	for _, text := range texts {
		items.WriteString(`<si><t xml:space="preserve">` + escaped(text) + `</t></si>`)
	}
	b.set("xl/sharedStrings.xml", xmlHead+`<sst `+mainSpace+`>`+items.String()+`</sst>`)
	b.edit("xl/_rels/workbook.xml.rels", `</Relationships>`, `<Relationship Id="rIdTexts" Type="`+relType+`sharedStrings" Target="sharedStrings.xml"/></Relationships>`)
	return b.edit("[Content_Types].xml", `</Types>`, `<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>`)
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer does not fail
	return b.String()
}

// forge makes an entry's header say something that is not true.
func (b *book) forge(name string, change func(*zip.FileHeader)) *book {
	for i := range b.parts {
		if b.parts[i].name == name {
			b.parts[i].header = change
		}
	}
	return b
}

// bytes packs the workbook.
func (b *book) bytes(t testing.TB) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for _, part := range b.parts {
		content, header := deflated(t, part)
		entry, err := w.CreateRaw(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func deflated(t testing.TB, part bookPart) ([]byte, *zip.FileHeader) {
	t.Helper()
	var content bytes.Buffer
	w, err := flate.NewWriter(&content, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(part.content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	header := &zip.FileHeader{
		Name: part.name, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE([]byte(part.content)),
		CompressedSize64: uint64(content.Len()), UncompressedSize64: uint64(len(part.content)),
	}
	if part.header != nil {
		part.header(header)
	}
	return content.Bytes(), header
}

// textCell and numberCell are cells of a sheet's XML.
func textCell(ref, text string) string {
	return `<c r="` + ref + `" t="inlineStr"><is><t xml:space="preserve">` + escaped(text) + `</t></is></c>`
}

func numberCell(ref, value string) string { return `<c r="` + ref + `"><v>` + value + `</v></c>` }

// payoutRow is a good row in the columns of headerCells.
func payoutRow(row int, changes ...string) string {
	cells := map[byte]string{
		'A': textCell(fmt.Sprintf("A%d", row), fmt.Sprintf("PO-%d", row)),
		'B': textCell(fmt.Sprintf("B%d", row), "Payeer"),
		'C': textCell(fmt.Sprintf("C%d", row), fmt.Sprintf("P%08d", 10_000_000+row)),
		'D': numberCell(fmt.Sprintf("D%d", row), "12.34"),
		'E': textCell(fmt.Sprintf("E%d", row), "USD"),
		'F': textCell(fmt.Sprintf("F%d", row), "Bonus"),
	}
	for _, change := range changes {
		at := strings.Index(change, ` r="`)
		cells[change[at+4]] = change
	}
	return fmt.Sprintf(`<row r="%d">%s</row>`, row, cells['A']+cells['B']+cells['C']+cells['D']+cells['E']+cells['F'])
}

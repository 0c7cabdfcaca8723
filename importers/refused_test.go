package importers_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"payrun/importers"
)

const (
	sheet1 = "xl/worksheets/sheet1.xml"
	types  = "[Content_Types].xml"
)

// twoRows is a good workbook with two payouts.
func twoRows() *book { return newBook(headerCells + payoutRow(2) + payoutRow(3)) }

// TestGoodBooks are the workbooks that the bad ones below differ from in one
// thing each, and bad things in places where they do no harm.
func TestGoodBooks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		book *book
	}{
		{"plain", twoRows()},
		{"shared texts", newBook(headerCells+payoutRow(2)+payoutRow(3, `<c r="F3" t="s"><v>1</v></c>`)).shared("", "Bonus")},
		{"rows without references", newBook(strings.ReplaceAll(headerCells+payoutRow(2)+payoutRow(3), ` r="`, ` x="`))},
		{"prefixed names", newBookOf(strings.NewReplacer("</", "</x:", "<?", "<?", "<", "<x:", "xmlns=", "xmlns:x=").Replace(sheetXML("", headerCells+payoutRow(2)+payoutRow(3), "")))},
		{"comments and character data", newBook(headerCells + "<!-- <row> -->" + payoutRow(2) + payoutRow(3, `<c r="F3" t="inlineStr"><is><t><![CDATA[a > b]]></t></is></c>`))},
		{"merged title", newBookOf(sheetXML("", `<row r="1">`+textCell("A1", "Payouts")+`</row>`+strings.NewReplacer(`r="1"`, `r="2"`, `1" t`, `2" t`).Replace(headerCells)+payoutRow(3)+payoutRow(4), `<mergeCells><mergeCell ref="A1:F1"/></mergeCells>`))},
		{"merged total", newBookOf(sheetXML("", headerCells+payoutRow(2)+payoutRow(3)+`<row r="4">`+textCell("A4", "Total")+numberCell("D4", "24.68")+`</row>`, `<mergeCells><mergeCell ref="A4:C4"/></mergeCells>`))},
		{"hidden column without data", newBookOf(sheetXML(`<cols><col min="8" max="9" hidden="1"/></cols>`, headerCells+payoutRow(2)+payoutRow(3), ""))},
		{"empty second sheet", newBookOf(sheetXML("", headerCells+payoutRow(2)+payoutRow(3), ""), sheetXML("", `<row r="1"/>`, ""))},
		{"empty hidden sheet", newBookOf(sheetXML("", headerCells+payoutRow(2)+payoutRow(3), ""), sheetXML("", "", "")).edit("xl/workbook.xml", `name="Sheet2"`, `name="Sheet2" state="hidden"`)},
		{"hyperlink", twoRows().set("xl/worksheets/_rels/sheet1.xml.rels", xmlHead+`<Relationships `+relSpace+`><Relationship Id="rId1" Type="`+relType+`hyperlink" Target="mailto:a@example.com" TargetMode="External"/></Relationships>`)},
		{"far empty row", newBook(headerCells + payoutRow(2) + payoutRow(3) + `<row r="1048576" ht="15"/>`)},
		{"gap between rows", newBook(headerCells + payoutRow(2) + payoutRow(9))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result, sink, err := readContent(t, "payouts.xlsx", tt.book.bytes(t), importers.Rules{})
			if err != nil || result.Accepted != 2 || len(sink.problems) > 0 {
				t.Fatalf("%d rows accepted, problems %v, error %v", result.Accepted, sink.problems, err)
			}
		})
	}
}

// TestRefusedBooks breaks a good workbook in one thing at a time.
func TestRefusedBooks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		code  importers.Code
		book  *book
		rules importers.Rules
	}{
		{"unzipped size", importers.ZipTooLarge, twoRows(), importers.Rules{MaxUnzipped: 2_000}},
		{"too many entries", importers.ZipTooManyEntries, twoRows(), importers.Rules{MaxEntries: 4}},
		{"large part", importers.ZipPartTooLarge, twoRows().set("xl/theme/theme1.xml", "<a>"+strings.Repeat(" ", 9<<20)+"</a>"), importers.Rules{}},
		{"size too small", importers.ZipFalseSize, twoRows().forge(sheet1, func(h *zip.FileHeader) { h.UncompressedSize64 -= 10 }), importers.Rules{}},
		{"size too large", importers.ZipFalseSize, twoRows().forge(sheet1, func(h *zip.FileHeader) { h.UncompressedSize64 += 10 }), importers.Rules{}},
		{"zip64 size", importers.Zip64, twoRows().forge(sheet1, func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 33 }), importers.Rules{}},
		{"checksum of the sheet", importers.ZipChecksum, twoRows().forge(sheet1, func(h *zip.FileHeader) { h.CRC32++ }), importers.Rules{}},
		{"checksum of a small part", importers.ZipChecksum, twoRows().forge("_rels/.rels", func(h *zip.FileHeader) { h.CRC32++ }), importers.Rules{}},
		{"entry twice", importers.ZipRepeatedEntry, twoRows().add(sheet1, "<a/>"), importers.Rules{}},
		{"entry in other case", importers.ZipRepeatedEntry, twoRows().add("xl/worksheets/Sheet1.xml", "<a/>"), importers.Rules{}},
		{"entry with backslash", importers.ZipRepeatedEntry, twoRows().add(`xl\worksheets\sheet1.xml`, "<a/>"), importers.Rules{}},
		{"entry above the root", importers.ZipUnsafePath, twoRows().add("../evil.xml", "<a/>"), importers.Rules{}},
		{"absolute entry", importers.ZipUnsafePath, twoRows().add("/etc/passwd", "x"), importers.Rules{}},
		{"entry with drive", importers.ZipUnsafePath, twoRows().add("c:/evil.xml", "<a/>"), importers.Rules{}},
		{"encrypted entry", importers.FormatEncrypted, twoRows().forge(sheet1, func(h *zip.FileHeader) { h.Flags |= 1 }), importers.Rules{}},
		{"unknown packing", importers.ZipDamaged, twoRows().forge(sheet1, func(h *zip.FileHeader) { h.Method = 12 }), importers.Rules{}},

		{"sheet cut off", importers.XMLDamaged, newBookOf(strings.TrimSuffix(sheetXML("", headerCells+payoutRow(2), ""), "</sheetData></worksheet>")), importers.Rules{}},
		{"sheet cut inside a tag", importers.XMLDamaged, newBookOf(strings.TrimSuffix(sheetXML("", headerCells+payoutRow(2), ""), "sheet>")), importers.Rules{}},
		{"tags crossed", importers.XMLDamaged, newBook(headerCells + `<row r="2"><c r="A2"></row></c>`), importers.Rules{}},
		{"two data parts", importers.XMLDamaged, newBook(headerCells + `</sheetData><sheetData>` + payoutRow(2)), importers.Rules{}},
		{"row outside of the data", importers.XMLDamaged, newBookOf(sheetXML(payoutRow(2), headerCells, "")), importers.Rules{}},
		{"cell in a cell", importers.XMLDamaged, newBook(headerCells + `<row r="2"><c r="A2"><c r="B2"/></c></row>`), importers.Rules{}},
		{"two values in a cell", importers.XMLDamaged, newBook(headerCells + payoutRow(2, `<c r="D2"><v>1</v><v>2</v></c>`)), importers.Rules{}},
		{"reference twice in a cell", importers.XMLDamaged, newBook(headerCells + payoutRow(2, `<c r="D2" r="D2"><v>1</v></c>`)), importers.Rules{}},
		{"no data part", importers.XMLDamaged, newBookOf(xmlHead + `<worksheet ` + mainSpace + `></worksheet>`), importers.Rules{}},
		{"workbook part cut off", importers.XMLDamaged, twoRows().edit("xl/workbook.xml", "</workbook>", ""), importers.Rules{}},
		{"nested too deep", importers.XMLDamaged, twoRows().set("xl/theme/theme1.xml", strings.Repeat("<a>", 200)+strings.Repeat("</a>", 200)), importers.Rules{}},
		{"tag too long", importers.XMLDamaged, newBook(headerCells + `<row r="2" x="` + strings.Repeat("y", 200_000) + `"/>`), importers.Rules{}},
		{"document type in the sheet", importers.XMLDoctype, newBookOf(strings.Replace(sheetXML("", headerCells+payoutRow(2), ""), "<worksheet", `<!DOCTYPE x [<!ENTITY a "b">]><worksheet`, 1)), importers.Rules{}},
		{"document type in another part", importers.XMLDoctype, twoRows().edit("xl/workbook.xml", "<workbook", "<!DOCTYPE x><workbook"), importers.Rules{}},
		{"document type in a relation", importers.XMLDoctype, twoRows().edit("_rels/.rels", "<Relationships", "<!DOCTYPE x><Relationships"), importers.Rules{}},

		{"macros", importers.FormatMacros, twoRows().add("xl/vbaProject.bin", "x"), importers.Rules{}},
		{"macro content type", importers.FormatMacros, twoRows().edit(types, "spreadsheetml.sheet.main", "macroEnabled.main"), importers.Rules{}},
		{"binary workbook", importers.FormatBinary, twoRows().add("xl/workbook.bin", "x"), importers.Rules{}},
		{"another zip", importers.FormatUnknown, (&book{}).add("mimetype", "application/vnd.oasis.opendocument.spreadsheet"), importers.Rules{}},
		{"external links", importers.ExternalLinks, twoRows().add("xl/externalLinks/externalLink1.xml", "<a/>"), importers.Rules{}},
		{"data connection", importers.ExternalLinks, twoRows().add("xl/connections.xml", "<a/>"), importers.Rules{}},

		{"rows descend", importers.CellOrder, newBook(headerCells + payoutRow(3) + payoutRow(2)), importers.Rules{}},
		{"row twice", importers.CellOrder, newBook(headerCells + payoutRow(2) + payoutRow(2)), importers.Rules{}},
		{"row zero", importers.CellOrder, newBook(`<row r="0"/>` + headerCells), importers.Rules{}},
		{"row beyond the last", importers.CellOrder, newBook(headerCells + payoutRow(2) + `<row r="1048577"/>`), importers.Rules{}},
		{"cells descend", importers.CellOrder, newBook(headerCells + `<row r="2">` + textCell("B2", "Payeer") + textCell("A2", "x") + `</row>`), importers.Rules{}},
		{"cell twice", importers.CellOrder, newBook(headerCells + `<row r="2">` + textCell("A2", "x") + textCell("A2", "y") + `</row>`), importers.Rules{}},
		{"cell of another row", importers.CellOrder, newBook(headerCells + `<row r="2">` + textCell("A3", "x") + `</row>`), importers.Rules{}},
		{"cell reference in small letters", importers.CellOrder, newBook(headerCells + `<row r="2">` + textCell("a2", "x") + `</row>`), importers.Rules{}},
		{"cell without a reference worth the name", importers.CellOrder, newBook(headerCells + `<row r="2">` + textCell("2", "x") + `</row>`), importers.Rules{}},
		{"merged range without cells", importers.CellOrder, newBookOf(sheetXML("", headerCells+payoutRow(2), `<mergeCells><mergeCell ref=""/></mergeCells>`)), importers.Rules{}},
		{"shared text out of range", importers.CellIndex, newBook(headerCells+payoutRow(2, `<c r="F2" t="s"><v>2</v></c>`)).shared("a", "b"), importers.Rules{}},
		{"shared text without a table", importers.CellIndex, newBook(headerCells + payoutRow(2, `<c r="F2" t="s"><v>0</v></c>`)), importers.Rules{}},
		{"shared text negative", importers.CellIndex, newBook(headerCells + payoutRow(2, `<c r="F2" t="s"><v>-1</v></c>`)).shared("a"), importers.Rules{}},
		{"format out of range", importers.CellIndex, newBook(headerCells + payoutRow(2, `<c r="D2" s="2"><v>1</v></c>`)).styles("0.00"), importers.Rules{}},
		{"unknown cell type", importers.CellIndex, newBook(headerCells + payoutRow(2, `<c r="D2" t="x"><v>1</v></c>`)), importers.Rules{}},
		{"cell too long", importers.CellTooLong, newBook(headerCells + payoutRow(2, textCell("F2", strings.Repeat("x", 140_000)))), importers.Rules{}},
		{"shared text too long", importers.CellTooLong, newBook(headerCells + payoutRow(2, `<c r="F2" t="s"><v>0</v></c>`)).shared(strings.Repeat("x", 140_000)), importers.Rules{}},
		{"number that two readers spell differently", importers.ReaderDisagrees, newBook(headerCells + payoutRow(2, `<c r="D2"><v>1&#50;</v></c>`)), importers.Rules{}},
		{"too many rows", importers.TooManyRows, newBook(headerCells + payoutRow(2) + payoutRow(3) + payoutRow(4)), importers.Rules{MaxRows: 2}},
		{"too many columns", importers.TooManyColumns, newBook(headerCells + `<row r="2">` + textCell("XFD2", "x") + `</row>`), importers.Rules{}},
		{"no payouts", importers.NoData, newBook(headerCells), importers.Rules{}},
		{"empty workbook", importers.NoData, newBook(""), importers.Rules{}},
		{"hidden sheet with data", importers.HiddenSheet, newBookOf(sheetXML("", headerCells+payoutRow(2), ""), sheetXML("", headerCells+payoutRow(2), "")).edit("xl/workbook.xml", `name="Sheet2"`, `name="Sheet2" state="veryHidden"`), importers.Rules{}},
		{"two sheets with data", importers.SeveralSheets, newBookOf(sheetXML("", headerCells+payoutRow(2), ""), sheetXML("", headerCells+payoutRow(2), "")), importers.Rules{}},
		{"named sheet missing", importers.SheetMissing, twoRows(), importers.Rules{Profile: importers.Profile{Sheet: "Payouts"}}},
		{"hidden column with data", importers.HiddenColumn, newBookOf(sheetXML(`<cols><col min="4" max="4" hidden="1"/></cols>`, headerCells+payoutRow(2), "")), importers.Rules{}},
		{"column without width", importers.HiddenColumn, newBookOf(sheetXML(`<cols><col min="1" max="3" width="0"/></cols>`, headerCells+payoutRow(2), "")), importers.Rules{}},
		{"merged payouts", importers.MergedCells, newBookOf(sheetXML("", headerCells+payoutRow(2)+payoutRow(3), `<mergeCells><mergeCell ref="D2:D3"/></mergeCells>`)), importers.Rules{}},
		{"total is wrong", importers.ControlTotalWrong, newBook(headerCells + payoutRow(2) + `<row r="3">` + textCell("A3", "Total") + numberCell("D3", "12.35") + `</row>`), importers.Rules{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readContent(t, "payouts.xlsx", tt.book.bytes(t), tt.rules)
			if refusal(err) != tt.code {
				t.Fatalf("got %v, want code %s", err, tt.code)
			}
		})
	}
}

// TestDamagedBytes refuses files whose bytes are not those of a workbook.
func TestDamagedBytes(t *testing.T) {
	t.Parallel()
	good := twoRows().bytes(t)
	overlapping := bytes.Clone(good)
	shiftEntry(overlapping)
	compound := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 2000)...)
	encrypted := append(bytes.Clone(compound), utf16Bytes("EncryptedPackage")...)
	tests := []struct {
		name, file string
		code       importers.Code
		content    []byte
	}{
		{"cut in the middle", "payouts.xlsx", importers.ZipDamaged, good[:len(good)/2]},
		{"last byte missing", "payouts.xlsx", importers.ZipDamaged, good[:len(good)-1]},
		{"overlapping entries", "payouts.xlsx", importers.ZipFalseSize, overlapping},
		{"zip64 locator", "payouts.xlsx", importers.Zip64, withLocator(good)},
		{"old Excel", "payouts.xls", importers.FormatOldExcel, compound},
		{"old Excel renamed", "payouts.xlsx", importers.FormatOldExcel, compound},
		{"encrypted workbook", "payouts.xlsx", importers.FormatEncrypted, encrypted},
		{"workbook called csv", "payouts.csv", importers.FormatMismatch, good},
		{"text called xlsx", "payouts.xlsx", importers.FormatMismatch, []byte(goodCSV)},
		{"web page called xls", "payouts.xls", importers.FormatUnknown, []byte("<html><table>")},
		{"PDF", "payouts.pdf", importers.FormatUnknown, []byte("%PDF-1.7")},
		{"empty file", "payouts.csv", importers.NoData, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readContent(t, tt.file, tt.content, importers.Rules{})
			if refusal(err) != tt.code {
				t.Fatalf("got %v, want code %s", err, tt.code)
			}
		})
	}
}

// shiftEntry lets the second entry of the table of contents begin where the
// first does.
func shiftEntry(zipped []byte) {
	first := bytes.Index(zipped, []byte("PK\x01\x02"))
	second := first + 4 + bytes.Index(zipped[first+4:], []byte("PK\x01\x02"))
	copy(zipped[second+42:second+46], zipped[first+42:first+46])
}

// withLocator puts a 64-bit locator before the end record.
func withLocator(zipped []byte) []byte {
	end := bytes.LastIndex(zipped, []byte("PK\x05\x06"))
	locator := append([]byte("PK\x06\x07"), make([]byte, 16)...)
	return append(append(bytes.Clone(zipped[:end]), locator...), zipped[end:]...)
}

func utf16Bytes(text string) []byte {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = binary.LittleEndian.AppendUint16(encoded, unit)
	}
	return encoded
}

const goodCSV = "Reference,Channel,Account,Amount,Currency,Remark\nA1,Payeer,P10000001,10.50,USD,Bonus\nA2,FasaPay,FP10002,3,USD,\n"

// TestGoodText are encodings and shapes of csv that are taken.
func TestGoodText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, content string }{
		{"plain", goodCSV},
		{"byte order mark", "\ufeff" + goodCSV},
		{"UTF-16 little endian", "\xff\xfe" + string(utf16Bytes(goodCSV))},
		{"carriage returns and line feeds", strings.ReplaceAll(goodCSV, "\n", "\r\n")},
		{"tabs", strings.ReplaceAll(goodCSV, ",", "\t")},
		{"bars", strings.ReplaceAll(goodCSV, ",", "|")},
		{"declared delimiter", "sep=:\n" + strings.ReplaceAll(goodCSV, ",", ":")},
		{"quoted fields", strings.ReplaceAll(goodCSV, "Bonus", `"Bonus, 3 ""stars"""`)},
		{"no last line feed", strings.TrimSuffix(goodCSV, "\n")},
		{"blank lines", strings.ReplaceAll(goodCSV, "\n", "\n\n")},
		{"commas in titles", "Payouts;November\n\n" + strings.ReplaceAll(goodCSV, ",", ";")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result, sink, err := readContent(t, "payouts.csv", []byte(tt.content), importers.Rules{})
			if err != nil || result.Accepted != 2 || len(sink.problems) > 0 {
				t.Fatalf("%d rows accepted, problems %v, error %v", result.Accepted, sink.problems, err)
			}
		})
	}
}

// TestRefusedText are csv files that are refused as a whole.
func TestRefusedText(t *testing.T) {
	t.Parallel()
	long := goodCSV + strings.Repeat("A,Payeer,P10000001,1,USD,x\n", 4000)
	assigned := func(columns, letters map[string]importers.Field) importers.Rules {
		return importers.Rules{Profile: importers.Profile{Channel: "16", Currency: "USD", Columns: columns, Letters: letters}}
	}
	lettered := assigned(nil, map[string]importers.Field{"A": importers.FieldAccount, "B": importers.FieldAmount})
	tests := []struct {
		name    string
		code    importers.Code
		row     int
		content string
		rules   importers.Rules
	}{
		{"file too large", importers.FileTooLarge, 0, goodCSV, importers.Rules{MaxBytes: 20}},
		{"code page in the first rows", importers.EncodingInvalid, 2, strings.Replace(goodCSV, "Bonus", "M\xfcller", 1), importers.Rules{}},
		{"code page far down", importers.EncodingInvalid, 4004, long + "A,Payeer,P10000001,1,USD,M\xfcller\n", importers.Rules{}},
		{"UTF-16 without mark", importers.EncodingUTF16NoMark, 0, string(utf16Bytes(goodCSV)), importers.Rules{}},
		{"UTF-32", importers.EncodingInvalid, 0, "\xff\xfe\x00\x00R\x00\x00\x00", importers.Rules{}},
		{"NUL", importers.EncodingNUL, 2, strings.Replace(goodCSV, "Bonus", "Bo\x00nus", 1), importers.Rules{}},
		{"quote not closed", importers.QuoteNotClosed, 2, strings.Replace(goodCSV, "Bonus", `"Bonus`, 1), importers.Rules{}},
		{"quote not closed below sep=", importers.QuoteNotClosed, 2, "sep=,\n" + strings.Replace(goodCSV, "Bonus", `"Bonus`, 1), importers.Rules{}},
		{"quote inside a field", importers.QuoteNotClosed, 2, strings.Replace(goodCSV, "Bonus", `5" screen`, 1), importers.Rules{}},
		{"quote not closed after many rows", importers.QuoteNotClosed, 4004, long + "\"A,Payeer", importers.Rules{}},
		{"carriage returns only", importers.CarriageReturnsOnly, 0, strings.ReplaceAll(goodCSV, "\n", "\r"), importers.Rules{}},
		{"two delimiters fit", importers.DelimiterAmbiguous, 0, "account/a,amount/b;amount/c\n", assigned(nil, nil)},
		{"no delimiter in the sep line", importers.DelimiterAmbiguous, 1, "sep=\x01\n" + goodCSV, importers.Rules{}},
		{"too many rows", importers.TooManyRows, 3, goodCSV, importers.Rules{MaxRows: 1}},
		{"too many columns", importers.TooManyColumns, 1, goodCSV, importers.Rules{MaxColumns: 5}},
		{"field too long", importers.CellTooLong, 2, strings.Replace(goodCSV, "Bonus", strings.Repeat("x", 40_000), 1), importers.Rules{}},
		{"only blank lines", importers.NoData, 0, "\n\n,,\n", importers.Rules{}},
		{"only headings", importers.NoData, 1, strings.SplitAfter(goodCSV, "\n")[0], importers.Rules{}},
		{"no headings", importers.HeaderMissing, 0, "PO1,Payeer,P10000001,10.50,USD\n", importers.Rules{}},
		{"a heading is missing", importers.HeaderMissing, 1, strings.Replace(goodCSV, "Amount", "Menge", 1), importers.Rules{}},
		{"a heading is doubled", importers.HeaderDoubled, 1, strings.Replace(goodCSV, "Remark", "Amount", 1), importers.Rules{}},
		{"two headings for one field", importers.HeaderDoubled, 1, strings.Replace(goodCSV, "Remark", "Sum", 1), importers.Rules{}},
		{"a heading of two meanings", importers.HeaderAmbiguous, 1, strings.Replace(goodCSV, "Reference", "ID", 1), importers.Rules{}},
		{"a heading said by hand is not there", importers.HeaderMissing, 1, goodCSV, assigned(map[string]importers.Field{"Wallet no": importers.FieldAccount}, nil)},
		{"a pay date said by hand is not there", importers.HeaderMissing, 1, goodCSV, assigned(map[string]importers.Field{"Due": importers.FieldPayDate}, nil)},
		{"a letter said by hand has no heading", importers.HeaderMissing, 1, goodCSV, assigned(nil, map[string]importers.Field{"H": importers.FieldPayDate})},
		{"a payout where headings should be", importers.HeaderMissing, 1, "P10000001,10.00\nP10000002,5\n", lettered},
		{"a payout with a currency where headings should be", importers.HeaderMissing, 1, "P10000001,10.00 USD\nP10000002,5\n", lettered},
		{"headings too far down", importers.HeaderMissing, 0, strings.Repeat("x\n", 60) + goodCSV, importers.Rules{}},
		{"count is wrong", importers.ControlTotalWrong, 4, goodCSV + "Count,,,3,,\n", importers.Rules{}},
		{"total is wrong", importers.ControlTotalWrong, 4, goodCSV + "Total,,,13.49,USD,\n", importers.Rules{}},
		{"total above the headings is wrong", importers.ControlTotalWrong, 1, "Total amount:,13.49\n" + goodCSV, importers.Rules{}},
		{"sum without a label is wrong", importers.ControlTotalWrong, 4, goodCSV + ",,,13.49,,\n", importers.Rules{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readContent(t, "payouts.csv", []byte(tt.content), tt.rules)
			if refusal(err) != tt.code || !strings.Contains(err.Error(), place(tt.row)) {
				t.Fatalf("got %v, want code %s in row %d", err, tt.code, tt.row)
			}
		})
	}
}

func place(row int) string {
	if row == 0 {
		return "read sheet: "
	}
	return fmt.Sprintf("row %d", row)
}

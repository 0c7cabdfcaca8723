//go:build !race

package importers_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"payrun/importers"
)

// hostileFile is a file made to hurt whoever opens it.
type hostileFile struct {
	name, file string
	codes      []importers.Code // any of them; "" for a file that does no harm
	content    func(testing.TB) []byte
}

func hostileFiles() []hostileFile {
	rows := func(xml string) func(testing.TB) []byte {
		return func(t testing.TB) []byte { return newBook(headerCells + xml).bytes(t) }
	}
	after := func(xml string) func(testing.TB) []byte {
		return func(t testing.TB) []byte { return newBookOf(sheetXML("", headerCells+payoutRow(2), xml)).bytes(t) }
	}
	part := func(name, content string) func(testing.TB) []byte {
		return func(t testing.TB) []byte { return twoRows().set(name, content).bytes(t) }
	}
	const mega = 1 << 20
	xlsx := func(name string, content func(testing.TB) []byte, codes ...importers.Code) hostileFile {
		return hostileFile{name, "payouts.xlsx", append(codes, importers.ReaderMemory, importers.ReaderTime), content}
	}
	return []hostileFile{
		xlsx("a sheet of 99 MiB of spaces", after(strings.Repeat(" ", 99*mega)), ""),
		xlsx("a sheet of 101 MiB", after(strings.Repeat(" ", 101*mega)), importers.ZipTooLarge),
		xlsx("a sheet that says it is small", func(t testing.TB) []byte {
			return newBookOf(sheetXML("", headerCells+payoutRow(2), strings.Repeat(" ", 90*mega))).forge(sheet1, lie(1000)).bytes(t)
		}, importers.ZipFalseSize),
		xlsx("a part that says it is small", func(t testing.TB) []byte {
			return twoRows().set("xl/media/image1.bin", strings.Repeat("\x00", 90*mega)).forge("xl/media/image1.bin", lie(1000)).bytes(t)
		}, importers.ZipFalseSize),
		xlsx("a zip in a zip in a zip", func(t testing.TB) []byte {
			inner := (&book{}).add("bomb.bin", strings.Repeat("\x00", 60*mega)).bytes(t)
			for range 3 {
				nested := &book{}
				for i := range 20 {
					nested.add(fmt.Sprintf("bomb%d.zip", i), string(inner))
				}
				inner = nested.bytes(t)
			}
			return twoRows().set("xl/media/bomb.zip", string(inner)).bytes(t)
		}, ""),
		xlsx("many entries", func(t testing.TB) []byte {
			b := twoRows()
			for i := range 2_000 {
				b.add(fmt.Sprintf("xl/media/%d", i), "")
			}
			return b.bytes(t)
		}, importers.ZipTooManyEntries),
		xlsx("entries that share their bytes", func(t testing.TB) []byte { return overlapping(t, 150) }, importers.ZipFalseSize, importers.ZipTooLarge, importers.ZipDamaged),
		xlsx("a cell in the last column of the last row", rows(`<row r="1048576">`+textCell("XFD1048576", "x")+`</row>`), importers.TooManyColumns),
		xlsx("a cell in the last allowed column of the last row", rows(`<row r="1048576">`+textCell("AX1048576", "x")+`</row>`), ""),
		xlsx("a million empty rows", rows(numbered(2, 1_048_575, `<row r="%d"/>`)), importers.NoData),
		xlsx("300,000 rows of empty cells", rows(numbered(2, 300_000, `<row r="%d"><c/><c/></row>`)), importers.NoData),
		xlsx("a million cells", rows(numbered(2, 20_000, `<row r="%d">`+strings.Repeat("<c><v>1</v></c>", 45)+`</row>`)), importers.NoData, importers.TooManyRows, importers.ZipTooLarge, ""),
		xlsx("columns without end", rows(`<row r="2">`+strings.Repeat("<c><v>1</v></c>", 1_000_000)+`</row>`), importers.TooManyColumns),
		xlsx("a text of 90 MiB", rows(`<row r="2">`+textCell("A2", strings.Repeat("x", 90*mega))+`</row>`), importers.CellTooLong),
		xlsx("a number of 9 MiB", rows(`<row r="2">`+numberCell("A2", strings.Repeat("9", 9*mega))+`</row>`), importers.CellTooLong),
		xlsx("a number with a giant exponent", rows(payoutRow(2, numberCell("D2", "1e999999999"))), ""),
		xlsx("a number of many digits", rows(payoutRow(2, numberCell("D2", "0."+strings.Repeat("3", 100_000)))), ""),
		xlsx("a shared text of 90 MiB", func(t testing.TB) []byte { return twoRows().shared(strings.Repeat("x", 90*mega)).bytes(t) }, importers.CellTooLong),
		xlsx("a million shared texts", sharedTexts(1_000_000, "<si><t>x</t></si>"), ""),
		xlsx("three million empty shared texts", sharedTexts(3_000_000, "<si/>"), ""),
		xlsx("shared texts in a million pieces", sharedTexts(1, "<si>"+strings.Repeat("<r><t>x</t></r>", 1_000_000)+"</si>"), importers.CellTooLong),
		xlsx("shared texts of the greatest length", sharedTexts(2_500, "<si><t>"+strings.Repeat("x", 32_000)+"</t></si>"), ""),
		xlsx("tags a million deep", part("xl/theme/theme1.xml", strings.Repeat("<a>", 1_000_000)), importers.XMLDamaged),
		xlsx("a tag of 8 MiB", part("xl/theme/theme1.xml", "<a "+strings.Repeat("x", 8*mega-10)+"/>"), importers.XMLDamaged),
		xlsx("a million attributes", rows(`<row r="2" `+numbered(0, 500_000, `a%d=""`)+`/>`), importers.XMLDamaged),
		xlsx("entities that grow", part("xl/theme/theme1.xml", `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>`), importers.XMLDoctype),
		xlsx("merged ranges without end", after(`<mergeCells>`+numbered(10, 500_000, `<mergeCell ref="A%[1]d:B%[1]d"/>`)+`</mergeCells>`), ""),
		xlsx("a merged range over everything", after(`<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>`), importers.MergedCells),
		xlsx("validations without end", after(`<dataValidations>`+strings.Repeat(`<dataValidation type="list" sqref="A1:XFD1048576"><formula1>"a,b"</formula1></dataValidation>`, 400_000)+`</dataValidations>`), ""),
		xlsx("conditional formats without end", after(strings.Repeat(`<conditionalFormatting sqref="A1:XFD1048576"><cfRule type="expression" dxfId="0" priority="1"><formula>A1</formula></cfRule></conditionalFormatting>`, 300_000)), ""),
		xlsx("links without end", after(`<hyperlinks>`+numbered(1, 500_000, `<hyperlink ref="A%d" location="a"/>`)+`</hyperlinks>`), ""),
		xlsx("column formats without end", func(t testing.TB) []byte {
			return newBookOf(sheetXML(`<cols>`+strings.Repeat(`<col min="1" max="16384" width="9"/>`, 400_000)+`</cols>`, headerCells+payoutRow(2), "")).bytes(t)
		}, ""),
		xlsx("hidden columns without end", func(t testing.TB) []byte {
			return newBookOf(sheetXML(`<cols>`+strings.Repeat(`<col min="100" max="16384" hidden="1"/>`, 400_000)+`</cols>`, headerCells+payoutRow(2), "")).bytes(t)
		}, ""),
		xlsx("formats without end", func(t testing.TB) []byte {
			return twoRows().styles("0").edit("xl/styles.xml", "</cellXfs>", strings.Repeat(`<xf numFmtId="164"/>`, 380_000)+"</cellXfs>").bytes(t)
		}, ""),
		xlsx("number formats without end", func(t testing.TB) []byte {
			return twoRows().styles("0").edit("xl/styles.xml", "</numFmts>", numbered(1000, 150_000, `<numFmt numFmtId="%d" formatCode="0.0"/>`)+"</numFmts>").bytes(t)
		}, ""),
		xlsx("fonts without end", func(t testing.TB) []byte {
			return twoRows().styles("0").edit("xl/styles.xml", "<numFmts>", "<fonts>"+strings.Repeat("<font/>", 400_000)+"</fonts><numFmts>").bytes(t)
		}, ""),
		xlsx("sheets without end", func(t testing.TB) []byte {
			return twoRows().edit("xl/workbook.xml", "</sheets>", numbered(2, 100_000, `<sheet name="S%[1]d" sheetId="%[1]d" r:id="rId1"/>`)+"</sheets>").bytes(t)
		}, importers.XMLDamaged),
		xlsx("relations without end", func(t testing.TB) []byte {
			return twoRows().edit("xl/_rels/workbook.xml.rels", "</Relationships>", numbered(2, 70_000, `<Relationship Id="r%d" Type="`+relType+`theme" Target="theme/theme1.xml"/>`)+"</Relationships>").bytes(t)
		}, "", importers.ZipPartTooLarge),
		xlsx("names without end", func(t testing.TB) []byte {
			return twoRows().edit("xl/workbook.xml", "</workbook>", "<definedNames>"+numbered(1, 150_000, `<definedName name="n%d">Sheet1!$A$1</definedName>`)+"</definedNames></workbook>").bytes(t)
		}, ""),
		{"one line of 9 MiB with a heading", "payouts.csv", []importers.Code{importers.TooManyColumns}, text("Account" + strings.Repeat(",", 9*mega))},
		{"one quoted field of 9 MiB", "payouts.csv", []importers.Code{importers.CellTooLong, importers.QuoteNotClosed}, text(goodCSV + `"` + strings.Repeat("x\n", 9*mega/2))},
		{"one line of 9 MiB", "payouts.csv", []importers.Code{importers.TooManyColumns}, text(goodCSV + strings.Repeat(",", 9*mega))},
		{"one row of 9 MiB in short lines", "payouts.csv", []importers.Code{importers.TooManyColumns}, text(goodCSV + strings.Repeat("\"\n\",", 9*mega/4))},
		{"nothing but line ends", "payouts.csv", []importers.Code{importers.NoData}, text(strings.Repeat("\n", 9*mega))},
		{"nothing but quotes", "payouts.csv", []importers.Code{importers.NoData, importers.QuoteNotClosed, importers.HeaderMissing, importers.CellTooLong}, text(strings.Repeat(`"`, 9*mega))},
		{"a reference for every byte", "payouts.csv", []importers.Code{importers.TooManyRows}, text("Reference;Account;Amount;Currency;Channel\n" + numbered(0, 400_000, "%d;P1000000;1;USD;16\n"))},
	}
}

func text(content string) func(testing.TB) []byte {
	return func(testing.TB) []byte { return []byte(content) }
}

// lie makes an entry claim another size.
func lie(size uint64) func(*zip.FileHeader) {
	return func(h *zip.FileHeader) { h.UncompressedSize64 = size }
}

// numbered repeats a text with a number in it.
func numbered(from, count int, format string) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, format, from+i)
	}
	return b.String()
}

func sharedTexts(count int, item string) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		return newBook(headerCells+payoutRow(2)).shared("a").edit("xl/sharedStrings.xml", "</sst>", strings.Repeat(item, count)+"</sst>").bytes(t)
	}
}

// overlapping is a workbook whose table of contents lists one large entry
// many times.
func overlapping(t testing.TB, times int) []byte {
	t.Helper()
	b := twoRows()
	for i := range times {
		b.add(fmt.Sprintf("xl/media/%03d.bin", i), map[bool]string{true: strings.Repeat("\x00", 600_000)}[i == 0])
	}
	packed := b.bytes(t)
	directory := bytes.Index(packed, []byte("PK\x01\x02"))
	at := directory + bytes.Index(packed[directory:], []byte("xl/media/000.bin")) - 46
	first := bytes.Clone(packed[at : at+46])
	for next := at; ; {
		found := bytes.Index(packed[next+4:], []byte("PK\x01\x02"))
		if found < 0 {
			return packed
		}
		next += 4 + found
		copy(packed[next+16:next+28], first[16:28]) // checksum and sizes
		copy(packed[next+42:next+46], first[42:46]) // where it begins
	}
}

package importers

import "io"

// sharedStrings is what the scan keeps of the table of texts.
type sharedStrings struct {
	count int
	empty map[int]bool // the few that have no text
}

// scanSharedStrings checks the table of texts and counts its entries.
func scanSharedStrings(in io.Reader) (sharedStrings, error) {
	table := sharedStrings{empty: map[int]bool{}}
	xml := newXMLScanner(in)
	length, phonetic := 0, 0
	for {
		t, err := xml.next()
		if err == io.EOF {
			return table, nil
		}
		if err != nil {
			return table, err
		}
		switch isItem := string(t.name) == "si"; {
		case t.kind == tokenOpen && isItem && xml.depth == 2:
			length = 0
		case t.kind == tokenOpen && isItem:
			return table, damagedXML("its table of texts is nested")
		case t.kind == tokenClose && isItem:
			if length == 0 {
				table.empty[table.count] = true
			}
			table.count++
		case t.kind == tokenOpen && string(t.name) == "rPh":
			phonetic = xml.depth
		case t.kind == tokenClose && xml.depth == phonetic-1:
			phonetic = 0
		case t.kind == tokenText && xml.depth >= 3 && phonetic == 0:
			if length += len(t.text); length > longestCell*utf8Widest {
				return table, refuse(CellTooLong, "A cell holds more text than a spreadsheet cell can. Find and shorten it.")
			}
		}
	}
}

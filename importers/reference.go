package importers

const (
	lastRow    = 1_048_576
	lastColumn = 16_384
)

// columnLetter names a column, counted from 0, as spreadsheets do: A, Z, AA.
func columnLetter(column int) string {
	if column < 26 {
		return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[column : column+1]
	}
	return columnLetter(column/26-1) + columnLetter(column%26)
}

// parseReference reads "B12" as column 1 and row 12. Only capitals and plain
// digits count, as programs write them.
func parseReference(reference []byte) (column, row int, ok bool) {
	i := 0
	for ; i < len(reference) && i < 4 && reference[i] >= 'A' && reference[i] <= 'Z'; i++ {
		column = column*26 + int(reference[i]-'A') + 1
	}
	digits := reference[i:]
	if i == 0 || column > lastColumn || len(digits) == 0 || len(digits) > 7 || digits[0] == '0' {
		return 0, 0, false
	}
	row, ok = parseIndex(digits)
	return column - 1, row, ok && row <= lastRow
}

// parseIndex reads up to nine plain digits.
func parseIndex(digits []byte) (int, bool) {
	if len(digits) == 0 || len(digits) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

package importers

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"payrun/internal/money"
)

// Profile says how a team writes its sheets, where the sheets do not say it
// themselves. The zero value reads sheets with headings, decimal points and
// ISO dates. What a sheet says clearly and otherwise is refused.
type Profile struct {
	// Sheet names the sheet to read in a workbook that has several with data;
	// the others are then left alone. "" means that there must be only one.
	Sheet string
	// Columns assigns headings to fields; no alias of another heading in the
	// sheet then stands for the same field. FieldIgnored keeps a column from
	// being understood.
	Columns map[string]Field
	// Letters does the same by column letter ("A"), whatever the heading.
	Letters map[string]Field
	// NoHeadings says that payouts begin in the first row that is not blank.
	// Letters then says what the columns are.
	NoHeadings bool
	// Unconfirmed says that nobody has looked yet whether NoHeadings and
	// Letters fit the sheet. Such a sheet is refused, and the refusal shows
	// how its first row would be read.
	Unconfirmed bool
	// Channel is the code or name for sheets without a channel column; ""
	// requires the column.
	Channel string
	// Currency is the currency of sheets without a currency column; ""
	// requires the column.
	Currency money.Currency
	// DecimalMark and GroupMark are how amounts in text cells are written:
	// "." (default) or "," and "" (default, no grouping), ",", ".", "'" or
	// " ", which also stands for the no-break spaces. Cells that hold numbers
	// do not depend on them.
	DecimalMark, GroupMark string
	// MinorUnits says that amounts are whole minor units: 1050 is 10.50 USD.
	MinorUnits bool
	// DateOrder is how dates in text cells are written beside ISO dates:
	// "day-month-year", "month-day-year" or "" (ISO only).
	DateOrder string
	// Delimiter separates csv fields: ",", ";", "\t", "|"; "" finds out.
	Delimiter string
	// Charset is the encoding of csv files without a byte order mark, one of
	// [Charsets]; "" is UTF-8. Other encodings are never guessed.
	Charset string
}

// Orders of dates in a profile.
const (
	DayMonthYear = "day-month-year"
	MonthDayYear = "month-day-year"
)

// charsets are the encodings that a profile may name. Single bytes and UTF-16
// only: they keep line ends where they are.
var charsets = []struct {
	name     string
	encoding encoding.Encoding
}{
	{"utf-8", nil},
	{"utf-16le", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)},
	{"utf-16be", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)},
	{"windows-1250", charmap.Windows1250},
	{"windows-1251", charmap.Windows1251},
	{"windows-1252", charmap.Windows1252},
	{"windows-1254", charmap.Windows1254},
	{"windows-1257", charmap.Windows1257},
	{"iso-8859-1", charmap.ISO8859_1},
	{"iso-8859-2", charmap.ISO8859_2},
	{"iso-8859-5", charmap.ISO8859_5},
	{"iso-8859-15", charmap.ISO8859_15},
	{"koi8-r", charmap.KOI8R},
	{"koi8-u", charmap.KOI8U},
	{"cp437", charmap.CodePage437},
	{"cp850", charmap.CodePage850},
	{"cp866", charmap.CodePage866},
}

// Charsets lists the encodings that a profile may name.
func Charsets() []string {
	names := make([]string, len(charsets))
	for i, c := range charsets {
		names[i] = c.name
	}
	return names
}

// Validate names what is wrong with a profile by itself. [Read] calls it too.
func (p Profile) Validate() error {
	mark := cmp.Or(p.DecimalMark, ".")
	switch {
	case mark != "." && mark != ",":
		return fmt.Errorf("decimal mark %q is neither a point nor a comma", mark)
	case len(p.GroupMark) > 1 || !strings.Contains(",.' ", p.GroupMark) || p.GroupMark == mark:
		return fmt.Errorf("group mark %q cannot stand beside decimal mark %q; it may be a comma, a point, an apostrophe or a space", p.GroupMark, mark)
	case p.DateOrder != "" && p.DateOrder != DayMonthYear && p.DateOrder != MonthDayYear:
		return fmt.Errorf("date order %q is neither %s nor %s", p.DateOrder, DayMonthYear, MonthDayYear)
	case p.Delimiter != "" && !slices.Contains(delimiters, []rune(p.Delimiter)[0]) || len(p.Delimiter) > 1:
		return fmt.Errorf("delimiter %q is none of comma, semicolon, tab and bar", p.Delimiter)
	case p.Charset != "" && !slices.Contains(Charsets(), p.Charset):
		return fmt.Errorf("charset %q is none of %s", p.Charset, strings.Join(Charsets(), ", "))
	case p.NoHeadings && len(p.Letters) == 0:
		return fmt.Errorf("a sheet without headings needs a letter for each column")
	case p.NoHeadings && len(p.Columns) > 0:
		return fmt.Errorf("a sheet without headings has no columns to find by heading; use letters")
	}
	if p.Currency != "" {
		if _, err := p.Currency.Exponent(); err != nil {
			return err
		}
	}
	return p.checkColumns()
}

// checkColumns refuses two columns for one field: nobody could say which wins.
func (p Profile) checkColumns() error {
	var taken [fieldCount]string
	for _, columns := range []map[string]Field{p.Columns, p.Letters} {
		for name, field := range columns {
			if field == FieldIgnored {
				continue
			}
			if other := taken[field]; other != "" {
				return fmt.Errorf("columns %q and %q are both to be the %s", min(name, other), max(name, other), field)
			}
			taken[field] = name
		}
	}
	folded := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Columns)) {
		if other, ok := folded[fold(name)]; ok && p.Columns[other] != p.Columns[name] {
			return fmt.Errorf("columns %q and %q are the same heading, and are to be the %s and the %s", other, name, p.Columns[other], p.Columns[name])
		}
		folded[fold(name)] = name
	}
	for letter := range p.Letters {
		if _, ok := columnIndex(letter); !ok {
			return fmt.Errorf("%q is no column letter such as A or AB", letter)
		}
	}
	return nil
}

// columnIndex reads a column letter, "A" being 0.
func columnIndex(letter string) (int, bool) {
	column, _, ok := parseReference([]byte(letter + "1"))
	return column, ok
}

// Preset is a layout without headings that a known product writes. Its
// profile is Unconfirmed: whoever uses it looks at the first row.
type Preset struct {
	Name, Source string // Source tells where such files come from
	Profile      Profile
}

// Presets lists the layouts of sheets without headings that are known.
func Presets() []Preset {
	layout := func(fields ...Field) Profile {
		p := Profile{NoHeadings: true, Unconfirmed: true, Letters: map[string]Field{}}
		for i, field := range fields {
			p.Letters[columnLetter(i)] = field
		}
		return p
	}
	payPal := layout(FieldAccount, FieldAmount, FieldCurrency, FieldPayeeID, FieldRemark, FieldIgnored, FieldIgnored)
	massPay := layout(FieldAccount, FieldAmount, FieldCurrency, FieldPayeeID, FieldRemark)
	massPay.Delimiter = "\t"
	skrill := layout(FieldAccount, FieldAmount, FieldCurrency, FieldRemark, FieldReference)
	webMoney := layout(FieldAccount, FieldAmount, FieldRemark, FieldReference)
	webMoney.Delimiter = ";"
	payMaster := layout(FieldAccount, FieldAmount, FieldRemark, FieldReference, FieldTest)
	payMaster.Delimiter = ";"
	return []Preset{
		{"paypal", "PayPal Payouts, web upload (csv)", payPal},
		{"masspay", "PayPal MassPay (tabs)", massPay},
		{"skrill", "Skrill mass payments (csv)", skrill},
		{"webmoney", "WebMoney masspayment (semicolons)", webMoney},
		{"paymaster", "PayMaster settlement (semicolons)", payMaster},
	}
}

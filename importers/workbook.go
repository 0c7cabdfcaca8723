package importers

import (
	"bytes"
	"encoding/xml"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"payrun/internal/money"
)

const sharedStringsPart = "xl/sharedstrings.xml"

// workbook is what the scan keeps of a workbook before the spreadsheet
// library opens it.
type workbook struct {
	archive  *archive
	sheets   []worksheet
	styles   []cellStyle // by the index that cells use
	strings  sharedStrings
	date1904 bool
}

// worksheet is one sheet with cells, as the tabs show it.
type worksheet struct {
	name   string
	part   string
	hidden bool
}

// cellStyle is what a cell's format does to what stands in it.
type cellStyle struct {
	kind     kind
	decimals int8           // shown decimals, -1 for all
	dressed  bool           // shows more than an integer's digits: 00007, 1,234 or INV-7
	struck   bool           // with a line through it
	currency money.Currency // shown with the number, "" for none
}

// general is what a cell without a style has.
var general = cellStyle{kind: kindNumber, decimals: -1}

// shownOtherwise stands for the decimals of a format that shows something else
// than the number: a thousandth of it, or nothing.
const shownOtherwise = -2

// The parts' XML, as far as it matters here.
type (
	workbookXML struct {
		Properties struct {
			Date1904 string `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []struct {
			Name  string     `xml:"name,attr"`
			State string     `xml:"state,attr"`
			Attrs []xml.Attr `xml:",any,attr"`
		} `xml:"sheets>sheet"`
	}
	relationsXML struct {
		Relations []struct {
			ID     string `xml:"Id,attr"`
			Type   string `xml:"Type,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	stylesXML struct {
		Formats []struct {
			ID   int    `xml:"numFmtId,attr"`
			Code string `xml:"formatCode,attr"`
		} `xml:"numFmts>numFmt"`
		Fonts []struct {
			Strike *struct {
				On string `xml:"val,attr"`
			} `xml:"strike"`
		} `xml:"fonts>font"`
		Cells []struct {
			Format int32 `xml:"numFmtId,attr"` // hostile workbooks have hundreds of thousands
			Font   int32 `xml:"fontId,attr"`
		} `xml:"cellXfs>xf"`
	}
)

// readWorkbook lists the sheets and checks every part but the sheets that
// the rules ask for, which are scanned afterwards.
func readWorkbook(a *archive, rules *ruleset) (*workbook, error) {
	if err := a.refuseForeign(); err != nil {
		return nil, err
	}
	w := &workbook{archive: a}
	if err := w.readStyles(); err != nil {
		return nil, err
	}
	if err := w.readSheets(); err != nil {
		return nil, err
	}
	later := map[string]bool{}
	for _, sheet := range w.sheets {
		if rules.reads(sheet) {
			later[strings.ToLower(sheet.part)] = true
		}
	}
	return w, a.verify(later, func(name string, content io.Reader) (err error) {
		switch {
		case name == sharedStringsPart:
			w.strings, err = scanSharedStrings(content)
		case isXML(name):
			err = scanXML(content)
		}
		return err
	})
}

// refuseForeign refuses workbooks of other kinds by the parts they have.
func (a *archive) refuseForeign() error {
	for name := range a.parts {
		switch {
		case strings.HasSuffix(name, "vbaproject.bin") || strings.HasPrefix(name, "xl/macrosheets/"):
			return refuse(FormatMacros, "The workbook holds macros. Save it as .xlsx (without macros) and hand that in.")
		case name == "xl/workbook.bin":
			return refuse(FormatBinary, "The workbook is in the binary .xlsb format. Save it as .xlsx and hand that in.")
		case strings.HasPrefix(name, "xl/externallinks/"), name == "xl/connections.xml":
			return refuse(ExternalLinks, "The workbook takes values from other files or data connections, which may have changed since. Break the links (Data, Edit links), save, and hand it in again.")
		}
	}
	if a.parts["mimetype"] != nil && a.parts["content.xml"] != nil {
		return refuse(FormatOpenDocument, "The file is an OpenDocument sheet (.ods). Open it and save as .xlsx, then hand that in.")
	}
	if a.parts["[content_types].xml"] == nil || a.parts["xl/workbook.xml"] == nil {
		return refuse(FormatUnknown, "The file is a zip archive but not an Excel workbook. Save the sheet as .xlsx or .csv.")
	}
	types, err := a.readPart("[content_types].xml")
	if err != nil {
		return err
	}
	if bytes.Contains(types, []byte("macroEnabled")) {
		return refuse(FormatMacros, "The workbook is of the kind that may hold macros. Save it as .xlsx (without macros) and hand that in.")
	}
	return nil
}

func (a *archive) decode(name string, into any) error {
	data, err := a.readPart(name)
	if err != nil {
		return err
	}
	if err := xml.Unmarshal(data, into); err != nil {
		return damagedXML("its part " + shown(name) + " cannot be read")
	}
	return nil
}

func (w *workbook) readSheets() error {
	var book workbookXML
	var relations relationsXML
	if err := w.archive.decode("xl/workbook.xml", &book); err != nil {
		return err
	}
	if err := w.archive.decode("xl/_rels/workbook.xml.rels", &relations); err != nil {
		return err
	}
	w.date1904 = isTrue([]byte(book.Properties.Date1904))
	names, parts := map[string]bool{}, map[string]bool{}
	for _, sheet := range book.Sheets {
		part := worksheetPart(relations, relationID(sheet.Attrs))
		if part == "" {
			continue // a chart or dialog, which has no cells
		}
		folded := strings.ToLower(sheet.Name)
		if sheet.Name == "" || names[folded] || parts[strings.ToLower(part)] {
			return damagedXML("two of its sheets have the same name or the same content, or one has no name")
		}
		names[folded], parts[strings.ToLower(part)] = true, true
		w.sheets = append(w.sheets, worksheet{sheet.Name, part, sheet.State == "hidden" || sheet.State == "veryHidden"})
	}
	return nil
}

func relationID(attributes []xml.Attr) string {
	for _, a := range attributes {
		if a.Name.Local == "id" && a.Name.Space != "" {
			return a.Value
		}
	}
	return ""
}

// worksheetPart resolves a relation to the part of a worksheet, "" if the
// relation is none or leads elsewhere.
func worksheetPart(relations relationsXML, id string) string {
	for _, relation := range relations.Relations {
		if relation.ID == id && strings.HasSuffix(relation.Type, "/worksheet") {
			if rooted, ok := strings.CutPrefix(relation.Target, "/"); ok {
				return path.Clean(rooted)
			}
			return path.Join("xl", relation.Target)
		}
	}
	return ""
}

func (w *workbook) readStyles() error {
	if w.archive.parts["xl/styles.xml"] == nil {
		w.styles = []cellStyle{general}
		return nil
	}
	var styles stylesXML
	if err := w.archive.decode("xl/styles.xml", &styles); err != nil {
		return err
	}
	codes := map[int]string{}
	for _, format := range styles.Formats {
		codes[format.ID] = format.Code
	}
	for _, xf := range styles.Cells {
		format := int(xf.Format)
		style := numberFormat(format, codes)
		style.dressed = dresses(format, codes)
		style.currency = shownCurrency(codes[format])
		if xf.Font >= 0 && int(xf.Font) < len(styles.Fonts) {
			strike := styles.Fonts[xf.Font].Strike
			style.struck = strike != nil && (strike.On == "" || isTrue([]byte(strike.On)))
		}
		w.styles = append(w.styles, style)
	}
	if len(w.styles) == 0 {
		w.styles = []cellStyle{general}
	}
	return nil
}

// dresses tells whether a number format, by its code or else by its number,
// shows an integer as anything but its digits.
func dresses(id int, codes map[int]string) bool {
	if code, ok := codes[id]; ok {
		return !slices.Contains([]string{"", "general", "@", "0", "#"}, strings.ToLower(code))
	}
	return !slices.Contains([]int{0, 1, 49}, id) // General, 0 and @
}

// numberFormat judges a number format by its code, or by its number where
// the file format gives it one.
func numberFormat(id int, codes map[int]string) cellStyle {
	if code, ok := codes[id]; ok {
		return formatByCode(code)
	}
	switch {
	case id == 1, id == 3, id == 5, id == 6, id == 37, id == 38, id == 41, id == 42:
		return cellStyle{kind: kindNumber, decimals: 0}
	case id == 2, id == 4, id == 7, id == 8, id == 39, id == 40, id == 43, id == 44:
		return cellStyle{kind: kindNumber, decimals: 2}
	case id == 11, id == 12, id == 13, id == 48: // 1E+03 and fractions
		return cellStyle{kind: kindNumber, decimals: shownOtherwise}
	case id == 9, id == 10:
		return cellStyle{kind: kindPercent, decimals: -1}
	case id >= 14 && id <= 22, id >= 27 && id <= 36, id >= 45 && id <= 47, id >= 50 && id <= 58:
		return cellStyle{kind: kindDate, decimals: -1}
	}
	return general
}

// formatByCode judges the first section of a format such as `#,##0.00 "USD"`.
func formatByCode(code string) cellStyle {
	bare := bareFormat(code)
	switch {
	case strings.Contains(bare, "%"):
		return cellStyle{kind: kindPercent, decimals: -1}
	case strings.Contains(bare, "general") || strings.Contains(bare, "@") || code == "":
		return general
	case strings.ContainsAny(bare, "ymdhs"):
		return cellStyle{kind: kindDate, decimals: -1}
	case !strings.ContainsAny(bare, "0#?"), strings.ContainsAny(bare, "e/"), scaled(bare), disguises(code):
		return cellStyle{kind: kindNumber, decimals: shownOtherwise}
	}
	_, fraction, _ := strings.Cut(bare, ".")
	decimals := strings.IndexFunc(fraction+" ", func(r rune) bool { return !strings.ContainsRune("0#?", r) })
	return cellStyle{kind: kindNumber, decimals: int8(min(decimals, 30))}
}

// signs are those that stand for one currency only: a dollar sign does not.
var signs = map[rune]money.Currency{'€': "EUR", '£': "GBP", '₽': "RUB", '₴': "UAH", '₹': "INR", '₺': "TRY", '₸': "KZT"}

// gaps leave as much room as the character behind them takes, or fill the cell
// with it: the comma style of a European Excel has one as wide as a euro sign.
var gaps = regexp.MustCompile(`[_*].`)

// shownCurrency is the currency that a format such as `0.00" EUR"`, `0.00\E\U\R`
// or `[$€-407] 0.00` shows beside the number.
func shownCurrency(code string) money.Currency {
	code = strings.ReplaceAll(gaps.ReplaceAllString(code, " "), `\`, "")
	for _, word := range strings.FieldsFunc(code, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.Is(unicode.Sc, r) || r == '$' }) {
		for _, r := range word {
			if currency, ok := signs[r]; ok {
				return currency
			}
		}
		if _, err := money.Currency(word).Exponent(); err == nil {
			return money.Currency(word)
		}
	}
	return ""
}

// disguises tells whether a format makes a number look like another one by what
// it writes beside, or between, the digits: `0".00"`, `\-0`, `0" thousand"`, or by
// being for small numbers only: `[<1000]0`.
func disguises(code string) bool {
	section := firstSection.FindString(gaps.ReplaceAllString(code, ""))
	if conditions.MatchString(section) {
		return true
	}
	section = brackets.ReplaceAllString(section, "")
	if strings.ContainsAny(section, "(-") || scales.MatchString(section) {
		return true
	}
	for _, written := range literals.FindAllStringIndex(section, -1) {
		text := strings.Trim(section[written[0]:written[1]], `"\`)
		between := strings.ContainsAny(section[:written[0]], "0#?") && strings.ContainsAny(bareFormat(section[written[1]:]), "0#?")
		if strings.ContainsAny(text, "0123456789%") || between && strings.TrimSpace(text) != "" {
			return true
		}
	}
	return false
}

// What a format code consists of beside the digits.
var (
	firstSection = regexp.MustCompile(`^(?:"[^"]*"?|\\.|[^;"])*`) // for positive numbers

	conditions = regexp.MustCompile(`\[[<>=]`)
	brackets   = regexp.MustCompile(`\[[^\]]*\]`)
	literals   = regexp.MustCompile(`"[^"]*"|\\.`)
	scales     = regexp.MustCompile(`(?i)(^|[^\pL])(k|m|mio|mln|mil|millions?|thousands?|thsd|tsd|тыс|тис|млн)([^\pL]|$)`)
)

// scaled tells whether a comma stands behind the last digit before the point,
// or behind all: each such comma divides what is shown by a thousand.
func scaled(bare string) bool {
	for i := range len(bare) {
		if bare[i] == ',' && (i+1 == len(bare) || !strings.ContainsRune("0#?", rune(bare[i+1]))) {
			return true
		}
	}
	return false
}

// bareFormat is the first section of a format code in lower case, without
// quoted text, escaped characters and bracketed colours.
func bareFormat(code string) string {
	var bare strings.Builder
	var end rune // closes the quoted or bracketed part
	skip := false
	for _, r := range strings.ToLower(code) {
		switch {
		case skip:
			skip = false
		case end != 0:
			if r == end {
				end = 0
			}
		case r == '"':
			end = '"'
		case r == '[':
			end = ']'
		case r == '\\' || r == '_' || r == '*':
			skip = true
		case r == ';':
			return bare.String()
		default:
			bare.WriteRune(r)
		}
	}
	return bare.String()
}

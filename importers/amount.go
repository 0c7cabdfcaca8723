package importers

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"payrun/internal/money"
)

// parseAmount reads the amount in a cell. A Code other than "" says why it
// cannot be paid; readable tells whether the amount is nevertheless a number
// in the currency, so that the sheet's author will have added it up.
func (set *ruleset) parseAmount(c cell, currency money.Currency) (amount money.Amount, readable bool, code Code) {
	switch c.kind {
	case kindFormula:
		code = CellFormula
	case kindFailure:
		return 0, false, CellError
	case kindBoolean:
		return 0, false, CellBoolean
	case kindDate:
		return 0, false, AmountDate
	case kindPercent:
		return 0, false, AmountPercent
	}
	var plain string
	if c.kind == kindText {
		text, problem := set.plainNumber(c.text)
		if problem != "" {
			return 0, false, problem
		}
		plain = text
	} else if plain = shortestDecimal(c.text); plain == "" {
		return 0, false, cmp.Or(code, AmountFormat)
	}
	amount, err := set.toAmount(plain, currency)
	switch {
	case c.kind == kindText && maybeThousands(plain, currency) && (err == nil || errors.Is(err, money.ErrTooManyDecimals)):
		return 0, false, AmountFormat
	case errors.Is(err, money.ErrTooManyDecimals):
		return 0, false, cmp.Or(code, AmountDecimals)
	case errors.Is(err, money.ErrOverflow):
		return 0, false, cmp.Or(code, AmountTooLarge)
	case err != nil:
		return 0, false, cmp.Or(code, AmountFormat)
	case code == "" && amount == 0:
		code = AmountZero
	case code == "" && amount < 0:
		code = AmountNegative
	case code == "" && digits(amount) > set.MaxDigits:
		code = AmountTooLarge
	}
	return amount, true, code
}

// maybeThousands tells whether the text of an amount, here with a point, can be
// taken for thousands: 1.000 is one dollar or a thousand. Nobody writes three
// decimals of a currency that has two, except as thousands.
func maybeThousands(plain string, currency money.Currency) bool {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(plain, "-"), ".")
	return len(fraction) == 3 && exponent(currency) < 3 && len(whole) <= 3 && whole[0] != '0'
}

// toAmount turns a plain decimal into minor units.
func (set *ruleset) toAmount(plain string, currency money.Currency) (money.Amount, error) {
	if !set.MinorUnits {
		return money.Parse(plain, currency)
	}
	minor, err := strconv.ParseInt(plain, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = money.ErrOverflow
	}
	return money.Amount(minor), err
}

func digits(amount money.Amount) int {
	return len(strconv.FormatInt(int64(amount), 10))
}

// shortestDecimal turns the number of a workbook cell into the decimal that
// its author typed. Workbooks store binary doubles as text, some programs
// with 17 digits: 0.58 is written 0.57999999999999996. The shortest decimal
// that stands for the same double is what a spreadsheet shows. Shorter text
// is exact already. It returns "" for text that is not a number.
func shortestDecimal(text string) string {
	if len(text) <= 15 && isPlain(text) {
		return text
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return ""
		}
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}

// isPlain tells whether text is digits with at most one point inside, and at
// most a leading minus.
func isPlain(text string) bool {
	text = strings.TrimPrefix(text, "-")
	points := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.' && i > 0 && i < len(text)-1:
			points++
		case c < '0' || c > '9':
			return false
		}
	}
	return points <= 1 && text != ""
}

// plainNumber checks the text of an amount against the declared number
// format and rewrites it with a point and no grouping. Every other way to
// write a number is refused under the code that names it.
func (set *ruleset) plainNumber(text string) (string, Code) {
	if set.DecimalMark == "." && isPlain(text) {
		return text, ""
	}
	if plain, ok := set.declaredFormat(text); ok {
		return plain, ""
	}
	return "", amountFault(text)
}

// declaredFormat reads a number written with the rules' marks, "1.234,56".
func (set *ruleset) declaredFormat(text string) (string, bool) {
	if set.GroupMark == " " {
		text = strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(text)
	}
	whole, fraction, hasFraction := strings.Cut(text, set.DecimalMark)
	if set.GroupMark != "" && strings.Contains(whole, set.GroupMark) {
		groups := strings.Split(strings.TrimPrefix(whole, "-"), set.GroupMark)
		for i, group := range groups {
			if len(group) > 3 || len(group) == 0 || i > 0 && len(group) != 3 {
				return "", false
			}
		}
		whole = strings.ReplaceAll(whole, set.GroupMark, "")
	}
	plain := whole
	if hasFraction {
		plain += "." + fraction
	}
	return plain, isPlain(plain) && !strings.Contains(whole+fraction, ".")
}

// amountFault names what is wrong with the text of an amount.
func amountFault(text string) Code {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return AmountEmpty
	case strings.ContainsFunc(text, foreignDigit):
		return AmountDigits
	case trimmed[0] == '=':
		return CellFormula
	case trimmed[0] == '#':
		return CellError
	case strings.EqualFold(trimmed, "true"), strings.EqualFold(trimmed, "false"):
		return CellBoolean
	case trimmed != text && isPlain(trimmed):
		return AmountSpace
	case trimmed[0] == '(', trimmed[0] == '-', strings.HasPrefix(trimmed, "−"), strings.HasSuffix(trimmed, "-"):
		return AmountNegative
	case strings.HasSuffix(trimmed, "%"):
		return AmountPercent
	case isNotation(trimmed):
		return AmountNotation
	case isDate(trimmed):
		return AmountDate
	}
	return AmountFormat
}

func isLetterOrSign(r rune) bool { return unicode.IsLetter(r) || unicode.Is(unicode.Sc, r) }

func foreignDigit(r rune) bool { return r > unicode.MaxASCII && unicode.IsDigit(r) }

// isNotation recognises 1e3, 0x10, Inf and NaN: numbers to a computer, not
// amounts to a person.
func isNotation(text string) bool {
	if !strings.ContainsFunc(text, unicode.IsLetter) {
		return false
	}
	_, floatErr := strconv.ParseFloat(text, 64)
	_, intErr := strconv.ParseInt(text, 0, 64)
	return floatErr == nil || intErr == nil || errors.Is(floatErr, strconv.ErrRange)
}

// isDate recognises three groups of digits such as 2026-11-30 or 30.11.26.
func isDate(text string) bool {
	groups := strings.FieldsFunc(text, func(r rune) bool { return r == '-' || r == '.' || r == '/' })
	if len(groups) != 3 {
		return false
	}
	for _, group := range groups {
		if len(group) > 4 || len(group) == 3 || !isPlain(group) {
			return false
		}
	}
	return true
}

// amountMessages say what is wrong with an amount and what to do.
var amountMessages = map[Code]string{
	CellFormula:    "The amount is a formula, whose stored result may be out of date. Replace it with its value (copy, then paste as values).",
	CellError:      "The amount is an error value. Correct the cell.",
	CellBoolean:    "The amount is TRUE or FALSE. Write the amount.",
	AmountEmpty:    "The amount is missing. Write it, or delete the row.",
	AmountZero:     "The amount is zero. Write what is to be paid, or delete the row.",
	AmountNegative: "The amount is negative, and a payout cannot be. Write what is to be paid, or delete the row.",
	AmountDate:     "The amount is a date. Format the column as a number and write the amount again.",
	AmountPercent:  "The amount is a percentage. Write the amount itself.",
	AmountNotation: "The amount is written in scientific or computer notation. Write it in plain digits.",
	AmountSpace:    "The amount has a space before or after it. Remove the space.",
	AmountDigits:   "The amount uses digits of another script. Write it with 0 to 9.",
}

func (r *reader) amountMessage(code Code, c cell, currency money.Currency) string {
	switch code {
	case AmountDecimals:
		return decimalsMessage(c, currency)
	case AmountTooLarge:
		return fmt.Sprintf("The amount has more than %d digits, cents included, which is more than any payout may have. Check it for a slip.", r.rules.MaxDigits)
	case AmountFormat:
		return r.formatMessage(c, currency)
	}
	return amountMessages[code]
}

// decimalsMessage tells the dust of binary arithmetic from a slip: its author
// sees 0.3 and would not know what to correct.
func decimalsMessage(c cell, currency money.Currency) string {
	number, decimals := shownNumber(c), exponent(currency)
	if c.kind == kindNumber && withoutDust(number, decimals) != number {
		return fmt.Sprintf("The amount is stored as %s: the result of a calculation, with more decimals than the spreadsheet shows. "+
			"Payrun does not round: type the amount anew, with the %d decimals of %s.", shown(number), decimals, currency)
	}
	return fmt.Sprintf("The amount %s has more than the %d decimals of %s. Payrun does not round: correct the amount.", shown(number), decimals, currency)
}

// shownNumber is the amount as a spreadsheet would show it in full.
func shownNumber(c cell) string {
	if c.kind == kindText {
		return c.text
	}
	return shortestDecimal(c.text)
}

// ungrouped is what an amount says whose only fault is that it has thousands
// separators; "" if it could be another number too.
func (set *ruleset) ungrouped(text string) string {
	whole, _, hasFraction := strings.Cut(text, set.DecimalMark)
	if !hasFraction || set.GroupMark != "" {
		return ""
	}
	for _, mark := range []string{".", ",", " ", "'", "’", "\u00a0", "\u202f"} {
		if mark == set.DecimalMark || !strings.Contains(whole, mark) {
			continue
		}
		declared := *set
		declared.GroupMark = mark
		if plain, ok := declared.declaredFormat(text); ok {
			return strings.Replace(plain, ".", set.DecimalMark, 1)
		}
	}
	return ""
}

func (r *reader) formatMessage(c cell, currency money.Currency) string {
	if r.rules.MinorUnits {
		return "The amount is not a whole number of minor units, as the import profile says it is. Write 1050 for 10.50, or choose another profile."
	}
	mark, other := "point", "comma"
	if r.rules.DecimalMark == "," {
		mark, other = other, mark
	}
	grouping := "no thousands separator"
	if r.rules.GroupMark != "" {
		grouping = fmt.Sprintf("%q between thousands", r.rules.GroupMark)
	}
	if plain := r.rules.ungrouped(c.text); plain != "" && c.kind == kindText {
		return fmt.Sprintf("The amount has separators between its thousands. Write %s.", plain)
	}
	if plain, code := r.rules.plainNumber(c.text); code == "" && maybeThousands(plain, currency) {
		return fmt.Sprintf("The amount %s can be read in two ways, with decimals or with a separator between its thousands, and Payrun does not guess. "+
			"Write it with the %d decimals of %s, or without the separator.", shown(c.text), exponent(currency), currency)
	}
	if c.kind == kindText && strings.ContainsFunc(c.text, isLetterOrSign) {
		return "The amount has letters or a currency sign in it. Write the number alone; the currency has a column of its own."
	}
	return fmt.Sprintf("The amount is not a plain number with a decimal %s and %s, and Payrun does not guess. "+
		"Write it like 1234%s50, or choose an import profile with a decimal %s if the sheet uses one.", mark, grouping, r.rules.DecimalMark, other)
}

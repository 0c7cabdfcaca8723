package importers

import (
	"fmt"

	"payrun/internal/money"
)

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
		exponent, _ := currency.Exponent() // the currency is known by now
		return fmt.Sprintf("The amount %s has more than the %d decimals of %s. Payrun does not round: correct the amount.", shown(shownNumber(c)), exponent, currency)
	case AmountTooLarge:
		return fmt.Sprintf("The amount has more than %d digits, cents included, which is more than any payout may have. Check it for a slip.", r.rules.MaxDigits)
	case AmountFormat:
		return r.formatMessage()
	}
	return amountMessages[code]
}

// shownNumber is the amount as a spreadsheet would show it in full.
func shownNumber(c cell) string {
	if c.kind == kindText {
		return c.text
	}
	return shortestDecimal(c.text)
}

func (r *reader) formatMessage() string {
	mark, other := "point", "comma"
	if r.rules.DecimalMark == "," {
		mark, other = other, mark
	}
	grouping := "no thousands separator"
	if r.rules.GroupMark != "" {
		grouping = fmt.Sprintf("%q between thousands", r.rules.GroupMark)
	}
	return fmt.Sprintf("The amount is not a plain number with a decimal %s and %s, and Payrun does not guess. "+
		"Write it so, or choose an import profile with a decimal %s if the sheet uses one.", mark, grouping, other)
}

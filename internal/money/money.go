// Package money holds amounts as whole minor units of a currency.
//
// An [Amount] is an int64 count of minor units (cents for USD, yen for JPY);
// a [Currency] is an upper-case ISO 4217 code that this package knows. No
// amount ever passes through a floating-point number, and arithmetic that
// would overflow is an error, never a wrapped result. Parse(Format(x)) is x
// for every amount. All functions are pure and safe for concurrent use.
package money

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Amount counts minor units of a currency that is known from its context.
type Amount int64

// Currency is an ISO 4217 alphabetic code in upper case, such as "USD".
type Currency string

// Errors returned by the functions of this package; callers branch on them
// with errors.Is.
var (
	ErrUnknownCurrency = errors.New("unknown currency")
	ErrSyntax          = errors.New("not a plain decimal number")
	ErrTooManyDecimals = errors.New("more decimals than the currency has")
	ErrOverflow        = errors.New("amount too large")
)

// exponents lists the currencies whose number of decimals is known. A
// currency that is missing here is refused rather than guessed.
var exponents = map[Currency]int{
	"AED": 2, "AUD": 2, "BGN": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CNY": 2,
	"CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "GEL": 2, "HKD": 2, "HUF": 2,
	"IDR": 2, "ILS": 2, "INR": 2, "KZT": 2, "MXN": 2, "MYR": 2, "NOK": 2,
	"NZD": 2, "PHP": 2, "PLN": 2, "RON": 2, "RUB": 2, "SEK": 2, "SGD": 2,
	"THB": 2, "TRY": 2, "UAH": 2, "USD": 2, "UZS": 2, "ZAR": 2,
	"CLP": 0, "ISK": 0, "JPY": 0, "KRW": 0, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "OMR": 3, "TND": 3,
	"CLF": 4,
}

// Exponent returns how many decimals the currency has, or ErrUnknownCurrency.
func (c Currency) Exponent() (int, error) {
	e, ok := exponents[c]
	if !ok {
		return 0, fmt.Errorf("%w %q", ErrUnknownCurrency, string(c))
	}
	return e, nil
}

// Parse reads a plain decimal number ("12", "12.3", "-0.05") as an amount of
// the currency. It accepts ASCII digits with at most one point and an
// optional leading minus: no spaces, plus signs, exponents, grouping or bare
// points. Trailing zeros beyond the currency's decimals are accepted, since
// they change nothing; any other excess decimal is ErrTooManyDecimals.
func Parse(text string, c Currency) (Amount, error) {
	exponent, err := c.Exponent()
	if err != nil {
		return 0, err
	}
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, hasPoint := strings.Cut(digits, ".")
	if whole == "" || hasPoint && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return 0, fmt.Errorf("%w: %q", ErrSyntax, text)
	}
	if len(fraction) > exponent {
		if strings.Trim(fraction[exponent:], "0") != "" {
			return 0, fmt.Errorf("%w: %q has %d, %s has %d", ErrTooManyDecimals, text, len(fraction), c, exponent)
		}
		fraction = fraction[:exponent]
	}
	fraction += strings.Repeat("0", exponent-len(fraction))

	// Counting downwards reaches the smallest int64, which has no positive twin.
	var minus int64
	for _, digit := range whole + fraction {
		d := int64(digit - '0')
		if minus < (math.MinInt64+d)/10 {
			return 0, fmt.Errorf("%w: %q", ErrOverflow, text)
		}
		minus = minus*10 - d
	}
	if negative {
		return Amount(minus), nil
	}
	if minus == math.MinInt64 {
		return 0, fmt.Errorf("%w: %q", ErrOverflow, text)
	}
	return Amount(-minus), nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Format writes the amount with exactly the currency's decimals ("12.30").
// An unknown currency is a programming error by this point and panics.
func Format(a Amount, c Currency) string {
	exponent, err := c.Exponent()
	if err != nil {
		panic(err)
	}
	return decimal(a, exponent)
}

// FormatDecimals writes the amount with at least the given number of
// decimals, for gateways that want two even where the currency has none.
func FormatDecimals(a Amount, c Currency, decimals int) string {
	exponent, err := c.Exponent()
	if err != nil {
		panic(err)
	}
	text := decimal(a, exponent)
	if exponent >= decimals {
		return text
	}
	if exponent == 0 {
		text += "."
	}
	return text + strings.Repeat("0", decimals-exponent)
}

func decimal(a Amount, exponent int) string {
	digits := fmt.Sprintf("%d", int64(a))
	sign := ""
	if a < 0 {
		sign, digits = "-", digits[1:]
	}
	if len(digits) <= exponent {
		digits = strings.Repeat("0", exponent-len(digits)+1) + digits
	}
	if exponent == 0 {
		return sign + digits
	}
	point := len(digits) - exponent
	return sign + digits[:point] + "." + digits[point:]
}

// Add returns a + b, or ErrOverflow.
func Add(a, b Amount) (Amount, error) {
	sum := a + b
	if (sum > a) != (b > 0) {
		return 0, fmt.Errorf("%w: %d + %d", ErrOverflow, a, b)
	}
	return sum, nil
}

// Sum adds amounts, or returns ErrOverflow.
func Sum(amounts ...Amount) (Amount, error) {
	var total Amount
	for _, a := range amounts {
		var err error
		if total, err = Add(total, a); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// Share returns the given parts per million of a, rounded up to a whole minor
// unit: a fee reserve must never be short. It needs a >= 0 and
// 0 <= partsPerMillion <= 1,000,000.
func Share(a Amount, partsPerMillion int64) Amount {
	const million = 1_000_000
	whole, rest := int64(a)/million, int64(a)%million
	return Amount(whole*partsPerMillion + (rest*partsPerMillion+million-1)/million)
}

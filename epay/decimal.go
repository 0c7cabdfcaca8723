package epay

import "strings"

// Amounts stay text from end to end: the gateway writes 10, 10.0 and 10.00 for
// the same amount, so they are compared digit by digit after dropping zeros
// that carry no value.

// isDecimal reports whether s is a plain non-negative decimal number: digits,
// optionally a point and more digits. No sign, exponent, grouping or space.
func isDecimal(s string) bool {
	whole, fraction, pointed := strings.Cut(s, ".")
	return len(s) <= 64 && isDigits(whole) && (!pointed || isDigits(fraction))
}

// sameDecimal reports whether a and b are decimals of equal value.
func sameDecimal(a, b string) bool {
	if !isDecimal(a) || !isDecimal(b) {
		return false
	}
	aWhole, aFraction := significant(a)
	bWhole, bFraction := significant(b)
	return aWhole == bWhole && aFraction == bFraction
}

func significant(s string) (whole, fraction string) {
	whole, fraction, _ = strings.Cut(s, ".")
	return strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
}

// isPayable reports whether s may be sent as an amount: above zero, at most two
// decimals and fifteen whole digits, written without needless leading zeros.
func isPayable(s string) bool {
	whole, fraction, pointed := strings.Cut(s, ".")
	if !isDecimal(s) || len(whole) > 15 || pointed && len(fraction) > 2 {
		return false
	}
	if len(whole) > 1 && whole[0] == '0' {
		return false
	}
	w, f := significant(s)
	return w != "" || f != ""
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isSignedDecimal is isDecimal with an optional minus, for balances.
func isSignedDecimal(s string) bool { return isDecimal(strings.TrimPrefix(s, "-")) }

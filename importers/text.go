package importers

import (
	"fmt"
	"strings"
	"unicode"
)

// textFault looks for characters that no text of a payout may have. It
// returns "" for clean text, otherwise the code and a clause for a message.
func textFault(s string) (code Code, clause string) {
	if s == "" {
		return "", ""
	}
	if strings.IndexByte("=+-@", s[0]) >= 0 {
		return TextFormula, fmt.Sprintf("begins with %q, which spreadsheets run as a formula", s[:1])
	}
	position := 0
	for _, r := range s {
		position++
		if r >= ' ' && r <= '~' {
			continue
		}
		if code, clause := runeFault(r); code != "" {
			return code, fmt.Sprintf("has %s (U+%04X) at character %d", clause, r, position)
		}
	}
	return "", ""
}

func runeFault(r rune) (Code, string) {
	switch {
	case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085':
		return TextReserved, "a line break"
	case r == '\t':
		return TextReserved, "a tab"
	case unicode.In(r, unicode.Cf):
		return TextInvisible, "an invisible character"
	case r == '\u2800' || r == '\u3164' || r == '\uffa0' || r == '\u115f' || r == '\u1160' || r == '\u034f' || unicode.In(r, unicode.Variation_Selector):
		return TextInvisible, "an invisible character"
	case r == unicode.ReplacementChar:
		return TextCharacters, "a character that was lost in a conversion"
	case !unicode.IsGraphic(r):
		return TextCharacters, "a character that is not text"
	}
	return "", ""
}

// reservedFault finds the characters that would break the signed text of a
// gateway request.
func reservedFault(s string) (Code, string) {
	if at := strings.IndexAny(s, "&="); at >= 0 {
		return TextReserved, fmt.Sprintf("has the reserved character %q", s[at:at+1])
	}
	return "", ""
}

// scripts are those whose letters look like Latin ones.
var scripts = []struct {
	name  string
	table *unicode.RangeTable
}{
	{"Cyrillic", unicode.Cyrillic}, {"Greek", unicode.Greek}, {"Armenian", unicode.Armenian},
	{"Cherokee", unicode.Cherokee}, {"full-width or accented Latin", unicode.Latin},
}

// foreignFault finds characters outside plain ASCII in an account.
func foreignFault(s string) (Code, string) {
	position := 0
	for _, r := range s {
		position++
		if r <= unicode.MaxASCII {
			continue
		}
		if unicode.IsSpace(r) {
			return AccountSpace, fmt.Sprintf("has a space (U+%04X) at character %d", r, position)
		}
		for _, script := range scripts {
			if unicode.Is(script.table, r) {
				return AccountLookAlike, fmt.Sprintf("has the %s letter %c (U+%04X) at character %d, which only looks right", script.name, r, r, position)
			}
		}
		return AccountCharacters, fmt.Sprintf("has the character %c (U+%04X) at position %d", r, r, position)
	}
	return "", ""
}

// lookAlike explains a name that nobody knows by the foreign letter in it:
// "Pаyeer" with a Cyrillic а. A name that is all in another script is no such
// mistake. It returns "" if it finds nothing.
func lookAlike(name string) string {
	code, clause := foreignFault(name)
	latin := strings.ContainsFunc(name, func(r rune) bool { return r <= unicode.MaxASCII && unicode.IsLetter(r) })
	if code != AccountLookAlike || !latin {
		return ""
	}
	return " It " + clause + "."
}

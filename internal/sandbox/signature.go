package sandbox

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Separator names how the members of a nested object are joined in the signed
// text. The gateway's sign page does not settle it, so it is a setting.
type Separator string

// The separators that implementations in the field use.
const (
	SeparatorJava  Separator = "java"  // comma and space, as the published Java demo prints a map; the default
	SeparatorAmp   Separator = "amp"   // ampersand
	SeparatorComma Separator = "comma" // comma alone, the sign page's prose
	SeparatorAny   Separator = "any"   // accept whichever of the three matches, and count it in the book
)

func (s Separator) text() string {
	switch s {
	case SeparatorAmp:
		return "&"
	case SeparatorComma:
		return ","
	}
	return ", "
}

// candidates lists the separators to try, most likely first.
func (s Separator) candidates() []Separator {
	if s == SeparatorAny {
		return []Separator{SeparatorJava, SeparatorAmp, SeparatorComma}
	}
	return []Separator{s}
}

// canonical writes the text that is hashed: members sorted by name, null and
// empty ones left out, nested objects in braces, then the key. ok is false
// for values that the published demo cannot sign at all.
//
// Corner cases follow that demo: an object left without members stays as {},
// the text "null" counts as empty, a text that holds a JSON object is expanded
// like an object, and an array prints as [a, b].
func canonical(members map[string]any, separator Separator, key string) (text string, ok bool) {
	var b strings.Builder
	b.Grow(512)
	ok = writeMembers(&b, members, "&", separator.text())
	b.WriteString("&key=")
	b.WriteString(key)
	return b.String(), ok
}

func writeMembers(b *strings.Builder, members map[string]any, between, nested string) bool {
	names := make([]string, 0, len(members))
	for name, value := range members {
		if !isEmpty(value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(name)
		b.WriteByte('=')
		if !writeValue(b, members[name], nested) {
			return false
		}
	}
	return true
}

func writeValue(b *strings.Builder, value any, nested string) bool {
	switch v := value.(type) {
	case string:
		if object, ok := objectText(v); ok {
			return writeValue(b, object, nested)
		}
		b.WriteString(v)
		return signable(v)
	case json.Number:
		b.WriteString(v.String())
	case bool:
		if v {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	case map[string]any:
		b.WriteByte('{')
		ok := writeMembers(b, v, nested, nested)
		b.WriteByte('}')
		return ok
	case []any:
		return writeArray(b, v, nested)
	}
	return true
}

func writeArray(b *strings.Builder, values []any, nested string) bool {
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		if !writeValue(b, v, nested) {
			return false
		}
	}
	b.WriteByte(']')
	return true
}

func isEmpty(value any) bool {
	return value == nil || value == "" || value == "null"
}

// signable refuses the few texts on which the published demo throws.
func signable(text string) bool {
	switch text {
	case "NULL", "NaN", "undefined":
		return false
	}
	return strings.TrimSpace(text) != ""
}

// objectText decodes a text that is itself a JSON object.
func objectText(text string) (map[string]any, bool) {
	if !strings.HasPrefix(text, "{") {
		return nil, false
	}
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil || decoder.More() {
		return nil, false
	}
	return object, true
}

// sign returns the signature of the members: SHA-256 of the canonical text as
// 64 upper-case hex digits. Members that cannot be signed give "".
func sign(members map[string]any, separator Separator, key string) string {
	text, ok := canonical(members, separator, key)
	if !ok {
		return ""
	}
	return digest(text)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	var out [64]byte
	hex.Encode(out[:], sum[:])
	for i, c := range out {
		if c >= 'a' {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out[:])
}

// verify reports whether presented is the members' signature, and under which
// separator. Hex digits match in either case, as in the published demo.
func verify(members map[string]any, presented string, separator Separator, key string) (Separator, bool) {
	for _, candidate := range separator.candidates() {
		want := sign(members, candidate, key)
		if want != "" && subtle.ConstantTimeCompare([]byte(strings.ToUpper(presented)), []byte(want)) == 1 {
			return candidate, true
		}
	}
	return "", false
}

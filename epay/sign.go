package epay

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Separator names what stands between the members of a nested object in the
// signed text. The manual settles everything about the signature but this: its
// demo code and its prose disagree, and a third way is in use. Bodies sent by
// this package hold at most one nested member and are signed alike under all
// three; answers are accepted under any, the configured one tried first.
type Separator string

// The known separators. The zero value means SeparatorJava.
const (
	SeparatorJava  Separator = "java"  // ", " as the Java demo of [sign] prints; the default is inferred
	SeparatorAmp   Separator = "amp"   // "&" as at the top level (inferred)
	SeparatorComma Separator = "comma" // "," the letter of [sign]
)

func (s Separator) valid() bool { return s.join() != "" }

func (s Separator) join() string {
	switch s {
	case "", SeparatorJava:
		return ", "
	case SeparatorAmp:
		return "&"
	case SeparatorComma:
		return ","
	}
	return ""
}

// form is one way of writing the signed text.
type form struct {
	separator Separator
	// demo reads texts like the manual's Java demo: a text that is a JSON
	// object is expanded, the text "null" is dropped, and objects stay even
	// when nothing is left in them. Only received data is read so; requests
	// never contain a value on which the two readings differ.
	demo bool
}

// appendText appends the canonical text of an object, without the key: the
// members that are neither null nor empty, at every depth, in the code-point
// order of their names, as name=value joined by "&" [sign].
func (f form) appendText(dst []byte, o value) []byte { return f.appendMembers(dst, o, "&") }

func (f form) appendMembers(dst []byte, o value, join string) []byte {
	start := len(dst)
	for i := range o.members {
		m := &o.members[i]
		if f.absent(m.value) {
			continue
		}
		if len(dst) > start {
			dst = append(dst, join...)
		}
		dst = append(dst, m.name...)
		dst = append(dst, '=')
		dst = f.appendValue(dst, m.value)
	}
	return dst
}

func (f form) appendValue(dst []byte, v value) []byte {
	switch v.kind {
	case kindObject:
		dst = append(dst, '{')
		dst = f.appendMembers(dst, v, f.separator.join())
		return append(dst, '}')
	case kindArray:
		return f.appendArray(dst, v)
	case kindText:
		if inner, ok := f.expand(v); ok {
			return f.appendValue(dst, inner)
		}
	}
	return append(dst, v.text...)
}

// appendArray writes a list the way the known implementations print theirs.
func (f form) appendArray(dst []byte, v value) []byte {
	dst = append(dst, '[')
	for i := range v.members {
		if i > 0 {
			dst = append(dst, f.separator.join()...)
		}
		dst = f.appendValue(dst, v.members[i].value)
	}
	return append(dst, ']')
}

func (f form) absent(v value) bool {
	switch v.kind {
	case kindNull:
		return true
	case kindText:
		return v.text == "" || f.demo && v.text == "null"
	case kindObject:
		if f.demo {
			return false
		}
		for _, m := range v.members {
			if !f.absent(m.value) {
				return false
			}
		}
		return true
	}
	return false
}

// expand returns the object that a text holds as JSON, in the demo's reading.
func (f form) expand(v value) (value, bool) {
	if !f.demo || !strings.HasPrefix(v.text, "{") {
		return value{}, false
	}
	inner, reason, _ := parseJSON([]byte(v.text))
	return inner, reason == ""
}

// digest hashes the canonical text with the key behind it.
func (f form) digest(o value, key string) [sha256.Size]byte {
	var room [512]byte
	buf := f.appendText(room[:0], o)
	buf = append(buf, "&key="...)
	buf = append(buf, key...)
	return sha256.Sum256(buf)
}

// secret keeps a key behind a function, which no way of printing looks into.
type secret func() string

type signer struct {
	separator Separator
	keys      []secret // the first signs, all verify
}

func newSigner(separator Separator, keys ...string) *signer {
	s := &signer{separator: separator}
	for _, key := range keys {
		s.keys = append(s.keys, func() string { return key })
	}
	return s
}

// appendSign appends the signature of o: 64 upper-case hex digits.
func (s *signer) appendSign(dst []byte, o value) []byte {
	sum := form{separator: s.separator}.digest(o, s.keys[0]())
	const hexDigits = "0123456789ABCDEF"
	for _, b := range sum {
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
	}
	return dst
}

// verify reports whether sign, in either letter case, is the signature of o in
// any known form, and which form that was. Digests are compared in constant
// time.
func (s *signer) verify(o value, sign string) (form, bool) {
	var want [sha256.Size]byte
	if len(sign) != hex.EncodedLen(len(want)) {
		return form{}, false
	}
	if _, err := hex.Decode(want[:], []byte(sign)); err != nil {
		return form{}, false
	}
	for _, f := range s.forms(o) {
		for _, key := range s.keys {
			got := f.digest(o, key())
			if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
				return f, true
			}
		}
	}
	return form{}, false
}

// forms lists the ways o may have been written, the likeliest first. Flat data,
// the usual case, has exactly one.
func (s *signer) forms(o value) []form {
	first := form{separator: s.separator}
	nested, readTwoWays := o.shape()
	if !nested && !readTwoWays {
		return []form{first}
	}
	all := []form{first}
	for _, sep := range []Separator{SeparatorJava, SeparatorAmp, SeparatorComma} {
		all = append(all, form{separator: sep}, form{separator: sep, demo: true})
	}
	return all
}

// shape reports whether an object's separator matters, and whether it holds a
// text or an empty object on which the demo's reading differs.
func (v value) shape() (nested, readTwoWays bool) {
	for _, m := range v.members {
		switch {
		case m.value.kind >= kindObject:
			nested = true
		case m.value.text == "null" || strings.HasPrefix(m.value.text, "{"):
			readTwoWays = true
		}
	}
	return nested, readTwoWays
}

// checkSendable refuses what the known implementations sign differently or
// cannot sign at all. Requests consist of texts, and of nested objects that are
// not empty.
func checkSendable(o value) error {
	for _, m := range o.members {
		if err := checkMember(m); err != nil {
			return err
		}
	}
	return nil
}

func checkMember(m member) error {
	switch m.value.kind {
	case kindNull:
		return nil
	case kindText:
		if problem := textProblem(m.value.text); problem != "" {
			return invalid(m.name, problem)
		}
		return nil
	case kindObject:
		if (form{}).absent(m.value) {
			return invalid(m.name, "must not be an object without values")
		}
		return checkSendable(m.value)
	}
	return invalid(m.name, "must be a text: numbers, booleans and lists are signed differently by different servers")
}

// textProblem says what is wrong with a text value, or "" if nothing is. The
// empty text is fine: it is neither signed nor sent.
func textProblem(s string) string {
	switch {
	case s == "":
		return ""
	case !utf8.ValidString(s):
		return "must be valid UTF-8"
	case strings.TrimSpace(s) == "":
		return "must not be blank"
	case s[0] == '{' || s[0] == '[':
		return "must not start with { or ["
	case strings.EqualFold(s, "null"), strings.EqualFold(s, "nan"), strings.EqualFold(s, "undefined"):
		return "must not be the word null, NaN or undefined"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must not contain control characters"
	}
	return ""
}

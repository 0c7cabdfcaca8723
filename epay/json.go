package epay

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// The gateway signs what it sends, so a reply must be read exactly: names with
// their case, numbers with their source text, and no name twice. encoding/json
// matches names without case, turns numbers into floats and lets the last
// duplicate win. It is used here to check the syntax; the values are then taken
// from the text as they stand.

type kind uint8

const (
	kindNull kind = iota
	kindText
	kindNumber
	kindBool
	kindObject
	kindArray
)

// value is one JSON value. text holds a text unescaped, a number or boolean as
// written. members hold an object sorted by name, or an array in its order.
type value struct {
	kind    kind
	text    string
	members []member
}

type member struct {
	name  string
	value value
}

func text(s string) value { return value{kind: kindText, text: s} }

// object returns an object value; it sorts members in place.
func object(members ...member) value {
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return value{kind: kindObject, members: members}
}

// get returns the named member, or a null value. Objects here have a dozen
// members, for which a scan is quicker than anything cleverer.
func (v value) get(name string) value {
	if v.kind != kindObject {
		return value{}
	}
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return value{}
}

// scalar returns the text of a text or number, "" for null or absence; ok is
// false for anything else.
func (v value) scalar() (s string, ok bool) {
	return v.text, v.kind <= kindNumber
}

// maxDepth bounds nesting; documented replies nest three levels.
const maxDepth = 32

var (
	errRepeated = errors.New("a name appears twice in one object")
	errDepth    = errors.New("nested too deeply")
	errUTF8     = errors.New("not valid UTF-8")
)

// parseJSON reads one complete JSON text and nothing after it.
func parseJSON(raw []byte) (value, Reason, error) {
	if !utf8.Valid(raw) {
		return value{}, ReasonNotJSON, errUTF8
	}
	if !json.Valid(raw) {
		reason, err := classifyInvalid(raw)
		return value{}, reason, err
	}
	p := parser{s: string(raw)}
	v, err := p.value(0)
	if err != nil {
		return value{}, ReasonMalformed, err
	}
	return v, "", nil
}

// classifyInvalid tells a torn answer from one that never was JSON.
func classifyInvalid(raw []byte) (Reason, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return ReasonEmpty, io.ErrUnexpectedEOF
	}
	var first json.RawMessage
	err := json.NewDecoder(bytes.NewReader(raw)).Decode(&first)
	switch {
	case err == nil:
		return ReasonTrailing, errors.New("more data after the JSON text")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ReasonTruncated, err
	default:
		return ReasonNotJSON, errors.New("not a JSON text")
	}
}

// parser walks a text that json.Valid has accepted, so it need not check syntax
// again and cannot run past the end.
type parser struct {
	s string
	i int
}

func (p *parser) value(depth int) (value, error) {
	if depth > maxDepth {
		return value{}, errDepth
	}
	p.space()
	switch p.s[p.i] {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		return text(p.text()), nil
	case 'n':
		p.i += len("null")
		return value{}, nil
	case 't', 'f':
		return value{kind: kindBool, text: p.bare()}, nil
	default:
		return value{kind: kindNumber, text: p.bare()}, nil
	}
}

func (p *parser) object(depth int) (value, error) {
	room := 16 // an order has a dozen members
	if depth == 0 {
		room = 8 // an envelope has six
	}
	members := make([]member, 0, room)
	for p.next('}') {
		name := p.text()
		p.space()
		p.i++ // the colon
		v, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		members = append(members, member{name, v})
	}
	o := object(members...)
	for i := 1; i < len(members); i++ {
		if members[i].name == members[i-1].name {
			return value{}, errRepeated
		}
	}
	return o, nil
}

func (p *parser) array(depth int) (value, error) {
	a := value{kind: kindArray}
	for p.next(']') {
		v, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		a.members = append(a.members, member{value: v})
	}
	return a, nil
}

// next steps over the opening bracket or a comma to the next element; it
// reports false, and steps over it, at the closing bracket.
func (p *parser) next(closing byte) bool {
	p.space()
	at := p.s[p.i]
	if at != closing {
		p.i++ // the opening bracket or a comma
		p.space()
	}
	if p.s[p.i] == closing {
		p.i++
		return false
	}
	return true
}

func (p *parser) text() string {
	start := p.i
	escaped := false
	for p.i++; p.s[p.i] != '"'; p.i++ {
		if p.s[p.i] == '\\' {
			escaped = true
			p.i++
		}
	}
	p.i++
	if !escaped {
		return p.s[start+1 : p.i-1]
	}
	var s string
	_ = json.Unmarshal([]byte(p.s[start:p.i]), &s) // json.Valid has seen it
	return s
}

func (p *parser) bare() string {
	start := p.i
	for p.i < len(p.s) && !strings.ContainsRune(",]} \t\r\n", rune(p.s[p.i])) {
		p.i++
	}
	return p.s[start:p.i]
}

func (p *parser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

// appendJSON writes v without its null and empty members, so that exactly what
// is signed is sent. It is used for requests, whose texts have passed
// checkSendable and hold no control characters.
func appendJSON(dst []byte, v value) []byte {
	if v.kind != kindObject {
		return appendQuoted(dst, v.text)
	}
	dst = append(dst, '{')
	first := true
	for _, m := range v.members {
		if (form{}).absent(m.value) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendQuoted(dst, m.name)
		dst = append(dst, ':')
		dst = appendJSON(dst, m.value)
	}
	return append(dst, '}')
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

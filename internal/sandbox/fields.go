package sandbox

import (
	"encoding/json"
	"net/url"
	"strings"
)

// field is one member of a reply's data or of a callback form. The gateway
// writes every scalar as text, or null.
type field struct {
	name  string
	value string
	null  bool
}

// fields keeps the order in which the documents print them.
type fields []field

func text(name, value string) field { return field{name: name, value: value} }
func null(name string) field        { return field{name: name, null: true} }

// textOrNull is null for the empty text.
func textOrNull(name, value string) field {
	return field{name: name, value: value, null: value == ""}
}

// members is what the signature covers.
func (f fields) members() map[string]any {
	m := make(map[string]any, len(f))
	for _, x := range f {
		if !x.null {
			m[x.name] = x.value
		}
	}
	return m
}

// with returns a copy in which the named field has another value.
func (f fields) with(name, value string) fields {
	changed := append(fields(nil), f...)
	for i := range changed {
		if changed[i].name == name {
			changed[i] = text(name, value)
		}
	}
	return changed
}

func (f fields) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, x.name)
		b = append(b, ':')
		if x.null {
			b = append(b, "null"...)
		} else {
			b = appendText(b, x.value)
		}
	}
	return append(b, '}')
}

// form is the body of a callback. The documents' own order is kept, which
// url.Values would not do.
func (f fields) form() string {
	var b strings.Builder
	for i, x := range f {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(x.name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(x.value))
	}
	return b.String()
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // texts always marshal
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// value is the named field's text, "" if there is none.
func (f fields) value(name string) string {
	for _, x := range f {
		if x.name == name {
			return x.value
		}
	}
	return ""
}

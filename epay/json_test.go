package epay

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParseJSONClassifies(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	tests := map[string]struct {
		raw  string
		want Reason
	}{
		"whole":               {`{"a":[1,{"b":null}],"c":"d"}`, ""},
		"white space around":  {" \r\n{ \"a\" : [ ] , \"b\" : { } }\t", ""},
		"nothing":             {"", ReasonEmpty},
		"only space":          {" \n", ReasonEmpty},
		"torn in a text":      {`{"a":"b`, ReasonTruncated},
		"torn after a colon":  {`{"a":`, ReasonTruncated},
		"torn before the end": {`{"a":{"b":1}`, ReasonTruncated},
		"junk behind":         {`{"a":1}x`, ReasonTrailing},
		"second text behind":  {`{"a":1}{"a":2}`, ReasonTrailing},
		"brace too many":      {`{"a":1}}`, ReasonTrailing},
		"page":                {`<html>`, ReasonNotJSON},
		"byte-order mark":     {"\ufeff{}", ReasonNotJSON},
		"single quotes":       {`{'a':1}`, ReasonNotJSON},
		"invalid UTF-8":       {"{\"a\":\"\xff\"}", ReasonNotJSON},
		"name twice":          {`{"a":1,"b":2,"a":1}`, ReasonMalformed},
		"name twice inside":   {`{"x":{"a":1,"a":2}}`, ReasonMalformed},
		"name twice, escaped": {`{"a":1,"\u0061":2}`, ReasonMalformed},
		"too deep":            {deep, ReasonMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, reason, err := parseJSON([]byte(tt.raw))
			if reason != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("reason %q, error %v, want reason %q", reason, err, tt.want)
			}
		})
	}
}

func TestParseJSONKeepsSourceText(t *testing.T) {
	t.Parallel()
	v := parse(t, `{"n":10.50,"big":231151598560704599183360,"e":1E+2,"t":"a\"\\\u00e9\n😀","b":false,"N":"x"}`)
	for name, want := range map[string]string{
		"n": "10.50", "big": "231151598560704599183360", "e": "1E+2", "t": "a\"\\é\n😀", "b": "false", "N": "x", "none": "",
	} {
		if got := v.get(name).text; got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// FuzzParseJSON compares the parser with encoding/json: what one accepts the
// other does, apart from the two documented extra refusals, and they read the
// same values.
func FuzzParseJSON(f *testing.F) {
	for _, v := range loadVectors(f).Vectors {
		f.Add([]byte(v.Input))
	}
	for _, s := range []string{`{"a":[1,-0.5e9,{}],"b":"\ud83d\ude00\/"}`, `[[],{},"",null,true]`, `"x`, `{"a":1}x`, ` 1 `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, reason, err := parseJSON(raw)
		if err != nil {
			extra := errors.Is(err, errRepeated) || errors.Is(err, errDepth) || errors.Is(err, errUTF8)
			if json.Valid(raw) && !extra {
				t.Fatalf("refuses valid JSON %q: %v", raw, err)
			}
			if reason == "" {
				t.Fatalf("no reason for %v", err)
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("accepts %q, encoding/json says %v", raw, err)
		}
		if !same(v, want) {
			t.Fatalf("reads %q as %+v, encoding/json as %v", raw, v, want)
		}
	})
}

func same(v value, want any) bool {
	switch want := want.(type) {
	case nil:
		return v.kind == kindNull
	case string:
		return v.kind == kindText && v.text == want
	case json.Number:
		return v.kind == kindNumber && v.text == want.String()
	case bool:
		return v.kind == kindBool && v.text == map[bool]string{true: "true", false: "false"}[want]
	case []any:
		if v.kind != kindArray || len(v.members) != len(want) {
			return false
		}
		for i := range want {
			if !same(v.members[i].value, want[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		if v.kind != kindObject || len(v.members) != len(want) {
			return false
		}
		for name := range want {
			if !same(v.get(name), want[name]) {
				return false
			}
		}
		return true
	}
	return false
}

func TestDecimals(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"10", "10.0"}, {"10.00", "10"}, {"0.10", "0.1"}, {"010", "10"}, {"0", "0.00"}, {"1.050", "1.05"}} {
		if !sameDecimal(pair[0], pair[1]) {
			t.Errorf("%s and %s differ", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{
		{"10", "1"}, {"10", "100"}, {"1.05", "1.5"}, {"0.1", "0.01"}, {"10", "-10"}, {"10", "1e1"}, {"", ""}, {"", "0"},
		{"10", " 10"}, {"10", "10."}, {".5", "0.5"}, {"NaN", "NaN"}, {"1,0", "1,0"}, {"١", "1"}, {"9007199254740993", "9007199254740992"},
	} {
		if sameDecimal(pair[0], pair[1]) {
			t.Errorf("%s and %s are the same", pair[0], pair[1])
		}
	}
	for s, want := range map[string]bool{
		"25.00": true, "0.01": true, "1": true, "999999999999999.99": true, "0.1": true,
		"0": false, "0.00": false, "-1": false, "+1": false, "1.": false, ".1": false, "1.001": false, "01": false, "00.1": false,
		"1e3": false, "": false, "1000000000000000": false, "1,00": false, "١": false, "0x10": false, "1.1.1": false,
	} {
		if got := isPayable(s); got != want {
			t.Errorf("isPayable(%q) = %v", s, got)
		}
	}
}

package importers

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLineGuard(t *testing.T) {
	t.Parallel()
	few, many := strings.Repeat(",", mostFields-1), strings.Repeat(",", mostFields)
	for name, tt := range map[string]struct {
		text string
		want Code
	}{
		"empty":                        {"", ""},
		"as many as may be":            {"a\n" + few + "\n" + few, ""},
		"too many":                     {"a\n" + many, TooManyColumns},
		"in a field":                   {`"` + many + "\"\n" + few, ""},
		"with doubled quotation marks": {`"a""` + many + `",` + "\n" + few, ""},
		"over several lines":           {strings.Repeat("\"\n\",", mostFields), TooManyColumns},
		"as many rows":                 {strings.Repeat("\"\n\",\n", mostFields), ""},
		"a long line":                  {strings.Repeat("x", longestLine+1), CellTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text))} {
				_, err := io.Copy(io.Discard, &lineGuard{in: in, delimiter: []byte(",")})
				got := Code("")
				if fault, ok := err.(*FileError); ok {
					got = fault.Problem.Code
				}
				if got != tt.want {
					t.Errorf("got %q (%v), want %q", got, err, tt.want)
				}
			}
		})
	}
}

package importers

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"payrun/internal/money"
)

// TestStoredDoublesAreReadExactly writes amounts the ways spreadsheet
// programs store numbers: shortest, and with 17 digits.
func TestStoredDoublesAreReadExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.Int64Range(1, 999_999_999).Draw(t, "cents")
		stored, err := strconv.ParseFloat(money.Format(money.Amount(cents), "USD"), 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, written := range []string{
			strconv.FormatFloat(stored, 'f', -1, 64),
			strconv.FormatFloat(stored, 'g', 17, 64),
			strconv.FormatFloat(stored, 'e', 16, 64),
		} {
			got, err := money.Parse(shortestDecimal(written), "USD")
			if err != nil || int64(got) != cents {
				t.Fatalf("%s was read as %d, %v; want %d", written, got, err, cents)
			}
		}
	})
}

// TestDustIsBrushedOffTotals adds amounts the way a spreadsheet does.
func TestDustIsBrushedOffTotals(t *testing.T) {
	t.Parallel()
	rules, err := Rules{}.compile()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var want money.Amount
		sum := 0.0 // what the spreadsheet computes
		for _, cents := range rapid.SliceOfN(rapid.Int64Range(1, 1_000_000), 1, 200).Draw(t, "cents") {
			want += money.Amount(cents)
			sum += float64(cents) / 100
		}
		got, ok := rules.givenTotal(cell{text: strconv.FormatFloat(sum, 'g', 17, 64), kind: kindFormula}, "USD")
		if !ok || got != want {
			t.Fatalf("%.17g was read as %d, %t; want %d", sum, got, ok, want)
		}
	})
}

func TestWithoutDust(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text     string
		decimals int
		want     string
	}{
		{"141282.55000000002", 2, "141282.55"},
		{"141282.54999999999", 2, "141282.55"},
		{"99.99999999999", 2, "100.00"},
		{"-99.99999999999", 2, "-100.00"},
		{"5.00001", 0, "5"},
		{"4.99999", 0, "5"},
		{"0.1254", 2, "0.1254"},
		{"0.12504", 2, "0.12504"},
	} {
		if got := withoutDust(tt.text, tt.decimals); got != tt.want {
			t.Errorf("withoutDust(%s, %d) = %s, want %s", tt.text, tt.decimals, got, tt.want)
		}
	}
}

// TestUngroupedIsOneNumber: only what can be read in one way is suggested.
func TestUngroupedIsOneNumber(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mark, text, want string }{
		{",", "1.012,50", "1012,50"},
		{",", "1 234 012,50", "1234012,50"},
		{".", "1,012.50", "1012.50"},
		{".", "1'012.50", "1012.50"},
		{",", "1.012", ""},    // a thousand, or one and a little
		{".", "1.012,50", ""}, // the profile says the opposite
		{",", "1.01,50", ""},
		{",", "1,012.50", ""},
		{".", "$5.00", ""},
	} {
		set, err := Rules{Profile: Profile{DecimalMark: tt.mark}}.compile()
		if err != nil {
			t.Fatal(err)
		}
		if got := set.ungrouped(tt.text); got != tt.want {
			t.Errorf("decimal mark %s: %q is to be written %q, want %q", tt.mark, tt.text, got, tt.want)
		}
	}
}

// TestPlainNumberNeverGuesses draws texts of number-like characters: what is
// taken must be the same number in the only declared format.
func TestPlainNumberNeverGuesses(t *testing.T) {
	t.Parallel()
	comma, err := Rules{Profile: Profile{DecimalMark: ",", GroupMark: "."}}.compile()
	if err != nil {
		t.Fatal(err)
	}
	point, err := Rules{}.compile()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9.,' ]{0,12}`).Draw(t, "text")
		if plain, code := point.plainNumber(text); code == "" && plain != text {
			t.Fatalf("%q was rewritten as %q", text, plain)
		}
		if plain, code := comma.plainNumber(text); code == "" && !isPlain(plain) {
			t.Fatalf("%q was taken as %q", text, plain)
		}
	})
}

func TestNumberFormats(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]cellStyle{
		"General":                         general,
		"0":                               {kind: kindNumber, decimals: 0},
		"#,##0":                           {kind: kindNumber, decimals: 0},
		"0.00":                            {kind: kindNumber, decimals: 2},
		`#,##0.00 "USD"`:                  {kind: kindNumber, decimals: 2},
		`_-* #,##0.00\ _€_-;-* #,##0.0`:   {kind: kindNumber, decimals: 2},
		`[Red]0.0;[Blue]-0`:               {kind: kindNumber, decimals: 1},
		"0.00E+00":                        {kind: kindNumber, decimals: shownOtherwise},
		"# ?/?":                           {kind: kindNumber, decimals: shownOtherwise},
		`0\.00`:                           {kind: kindNumber, decimals: shownOtherwise},
		`0\;00`:                           {kind: kindNumber, decimals: shownOtherwise},
		`0.00;"-"0.00`:                    {kind: kindNumber, decimals: 2},
		`0"."00`:                          {kind: kindNumber, decimals: shownOtherwise},
		`0",000"`:                         {kind: kindNumber, decimals: shownOtherwise},
		`"1"0.00`:                         {kind: kindNumber, decimals: shownOtherwise},
		`0" (thousands)"`:                 {kind: kindNumber, decimals: shownOtherwise},
		`0 "Mio"`:                         {kind: kindNumber, decimals: shownOtherwise},
		`0.00"k"`:                         {kind: kindNumber, decimals: shownOtherwise},
		`0.00" kr"`:                       {kind: kindNumber, decimals: 2},
		`0" тыс. руб"`:                    {kind: kindNumber, decimals: shownOtherwise},
		`0.00"%"`:                         {kind: kindNumber, decimals: shownOtherwise},
		"(0.00)":                          {kind: kindNumber, decimals: shownOtherwise},
		`\-0.00`:                          {kind: kindNumber, decimals: shownOtherwise},
		`[<1000]0.00;0.0,"K"`:             {kind: kindNumber, decimals: shownOtherwise},
		`#\ ##0.00`:                       {kind: kindNumber, decimals: 2},
		`_(* #,##0.00_);_(* \(#,##0.00\)`: {kind: kindNumber, decimals: 2},
		`[$-409]#,##0.00;-0.00`:           {kind: kindNumber, decimals: 2},
		`#,##0.00\ [$₽-419]`:              {kind: kindNumber, decimals: 2},
		"@":                               general,
		"0%":                              {kind: kindPercent, decimals: -1},
		"yyyy-mm-dd":                      {kind: kindDate, decimals: -1},
		`dd" of "mmmm`:                    {kind: kindDate, decimals: -1},
		"[h]:mm":                          {kind: kindDate, decimals: -1},
		`"May"0.00`:                       {kind: kindNumber, decimals: 2},
		"[$-409]d-mmm-yy":                 {kind: kindDate, decimals: -1},
		"#,##0.00,":                       {kind: kindNumber, decimals: shownOtherwise},
		`0.0,,"M"`:                        {kind: kindNumber, decimals: shownOtherwise},
		"#,##0,":                          {kind: kindNumber, decimals: shownOtherwise},
		";;;":                             {kind: kindNumber, decimals: shownOtherwise},
		`"paid"`:                          {kind: kindNumber, decimals: shownOtherwise},
		"":                                general,
	} {
		if got := formatByCode(code); got != want {
			t.Errorf("formatByCode(%q) = %+v, want %+v", code, got, want)
		}
	}
}

// What a spreadsheet shows as 0.3 cannot be corrected by somebody who sees 0.3.
func TestDustIsNamed(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]cell{
		"type the amount anew": {text: "0.30000000000000004", kind: kindNumber},
		"correct the amount":   {text: "0.345", kind: kindNumber},
		"correct the amount.":  {text: "10.0000001", kind: kindText},
	} {
		if got := decimalsMessage(c, "USD"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", c.text, got)
		}
	}
}

func TestFormatsThatShowACurrency(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]money.Currency{
		"": "", "General": "", "0.00": "", `#,##0.00 "USD"`: "USD", `0.00" EUR"`: "EUR", "[$EUR] #,##0.00": "EUR", "[$€-407] 0": "EUR",
		"[$€-2] #,##0.00;[Red]-[$€-2] #,##0.00": "EUR", "#,##0.00\\ €": "EUR", `0" руб"`: "", "0.00 ₽": "RUB", `0.00\ \E\U\R`: "EUR", "[$£-809]0": "GBP",
		`_-* #,##0.00\ _€_-;-* #,##0.0`: "", "*€0": "", `"$"0.00`: "", "[$$-409]0.00": "", "[$-409]0": "", "[$-FC19]0": "", "[RED]0": "",
	} {
		if got := shownCurrency(code); got != want {
			t.Errorf("%q shows %q, want %q", code, got, want)
		}
	}
}

func TestFormatsThatDress(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"": false, "General": false, "@": false, "0": false, "#": false,
		"00000": true, "#,##0": true, `"INV-"0`: true, `0" "`: true, "0.0": true, "0E+00": true, ";;;": true, "[Red]0": true,
	} {
		if got := dresses(200, map[int]string{200: code}); got != want {
			t.Errorf("%q dresses: %t, want %t", code, got, want)
		}
	}
	for id, want := range map[int]bool{0: false, 1: false, 49: false, 2: true, 3: true, 11: true, 12: true, 37: true, 48: true} {
		if got := dresses(id, nil); got != want {
			t.Errorf("format %d dresses: %t, want %t", id, got, want)
		}
	}
}

func TestColumnLetters(t *testing.T) {
	t.Parallel()
	for column, want := range map[int]string{0: "A", 25: "Z", 26: "AA", 701: "ZZ", 702: "AAA", 16_383: "XFD"} {
		if got := columnLetter(column); got != want {
			t.Errorf("columnLetter(%d) = %s, want %s", column, got, want)
		}
		if back, row, ok := parseReference([]byte(want + "7")); !ok || back != column || row != 7 {
			t.Errorf("parseReference(%s7) = %d, %d, %t", want, back, row, ok)
		}
	}
}

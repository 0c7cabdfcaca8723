package reports

import (
	"encoding/csv"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"payrun/internal/database"
	"payrun/internal/money"
)

func TestANumberCellHoldsTheExactDecimal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := money.Amount(rapid.Int64().Draw(t, "amount"))
		if rapid.Bool().Draw(t, "ordinary") {
			a %= 1_000_000_000_000_000
		}
		c := rapid.SampledFrom([]money.Currency{"USD", "JPY", "KWD", "CLF"}).Draw(t, "currency")
		number, ok := amount(a, c).number()
		if digits := len(strings.TrimLeft(strconv.FormatInt(int64(a), 10), "-")); ok != (digits <= 15) {
			t.Fatalf("%d has %d digits, a number cell: %v", a, digits, ok)
		}
		if !ok {
			return
		}
		written := strconv.FormatFloat(number, 'f', -1, 64) // as excelize writes it
		back, err := money.Parse(written, c)
		if err != nil || back != a {
			t.Fatalf("%s %s is written as %s", money.Format(a, c), c, written)
		}
	})
}

func TestDaysAreCountedAsSpreadsheetsDo(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("Berlin", 3600)
	at := database.InstantOf(time.Date(2026, time.November, 20, 23, 30, 0, 999_999_000, time.UTC))
	if got := instant(at).serial(berlin); got != 46347.02083333333 {
		t.Errorf("half past midnight is %v", got)
	}
	if got, ok := day("2026-11-21").daySerial(); got != 46347 || !ok {
		t.Errorf("the day is %v", got)
	}
	if _, ok := day("soon").daySerial(); ok {
		t.Error("soon is a day")
	}
}

func TestLongTextIsCutVisibly(t *testing.T) {
	t.Parallel()
	for _, words := range []string{strings.Repeat("x", longest), strings.Repeat("ж", longest/2)} {
		if fitting(words) != words {
			t.Errorf("%d bytes were cut", len(words))
		}
	}
	long := "x" + strings.Repeat("ж", longest)
	if got := fitting(long); len(got) > longest || !strings.HasSuffix(got, "ж … (cut here)") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-20:])
	}
}

func FuzzCSV(f *testing.F) {
	for _, seed := range []string{"", "plain", "=1+1", "+1", "-1", "@x", "\t", "\rx", "\x00=1", `a "b", c`, "two\nlines", " x", "'", "🙂,"} {
		f.Add(seed, "second")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		var out strings.Builder
		l := newLines(&out)
		if err := l.row([]value{text(first), text(second), count(-1)}); err != nil {
			t.Fatal(err)
		}
		if err := l.flush(); err != nil {
			t.Fatal(err)
		}
		records, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || len(records) != 1 || len(records[0]) != 3 {
			t.Fatalf("%q was read as %q: %v", out.String(), records, err)
		}
		for i, want := range []string{first, second} {
			got := records[0][i]
			if got != "" && strings.ContainsRune("=+-@\t\r\x00", rune(got[0])) {
				t.Fatalf("%q begins a formula", got)
			}
			// The reader turns CR LF inside a field into LF.
			want = strings.ReplaceAll(want, "\r\n", "\n")
			if strings.TrimPrefix(got, "'") != strings.TrimPrefix(want, "'") {
				t.Fatalf("%q came back as %q", want, got)
			}
		}
	})
}

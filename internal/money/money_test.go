package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"payrun/internal/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		currency   money.Currency
		want       money.Amount
		err        error
	}{
		{"whole", "12", "USD", 1200, nil},
		{"one decimal", "12.3", "USD", 1230, nil},
		{"two decimals", "0.58", "USD", 58, nil},
		{"negative", "-0.05", "USD", -5, nil},
		{"leading zeros", "007.00", "USD", 700, nil},
		{"excess zeros", "1.5000", "USD", 150, nil},
		{"no decimals in yen", "89", "JPY", 89, nil},
		{"zero decimals in yen", "89.00", "JPY", 89, nil},
		{"three decimals in dinar", "1.234", "KWD", 1234, nil},
		{"largest", "92233720368547758.07", "USD", math.MaxInt64, nil},
		{"smallest", "-92233720368547758.08", "USD", math.MinInt64, nil},
		{"one too large", "92233720368547758.08", "USD", 0, money.ErrOverflow},
		{"one too small", "-92233720368547758.09", "USD", 0, money.ErrOverflow},
		{"far too large", "999999999999999999999999", "USD", 0, money.ErrOverflow},
		{"excess decimals", "0.581", "USD", 0, money.ErrTooManyDecimals},
		{"decimals in yen", "89.78", "JPY", 0, money.ErrTooManyDecimals},
		{"rounded double", "0.30000000000000004", "USD", 0, money.ErrTooManyDecimals},
		{"empty", "", "USD", 0, money.ErrSyntax},
		{"minus alone", "-", "USD", 0, money.ErrSyntax},
		{"plus", "+5", "USD", 0, money.ErrSyntax},
		{"bare point", ".5", "USD", 0, money.ErrSyntax},
		{"trailing point", "5.", "USD", 0, money.ErrSyntax},
		{"two points", "1.2.3", "USD", 0, money.ErrSyntax},
		{"exponent", "1e3", "USD", 0, money.ErrSyntax},
		{"grouping", "1,000", "USD", 0, money.ErrSyntax},
		{"space", " 5", "USD", 0, money.ErrSyntax},
		{"full-width digits", "５", "USD", 0, money.ErrSyntax},
		{"infinity", "Inf", "USD", 0, money.ErrSyntax},
		{"hexadecimal", "0x10", "USD", 0, money.ErrSyntax},
		{"unknown currency", "5", "ZZZ", 0, money.ErrUnknownCurrency},
		{"lower-case currency", "5", "usd", 0, money.ErrUnknownCurrency},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := money.Parse(tt.text, tt.currency)
			if !errors.Is(err, tt.err) || got != tt.want {
				t.Fatalf("Parse(%q, %s) = %d, %v; want %d, %v", tt.text, tt.currency, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestFormatDecimals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		amount   money.Amount
		currency money.Currency
		decimals int
		want     string
	}{
		{1230, "USD", 2, "12.30"},
		{-5, "USD", 2, "-0.05"},
		{89, "JPY", 2, "89.00"},
		{1234, "KWD", 2, "1.234"},
	} {
		if got := money.FormatDecimals(tt.amount, tt.currency, tt.decimals); got != tt.want {
			t.Errorf("FormatDecimals(%d, %s, %d) = %q, want %q", tt.amount, tt.currency, tt.decimals, got, tt.want)
		}
	}
}

var currencies = []money.Currency{"USD", "JPY", "KWD", "CLF"}

func TestParseReadsWhatFormatWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := money.Amount(rapid.Int64().Draw(t, "amount"))
		currency := rapid.SampledFrom(currencies).Draw(t, "currency")
		got, err := money.Parse(money.Format(amount, currency), currency)
		if err != nil || got != amount {
			t.Fatalf("Parse(Format(%d %s)) = %d, %v", amount, currency, got, err)
		}
	})
}

func TestArithmeticAgreesWithBigIntegersOrOverflows(t *testing.T) {
	t.Parallel()
	check := func(t *rapid.T, what string, got money.Amount, err error, want *big.Int) {
		if want.IsInt64() != (err == nil) || err == nil && int64(got) != want.Int64() {
			t.Fatalf("%s = %d, %v; want %s", what, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		sum, err := money.Add(money.Amount(a), money.Amount(b))
		check(t, "Add", sum, err, new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
		total, err := money.Sum(money.Amount(a), money.Amount(b))
		check(t, "Sum", total, err, new(big.Int).Add(big.NewInt(a), big.NewInt(b)))
	})
}

func TestShareRoundsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Min(0).Draw(t, "amount")
		ppm := rapid.Int64Range(0, 1_000_000).Draw(t, "parts per million")
		want := new(big.Int).Mul(big.NewInt(a), big.NewInt(ppm))
		want.Add(want, big.NewInt(999_999)).Div(want, big.NewInt(1_000_000))
		if got := money.Share(money.Amount(a), ppm); int64(got) != want.Int64() {
			t.Fatalf("Share(%d, %d) = %d, want %s", a, ppm, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0", "12.30", "-0.05", "1e3", "92233720368547758.07", "００", "1,000.00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := money.Parse(text, "USD")
		if err != nil {
			return
		}
		again, err := money.Parse(money.Format(amount, "USD"), "USD")
		if err != nil || again != amount {
			t.Fatalf("%q parsed as %d, whose text parsed as %d, %v", text, amount, again, err)
		}
	})
}

package importers_test

import (
	"fmt"
	"strings"
	"testing"

	"payrun/importers"
	"payrun/internal/money"
)

// The first letter of a wallet names its currency at Perfect Money and at
// Advcash, and has to agree with the row's. At Payeer and FasaPay it says
// nothing, and nowhere does it stand in for a currency that is missing.
func TestTheLetterOfAWalletNamesItsCurrency(t *testing.T) {
	t.Parallel()
	channels := importers.DefaultChannels()
	for i := range channels {
		channels[i].Currencies = []money.Currency{"USD", "EUR", "GBP"}
	}
	tests := []struct{ channel, account, currency, want string }{
		{"Perfect Money", "U1234567", "USD", ""},
		{"Perfect Money", "E1234567", "EUR", ""},
		{"Perfect Money", "U1234567", "EUR", "account-prefix: This Perfect Money wallet is for USD, but the row pays EUR"},
		{"Perfect Money", "E1234567", "USD", "account-prefix: This Perfect Money wallet is for EUR, but the row pays USD"},
		{"Perfect Money", "B1234567", "USD", "account-prefix: no Perfect Money wallet for USD"},
		{"Perfect Money", "U1234567", "GBP", "account-prefix: does not know what Perfect Money wallets for GBP look like"},
		{"Advcash", "U123456789012", "USD", ""},
		{"Advcash", "E123456789012", "EUR", ""},
		{"Advcash", "G123456789012", "GBP", ""},
		{"Advcash", "G123456789012", "USD", "account-prefix: This Advcash wallet is for GBP, but the row pays USD"},
		{"Advcash", "P123456789012", "USD", "account-prefix: no Advcash wallet for USD"},
		{"Payeer", "P1234567", "USD", ""},
		{"Payeer", "P1234567", "EUR", ""},
		{"Payeer", "U1234567", "USD", "account-prefix: no Payeer wallet for USD"},
		{"FasaPay", "FP12345", "USD", ""},
		{"FasaPay", "FP12345", "EUR", ""},
		{"FasaPay", "F12345", "USD", "account-prefix: no FasaPay wallet for USD"},
		{"Perfect Money", "E1234567", "", "currency-empty: "},
	}
	for _, tt := range tests {
		sheet := fmt.Sprintf("Reference,Channel,Account,Amount,Currency\nA1,%s,%s,1.00,%s\n", tt.channel, tt.account, tt.currency)
		_, sink, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{Channels: channels})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range sink.problems {
			got += string(p.Code) + ": " + p.Message
		}
		code, clause, _ := strings.Cut(tt.want, ": ")
		if !strings.HasPrefix(got, code) || !strings.Contains(got, clause) || tt.want == "" && got != "" {
			t.Errorf("%s %s %s: got %q, want %q", tt.channel, tt.account, tt.currency, got, tt.want)
		}
	}
}

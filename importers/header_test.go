package importers_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
)

// TestHeaders says how rows of headings are understood.
func TestHeaders(t *testing.T) {
	t.Parallel()
	byHand := importers.Rules{Profile: importers.Profile{Columns: map[string]importers.Field{"Konto": importers.FieldAccount, "Comment": importers.FieldIgnored}}}
	tests := []struct {
		name  string
		heads string
		rules importers.Rules
		want  string // fields in order
	}{
		{"plain", "Reference;Channel;Account;Amount;Currency", importers.Rules{}, "reference channel account amount currency"},
		{"spelling", "REF_CODE;Pay-System;Wallet ID*;  amount. ;(ccy)", importers.Rules{}, "reference channel account amount currency"},
		{"wallet beside an account is the channel", "Wallet;Account number;Amount;Currency", importers.Rules{}, "channel account amount currency"},
		{"wallet beside a channel is the account", "Wallet type;Wallet;Amount;Currency", importers.Rules{}, "channel account amount currency"},
		{"recipient beside an account is the payee", "Recipient;Channel;Account;Amount;Currency", importers.Rules{}, "payee channel account amount currency"},
		{"recipient alone is the account", "Recipient;Channel;Amount;Currency", importers.Rules{}, "account channel amount currency"},
		{"id beside a reference is the payee's", "ID;Reference;Channel;Account;Amount;Currency", importers.Rules{}, "payee id reference channel account amount currency"},
		{"bilingual", "Account number / Номер счета;Channel;Amount / Сумма;Currency", importers.Rules{}, "account channel amount currency"},
		{"Ukrainian", "Номер платежу;Платіжна система;Номер гаманця;Сума;Валюта;Примітка", importers.Rules{}, "reference channel account amount currency remark"},
		{"Russian, with whose they are", "ФИО получателя;Система выплаты;Кошелёк получателя;Сумма к выплате;Валюта выплаты;Назначение платежа", importers.Rules{}, "payee channel account amount currency remark"},
		{"Ukrainian, with whose they are", "ПІБ отримувача;Спосіб виплати;Гаманець отримувача;Сума до виплати;Валюта виплати;Призначення платежу", importers.Rules{}, "payee channel account amount currency remark"},
		{"of other payment services", "sbp_full_name;payout_method_type;cryptoAddress;receiving_amount;cryptoCurrency;Payment type (0/1)", importers.Rules{}, "payee channel account amount currency test mark"},
		{"of banks", "transferMode;vpa;amount;ccy", importers.Rules{}, "channel account amount currency"},
		{"of cards", "method;card_number;amount;ccy", importers.Rules{}, "channel account amount currency"},
		{"extra columns", "Team;Channel;Account;Amount;Currency;Approved by", importers.Rules{}, "ignored channel account amount currency ignored"},
		{"without channel and currency", "Account;Amount", importers.Rules{Profile: importers.Profile{Channel: "Payeer", Currency: "USD"}}, "account amount"},
		{"currency in the heading", "Channel;Account;Amount (USD)", importers.Rules{}, "channel account amount"},
		{"currency in the heading and a column", "Channel;Account;Сумма, USD;Currency", importers.Rules{}, "channel account amount currency"},
		{"currency in a heading of two lines", "Channel;Account;\"Amount\n(USD)\"", importers.Rules{}, "channel account amount"},
		{"currency in a bilingual heading", "Channel;Account;Amount / Сумма (USD)", importers.Rules{}, "channel account amount"},
		{"two amounts", "Channel;Account;Amount (EUR);Amount (USD)", importers.Rules{}, ""},
		{"one of two amounts ignored by hand", "Channel;Account;Amount (EUR);Amount (USD)",
			importers.Rules{Profile: importers.Profile{Columns: map[string]importers.Field{"amount (eur)": importers.FieldIgnored}}}, "channel account ignored amount"},
		{"one of two amounts by hand", "Channel;Account;Amount (EUR);Amount (USD)",
			importers.Rules{Profile: importers.Profile{Columns: map[string]importers.Field{"Amount (USD)": importers.FieldAmount}}}, "channel account ignored amount"},
		{"one of two amounts by letter", "Channel;Account;Amount (EUR);Amount (USD)",
			importers.Rules{Profile: importers.Profile{Letters: map[string]importers.Field{"D": importers.FieldAmount}}}, "channel account ignored amount"},
		{"by hand", "Comment;Channel;Konto;Amount;Currency;Account", byHand, "ignored channel account amount currency ignored"},
		{"ignored by hand, but not there", "Channel;Konto;Amount;Currency", byHand, "channel account amount currency"},
		{"by hand and twice", "Konto;Channel;Konto;Amount;Currency", byHand, ""},
		{"by hand, others ignored", "Comment;Channel;Konto;Amount;Currency", byHand, "ignored channel account amount currency"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sheet := tt.heads + "\n" + strings.Repeat("x;", strings.Count(tt.heads, ";")) + "x\n"
			result, _, err := readContent(t, "payouts.csv", []byte(sheet), tt.rules)
			if tt.want == "" {
				if refusal(err) != importers.HeaderDoubled {
					t.Fatalf("got %v, want a doubled header", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var fields []string
			for _, column := range result.Columns {
				fields = append(fields, column.Field.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(fields, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestWordsOfHeaders reads what a maker is told about headings that do not fit.
func TestWordsOfHeaders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ heads, want string }{
		"no channel": {"Account;Amount;Currency", `no column for: channel (for example "channel"). Add the column, or say which one it is (--map, or columns in an import profile). ` +
			"If it is the same channel in all rows, say it once: --channel, or channel in an import profile."},
		"no currency": {"Account;Amount;Channel", "If it is the same currency in all rows, say it once: --currency, or currency in an import profile."},
		"no account":  {"Amount;Channel;Currency", "or columns in an import profile)."},
		"two":         {"Account;Wallet no;Purse;Amount;Channel;Currency", "Columns A (Account) and C (Purse) could both be the account, and only one may be. Rename or delete one of them, or"},
		"three":       {"Account;To;Purse;Amount;Channel;Currency", "Columns A (Account) and B (To) and C (Purse) could all be the account, and only one may be. Rename or delete all but one, or"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sheet := tt.heads + "\n" + strings.Repeat("x;", strings.Count(tt.heads, ";")) + "x\n"
			_, _, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want %q: %v", tt.want, err)
			}
			if name == "no account" && !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("an account cannot be said once: %v", err)
			}
		})
	}
}

func TestDefaultsFillMissingColumns(t *testing.T) {
	t.Parallel()
	_, sink, err := readContent(t, "payouts.csv", []byte("Account,Amount\nP10000001,5\n"), importers.Rules{Profile: importers.Profile{Channel: "payeer", Currency: "USD"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []importers.Row{{Number: 2, Channel: "16", Account: "P10000001", Amount: 500, Currency: "USD"}}
	if diff := cmp.Diff(want, sink.rows); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestHeadingAliasesNameEveryField(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"Referenz", "Wallet type", "payee_account", "номер счета", "Sum", "ccy", "валюта", "memo", "примітка", "recipient_name", "фио",
	} {
		sheet := "Channel,Account,Amount,Currency\n"
		switch head {
		case "Wallet type":
			sheet = strings.Replace(sheet, "Channel", head, 1)
		case "payee_account", "номер счета":
			sheet = strings.Replace(sheet, "Account", head, 1)
		case "Sum":
			sheet = strings.Replace(sheet, "Amount", head, 1)
		case "ccy", "валюта":
			sheet = strings.Replace(sheet, "Currency", head, 1)
		default:
			sheet = head + "," + sheet
		}
		result, _, err := readContent(t, "payouts.csv", []byte(sheet+"x,x,x,x,x\n"), importers.Rules{})
		if err != nil {
			t.Errorf("%s: %v", head, err)
		}
		for _, column := range result.Columns {
			if column.Field == importers.FieldIgnored {
				t.Errorf("%s was not understood: %+v", head, result.Columns)
			}
		}
	}
}

func TestCurrencyInTheHeading(t *testing.T) {
	t.Parallel()
	sheet := "Channel,Account,Amount USD,Currency\nPayeer,P10000001,5,USD\nPayeer,P10000002,5,EUR\n"
	_, sink, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{})
	if diff := cmp.Diff([]string{"3D currency-heading"}, sink.codes()); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	sheet = "Channel,Account,Amount (USD)\nPayeer,P10000001,5\n"
	_, sink, err = readContent(t, "payouts.csv", []byte(sheet), importers.Rules{})
	if err != nil || len(sink.rows) != 1 || sink.rows[0].Currency != "USD" {
		t.Errorf("rows %v, problems %v, %v", sink.rows, sink.problems, err)
	}
	_, _, err = readContent(t, "payouts.csv", []byte(sheet), importers.Rules{Profile: importers.Profile{Currency: "EUR"}})
	if refusal(err) != importers.HeaderAmbiguous {
		t.Errorf("the heading contradicts the rules, got %v", err)
	}
}

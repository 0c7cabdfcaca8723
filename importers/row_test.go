package importers_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
	"payrun/internal/money"
)

// csvRow is a good row, with some fields replaced.
type csvRow map[string]string

func (changes csvRow) sheet() string {
	heads := []string{"Reference", "Channel", "Account", "Amount", "Currency", "Payee", "Remark", "Pay date"}
	row := map[string]string{
		"Reference": "PO-1", "Channel": "Payeer", "Account": "P10000001", "Amount": "10.50", "Currency": "USD",
		"Payee": "Ann Example", "Remark": "Bonus", "Pay date": "2026-11-30",
	}
	fields := make([]string, len(heads))
	for i, head := range heads {
		if change, ok := changes[head]; ok {
			row[head] = change
		}
		fields[i] = `"` + strings.ReplaceAll(row[head], `"`, `""`) + `"`
	}
	return strings.Join(heads, ",") + "\n" + strings.Join(fields, ",") + "\n"
}

func TestTextRows(t *testing.T) {
	t.Parallel()
	limited := importers.DefaultChannels()
	limited[2].Limits = map[money.Currency]importers.Limit{"USD": {Min: 1000, Max: 20000}}
	rules := importers.Rules{
		Channels: limited, OwnAccounts: []string{"P10000009"}, BlockedAccounts: []string{"P10000008"},
		MaxAmounts: map[money.Currency]money.Amount{"USD": 15000},
	}
	free := importers.Rules{}
	comma := importers.Rules{Profile: importers.Profile{DecimalMark: ",", GroupMark: "."}}
	tests := []struct {
		name  string
		row   csvRow
		rules importers.Rules
		want  string // column and code, "" for a good row
	}{
		{"good", csvRow{}, rules, ""},
		{"only what is needed", csvRow{"Reference": "", "Payee": "", "Remark": "", "Pay date": ""}, rules, ""},
		{"channel by code", csvRow{"Channel": "16"}, rules, ""},
		{"channel in other letters", csvRow{"Channel": " PAY-EER"}, rules, ""},
		{"channel by alias", csvRow{"Channel": "Volet", "Account": "U100000000001"}, rules, ""},
		{"amount without decimals", csvRow{"Amount": "10"}, rules, ""},
		{"amount with zeros", csvRow{"Amount": "010.5000"}, rules, ""},
		{"smallest amount", csvRow{"Amount": "0.01"}, free, ""},
		{"largest amount", csvRow{"Amount": "9999999.99"}, free, ""},
		{"declared format", csvRow{"Amount": "1.234,56"}, comma, ""},
		{"declared format without groups", csvRow{"Amount": "1234,5"}, comma, ""},

		{"amount empty", csvRow{"Amount": ""}, rules, "D amount-empty"},
		{"amount blank", csvRow{"Amount": "  "}, rules, "D amount-empty"},
		{"amount zero", csvRow{"Amount": "0.00"}, rules, "D amount-zero"},
		{"amount negative", csvRow{"Amount": "-5"}, rules, "D amount-negative"},
		{"amount in brackets", csvRow{"Amount": "(5)"}, rules, "D amount-negative"},
		{"amount with typographic minus", csvRow{"Amount": "−5"}, rules, "D amount-negative"},
		{"amount with trailing minus", csvRow{"Amount": "5-"}, rules, "D amount-negative"},
		{"three decimals", csvRow{"Amount": "1000.005"}, rules, "D amount-decimals"},
		{"three decimals, or a thousand and more", csvRow{"Amount": "1.234"}, rules, "D amount-format"},
		{"three decimals below one", csvRow{"Amount": "0.234"}, rules, "D amount-decimals"},
		{"three decimals after a comma, or a thousand and more", csvRow{"Amount": "1,234"}, comma, "D amount-format"},
		{"rounding residue", csvRow{"Amount": "0.30000000000000004"}, rules, "D amount-decimals"},
		{"exponent", csvRow{"Amount": "1e3"}, rules, "D amount-notation"},
		{"infinity", csvRow{"Amount": "Inf"}, rules, "D amount-notation"},
		{"not a number", csvRow{"Amount": "NaN"}, rules, "D amount-notation"},
		{"hexadecimal", csvRow{"Amount": "0x10"}, rules, "D amount-notation"},
		{"beyond a double", csvRow{"Amount": "1e999"}, rules, "D amount-notation"},
		{"thousands", csvRow{"Amount": "1,000.00"}, rules, "D amount-format"},
		{"European", csvRow{"Amount": "1.000,00"}, rules, "D amount-format"},
		{"decimal comma", csvRow{"Amount": "685,20"}, rules, "D amount-format"},
		{"decimal point where a comma is declared", csvRow{"Amount": "685.20"}, comma, "D amount-format"},
		{"groups of two", csvRow{"Amount": "12.34,56"}, comma, "D amount-format"},
		{"thousands or decimals", csvRow{"Amount": "1.000"}, free, "D amount-format"},
		{"thousands or decimals below a thousand thousands", csvRow{"Amount": "120.500"}, free, "D amount-format"},
		{"thousands or decimals of another profile", csvRow{"Amount": "1,000"}, comma, "D amount-format"},
		{"thousands where they are declared", csvRow{"Amount": "1.000"}, comma, ""},
		{"three decimals that are no thousands", csvRow{"Amount": "0.500"}, free, ""},
		{"three decimals after four digits", csvRow{"Amount": "1000.500"}, free, ""},
		{"currency sign", csvRow{"Amount": "$5"}, rules, "D amount-format"},
		{"inner space", csvRow{"Amount": "1 000"}, rules, "D amount-format"},
		{"no-break space", csvRow{"Amount": "1\u00a0000"}, rules, "D amount-format"},
		{"plus", csvRow{"Amount": "+5"}, rules, "D amount-format"},
		{"bare point", csvRow{"Amount": ".5"}, rules, "D amount-format"},
		{"words", csvRow{"Amount": "ten"}, rules, "D amount-format"},
		{"space after the amount", csvRow{"Amount": "10.50 "}, rules, "D amount-space"},
		{"full-width digits", csvRow{"Amount": "１０"}, rules, "D amount-digits"},
		{"Arabic digits", csvRow{"Amount": "١٠"}, rules, "D amount-digits"},
		{"per cent", csvRow{"Amount": "5%"}, rules, "D amount-percent"},
		{"date", csvRow{"Amount": "2026-11-30"}, rules, "D amount-date"},
		{"error value", csvRow{"Amount": "#N/A"}, rules, "D cell-error"},
		{"truth value", csvRow{"Amount": "TRUE"}, rules, "D cell-boolean"},
		{"formula", csvRow{"Amount": "=5*2"}, rules, "D cell-formula"},
		{"ten digits", csvRow{"Amount": "10000000.00"}, free, "D amount-too-large"},
		{"more than an integer holds", csvRow{"Amount": "99999999999999999999"}, free, "D amount-too-large"},
		{"above the role's limit", csvRow{"Amount": "150.01"}, rules, "D amount-above-role"},
		{"below the channel's limit", csvRow{"Amount": "9.99"}, rules, "D amount-below-limit"},

		{"currency empty", csvRow{"Currency": ""}, rules, "E currency-empty"},
		{"currency in small letters", csvRow{"Currency": "usd"}, rules, "E currency-case"},
		{"currency unknown", csvRow{"Currency": "XYZ"}, rules, "E currency-unknown"},
		{"currency as a sign", csvRow{"Currency": "$"}, rules, "E currency-unknown"},
		{"currency that the channel does not pay", csvRow{"Currency": "EUR"}, rules, "E currency-channel"},
		{"channel empty", csvRow{"Channel": ""}, rules, "B channel-empty"},
		{"channel unknown", csvRow{"Channel": "WebMoney"}, rules, "B channel-unknown"},
		{"channel by the wrong code", csvRow{"Channel": "17"}, rules, "B channel-unknown"},

		{"account empty", csvRow{"Account": ""}, rules, "C account-empty"},
		{"account rounded", csvRow{"Account": "1.23E+18"}, rules, "C account-number"},
		{"account rounded with comma", csvRow{"Account": "1,23457E+11"}, rules, "C account-number"},
		{"account of another currency", csvRow{"Channel": "Perfect Money", "Account": "E1234567"}, rules, "C account-prefix"},
		{"account of another channel", csvRow{"Account": "FP123456"}, rules, "C account-prefix"},
		{"account in small letters", csvRow{"Account": "p10000001"}, rules, "C account-prefix"},
		{"account of digits only", csvRow{"Account": "10000001"}, rules, "C account-prefix"},
		{"account with a letter among its digits", csvRow{"Account": "P1000O001"}, rules, "C account-prefix"},
		{"account that is an e-mail", csvRow{"Account": "ann@example.com"}, rules, "C account-prefix"},
		{"account with a Cyrillic letter", csvRow{"Account": "Р10000001"}, rules, "C account-look-alike"},
		{"account with full-width digits", csvRow{"Account": "P１0000001"}, rules, "C account-characters"},
		{"account with a zero-width space", csvRow{"Account": "P1000\u200b0001"}, rules, "C text-invisible"},
		{"account with a bidi mark", csvRow{"Account": "P1000\u202e0001"}, rules, "C text-invisible"},
		{"account with a space before", csvRow{"Account": " P10000001"}, rules, "C account-space"},
		{"account with a no-break space after", csvRow{"Account": "P10000001\u00a0"}, rules, "C account-space"},
		{"account with a line break", csvRow{"Account": "P10000001\n"}, rules, "C text-reserved"},
		{"account with an ampersand", csvRow{"Account": "P1000&001"}, rules, "C text-reserved"},
		{"account that is a formula", csvRow{"Account": "=P1"}, rules, "C text-formula"},
		{"account too long", csvRow{"Account": "P" + strings.Repeat("1", 50)}, rules, "C text-too-long"},
		{"own account", csvRow{"Account": "P10000009"}, rules, "C account-own"},
		{"blocked payee", csvRow{"Account": "P10000008"}, rules, "C account-blocked"},
		{"account with few digits", csvRow{"Account": "P123456"}, rules, "C account-length"},

		{"reference that is a formula", csvRow{"Reference": "+1"}, rules, "A text-formula"},
		{"reference with a tab", csvRow{"Reference": "A\tB"}, rules, "A text-reserved"},
		{"reference too long", csvRow{"Reference": strings.Repeat("x", 65)}, rules, "A text-too-long"},
		{"payee with a bidi mark", csvRow{"Payee": "Ann\u202eExample"}, rules, "F text-invisible"},
		{"payee with a lost character", csvRow{"Payee": "M\ufffdller"}, rules, "F text-characters"},
		{"payee with a control character", csvRow{"Payee": "Ann\x01"}, rules, "F text-characters"},
		{"payee with an ampersand is fine", csvRow{"Payee": "Smith & Sons"}, rules, ""},
		{"remark with an ampersand", csvRow{"Remark": "a&b"}, rules, "G text-reserved"},
		{"remark with an equals sign", csvRow{"Remark": "a=b"}, rules, "G text-reserved"},
		{"remark with a line break", csvRow{"Remark": "a\nb"}, rules, "G text-reserved"},
		{"remark that is a formula", csvRow{"Remark": "@SUM(A1)"}, rules, "G text-formula"},
		{"remark too long", csvRow{"Remark": strings.Repeat("ы", 201)}, rules, "G text-too-long"},
		{"remark of the greatest length", csvRow{"Remark": strings.Repeat("ы", 200)}, rules, ""},
		{"day and month in doubt", csvRow{"Pay date": "01/02/2026"}, rules, "H date-unreadable"},
		{"no such day", csvRow{"Pay date": "2026-02-30"}, rules, "H date-unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, "payouts.csv", []byte(tt.row.sheet()), tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(strings.Join(sink.codes(), ";"), "2"); got != tt.want {
				t.Fatalf("got %q, want %q: %v", got, tt.want, sink.problems)
			}
		})
	}
}

// TestWordsOfRows reads what a maker is told to do about a row. Each of these
// sentences was once wrong, or said too little.
func TestWordsOfRows(t *testing.T) {
	t.Parallel()
	comma := importers.Rules{Profile: importers.Profile{DecimalMark: ","}}
	day := importers.Rules{Profile: importers.Profile{DateOrder: importers.DayMonthYear}}
	const twoWays = " can be read in two ways, with decimals or with a separator between its thousands, and Payrun does not guess. Write it with the 2 decimals of USD, or without the separator."
	tests := []struct {
		name  string
		row   csvRow
		rules importers.Rules
		want  string
	}{
		{"Cyrillic letter in a channel", csvRow{"Channel": "Pаyeer"}, importers.Rules{},
			"There is no channel called \"Pаyeer\". It has the Cyrillic letter а (U+0430) at character 2, which only looks right. Use one of"},
		{"Cyrillic channel", csvRow{"Channel": "Яндекс"}, importers.Rules{}, "There is no channel called \"Яндекс\". Use one of"},
		{"Cyrillic letter in a currency", csvRow{"Currency": "UЅD"}, importers.Rules{},
			"There is no currency \"UЅD\". It has the Cyrillic letter Ѕ (U+0405) at character 2, which only looks right. Write the three-letter code"},
		{"unknown currency", csvRow{"Currency": "XYZ"}, importers.Rules{}, "There is no currency \"XYZ\". Write the three-letter code"},
		{"a thousand or one and a little", csvRow{"Amount": "1.234"}, importers.Rules{}, "The amount 1.234" + twoWays},
		{"the same with a comma", csvRow{"Amount": "1,234"}, comma, "The amount 1,234" + twoWays},
		{"residue", csvRow{"Amount": "0.30000000000000004"}, importers.Rules{},
			"The amount 0.30000000000000004 has more than the 2 decimals of USD. Payrun does not round: correct the amount."},
		{"a slip", csvRow{"Amount": "12.3456"}, importers.Rules{}, "The amount 12.3456 has more than the 2 decimals of USD. Payrun does not round: correct the amount."},
		{"no such day", csvRow{"Pay date": "2026-02-30"}, importers.Rules{}, "The pay date is 2026-02-30, and that day does not exist. Correct it."},
		{"no such month", csvRow{"Pay date": "2026-13-01"}, importers.Rules{}, "The pay date is 2026-13-01, and that day does not exist."},
		{"no such day in another order", csvRow{"Pay date": "31.11.2026"}, day, "The pay date is 31.11.2026, and that day does not exist."},
		{"perhaps the other order", csvRow{"Pay date": "11.30.2026"}, day, "no day that can be read without guessing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, "payouts.csv", []byte(tt.row.sheet()), tt.rules)
			if err != nil || len(sink.problems) != 1 || !strings.Contains(sink.problems[0].Message, tt.want) {
				t.Errorf("want %q: %v %v", tt.want, err, sink.problems)
			}
		})
	}
}

// A wallet is not told to become one of a currency that the channel does not pay.
func TestAWalletBesideAWrongCurrency(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		account string
		want    []string
	}{
		"of a currency that is paid": {"U1234567", []string{"2E Perfect Money does not pay EUR here. It pays USD."}},
		"of the wrong currency":      {"E1234567", []string{"2E Perfect Money does not pay EUR here. It pays USD."}},
		"of neither": {"P1234567", []string{"2E Perfect Money does not pay EUR here. It pays USD.",
			"2C This is no Perfect Money wallet for USD, which is a capital U followed by digits. Check the account and the channel."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := csvRow{"Channel": "Perfect Money", "Account": tt.account, "Currency": "EUR"}
			_, sink, err := readContent(t, "payouts.csv", []byte(row.sheet()), importers.Rules{})
			var got []string
			for _, p := range sink.problems {
				got = append(got, fmt.Sprintf("%d%s %s", p.Row, p.Column, p.Message))
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

// A reference that is a number is refused for the reason that it has.
func TestReferencesAsNumbers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ cell, want string }{
		"fraction":            {numberCell("A2", "9.5"), "stored as the number 9.5, with a decimal mark or a sign"},
		"fraction, 17 digits": {numberCell("A2", "9.5999999999999996"), "stored as the number 9.6, with a decimal mark or a sign"},
		"sign":                {numberCell("A2", "-7"), "stored as the number -7, with a decimal mark or a sign"},
		"many digits":         {numberCell("A2", "1234567890123456"), "keeps no more than 15 digits"},
		"scientific":          {numberCell("A2", "1.2345678901234567E+18"), "keeps no more than 15 digits"},
		"date":                {`<c r="A2" s="1"><v>46000</v></c>`, "stored as a date or a percentage."},
		"zeros in front":      {`<c r="A2" s="2"><v>7</v></c>`, "stored as the number 7, and the cell's number format may show it in another way."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, "payouts.xlsx", newBook(headerCells+payoutRow(2, tt.cell)).styles("yyyy-mm-dd", "00000").bytes(t), importers.Rules{})
			if err != nil || len(sink.problems) != 1 || !strings.Contains(sink.problems[0].Message, tt.want) {
				t.Errorf("want %q: %v %v", tt.want, err, sink.problems)
			}
		})
	}
}

// TestAboveLimit needs an amount under the role's limit and over the channel's.
func TestAboveLimit(t *testing.T) {
	t.Parallel()
	channels := importers.DefaultChannels()
	channels[2].Limits = map[money.Currency]importers.Limit{"USD": {Max: 1000}}
	for amount, want := range map[string][]string{"10.00": nil, "10.01": {"2D amount-above-limit"}} {
		_, sink, err := readContent(t, "payouts.csv", []byte(csvRow{"Amount": amount}.sheet()), importers.Rules{Channels: channels})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sink.codes()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", amount, diff)
		}
	}
}

// TestAnAccountInAnotherColumn: whoever swaps two columns must not spread the
// accounts in problems, which are stored, printed and sent.
func TestAnAccountInAnotherColumn(t *testing.T) {
	t.Parallel()
	for _, row := range []csvRow{
		{"Channel": "P10000001"}, {"Channel": "u100000000001"}, {"Amount": "P10000001"}, {"Currency": "FP10001"}, {"Payee": "=P10000001"},
		{"Remark": "for P10000001&U1000001"}, {"Pay date": "P10000001"},
	} {
		_, sink, err := readContent(t, "payouts.csv", []byte(row.sheet()), importers.Rules{})
		if err != nil || len(sink.problems) != 1 {
			t.Fatalf("%v: got %v, %v", row, sink.problems, err)
		}
		p := sink.problems[0]
		if text := p.Value + p.Message; strings.Contains(text, "1000") || !strings.Contains(p.Value, "…") {
			t.Errorf("%v: an account in %q, %q", row, p.Value, p.Message)
		}
	}
}

// TestCells are what only the cells of a workbook can be.
func TestCells(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cell string
		want       string
		amount     money.Amount // of a good row
	}{
		{"number", numberCell("D2", "10.5"), "", 1050},
		{"number as text", textCell("D2", "10.50"), "", 1050},
		{"17 digits", numberCell("D2", "0.57999999999999996"), "", 58},
		{"17 digits and an exponent", numberCell("D2", "1.2300000000000001E1"), "", 1230},
		{"exponent", numberCell("D2", "1E2"), "", 10000},
		{"computed and not rounded", numberCell("D2", "0.30000000000000004"), "2D amount-decimals", 0},
		{"tiny", numberCell("D2", "1e-07"), "2D amount-decimals", 0},
		{"not a number", numberCell("D2", "abc"), "2D amount-format", 0},
		{"formula with result", `<c r="D2"><f>5*2</f><v>10</v></c>`, "2D cell-formula", 0},
		{"formula without result", `<c r="D2"><f>5*2</f></c>`, "2D cell-formula", 0},
		{"error", `<c r="D2" t="e"><v>#N/A</v></c>`, "2D cell-error", 0},
		{"boolean", `<c r="D2" t="b"><v>1</v></c>`, "2D cell-boolean", 0},
		{"date", `<c r="D2" s="1"><v>46000</v></c>`, "2D amount-date", 0},
		{"date by type", `<c r="D2" t="d"><v>2026-11-30</v></c>`, "2D amount-date", 0},
		{"percentage", `<c r="D2" s="2"><v>0.1</v></c>`, "2D amount-percent", 0},
		{"shown with fewer decimals", `<c r="D2" s="3"><v>99.6</v></c>`, "2D amount-display", 9960},
		{"shown in full", `<c r="D2" s="4"><v>99.6</v></c>`, "", 9960},
		{"shown with text", `<c r="D2" s="5"><v>99.6</v></c>`, "", 9960},
		{"shown in thousands", `<c r="D2" s="7"><v>1500</v></c>`, "2D amount-display", 150000},
		{"shown in another currency", `<c r="D2" s="11"><v>99.6</v></c>`, "2D amount-display", 9960},
		{"not shown", `<c r="D2" s="8"><v>1500</v></c>`, "2D amount-display", 150000},
		{"format of text", `<c r="D2" s="6"><v>99.6</v></c>`, "", 9960},
		{"account as number", numberCell("C2", "12345678901"), "2C account-number", 0},
		{"account rounded", numberCell("C2", "1.23E+18"), "2C account-number", 0},
		{"account by formula", `<c r="C2" t="str"><f>"P"&amp;1</f><v>P10000001</v></c>`, "2C cell-formula", 0},
		{"account is an error", `<c r="C2" t="e"><v>#REF!</v></c>`, "2C cell-error", 0},
		{"account is a truth value", `<c r="C2" t="b"><v>0</v></c>`, "2C cell-boolean", 0},
		{"reference as number", numberCell("A2", "1001"), "", 1234},
		{"reference of too many digits", numberCell("A2", "1234567890123456"), "2A reference-number", 0},
		{"reference as date", `<c r="A2" s="1"><v>46000</v></c>`, "2A reference-number", 0},
		{"reference shown with zeros", `<c r="A2" s="9"><v>7</v></c>`, "2A reference-number", 0},
		{"reference shown with separators", `<c r="A2" s="3"><v>1001</v></c>`, "2A reference-number", 0},
		{"reference shown as its digits", `<c r="A2" s="10"><v>1001</v></c>`, "", 1234},
		{"reference as number in a column of text", `<c r="A2" s="6"><v>1001</v></c>`, "", 1234},
		{"channel code as number", numberCell("B2", "16"), "", 1234},
		{"channel by formula", `<c r="B2" t="str"><f>A1</f><v>Payeer</v></c>`, "2B cell-formula", 0},
		{"currency by formula", `<c r="E2" t="str"><f>A1</f><v>USD</v></c>`, "2E cell-formula", 0},
		{"remark by formula", `<c r="F2"><f>A1</f></c>`, "2F cell-formula", 0},
		{"remark is an error", `<c r="F2" t="e"><v>#NAME?</v></c>`, "2F cell-error", 0},
		{"remark in rich text", `<c r="F2" t="inlineStr"><is><r><t>Bo</t></r><r><t>nus</t></r></is></c>`, "", 1234},
		{"remark with an escaped line break", textCell("F2", "a_x000D_b"), "2F text-reserved", 0},
		{"beside the table", textCell("H2", "seen by Eve"), "1H column-unnamed", 1234},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			row := payoutRow(2, tt.cell)
			if strings.Contains(tt.cell, `r="H2"`) {
				row = strings.Replace(payoutRow(2), "</row>", tt.cell+"</row>", 1)
			}
			workbook := newBook(headerCells+row).styles("yyyy-mm-dd", "0.00%", "#,##0", "#,##0.00", `0.0" USD"`, "@", "#,##0.00,", ";;;", "00000", "0", `0.00" EUR"`)
			_, sink, err := readContent(t, "payouts.xlsx", workbook.bytes(t), importers.Rules{})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(sink.codes(), ";"); got != tt.want {
				t.Fatalf("got %q, want %q: %v", got, tt.want, sink.problems)
			}
			if tt.amount > 0 && sink.rows[0].Amount != tt.amount {
				t.Errorf("amount %d, want %d", sink.rows[0].Amount, tt.amount)
			}
		})
	}
}

func TestHiddenRows(t *testing.T) {
	t.Parallel()
	for name, attribute := range map[string]string{"hidden": `hidden="1"`, "without height": `ht="0" customHeight="1" hidden="false"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := strings.Replace(payoutRow(2), `<row `, `<row `+attribute+` `, 1)
			_, sink, err := readContent(t, "payouts.xlsx", newBook(headerCells+row+payoutRow(3)).bytes(t), importers.Rules{})
			if diff := cmp.Diff([]string{"2 row-hidden"}, sink.codes()); err != nil || diff != "" {
				t.Fatalf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

func TestPayDates(t *testing.T) {
	t.Parallel()
	head := strings.Replace(headerCells, "Remark", "Pay date", 1)
	for _, tt := range []struct {
		name, cell, properties string
		want                   string
	}{
		{"text", textCell("F2", "2026-11-30"), "<workbookPr/>", "2026-11-30"},
		{"date cell", `<c r="F2" s="1"><v>46356</v></c>`, "<workbookPr/>", "2026-11-30"},
		{"date and time", `<c r="F2" s="1"><v>46356.75</v></c>`, "<workbookPr/>", "2026-11-30"},
		{"counted from 1904", `<c r="F2" s="1"><v>44894</v></c>`, `<workbookPr date1904="1"/>`, "2026-11-30"},
		{"ISO date cell", `<c r="F2" t="d"><v>2026-11-30</v></c>`, "<workbookPr/>", "2026-11-30"},
		{"before the calendars agree", `<c r="F2" s="1"><v>59</v></c>`, "<workbookPr/>", ""},
		{"number", numberCell("F2", "46356"), "<workbookPr/>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			workbook := newBook(head+payoutRow(2, tt.cell)).styles("dd.mm.yyyy").edit("xl/workbook.xml", "<workbookPr/>", tt.properties)
			_, sink, err := readContent(t, "payouts.xlsx", workbook.bytes(t), importers.Rules{})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if diff := cmp.Diff([]string{"2F date-unreadable"}, sink.codes()); diff != "" {
					t.Fatal(diff)
				}
				return
			}
			if len(sink.rows) != 1 || sink.rows[0].PayDate != tt.want {
				t.Fatalf("rows %v, problems %v, want %s", sink.rows, sink.problems, tt.want)
			}
		})
	}
}

func TestPayDatesFarAway(t *testing.T) {
	t.Parallel()
	for day, want := range map[string]string{
		"2026-11-22": "", "2026-10-22": "", "2026-10-21": "2F date-far", "2025-11-30": "2F date-far", "0026-11-30": "2F date-far",
		"2027-11-22": "", "2027-11-23": "2F date-far", "7375-11-30": "2F date-far",
	} {
		t.Run(day, func(t *testing.T) {
			t.Parallel()
			sheet := "Reference,Channel,Account,Amount,Currency,Pay date\nR1,Payeer,P10000001,1.00,USD," + day + "\n"
			_, sink, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{Today: "2026-11-22"})
			if got := strings.Join(sink.codes(), ";"); err != nil || got != want || len(sink.rows) != 1 {
				t.Fatalf("got %q, %v; %d good rows; want %q", got, err, len(sink.rows), want)
			}
		})
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	sheet := "Reference,Channel,Account,Amount,Currency\n" +
		"A,Payeer,P10000001,5,USD\n" +
		"B,Payeer,P10000001,5.00,USD\n" + // same payee and amount
		"A,Payeer,P10000002,5,USD\n" + // same reference
		" A ,Payeer,P10000003,5,USD\n" + // spaces do not make another reference
		"a,Payeer,P10000001,6,USD\n" +
		",Payeer,P10000004,5,USD\n" +
		",Payeer,P10000005,5,USD\n" // no reference is not a repeated one
	result, sink, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"3D payee-repeated", "4A reference-repeated", "5A reference-repeated"}
	if diff := cmp.Diff(want, sink.codes()); diff != "" || result.Accepted != 5 || result.Warnings != 1 {
		t.Fatalf("%+v (-want +got)\n%s", result, diff)
	}
	if message := sink.problems[1].Message; !strings.Contains(message, "Row 2 ") {
		t.Errorf("does not name the first row: %s", message)
	}
}

func TestRowNumbersAreThoseOfASpreadsheet(t *testing.T) {
	t.Parallel()
	sheet := "sep=,\nPayouts\n\nReference,Channel,Account,Amount,Currency,Payee\n\nA,Payeer,P10000001,5,USD,\"Ann\n\nExample\"\n\nB,Payeer,P10000002,5,USD,Bob\n"
	result, sink, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"5F text-reserved"}, sink.codes()); diff != "" {
		t.Error(diff)
	}
	if result.HeaderRow != 3 || sink.rows[0].Number != 7 || result.Blank != 3 {
		t.Errorf("header in row %d, payout in row %d, %d blank rows; want 3, 7, 3", result.HeaderRow, sink.rows[0].Number, result.Blank)
	}
}

func TestFieldCount(t *testing.T) {
	t.Parallel()
	sheet := "Reference,Channel,Account,Amount,Currency\nA,Payeer,P10000001,5,USD,x\nB,Payeer,P10000002,5\nC,Payeer,P10000003,5,USD\n"
	_, sink, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2 field-count", "3 field-count", "3E currency-empty"}, sink.codes()); diff != "" {
		t.Error(diff)
	}
}

func TestAccountsAreMaskedInProblems(t *testing.T) {
	t.Parallel()
	const account = "FP98765432"
	_, sink, err := readContent(t, "payouts.csv", []byte(csvRow{"Account": account}.sheet()), importers.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range sink.problems {
		if strings.Contains(fmt.Sprintf("%+v", p), account[:6]) || !strings.Contains(p.Value, account[6:]) {
			t.Errorf("account is not masked: %+v", p)
		}
	}
}

// failingSink refuses the first batch of either kind.
type failingSink struct{ rows, problems error }

func (s failingSink) Rows([]importers.Row) error         { return s.rows }
func (s failingSink) Problems([]importers.Problem) error { return s.problems }

func TestErrorsThatAreNoRefusals(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	ctx := context.Background()
	tests := []struct {
		name  string
		ctx   context.Context
		path  string
		rules importers.Rules
		sink  importers.Sink
		want  string
	}{
		{"rows refused", ctx, "testdata/payouts-november.xlsx", importers.Rules{}, failingSink{rows: full}, "pass on rows: disk full"},
		{"problems refused", ctx, "testdata/trouble.xlsx", importers.Rules{}, failingSink{problems: full}, "pass on problems: disk full"},
		{"cancelled", cancelled, "testdata/payouts-november.xlsx", importers.Rules{}, failingSink{}, "context canceled"},
		{"no file", ctx, "testdata/none.csv", importers.Rules{}, failingSink{}, "no such file"},
		{"a directory", ctx, "testdata", importers.Rules{}, failingSink{}, "not a regular file"},
		{"wrong decimal mark", ctx, "testdata/payouts-plain.csv", importers.Rules{Profile: importers.Profile{DecimalMark: ";"}}, failingSink{}, "decimal mark"},
		{"wrong group mark", ctx, "testdata/payouts-plain.csv", importers.Rules{Profile: importers.Profile{GroupMark: "."}}, failingSink{}, "group mark"},
		{"unknown default channel", ctx, "testdata/payouts-plain.csv", importers.Rules{Profile: importers.Profile{Channel: "99"}}, failingSink{}, "channel"},
		{"unknown default currency", ctx, "testdata/payouts-plain.csv", importers.Rules{Profile: importers.Profile{Currency: "usd"}}, failingSink{}, "unknown currency"},
		{"channels of one name", ctx, "testdata/payouts-plain.csv", importers.Rules{Channels: []importers.Channel{{Code: "1", Name: "A"}, {Code: "2", Name: "a"}}}, failingSink{}, "both called"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := importers.Read(tt.ctx, tt.path, tt.rules, tt.sink)
			if err == nil || !strings.Contains(err.Error(), tt.want) || refusal(err) != "" {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// touchingSink changes the file under the reader's hands.
type touchingSink struct {
	collector
	path string
}

func (s *touchingSink) Rows([]importers.Row) error {
	return os.Chtimes(s.path, time.Time{}, time.Unix(1_700_000_000, 0))
}

func TestChangedFileIsRefused(t *testing.T) {
	t.Parallel()
	sheet := "Reference,Channel,Account,Amount,Currency\n"
	for i := range 1000 {
		sheet += fmt.Sprintf("PO-%d,Payeer,P%08d,5,USD\n", i, i)
	}
	path := filepath.Join(t.TempDir(), "payouts.csv")
	if err := os.WriteFile(path, []byte(sheet), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := importers.Read(context.Background(), path, importers.Rules{}, &touchingSink{path: path})
	if refusal(err) != importers.FileChanged {
		t.Fatalf("got %v, want a refusal", err)
	}
}

// TestOnlyTheNamedSheetCounts lets a profile choose among several sheets.
func TestOnlyTheNamedSheetCounts(t *testing.T) {
	t.Parallel()
	good := sheetXML("", headerCells+payoutRow(2), "")
	workbook := newBookOf(good, sheetXML("", headerCells+payoutRow(2)+payoutRow(3), "")).edit("xl/workbook.xml", `name="Sheet1"`, `name="Old" state="hidden"`)
	result, _, err := readContent(t, "payouts.xlsx", workbook.bytes(t), importers.Rules{Profile: importers.Profile{Sheet: "sheet2"}})
	if err != nil || result.Sheet != "Sheet2" || result.Accepted != 2 {
		t.Fatalf("read %d rows of sheet %q, %v", result.Accepted, result.Sheet, err)
	}
}

package importers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
)

// TestDoubtsAreAsked: what may matter to a payment and is not read, or is read
// by a part of its heading, is confirmed by a person.
func TestDoubtsAreAsked(t *testing.T) {
	t.Parallel()
	const plain = "Channel;Account;Amount;Currency\nPayeer;P10000001;5;USD\n"
	eur := importers.Rules{Profile: importers.Profile{Channel: "16", Currency: "EUR"}}
	for _, tt := range []struct {
		name, sheet string
		rules       importers.Rules
		want        string
	}{
		{"payouts above headings that were sorted down", "Payeer;P10000002;900.00;USD\nPayeer;P10000003;800;USD\n" + plain, importers.Rules{}, "1 rows-above-headings"},
		{"payouts below headings with a slip", "Channel;Account;Ammount;Currency\nPayeer;P10000002;900.00;USD\n\n" + plain, importers.Rules{}, "2 rows-above-headings"},
		{"our account above the headings", "From;P10000002\nNovember\n" + plain, importers.Rules{}, ""},
		{"a pay date for all", "Pay date:;2027-01-15\n" + plain, importers.Rules{}, "1 title-not-read"},
		{"a pay date for all, in one cell", "November\nPay date: 15 January 2027\n" + plain, importers.Rules{}, "2 title-not-read"},
		{"a pay date for all, and for each", "Pay date:;2027-01-15\nChannel;Account;Amount;Currency;Pay date\nPayeer;P10000001;5;USD;\n", importers.Rules{}, ""},
		{"the date of the sheet", "Date:;2027-01-15\n" + plain, importers.Rules{}, ""},
		{"another currency for all", "Currency: EUR\nChannel;Account;Amount (USD)\nPayeer;P10000001;5\n", importers.Rules{}, "1 title-not-read"},
		{"the same currency for all", "Currency: USD\nChannel;Account;Amount (USD)\nPayeer;P10000001;5\n", importers.Rules{}, ""},
		{"a channel for all", "Payment system;Payeer\nAccount;Amount\nP10000001;5\n", importers.Rules{Profile: importers.Profile{Channel: "payeer", Currency: "USD"}}, ""},
		{"a column without a heading", "Channel;Account;Amount;Currency;\nPayeer;P10000001;5;USD;2027-01-15\n", importers.Rules{}, "1E column-unnamed"},
		{"columns without a heading", "Channel;Account;Amount;Currency;;\nPayeer;P10000001;5;USD;2027-01-15;1\n", importers.Rules{}, "1E column-unnamed"},
		{"several headings that are known in part", "Channel / x;Account / y;Amount / z;Currency\nPayeer;P10000001;5;USD\n", importers.Rules{}, "1A heading-in-part"},
		{"an empty column without a heading", "Channel;Account;Amount;Currency;;Team\nPayeer;P10000001;5;USD;;Red\n", importers.Rules{}, ""},
		{"a heading that nobody knows", "Channel;Account;Amount / Kwota;Currency\nPayeer;P10000001;5;USD\n", importers.Rules{}, "1C heading-in-part"},
		{"a heading in two known languages", "Channel;Account;Amount / Сумма;Currency\nPayeer;P10000001;5;USD\n", importers.Rules{}, ""},
		{"a pay date of another kind", "Channel;Account;Amount;Currency;Pay date (of invoice)\nPayeer;P10000001;5;USD;2027-01-15\n", importers.Rules{}, "1E heading-in-part"},
		{"a second amount, in cents", "Channel;Account;Amount;Currency;Amount (in cents)\nPayeer;P10000001;5;USD;500\n", importers.Rules{}, ""},
		{"amounts in cents alone", "Channel;Account;\"Amount\n(in cents)\";Currency\nPayeer;P10000001;5;USD\n", importers.Rules{}, "refused header-missing"},
		{"a currency in the second line", "Account;\"Amount\nUSD\"\nP10000001;5\n", eur, "refused header-ambiguous"},
		{"a sign in the second line", "Account;\"Amount\n€\"\nP10000001;5\n", importers.Rules{Profile: importers.Profile{Channel: "16", Currency: "USD"}}, "refused header-ambiguous"},
		{"a currency in the first half", "Account;Amount (EUR) / Сумма\nP10000001;5\n", importers.Rules{Profile: importers.Profile{Channel: "16", Currency: "USD"}}, "refused header-ambiguous"},
		{"two currencies in a heading", "Channel;Account;Amount (EUR) / Сумма (USD)\nPayeer;P10000001;5\n", importers.Rules{}, "refused header-missing"},
		{"a currency behind a stroke", "Channel;Account;Amount/EUR;Currency\nPayeer;P10000001;5;USD\n", importers.Rules{}, "2D currency-heading"},
		{"another currency than the profile's", plain, eur, "2D currency-otherwise"},
		{"another channel than the profile's", plain, importers.Rules{Profile: importers.Profile{Channel: "18"}}, "2A channel-otherwise"},
		{"a channel's code in another form", strings.Replace(plain, "Payeer", "1.6", 1), importers.Rules{}, "2A channel-unknown"},
		{"a payout without an account", plain + ";;5;USD\nPayeer;P10000003;5;USD\n", importers.Rules{}, "3C control-total-unchecked 3C rows-below-total"},
		{"a sum of two", plain + "Payeer;P10000003;5;USD\n;;10;USD\n", importers.Rules{}, ""},
		{"a total above, as it is read", "Total;999,50\n" + plain, importers.Rules{Profile: importers.Profile{DecimalMark: ","}}, "refused control-total-wrong"},
		{"a total above, written with a comma", "Total;1,999.50\n" + plain, importers.Rules{}, "1B control-total-unchecked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, "payouts.csv", []byte("sep=;\n"+tt.sheet), tt.rules)
			got := strings.Join(sink.codes(), " ")
			if code := refusal(err); code != "" {
				got = "refused " + string(code)
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s%v", diff, sink.problems)
			}
		})
	}
}

// TestAPayDateWithoutAccountIsNoSum: a row with an amount and something that
// only payouts have is one that lacks its account.
func TestAPayDateWithoutAccountIsNoSum(t *testing.T) {
	t.Parallel()
	_, sink, err := readContent(t, "payouts.csv", []byte("Channel,Account,Amount,Currency,Pay date,Team\nPayeer,P10000001,5,USD,,\n,,5,USD,2026-12-01,\n,,5,USD,,Red\n"), importers.Rules{})
	if diff := cmp.Diff([]string{"3A channel-empty", "3B account-empty", "4A channel-empty", "4B account-empty"}, slices.Sorted(slices.Values(sink.codes()))); err != nil || diff != "" {
		t.Errorf("error %v (-want +got)\n%s", err, diff)
	}
}

// TestFormulasThatFillSeveralCells: only the first cell of such a range says
// that it is a formula.
func TestFormulasThatFillSeveralCells(t *testing.T) {
	t.Parallel()
	head := `<row r="1">` + textCell("A1", "Channel") + textCell("B1", "Account") + textCell("C1", "Currency") + textCell("D1", "Amount") + `</row>`
	row := func(n, amount string) string {
		return `<row r="` + n + `">` + textCell("A"+n, "Payeer") + textCell("B"+n, "P1000000"+n) + textCell("C"+n, "USD") + amount + `</row>`
	}
	for _, kind := range []string{"array", "dataTable"} {
		sheet := head + row("2", `<c r="D2"><f t="`+kind+`" ref="D2:D3">X</f><v>5</v></c>`) + row("3", numberCell("D3", "6")) + row("4", numberCell("D4", "7"))
		result, sink, err := readContent(t, "payouts.xlsx", newBook(sheet).bytes(t), importers.Rules{})
		if diff := cmp.Diff([]string{"2D cell-formula", "3D cell-formula"}, sink.codes()); err != nil || diff != "" || result.Accepted != 1 {
			t.Errorf("%s: %d accepted, error %v (-want +got)\n%s", kind, result.Accepted, err, diff)
		}
	}
}

// TestAStruckRowIsAskedAbout: people cross out what they cancel.
func TestAStruckRowIsAskedAbout(t *testing.T) {
	t.Parallel()
	styled := `<c r="D3" s="1"><v>5</v></c>`
	book := newBook(headerCells+payoutRow(2)+payoutRow(3, styled)+payoutRow(4)).styles("0.00").
		edit("xl/styles.xml", `</font></fonts>`, `</font><font><strike/><name val="Calibri"/></font></fonts>`).
		edit("xl/styles.xml", `<xf numFmtId="164" applyNumberFormat="1"/>`, `<xf numFmtId="164" fontId="1" applyNumberFormat="1"/>`)
	_, sink, err := readContent(t, "payouts.xlsx", book.bytes(t), importers.Rules{})
	if diff := cmp.Diff([]string{"3D row-struck"}, sink.codes()); err != nil || diff != "" {
		t.Errorf("error %v (-want +got)\n%s", err, diff)
	}
}

// TestATestMarkIsNoFormula: its result may not be stored, and a test be paid.
func TestATestMarkIsNoFormula(t *testing.T) {
	t.Parallel()
	sheet := `<row r="1">` + textCell("A1", "Channel") + textCell("B1", "Account") + textCell("C1", "Amount") + textCell("D1", "Currency") + textCell("E1", "Test") + `</row>` +
		`<row r="2">` + textCell("A2", "Payeer") + textCell("B2", "P10000001") + numberCell("C2", "5") + textCell("D2", "USD") + `<c r="E2"><f>1</f></c></row>`
	_, sink, err := readContent(t, "payouts.xlsx", newBook(sheet).bytes(t), importers.Rules{})
	if diff := cmp.Diff([]string{"2E cell-formula"}, sink.codes()); err != nil || diff != "" {
		t.Errorf("error %v (-want +got)\n%s", err, diff)
	}
}

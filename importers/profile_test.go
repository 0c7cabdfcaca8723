package importers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"

	"payrun/importers"
	"payrun/internal/money"
)

// TestProfiles reads one payout of 1234.56 USD to Änn in as many ways as
// teams write it.
func TestProfiles(t *testing.T) {
	t.Parallel()
	const head = "Reference;Channel;Account;Amount;Currency;Payee;Pay date\n"
	type field = importers.Field
	tests := []struct {
		name, content string
		profile       importers.Profile
	}{
		{"decimal comma and points", head + "A1;Payeer;P10000001;1.234,56;USD;Änn;2026-11-30\n", importers.Profile{DecimalMark: ",", GroupMark: "."}},
		{"spaces between thousands", head + "A1;Payeer;P10000001;1 234,56;USD;Änn;2026-11-30\n", importers.Profile{DecimalMark: ",", GroupMark: " "}},
		{"no-break spaces between thousands", head + "A1;Payeer;P10000001;1\u00a0234,56;USD;Änn;2026-11-30\n", importers.Profile{DecimalMark: ",", GroupMark: " "}},
		{"narrow spaces between thousands", head + "A1;Payeer;P10000001;1\u202f234,56;USD;Änn;2026-11-30\n", importers.Profile{DecimalMark: ",", GroupMark: " "}},
		{"apostrophes", head + "A1;Payeer;P10000001;1'234.56;USD;Änn;2026-11-30\n", importers.Profile{GroupMark: "'"}},
		{"minor units", head + "A1;Payeer;P10000001;123456;USD;Änn;2026-11-30\n", importers.Profile{MinorUnits: true}},
		{"day first", head + "A1;Payeer;P10000001;1234.56;USD;Änn;30.11.2026\n", importers.Profile{DateOrder: importers.DayMonthYear}},
		{"month first", head + "A1;Payeer;P10000001;1234.56;USD;Änn;11/30/2026\n", importers.Profile{DateOrder: importers.MonthDayYear}},
		{"ISO dates where the day is first", head + "A1;Payeer;P10000001;1234.56;USD;Änn;2026-11-30\n", importers.Profile{DateOrder: importers.DayMonthYear}},
		{"western code page", encoded(t, charmap.Windows1252, head+"A1;Payeer;P10000001;1234.56;USD;Änn;2026-11-30\n"), importers.Profile{Charset: "windows-1252"}},
		{"UTF-8 says so itself", "\ufeff" + head + "A1;Payeer;P10000001;1234.56;USD;Änn;2026-11-30\n", importers.Profile{Charset: "windows-1252"}},
		{"UTF-16 without a mark", string(utf16Bytes(head + "A1;Payeer;P10000001;1234.56;USD;Änn;2026-11-30\n")), importers.Profile{Charset: "utf-16le"}},
		{"declared delimiter", strings.ReplaceAll(head+"A1;Payeer;P10000001;1234.56;USD;Änn;2026-11-30\n", ";", "|"), importers.Profile{Delimiter: "|"}},
		{"one channel and currency", "Reference;Account;Amount;Payee;Pay date\nA1;P10000001;1234.56;Änn;2026-11-30\n", importers.Profile{Channel: "payeer", Currency: "USD"}},
		{"headings of their own", "Code;Way;Konto;Menge;Geld;Wer;Wann\nA1;Payeer;P10000001;1234.56;USD;Änn;2026-11-30\n", importers.Profile{Columns: map[string]field{
			"code": importers.FieldReference, "Way": importers.FieldChannel, "konto": importers.FieldAccount, "Menge": importers.FieldAmount,
			"Geld": importers.FieldCurrency, "Wer": importers.FieldPayee, "Wann": importers.FieldPayDate}}},
		{"a letter against an ambiguous heading", "ID;Channel;Account;Amount;Currency;Payee;Pay date\nA1;Payeer;P10000001;1234.56;USD;Änn;2026-11-30\n",
			importers.Profile{Letters: map[string]field{"A": importers.FieldReference}}},
		{"a letter against a second amount", "Reference;Channel;Account;Amount;Amount;Currency;Payee;Pay date\nA1;Payeer;P10000001;9999;1234.56;USD;Änn;2026-11-30\n",
			importers.Profile{Letters: map[string]field{"D": importers.FieldIgnored}}},
		{"no headings", "A1;P10000001;1234.56;Änn;2026-11-30\n", importers.Profile{NoHeadings: true, Channel: "16", Currency: "USD", Letters: map[string]field{
			"A": importers.FieldReference, "B": importers.FieldAccount, "C": importers.FieldAmount, "D": importers.FieldPayee, "E": importers.FieldPayDate}}},
		{"no headings below a blank row", ";;;;\nA1;P10000001;1234.56;Änn;2026-11-30\nTotal;;1234.56;;\n", importers.Profile{NoHeadings: true, Channel: "16", Currency: "USD", Letters: map[string]field{
			"A": importers.FieldReference, "B": importers.FieldAccount, "C": importers.FieldAmount, "D": importers.FieldPayee, "E": importers.FieldPayDate}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, "payouts.csv", []byte(tt.content), importers.Rules{Profile: tt.profile})
			if err != nil || len(sink.problems) > 0 || len(sink.rows) != 1 {
				t.Fatalf("rows %v, problems %v, error %v", sink.rows, sink.problems, err)
			}
			got := sink.rows[0]
			if tt.name == "a letter against a second amount" && got.Beside != "Amount: 9999" {
				t.Errorf("beside it stands %q", got.Beside)
			}
			got.Number, got.Beside = 0, ""
			want := importers.Row{Reference: "A1", Channel: "16", Account: "P10000001", Amount: 123456, Currency: "USD", Payee: "Änn", PayDate: "2026-11-30"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func encoded(t *testing.T, page *charmap.Charmap, text string) string {
	t.Helper()
	coded, err := page.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return coded
}

// TestCharsets reads a Cyrillic and a Western name in every single-byte
// encoding that can write it.
func TestCharsets(t *testing.T) {
	t.Parallel()
	pages := map[string]*charmap.Charmap{
		"windows-1250": charmap.Windows1250, "windows-1251": charmap.Windows1251, "windows-1252": charmap.Windows1252,
		"windows-1254": charmap.Windows1254, "windows-1257": charmap.Windows1257, "iso-8859-1": charmap.ISO8859_1,
		"iso-8859-2": charmap.ISO8859_2, "iso-8859-5": charmap.ISO8859_5, "iso-8859-15": charmap.ISO8859_15, "koi8-r": charmap.KOI8R,
		"koi8-u": charmap.KOI8U, "cp437": charmap.CodePage437, "cp850": charmap.CodePage850, "cp866": charmap.CodePage866,
	}
	tried := 0
	for _, name := range importers.Charsets() {
		page := pages[name]
		if page == nil {
			continue // UTF: among the profiles above
		}
		for _, payee := range []string{"Иван Петров", "Jörg Müller"} {
			content, err := page.NewEncoder().String("Channel,Account,Amount,Currency,Имя\nPayeer,P10000001,5,USD," + payee + "\n")
			if err != nil {
				content, err = page.NewEncoder().String("Channel,Account,Amount,Currency,Name\nPayeer,P10000001,5,USD," + payee + "\n")
			}
			if err != nil {
				continue // not in this alphabet
			}
			tried++
			_, sink, err := readContent(t, "payouts.csv", []byte(content), importers.Rules{Profile: importers.Profile{Charset: name}})
			if err != nil || len(sink.rows) != 1 || sink.rows[0].Payee != payee {
				t.Errorf("%s: rows %v, problems %v, %v", name, sink.rows, sink.problems, err)
			}
		}
	}
	if want := len(pages); tried != want {
		t.Errorf("tried %d names, want one for each of %d encodings", tried, want)
	}
}

// TestUTF8IsNoCodePage: every byte of it is a letter of some code page, so
// names would be read as nonsense, and without a fault.
func TestUTF8IsNoCodePage(t *testing.T) {
	t.Parallel()
	for _, charset := range []string{"windows-1251", "koi8-r", "cp866", "iso-8859-1"} {
		for payee, want := range map[string]importers.Code{"Пётр": importers.EncodingInvalid, "Jörg": importers.EncodingInvalid, "Peter": ""} {
			_, sink, err := readContent(t, "payouts.csv", []byte("Channel,Account,Amount,Currency,Name\nPayeer,P10000001,5,USD,"+payee+"\n"),
				importers.Rules{Profile: importers.Profile{Charset: charset}})
			if got := refusal(err); got != want || want != "" && !strings.Contains(err.Error(), "is UTF-8") {
				t.Errorf("%s as %s: %v, problems %v", payee, charset, err, sink.problems)
			}
		}
	}
}

// TestProfilesThatDoNotFit name what to do.
func TestProfilesThatDoNotFit(t *testing.T) {
	t.Parallel()
	wrong := map[string]importers.Profile{
		"decimal mark":         {DecimalMark: ";"},
		"group mark":           {GroupMark: "."},
		"date order":           {DateOrder: "year first"},
		"delimiter":            {Delimiter: "x"},
		"charset":              {Charset: "utf-7"},
		"letter for each":      {NoHeadings: true},
		"use letters":          {NoHeadings: true, Letters: map[string]importers.Field{"A": importers.FieldAmount}, Columns: map[string]importers.Field{"b": importers.FieldAccount}},
		"are the same":         {Columns: map[string]importers.Field{"Date": importers.FieldPayDate, "date": importers.FieldRemark}},
		"are the same heading": {Columns: map[string]importers.Field{"Konto": importers.FieldAccount, "konto": importers.FieldIgnored}},
		"are both to be":       {Letters: map[string]importers.Field{"A": importers.FieldAmount, "B": importers.FieldAmount}},
		"no column letter":     {Letters: map[string]importers.Field{"1": importers.FieldAmount}},
		"unknown currency":     {Currency: "usd"},
	}
	for want, profile := range wrong {
		if err := profile.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", profile, err, want)
		}
		if _, _, err := readProfile(t, profile); err == nil || !strings.Contains(err.Error(), want) || refusal(err) != "" {
			t.Errorf("%+v: %v, want %q", profile, err, want)
		}
	}
}

func readProfile(t *testing.T, profile importers.Profile) (importers.Result, *collector, error) {
	t.Helper()
	var sink collector
	result, err := importers.Read(t.Context(), "testdata/payouts-plain.csv", importers.Rules{Profile: profile}, &sink)
	return result, &sink, err
}

// TestPresetsWantALook refuses sheets without headings until somebody has
// confirmed how their first row is read, then reads them.
func TestPresetsWantALook(t *testing.T) {
	t.Parallel()
	samples := map[string]string{
		"paypal":    "P10000001,12.50,USD,4711,Bonus,PAYPAL,PRIVATE\n",
		"masspay":   "P10000001\t12.50\tUSD\t4711\tBonus\n",
		"skrill":    "P10000001,12.50,USD,Bonus,A1\n",
		"webmoney":  "P10000001;12.50;Bonus;A1\n",
		"paymaster": "P10000001;12.50;Bonus;A1;0\n",
	}
	for _, preset := range importers.Presets() {
		t.Run(preset.Name, func(t *testing.T) {
			t.Parallel()
			profile := preset.Profile
			profile.Channel = "16"
			if _, given := samples[preset.Name]; !given {
				t.Fatal("has no sample")
			}
			if !strings.Contains(samples[preset.Name], "USD") {
				profile.Currency = "USD"
			}
			content := []byte(samples[preset.Name])
			_, sink, err := readContent(t, "payouts.csv", content, importers.Rules{Profile: profile})
			if refusal(err) != importers.HeaderUnconfirmed || len(sink.rows) > 0 {
				t.Fatalf("not confirmed, yet %v, rows %v", err, sink.rows)
			}
			if text := err.Error(); !strings.Contains(text, `A is the account "…0001"`) || !strings.Contains(text, `the amount "12.50"`) || strings.Contains(text, "P10000001") {
				t.Errorf("the look: %s", text)
			}
			profile.Unconfirmed = false
			result, sink, err := readContent(t, "payouts.csv", content, importers.Rules{Profile: profile})
			if err != nil || result.HeaderRow != 0 || len(sink.rows) != 1 || sink.rows[0].Amount != money.Amount(1250) || sink.rows[0].Remark != "Bonus" {
				t.Errorf("rows %+v, problems %v, %v", sink.rows, sink.problems, err)
			}
		})
	}
}

// TestAFirstRowThatEndsEarly: where a workbook has no headings, its first row
// may lack what the rows below it have. A pay date there is not overlooked.
func TestAFirstRowThatEndsEarly(t *testing.T) {
	t.Parallel()
	rows := `<row r="1">` + textCell("A1", "P10000001") + numberCell("B1", "10") + `</row>
		<row r="2">` + textCell("A2", "P10000002") + numberCell("B2", "5") + textCell("C2", "2026-12-30") + textCell("E2", "for Mia") + `</row>
		<row r="3">` + textCell("A3", "P10000003") + numberCell("B3", "5") + textCell("D3", "1") + `</row>`
	letters := map[string]importers.Field{"A": importers.FieldAccount, "B": importers.FieldAmount, "C": importers.FieldPayDate, "D": importers.FieldTest}
	result, sink, err := readContent(t, "payouts.xlsx", newBook(rows).bytes(t),
		importers.Rules{Profile: importers.Profile{NoHeadings: true, Channel: "16", Currency: "USD", Letters: letters}})
	if err != nil || result.Accepted != 2 || len(result.Columns) != 5 {
		t.Fatalf("%d accepted, columns %v, error %v", result.Accepted, result.Columns, err)
	}
	if diff := cmp.Diff([]string{"2E column-unnamed", "3D row-test"}, slices.Sorted(slices.Values(sink.codes()))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := sink.rows[1]; got.PayDate != "2026-12-30" || got.Beside != "E: for Mia" {
		t.Errorf("the second row is %+v", got)
	}
}

// TestAColumnWithoutAHeadingIsKept beside the payout.
func TestAColumnWithoutAHeadingIsKept(t *testing.T) {
	t.Parallel()
	_, sink, err := readContent(t, "payouts.csv", []byte("Channel,Account,Amount,Currency,,Team\nPayeer,P10000001,5,USD,not before Monday,Red\n"), importers.Rules{})
	if err != nil || len(sink.rows) != 1 || sink.rows[0].Beside != "E: not before Monday; Team: Red" {
		t.Errorf("read %+v, error %v", sink.rows, err)
	}
}

// TestTestRowsAreNotPaid: the PayMaster layout marks test payments.
func TestTestRowsAreNotPaid(t *testing.T) {
	t.Parallel()
	const sheet = "Channel,Account,Amount,Currency,Test\nPayeer,P10000001,5,USD,0\nPayeer,P10000002,5,USD,1\nPayeer,P10000003,5,USD,maybe\nPayeer,P10000004,5,USD,\n"
	result, sink, err := readContent(t, "payouts.csv", []byte(sheet), importers.Rules{})
	if diff := cmp.Diff([]string{"3E row-test", "4E row-test"}, sink.codes()); err != nil || diff != "" || result.Accepted != 2 {
		t.Errorf("%d accepted, %v (-want +got)\n%s", result.Accepted, err, diff)
	}
}

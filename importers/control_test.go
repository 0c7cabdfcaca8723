package importers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"payrun/importers"
	"payrun/internal/money"
)

const controlHead = "Reference,Channel,Account,Amount,Currency\nA,Payeer,P10000001,10.50,USD\nB,Payeer,P10000002,3,USD\n"

const remarkHead = "Reference,Channel,Account,Amount,Currency,Remark\nA,Payeer,P10000001,10.50,USD,\nB,Payeer,P10000002,3,USD,\n"

// TestControlTotals reads sheets whose totals agree, or cannot be checked.
// Totals that are plainly wrong are among the refused files.
func TestControlTotals(t *testing.T) {
	t.Parallel()
	both := importers.DefaultChannels()
	both[2].Currencies = []money.Currency{"USD", "EUR"}
	tests := []struct {
		name, content string
		want          []importers.ControlTotal
		codes         []string
	}{
		{"none", controlHead, nil, nil},
		{"total", controlHead + "Total,,,13.50,USD\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true}}, nil},
		{"total without currency", controlHead + "Grand total:,,,13.5,\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Given: "13.50", Found: "13.50", Agrees: true}}, nil},
		{"label below the account", controlHead + ",,Total,13.5,\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Given: "13.50", Found: "13.50", Agrees: true}}, nil},
		{"Russian label", controlHead + "Итого,,,13.5,\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Given: "13.50", Found: "13.50", Agrees: true}}, nil},
		{"no label", controlHead + ",,,13.50,\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Given: "13.50", Found: "13.50", Agrees: true}}, nil},
		{"count", controlHead + "Number of payouts,,,2,\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Kind: "count", Given: "2", Found: "2", Agrees: true}}, nil},
		{"above the headings", "Total:,13.50\nCount:,2\n" + controlHead, []importers.ControlTotal{
			{Row: 1, Column: "B", Given: "13.50", Found: "13.50", Agrees: true},
			{Row: 2, Column: "B", Kind: "count", Given: "2", Found: "2", Agrees: true},
		}, nil},
		{"subtotals", controlHead + "Subtotal,,,13.5,\nC,Payeer,P10000003,1,USD\nSubtotal,,,1,\nTotal,,,14.50,\n", []importers.ControlTotal{
			{Row: 4, Column: "D", Given: "13.50", Found: "13.50", Agrees: true},
			{Row: 6, Column: "D", Given: "1.00", Found: "14.50", Agrees: true},
			{Row: 7, Column: "D", Given: "14.50", Found: "14.50", Agrees: true},
		}, nil},
		{"one for each currency", controlHead + "C,Payeer,P10000003,7,EUR\nTotal,,,13.5,USD\nTotal,,,7,EUR\nTotal,,,20.50,\n", []importers.ControlTotal{
			{Row: 5, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true},
			{Row: 6, Column: "D", Currency: "EUR", Given: "7.00", Found: "7.00", Agrees: true},
			{Row: 7, Column: "D", Given: "20.50", Found: "20.50", Agrees: true},
		}, nil},
		{"rejected rows count", controlHead + "B,Payeer,X,-1,usd\nTotal,,,12.5,USD\nCount,,,3,\n",
			[]importers.ControlTotal{
				{Row: 5, Column: "D", Currency: "USD", Given: "12.50", Found: "12.50", Agrees: true},
				{Row: 6, Column: "D", Kind: "count", Given: "3", Found: "3", Agrees: true},
			}, []string{"4E currency-case", "4D amount-negative", "4C account-prefix", "4A reference-repeated"}},
		{"unreadable amount", controlHead + "C,Payeer,P10000003,five,USD\nTotal,,,18.5,USD\n",
			[]importers.ControlTotal{{Row: 5, Column: "D", Currency: "USD", Given: "18.50", Found: "13.50", Unchecked: true, Unread: 1}},
			[]string{"4D amount-format", "5D control-total-unchecked"}},
		{"no readable amount", "Channel,Account,Amount,Currency\nPayeer,P10000001,10.50,ZZZ\nTotal,,10.50,\n",
			[]importers.ControlTotal{{Row: 3, Column: "C", Given: "10.50", Unchecked: true}},
			[]string{"2D currency-unknown", "3C control-total-unchecked"}},
		{"agrees without an unreadable amount", controlHead + "C,Payeer,P10000003,five,USD\nTotal,,,13.5,USD\n",
			[]importers.ControlTotal{{Row: 5, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true, Unread: 1}},
			[]string{"4D amount-format"}},
		{"agrees with its section, below an unreadable amount", controlHead + ",Payeer,P10000003,five,USD\nSubtotal,,,0,USD\nC,Payeer,P10000003,1,USD\nSubtotal,,,1,USD\n",
			[]importers.ControlTotal{
				{Row: 5, Column: "D", Currency: "USD", Given: "0.00", Found: "13.50", Unchecked: true, Unread: 1},
				{Row: 7, Column: "D", Currency: "USD", Given: "1.00", Found: "14.50", Agrees: true},
			}, []string{"4D amount-format", "5D control-total-unchecked"}},
		{"a payout below the total", controlHead + "Total,,,13.50,USD\nC,Payeer,P10000003,1,USD\nNote\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true, Below: 1}},
			[]string{"6 row-note", "4D rows-below-total"}},
		{"below a total, but covered by the one above the headings", "Total:,14.50\n" + controlHead + "Subtotal,,,13.50,USD\nC,Payeer,P10000003,1,USD\n",
			[]importers.ControlTotal{
				{Row: 5, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true},
				{Row: 1, Column: "B", Given: "14.50", Found: "14.50", Agrees: true},
			}, nil},
		{"below a total and above a count", controlHead + "Total,,,13.50,USD\nC,Payeer,P10000003,1,USD\nCount,,,3,\n",
			[]importers.ControlTotal{
				{Row: 4, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true, Below: 1},
				{Row: 6, Column: "D", Kind: "count", Given: "3", Found: "3", Agrees: true},
			}, []string{"4D rows-below-total"}},
		{"below a total, with a count above the headings", "Count:,3\n" + controlHead + "Total,,,13.50,USD\nC,Payeer,P10000003,1,USD\n",
			[]importers.ControlTotal{
				{Row: 5, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true, Below: 1},
				{Row: 1, Column: "B", Kind: "count", Given: "3", Found: "3", Agrees: true},
			}, []string{"5D rows-below-total"}},
		{"below the total of its currency, above that of another", controlHead + "Total,,,13.50,USD\nC,Payeer,P10000003,7,EUR\nD,Payeer,P10000004,1,USD\nTotal,,,7,EUR\n",
			[]importers.ControlTotal{
				{Row: 4, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true},
				{Row: 7, Column: "D", Currency: "EUR", Given: "7.00", Found: "7.00", Agrees: true, Below: 1},
			}, []string{"7D rows-below-total"}},
		{"unreadable total", controlHead + "Total,,,see below,USD\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Currency: "USD", Given: "see below", Found: "13.50", Unchecked: true}},
			[]string{"4D control-total-unchecked"}},
		{"a payee called Total", controlHead + "Total,Payeer,P10000003,1,USD\n", nil, nil},
		{"notes below the total do not count", controlHead + "Total,,,13.50,USD\n,,,,\nPrepared by: Mia\nCount,,,2,\n",
			[]importers.ControlTotal{
				{Row: 4, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true},
				{Row: 7, Column: "D", Kind: "count", Given: "2", Found: "2", Agrees: true},
			}, []string{"6 row-note"}},
		{"a row without account is no total", controlHead + "C,Payeer,,1,USD\n", nil, []string{"4C account-empty"}},
		{"nor if its remark speaks of a number", remarkHead + "C,Payeer,,1,USD,Order number 17\n", nil, []string{"4C account-empty"}},
		{"nor if its remark speaks of a total", remarkHead + "C,Payeer,,1,USD,Total for October\n", nil, []string{"4C account-empty"}},
		{"nor if that is all it has", remarkHead + ",Payeer,,1,USD,Total for October\n", nil, []string{"4C account-empty"}},
		{"a subtotal that names its channel", controlHead + "Subtotal,Payeer,,13.50,USD\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true}}, nil},
		{"a label behind the sum", "Amount,Currency,Channel,Account\n10.50,USD,Payeer,P10000001\n10.50,USD,Total due,\n",
			[]importers.ControlTotal{{Row: 3, Column: "A", Currency: "USD", Given: "10.50", Found: "10.50", Agrees: true}}, nil},
		{"a label behind other words", controlHead + "November,Total:,,13.50,USD\n",
			[]importers.ControlTotal{{Row: 4, Column: "D", Currency: "USD", Given: "13.50", Found: "13.50", Agrees: true}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i := range tt.want {
				if tt.want[i].Kind == "" {
					tt.want[i].Kind = importers.ControlAmount
				}
			}
			result, sink, err := readContent(t, "payouts.csv", []byte(tt.content), importers.Rules{Channels: both})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, result.ControlTotals, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("totals (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.codes, sink.codes()); diff != "" {
				t.Errorf("problems (-want +got)\n%s", diff)
			}
		})
	}
}

// TestTotalByFormula compares the stored result of a SUM, dust included.
func TestTotalByFormula(t *testing.T) {
	t.Parallel()
	for value, code := range map[string]importers.Code{
		"24.68": "", "24.680000000000003": "", "24.679999999999996": "", "24.684": "control-total-unchecked", "24.69": importers.ControlTotalWrong,
		"": "control-total-unchecked",
	} {
		total := `<row r="4">` + textCell("A4", "Total") + `<c r="D4"><f>SUM(D2:D3)</f><v>` + value + `</v></c></row>`
		_, sink, err := readContent(t, "payouts.xlsx", newBook(headerCells+payoutRow(2)+payoutRow(3)+total).bytes(t), importers.Rules{})
		got := refusal(err)
		for _, p := range sink.problems {
			got = p.Code
		}
		if got != code {
			t.Errorf("stored %q: got %q, want %q", value, got, code)
		}
	}
}

// TestWordsOfTotals reads what a maker is told about a total: one row is not
// "1 rows", and the rows to look at are named.
func TestWordsOfTotals(t *testing.T) {
	t.Parallel()
	unreadable := func(rows int) string {
		content := controlHead
		for range rows {
			content += ",Payeer,P10000003,five,USD\n"
		}
		return content + "Total,,,18.5,USD\n"
	}
	asText := func(texts int) []byte {
		rows := headerCells
		for row := 2; row < 5; row++ {
			amount := numberCell(fmt.Sprintf("D%d", row), "10")
			if row < 2+texts {
				amount = textCell(fmt.Sprintf("D%d", row), "10")
			}
			rows += payoutRow(row, amount)
		}
		return newBook(rows + `<row r="5">` + textCell("A5", "Total") + numberCell("D5", "20") + `</row>`).bytes(t)
	}
	tests := []struct {
		name, file string
		content    []byte
		want       string
	}{
		{"one row without amount", "x.csv", []byte(unreadable(1)), "1 row has no amount that can be read in a known currency (row 4), so the total"},
		{"several", "x.csv", []byte(unreadable(3)), "3 rows have no amount that can be read in a known currency (rows 4 to 6), so the total"},
		{"many", "x.csv", []byte(unreadable(12)), "12 rows have no amount that can be read in a known currency (rows 4 to 13 and 2 others), so the total"},
		{"one amount as text", "x.xlsx", asText(1), "add up to 30.00. 1 amount is stored as text (row 2), which"},
		{"two amounts as text", "x.xlsx", asText(2), "add up to 30.00. 2 amounts are stored as text (rows 2 and 3), which"},
		{"of one row", "x.csv", []byte("Channel,Account,Amount,Currency\nPayeer,P10000001,10.50,USD\nTotal,,10,\n"), "the amounts of its 1 payout row, good and bad, add up to 10.50."},
		{"count of one row", "x.csv", []byte("Channel,Account,Amount,Currency\nPayeer,P10000001,10.50,USD\nCount,,2,\n"), "gives a count of 2, but it has 1 payout row, good and bad."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, sink, err := readContent(t, tt.file, tt.content, importers.Rules{})
			said := fmt.Sprint(err)
			for _, p := range sink.problems {
				said += "\n" + p.Message
			}
			if !strings.Contains(said, tt.want) {
				t.Errorf("want %q in:\n%s", tt.want, said)
			}
		})
	}
}

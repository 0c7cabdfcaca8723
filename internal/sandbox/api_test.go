package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/internal/money"
)

func TestOrderIsCreatedAndPaid(t *testing.T) {
	t.Parallel()
	config := fast()
	config.Fees = map[string]Fee{PerfectMoney: {Flat: 2_00, PartsPerMillion: 4_000}}
	g := start(t, config)

	created := g.create("ORDER0001")
	if created.Code != codeSuccess || created.Account != DefaultAccount || created.Version != Version {
		t.Fatalf("create: %+v", created)
	}
	data := created.members(t)
	if got := sign(data, SeparatorJava, DefaultKey); created.Sign != got {
		t.Errorf("reply signed %s, want %s", created.Sign, got)
	}
	number := data["epayOrderNo"]
	want := map[string]any{
		"category": "EWALLET", "merchantOrderNo": "ORDER0001", "epayOrderNo": number, "status": "1",
		"amount": "25.00", "settlementCurrency": "USD", "receiveAmount": "25.0", "receiveCurrency": "USD",
		"rate": "1.000000", "payerFee": "2.1", "extendFields": nil, "rateMode": nil,
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("create data (-want +got):\n%s", diff)
	}
	if len(fmt.Sprint(number)) != 24 {
		t.Errorf("epayOrderNo %v has not 24 digits", number)
	}

	g.settle()
	want = map[string]any{
		"category": "EWALLET", "merchantOrderNo": "ORDER0001", "epayOrderNo": number, "status": "7",
		"pinCode": "", "amount": "25.00", "currency": "USD", "receiveAmount": "25.00", "receiveCurrency": "USD",
		"paymentAmount": "25.00", "paymentCurrency": "USD", "rate": "1.000000", "fee": "2.1", "rateMode": "1",
		"extendFields": nil, "senderInfo": nil, "receiveInfo": nil, "orderDescription": nil,
	}
	if diff := cmp.Diff(want, g.query("ORDER0001").members(t)); diff != "" {
		t.Errorf("query data (-want +got):\n%s", diff)
	}

	book := g.Book()
	o := book.Orders["ORDER0001"]
	if o.Creates != 1 || o.Accepted != 1 || o.Paid != 1 || o.PaidAmount != 25_00 || o.Fee != 2_10 || o.Account != "U1234567" {
		t.Errorf("book: %+v", o)
	}
	if got, want := book.Funds["USD"], (Funds{1_000_000_00, 999_972_90, 0, 25_00, 2_10}); got != want {
		t.Errorf("funds %+v, want %+v", got, want)
	}
	if diff := cmp.Diff([]Total{{"USD", StatusPaid, 1, 25_00, 2_10}}, book.Totals); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	config := fast()
	config.Balances = map[money.Currency]money.Amount{"USD": 100_00}
	config.Fees = map[string]Fee{PerfectMoney: {Flat: 1}}
	config.Limits = map[ChannelCurrency]Limit{{PerfectMoney, "USD"}: {Min: 1_00, Max: 500_00}}
	g := start(t, config)
	tests := []struct {
		name  string
		path  string
		param map[string]any
		code  int
	}{
		{"unknown account", createPath, payout("R01", "epayAccount", "someone@else.example"), codeAccount},
		{"unknown version", createPath, payout("R02", "version", "V3.0.0"), codeVersion},
		{"bank category", createPath, payout("R03", "category", "BANK"), codeCategory},
		{"unknown channel", createPath, payout("R04", "channelCode", "99"), codeChannel},
		{"currency of another channel", createPath, payout("R05", "channelCode", FasaPay, "currency", "EUR"), codeCurrency},
		{"lower-case currency", createPath, payout("R06", "currency", "usd"), codeCurrency},
		{"three decimals", createPath, payout("R07", "amount", "2.501"), codeAmount},
		{"three decimals that are zeros", createPath, payout("R08", "amount", "2.500"), codeAmount},
		{"no amount", createPath, payout("R09", "amount", ""), codeAmount},
		{"zero", createPath, payout("R10", "amount", "0.00"), codeAmount},
		{"negative", createPath, payout("R11", "amount", "-5"), codeAmount},
		{"exponent", createPath, payout("R12", "amount", "1e2"), codeAmount},
		{"below the limit", createPath, payout("R13", "amount", "0.99"), codeLimit},
		{"above the limit", createPath, payout("R14", "amount", "500.01"), codeLimit},
		{"balance too low", createPath, payout("R15", "amount", "100.01"), codeBalance},
		{"balance too low for the fee", createPath, payout("R20", "amount", "100.00"), codeBalance},
		{"no account number", createPath, payout("R16", "accountNo", ""), codeReceiver},
		{"refused account number", createPath, payout("R17", "accountNo", "U1000900"), codeReceiver},
		{"no order number", createPath, payout(""), codeRequest},
		{"order number with a space", createPath, payout("R 18"), codeRequest},
		{"order number of 65 bytes", createPath, payout(strings.Repeat("9", 65)), codeRequest},
		{"query of an unknown order", queryPath, params("merchantOrderNo", "R19"), codeNotFound},
		{"query of a refused order", queryPath, params("merchantOrderNo", "R15"), codeNotFound},
		{"query without a number", queryPath, params(), codeRequest},
		{"limits of an unknown channel", limitPath, params("currency", "USD", "category", "EWALLET", "channelCode", "1"), codeChannel},
		{"limits of an unknown currency", limitPath, params("currency", "CHF", "category", "EWALLET"), codeCurrency},
		{"limits of an unknown category", limitPath, params("currency", "USD", "category", "SHIP"), codeCategory},
		{"limits of an unknown type", limitPath, params("currency", "USD", "category", "CASH", "type", "X"), codeRequest},
		{"balance of an unknown currency", balancePath, params("currency", "CHF"), codeCurrency},
		{"cancel of a wallet order", BasePath + "payoutApi/cancelTransaction", params("merchantOrderNo", "R01"), codeNotOffered},
	}
	for _, test := range tests {
		e := g.call(test.path, test.param)
		if e.Code != test.code || string(e.Data) != "null" || e.Sign != "" {
			t.Errorf("%s: %+v, want code %d with null data", test.name, e, test.code)
		}
		if !strings.Contains(e.Message, "invented") {
			t.Errorf("%s: message %q passes for the gateway's own", test.name, e.Message)
		}
	}
	for _, edge := range []string{"1.00", "99.99"} {
		if e := start(t, config).create("EDGE0001", "amount", edge); e.Code != codeSuccess {
			t.Errorf("%s, which the limits and the balance just allow: %+v", edge, e)
		}
	}
	book := g.Book()
	for no, o := range book.Orders {
		if o.Creates != 1 || o.Accepted != 0 || o.Paid != 0 {
			t.Errorf("order %s in the book: %+v", no, o)
		}
	}
	if len(book.Orders) != 18 || book.UnnamedCreates != 3 {
		t.Errorf("%d orders and %d unnamed creates in the book, want 18 and 3", len(book.Orders), book.UnnamedCreates)
	}
	if got := book.Funds["USD"]; got.Available != 100_00 {
		t.Errorf("refusals moved money: %+v", got)
	}
}

func TestSignatureIsRequired(t *testing.T) {
	t.Parallel()
	g := start(t, fast())
	body := strings.Replace(string(signed(payout("S01"))), `"25.00"`, `"2500"`, 1)
	_, data, err := g.post(createPath, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil || e.Code != codeSignature {
		t.Errorf("changed amount: %s (%v)", data, err)
	}
	for _, body := range []string{"", "{", "[]", `{"sign":"x"}`, `{"param":[]}`, string(signed(payout("S02"))) + "x"} {
		_, data, err := g.post(createPath, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &e); err != nil || e.Code != codeRequest {
			t.Errorf("body %q: %s (%v)", body, data, err)
		}
	}
	if o := g.order("S01"); o.Creates != 1 || o.Accepted != 0 {
		t.Errorf("badly signed create in the book: %+v", o)
	}
}

func TestSeparators(t *testing.T) {
	t.Parallel()
	forms := []Separator{SeparatorJava, SeparatorAmp, SeparatorComma}
	for _, setting := range append(forms, SeparatorAny) {
		config := fast()
		config.Separator = setting
		g := start(t, config)
		for _, used := range forms {
			no := fmt.Sprintf("SEP%s%s", setting, used)
			param := payout(no)
			param["receiverInfo"] = map[string]any{"accountNo": "U1234567", "remark": "July"}
			body, _ := json.Marshal(map[string]any{"param": param, "sign": sign(param, used, DefaultKey)})
			if _, _, err := g.post(createPath, body); err != nil {
				t.Fatal(err)
			}
			accepted := g.order(no).Accepted == 1
			if want := setting == used || setting == SeparatorAny; accepted != want {
				t.Errorf("set to %s, signed with %s: accepted = %v, want %v", setting, used, accepted, want)
			}
		}
		if got := g.Book().Signatures[SeparatorComma]; setting == SeparatorAny && got != 1 {
			t.Errorf("%d comma signatures counted, want 1", got)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	config := fast()
	config.Limits = map[ChannelCurrency]Limit{
		{PerfectMoney, "USD"}: {Min: 5_00, Max: 100_00},
		{Advcash, "USD"}:      {Min: 2_00, Max: 50_00},
		{Payeer, "USD"}:       {Min: 3_00, Max: 60_00},
		{FasaPay, "USD"}:      {Min: 4_00, Max: 70_00},
	}
	g := start(t, config)
	tests := []struct {
		name, channel, min, max string
	}{
		{"one channel", Advcash, "2.00", "50.00"},
		{"all channels", "", "2.00", "100.00"},
	}
	for _, test := range tests {
		e := g.call(limitPath, params("currency", "USD", "category", "EWALLET", "type", "PAYMENT", "channelCode", test.channel))
		want := map[string]any{"singleMin": test.min, "singleMax": test.max}
		if diff := cmp.Diff(want, e.members(t)); diff != "" || e.Sign == "" {
			t.Errorf("%s (-want +got):\n%s\nsign %q", test.name, diff, e.Sign)
		}
	}
}

func TestBalance(t *testing.T) {
	t.Parallel()
	config := Config{Balances: map[money.Currency]money.Amount{"USD": 128453_11, "EUR": 5313_61, "JPY": 900}}
	g := start(t, config)
	g.create("HELD0001")
	e := g.call(balancePath, params())
	want := `[{"currency":"EUR","balance":"5313.61"},{"currency":"JPY","balance":"900.00"},{"currency":"USD","balance":"128428.11"}]`
	if string(e.Data) != want || e.Sign != "" {
		t.Errorf("all balances: %s, sign %q", e.Data, e.Sign)
	}
	if err := g.Fund("EUR", 1_00); err != nil {
		t.Fatal(err)
	}
	e = g.call(balancePath, params("currency", "EUR"))
	if string(e.Data) != `[{"currency":"EUR","balance":"5314.61"}]` {
		t.Errorf("one balance: %s", e.Data)
	}
}

func TestReplySigning(t *testing.T) {
	t.Parallel()
	tests := []struct {
		signing             ReplySigning
		object, array, null bool
	}{
		{SignData, true, false, false},
		{SignAlways, true, true, true},
		{SignNever, false, false, false},
	}
	for _, test := range tests {
		config := fast()
		config.ReplySigning = test.signing
		g := start(t, config)
		got := []bool{g.create("A1").Sign != "", g.call(balancePath, params()).Sign != "", g.query("B1").Sign != ""}
		if diff := cmp.Diff([]bool{test.object, test.array, test.null}, got); diff != "" {
			t.Errorf("%s: object, array, null signed (-want +got):\n%s", test.signing, diff)
		}
	}
}

func TestShapesOfErrors(t *testing.T) {
	t.Parallel()
	config := fast()
	config.NotFound = NotFoundNull
	config.ErrorStatus = http.StatusBadRequest
	config.RandomCodes = true
	g := start(t, config)
	if e := g.query("NEVERUSED"); e.Code != codeSuccess || string(e.Data) != "null" {
		t.Errorf("unknown order: %+v", e)
	}
	codes := make(map[int]bool)
	for i := range 20 {
		response, data, err := g.post(createPath, signed(payout(fmt.Sprint("E", i), "amount", "x")))
		if err != nil {
			t.Fatal(err)
		}
		var e envelope
		if err := json.Unmarshal(data, &e); err != nil || e.Code == codeSuccess || response.StatusCode != http.StatusBadRequest {
			t.Errorf("HTTP %d %s", response.StatusCode, data)
		}
		codes[e.Code] = true
	}
	if len(codes) < 15 {
		t.Errorf("only %d different codes in 20 errors", len(codes))
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		policy             Duplicates
		code               int
		sameNumber         bool
		accepted, paid     int
		spent              money.Amount
		queriedAfterRepeat string
	}{
		{DuplicateRefuse, codeDuplicate, false, 1, 1, 25_00, "25.00"},
		{DuplicateReturn, codeSuccess, true, 1, 1, 25_00, "25.00"},
		{DuplicatePay, codeSuccess, false, 2, 2, 65_00, "40.00"},
	}
	for _, test := range tests {
		t.Run(string(test.policy), func(t *testing.T) {
			t.Parallel()
			config := fast()
			config.Duplicates = test.policy
			g := start(t, config)
			first := g.create("TWICE001")
			second := g.create("TWICE001", "amount", "40.00")
			if second.Code != test.code {
				t.Fatalf("repeat: %+v", second)
			}
			if test.code == codeSuccess {
				same := first.value(t, "epayOrderNo") == second.value(t, "epayOrderNo")
				if same != test.sameNumber {
					t.Errorf("same gateway number: %v", same)
				}
			}
			g.settle()
			book := g.Book()
			o := book.Orders["TWICE001"]
			if o.Creates != 2 || o.Accepted != test.accepted || o.Paid != test.paid || o.PaidAmount != test.spent {
				t.Errorf("book: %+v", o)
			}
			if got := len(book.PaidTwice()); got != test.paid-1 {
				t.Errorf("%d orders paid twice, want %d", got, test.paid-1)
			}
			if got := book.Funds["USD"]; got.Spent != test.spent {
				t.Errorf("spent %d, want %d", got.Spent, test.spent)
			}
			if got := g.query("TWICE001").value(t, "amount"); got != test.queriedAfterRepeat {
				t.Errorf("amount %s, want %s", got, test.queriedAfterRepeat)
			}
			if third := g.create("TWICE001"); test.policy == DuplicateReturn && third.value(t, "status") != "7" {
				t.Errorf("the stored order came back with its old status: %s", third.Data)
			}
			checkFunds(t, book)
		})
	}
}

func TestAccountNumberChoosesOutcome(t *testing.T) {
	t.Parallel()
	const amount, fee = 25_00, 1_00
	tests := []struct {
		account string
		status  int
		want    Funds
	}{
		{"U000901", StatusProcessing, Funds{Held: amount + fee}},
		{"U000905", StatusCancelled, Funds{}},
		{"U1000906", StatusFailed, Funds{}},
		{"U1000907", StatusPaid, Funds{Spent: amount, Fees: fee}},
		{"U000908", StatusClosed, Funds{}},
		{"U000909", StatusFrozen, Funds{Held: amount + fee}},
		{"U000911", StatusException, Funds{Held: amount + fee}},
		{"U000919", StatusPaid, Funds{Spent: amount, Fees: fee}},
		{"U000920", StatusFeeKept, Funds{Fees: fee}},
		{"U000976", StatusFailed, Funds{}},
		{"U000999", StatusPaid, Funds{Spent: amount, Fees: fee}},
	}
	for _, test := range tests {
		config := fast()
		config.Fees = map[string]Fee{PerfectMoney: {Flat: fee}}
		g := start(t, config)
		g.create("OUTCOME1", "accountNo", test.account)
		g.settle()
		g.mustStatus("OUTCOME1", fmt.Sprint(test.status))
		got := g.Book().Funds["USD"]
		test.want.Funded = 1_000_000_00
		test.want.Available = 1_000_000_00 - test.want.Held - test.want.Spent - test.want.Fees
		if got != test.want {
			t.Errorf("account %s: funds %+v, want %+v", test.account, got, test.want)
		}
	}
}

func TestOutcomesReplayFromTheSeed(t *testing.T) {
	t.Parallel()
	config := Config{Instant: true, Outcomes: []Weighted{{"7", 6}, {"6", 2}, {"20", 1}, {"1", 1}}}
	run := func(seed int64) map[string]int {
		config.Seed = seed
		g := start(t, config)
		statuses := make(map[string]int)
		for i := range 200 {
			no := fmt.Sprintf("SEED%04d", i)
			if status := g.create(no).value(t, "status"); status != "1" {
				t.Errorf("create says status %s", status)
			}
			statuses[no] = g.order(no).Status
		}
		return statuses
	}
	first := run(1)
	if diff := cmp.Diff(first, run(1)); diff != "" {
		t.Errorf("the same seed went another way:\n%s", diff)
	}
	if cmp.Equal(first, run(2)) {
		t.Error("another seed went the same way")
	}
	count := make(map[int]int)
	for _, status := range first {
		count[status]++
	}
	if count[7] < 90 || count[7] > 150 || count[6] == 0 || count[20] == 0 || count[1] == 0 {
		t.Errorf("200 orders with weights 6:2:1:1 ended as %v", count)
	}
}

func TestScriptAndMove(t *testing.T) {
	t.Parallel()
	g := start(t, fast())
	if err := g.Script("SCRIPT01", "1"); err != nil {
		t.Fatal(err)
	}
	g.create("SCRIPT01")
	g.settle()
	g.mustStatus("SCRIPT01", "1")
	for _, status := range []int{StatusPickup, StatusPaid, StatusFailed, StatusProcessing, StatusPaid} {
		if err := g.Move("SCRIPT01", status); err != nil {
			t.Fatal(err)
		}
		g.mustStatus("SCRIPT01", fmt.Sprint(status))
		checkFunds(t, g.Book())
	}
	if err := g.Move("NOSUCH01", StatusPaid); !errors.Is(err, ErrUnknownOrder) {
		t.Errorf("move of an unknown order: %v", err)
	}
	if err := g.Script("SCRIPT02", "seven"); err == nil {
		t.Error("an outcome that is no status was accepted")
	}
}

func TestConcurrentCreates(t *testing.T) {
	t.Parallel()
	config := fast()
	config.Duplicates = DuplicatePay
	config.Outcomes = []Weighted{{"7", 5}, {"6", 1}, {"20", 1}, {"19,7", 1}}
	config.Balances = map[money.Currency]money.Amount{"USD": 5_000_00}
	g := start(t, config)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 50 {
				no := fmt.Sprintf("RACE%04d", (worker/2)*50+i) // every number twice
				if _, _, err := g.post(createPath, signed(payout(no))); err != nil {
					t.Error(err)
				}
				checkFunds(t, g.Book())
			}
		})
	}
	all.Wait()
	g.settle()
	book := g.Book()
	checkFunds(t, book)
	creates, accepted, paid := 0, 0, 0
	for _, o := range book.Orders {
		creates += o.Creates
		accepted += o.Accepted
		paid += o.Paid
	}
	if creates != 400 || accepted < 200 || accepted == 400 {
		t.Errorf("%d creates, %d accepted; the balance covers 200 at a time", creates, accepted)
	}
	if got := book.Funds["USD"]; got.Spent != money.Amount(paid)*25_00 || got.Available < 0 {
		t.Errorf("%d payments of 25.00, funds %+v", paid, got)
	}
	if got := book.Counts[Create]; got != 400 {
		t.Errorf("%d calls counted", got)
	}
}

func TestOnlyLoopbackIsListenedOn(t *testing.T) {
	t.Parallel()
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "[::]:0"} {
		if err := s.Start(addr); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	config := Demo()
	config.TimeScale = 0.00001
	g := start(t, config)
	for i := range 300 {
		channel := []string{PerfectMoney, Advcash, Payeer, FasaPay}[i%4]
		if e := g.create(fmt.Sprintf("DEMO%04d", i), "channelCode", channel); e.Code != codeSuccess {
			t.Fatalf("channel %s: %+v", channel, e)
		}
	}
	g.settle()
	book := g.Book()
	checkFunds(t, book)
	if last := book.Totals[len(book.Totals)-1]; len(book.Totals) < 3 || book.Funds["USD"].Held != 0 || last.Count > 20 {
		t.Errorf("a demo of 300 orders ended as %+v with %+v", book.Totals, book.Funds["USD"])
	}
}

func TestLongTextsAreClipped(t *testing.T) {
	t.Parallel()
	g := start(t, Config{BookPath: filepath.Join(t.TempDir(), "book.jsonl"), Instant: true})
	long := strings.Repeat("\u00e9\"", 150_000)
	for i, field := range []string{"amount", "accountNo", "notifyUrl", "channelCode", "currency", "extendFields"} {
		no := fmt.Sprintf("LONG%04d", i)
		if e := g.create(no, field, long); e.Code == codeSuccess || len(g.order(no).History) != 2 {
			t.Errorf("%s of %d bytes: %+v", field, len(long), e)
		}
	}
	config := g.config
	g.stop()
	start(t, config) // the lines are not too long to be read again
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	tests := map[string]Config{
		"separator":       {Separator: "dash"},
		"duplicates":      {Duplicates: "maybe"},
		"reply signing":   {ReplySigning: "sometimes"},
		"not found":       {NotFound: "404"},
		"outcome":         {Outcomes: []Weighted{{"paid", 1}}},
		"weight":          {Outcomes: []Weighted{{"7", 0}}},
		"negative weight": {Outcomes: []Weighted{{"7", 2}, {"6", -1}}},
		"script":          {Scripts: map[string]Outcome{"A": "x"}},
		"balance":         {Balances: map[money.Currency]money.Amount{"USD": -1}},
		"currency":        {Balances: map[money.Currency]money.Amount{"XXQ": 1}},
		"channel":         {Channels: map[string][]money.Currency{"11": {"XXQ"}}},
		"fee":             {Fees: map[string]Fee{"11": {PartsPerMillion: 1_000_001}}},
		"time scale":      {TimeScale: -1},
		"fault":           {Faults: Faults{Rules: []Fault{{At: Create, Kind: FaultDrop}}}},
	}
	for name, config := range tests {
		if s, err := New(config); err == nil {
			t.Errorf("%s was accepted", name)
			_ = s.Close(t.Context())
		}
	}
}

package epay_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payrun/epay"
)

// The request on the wire is vector 03 of testdata/vectors.json, sign included.
func TestLimit(t *testing.T) {
	t.Parallel()
	var path, body string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		path, body = r.URL.Path, string(raw)
		_, _ = io.WriteString(w, signed(fields{"singleMin": "0", "singleMax": "9999999", "more": "x"}))
	})
	got, err := newClient(t, base, required).Limit(t.Context(), epay.LimitQuery{Channel: epay.Payeer, Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "limit", got, epay.Limit{Min: "0", Max: "9999999"})
	equal(t, "path", path, "/capi/openapi/payoutApi/getLimit")
	if !strings.HasSuffix(body, `"sign":"C82C0AB73D1CC67109CE2863029B9C2C687154A8A8F9572E749904E1D8342973"}`) {
		t.Errorf("body %s", body)
	}
}

func TestLimitErrors(t *testing.T) {
	t.Parallel()
	data := fields{"singleMin": "1.00", "singleMax": "500"}
	for name, tt := range map[string]struct {
		status int
		body   string
		want   epay.Reason // "" for a refusal
	}{
		"refused":            {200, envelope(3001, nil, ""), ""},
		"HTTP 500":           {500, signed(data), epay.ReasonServerError},
		"page":               {200, "<html>", epay.ReasonNotJSON},
		"wrong sign":         {200, envelope(1, data, strings.Repeat("A", 64)), epay.ReasonBadSignature},
		"another account":    {200, strings.Replace(signed(data), testAccount, "other", 1), epay.ReasonMismatch},
		"no account":         {200, strings.Replace(signed(data), `"`+testAccount+`"`, "null", 1), epay.ReasonIncomplete},
		"no maximum":         {200, signed(data.without("singleMax")), epay.ReasonIncomplete},
		"maximum null":       {200, signed(data.with("singleMax", nil)), epay.ReasonIncomplete},
		"maximum in words":   {200, signed(data.with("singleMax", "unlimited")), epay.ReasonMalformed},
		"minimum negative":   {200, signed(data.with("singleMin", "-1")), epay.ReasonMalformed},
		"data a list":        {200, envelope(1, []fields{data}, ""), epay.ReasonMalformed},
		"data null":          {200, envelope(1, nil, ""), epay.ReasonMalformed},
		"refused by a proxy": {407, "", epay.ReasonEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newClient(t, answer(t, tt.status, tt.body)).Limit(t.Context(), epay.LimitQuery{Channel: epay.Payeer, Currency: "USD"})
			checkLookupError(t, err, tt.want)
			equal(t, "limit", got, epay.Limit{})
		})
	}
}

func checkLookupError(t *testing.T, err error, want epay.Reason) {
	t.Helper()
	var failed *epay.Error
	if !errors.As(err, &failed) {
		t.Fatalf("error %v is not an *epay.Error", err)
	}
	equal(t, "reason", failed.Reply.Reason, want)
	equal(t, "refused", errors.Is(err, epay.ErrRefused), want == "")
	if strings.Contains(err.Error(), testKey) || !strings.HasPrefix(err.Error(), "epay get") {
		t.Errorf("error text %q", err)
	}
}

func TestLookupsRefuseBadQuestions(t *testing.T) {
	t.Parallel()
	c := newClient(t, "http://127.0.0.1:1/")
	for _, q := range []epay.LimitQuery{{}, {Channel: "13", Currency: "USD"}, {Channel: "11", Currency: "usd"}} {
		_, err := c.Limit(t.Context(), q)
		checkLookupError(t, err, epay.ReasonInvalid)
	}
	_, err := c.Balances(t.Context(), "US")
	checkLookupError(t, err, epay.ReasonInvalid)
}

func TestBalances(t *testing.T) {
	t.Parallel()
	var body string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body = string(raw)
		_, _ = io.WriteString(w, envelope(1, []any{
			fields{"currency": "EUR", "balance": "5313.61"},
			fields{"currency": "JPY", "balance": json.Number("89.78")},
			fields{"currency": "USD", "balance": "-0.10", "frozen": nil},
		}, ""))
	})
	c := newClient(t, base, required)
	got, err := c.Balances(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []epay.Balance{{"EUR", "5313.61"}, {"JPY", "89.78"}, {"USD", "-0.10"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Vector 02: an empty currency is neither sent nor signed.
	equal(t, "body", body, `{"param":{"epayAccount":"test2020@epay.com","version":"V2.0.0"},`+
		`"sign":"9EC7C968226F80DAC24CD1F2326A3FF09C72C9B5D6F1F8365AE21587625D5CE7"}`)

	if _, err := c.Balances(t.Context(), "USD"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(body, `{"param":{"currency":"USD","epayAccount"`) {
		t.Errorf("body %s", body)
	}
}

func TestBalancesErrors(t *testing.T) {
	t.Parallel()
	one := fields{"currency": "USD", "balance": "1.00"}
	for name, tt := range map[string]struct {
		body string
		want epay.Reason
	}{
		"refused":          {envelope(9, nil, ""), ""},
		"an object":        {envelope(1, one, ""), epay.ReasonMalformed},
		"null":             {envelope(1, nil, ""), epay.ReasonMalformed},
		"item not object":  {envelope(1, []any{"USD"}, ""), epay.ReasonMalformed},
		"currency twice":   {envelope(1, []any{one, one}, ""), epay.ReasonMalformed},
		"currency missing": {envelope(1, []any{one.without("currency")}, ""), epay.ReasonMalformed},
		"balance null":     {envelope(1, []any{one.with("balance", nil)}, ""), epay.ReasonMalformed},
		"balance in words": {envelope(1, []any{one.with("balance", "1,000.00")}, ""), epay.ReasonMalformed},
		"torn":             {envelope(1, []any{one}, "")[:60], epay.ReasonTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newClient(t, answer(t, 200, tt.body)).Balances(t.Context(), "USD")
			checkLookupError(t, err, tt.want)
			if got != nil {
				t.Errorf("balances %v", got)
			}
		})
	}
	empty, err := newClient(t, answer(t, 200, envelope(1, []any{}, ""))).Balances(t.Context(), "")
	if err != nil || len(empty) != 0 {
		t.Errorf("no balances: %v, %v", empty, err)
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	const canary = "CANARYKEY4711"
	good := epay.Config{BaseURL: "https://gateway.example/capi/openapi/", Account: testAccount, Key: canary}
	tests := map[string]struct {
		change func(*epay.Config)
		field  string // "" if accepted
	}{
		"as it is":              {func(*epay.Config) {}, ""},
		"no closing slash":      {func(c *epay.Config) { c.BaseURL = "https://gateway.example/capi/openapi" }, ""},
		"local http":            {func(c *epay.Config) { c.BaseURL = "http://127.0.0.1:8080/" }, ""},
		"local http, other":     {func(c *epay.Config) { c.BaseURL = "http://127.3.2.1:8080/" }, ""},
		"local http, IPv6":      {func(c *epay.Config) { c.BaseURL = "http://[::1]:8080/" }, ""},
		"local http, name":      {func(c *epay.Config) { c.BaseURL = "http://localhost:8080/" }, ""},
		"amp":                   {func(c *epay.Config) { c.Separator = epay.SeparatorAmp }, ""},
		"no address":            {func(c *epay.Config) { c.BaseURL = "" }, "BaseURL"},
		"plain http":            {func(c *epay.Config) { c.BaseURL = "http://api.epay.com/" }, "BaseURL"},
		"http, alike localhost": {func(c *epay.Config) { c.BaseURL = "http://localhost.example.com/" }, "BaseURL"},
		"http, alike 127":       {func(c *epay.Config) { c.BaseURL = "http://127.0.0.1.example.com/" }, "BaseURL"},
		"http, local user":      {func(c *epay.Config) { c.BaseURL = "http://127.0.0.1@example.com/" }, "BaseURL"},
		"http to all addresses": {func(c *epay.Config) { c.BaseURL = "http://0.0.0.0/" }, "BaseURL"},
		"http, decimal address": {func(c *epay.Config) { c.BaseURL = "http://2130706433/" }, "BaseURL"},
		"other scheme":          {func(c *epay.Config) { c.BaseURL = "ftp://gateway.example/" }, "BaseURL"},
		"no scheme":             {func(c *epay.Config) { c.BaseURL = "gateway.example/capi" }, "BaseURL"},
		"no host":               {func(c *epay.Config) { c.BaseURL = "https:///capi" }, "BaseURL"},
		"opaque":                {func(c *epay.Config) { c.BaseURL = "https:gateway" }, "BaseURL"},
		"unreadable":            {func(c *epay.Config) { c.BaseURL = "https://%zz/" + canary }, "BaseURL"},
		"user in the address":   {func(c *epay.Config) { c.BaseURL = "https://u:" + canary + "@gateway.example/" }, "BaseURL"},
		"query in the address":  {func(c *epay.Config) { c.BaseURL = "https://gateway.example/?key=" + canary }, "BaseURL"},
		"no account":            {func(c *epay.Config) { c.Account = "" }, "Account"},
		"account with a line":   {func(c *epay.Config) { c.Account = "a\n" }, "Account"},
		"no key":                {func(c *epay.Config) { c.Key = "" }, "Key"},
		"key with a line end":   {func(c *epay.Config) { c.Key = canary + "\n" }, "Key"},
		"old key with a space":  {func(c *epay.Config) { c.PreviousKey = " " + canary }, "Key"},
		"separator unknown":     {func(c *epay.Config) { c.Separator = ", " }, "Separator"},
		"policy unknown":        {func(c *epay.Config) { c.ReplySignature = "never" }, "ReplySignature"},
		"negative timeout":      {func(c *epay.Config) { c.Timeout = -time.Second }, "ConnectTimeout, Timeout and MaxConnections"},
		"negative connections":  {func(c *epay.Config) { c.MaxConnections = -1 }, "ConnectTimeout, Timeout and MaxConnections"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			tt.change(&cfg)
			c, err := epay.New(cfg)
			if tt.field == "" {
				if err != nil || c == nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var refused *epay.InvalidError
			if !errors.As(err, &refused) || refused.Field != tt.field {
				t.Fatalf("error %v, want one about %s", err, tt.field)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("error shows a secret: %v", err)
			}
		})
	}
}

func TestConfigAndClientDoNotShowTheKeys(t *testing.T) {
	t.Parallel()
	const canary = "CANARYKEY4711"
	cfg := epay.Config{BaseURL: "https://u:" + canary + "@gateway.example/?k=" + canary, Account: testAccount, Key: canary, PreviousKey: canary}
	proper := cfg
	proper.BaseURL = "https://gateway.example/"
	c, err := epay.New(proper)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for _, v := range []any{cfg, &cfg, c, *c, struct{ C epay.Config }{cfg}, []epay.Config{cfg}} {
		fmt.Fprintf(&log, "%v %+v %#v %s\n", v, v, v, v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	}
	if strings.Contains(log.String(), canary) {
		t.Errorf("shows the key:\n%s", log.String())
	}
	if !strings.Contains(cfg.String(), "gateway.example") || !strings.Contains(cfg.String(), "key=set") {
		t.Errorf("says too little: %s", cfg)
	}
}

// No error, outcome or log line of any kind of failure carries the key.
func TestFailuresDoNotShowSecrets(t *testing.T) {
	t.Parallel()
	bases := []string{
		"http://127.0.0.1:1/",
		answer(t, 200, "<html>"), answer(t, 500, ""), answer(t, 200, envelope(1, created(), strings.Repeat("A", 64))),
		answer(t, 200, envelope(2, nil, "")), answer(t, 200, signed(created().with("amount", "1"))),
	}
	for _, base := range bases {
		c := newClient(t, base)
		out := c.CreateEwalletTransaction(t.Context(), testPayout())
		_, limitErr := c.Limit(t.Context(), epay.LimitQuery{Channel: epay.Payeer, Currency: "USD"})
		_, balanceErr := c.Balances(t.Context(), "")
		raw := out.Raw
		out.Raw = nil
		text := fmt.Sprintf("%+v %#v %v %v", out, out, limitErr, balanceErr)
		for _, secret := range []string{testKey, "P1000000", "898CFF67492D95E0B34C85B0EB415F83"} {
			if strings.Contains(text, secret) || strings.Contains(string(raw), testKey) {
				t.Errorf("%s shows %s: %s", base, secret, text)
			}
		}
	}
}

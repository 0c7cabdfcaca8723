package epay_test

import (
	"crypto/sha256"
	"encoding/hex"
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

// The request on the wire is vector 04 of testdata/vectors.json, sign included.
func TestCreateSendsTheDocumentedRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, signed(created()))
	})
	out := newClient(t, base).CreateEwalletTransaction(t.Context(), testPayout())

	equal(t, "verdict", out.Verdict, epay.Accepted)
	equal(t, "method", got.Method, http.MethodPost)
	equal(t, "path", got.URL.Path, "/capi/openapi/payoutApi/createEwalletTransaction")
	equal(t, "protocol", got.Proto, "HTTP/1.1")
	equal(t, "content type", got.Header.Get("Content-Type"), "application/json")
	equal(t, "content length", got.ContentLength, int64(len(body)))
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key", "Accept-Encoding", "Cookie"} {
		equal(t, name, got.Header.Get(name), "")
	}
	want := map[string]any{
		"param": map[string]any{
			"epayAccount": testAccount, "category": "EWALLET", "channelCode": "16",
			"notifyUrl": "https://merchant.example/epay/notify", "merchantOrderNo": testOrder,
			"amount": "25.00", "currency": "USD", "version": "V2.0.0",
			"receiverInfo": map[string]any{"accountNo": "P1000000"},
		},
		"sign": "898CFF67492D95E0B34C85B0EB415F83B9CFF31D360DD31111E20E673B21D6E3",
	}
	var sent map[string]any
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
}

func TestCreateAccepted(t *testing.T) {
	t.Parallel()
	nested := func(signedText string) string {
		data := created().with("extendFields", map[string]any{"b": "2", "a": "1", "c": nil})
		return envelope(1, data, sign(testKey, data, map[string]string{"extendFields": signedText}))
	}
	jsonText := created().with("extendFields", `{"test":"test","a":"1"}`)
	tests := map[string]struct {
		status int
		body   string
		change func(*epay.Config)
	}{
		"as documented":                 {200, signed(created()), nil},
		"signed where required":         {200, signed(created()), required},
		"unsigned":                      {200, envelope(1, created(), ""), nil},
		"sign is null":                  {200, envelope(1, created(), nil), nil},
		"sign in lower case":            {200, envelope(1, created(), strings.ToLower(sign(testKey, created(), nil))), required},
		"code as text":                  {200, envelope("1", created(), sign(testKey, created(), nil)), nil},
		"status as number":              {200, signed(created().with("status", 1)), required},
		"amount as number":              {200, signed(created().with("amount", json.Number("25.00"))), required},
		"amount written shorter":        {200, signed(created().with("amount", "25")), nil},
		"amount written longer":         {200, signed(created().with("amount", "25.0000")), nil},
		"fields of a look-up":           {200, signed(queried()), required},
		"nulls wherever possible":       {200, signed(created().with("payerFee", nil).with("rate", nil).with("epayOrderNo", nil).with("receiveAmount", nil).with("category", nil)), required},
		"further field":                 {200, signed(created().with("newField", "x").with("flag", true)), required},
		"HTTP 201":                      {201, signed(created()), nil},
		"HTTP 400":                      {400, signed(created()), nil},
		"HTTP 403":                      {403, signed(created()), nil},
		"nested, signed as java":        {200, nested("{a=1, b=2}"), required},
		"nested, signed as amp":         {200, nested("{a=1&b=2}"), required},
		"nested, signed as comma":       {200, nested("{a=1,b=2}"), required},
		"JSON in a text, signed raw":    {200, signed(jsonText), required},
		"JSON in a text, signed opened": {200, envelope(1, jsonText, sign(testKey, jsonText, map[string]string{"extendFields": "{a=1, test=test}"})), required},
		"white space around":            {200, "\r\n " + signed(created()) + "\n", nil},
		"signed with the previous key":  {200, envelope(1, created(), sign("the-key-before", created(), nil)), func(c *epay.Config) { c.PreviousKey = "the-key-before" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := tt.change
			if change == nil {
				change = func(*epay.Config) {}
			}
			out := newClient(t, answer(t, tt.status, tt.body), change).CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "verdict", out.Verdict, epay.Accepted)
			equal(t, "reason", out.Reason, "")
			equal(t, "not sent", out.NotSent, false)
			equal(t, "HTTP status", out.HTTPStatus, tt.status)
			equal(t, "code", out.Code, "1")
			equal(t, "order", out.Order.OrderNo, testOrder)
			equal(t, "raw", string(out.Raw), tt.body)
			equal(t, "digest", out.Digest, digest(tt.body))
			if out.Err != nil {
				t.Errorf("error: %v", out.Err)
			}
		})
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestCreateReadsTheOrder(t *testing.T) {
	t.Parallel()
	out := newClient(t, answer(t, 200, signed(created()))).CreateEwalletTransaction(t.Context(), testPayout())
	want := epay.Order{
		OrderNo: testOrder, GatewayOrderNo: "231151598560704599183360", Category: "EWALLET",
		Status: epay.StatusProcessing, Amount: "25.0", Currency: "USD",
		ReceiveAmount: "25.00", ReceiveCurrency: "USD", Rate: "1.000000", Fee: "2.10",
	}
	if diff := cmp.Diff(want, out.Order); diff != "" {
		t.Error(diff)
	}
	equal(t, "message", out.Message, "words of the gateway")
}

// No code but 1 is documented, so a rejection is only a word: the caller asks.
func TestCreateRejected(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status   int
		body     string
		change   func(*epay.Config)
		wantCode string
	}{
		"code and null":                  {200, envelope(2, nil, ""), nil, "2"},
		"code and no more":               {200, `{"code":1001}`, nil, "1001"},
		"code zero":                      {200, envelope(0, nil, nil), nil, "0"},
		"negative code":                  {200, envelope(-1, nil, nil), nil, "-1"},
		"code as text":                   {200, envelope("E1001", nil, ""), nil, "E1001"},
		"HTTP 400":                       {400, envelope(400, nil, ""), nil, "400"},
		"HTTP 403":                       {403, envelope(403, nil, ""), nil, "403"},
		"empty data, signed":             {200, envelope(2, fields{}, sign(testKey, fields{}, nil)), required, "2"},
		"null data, signed":              {200, envelope(2, nil, sign(testKey, fields{}, nil)), required, "2"},
		"our order":                      {200, envelope(2, created(), sign(testKey, created(), nil)), required, "2"},
		"our order with another amount":  {200, envelope(2, created().with("amount", "1.00"), ""), nil, "2"},
		"code that resembles success":    {200, envelope("01", nil, ""), nil, "01"},
		"code with success in its words": {200, envelope("1001", nil, ""), nil, "1001"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := tt.change
			if change == nil {
				change = func(*epay.Config) {}
			}
			out := newClient(t, answer(t, tt.status, tt.body), change).CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "verdict", out.Verdict, epay.Rejected)
			equal(t, "reason", out.Reason, "")
			equal(t, "code", out.Code, tt.wantCode)
			equal(t, "HTTP status", out.HTTPStatus, tt.status)
			equal(t, "not sent", out.NotSent, false)
		})
	}
}

// doubtful are answers that decide nothing, whatever was asked. data is a good
// answer's data.
func doubtful(data fields) map[string]struct {
	status int
	body   string
	change func(*epay.Config)
	want   epay.Reason
} {
	good := signed(data)
	otherSign := sign("another key", data, nil)
	none := func(*epay.Config) {}
	return map[string]struct {
		status int
		body   string
		change func(*epay.Config)
		want   epay.Reason
	}{
		"HTTP 500 with a good answer":     {500, good, none, epay.ReasonServerError},
		"HTTP 502 with a page":            {502, "<html>Bad Gateway</html>", none, epay.ReasonServerError},
		"HTTP 503 with a refusal":         {503, envelope(2, nil, ""), none, epay.ReasonServerError},
		"HTTP 504 empty":                  {504, "", none, epay.ReasonServerError},
		"HTTP 429 with a good answer":     {429, good, none, epay.ReasonThrottled},
		"HTTP 429 with a refusal":         {429, envelope(429, nil, ""), none, epay.ReasonThrottled},
		"HTTP 304":                        {304, "", none, epay.ReasonRedirect},
		"page with HTTP 200":              {200, "<html>welcome</html>", none, epay.ReasonNotJSON},
		"page with HTTP 403":              {403, "<html>blocked</html>", none, epay.ReasonNotJSON},
		"empty":                           {200, "", none, epay.ReasonEmpty},
		"torn":                            {200, good[:len(good)-1], none, epay.ReasonTruncated},
		"torn early":                      {200, good[:20], none, epay.ReasonTruncated},
		"junk behind":                     {200, good + "x", none, epay.ReasonTrailing},
		"two answers":                     {200, good + good, none, epay.ReasonTrailing},
		"a list":                          {200, "[" + good + "]", none, epay.ReasonMalformed},
		"a text":                          {200, `"ok"`, none, epay.ReasonMalformed},
		"null":                            {200, `null`, none, epay.ReasonMalformed},
		"empty object":                    {200, `{}`, none, epay.ReasonMalformed},
		"no code":                         {200, strings.Replace(good, `"code":1,`, "", 1), none, epay.ReasonMalformed},
		"code in other letters":           {200, strings.Replace(good, `"code"`, `"Code"`, 1), none, epay.ReasonMalformed},
		"code twice":                      {200, strings.Replace(good, `"code":1,`, `"code":1,"code":2,`, 1), none, epay.ReasonMalformed},
		"code null":                       {200, envelope(nil, data, ""), none, epay.ReasonMalformed},
		"code true":                       {200, envelope(true, data, ""), none, epay.ReasonMalformed},
		"code 1.0":                        {200, envelope(json.Number("1.0"), data, ""), none, epay.ReasonMalformed},
		"code 1e0":                        {200, envelope(json.Number("1e0"), data, ""), none, epay.ReasonMalformed},
		"code with a space":               {200, envelope("1 ", data, ""), none, epay.ReasonMalformed},
		"code empty":                      {200, envelope("", data, ""), none, epay.ReasonMalformed},
		"code a list":                     {200, envelope([]int{1}, data, ""), none, epay.ReasonMalformed},
		"sign a number":                   {200, envelope(1, data, 5), none, epay.ReasonMalformed},
		"sign an object":                  {200, envelope(1, data, fields{}), none, epay.ReasonMalformed},
		"field twice":                     {200, strings.Replace(good, `"status"`, `"amount":"25.00","status"`, 1), none, epay.ReasonMalformed},
		"amount an object":                {200, envelope(1, data.with("amount", fields{}), ""), none, epay.ReasonMalformed},
		"amount with an exponent":         {200, envelope(1, data.with("amount", json.Number("2.5e1")), ""), none, epay.ReasonMalformed},
		"amount negative":                 {200, envelope(1, data.with("amount", "-25.00"), ""), none, epay.ReasonMalformed},
		"status a boolean":                {200, envelope(1, data.with("status", true), ""), none, epay.ReasonMalformed},
		"fee not a number":                {200, envelope(1, data.with("fee", "some"), ""), none, epay.ReasonMalformed},
		"two fees that differ":            {200, envelope(1, data.with("fee", "1.00").with("payerFee", "2.00"), ""), none, epay.ReasonMalformed},
		"two currencies that differ":      {200, envelope(1, data.with("currency", "USD").with("settlementCurrency", "EUR"), ""), none, epay.ReasonMalformed},
		"data null":                       {200, envelope(1, nil, ""), none, epay.ReasonMalformed},
		"data a list":                     {200, envelope(1, []fields{data}, ""), none, epay.ReasonMalformed},
		"data a text":                     {200, envelope(1, "{}", ""), none, epay.ReasonMalformed},
		"invalid UTF-8":                   {200, strings.Replace(good, "words", "w\xffrds", 1), none, epay.ReasonNotJSON},
		"nested without end":              {200, `{"code":1,"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}", none, epay.ReasonMalformed},
		"larger than 1 MiB":               {200, good + strings.Repeat(" ", 1<<20), none, epay.ReasonTooLarge},
		"wrong sign":                      {200, envelope(1, data, otherSign), none, epay.ReasonBadSignature},
		"wrong sign where required":       {200, envelope(1, data, otherSign), required, epay.ReasonBadSignature},
		"sign of other data":              {200, envelope(1, data.with("rate", "2"), sign(testKey, data, nil)), none, epay.ReasonBadSignature},
		"field added to signed data":      {200, envelope(1, data.with("x", "y"), sign(testKey, data, nil)), none, epay.ReasonBadSignature},
		"sign too short":                  {200, envelope(1, data, "ABC"), none, epay.ReasonBadSignature},
		"refusal, wrong sign":             {200, envelope(2, nil, otherSign), none, epay.ReasonBadSignature},
		"refusal, list with a sign":       {200, envelope(2, []fields{}, otherSign), none, epay.ReasonBadSignature},
		"unsigned where required":         {200, envelope(1, data, ""), required, epay.ReasonUnsigned},
		"refusal unsigned where required": {200, envelope(2, nil, ""), required, epay.ReasonUnsigned},
		"another order":                   {200, signed(data.with("merchantOrderNo", "PB20260102000002")), none, epay.ReasonForeignOrder},
		"order in other letters":          {200, signed(data.with("merchantOrderNo", strings.ToLower(testOrder))), none, epay.ReasonForeignOrder},
		"refusal of another order":        {200, envelope(2, data.with("merchantOrderNo", "PB20260102000002"), ""), none, epay.ReasonForeignOrder},
		"another account":                 {200, strings.Replace(good, testAccount, "other@epay.com", 1), none, epay.ReasonMismatch},
		"refusal to another account":      {200, `{"code":2,"epayAccount":"other@epay.com"}`, none, epay.ReasonMismatch},
		"no account":                      {200, strings.Replace(good, `"`+testAccount+`"`, "null", 1), none, epay.ReasonIncomplete},
		"no order number":                 {200, signed(data.without("merchantOrderNo")), none, epay.ReasonIncomplete},
		"no status":                       {200, signed(data.with("status", nil)), none, epay.ReasonIncomplete},
		"no amount":                       {200, signed(data.with("amount", nil)), none, epay.ReasonIncomplete},
		"no currency":                     {200, signed(data.without("currency").without("settlementCurrency")), none, epay.ReasonIncomplete},
	}
}

func TestCreateUnknown(t *testing.T) {
	t.Parallel()
	for name, tt := range doubtful(created()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := newClient(t, answer(t, tt.status, tt.body), tt.change).CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "verdict", out.Verdict, epay.Unknown)
			equal(t, "reason", out.Reason, tt.want)
			equal(t, "not sent", out.NotSent, false)
			equal(t, "HTTP status", out.HTTPStatus, tt.status)
			if len(out.Raw) > 64<<10 {
				t.Errorf("raw answer has %d bytes", len(out.Raw))
			}
			if tt.want != epay.ReasonTooLarge {
				equal(t, "digest", out.Digest, digest(tt.body))
			}
		})
	}
}

// What does not fit the payout is told apart from what cannot be read, and
// carries the order as evidence.
func TestCreateMismatch(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]fields{
		"amount one cent more": created().with("amount", "25.01"),
		"amount tenfold":       created().with("amount", "250.0"),
		"amount zero":          created().with("amount", "0.00"),
		"currency":             created().with("settlementCurrency", "EUR"),
		"currency in letters":  created().with("settlementCurrency", "usd"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := newClient(t, answer(t, 200, signed(data))).CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "verdict", out.Verdict, epay.Unknown)
			equal(t, "reason", out.Reason, epay.ReasonMismatch)
			equal(t, "amount", out.Order.Amount, data["amount"].(string))
			equal(t, "currency", out.Order.Currency, data["settlementCurrency"].(string))
		})
	}
}

func TestCreateKeepsCodeAndMessageOfAServerError(t *testing.T) {
	t.Parallel()
	out := newClient(t, answer(t, 503, envelope(5003, nil, ""))).CreateEwalletTransaction(t.Context(), testPayout())
	equal(t, "reason", out.Reason, epay.ReasonServerError)
	equal(t, "code", out.Code, "5003")
	equal(t, "message", out.Message, "words of the gateway")
}

func TestLongMessageIsClipped(t *testing.T) {
	t.Parallel()
	body := toJSON(map[string]any{"code": 2, "message": "x" + strings.Repeat("é", 2000)})
	out := newClient(t, answer(t, 200, body)).CreateEwalletTransaction(t.Context(), testPayout())
	equal(t, "message", out.Message, "x"+strings.Repeat("é", 499))
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		status int
		header string
		want   time.Duration
	}{
		"seconds":         {429, "7", 7 * time.Second},
		"date":            {503, now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		"date gone":       {503, now.Add(-time.Hour).Format(http.TimeFormat), 0},
		"negative":        {429, "-7", 0},
		"words":           {429, "soon", 0},
		"absent":          {429, "", 0},
		"absurd":          {429, "999999999999", 24 * time.Hour},
		"date next year":  {429, now.AddDate(1, 0, 0).Format(http.TimeFormat), 24 * time.Hour},
		"other status":    {500, "7", 0},
		"good answer 200": {200, "7", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.header)
				w.WriteHeader(tt.status)
			})
			c := newClient(t, base, func(c *epay.Config) { c.Now = func() time.Time { return now } })
			out := c.CreateEwalletTransaction(t.Context(), testPayout())
			equal(t, "retry after", out.RetryAfter, tt.want)
		})
	}
}

func TestPayoutValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*epay.Payout)
		field  string // "" if valid
	}{
		"as it is":                  {func(*epay.Payout) {}, ""},
		"no notification":           {func(p *epay.Payout) { p.NotifyURL = "" }, ""},
		"local notification":        {func(p *epay.Payout) { p.NotifyURL = "http://127.0.0.1:8080/n" }, ""},
		"e-mail account":            {func(p *epay.Payout) { p.Account = "a.b+c@example.com" }, ""},
		"order of 24":               {func(p *epay.Payout) { p.OrderNo = strings.Repeat("A", 24) }, ""},
		"order of 7":                {func(p *epay.Payout) { p.OrderNo = "ABCDEF1" }, "OrderNo"},
		"order of 25":               {func(p *epay.Payout) { p.OrderNo = strings.Repeat("A", 25) }, "OrderNo"},
		"order with a dash":         {func(p *epay.Payout) { p.OrderNo = "PB-2026-0001" }, "OrderNo"},
		"order with a foreign A":    {func(p *epay.Payout) { p.OrderNo = "PB2026000\u0410" }, "OrderNo"},
		"channel unknown":           {func(p *epay.Payout) { p.Channel = "13" }, "Channel"},
		"channel empty":             {func(p *epay.Payout) { p.Channel = "" }, "Channel"},
		"account empty":             {func(p *epay.Payout) { p.Account = "" }, "Account"},
		"account with &":            {func(p *epay.Payout) { p.Account = "P1&status=7" }, "Account"},
		"account with a comma":      {func(p *epay.Payout) { p.Account = "P1, remark" }, "Account"},
		"account with a brace":      {func(p *epay.Payout) { p.Account = "P1}" }, "Account"},
		"account with a space":      {func(p *epay.Payout) { p.Account = " P1000000" }, "Account"},
		"account with a line":       {func(p *epay.Payout) { p.Account = "P1\n" }, "Account"},
		"account with a zero joint": {func(p *epay.Payout) { p.Account = "P1\u200d0" }, "Account"},
		"account null":              {func(p *epay.Payout) { p.Account = "null" }, "Account"},
		"account too long":          {func(p *epay.Payout) { p.Account = strings.Repeat("1", 65) }, "Account"},
		"amount zero":               {func(p *epay.Payout) { p.Amount = "0.00" }, "Amount"},
		"amount negative":           {func(p *epay.Payout) { p.Amount = "-1" }, "Amount"},
		"amount with 3 decimals":    {func(p *epay.Payout) { p.Amount = "1.001" }, "Amount"},
		"amount with exponent":      {func(p *epay.Payout) { p.Amount = "1e3" }, "Amount"},
		"amount empty":              {func(p *epay.Payout) { p.Amount = "" }, "Amount"},
		"currency lower case":       {func(p *epay.Payout) { p.Currency = "usd" }, "Currency"},
		"currency empty":            {func(p *epay.Payout) { p.Currency = "" }, "Currency"},
		"notify by plain http":      {func(p *epay.Payout) { p.NotifyURL = "http://merchant.example/n" }, "NotifyURL"},
		"notify with a user":        {func(p *epay.Payout) { p.NotifyURL = "https://u:p@merchant.example/n" }, "NotifyURL"},
		"notify with &":             {func(p *epay.Payout) { p.NotifyURL = "https://merchant.example/n?a=1&amount=2" }, "NotifyURL"},
		"notify with a line":        {func(p *epay.Payout) { p.NotifyURL = "https://merchant.example/n\r\nX: y" }, "NotifyURL"},
		"notify without a host":     {func(p *epay.Payout) { p.NotifyURL = "https:///n" }, "NotifyURL"},
	}
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, signed(created())) })
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := testPayout()
			tt.change(&p)
			err := p.Validate()
			if tt.field == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var refused *epay.InvalidError
			if !errors.As(err, &refused) || refused.Field != tt.field {
				t.Fatalf("error %v, want an InvalidError about %s", err, tt.field)
			}
			out := newClient(t, base).CreateEwalletTransaction(t.Context(), p)
			equal(t, "reason", out.Reason, epay.ReasonInvalid)
			equal(t, "not sent", out.NotSent, true)
			equal(t, "HTTP status", out.HTTPStatus, 0)
		})
	}
}

func TestPayoutIsPrintedWithoutItsAccount(t *testing.T) {
	t.Parallel()
	p := testPayout()
	p.Account = "U1234567890"
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("send", "payout", p)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("send", "payout", p)
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v %#v %s", p, p, p), log.String()} {
		if strings.Contains(text, "U123456") || !strings.Contains(text, "7890") {
			t.Errorf("printed as %s", text)
		}
	}
}

package epay

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const formType = "application/x-www-form-urlencoded"

// honest are the fields of a notification as the gateway would send it.
func honest() map[string]string {
	return map[string]string{
		"epayAccount": "test2020@epay.com", "merchantOrderNo": "PB20260102000001", "epayOrderNo": "231151598560704599183360",
		"pinCode": "", "amount": "25.00", "paymentAmount": "25.00", "receiveAmount": "25.00", "settlementCurrency": "USD",
		"paymentCurrency": "USD", "receiveCurrency": "USD", "fee": "2.10", "rate": "1.000000", "status": "6", "accountNo": "P1000000",
	}
}

func with(fields map[string]string, name, v string) map[string]string {
	fields = maps.Clone(fields)
	fields[name] = v
	return fields
}

func without(fields map[string]string, name string) map[string]string {
	fields = maps.Clone(fields)
	delete(fields, name)
	return fields
}

func objectOf(fields map[string]string) value {
	var members []member
	for name, v := range fields {
		members = append(members, member{name, text(v)})
	}
	return object(members...)
}

// formBody encodes fields in a fixed order.
func formBody(fields map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		pairs = append(pairs, name+"="+url.QueryEscape(fields[name]))
	}
	return strings.Join(pairs, "&")
}

// signedBody signs fields as they are.
func signedBody(c *Client, fields map[string]string) string {
	return formBody(with(fields, "sign", string(c.signer.appendSign(nil, objectOf(fields)))))
}

func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	var refused *NotificationError
	if err == nil {
		return ""
	}
	if !errors.As(err, &refused) {
		t.Fatalf("error %v is not a NotificationError", err)
	}
	if refused.Reason == "" {
		t.Fatal("no reason")
	}
	return refused.Reason
}

func TestVectorsNotifications(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	count := 0
	for _, v := range loadVectors(t).Vectors {
		if v.Kind != "callback" {
			continue
		}
		count++
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			input := parse(t, string(v.Input))
			n, err := c.ParseNotification(v.ContentType, []byte(v.FormBody))
			if err != nil {
				t.Fatal(err)
			}
			want := Order{
				OrderNo: "PB20260102000001", GatewayOrderNo: "231151598560704599183360", Status: Status(input.get("status").text),
				Amount: "25.00", Currency: "USD", ReceiveAmount: "25.00", ReceiveCurrency: "USD", Rate: "1.000000", Fee: "2.10",
			}
			if n.Order != want {
				t.Errorf("order\n got %+v\nwant %+v", n.Order, want)
			}
			if n.AccountNo != "P1000000" || n.Remark != input.get("remark").text || len(n.Digest) != 64 {
				t.Errorf("account %q, remark %q, digest %q", n.AccountNo, n.Remark, n.Digest)
			}
			for i := range v.FormBody {
				if v.FormBody[i] != '7' && v.FormBody[i] != '0' {
					continue
				}
				tampered := v.FormBody[:i] + "3" + v.FormBody[i+1:]
				if _, err := c.ParseNotification(v.ContentType, []byte(tampered)); err == nil {
					t.Fatalf("accepts %s", tampered)
				}
			}
		})
	}
	if count != 3 {
		t.Errorf("%d notifications, want 3", count)
	}
}

func TestParseNotificationAccepts(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	plain := signedBody(c, honest())
	message := with(honest(), "message", `{"b":"2","a":"1","c":""}`)
	opened := func(text string) string {
		shown := with(honest(), "message", text)
		sign := string(c.signer.appendSign(nil, objectOf(shown)))
		return formBody(with(message, "sign", sign))
	}
	tests := map[string]struct {
		contentType string
		body        string
	}{
		"plain":                      {formType, plain},
		"charset given":              {formType + "; charset=UTF-8", plain},
		"type in capitals":           {"Application/X-WWW-Form-Urlencoded", plain},
		"sign in lower case":         {formType, lowerSign(plain)},
		"ends with &":                {formType, plain + "&"},
		"further field":              {formType, signedBody(c, with(honest(), "newField", "x y+z%= ;ü&"))},
		"isForward not signed":       {formType, plain + "&isForward=1&payUrl=https%3A%2F%2Fx%2F%3Fa%3D1%26status%3D7"},
		"isForward signed":           {formType, signedBody(c, with(honest(), "isForward", "1"))},
		"message signed raw":         {formType, signedBody(c, message)},
		"message signed opened":      {formType, opened("{a=1, b=2}")},
		"& in a remark":              {formType, signedBody(c, with(honest(), "remark", "a = b, fish & chips & c"))},
		"unsigned empty field added": {formType, plain + "&remark="},
		"settlement currency absent": {formType, signedBody(c, without(honest(), "settlementCurrency"))},
		"undocumented status":        {formType, signedBody(c, with(honest(), "status", "17"))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := c.ParseNotification(tt.contentType, []byte(tt.body))
			if err != nil {
				t.Fatalf("%v\n%s", err, tt.body)
			}
			if n.Order.OrderNo != "PB20260102000001" || n.Order.Amount != "25.00" {
				t.Errorf("order %+v", n.Order)
			}
		})
	}
}

func lowerSign(body string) string {
	head, sign, _ := strings.Cut(body, "sign=")
	return head + "sign=" + strings.ToLower(sign[:64]) + sign[64:]
}

func TestParseNotificationRefuses(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	good := signedBody(c, honest())
	tests := map[string]struct {
		contentType string
		body        string
		want        Reason
	}{
		"no type":                     {"", good, ReasonContentType},
		"JSON":                        {"application/json", good, ReasonContentType},
		"multipart":                   {"multipart/form-data; boundary=x", good, ReasonContentType},
		"other charset":               {formType + "; charset=gbk", good, ReasonContentType},
		"too large":                   {formType, good + "&x=" + strings.Repeat("y", 64<<10), ReasonTooLarge},
		"empty":                       {formType, "", ReasonUnsigned},
		"semicolon":                   {formType, good + ";status=7", ReasonMalformed},
		"bad escape":                  {formType, good + "&x=%zz", ReasonMalformed},
		"bad UTF-8":                   {formType, good + "&x=%ff", ReasonMalformed},
		"name with an escape":         {formType, good + "&stat%75s=7", ReasonMalformed},
		"name with a space":           {formType, good + "&a+b=7", ReasonMalformed},
		"no name":                     {formType, good + "&=7", ReasonMalformed},
		"very long name":              {formType, good + "&" + strings.Repeat("n", 65) + "=7", ReasonMalformed},
		"too many fields":             {formType, good + manyFields(), ReasonMalformed},
		"status twice":                {formType, good + "&status=7", ReasonRepeated},
		"status twice, alike":         {formType, good + "&status=6", ReasonRepeated},
		"empty status before":         {formType, "status=&" + good, ReasonRepeated},
		"sign twice":                  {formType, good + "&sign=" + strings.Repeat("0", 64), ReasonRepeated},
		"sign missing":                {formType, formBody(honest()), ReasonUnsigned},
		"sign empty":                  {formType, formBody(with(honest(), "sign", "")), ReasonUnsigned},
		"sign in other letters":       {formType, strings.Replace(good, "sign=", "Sign=", 1), ReasonUnsigned},
		"sign wrong":                  {formType, formBody(with(honest(), "sign", strings.Repeat("0", 64))), ReasonBadSignature},
		"status changed":              {formType, strings.Replace(good, "status=6", "status=7", 1), ReasonBadSignature},
		"amount changed":              {formType, strings.Replace(good, "amount=25.00", "amount=25.01", 1), ReasonBadSignature},
		"field missing":               {formType, strings.Replace(good, "fee=2.10&", "", 1), ReasonBadSignature},
		"field added":                 {formType, good + "&remark=x", ReasonBadSignature},
		"name in other letters":       {formType, strings.Replace(good, "status=6", "Status=6", 1), ReasonBadSignature},
		"signed with another key":     {formType, signedBody(&Client{signer: newSigner(SeparatorJava, "x")}, honest()), ReasonBadSignature},
		"account of another merchant": {formType, signedBody(c, with(honest(), "epayAccount", "other@epay.com")), ReasonMismatch},
		"account in other letters":    {formType, signedBody(c, with(honest(), "epayAccount", "Test2020@epay.com")), ReasonMismatch},
		"no account":                  {formType, signedBody(c, without(honest(), "epayAccount")), ReasonMismatch},
		"no order number":             {formType, signedBody(c, with(honest(), "merchantOrderNo", "")), ReasonIncomplete},
		"no status":                   {formType, signedBody(c, without(honest(), "status")), ReasonIncomplete},
		"status not a number":         {formType, signedBody(c, with(honest(), "status", "7 ")), ReasonIncomplete},
		"amount not a number":         {formType, signedBody(c, with(honest(), "amount", "2,500")), ReasonMalformed},
		"two currencies":              {formType, signedBody(c, with(honest(), "currency", "EUR")), ReasonMalformed},
		"anything like a field in it": {formType, signedBody(c, with(honest(), "remark", "fish & chips = x")), ReasonAmbiguous},
		"field hidden in a remark":    {formType, signedBody(c, with(honest(), "remark", "x&status=7")), ReasonAmbiguous},
		"unknown field in a remark":   {formType, signedBody(c, with(honest(), "remark", "x&a_1=7")), ReasonAmbiguous},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := c.ParseNotification(tt.contentType, []byte(tt.body))
			if got := reasonOf(t, err); got != tt.want {
				t.Errorf("reason %q, want %q", got, tt.want)
			}
			if n != (Notification{}) {
				t.Errorf("refused, but returns %+v", n.Order)
			}
			if err != nil && (strings.Contains(err.Error(), "TESTKEY") || strings.Contains(err.Error(), "P1000000")) {
				t.Errorf("error says too much: %v", err)
			}
		})
	}
}

func manyFields() string {
	var b strings.Builder
	for i := range 101 {
		fmt.Fprintf(&b, "&f%d=x", i)
	}
	return b.String()
}

// A notification signed with the key before, while the key is being replaced.
func TestParseNotificationWithPreviousKey(t *testing.T) {
	t.Parallel()
	before := testClient(t)
	after, err := New(Config{BaseURL: "https://gateway.example/", Account: "test2020@epay.com", Key: "new", PreviousKey: before.signer.keys[0]()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.ParseNotification(formType, []byte(signedBody(before, honest()))); err != nil {
		t.Error(err)
	}
	if _, err := before.ParseNotification(formType, []byte(signedBody(after, honest()))); err == nil {
		t.Error("the new key must not verify for the old client")
	}
}

// resplit returns a body that carries the same signed text, cut into fields at
// other places. Every place where a field can begin is cut or not, as the bits
// of choice say; a text whose names repeat becomes a body with repeated fields.
func resplit(signedText, sign string, choice uint64) string {
	parts := strings.Split(signedText, "&")
	cut := []string{parts[0]}
	for i, part := range parts[1:] {
		if strings.Contains(part, "=") && choice>>(i%64)&1 == 0 {
			cut = append(cut, part)
		} else {
			cut[len(cut)-1] += "&" + part
		}
	}
	var pairs []string
	for _, field := range cut {
		name, v, _ := strings.Cut(field, "=")
		pairs = append(pairs, name+"="+url.QueryEscape(v))
	}
	return strings.Join(pairs, "&") + "&sign=" + sign
}

// checkResplit lets the gateway sign a notification with hostile text in it, and
// an attacker cut the signed text elsewhere. Whatever is accepted must say what
// the gateway said in every field that it always sends.
func checkResplit(t *testing.T, c *Client, field, hostile string, choice uint64) (accepted bool) {
	t.Helper()
	fields := with(honest(), field, hostile)
	o := objectOf(fields)
	signedText := string(form{}.appendText(nil, o))
	sign := string(c.signer.appendSign(nil, o))
	n, err := c.ParseNotification(formType, []byte(resplit(signedText, sign, choice)))
	if err != nil {
		return false
	}
	want := Order{
		OrderNo: "PB20260102000001", GatewayOrderNo: "231151598560704599183360", Status: StatusFailed, Amount: "25.00",
		Currency: "USD", ReceiveAmount: "25.00", ReceiveCurrency: "USD", Rate: "1.000000", Fee: "2.10",
	}
	got := n.Order
	got.Category = "" // optional, and never sent
	if got != want {
		t.Fatalf("%s = %q, cut by %b, is read as\n%+v", field, hostile, choice, n.Order)
	}
	return true
}

func TestResplitNotificationsNeverChangeTheOrder(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	hostile := []string{
		"x&status=7",
		"x&settlementCurrency=USD&status=7",
		"x&settlementCurrency=USD&status=7&statuszz=",
		"x&settlementCurrency=EUR&status=7&tail=y",
		"x&merchantOrderNo=PB20260102000002&message=",
		"x&amount=9999.00",
		"x&status=7&key=TESTKEY",
		"x&s=1", // behind a remark, this passes as a field s that nobody sent
		"&&status=7",
	}
	accepted := 0
	for _, field := range []string{"accountNo", "extendFields", "message", "payerAccount", "pinCode", "remark", "zone"} {
		for _, text := range hostile {
			for choice := range uint64(1 << 8) {
				for _, shifted := range []uint64{choice, choice << 8} {
					if checkResplit(t, c, field, text, shifted) {
						accepted++
					}
				}
			}
		}
	}
	if accepted == 0 {
		t.Error("no cut is accepted, so nothing was tested")
	}
}

// The data of a reply is signed with the same key. Posted as a notification it
// must not pass.
func TestSignedReplyIsNoNotification(t *testing.T) {
	t.Parallel()
	c := testClient(t)
	for _, v := range loadVectors(t).Vectors {
		if v.Kind == "callback" {
			continue
		}
		input := parse(t, string(v.Input))
		fields := map[string]string{"sign": string(c.signer.appendSign(nil, input))}
		for _, m := range input.members {
			if m.value.kind == kindText {
				fields[m.name] = m.value.text
			}
		}
		if n, err := c.ParseNotification(formType, []byte(formBody(fields))); err == nil {
			t.Errorf("%s passes as %v", v.ID, n)
		}
	}
}

func TestNotificationIsPrintedWithoutAccounts(t *testing.T) {
	t.Parallel()
	n, err := testClient(t).ParseNotification(formType, []byte(signedBody(testClient(t), honest())))
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("received", "notification", n)
	for _, text := range []string{fmt.Sprint(n), fmt.Sprintf("%+v %#v %s", n, n, n), log.String()} {
		if strings.Contains(text, "P1000000") || !strings.Contains(text, "PB20260102000001") {
			t.Errorf("printed as %s", text)
		}
	}
}

// FuzzParseNotification never accepts a body that is not signed, and never
// panics.
func FuzzParseNotification(f *testing.F) {
	for _, v := range loadVectors(f).Vectors {
		if v.Kind == "callback" {
			f.Add(v.ContentType, []byte(v.FormBody))
		}
	}
	f.Add(formType, []byte("a=1&&b&sign=x;"))
	c := testClient(f)
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		n, err := c.ParseNotification(contentType, body)
		if reasonOf(t, err) == "" && (n.Order.OrderNo != "PB20260102000001" || !slices.Contains([]Status{"6", "7", "20"}, n.Order.Status)) {
			t.Fatalf("accepts what nobody signed: %s", body)
		}
	})
}

// FuzzResplit looks for hostile texts that TestResplit does not know.
func FuzzResplit(f *testing.F) {
	f.Add("remark", "x&settlementCurrency=USD&status=7&statuszz=", uint64(1<<13))
	f.Add("message", `{"a":"x&status=7"}`, uint64(0))
	f.Add("mx ", "&", uint64(96))
	c := testClient(f)
	f.Fuzz(func(t *testing.T, field, hostile string, choice uint64) {
		_, always := honest()[field]
		if always && field != "accountNo" && field != "pinCode" || strings.Contains(field, "=") || strings.Contains(field, "&") {
			return
		}
		if field == "currency" || field == "payerFee" || field == "sign" {
			return // other names of what the gateway says itself
		}
		checkResplit(t, c, field, hostile, choice)
	})
}

// FuzzReply reads arbitrary answers: no panic, and nothing is believed that
// does not name our order and account.
func FuzzReply(f *testing.F) {
	for _, v := range loadVectors(f).Vectors {
		if v.Kind == "response" {
			f.Add([]byte(`{"code":1,"epayAccount":"test2020@epay.com","sign":"` + v.Sign[SeparatorJava] + `","data":` + string(v.Input) + `}`))
		}
	}
	f.Add([]byte(`{"code":"2","data":null}`))
	c := testClient(f)
	c.replySignature = Required
	p := Payout{OrderNo: "PB20260102000001", Channel: Payeer, Account: "P1000000", Amount: "25.00", Currency: "USD"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		out := Outcome{Reply: Reply{HTTPStatus: 200, whole: raw}}
		e := c.open(&out.Reply)
		if out.Reason == "" {
			out.judge(c, e, p)
		}
		switch {
		case out.Verdict == Accepted && (out.Order.OrderNo != p.OrderNo || out.Code != "1" || !sameDecimal(out.Order.Amount, p.Amount)):
			t.Fatalf("accepts %s", raw)
		case out.Verdict == Unknown && out.Reason == "":
			t.Fatalf("no reason for %s", raw)
		case out.Verdict != Unknown && out.Reason != "":
			t.Fatalf("%s and %s for %s", out.Verdict, out.Reason, raw)
		}
	})
}

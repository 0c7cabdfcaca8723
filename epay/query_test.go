package epay_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/epay"
)

// The request on the wire is vector 01 of testdata/vectors.json, sign included.
func TestQuerySendsTheDocumentedRequest(t *testing.T) {
	t.Parallel()
	var path, body string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		path, body = r.URL.Path, string(raw)
		_, _ = io.WriteString(w, signed(queried().with("merchantOrderNo", "20210708220")))
	})
	a := newClient(t, base).QueryTransaction(t.Context(), "20210708220")
	equal(t, "finding", a.Finding, epay.Found)
	equal(t, "path", path, "/capi/openapi/payoutApi/queryTransaction")
	equal(t, "body", body, `{"param":{"epayAccount":"test2020@epay.com","merchantOrderNo":"20210708220","version":"V2.0.0"},`+
		`"sign":"C44D265D5BA2FA76B67D1C35D8AEB6441E086B46C336418A0B34635C8FCA4A3B"}`)
}

func TestQueryFound(t *testing.T) {
	t.Parallel()
	want := epay.Order{
		OrderNo: testOrder, GatewayOrderNo: "231151598560704599183360", Category: "EWALLET",
		Status: epay.StatusSucceeded, Amount: "25.00", Currency: "USD",
		ReceiveAmount: "25.00", ReceiveCurrency: "USD", Rate: "1.000000", Fee: "2.10",
	}
	undocumented, frozen, bare := want, want, epay.Order{OrderNo: testOrder, Status: "6", Amount: "25", Currency: "USD"}
	undocumented.Status, frozen.Status = "17", epay.StatusFrozen
	tests := map[string]struct {
		data fields
		want epay.Order
	}{
		"as documented":          {queried(), want},
		"names of a create":      {queried().without("currency").without("fee").with("settlementCurrency", "USD").with("payerFee", "2.10"), want},
		"both names, same":       {queried().with("settlementCurrency", "USD").with("payerFee", "2.1"), want},
		"status a number":        {queried().with("status", 7), want},
		"fee a number":           {queried().with("fee", json.Number("2.10")), want},
		"undocumented status":    {queried().with("status", "17"), undocumented},
		"frozen":                 {queried().with("status", 9), frozen},
		"everything else null":   {fields{"merchantOrderNo": testOrder, "status": "6", "amount": "25", "currency": "USD", "epayOrderNo": nil, "fee": nil}, bare},
		"everything else absent": {fields{"merchantOrderNo": testOrder, "status": "6", "amount": "25", "currency": "USD"}, bare},
		"more fields":            {queried().with("x", "y").with("z", 1), want},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newClient(t, answer(t, 200, signed(tt.data)), required).QueryTransaction(t.Context(), testOrder)
			equal(t, "finding", a.Finding, epay.Found)
			equal(t, "reason", a.Reason, "")
			if diff := cmp.Diff(tt.want, a.Order); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A refusal keeps everything needed to compare it with a learned "not found".
func TestQueryRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		code   any
		want   string
	}{
		"integer":  {200, 2004, "2004"},
		"text":     {200, "ORDER_NOT_EXIST", "ORDER_NOT_EXIST"},
		"HTTP 404": {404, 404, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newClient(t, answer(t, tt.status, envelope(tt.code, nil, ""))).QueryTransaction(t.Context(), testOrder)
			equal(t, "finding", a.Finding, epay.Refused)
			equal(t, "code", a.Code, tt.want)
			equal(t, "message", a.Message, "words of the gateway")
			equal(t, "HTTP status", a.HTTPStatus, tt.status)
			equal(t, "order", a.Order, epay.Order{})
		})
	}
}

func TestQueryWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range doubtful(queried()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newClient(t, answer(t, tt.status, tt.body), tt.change).QueryTransaction(t.Context(), testOrder)
			equal(t, "finding", a.Finding, epay.NoAnswer)
			equal(t, "reason", a.Reason, tt.want)
			equal(t, "HTTP status", a.HTTPStatus, tt.status)
		})
	}
}

func TestQueryRefusesOrderNumbersThatWereNeverOurs(t *testing.T) {
	t.Parallel()
	c := newClient(t, "http://127.0.0.1:1/")
	for _, no := range []string{"", "short", "has space12", "semi;colon1", "null&status=7"} {
		a := c.QueryTransaction(t.Context(), no)
		equal(t, "reason for "+no, a.Reason, epay.ReasonInvalid)
		equal(t, "not sent", a.NotSent, true)
	}
}

func TestZeroValuesClaimNothing(t *testing.T) {
	t.Parallel()
	equal(t, "outcome", epay.Outcome{}.Verdict.String(), "unknown")
	equal(t, "answer", epay.Answer{}.Finding.String(), "unknown")
	equal(t, "accepted", epay.Accepted.String(), "accepted")
	equal(t, "rejected", epay.Rejected.String(), "rejected")
	equal(t, "found", epay.Found.String(), "found")
	equal(t, "refused", epay.Refused.String(), "refused")
}

func TestStatusesAndChannels(t *testing.T) {
	t.Parallel()
	final := map[epay.Status]bool{"5": true, "6": true, "7": true, "8": true, "20": true}
	names := map[epay.Status]string{
		"0": "created", "1": "processing", "5": "cancelled", "6": "failed", "7": "succeeded", "8": "closed",
		"9": "frozen", "11": "exception", "19": "pending withdrawal", "20": "failed, fee kept",
	}
	for _, s := range []epay.Status{"", "0", "1", "2", "5", "6", "7", "07", "8", "9", "10", "11", "19", "20", "21", "x"} {
		equal(t, "final "+string(s), s.Final(), final[s])
		equal(t, "name of "+string(s), s.Name(), names[s])
	}
	channels := map[epay.Channel]string{"11": "Perfect Money", "12": "Advcash", "16": "Payeer", "18": "FasaPay", "13": "", "": ""}
	for c, want := range channels {
		equal(t, "channel "+string(c), c.Name(), want)
	}
}

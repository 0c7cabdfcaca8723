package epay

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func BenchmarkSign(b *testing.B) {
	c := testClient(b)
	param := parse(b, `{"amount":"25.00","category":"EWALLET","channelCode":"16","currency":"USD","epayAccount":"test2020@epay.com",`+
		`"merchantOrderNo":"PB20260102000001","notifyUrl":"https://merchant.example/epay/notify","receiverInfo":{"accountNo":"P1000000"},"version":"V2.0.0"}`)
	var room [64]byte
	b.ReportAllocs()
	for b.Loop() {
		c.signer.appendSign(room[:0], param)
	}
}

// BenchmarkReply reads, verifies and judges a signed answer.
func BenchmarkReply(b *testing.B) {
	c := testClient(b)
	raw := benchReply(c)
	p := Payout{OrderNo: "PB20260102000001", Amount: "25.00", Currency: "USD"}
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		out := Outcome{Reply: Reply{HTTPStatus: 200, whole: raw}}
		e := c.open(&out.Reply)
		out.judge(c, e, p)
		if out.Verdict != Accepted {
			b.Fatal(out.Reason)
		}
	}
}

func benchReply(c *Client) []byte {
	const data = `{"category":"EWALLET","merchantOrderNo":"PB20260102000001","epayOrderNo":"231151598560704599183360","status":"1",` +
		`"amount":"25.00","settlementCurrency":"USD","receiveAmount":"25.00","receiveCurrency":"USD","rate":"1.000000",` +
		`"payerFee":"2.10","extendFields":null,"rateMode":null}`
	o, _, _ := parseJSON([]byte(data))
	return fmt.Appendf(nil, `{"sign":"%s","epayAccount":"test2020@epay.com","version":"V2.0.0","code":1,"message":"ok","data":%s}`,
		c.signer.appendSign(nil, o), data)
}

// BenchmarkCreate makes whole payouts against a server on loopback; bare is
// the same exchange with net/http alone.
func BenchmarkCreate(b *testing.B) {
	raw := benchReply(testClient(b))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		_, _ = w.Write(raw)
	}))
	b.Cleanup(s.Close)
	cfg := Config{BaseURL: s.URL, Account: "test2020@epay.com", Key: "TESTKEY0000000000000000000000001"}
	c, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	p := Payout{OrderNo: "PB20260102000001", Channel: Payeer, Account: "P1000000", Amount: "25.00", Currency: "USD"}
	b.Run("client", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if out := c.CreateEwalletTransaction(b.Context(), p); out.Verdict != Accepted {
					b.Error(out.Reason, out.Err)
				}
			}
		})
	})
	b.Run("bare", func(b *testing.B) {
		body, _ := c.encode(object(member{"amount", text("25.00")}, member{"merchantOrderNo", text(p.OrderNo)}))
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				req, err := newRequest(b.Context(), s.URL, body)
				if err != nil {
					b.Error(err)
					return
				}
				resp, err := c.transport.http.RoundTrip(req)
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := readBody(resp); err != nil {
					b.Error(err)
				}
				_ = resp.Body.Close()
			}
		})
	})
}

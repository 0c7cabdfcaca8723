package epay_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"payrun/epay"
)

// A first payout, against a gateway on this machine.
func Example() {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, signed(created()))
	}))
	defer gateway.Close()

	client, err := epay.New(epay.Config{BaseURL: gateway.URL, Account: testAccount, Key: testKey})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	outcome := client.CreateEwalletTransaction(context.Background(), epay.Payout{
		OrderNo: "PB20260102000001", Channel: epay.Payeer, Account: "P1000000", Amount: "25.00", Currency: "USD",
	})
	fmt.Println(outcome.Verdict, outcome.Order.Status.Name(), "fee", outcome.Order.Fee)
	// Output: accepted processing fee 2.10
}

// What to do about each outcome. Asking is always safe, sending again is not.
func ExampleClient_CreateEwalletTransaction() {
	next := func(o epay.Outcome) string {
		switch {
		case o.Verdict == epay.Accepted:
			return "follow the order until its status is final"
		case o.NotSent:
			return "nothing left this machine: send later"
		case o.Reason == epay.ReasonForeignOrder, o.Reason == epay.ReasonMismatch:
			return "let a person look"
		default: // unknown, and rejected as well
			return "ask with QueryTransaction"
		}
	}
	fmt.Println(next(epay.Outcome{Reply: epay.Reply{Reason: epay.ReasonTimeout}}))
	fmt.Println(next(epay.Outcome{Reply: epay.Reply{Reason: epay.ReasonDial, NotSent: true}}))
	// Output:
	// ask with QueryTransaction
	// nothing left this machine: send later
}

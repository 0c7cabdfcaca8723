package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"payrun/epay"
	"payrun/internal/money"
	"payrun/internal/sandbox"
	"payrun/jobs"
)

// rig is a gateway under test with a hand on the far side. Whoever writes an
// adapter builds one and passes conform.
type rig struct {
	jobs.Gateway
	order    func() jobs.Order           // payable, with a number of its own
	spoil    func(call, trouble string)  // from now on; see troubles
	paid     func(number string) (n int) // how often the far side will have paid it
	requests func() int                  // that reached the far side
	notices  <-chan notice               // posted by the far side
	down     func()                      // nobody listens there any more
}

type notice struct {
	contentType string
	body        []byte
}

// The calls and troubles that a rig can make.
const (
	submitCall, lookupCall, limitsCall, balancesCall = "submit", "lookup", "limits", "balances"

	refusal, lostReply, halfReply, errorPage, badSignature = "refusal", "lost reply", "half a reply", "error page", "bad signature"
	busy, turnedAway, anotherOrder, anotherAmount, silence = "busy", "turned away", "another order", "another amount", "silence"
	redirect                                               = "redirect"
)

func TestEPAYIsAGateway(t *testing.T) {
	t.Parallel()
	conform(t, openEPAY)
}

// openEPAY puts the adapter in front of the sandbox.
func openEPAY(t *testing.T) *rig {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{
		Duplicates: sandbox.DuplicatePay, Instant: true, PlainAccounts: true,
		Fees:   map[string]sandbox.Fee{sandbox.Payeer: {Flat: 15}},
		Limits: map[sandbox.ChannelCurrency]sandbox.Limit{{Channel: sandbox.Payeer, Currency: "USD"}: {Min: 50, Max: 10_000_00}},
	})
	fatal(t, err)
	front := httptest.NewServer(s)
	t.Cleanup(front.Close)
	t.Cleanup(func() { // before the front, which waits for silent calls
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	notices := make(chan notice, 10)
	inbox := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		notices <- notice{r.Header.Get("Content-Type"), body}
		fmt.Fprint(w, "success")
	}))
	t.Cleanup(inbox.Close)
	client, err := epay.New(epay.Config{BaseURL: front.URL + sandbox.BasePath, Account: sandbox.DefaultAccount, Key: sandbox.DefaultKey, Timeout: time.Second})
	fatal(t, err)
	t.Cleanup(client.Close)

	var orders atomic.Int64
	return &rig{
		Gateway: jobs.NewEPAY(client, inbox.URL),
		order: func() jobs.Order {
			n := orders.Add(1)
			return jobs.Order{Number: fmt.Sprintf("CONFORMITY%08d", n), Channel: sandbox.Payeer, Account: fmt.Sprintf("P1%07d", n), Amount: 12_34, Currency: "USD"}
		},
		spoil:    func(call, trouble string) { fatal(t, s.SetFaults(epayTrouble(call, trouble))) },
		paid:     func(number string) int { o, _ := s.Order(number); return o.Paid },
		requests: func() (n int) { return total(s.Book().Counts) },
		notices:  notices,
		down:     front.Close,
	}
}

func total(counts map[sandbox.Endpoint]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}

func epayTrouble(call, trouble string) sandbox.Faults {
	at := map[string]sandbox.Endpoint{submitCall: sandbox.Create, lookupCall: sandbox.Query, limitsCall: sandbox.Limits, balancesCall: sandbox.Balance}[call]
	fault := map[string]sandbox.Fault{
		refusal:       {Kind: sandbox.FaultErrorCode, Code: 4711},
		lostReply:     {Kind: sandbox.FaultLostReply},
		halfReply:     {Kind: sandbox.FaultTruncated},
		errorPage:     {Kind: sandbox.FaultStatus, HTTPStatus: 502, Stored: true},
		badSignature:  {Kind: sandbox.FaultBadSign},
		busy:          {Kind: sandbox.FaultStatus, HTTPStatus: 429, RetryAfter: 7 * time.Second},
		turnedAway:    {Kind: sandbox.FaultStatus, HTTPStatus: 403},
		anotherOrder:  {Kind: sandbox.FaultForeign},
		anotherAmount: {Kind: sandbox.FaultMismatch},
		silence:       {Kind: sandbox.FaultDelay, Stored: true, Wait: time.Minute},
		redirect:      {Kind: sandbox.FaultRedirect, HTTPStatus: 307},
	}[trouble]
	fault.At = at
	return sandbox.Faults{Rules: []sandbox.Fault{fault}}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// conform is what every gateway adapter promises to the jobs.
func conform(t *testing.T, open func(*testing.T) *rig) {
	t.Run("submit, then look up", func(t *testing.T) { t.Parallel(); conformsOnTheWay(t, open(t)) })
	t.Run("not sent", func(t *testing.T) { t.Parallel(); conformsWhenNotSent(t, open) })
	t.Run("troubled submit", func(t *testing.T) { t.Parallel(); conformsInTrouble(t, open(t), submitCall) })
	t.Run("troubled look-up", func(t *testing.T) { t.Parallel(); conformsInTrouble(t, open(t), lookupCall) })
	t.Run("time runs out", func(t *testing.T) { t.Parallel(); conformsWhenTimeRunsOut(t, open(t)) })
	t.Run("limits and balances", func(t *testing.T) { t.Parallel(); conformsOnBounds(t, open(t)) })
	t.Run("notifications", func(t *testing.T) { t.Parallel(); conformsOnNotifications(t, open(t)) })
}

// counted runs a call and fails unless exactly so many requests left.
func (r *rig) counted(t *testing.T, want int, call func() jobs.Reply) jobs.Reply {
	t.Helper()
	before := r.requests()
	reply := call()
	if sent := r.requests() - before; sent != want {
		t.Errorf("%d requests left in one call, want %d", sent, want)
	}
	return reply
}

func conformsOnTheWay(t *testing.T, r *rig) {
	o := r.order()
	reply := r.counted(t, 1, func() jobs.Reply { return r.Submit(t.Context(), o) })
	if reply.Verdict != jobs.Known || reply.Detail != "" || reply.Shut || reply.RetryAfter != 0 {
		t.Fatalf("submit: %+v", reply)
	}
	if e := reply.Evidence; e.Kind != "create" || e.Digest == "" || e.Body == "" || e.GatewayOrder == "" || e.Status == "" || e.HTTPStatus != 200 {
		t.Errorf("evidence of a submit: %+v", e)
	}
	found := r.counted(t, 1, func() jobs.Reply { return r.Lookup(t.Context(), o) })
	if found.Verdict != jobs.Known || found.Status != jobs.Succeeded || !found.FeeKnown || found.Fee != 15 {
		t.Errorf("look-up: %+v", found)
	}
	if found.Evidence.Kind != "lookup" || found.Evidence.GatewayOrder != reply.Evidence.GatewayOrder {
		t.Errorf("evidence of a look-up: %+v", found.Evidence)
	}
	never := r.counted(t, 1, func() jobs.Reply { return r.Lookup(t.Context(), r.order()) })
	if never.Verdict != jobs.Refused || never.Detail == "" || never.Evidence.Kind != "lookup" {
		t.Errorf("look-up of a number that was never used: %+v", never)
	}
	other := o
	other.Amount++
	if reply := r.Lookup(t.Context(), other); reply.Verdict != jobs.Contrary || reply.Detail == "" {
		t.Errorf("the far side has another amount: %+v", reply)
	}
	if n := r.paid(o.Number); n != 1 {
		t.Errorf("paid %d times", n)
	}
}

func conformsWhenNotSent(t *testing.T, open func(*testing.T) *rig) {
	for name, c := range map[string]func(*rig, *jobs.Order){
		"too late":            func(_ *rig, o *jobs.Order) { o.SendBy = time.Now().Add(-time.Millisecond) },
		"cannot be expressed": func(_ *rig, o *jobs.Order) { o.Number = "A&B=C" },
		"nobody listens":      func(r *rig, _ *jobs.Order) { r.down() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t)
			o := r.order()
			c(r, &o)
			reply := r.counted(t, 0, func() jobs.Reply { return r.Submit(t.Context(), o) })
			if reply.Verdict != jobs.NotSent || reply.Detail == "" || reply.Evidence.Kind != "create" {
				t.Errorf("%+v", reply)
			}
		})
	}
	t.Run("stopped before the call", func(t *testing.T) {
		t.Parallel()
		r := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		reply := r.counted(t, 0, func() jobs.Reply { return r.Submit(ctx, r.order()) })
		if reply.Verdict != jobs.NotSent {
			t.Errorf("%+v", reply)
		}
	})
}

func conformsInTrouble(t *testing.T, r *rig, call string) {
	ask := r.Submit
	if call == lookupCall {
		ask = r.Lookup
	}
	for _, c := range []struct {
		trouble string
		verdict jobs.Verdict
	}{
		{refusal, jobs.Refused}, {lostReply, jobs.NoAnswer}, {halfReply, jobs.NoAnswer}, {errorPage, jobs.NoAnswer}, {badSignature, jobs.NoAnswer},
		{busy, jobs.NoAnswer}, {turnedAway, jobs.NoAnswer}, {anotherOrder, jobs.Contrary}, {anotherAmount, jobs.Contrary}, {redirect, jobs.NoAnswer},
	} {
		t.Run(c.trouble, func(t *testing.T) { // one after the other: troubles are of the whole far side
			o := r.order()
			if call == lookupCall {
				r.Submit(t.Context(), o)
			}
			r.spoil(call, c.trouble)
			reply := r.counted(t, 1, func() jobs.Reply { return ask(t.Context(), o) })
			if reply.Verdict != c.verdict || reply.Detail == "" || reply.Evidence.Kind == "" {
				t.Errorf("%+v", reply)
			}
			if shut := c.trouble == turnedAway; reply.Shut != shut {
				t.Errorf("shut = %t", reply.Shut)
			}
			if quiet := map[string]time.Duration{busy: 7 * time.Second}[c.trouble]; reply.RetryAfter != quiet {
				t.Errorf("asked to be quiet for %s, understood %s", quiet, reply.RetryAfter)
			}
			if n := r.paid(o.Number); n > 1 {
				t.Errorf("paid %d times", n)
			}
		})
	}
}

func conformsWhenTimeRunsOut(t *testing.T, r *rig) {
	for call, ask := range map[string]func(context.Context, jobs.Order) jobs.Reply{submitCall: r.Submit, lookupCall: r.Lookup} {
		o := r.order()
		r.spoil(call, silence)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		reply := ask(ctx, o)
		cancel()
		if reply.Verdict != jobs.NoAnswer || reply.Evidence.Kind == "" {
			t.Errorf("%s: %+v", call, reply)
		}
	}
}

func conformsOnBounds(t *testing.T, r *rig) {
	o, can := r.order(), r.Capabilities()
	if can.ReportsLimits {
		bounds, err := r.Limits(t.Context(), o.Channel, o.Currency)
		if want := (jobs.Bounds{Minimum: 50, Maximum: 10_000_00}); err != nil || bounds != want {
			t.Errorf("limits %+v, %v", bounds, err)
		}
		if _, err := r.Limits(t.Context(), o.Channel, "CHF"); !errors.Is(err, jobs.ErrNotOffered) {
			t.Errorf("limits of a currency that is not offered: %v", err)
		}
		r.spoil(limitsCall, refusal)
		if _, err := r.Limits(t.Context(), o.Channel, o.Currency); !errors.Is(err, jobs.ErrNotOffered) {
			t.Errorf("refused limits: %v", err)
		}
		for _, trouble := range []string{lostReply, halfReply, errorPage, badSignature, busy, turnedAway} {
			r.spoil(limitsCall, trouble)
			if bounds, err := r.Limits(t.Context(), o.Channel, o.Currency); err == nil || errors.Is(err, jobs.ErrNotOffered) || bounds != (jobs.Bounds{}) {
				t.Errorf("%s: limits %+v, %v", trouble, bounds, err)
			}
		}
	}
	if can.ReportsBalance {
		balances, err := r.Balances(t.Context())
		if err != nil || balances["USD"] != 1_000_000_00 || balances["CHF"] != 0 {
			t.Errorf("balances %v, %v", balances, err)
		}
		for _, trouble := range []string{refusal, lostReply, halfReply, errorPage, busy, turnedAway} {
			r.spoil(balancesCall, trouble)
			if balances, err := r.Balances(t.Context()); err == nil || len(balances) > 0 {
				t.Errorf("%s: balances %v, %v", trouble, balances, err)
			}
		}
	}
}

func conformsOnNotifications(t *testing.T, r *rig) {
	if !r.Capabilities().Notifies {
		return
	}
	o := r.order()
	if reply := r.Submit(t.Context(), o); reply.Verdict != jobs.Known {
		t.Fatalf("submit: %+v", reply)
	}
	n := <-r.notices
	got, err := r.ParseNotification(n.contentType, n.body)
	if err != nil || got.OrderNo != o.Number {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := got.Evidence; e.Kind != "callback" || e.Digest == "" || e.Body != string(n.body) || e.Status == "" || e.GatewayOrder == "" {
		t.Errorf("evidence of a notification: %+v", e)
	}
	changed := append([]byte(nil), n.body...)
	changed[len(changed)/2] ^= 1
	for name, c := range map[string]notice{
		"changed":       {n.contentType, changed},
		"cut off":       {n.contentType, n.body[:len(n.body)-3]},
		"empty":         {n.contentType, nil},
		"said twice":    {n.contentType, append(append(append([]byte(nil), n.body...), '&'), n.body...)},
		"another type":  {"application/json", n.body},
		"more in it":    {n.contentType, append(append([]byte(nil), n.body...), "&status=6"...)},
		"not a message": {n.contentType, []byte("\x00\xff%zz")},
	} {
		if got, err := r.ParseNotification(c.contentType, c.body); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}

// EPAY lists money that this program does not know; it pays nothing in it.
func TestUnknownMoneyIsLeftOut(t *testing.T) {
	t.Parallel()
	s, err := sandbox.New(sandbox.Config{Balances: map[money.Currency]money.Amount{"USD": 1_00, "JPY": 12_345}})
	fatal(t, err)
	t.Cleanup(func() { fatal(t, s.Close(context.Background())) })
	front := httptest.NewServer(s)
	t.Cleanup(front.Close)
	client, err := epay.New(epay.Config{BaseURL: front.URL + sandbox.BasePath, Account: sandbox.DefaultAccount, Key: sandbox.DefaultKey})
	fatal(t, err)
	t.Cleanup(client.Close)
	balances, err := jobs.NewEPAY(client, "").Balances(t.Context())
	if err != nil || balances["USD"] != 1_00 || balances["JPY"] != 12_345 {
		t.Errorf("%v, %v", balances, err)
	}
	if jobs.NewEPAY(client, "").Capabilities().Notifies {
		t.Error("notifications are promised without an address for them")
	}
}

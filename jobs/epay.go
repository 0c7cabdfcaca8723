package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"payrun/epay"
	"payrun/internal/money"
	"payrun/ledger"
)

// EPAY adapts the EPAY client to what the jobs need.
type EPAY struct {
	client     *epay.Client
	notifyURL  string
	notCreated []string
}

var _ Gateway = (*EPAY)(nil)

// NewEPAY returns the gateway. notifyURL is where EPAY posts what became of
// an order; with "" it posts nothing and only look-ups tell. notCreated are the
// codes of which EPAY has confirmed that a refused order was never made; its
// manual documents none.
func NewEPAY(client *epay.Client, notifyURL string, notCreated ...string) *EPAY {
	return &EPAY{client: client, notifyURL: notifyURL, notCreated: notCreated}
}

// epayDecimals: EPAY writes two decimals for every currency, even yen.
const epayDecimals = 2

// Capabilities of EPAY: its manual does not say that a repeated order number
// is refused, and has no list of past orders.
func (g *EPAY) Capabilities() Capabilities {
	return Capabilities{ReportsLimits: true, ReportsBalance: true, Notifies: g.notifyURL != "", FindsByNumber: true}
}

// Limits asks getLimit.
func (g *EPAY) Limits(ctx context.Context, channel string, currency money.Currency) (Bounds, error) {
	limit, err := g.client.Limit(ctx, epay.LimitQuery{Channel: epay.Channel(channel), Currency: string(currency)})
	if errors.Is(err, epay.ErrRefused) {
		return Bounds{}, fmt.Errorf("%w: %w", ErrNotOffered, err)
	}
	if err != nil {
		return Bounds{}, err
	}
	minimum, errMin := money.Parse(limit.Min, currency)
	maximum, errMax := money.Parse(limit.Max, currency)
	if err := errors.Join(errMin, errMax); err != nil {
		return Bounds{}, fmt.Errorf("limits of channel %s: %w", channel, err)
	}
	return Bounds{minimum, maximum}, nil
}

// Balances asks getBalance for all currencies. One that this program does not
// know, or whose balance it cannot express, is left out: nothing is paid in it.
func (g *EPAY) Balances(ctx context.Context) (map[money.Currency]money.Amount, error) {
	list, err := g.client.Balances(ctx, "")
	if err != nil {
		return nil, err
	}
	balances := map[money.Currency]money.Amount{}
	for _, b := range list {
		amount, err := money.Parse(b.Amount, money.Currency(b.Currency))
		if err == nil {
			balances[money.Currency(b.Currency)] = amount
		}
	}
	return balances, nil
}

// Submit calls createEwalletTransaction.
func (g *EPAY) Submit(ctx context.Context, o Order) Reply {
	outcome := g.client.CreateEwalletTransaction(ctx, epay.Payout{
		OrderNo: o.Number, Channel: epay.Channel(o.Channel), Account: o.Account,
		Amount:   money.FormatDecimals(o.Amount, o.Currency, epayDecimals),
		Currency: string(o.Currency), NotifyURL: g.notifyURL, SendBy: o.SendBy,
	})
	reply := epayReply(ledger.EvidenceCreate, outcome.Verdict.String(), outcome.Reply, outcome.Order)
	switch outcome.Verdict {
	case epay.Accepted:
		return known(reply, o, outcome.Order)
	case epay.Rejected:
		reply.Verdict = Refused
		reply.Detail = fmt.Sprintf("refused with code %s: %s", outcome.Code, outcome.Message)
		if slices.Contains(g.notCreated, outcome.Code) {
			reply.Evidence.Heard = ledger.HeardNotCreated
		}
	case epay.Unknown:
		if differs := difference(o, outcome.Order); outcome.Reason == epay.ReasonMismatch && outcome.Order.Amount != "" && differs != "" {
			reply.Detail = differs
		}
	}
	return reply
}

// Lookup calls queryTransaction.
func (g *EPAY) Lookup(ctx context.Context, o Order) Reply {
	answer := g.client.QueryTransaction(ctx, o.Number)
	reply := epayReply(ledger.EvidenceLookup, answer.Finding.String(), answer.Reply, answer.Order)
	switch answer.Finding {
	case epay.Found:
		switch epayStatus(answer.Order.Status) {
		case FailedReleased, FailedFeeKept:
			reply.Evidence.Heard = ledger.HeardUnpaid
		case ClosedUnclear:
			reply.Evidence.Heard = ledger.HeardClosed
		}
		return known(reply, o, answer.Order)
	case epay.Refused:
		reply.Verdict = Refused
		reply.Detail = fmt.Sprintf("code %s: %s", answer.Code, answer.Message)
	}
	return reply
}

// ParseNotification reads a callback.
func (g *EPAY) ParseNotification(contentType string, body []byte) (Notification, error) {
	n, err := g.client.ParseNotification(contentType, body)
	if err != nil {
		return Notification{}, err
	}
	heard := ledger.Heard("verified")
	if n.Order.Status.Final() {
		heard = ledger.HeardEnded
	}
	return Notification{OrderNo: n.Order.OrderNo, Evidence: ledger.Evidence{
		Kind: ledger.EvidenceCallback, Heard: heard,
		GatewayOrder: n.Order.GatewayOrderNo, Status: string(n.Order.Status), Digest: n.Digest, Body: string(body),
	}}, nil
}

func epayReply(kind, heard string, r epay.Reply, order epay.Order) Reply {
	reply := Reply{
		RetryAfter: r.RetryAfter,
		Shut:       r.HTTPStatus == http.StatusUnauthorized || r.HTTPStatus == http.StatusForbidden,
		Detail:     whyUnclear(r),
		Evidence: ledger.Evidence{
			Kind: kind, Heard: ledger.Heard(heard), Reason: string(r.Reason), HTTPStatus: int64(r.HTTPStatus), Code: r.Code,
			Message: r.Message, GatewayOrder: order.GatewayOrderNo, Status: string(order.Status), Digest: r.Digest, Body: string(r.Raw),
		},
	}
	switch {
	case r.NotSent:
		reply.Verdict = NotSent
		if reply.Invalid = r.Reason == epay.ReasonInvalid; reply.Invalid {
			reply.Detail = r.Err.Error()
		}
	case r.Reason == epay.ReasonForeignOrder || r.Reason == epay.ReasonMismatch:
		reply.Verdict = Contrary
	}
	return reply
}

// whyUnclear says in words why an answer decides nothing, for cases, alerts and
// a payout's story; "" when it decides something. The stable word of it stays
// in the evidence.
func whyUnclear(r epay.Reply) string {
	words, ok := unclear[r.Reason]
	if !ok {
		return string(r.Reason)
	}
	if r.HTTPStatus >= http.StatusMultipleChoices {
		words += fmt.Sprintf(" (HTTP %d)", r.HTTPStatus)
	}
	return words
}

var unclear = map[epay.Reason]string{
	epay.ReasonLate:         "its time to leave was over before the first byte left",
	epay.ReasonDial:         "no connection to the gateway came about",
	epay.ReasonTLS:          "the gateway did not prove who it is (TLS)",
	epay.ReasonTimeout:      "no answer came in time",
	epay.ReasonCanceled:     "the call was broken off here",
	epay.ReasonReset:        "the connection broke before the answer was whole",
	epay.ReasonTruncated:    "the answer ends in the middle",
	epay.ReasonEmpty:        "the answer is empty",
	epay.ReasonTooLarge:     "the answer is too large to be read",
	epay.ReasonRedirect:     "the gateway points elsewhere, which is not followed",
	epay.ReasonThrottled:    "the gateway asks for fewer calls",
	epay.ReasonServerError:  "the gateway answered with an error",
	epay.ReasonNotJSON:      "the answer is not the gateway's, perhaps a proxy's page",
	epay.ReasonTrailing:     "something follows the answer",
	epay.ReasonMalformed:    "the answer does not have the documented form",
	epay.ReasonIncomplete:   "the answer lacks something that is needed",
	epay.ReasonUnsigned:     "the answer is not signed",
	epay.ReasonBadSignature: "the answer is wrongly signed",
	epay.ReasonForeignOrder: "the answer is about another order",
	epay.ReasonMismatch:     "the answer is about another amount, currency or account",
}

// known fills in an order that the gateway has, after comparing it with ours.
func known(reply Reply, ours Order, theirs epay.Order) Reply {
	if differs := difference(ours, theirs); differs != "" {
		reply.Verdict, reply.Detail = Contrary, differs
		return reply
	}
	reply.Verdict, reply.Detail = Known, ""
	reply.Status = epayStatus(theirs.Status)
	if fee, err := money.Parse(theirs.Fee, ours.Currency); err == nil && fee >= 0 {
		reply.Fee, reply.FeeKnown = fee, true
	}
	reply.Rate, reply.Received = theirs.Rate, strings.TrimSpace(theirs.ReceiveAmount+" "+theirs.ReceiveCurrency)
	return reply
}

// difference says in words how the gateway's amount differs from ours, "" when
// it does not.
func difference(ours Order, theirs epay.Order) string {
	amount, err := money.Parse(theirs.Amount, ours.Currency)
	both := fmt.Sprintf("the gateway has %s %s, we ordered %s %s", theirs.Amount, theirs.Currency, money.Format(ours.Amount, ours.Currency), ours.Currency)
	switch {
	case theirs.Currency != string(ours.Currency) || err != nil:
		return both
	case amount > ours.Amount:
		return fmt.Sprintf("%s: %s more", both, money.Format(amount-ours.Amount, ours.Currency))
	case amount < ours.Amount:
		return fmt.Sprintf("%s: %s less", both, money.Format(ours.Amount-amount, ours.Currency))
	}
	return ""
}

// epayStatus translates EPAY's numbers [status page]. Statuses 0, 9 and 11
// and undocumented ones are not expected for wallets: they stay open and are
// shown as unusual.
func epayStatus(s epay.Status) Status {
	switch s {
	case epay.StatusProcessing:
		return Processing
	case epay.StatusPendingWithdrawal:
		return PendingWithdrawal
	case epay.StatusSucceeded:
		return Succeeded
	case epay.StatusCancelled, epay.StatusFailed:
		return FailedReleased
	case epay.StatusFailedFeeKept:
		return FailedFeeKept
	case epay.StatusClosed:
		return ClosedUnclear
	}
	return Unusual
}

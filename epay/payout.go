package epay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Payout is one payment to an e-wallet.
type Payout struct {
	// OrderNo is the caller's number for this payout, 8 to 24 of A-Z, a-z, 0-9
	// (inferred from the manual's examples; it states no rule). Store it before
	// the first send, never change it and never use it again: it is the only
	// handle for QueryTransaction, and no page promises that the gateway
	// refuses a number it has seen.
	OrderNo  string
	Channel  Channel
	Account  string // the payee's wallet, at most 64 of A-Z a-z 0-9 . _ @ + -
	Amount   string // decimal above zero, at most two decimals
	Currency string // three capital letters
	// NotifyURL is where the gateway posts the order's outcome; https, or http
	// to this machine. Empty asks for no notification.
	NotifyURL string
	// SendBy, unless zero, is the last moment at which the first byte may leave.
	// It is compared on the connection, just before the write, so that a
	// process that was stopped and continued does not send a stale payout. What
	// remains is the time between that comparison and the write itself.
	SendBy time.Time
}

// Outcome is what became of CreateEwalletTransaction.
type Outcome struct {
	Verdict Verdict
	// Order is the order as the gateway describes it. It is complete if the
	// Verdict is Accepted, and otherwise holds whatever could be read, as
	// evidence for ReasonForeignOrder and ReasonMismatch.
	Order Order
	Reply
}

// Verdict says how far a payout's creation is settled.
type Verdict int

// Verdicts. The zero value is the one that claims nothing.
const (
	// Unknown: the gateway may have the order or not; Reason says why nobody
	// can tell. Ask with QueryTransaction, unless NotSent.
	Unknown Verdict = iota
	// Accepted: the gateway has the order and repeats its number, amount,
	// currency and our account. Order.Status tells how far it is.
	Accepted
	// Rejected: a well-formed answer carries a code other than 1. No code is
	// documented to mean that no order exists, so ask with QueryTransaction
	// before believing it.
	Rejected
)

func (v Verdict) String() string {
	switch v {
	case Accepted:
		return "accepted"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// CreateEwalletTransaction sends one payout, once [ewallet]. The account is the
// only thing said about the payee: a remark is never sent, because the signed
// form of a second nested member is not settled (see Separator).
//
// Cancelling ctx, or its deadline, ends the call; the outcome is then Unknown
// unless NotSent.
func (c *Client) CreateEwalletTransaction(ctx context.Context, p Payout) Outcome {
	if err := p.Validate(); err != nil {
		return Outcome{Reply: invalidReply(err)}
	}
	r, e := c.call(ctx, "createEwalletTransaction", p.SendBy,
		member{"amount", text(p.Amount)},
		member{"category", text(categoryWallet)},
		member{"channelCode", text(string(p.Channel))},
		member{"currency", text(p.Currency)},
		member{"merchantOrderNo", text(p.OrderNo)},
		member{"notifyUrl", text(p.NotifyURL)},
		member{"receiverInfo", object(member{"accountNo", text(p.Account)})},
	)
	out := Outcome{Reply: r}
	if r.Reason == "" {
		out.judge(c, e, p)
	}
	return out
}

// judge compares a well-formed answer with the payout it should be about.
func (out *Outcome) judge(c *Client, e envelope, p Payout) {
	order, reason, err := c.readOrder(e, p.OrderNo)
	out.Order = order
	switch {
	case reason != "":
		out.doubt(reason, err)
	case e.code != codeSuccess:
		out.Verdict = Rejected
	case order.Amount == "" || order.Currency == "":
		out.doubt(ReasonIncomplete, nil)
	case order.Currency != p.Currency || !sameDecimal(order.Amount, p.Amount):
		out.doubt(ReasonMismatch, nil)
	default:
		out.Verdict = Accepted
	}
}

// readOrder reads the order of an answer and checks that it is the one asked
// about and belongs to our account. A refusal need not say either.
func (c *Client) readOrder(e envelope, orderNo string) (Order, Reason, error) {
	order, reason, err := parseOrder(e.data)
	refused := e.code != codeSuccess
	switch {
	case order.OrderNo != "" && order.OrderNo != orderNo:
		return order, ReasonForeignOrder, nil
	case e.account != "" && e.account != c.account:
		return order, ReasonMismatch, nil
	case reason != "":
		return order, reason, err
	case refused:
		return order, "", nil
	case e.data.kind != kindObject:
		return order, ReasonMalformed, invalid("data", "is not an object")
	case order.OrderNo == "" || order.Status == "" || e.account == "":
		return order, ReasonIncomplete, nil
	}
	return order, "", nil
}

// Validate reports every field that cannot be sent, as *InvalidError values
// joined together. CreateEwalletTransaction does the same before it sends.
func (p Payout) Validate() error {
	return errors.Join(
		checkOrderNo(p.OrderNo),
		checkChannel(p.Channel),
		checkWallet(p.Account),
		checkAmount(p.Amount),
		checkCurrency(p.Currency),
		checkNotifyURL(p.NotifyURL),
	)
}

// String names the payout without its whole account number.
func (p Payout) String() string {
	return fmt.Sprintf("payout %s: %s %s by %s to %s", p.OrderNo, p.Amount, p.Currency, p.Channel.Name(), mask(p.Account))
}

// GoString returns the same as String, for %#v.
func (p Payout) GoString() string { return p.String() }

// LogValue returns the same as String.
func (p Payout) LogValue() slog.Value { return slog.StringValue(p.String()) }

// mask keeps the last four characters of an account number, and fewer of a
// short one.
func mask(account string) string {
	keep := min(4, len(account)/2)
	return strings.Repeat("*", len(account)-keep) + account[len(account)-keep:]
}

func checkOrderNo(s string) error {
	if len(s) < 8 || len(s) > 24 || strings.Trim(s, letters+digits) != "" {
		return invalid("OrderNo", "must be 8 to 24 letters and digits")
	}
	return nil
}

func checkChannel(c Channel) error {
	if c.Name() == "" {
		return invalid("Channel", "must be 11, 12, 16 or 18")
	}
	return nil
}

// checkWallet admits wallet numbers and e-mail addresses. It keeps out
// everything that has a meaning in the signed text.
func checkWallet(s string) error {
	if s == "" || len(s) > 64 || strings.Trim(s, letters+digits+"._@+-") != "" {
		return invalid("Account", "must be 1 to 64 letters, digits or any of . _ @ + -")
	}
	if problem := textProblem(s); problem != "" {
		return invalid("Account", problem)
	}
	return nil
}

func checkAmount(s string) error {
	if !isPayable(s) {
		return invalid("Amount", "must be a plain decimal above zero with at most two decimals, such as 25.00")
	}
	return nil
}

func checkCurrency(s string) error {
	if len(s) != 3 || strings.Trim(s, letters[:26]) != "" {
		return invalid("Currency", "must be three capital letters")
	}
	return nil
}

func checkNotifyURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	secure := err == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()))
	if !secure || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.ContainsAny(s, "&\"\\<> ") {
		return invalid("NotifyURL", "must be an https address without user, fragment or more than one query value")
	}
	if problem := textProblem(s); problem != "" {
		return invalid("NotifyURL", problem)
	}
	return nil
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

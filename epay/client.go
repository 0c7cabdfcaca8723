package epay

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Client talks to the gateway for one merchant account. Make it with New; it is
// safe for concurrent use and keeps its connections between calls.
type Client struct {
	account        string
	base           string // with a closing slash
	signer         *signer
	replySignature ReplySignature
	transport      *transport
}

// New returns a client, or an *InvalidError that says which setting is wrong
// and what to do. It does not connect.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	base, local, err := parseBaseURL(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	keys := []string{cfg.Key}
	if cfg.PreviousKey != "" {
		keys = append(keys, cfg.PreviousKey)
	}
	return &Client{
		account:        cfg.Account,
		base:           base.String(),
		signer:         newSigner(cfg.Separator, keys...),
		replySignature: cfg.ReplySignature,
		transport:      newTransport(cfg, local),
	}, nil
}

// Close closes idle connections. Calls under way finish; the client stays
// usable.
func (c *Client) Close() { c.transport.http.CloseIdleConnections() }

// String names the client without its keys.
func (c *Client) String() string { return "epay.Client(" + c.account + " at " + c.base + ")" }

// GoString returns the same as String, for %#v.
func (c *Client) GoString() string { return c.String() }

// LogValue returns the same as String.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// protocolVersion is the current version; V1.0.0 is still accepted [guide].
const protocolVersion = "V2.0.0"

// categoryWallet is the category of wallet payouts [ewallet].
const categoryWallet = "EWALLET"

// call sends the members, completed with account and version, to an endpoint
// below payoutApi. If the reply's Reason is empty, the envelope is well-formed
// and its signature acceptable; everything else is for the caller to check.
func (c *Client) call(ctx context.Context, endpoint string, sendBy time.Time, members ...member) (Reply, envelope) {
	body, err := c.encode(object(append(members,
		member{"epayAccount", text(c.account)},
		member{"version", text(protocolVersion)},
	)...))
	if err != nil {
		return invalidReply(err), envelope{}
	}
	r := c.transport.post(ctx, c.base+"payoutApi/"+endpoint, body, sendBy)
	if r.HTTPStatus == 0 {
		return r, envelope{}
	}
	e := c.open(&r)
	return r, e
}

// encode returns the body {"param":{...},"sign":"..."} [guide].
func (c *Client) encode(param value) ([]byte, error) {
	if err := checkSendable(param); err != nil {
		return nil, err
	}
	body := make([]byte, 0, 640)
	body = append(body, `{"param":`...)
	body = appendJSON(body, param)
	body = append(body, `,"sign":"`...)
	body = c.signer.appendSign(body, param)
	return append(body, `"}`...), nil
}

// checkAccount compares the account of an answer with ours.
func (c *Client) checkAccount(e envelope) Reason {
	switch e.account {
	case c.account:
		return ""
	case "":
		return ReasonIncomplete
	}
	return ReasonMismatch
}

// LimitQuery asks for the limits of a wallet channel.
type LimitQuery struct {
	Channel  Channel
	Currency string // three capital letters
}

// Limit is the smallest and largest amount of one payout, as decimal strings.
type Limit struct {
	Min, Max string
}

// Limit asks getLimit for the category EWALLET and the type PAYMENT. The page
// lists BANK and CASH only, so a gateway may refuse this (inferred from
// [limit]): errors.Is(err, ErrRefused) is the sign to use configured limits.
// Other errors are an *Error with a Reason, or an *InvalidError inside it.
func (c *Client) Limit(ctx context.Context, q LimitQuery) (Limit, error) {
	const call = "getLimit"
	if err := errors.Join(checkChannel(q.Channel), checkCurrency(q.Currency)); err != nil {
		return Limit{}, &Error{call, invalidReply(err)}
	}
	r, e := c.call(ctx, call, time.Time{},
		member{"category", text(categoryWallet)},
		member{"channelCode", text(string(q.Channel))},
		member{"currency", text(q.Currency)},
		member{"type", text("PAYMENT")},
	)
	if err := c.expect(call, &r, e, kindObject); err != nil {
		return Limit{}, err
	}
	f := fields{data: e.data}
	l := Limit{Min: f.decimal("singleMin"), Max: f.decimal("singleMax")}
	switch {
	case f.err != nil:
		r.doubt(ReasonMalformed, f.err)
	case l.Min == "" || l.Max == "":
		r.doubt(ReasonIncomplete, nil)
	default:
		return l, nil
	}
	return Limit{}, &Error{call, r}
}

// Balance is the money the account holds in one currency.
type Balance struct {
	Currency string
	Amount   string // decimal; two decimals even for JPY [balance]; may be negative
}

// Balances asks getBalance; an empty currency asks for all of them [balance].
// The answer's list has no documented signature, so TLS alone vouches for it,
// even where Config.ReplySignature is Required. Errors are like those of Limit.
func (c *Client) Balances(ctx context.Context, currency string) ([]Balance, error) {
	const call = "getBalance"
	if currency != "" {
		if err := checkCurrency(currency); err != nil {
			return nil, &Error{call, invalidReply(err)}
		}
	}
	r, e := c.call(ctx, call, time.Time{}, member{"currency", text(currency)})
	if err := c.expect(call, &r, e, kindArray); err != nil {
		return nil, err
	}
	balances, err := parseBalances(e.data)
	if err != nil {
		r.doubt(ReasonMalformed, err)
		return nil, &Error{call, r}
	}
	return balances, nil
}

func parseBalances(list value) ([]Balance, error) {
	balances := make([]Balance, 0, len(list.members))
	seen := make(map[string]bool, len(list.members))
	for _, item := range list.members {
		f := fields{data: item.value}
		b := Balance{Currency: f.text("currency"), Amount: f.text("balance")}
		f.check("balance", isSignedDecimal(b.Amount))
		f.check("currency", b.Currency != "" && !seen[b.Currency])
		if f.err != nil {
			return nil, f.err
		}
		seen[b.Currency] = true
		balances = append(balances, b)
	}
	return balances, nil
}

// expect turns an answer that is doubtful, refused, about another account or of
// another shape into an *Error.
func (c *Client) expect(call string, r *Reply, e envelope, want kind) error {
	if r.Reason == "" && e.code == codeSuccess {
		r.Reason = c.checkAccount(e)
		if r.Reason == "" && e.data.kind != want {
			r.doubt(ReasonMalformed, invalid("data", "is not of the documented type"))
		}
		if r.Reason == "" {
			return nil
		}
	}
	return &Error{call, *r}
}

// invalidReply is about what this package refuses to send.
func invalidReply(err error) Reply {
	return Reply{Reason: ReasonInvalid, NotSent: true, Err: err}
}

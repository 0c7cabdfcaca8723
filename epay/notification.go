package epay

import (
	"fmt"
	"log/slog"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Notification is the gateway's announcement that an order has ended [asyn].
// It is a hint: it may be late, repeated or out of order. Store it, then ask
// QueryTransaction and act on that answer.
type Notification struct {
	Order        Order
	AccountNo    string // the payee's wallet, if given
	PayerAccount string
	Remark       string
	Digest       string // SHA-256 of the body in lower-case hex
}

// String names the notification without account numbers.
func (n Notification) String() string {
	return fmt.Sprintf("notification: order %s has status %s", n.Order.OrderNo, n.Order.Status)
}

// GoString returns the same as String, for %#v.
func (n Notification) GoString() string { return n.String() }

// LogValue returns the same as String.
func (n Notification) LogValue() slog.Value { return slog.StringValue(n.String()) }

const (
	maxNotification = 64 << 10
	maxFields       = 100
)

// ParseNotification reads and verifies the body of a notification. It takes the
// body only: parameters in the request's address must not be mixed in.
//
// Every received field except sign is verified, whatever its name [asyn]; if
// that fails, once more without isForward and payUrl, which may be added on the
// way (inferred). All errors are *NotificationError: answer 400. If there is
// none, answer 200 with the body "success", after storing what was said.
//
// The signature is taken over joined text, so by itself it cannot tell the two
// fields remark "x" and status "7" from one remark "x&status=7". This parser
// accepts a body only if a field begins wherever one can begin in the signed
// text, and only once (else ReasonAmbiguous or ReasonRepeated). Every field that
// the gateway signed is therefore read under its own name, and no other value
// can take its place: the mandatory order number, status and account cannot be
// forged out of a remark. What the protocol cannot tell apart is a remark "x&s=1"
// from a remark "x" with a further field s that the gateway never sent: do not
// build on optional fields.
func (c *Client) ParseNotification(contentType string, body []byte) (Notification, error) {
	form, err := parseForm(contentType, body)
	if err != nil {
		return Notification{}, err
	}
	if err := c.verifyForm(form); err != nil {
		return Notification{}, err
	}
	n, err := c.readNotification(form)
	if err != nil {
		return Notification{}, err
	}
	n.Digest, _ = evidence(body)
	return n, nil
}

// parseForm decodes a form body into an object of texts. Unlike url.ParseQuery
// it refuses repeated names, and names outside [A-Za-z0-9_].
func parseForm(contentType string, body []byte) (value, error) {
	if !isForm(contentType) {
		return value{}, &NotificationError{Reason: ReasonContentType}
	}
	if len(body) > maxNotification {
		return value{}, &NotificationError{Reason: ReasonTooLarge}
	}
	raw := string(body)
	if strings.Contains(raw, ";") {
		return value{}, &NotificationError{Reason: ReasonMalformed}
	}
	members := make([]member, 0, 24)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		m, ok := parsePair(pair)
		if !ok || len(members) == maxFields {
			return value{}, &NotificationError{Reason: ReasonMalformed}
		}
		members = append(members, m)
	}
	o := object(members...)
	for i := 1; i < len(members); i++ {
		if members[i].name == members[i-1].name {
			return value{}, &NotificationError{Reason: ReasonRepeated, Field: members[i].name}
		}
	}
	return o, nil
}

func isForm(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

func parsePair(pair string) (member, bool) {
	name, rest, _ := strings.Cut(pair, "=")
	v, err := url.QueryUnescape(rest)
	ok := err == nil && utf8.ValidString(v) && len(name) <= 64 && nameLength(name) == len(name) && name != ""
	return member{name, text(v)}, ok
}

// nameLength returns how many leading bytes of s can be part of a field name.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || strings.IndexByte(letters+digits, s[n]) >= 0) {
		n++
	}
	return n
}

// verifyForm checks the signature over everything but sign.
func (c *Client) verifyForm(o value) error {
	sign := o.get("sign").text
	if sign == "" {
		return &NotificationError{Reason: ReasonUnsigned}
	}
	signed := o.without("sign")
	f, ok := c.signer.verify(signed, sign)
	if !ok {
		signed = signed.without("isForward", "payUrl")
		f, ok = c.signer.verify(signed, sign)
	}
	if !ok {
		return &NotificationError{Reason: ReasonBadSignature}
	}
	if !f.readsOneWay(signed) {
		return &NotificationError{Reason: ReasonAmbiguous}
	}
	return nil
}

func (v value) without(names ...string) value {
	rest := value{kind: v.kind, members: make([]member, 0, len(v.members))}
	for _, m := range v.members {
		if !slices.Contains(names, m.name) {
			rest.members = append(rest.members, m)
		}
	}
	return rest
}

// readsOneWay reports whether the fields of o begin at every place of their
// canonical text where a field can begin: at the start and behind each "&" that
// some "=" follows before the next. What stands before that "=" is not looked
// at, so that a field of the gateway with an unusual name counts as well.
func (f form) readsOneWay(o value) bool {
	fields := 0
	for _, m := range o.members {
		if !f.absent(m.value) {
			fields++
		}
	}
	places := 0
	for part := range strings.SplitSeq(string(f.appendText(nil, o)), "&") {
		if strings.Contains(part, "=") {
			places++
		}
	}
	return places == fields
}

func (c *Client) readNotification(o value) (Notification, error) {
	if account := o.get("epayAccount").text; account != c.account {
		return Notification{}, &NotificationError{Reason: ReasonMismatch, Field: "epayAccount"}
	}
	order, reason, err := parseOrder(o)
	if err != nil {
		return Notification{}, &NotificationError{Reason: reason, Field: fieldOf(err)}
	}
	if order.OrderNo == "" {
		return Notification{}, &NotificationError{Reason: ReasonIncomplete, Field: "merchantOrderNo"}
	}
	if !isDigits(string(order.Status)) {
		return Notification{}, &NotificationError{Reason: ReasonIncomplete, Field: "status"}
	}
	return Notification{
		Order:        order,
		AccountNo:    o.get("accountNo").text,
		PayerAccount: o.get("payerAccount").text,
		Remark:       o.get("remark").text,
	}, nil
}

func fieldOf(err error) string {
	if e, ok := err.(*InvalidError); ok {
		return e.Field
	}
	return ""
}

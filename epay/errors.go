package epay

import (
	"errors"
	"fmt"
)

// Reason is a stable word for why an answer decides nothing, or why a
// notification was turned away. It is meant for storing and for branching on;
// new words may be added, existing ones keep their meaning.
type Reason string

// Reasons for which nothing was sent. Reply.NotSent is true with all of them.
const (
	ReasonInvalid Reason = "invalid-request" // refused by this package; Err is an *InvalidError
	ReasonLate    Reason = "send-by-passed"  // Payout.SendBy was over before the first byte left
	ReasonDial    Reason = "dial"            // no connection: name look-up, refused, unreachable, connect time-out
	ReasonTLS     Reason = "tls"             // no trusted connection: certificate or handshake
)

// Reasons for which an answer is missing or incomplete.
const (
	ReasonTimeout   Reason = "timeout"   // the call's time was over, before or while answering
	ReasonCanceled  Reason = "canceled"  // the caller's context was cancelled
	ReasonReset     Reason = "reset"     // the connection broke before the answer was whole
	ReasonTruncated Reason = "truncated" // the answer ends in the middle
	ReasonEmpty     Reason = "empty"     // an answer without a body
	ReasonTooLarge  Reason = "too-large" // more than this package is willing to read
)

// Reasons an answer came but cannot be relied on.
const (
	ReasonRedirect     Reason = "redirect"      // HTTP 3xx; never followed
	ReasonThrottled    Reason = "throttled"     // HTTP 429; see Reply.RetryAfter
	ReasonServerError  Reason = "status-5xx"    // HTTP 5xx, whatever the body says
	ReasonNotJSON      Reason = "not-json"      // for example an HTML page of a proxy
	ReasonTrailing     Reason = "trailing-data" // something follows the JSON text
	ReasonMalformed    Reason = "malformed"     // readable, but not the documented shape; or a repeated name
	ReasonIncomplete   Reason = "incomplete"    // a needed field is missing or null
	ReasonUnsigned     Reason = "unsigned"      // no signature where one is required
	ReasonBadSignature Reason = "bad-signature" // wrong under every known separator
	ReasonForeignOrder Reason = "foreign-order" // speaks of another order; a person should look
	ReasonMismatch     Reason = "mismatch"      // amount, currency or account differ; a person should look
)

// Reasons that only notifications have.
const (
	ReasonContentType Reason = "content-type" // not application/x-www-form-urlencoded in UTF-8
	ReasonRepeated    Reason = "repeated"     // a field arrived more than once
	ReasonAmbiguous   Reason = "ambiguous"    // the signed text can be read as other fields
)

// ErrRefused marks an Error whose answer was well-formed and carried a code
// other than 1. EPAY documents no other code.
var ErrRefused = errors.New("refused by the gateway")

// Error is a failed call for limits or balances. It wraps ErrRefused when the
// gateway said no, otherwise what went wrong on the way.
type Error struct {
	Call  string // the endpoint, for example "getLimit"
	Reply Reply
}

// Error never contains the key or a signature.
func (e *Error) Error() string {
	if e.Reply.Reason == "" {
		return fmt.Sprintf("epay %s: refused with code %q: %s", e.Call, e.Reply.Code, e.Reply.Message)
	}
	text := fmt.Sprintf("epay %s: %s", e.Call, e.Reply.Reason)
	if e.Reply.HTTPStatus != 0 {
		text += fmt.Sprintf(" (HTTP %d)", e.Reply.HTTPStatus)
	}
	if e.Reply.Err != nil {
		text += ": " + e.Reply.Err.Error()
	}
	return text
}

// Unwrap returns ErrRefused or the underlying cause.
func (e *Error) Unwrap() error {
	if e.Reply.Reason == "" {
		return ErrRefused
	}
	return e.Reply.Err
}

// InvalidError says which field of a request or of the configuration cannot be
// used, and what to do about it. It never repeats the field's value.
type InvalidError struct {
	Field   string
	Problem string
}

func (e *InvalidError) Error() string { return "epay: " + e.Field + " " + e.Problem }

func invalid(field, problem string) error { return &InvalidError{Field: field, Problem: problem} }

// NotificationError says why a notification was turned away. The web handler
// should answer 400, change nothing, and count it by Reason.
type NotificationError struct {
	Reason Reason
	Field  string // the field at fault, where one can be named
}

func (e *NotificationError) Error() string {
	if e.Field == "" {
		return "epay notification: " + string(e.Reason)
	}
	return fmt.Sprintf("epay notification: %s: field %q", e.Reason, e.Field)
}

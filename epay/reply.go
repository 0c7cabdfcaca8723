package epay

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// Reply is what came back from a call, and how far it can be relied on.
type Reply struct {
	// Reason says why the reply decides nothing; empty if it does.
	Reason Reason
	// NotSent is true only if it is certain that no byte of the request has
	// left this process, nor ever will. The call may then be repeated.
	NotSent bool
	// Err is the underlying error, if any. It holds no key or account number.
	Err error

	HTTPStatus int    // 0 if no answer arrived
	Code       string // the gateway's code as text; "1" is the only one documented [guide]
	Message    string // the gateway's words, for people; at most 1,000 bytes
	// RetryAfter is the wait asked for by a 429 or 503, at most a day; 0 if
	// none was asked for.
	RetryAfter time.Duration

	// Digest is the SHA-256 of the answer's body in lower-case hex, of all
	// bytes read; empty if there was no answer.
	Digest string
	// Raw is the answer's body, cut after 64 KiB. It holds the payee's account
	// number if the gateway repeats it: keep it as evidence, do not log it.
	Raw []byte

	whole []byte // the body until it has been judged
}

// codeSuccess is the only documented code: the call succeeded. The order's own
// fate is in its status [guide], second half inferred.
const codeSuccess = "1"

func evidence(raw []byte) (digest string, kept []byte) {
	sum := sha256.Sum256(raw)
	kept = raw
	if len(raw) > maxRaw {
		kept = append([]byte(nil), raw[:maxRaw]...) // do not pin the rest
	}
	return hex.EncodeToString(sum[:]), kept
}

func (r *Reply) doubt(reason Reason, err error) {
	r.Reason, r.Err = reason, err
}

// envelope is the frame around every answer [guide].
type envelope struct {
	sign, account, code, message string
	data                         value
}

func parseEnvelope(raw []byte) (envelope, Reason, error) {
	root, reason, err := parseJSON(raw)
	if err != nil {
		return envelope{}, reason, err
	}
	if root.kind != kindObject {
		return envelope{}, ReasonMalformed, errors.New("answer is not a JSON object")
	}
	f := fields{data: root}
	e := envelope{
		sign:    f.text("sign"),
		account: f.text("epayAccount"),
		code:    f.text("code"),
		message: f.text("message"),
		data:    root.get("data"),
	}
	f.check("code", isCode(root.get("code")))
	f.check("sign", root.get("sign").kind != kindNumber)
	if f.err != nil {
		return e, ReasonMalformed, f.err
	}
	return e, "", nil
}

// isCode accepts an integer or a text: the manual prints integers, texts are
// tolerated (inferred). A number such as 1.0 or 1e0 is neither.
func isCode(v value) bool {
	switch v.kind {
	case kindText:
		return v.text != "" && strings.TrimSpace(v.text) == v.text
	case kindNumber:
		return isDigits(strings.TrimPrefix(v.text, "-"))
	}
	return false
}

// open reads the envelope of an answer that arrived and settles what can be
// settled without knowing the question: shape and signature. An answer whose
// HTTP status already rules it out is read for its code and message only.
func (c *Client) open(r *Reply) envelope {
	e, reason, err := parseEnvelope(r.whole)
	r.whole = nil
	r.Code, r.Message = e.code, clip(e.message, 1000)
	switch {
	case r.Reason != "":
	case err != nil:
		r.doubt(reason, err)
	default:
		r.doubt(c.checkSign(e), nil)
	}
	return e
}

// checkSign verifies the signature over data alone, the other fields of the
// envelope are not covered (inferred; [sign] speaks of requests only).
// A list has no documented signed form. Only getBalance returns one, and TLS
// alone vouches for it; with any other call it is refused as malformed later.
func (c *Client) checkSign(e envelope) Reason {
	if e.code == codeSuccess && e.data.kind == kindArray {
		return ""
	}
	if e.sign == "" {
		if c.replySignature == Required {
			return ReasonUnsigned
		}
		return ""
	}
	if _, ok := c.signer.verify(e.data, e.sign); !ok {
		return ReasonBadSignature
	}
	return ""
}

// clip cuts s after at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

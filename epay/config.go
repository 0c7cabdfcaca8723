package epay

import (
	"crypto/x509"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// ReplySignature says what to do about answers without a signature. The manual
// describes signed replies and prints empty signatures in its examples.
type ReplySignature string

// Policies for reply signatures. A signature that is present and wrong is
// refused under both. The zero value means IfPresent.
const (
	IfPresent ReplySignature = "if-present" // an unsigned answer counts: TLS vouches for it
	Required  ReplySignature = "required"   // an unsigned answer decides nothing
)

// Config says whom to talk to and how. BaseURL, Account and Key are required;
// every other field has a documented default.
//
// Printing or logging a Config never shows the keys.
type Config struct {
	// BaseURL is the address up to and including ".../openapi/". It must be
	// https; plain http is accepted for a loopback host only, and connections
	// then cannot leave the machine.
	BaseURL string
	// Account is the merchant's own EPAY account (epayAccount).
	Account string
	// Key is the payout API key. EPAY issues separate keys for pay-in.
	Key string `json:"-"`
	// PreviousKey, if set, still verifies answers and notifications while a
	// key is being replaced. It signs nothing.
	PreviousKey string `json:"-"`

	Separator      Separator      // default SeparatorJava
	ReplySignature ReplySignature // default IfPresent

	ConnectTimeout time.Duration // for connecting and again for the TLS handshake; default 10 s
	Timeout        time.Duration // for a whole call, to the last byte of the answer; default 30 s
	MaxConnections int           // open connections, busy and idle; further calls wait; default 64

	// RootCAs replaces the system's certificate authorities, for a private
	// gateway or a test.
	RootCAs *x509.CertPool
	// Now is the clock that Payout.SendBy and Retry-After dates are compared
	// with; default time.Now.
	Now func() time.Time
}

// String returns the settings without the keys.
func (c Config) String() string { return c.LogValue().String() }

// GoString returns the same as String, for %#v.
func (c Config) GoString() string { return "epay.Config" + c.String() }

// LogValue lists the settings that may be logged.
func (c Config) LogValue() slog.Value {
	key := "unset"
	if c.Key != "" {
		key = "set"
	}
	return slog.GroupValue(
		slog.String("base_url", withoutUser(c.BaseURL)),
		slog.String("account", c.Account),
		slog.String("key", key),
		slog.String("separator", string(c.Separator)),
		slog.String("reply_signature", string(c.ReplySignature)),
		slog.Duration("connect_timeout", c.ConnectTimeout),
		slog.Duration("timeout", c.Timeout),
		slog.Int("max_connections", c.MaxConnections),
	)
}

// withoutUser hides credentials that someone may have put into the address;
// New refuses such an address, but it may be printed before.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(unreadable)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

func (c Config) withDefaults() Config {
	if c.Separator == "" {
		c.Separator = SeparatorJava
	}
	if c.ReplySignature == "" {
		c.ReplySignature = IfPresent
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 64
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Account == "":
		return invalid("Account", "is empty: set it to the merchant's EPAY account")
	case textProblem(c.Account) != "":
		return invalid("Account", textProblem(c.Account))
	case !c.Separator.valid():
		return invalid("Separator", "must be java, amp or comma")
	case c.ReplySignature != IfPresent && c.ReplySignature != Required:
		return invalid("ReplySignature", "must be if-present or required")
	case c.ConnectTimeout < 0 || c.Timeout < 0 || c.MaxConnections < 0:
		return invalid("ConnectTimeout, Timeout and MaxConnections", "must not be negative")
	}
	return c.validateKeys()
}

func (c Config) validateKeys() error {
	if c.Key == "" {
		return invalid("Key", "is empty: set it to the payout API key of the merchant portal")
	}
	if strings.TrimSpace(c.Key) != c.Key || strings.TrimSpace(c.PreviousKey) != c.PreviousKey {
		return invalid("Key", "starts or ends with white space: remove it, it is often the line end of a key file")
	}
	return nil
}

// parseBaseURL checks the address and returns it with a closing slash; local
// reports whether only loopback may be dialled.
func parseBaseURL(address string) (base *url.URL, local bool, err error) {
	const field = "BaseURL"
	if address == "" {
		return nil, false, invalid(field, "is empty: set it to the gateway's address, ending in /capi/openapi/")
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, false, invalid(field, "is not an absolute address such as https://host/capi/openapi/")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, false, invalid(field, "must not carry a user, a query or a fragment")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		local = true
	case u.Scheme == "http":
		return nil, false, invalid(field, "uses plain http: use https, http is for a gateway on this machine only")
	default:
		return nil, false, invalid(field, "must start with https://")
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, local, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

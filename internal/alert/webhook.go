package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// WebhookConfig says where messages are posted; URL and Secret are required.
type WebhookConfig struct {
	// URL is https, or http on this machine. It may hold a token and is never
	// shown.
	URL string
	// Secret signs every message: "whsec_" and base64, or any text of at least
	// 24 characters.
	Secret string
	// Roots of the receiver's certificate. Default: the system's.
	Roots *x509.CertPool
	// Timeout of one post. Default 10 s.
	Timeout time.Duration
	// Clock default: time.Now.
	Clock func() time.Time
}

// Webhook posts messages, one a request. It is safe for concurrent use.
type Webhook struct {
	url    *url.URL
	secret []byte
	client *http.Client
	roots  *x509.CertPool
	clock  func() time.Time
}

// shortest is the number of bytes below which a secret could be guessed.
const shortest = 24

// NewWebhook returns an error that says what is wrong with the configuration,
// and repeats none of it.
func NewWebhook(config WebhookConfig) (*Webhook, error) {
	address, err := url.Parse(config.URL)
	if err != nil || address.Host == "" || address.User != nil || address.Fragment != "" ||
		address.Scheme != "https" && (address.Scheme != "http" || !isLoopback(address.Hostname())) {
		return nil, errors.New("the webhook's address must be https (or http on this machine), without a user and password in it")
	}
	secret, err := keyOf(config.Secret)
	if err != nil {
		return nil, err
	}
	w := &Webhook{url: address, secret: secret, roots: config.Roots, clock: config.Clock}
	if w.clock == nil {
		w.clock = time.Now
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	w.client = &http.Client{
		Timeout: config.Timeout,
		// A redirect would carry the message to somebody nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: w.tls(), ForceAttemptHTTP2: true,
			MaxConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
	}
	return w, nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// keyOf is the key that a secret stands for, in the form that libraries for
// "standard webhooks" use.
func keyOf(secret string) ([]byte, error) {
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("the webhook's secret begins with whsec_, but what follows is not base64")
		}
	}
	if len(key) < shortest {
		return nil, fmt.Errorf("the webhook's secret is too short: at least %d characters are needed", shortest)
	}
	return key, nil
}

func (w *Webhook) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: w.roots}
}

// String names the receiver without what may be secret in its address.
func (w *Webhook) String() string { return w.url.Scheme + "://" + w.url.Host }

// Close gives idle connections back.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// Deliver posts a message. Any status from 200 to 299 means that it arrived;
// answer is that status.
func (w *Webhook) Deliver(ctx context.Context, m Message) (answer string, err error) {
	body, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("write the message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return "", w.plain(err)
	}
	w.sign(request.Header, m.ID, body)
	reply, err := w.client.Do(request)
	if err != nil {
		return "", w.plain(err)
	}
	defer reply.Body.Close()
	const most = 4 << 10 // only so that the connection can be used again
	_, _ = io.CopyN(io.Discard, reply.Body, most)
	if reply.StatusCode < 200 || reply.StatusCode > 299 {
		return "", fmt.Errorf("%s answered %s", w, statusOf(reply))
	}
	return statusOf(reply), nil
}

// statusOf uses our own words: the receiver's could be anything.
func statusOf(reply *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(reply.StatusCode) + " " + http.StatusText(reply.StatusCode))
}

// sign covers the id, the time and the body, so that neither another body nor
// an old message passes for a new one.
func (w *Webhook) sign(header http.Header, id string, body []byte) {
	at := strconv.FormatInt(w.clock().Unix(), 10)
	mac := hmac.New(sha256.New, w.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", "payrun")
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", at)
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// Check connects to the receiver and verifies its certificate. It posts
// nothing.
func (w *Webhook) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.client.Timeout)
	defer cancel()
	address := net.JoinHostPort(w.url.Hostname(), w.port())
	var connection net.Conn
	var err error
	if w.url.Scheme == "https" {
		connection, err = (&tls.Dialer{Config: w.tls()}).DialContext(ctx, "tcp", address)
	} else {
		connection, err = new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return w.plain(err)
	}
	return connection.Close()
}

func (w *Webhook) port() string {
	if port := w.url.Port(); port != "" {
		return port
	}
	return map[string]string{"https": "443", "http": "80"}[w.url.Scheme]
}

// plain takes the address out of an error: its path may be a secret.
func (w *Webhook) plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("%s: %w", w, err)
}

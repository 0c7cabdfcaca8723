package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"slices"
	"strings"
	"time"
)

// Security is how the way to the mail server is protected.
type Security string

// The ways. A password is sent on a protected one only.
const (
	STARTTLS Security = "starttls" // plain at first, then TLS, or no mail; usually port 587
	TLS      Security = "tls"      // from the first byte; usually port 465
	NoTLS    Security = "none"     // for a server on this machine only
)

// MailConfig says how mail is sent; Server, From and To are required.
type MailConfig struct {
	Server   string // host:port
	Security Security
	// User and Password log in; empty: without.
	User, Password string
	From           string
	To             []string
	// Roots of the server's certificate. Default: the system's.
	Roots *x509.CertPool
	// Timeout of one mail with everything around it. Default 1 min.
	Timeout time.Duration
	// Clock default: time.Now.
	Clock func() time.Time
}

// Mailer sends messages as plain-text mail, several in one. It is safe for
// concurrent use.
type Mailer struct {
	config MailConfig
	host   string
	from   *mail.Address
	to     []*mail.Address
}

// NewMailer returns an error that says what is wrong with the configuration.
func NewMailer(config MailConfig) (*Mailer, error) {
	host, _, err := net.SplitHostPort(config.Server)
	if err != nil || host == "" {
		return nil, fmt.Errorf("the mail server %q must be a host and a port, such as mail.example.org:587", config.Server)
	}
	m := &Mailer{config: config, host: host}
	if m.from, err = mail.ParseAddress(config.From); err != nil {
		return nil, fmt.Errorf("the sender %q is not a mail address", config.From)
	}
	for _, text := range config.To {
		to, err := mail.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("the recipient %q is not a mail address", text)
		}
		m.to = append(m.to, to)
	}
	if m.config.Timeout == 0 {
		m.config.Timeout = time.Minute
	}
	if m.config.Clock == nil {
		m.config.Clock = time.Now
	}
	switch {
	case len(m.to) == 0:
		return nil, errors.New("no recipient of mail is named")
	case (config.User == "") != (config.Password == ""):
		return nil, errors.New("to log in at the mail server a user and a password are needed, or neither")
	case config.Security == NoTLS && !isLoopback(host):
		return nil, errors.New("mail without TLS is for a server on this machine only")
	}
	return m, nil
}

// String names the server and the recipients.
func (m *Mailer) String() string {
	names := make([]string, len(m.to))
	for i, to := range m.to {
		names[i] = to.Address
	}
	return m.config.Server + " to " + strings.Join(names, ", ")
}

// Deliver sends one mail that tells all the messages. It arrived when the
// server took it for at least one recipient; answer names those it refused.
func (m *Mailer) Deliver(ctx context.Context, messages []Message) (answer string, err error) {
	text, err := m.compose(messages)
	if err != nil {
		return "", err
	}
	err = m.talk(ctx, func(c *smtp.Client) error {
		answer, err = m.send(c, text)
		return err
	})
	return answer, err
}

// Check connects, protects the connection and logs in. It sends nothing.
func (m *Mailer) Check(ctx context.Context) error {
	return m.talk(ctx, func(c *smtp.Client) error { return c.Noop() })
}

// talk opens a session with the server and closes it politely.
func (m *Mailer) talk(ctx context.Context, say func(*smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	connection, err := m.dial(ctx)
	if err != nil {
		return m.named(err)
	}
	defer connection.Close()
	// net/smtp knows no contexts: the connection ends with ours.
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	c, err := smtp.NewClient(connection, m.host)
	if err != nil {
		return m.named(err)
	}
	if err := m.enter(c); err != nil {
		return m.named(err)
	}
	if err := say(c); err != nil {
		return m.named(err)
	}
	_ = c.Quit() // the mail was taken, whatever becomes of the good-bye
	return nil
}

func (m *Mailer) named(err error) error {
	return fmt.Errorf("mail server %s: %w", m.config.Server, err)
}

func (m *Mailer) dial(ctx context.Context) (net.Conn, error) {
	if m.config.Security == TLS {
		return (&tls.Dialer{Config: m.tls()}).DialContext(ctx, "tcp", m.config.Server)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", m.config.Server)
}

func (m *Mailer) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: m.host, RootCAs: m.config.Roots}
}

// enter protects the connection and logs in.
func (m *Mailer) enter(c *smtp.Client) error {
	if err := c.Hello(m.helloName()); err != nil {
		return err
	}
	if m.config.Security == STARTTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("it offers no STARTTLS, so nothing is sent to it")
		}
		if err := c.StartTLS(m.tls()); err != nil {
			return err
		}
	}
	if m.config.User == "" {
		return nil
	}
	ok, methods := c.Extension("AUTH")
	switch offered := strings.Fields(strings.ToUpper(methods)); {
	case ok && slices.Contains(offered, "PLAIN"):
		return m.explain(c.Auth(smtp.PlainAuth("", m.config.User, m.config.Password, m.host)))
	case ok && slices.Contains(offered, "LOGIN"):
		return m.explain(c.Auth(&login{m.config.User, m.config.Password}))
	}
	return errors.New("it offers no way to log in that is known here (PLAIN or LOGIN)")
}

// explain keeps a server's answer to a password to its number: some repeat
// what they were sent.
func (m *Mailer) explain(err error) error {
	if err == nil {
		return nil
	}
	code, _, _ := strings.Cut(err.Error(), " ")
	return fmt.Errorf("it does not accept the user %q with this password (%s)", m.config.User, code)
}

func (m *Mailer) helloName() string {
	_, domain, _ := strings.Cut(m.from.Address, "@")
	return domain
}

// send hands one mail over.
func (m *Mailer) send(c *smtp.Client, text []byte) (answer string, err error) {
	if err := c.Mail(m.from.Address); err != nil {
		return "", fmt.Errorf("it refused the sender %s: %w", m.from.Address, err)
	}
	var refused []error
	for _, to := range m.to {
		if err := c.Rcpt(to.Address); err != nil {
			refused = append(refused, fmt.Errorf("it refused the recipient %s: %w", to.Address, err))
		}
	}
	if len(refused) == len(m.to) {
		return "", errors.Join(refused...)
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write(text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil { // only now the server says whether it takes it
		return "", err
	}
	answer = fmt.Sprintf("taken for %d of %d recipients", len(m.to)-len(refused), len(m.to))
	for _, err := range refused {
		answer += "; " + line(err.Error())
	}
	return answer, nil
}

// login is the old way to log in that some servers offer alone.
type login struct{ user, password string }

// Start refuses to say anything on an open line.
func (l *login) Start(server *smtp.ServerInfo) (protocol string, first []byte, err error) {
	if !server.TLS && !isLoopback(server.Name) {
		return "", nil, errors.New("the connection is not protected")
	}
	return "LOGIN", nil, nil
}

// Next answers the two questions in their order.
func (l *login) Next(question []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch {
	case strings.HasPrefix(strings.ToLower(string(question)), "user"):
		return []byte(l.user), nil
	case strings.HasPrefix(strings.ToLower(string(question)), "pass"):
		return []byte(l.password), nil
	}
	return nil, errors.New("an unknown question")
}

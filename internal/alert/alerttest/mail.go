package alerttest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Mail is one mail as it arrived, taken apart by the standard library.
type Mail struct {
	From    string // of the envelope, as To
	To      []string
	Subject string
	Header  mail.Header
	Body    string
	Secured bool   // it came over TLS
	User    string // who logged in
}

// MailServer speaks SMTP on loopback.
type MailServer struct {
	Address string
	// Set these before the first connection.
	Implicit bool     // TLS from the first byte
	Plain    bool     // no TLS at all
	Methods  string   // of AUTH; default "PLAIN"
	Refuse   []string // recipients
	Password string   // of everybody; "" takes any
	Busy     bool     // refuse every mail at its end

	t        testing.TB
	ca       *CA
	listener net.Listener
	mu       sync.Mutex
	mails    []Mail
	arrived  chan struct{}
	sessions sync.WaitGroup
}

// NewMailServer returns a server that listens, with a certificate by ca. Start
// it when it is set up; it stops when the test ends.
func NewMailServer(t testing.TB, ca *CA) *MailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &MailServer{Address: listener.Addr().String(), Methods: "PLAIN", t: t, ca: ca, listener: listener, arrived: make(chan struct{}, 10_000)}
}

// Start serves until the test ends.
func (s *MailServer) Start() *MailServer {
	s.sessions.Go(func() {
		for {
			connection, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.sessions.Go(func() { s.session(connection) })
		}
	})
	s.t.Cleanup(func() {
		s.listener.Close()
		s.sessions.Wait()
	})
	return s
}

// Mails returns what it took.
func (s *MailServer) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Wait waits for one more mail.
func (s *MailServer) Wait() {
	s.t.Helper()
	select {
	case <-s.arrived:
	case <-time.After(30 * time.Second):
		s.t.Fatal("no mail came")
	}
}

// session is one connection.
type session struct {
	*MailServer
	connection net.Conn
	text       *textproto.Conn
	mail       Mail
}

func (s *MailServer) session(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	c := &session{MailServer: s}
	if s.Implicit {
		connection = tls.Server(connection, s.ca.Server())
		c.mail.Secured = true
	}
	c.use(connection)
	c.say("220 mail.test ready")
	for {
		line, err := c.text.ReadLine()
		if err != nil || !c.obey(line) {
			return
		}
	}
}

func (c *session) use(connection net.Conn) {
	c.connection, c.text = connection, textproto.NewConn(connection)
}

func (c *session) say(format string, args ...any) { _ = c.text.PrintfLine(format, args...) }

// obey follows one command, and returns false when the session is over.
func (c *session) obey(line string) bool {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		c.greet()
	case "STARTTLS":
		return c.secure()
	case "AUTH":
		c.authenticate(rest)
	case "MAIL":
		c.mail.From = address(rest)
		c.say("250 ok")
	case "RCPT":
		c.recipient(address(rest))
	case "DATA":
		return c.data()
	case "QUIT":
		c.say("221 bye")
		return false
	case "NOOP", "RSET":
		c.say("250 ok")
	default:
		c.say("502 %s is not known here", verb)
	}
	return true
}

func (c *session) greet() {
	lines := []string{"mail.test", "8BITMIME"}
	if !c.mail.Secured && !c.Plain {
		lines = append(lines, "STARTTLS")
	}
	if c.mail.Secured || c.Plain {
		lines = append(lines, "AUTH "+c.Methods)
	}
	for i, line := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		c.say("250%s%s", separator, line)
	}
}

func (c *session) secure() bool {
	c.say("220 go ahead")
	secured := tls.Server(c.connection, c.ca.Server())
	if err := secured.Handshake(); err != nil {
		return false
	}
	c.mail.Secured = true
	c.use(secured)
	return true
}

func (c *session) authenticate(rest string) {
	method, first, _ := strings.Cut(rest, " ")
	var user, password string
	if strings.EqualFold(method, "PLAIN") {
		parts := strings.Split(decoded(first), "\x00")
		user, password = parts[1], parts[2]
	} else {
		user, password = c.ask("Username:"), c.ask("Password:")
	}
	if c.Password != "" && password != c.Password {
		c.say("535 5.7.8 %s with %s is not known here", user, password) // some servers are so indiscreet
		return
	}
	c.mail.User = user
	c.say("235 welcome")
}

func (c *session) ask(question string) string {
	c.say("334 %s", base64.StdEncoding.EncodeToString([]byte(question)))
	line, _ := c.text.ReadLine()
	return decoded(line)
}

func decoded(text string) string {
	plain, _ := base64.StdEncoding.DecodeString(text)
	return string(plain)
}

func (c *session) recipient(to string) {
	if slices.Contains(c.Refuse, to) {
		c.say("550 5.1.1 no such user")
		return
	}
	c.mail.To = append(c.mail.To, to)
	c.say("250 ok")
}

func (c *session) data() bool {
	c.say("354 go on")
	text, err := c.text.ReadDotBytes()
	if err != nil {
		return false
	}
	if c.Busy {
		c.say("451 4.3.0 try again later")
		return true
	}
	if err := c.keep(text); err != nil {
		c.t.Errorf("an unreadable mail: %v\n%s", err, text)
	}
	c.say("250 2.0.0 taken")
	c.arrived <- struct{}{}
	return true
}

func (c *session) keep(text []byte) error {
	message, err := mail.ReadMessage(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		return err
	}
	if encoding := message.Header.Get("Content-Transfer-Encoding"); encoding != "quoted-printable" {
		return fmt.Errorf("encoded as %q", encoding)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(message.Body))
	if err != nil {
		return err
	}
	taken := c.mail
	taken.Header, taken.Body = message.Header, string(body)
	if taken.Subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mails = append(c.mails, taken)
	c.mail.To = nil
	return nil
}

// address is what stands between the angles.
func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	inner, _, _ := strings.Cut(rest, ">")
	return inner
}

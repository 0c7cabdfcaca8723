package alert_test

import (
	"context"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/internal/alert"
	"payrun/internal/alert/alerttest"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// post is a mail server and somebody who sends through it.
type post struct {
	server *alerttest.MailServer
	config alert.MailConfig
}

func newPost(t *testing.T) *post {
	t.Helper()
	ca := alerttest.NewCA(t)
	s := alerttest.NewMailServer(t, ca)
	return &post{s, alert.MailConfig{
		Server: s.Address, Security: alert.STARTTLS, Roots: ca.Roots(), From: "Payrun <payrun@example.org>",
		To: []string{"mia@example.org", "Charles <charles@example.org>"}, Clock: func() time.Time { return at },
	}}
}

func (p *post) mailer(t *testing.T) *alert.Mailer {
	t.Helper()
	m, err := alert.NewMailer(p.config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMailArrives(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*post){
		"STARTTLS":               func(*post) {},
		"TLS from the beginning": func(p *post) { p.server.Implicit, p.config.Security = true, alert.TLS },
		"plain on this machine":  func(p *post) { p.server.Plain, p.config.Security = true, alert.NoTLS },
		"logged in":              func(p *post) { p.config.User, p.config.Password, p.server.Password = "payrun", "p w", "p w" },
		"logged in the old way": func(p *post) {
			p.server.Methods, p.config.User, p.config.Password, p.server.Password = "LOGIN NTLM", "payrun", "p w", "p w"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t)
			set(p)
			p.server.Start()
			answer, err := p.mailer(t).Deliver(t.Context(), []alert.Message{message(1)})
			if err != nil || answer != "taken for 2 of 2 recipients" {
				t.Fatalf("answer %q, %v", answer, err)
			}
			got := p.server.Mails()[0]
			if got.From != "payrun@example.org" || !slices.Equal(got.To, []string{"mia@example.org", "charles@example.org"}) {
				t.Errorf("from %s to %v", got.From, got.To)
			}
			if got.Secured == p.server.Plain || got.User != p.config.User {
				t.Errorf("secured %v, user %q", got.Secured, got.User)
			}
			if got.Subject != "Payrun, us@example.org: In doubt too long: payout 1" || !strings.Contains(got.Body, "Next:   payrun payout show X") {
				t.Errorf("subject %q, body\n%s", got.Subject, got.Body)
			}
			if date, err := got.Header.Date(); err != nil || !date.Equal(at) || got.Header.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("date %v, %v", date, err)
			}
		})
	}
}

func TestMailThatIsNotSent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set  func(*post)
		want string
	}{
		"no STARTTLS":           {func(p *post) { p.server.Plain = true }, "no STARTTLS"},
		"a stranger's server":   {func(p *post) { p.config.Roots = nil }, "certificate"},
		"a wrong password":      {func(p *post) { p.server.Password, p.config.User, p.config.Password = "x", "payrun", "CANARY" }, `does not accept the user "payrun" with this password (535)`},
		"an unknown way in":     {func(p *post) { p.server.Methods, p.config.User, p.config.Password = "NTLM", "payrun", "CANARY" }, "no way to log in"},
		"every recipient gone":  {func(p *post) { p.server.Refuse = []string{"mia@example.org", "charles@example.org"} }, "refused the recipient mia@example.org"},
		"taken back at the end": {func(p *post) { p.server.Busy = true }, "try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t)
			test.set(p)
			p.server.Start()
			_, err := p.mailer(t).Deliver(t.Context(), []alert.Message{message(1)})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("err = %v, want %q", err, test.want)
			}
			if len(p.server.Mails()) > 0 {
				t.Error("it arrived all the same")
			}
		})
	}
}

func TestOneRecipientWhoIsGoneDoesNotSilenceTheOthers(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.server.Refuse = []string{"mia@example.org"}
	p.server.Start()
	answer, err := p.mailer(t).Deliver(t.Context(), []alert.Message{message(1)})
	if err != nil || !strings.HasPrefix(answer, "taken for 1 of 2 recipients; it refused the recipient mia@example.org: 550") {
		t.Errorf("answer %q, %v", answer, err)
	}
	if got := p.server.Mails()[0].To; !slices.Equal(got, []string{"charles@example.org"}) {
		t.Errorf("told %v", got)
	}
}

// What a sheet or a gateway says must not become a header, another recipient
// or the end of the mail.
func TestNothingInAMessageBecomesAHeader(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.server.Start()
	const evil = "x\r\nBcc: eve@example.org\r\n\r\n.\r\nMAIL FROM:<eve@example.org>\x00\u2028\u202edone\nSubject: y"
	m := message(1)
	m.Summary, m.Detail, m.NextStep, m.Source, m.Kind, m.ID = evil, evil, evil, evil, evil, evil
	for _, messages := range [][]alert.Message{{m}, {m, m}} {
		if _, err := p.mailer(t).Deliver(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	for _, got := range p.server.Mails() {
		if len(got.Header) != 9 || got.Header.Get("Bcc") != "" || len(got.To) != 2 || strings.ContainsAny(got.Subject, "\r\n\x00\u2028\u202e") {
			t.Errorf("to %v, headers %v, subject %q", got.To, got.Header, got.Subject)
		}
		if !strings.Contains(got.Body, "Bcc: eve@example.org . MAIL FROM") || strings.Contains(got.Body, "\nBcc:") || strings.Contains(got.Body, "\u202e") {
			t.Errorf("body:\n%q", got.Body)
		}
	}
}

func TestUnusableMailIsNamed(t *testing.T) {
	t.Parallel()
	good := alert.MailConfig{Server: "mail.example.org:587", Security: alert.STARTTLS, From: "payrun@example.org", To: []string{"mia@example.org"}}
	if _, err := alert.NewMailer(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*alert.MailConfig){
		"server without port": func(c *alert.MailConfig) { c.Server = "mail.example.org" },
		"no sender":           func(c *alert.MailConfig) { c.From = "payrun" },
		"injected sender":     func(c *alert.MailConfig) { c.From = "payrun@example.org\r\nBcc: eve@example.org" },
		"injected recipient":  func(c *alert.MailConfig) { c.To = []string{"mia@example.org>\r\nRCPT TO:<eve@example.org"} },
		"nobody":              func(c *alert.MailConfig) { c.To = nil },
		"half a login":        func(c *alert.MailConfig) { c.User = "payrun" },
		"plain over the net":  func(c *alert.MailConfig) { c.Security = alert.NoTLS },
	} {
		config := good
		spoil(&config)
		if _, err := alert.NewMailer(config); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestManyAlertsAreOneMail(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.server.Start()
	messages := make([]alert.Message, 500)
	for i := range messages {
		messages[i] = message(i + 1)
	}
	messages[499].Kind = "контра-évidence"
	if _, err := p.mailer(t).Deliver(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	got := p.server.Mails()
	if len(got) != 1 || got[0].Subject != "Payrun, us@example.org: 500 alerts: 499 in-doubt, 1 контра-évidence" {
		t.Fatalf("%d mails, the first about %q", len(got), got[0].Subject)
	}
	if n := strings.Count(got[0].Body, "Alert:"); n != 50 || !strings.Contains(got[0].Body, "And 450 more: 449 in-doubt, 1 контра-évidence.") {
		t.Errorf("%d are told in full, then %s", n, got[0].Body[len(got[0].Body)-200:])
	}
}

func TestACheckSendsNothingAndEndsInTime(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	p.server.Start()
	if err := p.mailer(t).Check(t.Context()); err != nil || len(p.server.Mails()) > 0 {
		t.Errorf("%v, %d mails", err, len(p.server.Mails()))
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	p.config.Server, p.config.Timeout = silent.Addr().String(), 100*time.Millisecond
	if err := p.mailer(t).Check(context.Background()); err == nil {
		t.Error("a server that says nothing passes the check")
	}
}

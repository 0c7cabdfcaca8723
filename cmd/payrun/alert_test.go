package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"payrun/internal/alert/alerttest"
)

// told is a place whose alerts go to a receiver and by mail.
func (p *place) told(r *alerttest.Receiver, m *alerttest.MailServer, ca *alerttest.CA) *place {
	return p.with("PAYRUN_ALERT_WEBHOOK_URL="+r.URL, "PAYRUN_ALERT_WEBHOOK_SECRET="+alerttest.Secret,
		"PAYRUN_ALERT_MAIL_SERVER="+m.Address, "PAYRUN_ALERT_MAIL_FROM=payrun@example.org", "PAYRUN_ALERT_MAIL_TO=mia@example.org,carl@example.org",
		"PAYRUN_ALERT_MAIL_USER=payrun", "PAYRUN_ALERT_MAIL_PASSWORD=CANARY-password", "SSL_CERT_FILE="+ca.File(p.t))
}

// The whole way, as processes: somebody pulls the brake, and those who have to
// know are told by webhook and by mail.
func TestAStopIsToldByWebhookAndMail(t *testing.T) {
	t.Parallel()
	ca := alerttest.NewCA(t)
	receiver, mails := alerttest.NewReceiver(t), alerttest.NewMailServer(t, ca)
	mails.Password = "CANARY-password"
	mails.Start()
	p := newPlace(t, "PAYRUN_LISTEN=127.0.0.1:0").told(receiver, mails, ca)
	_, maker, _ := p.people()
	secrets := []string{"CANARY-password", alerttest.Secret, "payrun-TOKEN"}

	p.start("alert", "test").wait().exits(exitOK).
		says("webhook, "+strings.TrimSuffix(receiver.URL, "/hooks/payrun-TOKEN")+": 204 No Content", "mail, "+mails.Address+" to mia@example.org, carl@example.org: taken for 2 of 2 recipients").
		silent(secrets...)
	receiver.Wait()
	mails.Wait()
	p.start("check").wait().exits(exitOK).says("alerts", receiver.URL[:len("http://127.0.0.1")], "payrun alert test sends one").silent(secrets...)

	serving := p.start("serve")
	serving.errOut.line(t, "serving")
	p.as(maker).must("stop", "channel", "16", "--reason", "the rate looks wrong")
	receiver.Wait()
	mails.Wait()
	posts, letters := receiver.Posts(), mails.Mails()
	if len(posts) != 2 || posts[0].Kind != "test" || posts[1].Kind != "stopped" || posts[1].Detail != "the rate looks wrong" || posts[1].Source != "SANDBOX" {
		t.Errorf("posted %+v", posts)
	}
	if len(letters) != 2 || letters[1].Subject != "Payrun, SANDBOX: Stopped: channel 16, by mia" || !letters[1].Secured || letters[1].User != "payrun" {
		t.Errorf("mailed %+v", letters)
	}
	serving.errOut.line(t, "msg=alert")
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK).silent(secrets...)

	p.must("alert", "list").says("Stopped: channel 16, by mia", "Told by webhook", "Told by mail").silent(secrets...)
	var listed []alertView
	p.must("alert", "list", "--json").document(&listed)
	if len(listed) != 1 || len(listed[0].Deliveries) != 2 || listed[0].Deliveries[1].DeliveredAt == "" || listed[0].ID != posts[1].ID {
		t.Errorf("listed %+v", listed)
	}
	p.must("alert", "list", "--undelivered").says("There is nothing to tell.")
	p.noFileHolds(secrets...)
}

func TestAlertsThatDoNotArriveAreNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.run("alert", "test").exits(exitUsage).complains("nobody is told", "alert.webhook_url")
	p.must("alert", "list").says("There is nothing to tell.")
	p.must("check").says("kept for payrun alert list, nobody is told")

	receiver := alerttest.NewReceiver(t)
	receiver.Answers(http.StatusForbidden)
	hook := p.with("PAYRUN_ALERT_WEBHOOK_URL="+receiver.URL, "PAYRUN_ALERT_WEBHOOK_SECRET="+alerttest.Secret)
	hook.run("alert", "test").exits(exitFailure).says("FAIL", "answered 403 Forbidden").complains("do not arrive").silent("payrun-TOKEN")
	hook.with("PAYRUN_ALERT_WEBHOOK_URL=https://127.0.0.1:1/CANARY").run("check").exits(exitFailure).says("FAIL", "alerts", "https://127.0.0.1:1").silent("CANARY")
	hook.with("PAYRUN_ALERT_WEBHOOK_URL=http://hooks.example/CANARY").run("serve").exits(exitUsage).complains("must be https").silent("CANARY")
	hook.with("PAYRUN_ALERT_WEBHOOK_SECRET=short").run("check").exits(exitUsage).says("too short")
	p.with("PAYRUN_ALERT_MAIL_SERVER=m:25", "PAYRUN_ALERT_MAIL_FROM=x", "PAYRUN_ALERT_MAIL_TO=y@z.example").run("alert", "test").
		exits(exitUsage).complains(`the sender "x" is not a mail address`)
}

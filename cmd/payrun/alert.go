package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payrun/internal/alert"
	"payrun/internal/database"
	"payrun/jobs"
	"payrun/ledger"
)

// alertCmd is about what people were told.
type alertCmd struct {
	List alertListCmd `cmd:"" help:"What people were told, newest first, and whether it arrived."`
	Test alertTestCmd `cmd:"" help:"Send a test alert every way that is configured, and say what each answered."`
}

// The ways, as the ledger keeps them.
const (
	byWebhook = "webhook"
	byMail    = "mail"
)

// ways are those that are configured.
type ways struct {
	webhook *alert.Webhook // nil: none
	mail    *alert.Mailer  // nil: none
}

// alertWays turns the settings into ways. Its errors name settings and repeat
// no secret.
func (a *app) alertWays() (w ways, err error) {
	c := a.config.Alert
	if c.WebhookURL != "" {
		if w.webhook, err = alert.NewWebhook(alert.WebhookConfig{URL: c.WebhookURL, Secret: string(c.WebhookSecret)}); err != nil {
			return w, usagef("alert.webhook_url, alert.webhook_secret: %w", err)
		}
		a.onClose(func() error { w.webhook.Close(); return nil })
	}
	if c.MailServer != "" {
		w.mail, err = alert.NewMailer(alert.MailConfig{
			Server: c.MailServer, Security: alert.Security(c.MailSecurity), User: c.MailUser, Password: string(c.MailPassword),
			From: c.MailFrom, To: c.MailTo,
		})
		if err != nil {
			return w, usagef("alert.mail: %w", err)
		}
	}
	return w, nil
}

// alertTo names the ways that the settings ask for.
func (a *app) alertTo() []string {
	var names []string
	if a.config.Alert.WebhookURL != "" {
		names = append(names, byWebhook)
	}
	if a.config.Alert.MailServer != "" {
		names = append(names, byMail)
	}
	return names
}

// list returns the ways as the jobs know them. A post tells one alert, so that
// its id tells one that came twice; a mail tells what came within a minute.
func (w ways) list() []jobs.Way {
	var all []jobs.Way
	if w.webhook != nil {
		all = append(all, jobs.Way{Name: byWebhook, Most: 1, Deliver: func(ctx context.Context, m []alert.Message) (string, error) {
			return w.webhook.Deliver(ctx, m[0])
		}})
	}
	if w.mail != nil {
		all = append(all, jobs.Way{Name: byMail, Most: 500, Pause: time.Minute, Deliver: w.mail.Deliver})
	}
	return all
}

// newAlerts builds what watches and tells, for a process that runs the jobs.
func (a *app) newAlerts(worker string) (*jobs.Alerts, error) {
	w, err := a.alertWays()
	if err != nil {
		return nil, err
	}
	c := a.config.Alert
	alerts := &jobs.Alerts{
		Book: a.book, DB: a.db, Worker: worker, Source: a.alertSource(), Ways: w.list(), Floors: c.BalanceLow, LateAfter: c.LateAfter, Log: a.log,
		Rules: ledger.AlertRules{
			After: map[string]time.Duration{
				ledger.ExceptionInDoubt: c.InDoubtAfter, ledger.ExceptionHeldBack: c.HeldBackAfter, ledger.ExceptionRunFailed: c.LateAfter,
			},
			Approval: c.ApprovalAfter, Again: time.Hour,
		},
	}
	for _, plan := range a.plans(worker, nil) {
		alerts.Jobs = append(alerts.Jobs, plan.Job)
	}
	return alerts, nil
}

// alertSource tells installations apart; most of all a sandbox from real money.
func (a *app) alertSource() string {
	if a.config.Gateway.Sandbox() {
		return "SANDBOX"
	}
	return a.config.Gateway.Account
}

type alertListCmd struct {
	Limit       int  `help:"How many at most." default:"50"`
	Undelivered bool `help:"Only those that did not arrive every way."`
}

type alertView struct {
	ID         string         `json:"id"`
	Kind       string         `json:"kind"`
	Summary    string         `json:"summary"`
	Detail     string         `json:"detail,omitempty"`
	NextStep   string         `json:"next_step,omitempty"`
	Batch      int64          `json:"batch,omitempty"`
	Order      string         `json:"order,omitempty"`
	Since      string         `json:"since"`
	RaisedAt   string         `json:"raised_at"`
	Deliveries []deliveryView `json:"deliveries"`
}

type deliveryView struct {
	Way         string `json:"way"`
	Tries       int64  `json:"tries"`
	DeliveredAt string `json:"delivered_at,omitempty"`
	GivenUpAt   string `json:"given_up_at,omitempty"`
	NextTryAt   string `json:"next_try_at,omitempty"`
	Answer      string `json:"answer,omitempty"`
}

func viewAlert(l ledger.Alert, deliveries []ledger.Delivery) alertView {
	return alertView{
		ID: jobs.AlertID(l), Kind: l.Kind, Summary: l.Summary, Detail: l.Detail, NextStep: l.NextStep, Batch: l.BatchID, Order: l.OrderNo,
		Since: instant(l.Since), RaisedAt: instant(l.RaisedAt), Deliveries: views(deliveries, viewDelivery),
	}
}

func viewDelivery(d ledger.Delivery) deliveryView {
	return deliveryView{d.Way, d.Tries, instant(d.DeliveredAt), instant(d.GivenUpAt), instant(d.NextTryAt), d.Answer}
}

// Run lists alerts.
func (c *alertListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	alerts, err := a.alertsToShow(c)
	if err != nil {
		return err
	}
	deliveries, err := a.book.Deliveries(a.ctx, alerts)
	if err != nil {
		return err
	}
	of := map[int64][]ledger.Delivery{}
	for _, d := range deliveries {
		of[d.AlertID] = append(of[d.AlertID], d)
	}
	return a.show(views(alerts, func(l ledger.Alert) alertView { return viewAlert(l, of[l.ID]) }), func() {
		for _, l := range alerts {
			a.sayAlert(l, of[l.ID])
		}
		if len(alerts) == 0 {
			a.sayf("There is nothing to tell.")
		}
	})
}

func (a *app) alertsToShow(c *alertListCmd) ([]ledger.Alert, error) {
	if c.Undelivered {
		return a.book.UndeliveredAlerts(a.ctx, c.Limit)
	}
	return a.book.Alerts(a.ctx, c.Limit)
}

func (a *app) sayAlert(l ledger.Alert, deliveries []ledger.Delivery) {
	a.sayf("%s  %s", a.localTime(l.RaisedAt), l.Summary)
	texts := []string{l.Detail, "Next: " + l.NextStep}
	for _, d := range deliveries {
		texts = append(texts, a.deliveryInWords(d))
	}
	if len(deliveries) == 0 {
		texts = append(texts, "Told here and in the log only")
	}
	for _, text := range texts {
		if text != "" {
			a.sayf("%s", wrapped(text, "    "))
		}
	}
}

func (a *app) deliveryInWords(d ledger.Delivery) string {
	switch {
	case d.DeliveredAt > 0:
		return fmt.Sprintf("Told by %s %s: %s", d.Way, a.localTime(d.DeliveredAt), d.Answer)
	case d.GivenUpAt > 0:
		return fmt.Sprintf("NOT told by %s, given up %s after %s: %s", d.Way, a.localTime(d.GivenUpAt), counted(d.Tries, "try", "tries"), d.Answer)
	case d.Tries > 0:
		return fmt.Sprintf("Not told yet by %s, next try %s: %s", d.Way, a.localTime(d.NextTryAt), orNone(d.Answer))
	}
	return "Not told yet by " + d.Way
}

type alertTestCmd struct{}

type testedView struct {
	Way    string `json:"way"`
	To     string `json:"to"`
	Answer string `json:"answer,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Run sends a test alert. It needs no database.
func (c *alertTestCmd) Run(a *app) error {
	if err := a.loadQuietly(); err != nil {
		return err
	}
	w, err := a.alertWays()
	if err != nil {
		return err
	}
	all := w.list()
	if len(all) == 0 {
		return usagef("nobody is told: set alert.webhook_url and alert.webhook_secret, or alert.mail_server, alert.mail_from and alert.mail_to; until then payrun alert list and the log show alerts")
	}
	var tested []testedView
	failed := false
	for _, way := range all {
		answer, err := way.Deliver(a.ctx, []alert.Message{a.testMessage()})
		v := testedView{Way: way.Name, To: w.to(way.Name), Answer: answer}
		if err != nil {
			failed, v.Error = true, err.Error()
		}
		tested = append(tested, v)
	}
	err = a.show(tested, func() { a.sayTested(tested) })
	if failed {
		err = errors.Join(err, errNotTold)
	}
	return err
}

func (a *app) sayTested(tested []testedView) {
	for _, v := range tested {
		if v.Error != "" {
			a.sayf("  FAIL  %s, %s: %s", v.Way, v.To, v.Error)
			continue
		}
		a.sayf("  ok    %s, %s: %s", v.Way, v.To, v.Answer)
	}
}

// to names the receiver of a way, without what may be secret in its address.
func (w ways) to(way string) string {
	if way == byWebhook {
		return w.webhook.String()
	}
	return w.mail.String()
}

func (a *app) testMessage() alert.Message {
	now := database.InstantOf(time.Now()).Time()
	return alert.Message{
		ID: fmt.Sprintf("test-%d", now.UnixMicro()), Kind: "test", Source: a.alertSource(), Since: now, Raised: now,
		Summary: "A test: alerts arrive here", NextStep: "nothing: somebody ran payrun alert test",
	}
}

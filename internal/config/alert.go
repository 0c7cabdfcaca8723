package config

import (
	"strings"

	"payrun/internal/money"
)

func (l *loader) alert() Alert {
	a := Alert{
		WebhookURL: l.text("alert.webhook_url"), WebhookSecret: l.secret("alert.webhook_secret"),
		MailServer: l.text("alert.mail_server"), MailSecurity: l.oneOf("alert.mail_security", "starttls", "tls", "none"),
		MailUser: l.text("alert.mail_user"), MailPassword: l.secret("alert.mail_password"),
		MailFrom: l.text("alert.mail_from"), MailTo: l.words("alert.mail_to"),
		ApprovalAfter: l.duration("alert.approval_after"), InDoubtAfter: l.duration("alert.in_doubt_after"),
		HeldBackAfter: l.duration("alert.held_back_after"), LateAfter: l.duration("alert.late_after"),
		BalanceLow: l.floors("alert.balance_low"),
	}
	l.together("alert.webhook_url", "alert.webhook_secret")
	l.together("alert.mail_server", "alert.mail_from", "alert.mail_to")
	l.together("alert.mail_user", "alert.mail_password")
	return a
}

// together wants all of some keys or none. A secret may come from a file.
func (l *loader) together(names ...string) {
	var set, missing []string
	for _, name := range names {
		if l.values[name] != "" || l.values[name+"_file"] != "" {
			set = append(set, name)
		} else {
			missing = append(missing, name)
		}
	}
	if len(set) > 0 && len(missing) > 0 {
		l.wrong("%s is set, but not %s: these belong together", set[0], strings.Join(missing, " and "))
	}
}

// floors reads amounts such as "USD 1000.00".
func (l *loader) floors(name string) map[money.Currency]money.Amount {
	floors := map[money.Currency]money.Amount{}
	for _, text := range l.words(name) {
		code, amount, _ := strings.Cut(text, " ")
		a, err := money.Parse(strings.TrimSpace(amount), money.Currency(code))
		if err != nil || a < 0 {
			l.wrong("%s holds %q; it must be a currency and an amount, such as USD 1000.00", name, text)
			continue
		}
		floors[money.Currency(code)] = a
	}
	return floors
}

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"payrun/epay"
	"payrun/jobs"
	"payrun/ledger"
)

// checkCmd looks at everything a run needs. It sends no payout, and works
// beside a payrun serve.
type checkCmd struct{}

// Run tries everything that can be tried, so that all that is wrong is named
// at once.
func (c *checkCmd) Run(a *app) error {
	k := &checking{app: a}
	if k.step("settings", "", k.settings) == nil {
		k.step("database", "settings", func() (string, error) { return a.databaseName(), a.openStore() })
		k.step("durability", "database", func() (string, error) { return "commits survive a power cut", a.db.CheckDurable(a.ctx) })
		k.step("restores", "database", k.restores)
		k.step("schedules", "database", k.schedules)
		k.step("people", "database", k.peopleInWords)
		k.step("alerts", "settings", k.alerts)
		k.checkGateway()
	}
	return k.result()
}

// checking is one run of all checks.
type checking struct {
	*app
	steps   []checkedStep
	errs    map[string]error
	gateway jobs.Gateway
}

type checkedStep struct {
	Name   string `json:"name"`
	Result string `json:"result"` // ok, failed or skipped
	Detail string `json:"detail,omitempty"`
}

// step runs one check, unless the one it needs has failed.
func (k *checking) step(name, needs string, f func() (string, error)) error {
	if k.errs == nil {
		k.errs = map[string]error{}
	}
	if k.errs[needs] != nil {
		k.errs[name] = errSkipped
		k.note(checkedStep{name, "skipped", "needs the " + needs})
		return errSkipped
	}
	detail, err := f()
	if err == nil {
		k.note(checkedStep{name, "ok", detail})
		return nil
	}
	k.errs[name] = err
	k.note(checkedStep{name, "failed", strings.ReplaceAll(err.Error(), "\n", "; ")})
	return err
}

func (k *checking) note(s checkedStep) {
	k.steps = append(k.steps, s)
	mark := map[string]string{"ok": "ok  ", "failed": "FAIL", "skipped": "skip"}[s.Result]
	k.sayf("  %s  %-11s %s", mark, s.Name, s.Detail)
}

var errSkipped = errors.New("skipped")

// checkFailed names what failed; its exit code is that of the reasons, which
// are printed already.
type checkFailed struct {
	names []string
	errs  []error
}

func (e *checkFailed) Error() string   { return "the check failed: " + strings.Join(e.names, ", ") }
func (e *checkFailed) Unwrap() []error { return e.errs }

func (k *checking) result() error {
	failed := &checkFailed{}
	for _, s := range k.steps {
		if s.Result == "failed" {
			failed.names = append(failed.names, s.Name)
			failed.errs = append(failed.errs, k.errs[s.Name])
		}
	}
	if k.cli.JSON {
		printJSON(k.out, map[string]any{"ok": len(failed.errs) == 0, "checks": k.steps})
	}
	if len(failed.errs) > 0 {
		return failed
	}
	k.sayf("Ready.")
	return nil
}

func (k *checking) settings() (string, error) {
	if err := k.loadConfig(); err != nil {
		return "", err
	}
	if k.config.File == "" {
		return "no configuration file, " + counted(len(k.config.Sources), "setting", "settings") + " by environment", nil
	}
	return k.config.File, nil
}

func (k *checking) schedules() (string, error) {
	return counted(len(k.plans("check", nil)), "job", "jobs"), k.checkSchedules()
}

func (k *checking) peopleInWords() (string, error) {
	users, err := k.book.Users(k.ctx)
	if err != nil {
		return "", err
	}
	makers, checkers := countRoles(users)
	words := counted(makers, "maker", "makers") + ", " + counted(checkers, "checker", "checkers")
	if makers == 0 || checkers == 0 {
		words += ": nobody can pay yet, see payrun user add"
	}
	return words, nil
}

// alerts reaches every receiver, and tells nobody anything.
func (k *checking) alerts() (string, error) {
	w, err := k.alertWays()
	if err != nil {
		return "", err
	}
	var reached []string
	if w.webhook != nil {
		err = errors.Join(err, w.webhook.Check(k.ctx))
		reached = append(reached, w.webhook.String())
	}
	if w.mail != nil {
		err = errors.Join(err, w.mail.Check(k.ctx))
		reached = append(reached, w.mail.String())
	}
	if len(reached) == 0 {
		return "kept for payrun alert list, nobody is told: see alert.webhook_url and alert.mail_server", nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNotTold, err)
	}
	return strings.Join(reached, ", ") + "; payrun alert test sends one", nil
}

// checkGateway talks to the gateway: settings alone, then balances, limits and
// look-ups. A sandbox belongs to the process that runs the jobs.
func (k *checking) checkGateway() {
	needs := "settings"
	if k.config.Gateway.Sandbox() {
		needs = "database"
	}
	busy := false
	_ = k.step("gateway", needs, func() (string, error) {
		if k.config.Gateway.Sandbox() {
			if err := k.lockEngine(); errors.Is(err, errEngineBusy) {
				busy = true
				return k.gatewayInWords() + "; another payrun process runs it", nil
			} else if err != nil {
				return "", err
			}
		}
		var err error
		k.gateway, err = k.openGateway(k.config.Gateway.NotifyURL)
		return k.gatewayInWords(), err
	})
	if busy {
		for _, name := range []string{"signature", "limits", "answers"} {
			k.note(checkedStep{name, "skipped", "payrun serve runs the sandbox and keeps this fresh"})
		}
		return
	}
	_ = k.step("signature", "gateway", k.signature)
	if k.errs["database"] == nil {
		_ = k.step("limits", "signature", k.limits)
	}
	_ = k.step("answers", "signature", k.answers)
}

func (k *checking) signature() (string, error) {
	balances, err := k.gateway.Balances(k.ctx)
	if err != nil {
		return "", k.explainGateway(err)
	}
	var words []string
	for currency, b := range balances {
		words = append(words, amount(b, currency))
	}
	slices.Sort(words)
	return "the gateway accepts ours; it holds " + orNone(strings.Join(words, ", ")), nil
}

func (k *checking) limits() (string, error) {
	if err := k.explainGateway(k.limitsJob(k.gateway).Run(k.ctx)); err != nil {
		return "", err
	}
	limits, err := k.book.Limits(k.ctx)
	var words []string
	for _, l := range limits {
		words = append(words, fmt.Sprintf("%s %s to %s %s (%s)", k.channelName(l.Channel), grouped(l.Minimum, l.Currency), grouped(l.Maximum, l.Currency), l.Currency, l.Source))
	}
	return strings.Join(words, ", "), err
}

// answers asks about an order that never was, and about one the gateway has,
// if there is one: answers that cannot be believed would leave every payout in
// doubt.
func (k *checking) answers() (string, error) {
	words, err := k.learn()
	if err != nil {
		return "", err
	}
	p, found, err := k.sentPayout()
	if err != nil {
		return "", err
	}
	if !found {
		return words + "; no order was sent yet that could be looked up", nil
	}
	reply := k.gateway.Lookup(k.ctx, jobs.Order{Number: p.OrderNo(), Channel: p.Channel, Account: p.Account, Amount: p.Amount, Currency: p.Currency})
	if reply.Verdict != jobs.Known {
		return "", k.disbelieved("a look-up of order "+p.OrderNo()+", which it has,", reply)
	}
	return words + "; order " + p.OrderNo() + " is answered in full", nil
}

// learn keeps how the gateway answers about an order that never was: only an
// answer of that shape proves later that it does not have a payout in doubt.
func (k *checking) learn() (string, error) {
	shape, reply, err := jobs.Learn(k.ctx, k.gateway)
	switch {
	case errors.Is(err, jobs.ErrClaimsToKnow):
		return "", fmt.Errorf("%w: %w: is gateway.url a live gateway?", errGateway, err)
	case errors.Is(err, jobs.ErrUnlearnable) && reply.Verdict == jobs.Refused && !reply.Shut:
		return "", fmt.Errorf("%w: %w; a payout in doubt could never be proven absent: ask the gateway how it says that it has no such order", errGateway, err)
	case err != nil:
		return "", k.disbelieved("a look-up", reply)
	}
	words := "an unknown order is answered with " + shape.String()
	if k.book == nil {
		return words, nil
	}
	before, err := k.book.Learned(k.ctx, k.gatewayAccount())
	if err != nil {
		return "", err
	}
	user, _, err := k.userIfGiven()
	if err != nil {
		return "", err
	}
	now, err := k.book.Learn(k.ctx, user, k.gatewayAccount(), shape)
	switch {
	case errors.Is(err, ledger.ErrForbidden):
		return "", fmt.Errorf("%w: %s, but %s had learned %s at %s; no payout in doubt is proven absent until a checker or an admin accepts the change by running payrun check with their token",
			errGateway, words, before.By, before.Shape, k.localTime(before.CreatedAt))
	case err != nil:
		return "", err
	case before.ID == 0:
		return words + ", which is learned now", nil
	case before.ID != now.ID:
		return fmt.Sprintf("%s, which replaces %s", words, before.Shape), nil
	}
	return fmt.Sprintf("%s, as %s learned at %s", words, now.By, k.localTime(now.CreatedAt)), nil
}

func (k *checking) disbelieved(what string, reply jobs.Reply) error {
	return fmt.Errorf("%w: its answer to %s cannot be believed (%s); payouts would stay in doubt. %s",
		errGateway, what, orNone(reply.Detail), capital(k.reasonAdvice(epay.Reason(reply.Evidence.Reason))))
}

func capital(sentence string) string { return strings.ToUpper(sentence[:1]) + sentence[1:] }

// sentPayout finds a payout that the gateway has confirmed, and that is not
// disputed.
func (k *checking) sentPayout() (found ledger.Payout, ok bool, err error) {
	if k.book == nil {
		return found, false, nil
	}
	known, err := k.book.KnownOrders(k.ctx, k.gatewayAccount())
	if err != nil || len(known) == 0 {
		return found, false, err
	}
	return known[0], true, nil
}

package main

import (
	"fmt"
	"slices"
	"strings"

	"payrun/internal/database"
	"payrun/jobs"
	"payrun/ledger"
)

// checkCmd looks at everything a run needs.
type checkCmd struct{}

// Run tries settings, database, durability, gateway, limits and balance, and
// reports every one of them.
func (c *checkCmd) Run(a *app) error {
	var failed error
	step := func(name string, f func() (string, error)) {
		if failed != nil {
			a.sayf("  skip  %s", name)
			return
		}
		detail, err := f()
		if err != nil {
			failed = err
			a.sayf("  FAIL  %-10s %v", name, err)
			return
		}
		a.sayf("  ok    %-10s %s", name, detail)
	}
	var engine *jobs.Engine
	step("settings", func() (string, error) { return a.settingsInWords(), a.loadConfig() })
	step("database", func() (string, error) { return database.Redacted(a.config.DatabaseURL), a.openStore() })
	step("durability", func() (string, error) { return "commits survive a power cut", a.db.CheckDurable(a.ctx) })
	step("people", func() (string, error) { return a.peopleInWords() })
	step("gateway", func() (string, error) {
		var err error
		engine, err = a.openEngine(a.config.Gateway.NotifyURL)
		return a.gatewayInWords(), err
	})
	step("signature", func() (string, error) {
		balances, err := engine.Gateway.Balances(a.ctx)
		if err != nil {
			return "", fmt.Errorf("%w: %w; check gateway.url, gateway.account, gateway.key and that this machine's address is allowed", errGateway, err)
		}
		var words []string
		for currency, b := range balances {
			words = append(words, amount(b, currency))
		}
		slices.Sort(words)
		return "the gateway accepts it; balances " + strings.Join(words, ", "), nil
	})
	step("limits", func() (string, error) {
		if err := a.limitsJob(engine.Gateway).Run(a.ctx); err != nil {
			return "", fmt.Errorf("%w: %w", errGateway, err)
		}
		limits, err := a.book.Limits(a.ctx)
		var words []string
		for _, l := range limits {
			words = append(words, a.channelName(l.Channel)+" "+string(l.Currency)+" ("+l.Source+")")
		}
		return strings.Join(words, ", "), err
	})
	if a.cli.JSON {
		printJSON(a.out, map[string]any{"ok": failed == nil})
	}
	return failed
}

func (a *app) settingsInWords() string {
	if a.cli.Config == "" {
		return "no configuration file"
	}
	return a.cli.Config
}

func (a *app) gatewayInWords() string {
	if a.config.Gateway.Sandbox() {
		return "the SANDBOX: no real money moves"
	}
	return a.config.Gateway.URL + " as " + a.config.Gateway.Account
}

func (a *app) peopleInWords() (string, error) {
	users, err := a.book.Users(a.ctx)
	if err != nil {
		return "", err
	}
	makers, checkers := 0, 0
	for _, u := range users {
		if u.Is(ledger.Maker) {
			makers++
		}
		if u.Is(ledger.Checker) {
			checkers++
		}
	}
	if makers == 0 || checkers == 0 {
		return fmt.Sprintf("%d makers, %d checkers: nobody can pay yet, see payrun user add", makers, checkers), nil
	}
	return fmt.Sprintf("%d makers, %d checkers", makers, checkers), nil
}

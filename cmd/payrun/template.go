package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"payrun/internal/money"
	"payrun/internal/sheets"
)

// templateCmd writes an empty payout sheet. It needs no database.
type templateCmd struct {
	File     string `arg:"" help:"Workbook to write, such as payouts.xlsx." placeholder:"FILE.xlsx"`
	Profile  string `help:"For an import profile: with its headings, and without what it says once for all rows (payrun profile list)." placeholder:"NAME"`
	Channel  string `help:"Only this channel, by code or name."`
	Currency string `help:"Only this currency, such as USD."`
}

// Run leaves a file of that name alone.
func (c *templateCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	if strings.ToLower(filepath.Ext(c.File)) != ".xlsx" {
		return usagef("a template is a workbook, so its name must end in .xlsx: %s", c.File)
	}
	profile, err := howRead{Profile: c.Profile}.profile(a)
	if err != nil {
		return err
	}
	rules := a.importJob().Rules
	rules.Profile = profile.Profile
	choice := sheets.TemplateChoice{Channel: c.Channel, Currency: money.Currency(strings.ToUpper(c.Currency))}
	err = sheets.Template(c.File, rules, choice)
	switch {
	case errors.Is(err, sheets.ErrNoSuchChoice):
		return usagef("%w; the channels are %s, and payrun check says what each pays", err, a.channelCodes())
	case errors.Is(err, sheets.ErrNoForm):
		return usagef("profile %s: %w", c.Profile, err)
	case errors.Is(err, fs.ErrExist):
		return usagef("%s exists, and a template overwrites nothing; choose another name", c.File)
	case err != nil:
		return fmt.Errorf("write the template: %w", err)
	}
	option := ""
	if c.Profile != "" {
		option = "--profile " + c.Profile + " "
	}
	return a.show(map[string]string{"template": c.File}, func() {
		a.sayf("%s: fill in the sheet %s, save, and hand it in: payrun import %s%s", relative(c.File), sheets.PayoutsSheet, option, relative(c.File))
	})
}

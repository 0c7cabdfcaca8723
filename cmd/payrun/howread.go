package main

import (
	"errors"
	"strings"

	"payrun/importers"
	"payrun/internal/config"
	"payrun/internal/money"
	"payrun/jobs"
)

// howRead is what import and run take on the command line about a sheet.
type howRead struct {
	Profile        string   `help:"Import profile by which the sheets are read (payrun profile list)." placeholder:"NAME"`
	Map            []string `help:"What a column is, by heading or letter: account=\"Wallet no\", amount=D; heading:D for a heading that is a letter." placeholder:"FIELD=COLUMN" sep:"none"`
	Channel        string   `help:"Channel of all payouts; a row that says otherwise is refused." placeholder:"NAME"`
	Currency       string   `help:"Currency of all payouts; a row that says otherwise is refused." placeholder:"CODE"`
	ConfirmColumns bool     `help:"The first row of a sheet without headings was shown and is read rightly."`
	GoodRows       bool     `help:"Import the good rows of a sheet that has bad ones too."`
	Totals         string   `help:"With --good-rows: what the good rows add up to, as the refusal said." placeholder:"TEXT"`
}

// choice finds out how the sheets are to be read.
func (h howRead) choice(a *app) (jobs.ImportChoice, error) {
	choice := jobs.ImportChoice{GoodRows: h.GoodRows, Totals: h.Totals, ProfileName: h.Profile, Options: h.options()}
	profile, err := h.profile(a)
	if err != nil {
		return choice, err
	}
	choice.Profile, choice.Settings = profile.Profile, profile.Text()
	return choice, nil
}

// plainInShell are the characters that mean nothing more to a shell.
const plainInShell = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=.,:/-"

// options says on one line what has to be given again for another sheet that
// is written in the same way.
func (h howRead) options() string {
	var all []string
	add := func(option, value string) {
		if value == "" {
			return
		}
		if strings.Trim(value, plainInShell) != "" {
			value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" // as a shell takes it
		}
		all = append(all, option+" "+value)
	}
	add("--profile", h.Profile)
	for _, given := range h.Map {
		add("--map", given)
	}
	add("--channel", h.Channel)
	add("--currency", h.Currency)
	if h.ConfirmColumns {
		all = append(all, "--confirm-columns")
	}
	return strings.Join(all, " ")
}

func (h howRead) profile(a *app) (config.Profile, error) {
	var profile config.Profile
	if h.Profile != "" {
		var err error
		if profile, err = config.FindProfile(a.config.Profiles, h.Profile); err != nil {
			return profile, profileError(err)
		}
	}
	var said importers.Profile
	for _, given := range h.Map {
		if err := mapColumn(&said, given); err != nil {
			return profile, usagef("--map %s: %w", given, err)
		}
	}
	config.Reassign(&profile.Profile, said)
	if h.Channel != "" {
		profile.Channel = h.Channel
	}
	if h.Currency != "" {
		profile.Currency = money.Currency(h.Currency)
	}
	if h.ConfirmColumns {
		profile.Unconfirmed = false
	}
	if err := profile.Validate(); err != nil {
		return profile, usageError{err}
	}
	if profile.Channel != "" && !a.knowsChannel(profile.Channel) {
		return profile, usagef("there is no channel %q that is switched on (payrun check)", profile.Channel)
	}
	return profile, nil
}

var errNoColumn = errors.New("write it as FIELD=COLUMN, such as account=\"Wallet no\" or amount=D")

// mapColumn takes one --map. What looks like a column letter is one.
func mapColumn(p *importers.Profile, given string) error {
	field, column, ok := strings.Cut(given, "=")
	if !ok || column == "" {
		return errNoColumn
	}
	heading, byHeading := strings.CutPrefix(column, "heading:")
	isLetter := len(column) <= 2 && column == strings.ToUpper(column) && strings.Trim(column, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	return config.MapColumn(p, field, heading, isLetter && !byHeading)
}

// knowsChannel tells whether the importer knows a channel by this name.
func (a *app) knowsChannel(name string) bool {
	_, known := importers.Rules{Channels: a.importJob().Rules.Channels}.ChannelCode(name)
	return known
}

// printDryRun says how each column of a sheet is understood, and what would
// have to be confirmed to import it.
func (a *app) printDryRun(sheet importers.Result, choice jobs.ImportChoice) {
	if len(sheet.Columns) == 0 {
		return // it was refused before any row was read
	}
	a.sayf("\nNot looked at in a dry run: stopped wallets, repeats, earlier payments and the limits of the moment.")
	if choice.GoodRows && sheet.Rejected > 0 {
		a.sayf("\nTo import the good rows alone: --good-rows --totals %q", jobs.GoodTotals(sheet))
	}
	a.sayf("\nColumns, as they are understood:")
	t := newTable(a.out, "column", "heading", "is the")
	for _, c := range sheet.Columns {
		meaning := c.Field.String()
		if c.Field == importers.FieldIgnored {
			meaning = "(kept, not interpreted)"
		}
		t.row(c.Letter, orNone(c.Heading), meaning)
	}
	t.flush()
}

package main

import (
	"cmp"
	"strings"
	"time"

	"payrun/importers"
	"payrun/internal/config"
	"payrun/internal/money"
	"payrun/internal/sandbox"
	"payrun/internal/sheets"
	"payrun/jobs"
	"payrun/ledger"
)

// gatewayAccount is our name at the gateway, which order numbers depend on.
func (a *app) gatewayAccount() string {
	if a.config.Gateway.Sandbox() {
		return sandbox.DefaultAccount
	}
	return a.config.Gateway.Account
}

// importJob reads sheets by the configured channels.
func (a *app) importJob() *jobs.Import {
	im := &jobs.Import{
		Book: a.book, GatewayAccount: a.gatewayAccount(), Fees: map[string]jobs.Fee{},
		Annotate: sheets.Apart{Command: apart("mark-sheet")}.Annotate,
	}
	most := a.config.Sheets
	im.Read = importers.Apart{Command: apart("read-sheet"), Memory: most.Memory, Time: most.Time}.Read
	im.Rules.MaxRows, im.Rules.MaxColumns, im.Rules.MaxEntries = most.Rows, most.Columns, most.Parts
	im.Rules.MaxBytes, im.Rules.MaxUnzipped = most.Bytes, most.Unpacked
	im.Rules.Today = time.Now().In(a.config.Zone).Format(time.DateOnly)
	im.Scrutiny = a.scrutiny()
	for _, standard := range importers.DefaultChannels() {
		c := a.channel(standard.Code)
		im.Fees[c.Code] = jobs.Fee{Flat: c.FeeFlat, PartsPerMillion: c.FeePPM}
		standard.Currencies = c.Currencies
		if c.Enabled {
			im.Rules.Channels = append(im.Rules.Channels, standard)
		}
	}
	return im
}

// scrutiny is what people want to confirm about payees.
func (a *app) scrutiny() ledger.Scrutiny {
	w := a.config.Warnings
	look := ledger.Scrutiny{Repeats: w.RepeatsWithin, References: w.ReferencesWithin, FirstPayments: w.FirstPayment == "all"}
	if w.FirstPayment == "none" {
		return look
	}
	look.Large = map[money.Currency]money.Amount{}
	for _, channel := range a.config.Channels {
		for _, currency := range channel.Currencies {
			if amount, err := money.Parse(w.Large, currency); err == nil { // too large to be an amount of it: never above
				look.Large[currency] = amount
			}
		}
	}
	return look
}

// limitsJob refreshes every market that is switched on.
func (a *app) limitsJob(gateway jobs.Gateway) *jobs.Limits {
	return &jobs.Limits{Book: a.book, Gateway: gateway, Markets: a.markets()}
}

func (a *app) markets() []jobs.Market {
	var markets []jobs.Market
	for _, c := range a.config.Channels {
		if !c.Enabled {
			continue
		}
		for i, currency := range c.Currencies {
			m := jobs.Market{Channel: c.Code, Currency: currency, AskGateway: c.AskLimits}
			if i == 0 { // configured limits are in the first currency
				m.Configured = jobs.Bounds{Minimum: c.Minimum, Maximum: c.Maximum}
			}
			markets = append(markets, m)
		}
	}
	return markets
}

func (a *app) enabledChannels() []string {
	var codes []string
	for _, c := range a.config.Channels {
		if c.Enabled {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

// channel finds the settings of a channel; they are zero for a code that
// nobody knows.
func (a *app) channel(code string) config.Channel {
	for _, c := range a.config.Channels {
		if c.Code == code {
			return c
		}
	}
	return config.Channel{}
}

func (a *app) channelName(code string) string { return cmp.Or(a.channel(code).Name, "channel "+code) }

func (a *app) channelNames() map[string]string {
	names := map[string]string{}
	for _, c := range a.config.Channels {
		names[c.Code] = c.Name
	}
	return names
}

// channelCode finds the code of a channel that is named by code or name, and
// refuses one that does not exist; "" stands for all.
func (a *app) channelCode(channel string) (string, error) {
	if err := a.loadConfig(); err != nil { // the channels are settings
		return "", err
	}
	if channel == "" {
		return "", nil
	}
	for _, c := range a.config.Channels {
		if c.Code == channel || strings.EqualFold(c.Name, channel) {
			return c.Code, nil
		}
	}
	return "", usagef("there is no channel %q; the channels are %s", channel, a.channelCodes())
}

func (a *app) channelCodes() string {
	names := make([]string, len(a.config.Channels))
	for i, c := range a.config.Channels {
		names[i] = c.Code + " " + c.Name
	}
	return strings.Join(names, ", ")
}

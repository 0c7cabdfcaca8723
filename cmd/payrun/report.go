package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
	"payrun/reports"
)

// settleCmd closes the business day.
type settleCmd struct{}

// Run closes the day.
func (c *settleCmd) Run(a *app) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if !user.Is(ledger.Checker, ledger.Admin) {
		return fmt.Errorf("%w: to close the day, %s needs the role checker or admin", ledger.ErrForbidden, user.Name)
	}
	day, err := a.settle("user:" + user.Name)
	if err != nil {
		return err
	}
	return a.show(day, func() {
		a.sayf("Day %s is closed with %d entries, digest %s", day.BusinessDay, day.Entries, day.Digest)
	})
}

// reportCmd writes workbooks.
type reportCmd struct {
	From    string   `help:"First business day, 2006-01-02."`
	To      string   `help:"Last business day, 2006-01-02."`
	Batch   int64    `help:"Only this batch."`
	Channel string   `help:"Only this channel."`
	Status  []string `help:"Only these states, such as SUCCEEDED,FAILED."`
	CSV     bool     `help:"Write the payouts as csv instead of the workbook." name:"csv"`
	Out     string   `help:"Where to write it; default: the reports folder." type:"path" short:"o"`
}

// Run writes one file.
func (c *reportCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	filter, err := c.filter(a)
	if err != nil {
		return err
	}
	by := "command line"
	if user, err := a.user(); err == nil {
		by = "user:" + user.Name
	} else if !errors.Is(err, errNoToken) {
		return err
	}
	write := a.writeReport
	if c.CSV {
		write = a.writeCSV
	}
	path, summary, err := write(filter, c.Out, by)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"path": path, "report": summary}, func() {
		a.sayf("%s: %d payouts, SHA-256 %s", relative(path), summary.Payouts, summary.SHA256)
	})
}

func (c *reportCmd) filter(a *app) (reports.Filter, error) {
	f := reports.Filter{Batch: c.Batch, Channel: c.Channel}
	for _, s := range c.Status {
		f.States = append(f.States, ledger.State(strings.ToUpper(s)))
	}
	for _, day := range []struct {
		text string
		into *database.Instant
		plus int
	}{{c.From, &f.From, 0}, {c.To, &f.To, 1}} {
		if day.text == "" {
			continue
		}
		at, err := time.ParseInLocation("2006-01-02", day.text, a.config.Zone)
		if err != nil {
			return f, fmt.Errorf("%w: %q is no day such as 2026-01-31", errUsage, day.text)
		}
		*day.into = database.InstantOf(at.AddDate(0, 0, day.plus))
	}
	return f, nil
}

func (a *app) writeReport(filter reports.Filter, path, by string) (string, reports.Summary, error) {
	return a.write(reports.Workbook, "reconciliation", ".xlsx", filter, path, by)
}

func (a *app) writeCSV(filter reports.Filter, path, by string) (string, reports.Summary, error) {
	return a.write(reports.CSV, "payouts", ".csv", filter, path, by)
}

type writeFunc func(context.Context, *database.DB, string, reports.Filter, reports.Options) (reports.Summary, error)

func (a *app) write(write writeFunc, name, extension string, filter reports.Filter, path, by string) (string, reports.Summary, error) {
	if path == "" {
		now, err := a.book.Now(a.ctx)
		if err != nil {
			return "", reports.Summary{}, err
		}
		path = filepath.Join(a.config.Reports, name+"-"+now.Time().In(a.config.Zone).Format("2006-01-02-150405.000")+extension)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return path, reports.Summary{}, err
	}
	summary, err := write(a.ctx, a.db, path, filter, reports.Options{
		By: by, GatewayAccount: a.gatewayAccount(), Channels: a.channelNames(), Zone: a.config.Zone, Version: version,
	})
	if err != nil {
		return path, summary, err
	}
	return path, summary, a.book.Note(a.ctx, by, "report.write", filepath.Base(path), "sha256 "+summary.SHA256)
}

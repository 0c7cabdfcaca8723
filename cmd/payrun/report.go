package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
	"payrun/reports"
)

// settleCmd closes the business day.
type settleCmd struct{}

type dayView struct {
	Day     string `json:"day"`
	Entries int64  `json:"entries"`
	Digest  string `json:"digest"`
}

// Run closes the day.
func (c *settleCmd) Run(a *app) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if !user.Is(ledger.Checker, ledger.Admin) {
		return fmt.Errorf("%w: %s needs the role checker or admin to close the day", ledger.ErrForbidden, user.Name)
	}
	day, err := a.settle(user.Actor())
	if err != nil {
		return err
	}
	before, err := a.closedBefore(day)
	if err != nil {
		return err
	}
	return a.show(dayView{day.BusinessDay, day.Entries, day.Digest}, func() {
		if before.ClosedAt == 0 {
			a.sayf("Day %s is closed with %s, digest %s", day.BusinessDay, counted(day.Entries, "entry", "entries"), day.Digest)
			return
		}
		a.sayf("Day %s was closed at %s with %s; %s came since, and is closed with digest %s", day.BusinessDay, a.localTime(before.ClosedAt),
			counted(before.Entries, "entry", "entries"), count(day.Entries), day.Digest)
	})
}

// closedBefore is when a business day was closed last before this closing,
// with all entries that it had then.
func (a *app) closedBefore(day ledger.Day) (before ledger.Day, err error) {
	days, err := a.book.Days(a.ctx)
	for _, d := range days {
		if d.BusinessDay == day.BusinessDay && d.ID < day.ID {
			before.ClosedAt = max(before.ClosedAt, d.ClosedAt)
			before.Entries += d.Entries
		}
	}
	return before, err
}

// reportCmd writes workbooks.
type reportCmd struct {
	From    string   `help:"First day in the zone of the configuration, such as 2026-01-01." placeholder:"DAY"`
	To      string   `help:"Last day, such as 2026-01-31." placeholder:"DAY"`
	Batch   int64    `help:"Only this batch."`
	Channel string   `help:"Only this channel, by code or name, such as 16 or Payeer."`
	Status  []string `help:"Only these states, such as SUCCEEDED,FAILED; paid stands for SUCCEEDED."`
	CSV     bool     `help:"Write the payouts as csv instead of the workbook." name:"csv"`
	Out     string   `help:"Where to write it; default: the reports folder." short:"o" placeholder:"FILE"`
}

type reportView struct {
	Path    string         `json:"path"`
	Payouts int64          `json:"payouts"`
	Totals  []progressView `json:"totals"`
	SHA256  string         `json:"sha256"`
	AsOf    string         `json:"as_of"`
}

// Run writes one file.
func (c *reportCmd) Run(a *app) error {
	by, err := a.actor()
	if err != nil {
		return err
	}
	filter, err := c.filter(a)
	if err != nil {
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
	totals := views(summary.Totals, func(t reports.Total) progressView {
		return progressView{t.State, t.Currency, t.Payouts, decimal(t.Amount, t.Currency), decimal(t.Fees, t.Currency)}
	})
	return a.show(reportView{path, summary.Payouts, totals, summary.SHA256, instant(summary.AsOf)}, func() {
		a.sayf("%s: %s\n  SHA-256 %s", relative(path), counted(summary.Payouts, "payout", "payouts"), summary.SHA256)
	})
}

// filter names what does not exist rather than writing an empty report.
func (c *reportCmd) filter(a *app) (f reports.Filter, err error) {
	f.Batch = c.Batch
	if f.States, err = parseStates("status", c.Status); err != nil {
		return f, err
	}
	if f.Channel, err = a.channelCode(c.Channel); err != nil {
		return f, err
	}
	if c.Batch != 0 {
		if _, err := a.book.Batch(a.ctx, c.Batch); err != nil {
			return f, err
		}
	}
	if f.From, err = a.day(c.From, 0); err != nil {
		return f, err
	}
	f.To, err = a.day(c.To, 1) // the filter's end is excluded
	return f, err
}

// day is the start of a business day, so many days later; 0 for "".
func (a *app) day(text string, later int) (database.Instant, error) {
	if text == "" {
		return 0, nil
	}
	at, err := time.ParseInLocation(time.DateOnly, text, a.config.Zone)
	if err != nil {
		return 0, usagef("%q is no day such as 2026-01-31", text)
	}
	return database.InstantOf(at.AddDate(0, 0, later)), nil
}

func (a *app) writeReport(filter reports.Filter, path, by string) (string, reports.Summary, error) {
	return a.write(reports.Workbook, "reconciliation", ".xlsx", filter, path, by)
}

func (a *app) writeCSV(filter reports.Filter, path, by string) (string, reports.Summary, error) {
	return a.write(reports.CSV, "payouts", ".csv", filter, path, by)
}

type writeFunc func(context.Context, *database.DB, string, reports.Filter, reports.Options) (reports.Summary, error)

// write writes one file and notes it in the audit trail.
func (a *app) write(write writeFunc, name, extension string, filter reports.Filter, path, by string) (string, reports.Summary, error) {
	if path == "" {
		now, err := a.book.Now(a.ctx)
		if err != nil {
			return "", reports.Summary{}, err
		}
		path = filepath.Join(a.config.Reports, name+"-"+now.Time().In(a.config.Zone).Format("2006-01-02-150405.000")+extension)
		if err := os.MkdirAll(a.config.Reports, 0o700); err != nil {
			return path, reports.Summary{}, fmt.Errorf("make the reports folder: %w", err)
		}
	}
	summary, err := write(a.ctx, a.db, path, filter, reports.Options{
		By: by, GatewayAccount: a.gatewayAccount(), Channels: a.channelNames(), Zone: a.config.Zone, Version: version,
	})
	if err != nil {
		return path, summary, err
	}
	return path, summary, a.book.Note(a.ctx, by, "report.write", filepath.Base(path), "sha256 "+summary.SHA256)
}

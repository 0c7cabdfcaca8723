package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"payrun/internal/money"
	"payrun/jobs"
	"payrun/ledger"
)

// summarize counts ended payouts and says in words where the others are.
func summarize(progress []ledger.Progress) (done, all int64, words string) {
	counts := map[ledger.State]int64{}
	for _, p := range progress {
		counts[p.State] += p.Payouts
		all += p.Payouts
		if p.State.Final() {
			done += p.Payouts
		}
	}
	var parts []string
	for state, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(string(state))))
	}
	slices.Sort(parts)
	return done, all, strings.Join(parts, ", ")
}

// progressLine redraws one line on a terminal, and writes a plain line now
// and then elsewhere.
type progressLine struct {
	app      *app
	terminal bool
	written  time.Time
	width    int
	last     string
}

func newProgressLine(a *app) *progressLine {
	f, ok := a.out.(*os.File)
	return &progressLine{app: a, terminal: ok && isatty.IsTerminal(f.Fd())}
}

const barWidth = 30

func (l *progressLine) show(done, all int64, words string) {
	if l.app.cli.JSON || all == 0 {
		return
	}
	if l.terminal {
		full := int(barWidth * done / all)
		text := fmt.Sprintf("[%s%s] %d of %d ended: %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, all, words)
		fmt.Fprintf(l.app.out, "\r%-*s", l.width, text)
		l.width = len(text)
		return
	}
	if words != l.last && (time.Since(l.written) > 2*time.Second || done == all) {
		l.app.sayf("%d of %d ended: %s", done, all, words)
		l.written, l.last = time.Now(), words
	}
}

func (l *progressLine) end() {
	if l.terminal && l.width > 0 {
		fmt.Fprintln(l.app.out)
	}
}

// printPreflight shows what a maker and a checker look at before money moves.
func (a *app) printPreflight(p jobs.Preflight) {
	a.sayf("\nPre-flight of batch %d (%s)", p.Batch.ID, p.Batch.Name)
	t := newTable(a.out, "channel", "payouts ", "amount ", "est. fees ", "currency", "limits per payout")
	for _, total := range p.Totals {
		t.row(a.channelName(total.Channel), total.Payouts, money.Format(total.Amount, total.Currency),
			money.Format(total.Fees, total.Currency), total.Currency, limitWords(p.Limits, total))
	}
	t.flush()
	for _, f := range p.Funds {
		verdict := "enough"
		if !f.Enough() {
			verdict = "NOT ENOUGH"
		}
		a.sayf("  Needed with fees %s; available in our books %s, at the gateway %s: %s.",
			amount(f.Needed, f.Currency), amount(f.Available, f.Currency), amount(f.AtGateway, f.Currency), verdict)
	}
	if p.Rejected > 0 || p.Warnings > 0 {
		a.sayf("  Not in the batch: %d rejected rows. Warnings to confirm by submitting and approving: %d.", p.Rejected, p.Warnings)
	}
	if p.Duration > 0 {
		a.sayf("  Sending takes about %s at the configured rate.", p.Duration.Round(time.Second))
	}
}

func limitWords(limits []ledger.Limit, t ledger.Total) string {
	for _, l := range limits {
		if l.Channel == t.Channel && l.Currency == t.Currency {
			return fmt.Sprintf("%s to %s (%s)", money.Format(l.Minimum, l.Currency), money.Format(l.Maximum, l.Currency), l.Source)
		}
	}
	return "not known yet"
}

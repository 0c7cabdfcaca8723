package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const exampleSheet = "../../examples/payouts.xlsx"

type finished struct {
	Batch    int64          `json:"batch"`
	Progress []progressView `json:"progress"`
	Sandbox  comparison     `json:"sandbox"`
	Workbook string         `json:"workbook"`
}

func TestDemoGoesTheWholeWayAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.must("demo", "--sheet", exampleSheet)
	first.says("no real money", "1,000,000.00 USD", "194 payouts accepted, 6 rows rejected", "8 problems:",
		"sheet Payouts, row 27, column E (Amount)", "Before money moves", "together", "Enough",
		"approved by demo-checker", "194 of 194", "agrees, payout by payout", "Paid twice: 0", "Try next:")
	if first.err != "" {
		t.Errorf("nothing is wrong, but standard error says:\n%s", first.err)
	}
	p.must("verify").says("checks passed")

	var second finished
	p.must("demo", "--sheet", exampleSheet, "--json").document(&second)
	if second.Batch != 2 || second.Sandbox.Twice != 0 || second.Sandbox.Different != 0 || second.Sandbox.Paid == 0 {
		t.Errorf("the second demo: %+v", second)
	}
	if info, err := os.Stat(second.Workbook); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("workbook: %v, %v", info, err)
	}
	p.must("batch", "show", "2").says("same rows as batch 1; a checker allowed the repeat")
	p.must("verify").says("checks passed")
}

func TestRepeatSaysSo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sheet := p.sheet(goodRows(2)...)
	p.must("run", sheet).says("SANDBOX", "2 payouts accepted")
	p.must("run", sheet).says("imported before, as batch 1", "demo-checker allows the repeat")
}

func TestRunOnBadRows(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sheet := p.sheet(append(goodRows(2), badRow)...)
	p.run("run", sheet).exits(exitSheet).says("row 4", "The amount is zero").
		complains("the sheet has rows that cannot be paid: 1 of 3", "--good-rows")
	var batches []batchView
	p.must("batch", "list", "--json").document(&batches)
	if len(batches) != 0 {
		t.Errorf("a refused sheet left %d batches", len(batches))
	}
	p.must("run", sheet, "--good-rows").says("2 payouts accepted, 1 row rejected", "2 paid")
	p.must("verify")
}

func TestDemoKeepsAwayFromRealBooksAndLiveGateways(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.people()
	p.run("run", p.sheet(goodRows(1)...)).exits(exitUsage).complains("has people of its own")
	p.with("PAYRUN_GATEWAY_URL=https://gateway.example/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY=k").
		run("demo", "--sheet", exampleSheet).exits(exitUsage).complains("never touches a live gateway")
}

func TestCurrenciesAreNotMixed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "PAYRUN_CHANNELS_11_CURRENCIES=USD,EUR")
	var done finished
	p.must("run", "--json", p.sheet("R-1,11,U100000907,10.00,USD,A", "R-2,11,E100000907,20.00,EUR,B")).document(&done)
	got := map[string]string{}
	for _, s := range done.Sandbox.Sums {
		got[string(s.Currency)] = s.Amount
	}
	if got["USD"] != "10.00" || got["EUR"] != "20.00" {
		t.Errorf("the sandbox's sums: %v", done.Sandbox.Sums)
	}
}

func TestInterruptedRunIsRecordedAndGoesOn(t *testing.T) {
	t.Parallel()
	p := newPlace(t).without("PAYRUN_GATEWAY_CALLS").with("PAYRUN_GATEWAY_CALLS_PER_SECOND=20")
	child := p.start("run", p.sheet(goodRows(40)...))
	child.out.line(t, "of 40 done")
	child.signal(syscall.SIGTERM)
	child.wait().exits(exitOpen).complains("stopped while they were under way", "payrun serve goes on with batch 1")
	p.must("verify")
	if s := p.states(1)["SENDING"]; s != 0 {
		t.Errorf("%d payouts were left in the middle of a call", s)
	}

	serving := p.without("PAYRUN_GATEWAY_CALLS").with("PAYRUN_GATEWAY_CALLS_PER_SECOND=0", "PAYRUN_LISTEN=127.0.0.1:0").start("serve")
	eventually(t, "serve finishes what the run began", func() bool { return p.states(1)["SUCCEEDED"] == 40 })
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK)
	p.must("verify")
}

// states counts a batch's payouts by state.
func (p *place) states(batch int) map[string]int64 {
	p.t.Helper()
	var shown struct {
		Progress []progressView `json:"progress"`
	}
	p.must("batch", "show", "--json", string(rune('0'+batch))).document(&shown)
	counts := map[string]int64{}
	for _, s := range shown.Progress {
		counts[string(s.State)] += s.Payouts
	}
	return counts
}

func TestStoppedBeforeItBegan(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := p.runContext(ctx, "run", p.sheet(goodRows(1)...))
	if r.code == exitOK || strings.Contains(r.out, "paid") {
		t.Errorf("exit code %d:\n%s%s", r.code, r.out, r.err)
	}
	p.must("verify")
}

func TestPathsAreNamedAsGiven(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, path := range []string{filepath.Join(t.TempDir(), "none.xlsx"), t.TempDir()} {
		for _, command := range [][]string{{"run", path}, {"demo", "--sheet", path}, {"import", "--dry-run", path}} {
			p.run(command...).exits(exitSheet).complains("the sheet was not imported", path)
		}
	}
}

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// opened is an app as run makes it, for tests of what a command is made of.
func (p *place) opened(log io.Writer) *app {
	p.t.Helper()
	a := &app{ctx: p.t.Context(), cli: &cli{}, environ: p.environ, out: io.Discard, errOut: log}
	p.t.Cleanup(func() {
		if err := a.close(); err != nil {
			p.t.Error(err)
		}
	})
	if err := a.loadConfig(); err != nil {
		p.t.Fatal(err)
	}
	return a
}

func TestServeEndsWhenItsListenerFails(t *testing.T) {
	t.Parallel()
	a := newPlace(t, "PAYRUN_LISTEN=127.0.0.1:0").opened(io.Discard)
	s, err := a.newService(a.config.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.listener.Close(); err != nil {
		t.Fatal(err)
	}
	err = s.run(t.Context()) // returns only when everything has ended
	if err == nil || !strings.Contains(err.Error(), "stopped listening") || exitCode(err) != exitFailure {
		t.Errorf("got %v, exit code %d", err, exitCode(err))
	}
}

// A run that was missed while nothing ran is made up for, or skipped where the
// settings say so.
func TestMissedRuns(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "PAYRUN_LISTEN=127.0.0.1:0", "PAYRUN_SCHEDULE_SKIP_MISSED=report", "PAYRUN_LOG_LEVEL=info")
	serveUntil := func(report, verify string) {
		t.Helper()
		c := p.start("serve")
		for job, says := range map[string]string{"report": report, "verify": verify} {
			eventually(t, job+" "+says, func() bool { return strings.Contains(p.run("job", "why", job).out, says) })
		}
		c.signal(os.Interrupt)
		c.wait().exits(exitOK)
	}
	serveUntil("Due next at", "Due next at")
	sqlite(t, filepath.Join(p.data, "payrun.db"), "UPDATE schedules SET next_due_at = next_due_at - 2 * 86400000000 WHERE job IN ('report', 'verify')")
	serveUntil("skipped", "checks passed")
	p.must("job", "list").says("run once", "skip")
}

// A service that goes on while its program is replaced reads sheets with its
// own version, not with the other one.
func TestAServiceOutlivesItsProgram(t *testing.T) {
	t.Parallel()
	if !strings.HasPrefix(itself(), "/proc/") {
		return // a system that knows programs only by their paths
	}
	folder := t.TempDir()
	p := newPlace(t, "PAYRUN_LISTEN=127.0.0.1:0", "PAYRUN_SCHEDULE_IMPORT=@every 1s", "PAYRUN_INBOX_FOLDER="+folder, "PAYRUN_INBOX_OWNER=mia")
	p.people()
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	program := p.file("payrun", read(os.Args[0]), 0o700)
	c := p.startFrom(program, "serve")
	c.errOut.line(t, "job=import")
	if err := errors.Join(os.Remove(program), os.WriteFile(program, []byte("#!/bin/sh\nexit 1\n"), 0o700)); err != nil {
		t.Fatal(err)
	}
	sheet := filepath.Join(folder, "november.xlsx")
	if err := errors.Join(os.Rename(p.file("november.xlsx", read("../../importers/testdata/payouts-november.xlsx"), 0o600), sheet), os.Chtimes(sheet, time.Time{}, time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sheet is imported", func() bool { return strings.Contains(p.run("batch", "list").out, "november.xlsx") })
	c.signal(os.Interrupt)
	c.wait().exits(exitOK)
}

func TestServeWarnsWhenNobodyCanPay(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a := newPlace(t).opened(&log)
	if err := a.openStore(); err != nil {
		t.Fatal(err)
	}
	a.warnAboutPeople()
	if !strings.Contains(log.String(), "nobody can pay yet") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestLogsAreQuietForPeopleUnlessAsked(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	sheet := p.sheet(goodRows(1)...)
	if r := p.must("run", sheet); r.err != "" {
		t.Errorf("standard error: %s", r.err)
	}
	p.with("PAYRUN_LOG_LEVEL=shout").run("run", sheet).exits(exitUsage).complains("log.level")
}

func TestLogLineStandsAboveProgress(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	line := &progressLine{app: &app{cli: &cli{}, out: &screen, errOut: &screen}, terminal: true}
	line.show(1, 4, "1 paid, 3 under way")
	if _, err := line.Write([]byte("level=WARN msg=x\n")); err != nil {
		t.Fatal(err)
	}
	line.show(4, 4, strings.Repeat("many words ", 20))
	line.end()
	parts := strings.Split(screen.String(), clearLine)
	if len(parts) != 4 || !strings.HasPrefix(parts[2], "level=WARN msg=x\n[######") || len(parts[3]) > lineWidth+1 {
		t.Errorf("screen: %q", parts)
	}
}

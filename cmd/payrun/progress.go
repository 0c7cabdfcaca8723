package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"payrun/ledger"
)

// summarize counts ended payouts and says in words where all of them are.
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
	for _, w := range ledger.States {
		if n := counts[w.State]; n > 0 {
			parts = append(parts, count(n)+" "+w.Short)
		}
	}
	return done, all, strings.Join(parts, ", ")
}

// progressLine redraws one line on a terminal, and writes a plain line now
// and then elsewhere. Logs that come while it stands go through Write, which
// puts them above it.
type progressLine struct {
	app      *app
	terminal bool
	written  time.Time
	last     string

	mu    sync.Mutex
	stood string // what stands on the terminal
}

func newProgressLine(a *app) *progressLine {
	return &progressLine{app: a, terminal: isTerminal(a.out)}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

const (
	barWidth  = 24
	lineWidth = 79 // longer lines would wrap and could not be redrawn
	plainGap  = 2 * time.Second
	clearLine = "\r\x1b[K"
)

func (l *progressLine) show(done, all int64, words string) {
	if l.app.cli.JSON || all == 0 {
		return
	}
	if l.terminal {
		l.draw(done, all, words)
		return
	}
	if words != l.last && (time.Since(l.written) > plainGap || done == all) {
		l.app.sayf("%s of %s done: %s", count(done), count(all), words)
		l.written, l.last = time.Now(), words
	}
}

func (l *progressLine) draw(done, all int64, words string) {
	full := int(barWidth * done / all)
	text := fmt.Sprintf("[%s%s] %s of %s: %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), count(done), count(all), words)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stood = text[:min(len(text), lineWidth)]
	fmt.Fprint(l.app.out, clearLine+l.stood)
}

// end leaves the line standing.
func (l *progressLine) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stood != "" {
		fmt.Fprintln(l.app.out)
		l.stood = ""
	}
}

// Write prints a log line above the progress.
func (l *progressLine) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stood == "" {
		return l.app.errOut.Write(text)
	}
	fmt.Fprint(l.app.out, clearLine)
	n, err := l.app.errOut.Write(text)
	fmt.Fprint(l.app.out, l.stood)
	return n, err
}

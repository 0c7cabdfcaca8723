package jobs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

// Heads is the path of the file that keeps the digest of each closed day, and
// the head of the audit trail at its end, outside the database: somebody who
// can change the database cannot change its proof with it. It is only ever
// added to.
type Heads string

// headLine is what the file says of a closed day. It begins with the time of
// closing, by which it is found again.
func headLine(d ledger.Day) string {
	return fmt.Sprintf("%s day=%s entries=%d digest=%s audit=%s", d.ClosedAt, d.BusinessDay, d.Entries, d.Digest, d.AuditDigest)
}

// keep adds every closed day that the file lacks: also one whose process died
// between closing and writing.
func (h Heads) keep(ctx context.Context, book *ledger.Book) error {
	kept, err := h.lines()
	if err != nil {
		return err
	}
	days, err := book.Days(ctx)
	if err != nil {
		return err
	}
	var missing strings.Builder
	if last := len(kept) - 1; last >= 0 && kept[last] != "" { // a process died while it wrote
		missing.WriteString("\n")
	}
	for _, d := range slices.Backward(days) { // oldest first
		if line := headLine(d); d.ClosedAt != 0 && !slices.Contains(kept, line) {
			missing.WriteString(line + "\n")
		}
	}
	return appendDurably(string(h), missing.String())
}

// lines are those of the file, none where there is no file yet.
func (h Heads) lines() ([]string, error) {
	text, err := os.ReadFile(string(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Split(string(text), "\n"), err
}

// compare finds closed days that the database has otherwise than the file, or
// not at all. The days that a declared or noticed restore may have lost are
// none of them, and neither is a line that was cut off when a process died.
func (h Heads) compare(ctx context.Context, book *ledger.Book) (ledger.Check, []ledger.Breach, error) {
	check := ledger.Check{Name: "closed days", Promise: "each closed day is what " + filepath.Base(string(h)) + " kept of it outside the database"}
	lines, err := h.lines() // before the days: a day is closed first, then kept
	if err != nil {
		return check, nil, err
	}
	days, err := book.Days(ctx)
	if err != nil {
		return check, nil, err
	}
	restored, err := book.RestoredAt(ctx)
	if err != nil {
		return check, nil, err
	}
	closed := map[string]ledger.Day{}
	for _, d := range days {
		closed[d.ClosedAt.String()] = d
	}
	var breaches []ledger.Breach
	for _, line := range lines {
		if row, wrong := againstDays(line, closed, restored); wrong != "" {
			breaches = append(breaches, ledger.Breach{Check: check.Name, Row: row, Wrong: wrong})
		}
	}
	check.Breaches = len(breaches)
	return check, breaches, nil
}

// againstDays says what is wrong between a line of the file and the days that
// were closed, by the time of closing; "" when nothing is.
func againstDays(line string, closed map[string]ledger.Day, restored database.Instant) (row, wrong string) {
	at, _, _ := strings.Cut(line, " ")
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return "", ""
	}
	day, found := closed[at]
	switch {
	case found && !strings.HasPrefix(headLine(day), line):
		return "day " + day.BusinessDay, fmt.Sprintf("the file says %q, the database %q: one of them was rewritten", line, headLine(day))
	case !found && restored < database.InstantOf(when):
		return "day closed at " + at, fmt.Sprintf("the file says %q, and the database has no such day: it was rewritten, or is an older copy, of which payrun restored was not told", line)
	}
	return "", ""
}

func appendDurably(path, line string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Sync()
}

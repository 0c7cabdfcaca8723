package sheets

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"payrun/importers"
	"payrun/internal/money"
)

// summarize adds the sheet that sums the problems up.
func (a *annotation) summarize() error {
	p, err := newPage(a.file, a.looks, importers.ProblemsSheet, 20, 14, 24, 26, 24, 90)
	if err != nil {
		return err
	}
	return errors.Join(p.title("Problems in "+a.File), a.explain(p), a.sums(p), a.kindTable(p), a.problemTable(p))
}

// explain says in words how the sheet stands and what to do.
func (a *annotation) explain(p *page) error {
	s := a.Sheet
	state := fmt.Sprintf("Rows: %d good, %d rejected. Warnings: %d.", s.Accepted, s.Rejected, s.Warnings)
	if a.Reason != "" {
		state = "Nothing was imported. " + state
	} else if a.Batch != 0 {
		state = fmt.Sprintf("The good rows were imported as batch %d. %s", a.Batch, state)
	}
	own := fmt.Sprintf("This sheet and the column %q are Payrun's own: they are not read, and are", importers.ProblemsHeading)
	switch {
	case a.column == 0:
		own = "This sheet is Payrun's own: it is not read, and is"
	case s.HeaderRow == 0:
		own = "This sheet and the column of sentences beside its table are Payrun's own: they are not read, and are"
	}
	todo := fmt.Sprintf("Correct the marked cells on the sheet %q and hand this file in. Red rejects a row, yellow needs to be confirmed. "+
		"%s written anew when there are still problems.", a.sheet, own)
	if a.Batch != 0 {
		todo += " Delete the grey rows first: they are imported already."
		if len(s.ControlTotals) > 0 {
			todo += " The sheet's own total or count still has them in it: correct it too, or delete its row."
		}
	}
	if a.Options != "" {
		todo += fmt.Sprintf(" The sheet was read with %s, and this file needs the same: payrun import %s FILE, or the inbox folder that the sheet came from.", a.Options, a.Options)
	}
	judged := fmt.Sprintf("Judged: %s, SHA-256 %s.", a.File, s.Digest)
	return errors.Join(p.note(state), p.note(todo), p.note(judged))
}

// sums sets the accepted rows beside the rejected ones.
func (a *annotation) sums(p *page) error {
	err := errors.Join(p.section("What the rows add up to"),
		p.headings(left("Channel"), left("Currency"), right("Good rows: amount"), right("Rejected rows: amount"), right("Rows without amount"), left("Rows")))
	for _, key := range a.sumKeys() {
		good, bad := a.goodTotal(key), a.badTotal(key)
		counts := fmt.Sprintf("%d good, %d rejected", good.Count, bad.Count)
		err = errors.Join(err, p.line(words(a.channelName(key.channel), plainLook), words(cmp.Or(string(key.currency), unknown), plainLook),
			sum(good.Amount, key.currency), sum(bad.Amount, key.currency), countOrNone(bad.Unreadable), words(counts, plainLook)))
	}
	return err
}

func countOrNone(n int) field {
	if n == 0 {
		return words("", plainLook)
	}
	return count(n)
}

// unknown is a channel or a currency that the row does not name.
const unknown = "unknown"

func (a *annotation) channelName(code string) string {
	for _, channel := range a.channels {
		if channel.Code == code {
			return fmt.Sprintf("%s (%s)", channel.Name, code)
		}
	}
	return cmp.Or(code, unknown)
}

type sumKey struct {
	channel  string
	currency money.Currency
}

// sumKeys lists channels and currencies in order, those that nobody knows last.
func (a *annotation) sumKeys() []sumKey {
	var keys []sumKey
	for _, t := range a.Sheet.Totals {
		keys = append(keys, sumKey{t.Channel, t.Currency})
	}
	for _, t := range a.Sheet.RejectedTotals {
		keys = append(keys, sumKey{t.Channel, t.Currency})
	}
	last := func(text string) string { return cmp.Or(text, "\uffff") }
	slices.SortFunc(keys, func(a, b sumKey) int {
		return cmp.Or(cmp.Compare(last(a.channel), last(b.channel)), cmp.Compare(last(string(a.currency)), last(string(b.currency))))
	})
	return slices.Compact(keys)
}

func (a *annotation) goodTotal(key sumKey) importers.Total {
	for _, t := range a.Sheet.Totals {
		if t.Channel == key.channel && t.Currency == key.currency {
			return t
		}
	}
	return importers.Total{}
}

func (a *annotation) badTotal(key sumKey) importers.RejectedTotal {
	for _, t := range a.Sheet.RejectedTotals {
		if t.Channel == key.channel && t.Currency == key.currency {
			return t
		}
	}
	return importers.RejectedTotal{}
}

// kindTable groups the problems: one mistake is often made many times.
func (a *annotation) kindTable(p *page) error {
	if len(a.Sheet.Kinds) == 0 {
		return nil
	}
	err := errors.Join(p.section("By kind"), p.headings(right("Count"), left("Effect"), left("Kind"), left("First rows"), left(""), left("")))
	for _, k := range a.Sheet.Kinds {
		err = errors.Join(err, p.line(count(k.Count), words(effect(k.Severity), plainLook), words(string(k.Code), strongLook), words(firstRows(k), plainLook)))
	}
	return err
}

func firstRows(k importers.Kind) string {
	rows := make([]string, len(k.Rows))
	for i, row := range k.Rows {
		rows[i] = strconv.Itoa(row)
	}
	list := strings.Join(rows, ", ")
	if k.Count > len(k.Rows) {
		list += " and others"
	}
	return list
}

func effect(s importers.Severity) string {
	switch s {
	case importers.FileRefused:
		return "file refused"
	case importers.Warning:
		return "to confirm"
	}
	return "row rejected"
}

// problemTable lists every problem that was kept, with a link to its cell.
func (a *annotation) problemTable(p *page) error {
	err := errors.Join(p.section("Every problem"),
		p.headings(left("Cell"), left("Effect"), left("Heading"), left("Value"), left("Kind"), left("What is wrong, and what to do")))
	for _, problem := range a.every() {
		err = errors.Join(err, p.line(a.cellOf(problem), words(effect(problem.Severity), sentenceLook), words(problem.Heading, sentenceLook),
			words(problem.Value, sentenceLook), words(string(problem.Code), strongLook), words(problem.Message, sentenceLook)))
	}
	if more := a.more(); more > 0 {
		err = errors.Join(err, p.note(fmt.Sprintf("%d more problems are not listed and not marked. Correct these, hand the sheet in again, and the next ones are named.", more)))
	}
	return err
}

func (a *annotation) cellOf(p importers.Problem) field {
	if p.Row == 0 {
		return words("file", plainLook)
	}
	column := p.Column
	if column == "" {
		column = "A"
	}
	cell := fmt.Sprintf("%s%d", column, p.Row)
	shown := cell
	if p.Column == "" {
		shown = fmt.Sprintf("row %d", p.Row)
	}
	return field{text: shown, look: linkLook, link: "'" + strings.ReplaceAll(a.sheet, "'", "''") + "'!" + cell}
}

package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

// Filter says which payouts a report shows; the zero value shows all.
//
// A payout belongs to a period when it was alive in it: imported before its
// end and not ended before its start. So everything that moved in the period
// is shown, and everything that was still open. States are those of the
// snapshot, also for a period that is long over.
type Filter struct {
	From    database.Instant // start of the period, included; 0 for the beginning
	To      database.Instant // end of the period, excluded; 0 for no end
	Batch   int64            // only this batch; 0 for all
	Channel string           // only this channel's code; "" for all
	States  []ledger.State   // only these states; none for all
}

func meaning(state ledger.State) string {
	if i := state.Rank(); i >= 0 {
		return ledger.States[i].InReport()
	}
	return ""
}

func (f Filter) check() error {
	if f.To != 0 && f.To <= f.From {
		return fmt.Errorf("%w: the report's period ends before it starts", ledger.ErrInvalid)
	}
	for _, state := range f.States {
		if state.Rank() < 0 {
			return fmt.Errorf("%w: no payout is ever %q", ledger.ErrInvalid, state)
		}
	}
	return nil
}

// whole reports whether every payout is shown.
func (f Filter) whole() bool { return f.From == 0 && f.To == 0 && f.onlyPeriod() }

// onlyPeriod reports whether nothing but the period leaves payouts out.
func (f Filter) onlyPeriod() bool { return f.Batch == 0 && f.Channel == "" && len(f.States) == 0 }

// end is To with "no end" as the end of time.
func (f Filter) end() database.Instant {
	if f.To == 0 {
		return math.MaxInt64
	}
	return f.To
}

// clause is a condition with its arguments. Conditions are made of constant
// text; values only ever travel as arguments.
type clause struct {
	text string
	args []any
}

func (c *clause) and(text string, args ...any) {
	if c.text != "" {
		c.text += " AND "
	}
	c.text += text
	c.args = append(c.args, args...)
}

// stateOf is the state of payout p of batch b: one that was never sent stands
// where its batch stands.
const stateOf = "CASE WHEN p.state = 'UNSENT' THEN b.state ELSE p.state END"

// endOf is when payout p of batch b ended, or 0: with its discarded batch, or
// on its own.
const endOf = `CASE WHEN p.state = 'UNSENT' AND b.state = 'CANCELLED' THEN (SELECT max(v.created_at) FROM events v
	WHERE v.batch_id = b.id AND v.payout_id = 0) ELSE p.ended_at END`

// payouts is the condition on "payouts p JOIN batches b".
func (f Filter) payouts() clause {
	var c clause
	c.and("b.state <> 'STAGING'")
	if f.Batch != 0 { // a range of the primary key
		first, last := ledger.IDs(f.Batch)
		c.and("p.id BETWEEN ? AND ?", first, last)
	}
	if f.Channel != "" {
		c.and("p.channel = ?", f.Channel)
	}
	if len(f.States) > 0 {
		args := make([]any, len(f.States))
		for i, state := range f.States {
			args[i] = string(state)
		}
		c.and(stateOf+" IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
	}
	if f.To != 0 {
		c.and("b.made_at < ?", f.To)
	}
	if f.From != 0 {
		c.and("("+endOf+" = 0 OR "+endOf+" >= ?)", f.From)
	}
	return c
}

// batches is the condition on "batches b": those with a payout that is shown,
// and those made in the period, for a sheet whose every row was refused.
func (f Filter) batches() clause {
	var c clause
	c.and("b.state <> 'STAGING'")
	if f.Batch != 0 {
		c.and("b.id = ?", f.Batch)
	}
	if f.whole() {
		return c
	}
	shown := f.payouts()
	text, args := "EXISTS (SELECT 1 FROM payouts p WHERE p.batch_id = b.id AND "+shown.text+")", shown.args
	if f.Channel == "" && len(f.States) == 0 {
		text, args = "("+text+" OR b.made_at >= ? AND b.made_at < ?)", append(args, f.From, f.end())
	}
	c.and(text, args...)
	return c
}

// entries is the condition on "entries e": those of the period and the batch;
// with a channel or states, those of the payouts that are shown.
func (f Filter) entries() clause {
	var c clause
	c.and("e.created_at >= ? AND e.created_at < ?", f.From, f.end())
	if f.Batch != 0 {
		c.and("e.batch_id = ?", f.Batch)
	}
	if f.Channel != "" || len(f.States) > 0 {
		shown := f.payouts()
		c.and("EXISTS (SELECT 1 FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE p.id = e.payout_id AND "+shown.text+")", shown.args...)
	}
	return c
}

// period says the period in words.
func (f Filter) period(zone *time.Location) string {
	at := func(i database.Instant) string { return i.Time().In(zone).Format("2 January 2006 15:04") }
	switch {
	case f.From == 0 && f.To == 0:
		return "everything since the ledger began"
	case f.To == 0:
		return "from " + at(f.From) + " " + zone.String()
	case f.From == 0:
		return "until " + at(f.To) + " " + zone.String()
	}
	return at(f.From) + " to " + at(f.To) + " " + zone.String()
}

// selection says in words which payouts of the period are shown.
func (f Filter) selection(options Options) string {
	var words []string
	if f.Batch != 0 {
		words = append(words, fmt.Sprint("batch ", f.Batch))
	}
	if f.Channel != "" {
		words = append(words, "channel "+channelName(options, f.Channel))
	}
	if len(f.States) > 0 {
		names := make([]string, len(f.States))
		for i, state := range f.States {
			names[i] = string(state)
		}
		slices.Sort(names)
		words = append(words, "status "+strings.Join(names, " or "))
	}
	if len(words) == 0 {
		return "all payouts"
	}
	return strings.Join(words, ", ")
}

func channelName(options Options, code string) string {
	if name := options.channel(code); name != code {
		return name + " (" + code + ")"
	}
	return code
}

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"payrun/epay"
	"payrun/internal/database"
	"payrun/ledger"
)

// payoutCmd tells about payouts, and lets people decide about one.
type payoutCmd struct {
	List   payoutListCmd   `cmd:"" help:"List payouts with what to do next; without flags those that need a person."`
	Show   payoutShowCmd   `cmd:"" help:"Everything that happened to a payout, in order."`
	Decide payoutDecideCmd `cmd:"" help:"Propose what became of a payout, or what to do with it (maker or checker); a second person confirms."`
}

type payoutListCmd struct {
	State   []string `help:"Only payouts in this state, such as FAILED, or paid for SUCCEEDED; may be repeated."`
	InDoubt bool     `help:"Only payouts in doubt or under review."`
	Batch   int64    `help:"Only payouts of this batch."`
	Limit   int      `help:"How many to list at most." default:"1000"`
}

func (c *payoutListCmd) filter() (f ledger.PayoutFilter, err error) {
	f = ledger.PayoutFilter{Batch: c.Batch, Most: max(c.Limit, 1), InCase: len(c.State) == 0 && !c.InDoubt && c.Batch == 0}
	f.States, err = parseStates("state", c.State)
	if c.InDoubt {
		f.States = append(f.States, ledger.Unknown, ledger.Review)
	}
	return f, err
}

// parseStates reads what people call states, in any case.
func parseStates(flag string, words []string) (states []ledger.State, err error) {
	for _, word := range words {
		state := ledger.State(strings.ToUpper(word))
		if state == "PAID" {
			state = ledger.Succeeded
		}
		if state.Rank() < 0 {
			names := make([]string, len(ledger.States))
			for i, w := range ledger.States {
				names[i] = string(w.State)
			}
			return nil, usagef("--%s: there is no state %q; the states are %s", flag, word, strings.Join(names, ", "))
		}
		states = append(states, state)
	}
	return states, nil
}

// listedPayout is a payout with what somebody has to do about it.
type listedPayout struct {
	ledger.Payout
	now   database.Instant
	again string // the order number that pays it again; "" normally
	next  string // "" for nothing
}

// Run lists payouts.
func (c *payoutListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	filter, err := c.filter()
	if err != nil {
		return err
	}
	listed, err := a.listPayouts(filter)
	if err != nil {
		return err
	}
	nothing, err := a.nothingListed(filter, len(listed))
	if err != nil {
		return err
	}
	return a.show(views(listed, viewListed), func() {
		if len(listed) == 0 {
			a.sayf("%s", nothing)
			return
		}
		t := newTable(a.out, "order", "state", "amount ", "currency", "account", "channel", "age ", "next")
		for _, p := range listed {
			t.row(p.OrderNo(), payoutState(p.Payout), grouped(p.Amount, p.Currency), p.Currency, p.MaskedAccount(), a.channelName(p.Channel), p.age(), p.next)
		}
		t.flush()
		if len(listed) == c.Limit {
			a.sayf("There may be more: --limit %d lists more of them.", 10*c.Limit)
		}
	})
}

// nothingListed says what an empty list means.
func (a *app) nothingListed(f ledger.PayoutFilter, listed int) (string, error) {
	if listed > 0 || !f.InCase {
		return "No such payouts.", nil
	}
	const most = 1000
	failed, err := a.failedPayouts(0, most)
	switch {
	case err != nil || len(failed) == 0:
		return "No payout needs a decision.", err
	case len(failed) == most:
		return fmt.Sprintf("No payout needs a decision. %d or more failed: payrun payout list --state FAILED,FAILED_FEE", most), nil
	}
	return fmt.Sprintf("No payout needs a decision. %d failed: payrun payout list --state FAILED,FAILED_FEE", len(failed)), nil
}

// listPayouts finds payouts, and for each the next step of its case.
func (a *app) listPayouts(filter ledger.PayoutFilter) ([]listedPayout, error) {
	payouts, err := a.book.Payouts(a.ctx, filter)
	if err != nil {
		return nil, err
	}
	open, err := a.book.Exceptions(a.ctx)
	if err != nil {
		return nil, err
	}
	steps := map[int64]string{}
	for _, e := range open {
		steps[e.PayoutID] = e.NextStep
	}
	again, err := a.paidAgain(payouts)
	if err != nil {
		return nil, err
	}
	now, err := a.book.Now(a.ctx)
	listed := make([]listedPayout, len(payouts))
	for i, p := range payouts {
		listed[i] = listedPayout{p, now, again[p.OrderNo()], steps[p.ID]}
		if listed[i].next == "" {
			listed[i].next = nextFor(p, again[p.OrderNo()])
		}
	}
	return listed, err
}

func payoutState(p ledger.Payout) string {
	if p.Blocked != "" && p.State == ledger.Approved {
		return string(p.State) + ", blocked"
	}
	return string(p.State)
}

// age is how long ago the payout was sent.
func (p listedPayout) age() string {
	if p.SentAt == 0 {
		return ""
	}
	return shortAge(p.now.Sub(p.SentAt))
}

// shortAge is a duration in its two largest units.
func shortAge(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.Truncate(time.Second).String()
}

// paidAgain finds what pays the failed ones among some payouts again.
func (a *app) paidAgain(payouts []ledger.Payout) (map[string]string, error) {
	var orders []string
	for _, p := range payouts {
		if p.State == ledger.Failed || p.State == ledger.FailedFee {
			orders = append(orders, p.OrderNo())
		}
	}
	return a.book.PaidAgain(a.ctx, orders)
}

// nextFor says what somebody can do about a payout that no case is about, and
// that the order number again pays again, if one does.
func nextFor(p ledger.Payout, again string) string {
	switch p.State {
	case ledger.Failed, ledger.FailedFee:
		if again != "" {
			return "paid again as " + again
		}
		if p.GatewayOrder == "" {
			return "the gateway cannot confirm that it failed: pay it in a new sheet"
		}
		return "payrun repay " + p.OrderNo() + " --reason … pays it again"
	case ledger.Closed:
		return "with a statement line two people decide: payrun payout decide " + p.OrderNo() + " --as paid or --as failed, --reason … --evidence \"statement line\""
	}
	return ""
}

type payoutShowCmd struct {
	Order string `arg:"" help:"Order number, the gateway's number for it, or the reference in the sheet."`
}

// orderNo finds the order number of the one payout that a person means.
func (a *app) orderNo(name string) (string, error) {
	const most = 10
	found, err := a.book.Find(a.ctx, name, most)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("%w: no payout has the order number, gateway number or reference %q; payrun payout list --batch N lists them", ledger.ErrNotFound, name)
	case len(found) == 1:
		return found[0].OrderNo(), nil
	}
	var each []string
	for _, p := range found {
		each = append(each, fmt.Sprintf("%s (batch %d, row %d, %s)", p.OrderNo(), p.BatchID, p.Row, p.State))
	}
	many := "payouts are called %q; choose one by its order number: %s"
	if len(found) == most {
		many = "or more " + many
	}
	return "", fmt.Errorf("%w: %d "+many, ledger.ErrConflict, len(found), name, strings.Join(each, ", "))
}

// Run tells the story.
func (c *payoutShowCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	order, err := a.orderNo(c.Order)
	if err != nil {
		return err
	}
	s, err := a.storyOf(order)
	if err != nil {
		return err
	}
	view := viewPayout(s.Payout, s.steps)
	view.Cases, view.PaidAgain, view.Stops = views(s.cases, viewException), s.again, views(s.stops, viewStop)
	return a.show(view, func() { a.printStory(s) })
}

// story is all that is told about a payout.
type story struct {
	ledger.Payout
	steps []ledger.Step
	cases []ledger.Exception
	stops []ledger.Stop
	again string // the order number under which it is paid again
}

func (a *app) storyOf(order string) (s story, err error) {
	if s.Payout, s.steps, err = a.book.Story(a.ctx, order); err != nil {
		return s, err
	}
	if s.cases, err = a.casesOf(s.Payout); err != nil {
		return s, err
	}
	again, err := a.paidAgain([]ledger.Payout{s.Payout})
	if err != nil {
		return s, err
	}
	s.again = again[s.OrderNo()]
	s.stops, err = a.stopsOn(s.Payout)
	return s, err
}

func (a *app) printStory(s story) {
	a.printPayout(s.Payout, corrected(s.steps))
	for _, stop := range s.stops {
		a.sayf("  STOPPED: %s", a.heldBy(stop, a.liftOf(stop, s.Payout)))
	}
	for _, e := range s.cases {
		a.sayf("  OPEN CASE, %s: %s. Next: %s", e.Kind, e.Detail, e.NextStep)
	}
	if next := nextFor(s.Payout, s.again); next != "" && len(s.cases) == 0 {
		a.sayf("  next: %s", next)
	}
	a.sayf("")
	t := newTable(a.out, "at", "what", "who", "detail")
	for _, step := range s.steps {
		what, detail := told(step)
		t.row(a.localTime(step.At), what, step.Actor, detail)
	}
	t.flush()
}

// statusInWords is the gateway's status with its name and since when it is so.
func (a *app) statusInWords(p ledger.Payout) string {
	if p.Status == "" {
		return "none"
	}
	name := epay.Status(p.Status).Name()
	if name == "" {
		name = "not a documented one"
	}
	return fmt.Sprintf("%s (%s) since %s", p.Status, name, a.localTime(p.StatusAt))
}

func (a *app) printPayout(p ledger.Payout, corrected bool) {
	a.sayf("Payout %s: %s, %s to %s on %s", p.OrderNo(), p.State, amount(p.Amount, p.Currency), p.MaskedAccount(), a.channelName(p.Channel))
	a.sayf("  batch %d, row %d of the sheet, reference %q, payee %q", p.BatchID, p.Row, p.Reference, p.Payee)
	if p.Beside != "" {
		a.sayf("  other columns: %s", p.Beside)
	}
	if p.PayDate != "" {
		a.sayf("  pay date %s: not sent before", p.PayDate)
	}
	if p.Repays != "" {
		a.sayf("  pays %s again", p.Repays)
	}
	if p.GatewayOrder != "" {
		a.sayf("  the gateway calls it %s: status %s; %s", p.GatewayOrder, a.statusInWords(p), gatewayTerms(p, corrected))
	}
	if p.Moved > 0 && p.State == ledger.Succeeded {
		a.sayf("  really paid %s, as two people found; fee %s", amount(p.Moved, p.Currency), amount(fee(p), p.Currency))
	}
	if p.Blocked != "" {
		a.sayf("  BLOCKED: %s", p.Blocked)
	}
}

// stopsOn finds the stops that keep a payout from being sent.
func (a *app) stopsOn(p ledger.Payout) (held []ledger.Stop, err error) {
	if p.State.Sent() || p.State.Final() {
		return nil, nil
	}
	all, err := a.book.Stops(a.ctx)
	for _, s := range all {
		if s.Holds(p) {
			held = append(held, s)
		}
	}
	return held, err
}

// liftOf is the command that lifts a stop of the payout. With it a wallet's
// account need not be typed.
func (a *app) liftOf(s ledger.Stop, p ledger.Payout) string {
	if s.Scope == ledger.OneWallet {
		return "payrun stop lift wallet --of " + p.OrderNo()
	}
	return liftCommand(s)
}

// corrected reports whether people corrected an end of the payout.
func corrected(story []ledger.Step) bool {
	return slices.ContainsFunc(story, func(s ledger.Step) bool { return s.What == "entry "+string(ledger.ByCorrection) })
}

// gatewayTerms says what the gateway took and paid out, or for a payout that
// was not paid, what it had named. Of one that people corrected the fee is what
// stayed with the gateway.
func gatewayTerms(p ledger.Payout, corrected bool) string {
	took := amount(fee(p), p.Currency)
	named := "the gateway named " + orNone(p.Received) + " to receive"
	if p.FeeKnown != 0 {
		named = fmt.Sprintf("the gateway named fee %s and %s to receive", took, orNone(p.Received))
	}
	switch {
	case p.State == ledger.Succeeded:
		return fmt.Sprintf("fee %s, rate %s, received %s", took, orNone(p.Rate), orNone(p.Received))
	case p.State == ledger.FailedFee, p.State == ledger.Failed && corrected && p.Fee > 0:
		return fmt.Sprintf("the fee of %s was kept; nothing was paid", took)
	case p.State == ledger.Failed && p.FeeKnown == 0 && p.Received == "":
		return "nothing was paid"
	case p.State == ledger.Failed:
		return named + "; nothing was paid"
	case p.FeeKnown == 0 && p.Received == "":
		return "fee " + took + ", estimated"
	}
	return named
}

// received is what the payee got, "" unless the payout is paid.
func received(p ledger.Payout) string {
	if p.State != ledger.Succeeded {
		return ""
	}
	if p.Moved > 0 {
		return amount(p.Moved, p.Currency)
	}
	return p.Received
}

// casesOf finds the open cases about a payout.
func (a *app) casesOf(p ledger.Payout) (cases []ledger.Exception, err error) {
	all, err := a.book.Exceptions(a.ctx)
	for _, e := range all {
		if e.PayoutID == p.ID {
			cases = append(cases, e)
		}
	}
	return cases, err
}

func orNone(text string) string { return cmp.Or(text, "none") }

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"payrun/internal/database"
	"payrun/internal/sandbox"
	"payrun/ledger"
)

// verdict is what the gateway's own book says about ours.
type verdict struct {
	took     time.Duration
	payouts  int
	once     int // paid once
	twice    int
	failed   int // ended unpaid, in both books
	doubt    int // left to people, with an open case
	lost     int // neither
	differ   int // reported otherwise than the gateway's book says
	creates  int
	attempts int64
	calls    int
	busiest  int
	allowed  int    // in a second
	checks   string // of payrun verify
	counts   counts
	carried  int
	forged   int
	taken    int
	resent   int
	breaches []string
}

func (v *verdict) wrong(format string, arguments ...any) {
	v.breaches = append(v.breaches, fmt.Sprintf(format, arguments...))
}

// judge compares the two books, payout by payout, and has every promise of
// the ledger checked by its own command.
func (in *installation) judge() (*verdict, error) {
	v := &verdict{counts: in.counts}
	theirs, err := in.book()
	if err != nil {
		return nil, err
	}
	open, err := in.openCases()
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	err = in.eachPayout(func(p *ledger.Payout) error {
		ours[p.OrderNo()] = true
		v.compare(p, theirs.Orders[p.OrderNo()], open[p.ID])
		return nil
	})
	if err != nil {
		return nil, err
	}
	for number := range theirs.Orders {
		if !ours[number] {
			v.wrong("the gateway was asked for %s, which is no order of ours", number)
		}
	}
	if in.resend == automatic && v.doubt > 0 {
		v.wrong("%d payouts are left to people, though proven absence lets them be sent again", v.doubt)
	}
	if v.payouts != in.payouts {
		v.wrong("%d payouts were imported, %d are in the books", in.payouts, v.payouts)
	}
	in.post.mu.Lock()
	v.carried, v.forged, v.taken = in.post.carried, in.post.forged, in.post.taken
	in.post.mu.Unlock()
	if v.taken > 0 {
		v.wrong("%d forged notifications were taken for true", v.taken)
	}
	return v, errors.Join(in.judgeCalls(v), in.verify(v))
}

// compare judges one payout.
func (v *verdict) compare(p *ledger.Payout, order sandbox.Order, cases []string) {
	v.payouts++
	v.creates += order.Creates
	v.attempts += p.Attempts
	if order.Creates > 1 {
		v.resent++
	}
	if order.Creates > int(p.Attempts) {
		v.wrong("%s: the gateway saw %d creates, %d attempts were stored", p.OrderNo(), order.Creates, p.Attempts)
	}
	if order.Paid > 1 {
		v.twice++
		v.wrong("%s was paid %d times", p.OrderNo(), order.Paid)
	}
	if order.Paid == 1 {
		v.once++
	}
	switch {
	case p.State.Final() && agrees(p, order):
		if order.Paid == 0 {
			v.failed++
		}
	case p.State.Final() && len(cases) == 0:
		v.differ++
		v.wrong("%s is %s, the gateway paid it %d times and says %d", p.OrderNo(), p.State, order.Paid, order.Status)
	case len(cases) > 0:
		v.doubt++
	default:
		v.lost++
		v.wrong("%s is %s without an open case", p.OrderNo(), p.State)
	}
}

// agrees reports whether a payout ended as the gateway's book says, with the
// same amounts.
func agrees(p *ledger.Payout, order sandbox.Order) bool {
	switch p.State {
	case ledger.Succeeded:
		return order.Paid == 1 && order.Status == 7 && order.PaidAmount == p.Amount && order.Fee == p.Fee
	case ledger.Failed:
		return order.Paid == 0 && (order.Status == 5 || order.Status == 6)
	case ledger.FailedFee:
		return order.Paid == 0 && order.Status == 20 && order.Fee == p.Fee
	case ledger.Closed:
		return order.Paid == 0 && order.Status == 8
	}
	return false
}

// openCases lists the kinds of open cases about each payout.
func (in *installation) openCases() (map[int64][]string, error) {
	db, err := database.Open(in.ctx, database.Config{URL: in.postgres.address, MaxConnections: 4})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	open, err := ledger.New(db, ledger.Config{}).Exceptions(in.ctx)
	cases := map[int64][]string{}
	for _, e := range open {
		cases[e.PayoutID] = append(cases[e.PayoutID], e.Kind)
	}
	return cases, err
}

// judgeCalls holds the busiest second against the gateway's limit.
func (in *installation) judgeCalls(v *verdict) error {
	text, err := in.ask("GET", "/sandbox/calls?window=1s", nil)
	if err != nil {
		return err
	}
	var calls struct {
		Busiest   int
		Endpoints map[string]struct{ Count int }
	}
	if err := json.Unmarshal(text, &calls); err != nil {
		return err
	}
	v.busiest = calls.Busiest
	for _, e := range calls.Endpoints {
		v.calls += e.Count
	}
	if v.allowed = in.callsPerSecond(); v.busiest > v.allowed {
		v.wrong("the gateway saw %d calls in a second, it allows %d", v.busiest, v.allowed)
	}
	return nil
}

// verify lets payrun check its own promises.
func (in *installation) verify(v *verdict) error {
	out, err := in.command("", "--json", "verify")
	var result struct {
		Checks []struct{ Breaches int }
	}
	if json.Unmarshal([]byte(out), &result) != nil {
		return fmt.Errorf("payrun verify: %w", err)
	}
	v.checks = fmt.Sprintf("%d", len(result.Checks))
	if err != nil {
		v.wrong("%v", err)
	}
	return nil
}

func (v *verdict) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name string, format string, arguments ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, arguments...))
	}
	row("payouts", "%d in %s", v.payouts, v.took.Round(time.Second))
	row("paid once", "%d", v.once)
	row("paid twice", "%d", v.twice)
	row("ended unpaid", "%d", v.failed)
	row("lost", "%d", v.lost)
	row("reported wrongly", "%d", v.differ)
	row("in doubt", "%d, each an open case", v.doubt)
	row("creates", "%d, for %d stored attempts; %d orders went out again", v.creates, v.attempts, v.resent)
	row("busiest second", "%d calls of %d allowed; %d in all", v.busiest, v.allowed, v.calls)
	row("promises checked", "%s, by payrun verify", v.checks)
	row("workers", "killed %d, stopped past their lease %d, paused %d, gave up %d", v.counts.kills, v.counts.stalls, v.counts.pauses, v.counts.gaveUp)
	if v.counts.gaveUp > 0 {
		row("", "the last one said: %s", v.counts.why)
	}
	row("PostgreSQL", "killed %d, disk full %d", v.counts.databases, v.counts.disks)
	row("gateway", "killed %d, channel outages %d, stops lifted %d", v.counts.gateways, v.counts.outages, v.counts.lifts)
	row("notifications", "%d taken; of %d forged ones %d", v.carried, v.forged, v.taken)
	_ = t.Flush()
	if len(v.breaches) > 0 {
		const shown = 30
		fmt.Fprintln(w, "BROKEN:")
		fmt.Fprintln(w, "  "+strings.Join(v.breaches[:min(shown, len(v.breaches))], "\n  "))
	}
}

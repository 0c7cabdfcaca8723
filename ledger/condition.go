package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"payrun/internal/database"
	"payrun/internal/money"
)

// The kinds of exceptions that last as long as a condition does; KeepCases
// opens and closes them.
const (
	ExceptionBalanceLow  = "balance-low"  // the gateway holds less than is needed
	ExceptionRunFailed   = "run-failed"   // the newest run of a job failed
	ExceptionNotVerified = "not-verified" // the ledger breaks a promise
	ExceptionUnchecked   = "unchecked"    // the ledger was not verified for too long
	ExceptionInboxFolder = "inbox-folder" // a folder of the inbox has sheets that nobody reads
)

// KeepCases makes the open cases of a kind those that are given, told apart by
// their subjects: it opens what is missing and closes what has passed. It does
// not touch cases about single payouts.
func (b *Book) KeepCases(ctx context.Context, actor, kind string, cases []Exception) error {
	wanted := map[string]Exception{}
	for _, c := range cases {
		wanted[c.Subject] = c
	}
	var open []string
	err := b.db.Select(ctx, &open, "SELECT subject FROM exceptions WHERE kind = ? AND payout_id = 0 AND closed_at = 0", kind)
	if err != nil {
		return fmt.Errorf("read cases %s: %w", kind, err)
	}
	var passed []string
	for _, subject := range open {
		if _, still := wanted[subject]; !still {
			passed = append(passed, subject)
		}
		delete(wanted, subject)
	}
	if len(wanted) == 0 && len(passed) == 0 { // most often: then nothing is locked
		return nil
	}
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := closeCases(ctx, tx, actor, kind, passed); err != nil {
			return err
		}
		var missing []Exception
		for _, subject := range slices.Sorted(maps.Keys(wanted)) {
			c := wanted[subject]
			c.Kind = kind
			missing = append(missing, c)
		}
		return openExceptions(ctx, tx, missing)
	})
	if err != nil {
		return fmt.Errorf("keep cases %s: %w", kind, err)
	}
	return nil
}

func closeCases(ctx context.Context, tx *database.Tx, actor, kind string, subjects []string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	given := database.Rows{database.Texts("v_subject", subjects)}
	_, err = given.Exec(ctx, tx, `UPDATE exceptions SET closed_at = ?, closed_by = ?, resolution = 'it is so no more'
		FROM v WHERE exceptions.subject = v_subject AND exceptions.kind = ? AND exceptions.payout_id = 0 AND exceptions.closed_at = 0`, now, actor, kind)
	return err
}

// BalancesLow returns a case for every currency in which the gateway holds
// less than the given floor, or less than the approved payouts need that wait
// to be sent. What was claimed since the gateway told its balance counts as
// gone.
func (b *Book) BalancesLow(ctx context.Context, floors map[money.Currency]money.Amount) ([]Exception, error) {
	balances, err := b.GatewayBalances(ctx)
	if err != nil {
		return nil, err
	}
	needed, err := b.neededAtMost(ctx)
	if err != nil {
		return nil, err
	}
	var low []Exception
	for _, g := range balances {
		free := g.Reported - g.Committed
		if free < needed[g.Currency] { // perhaps: only now the exact sum is worth its price
			if needed[g.Currency], err = b.needed(ctx, g.Currency); err != nil {
				return nil, err
			}
		}
		if c, ok := balanceLow(g.Currency, free, needed[g.Currency], floors[g.Currency]); ok {
			low = append(low, c)
		}
	}
	return low, nil
}

func balanceLow(currency money.Currency, free, needed, floor money.Amount) (Exception, bool) {
	amount := func(a money.Amount) string { return money.Format(a, currency) + " " + string(currency) }
	c := Exception{
		Subject: string(currency), Detail: "the gateway holds " + amount(free) + " that nothing is claimed from",
		NextStep: "top up the account at the gateway, then book it with payrun funds add",
	}
	switch {
	case free < needed:
		c.Detail += "; approved payouts that wait to be sent need " + amount(needed)
	case free < floor:
		c.Detail += "; alert.balance_low asks for " + amount(floor)
	default:
		return c, false
	}
	return c, true
}

// neededAtMost is what is held for all approved payouts, those under way
// included: never less than what waits to be sent, and read from one row.
func (b *Book) neededAtMost(ctx context.Context) (map[money.Currency]money.Amount, error) {
	var rows []struct {
		Currency money.Currency
		Balance  money.Amount
	}
	if err := b.db.Select(ctx, &rows, "SELECT currency, balance FROM accounts WHERE kind = 'held'"); err != nil {
		return nil, fmt.Errorf("read what is held: %w", err)
	}
	held := map[money.Currency]money.Amount{}
	for _, row := range rows {
		held[row.Currency] = row.Balance
	}
	return held, nil
}

func (b *Book) needed(ctx context.Context, currency money.Currency) (money.Amount, error) {
	var sum money.Amount
	err := b.db.Get(ctx, &sum, `SELECT CAST(coalesce(sum(p.amount + p.fee_estimate), 0) AS BIGINT) FROM batches b
		JOIN payouts p ON p.batch_id = b.id AND p.state = 'UNSENT' AND p.currency = ?
		WHERE b.state = 'APPROVED' AND b.drained_at = 0`, currency)
	if err != nil {
		return 0, fmt.Errorf("add up what waits to be sent: %w", err)
	}
	return sum, nil
}

// limitsShrunk says, for each limit that now allows less than the one that is
// stored, that it does. The same change is told once a day.
func limitsShrunk(ctx context.Context, tx *database.Tx, limits []Limit, now database.Instant) ([]Alert, error) {
	var before []Limit
	if err := tx.Select(ctx, &before, "SELECT "+limitColumns+" FROM limits"); err != nil {
		return nil, err
	}
	var alerts []Alert
	for _, l := range limits {
		i := slices.IndexFunc(before, func(o Limit) bool { return o.Channel == l.Channel && o.Currency == l.Currency })
		if i >= 0 && (l.Maximum < before[i].Maximum || l.Minimum > before[i].Minimum) {
			alerts = append(alerts, limitShrunk(before[i], l, now))
		}
	}
	return alerts, nil
}

func limitShrunk(before, l Limit, now database.Instant) Alert {
	span := func(l Limit) string {
		return money.Format(l.Minimum, l.Currency) + " to " + money.Format(l.Maximum, l.Currency)
	}
	subject := fmt.Sprintf("channel %s in %s", l.Channel, l.Currency)
	return Alert{
		Once: fmt.Sprintf("limits %s %s: %s on %s", l.Channel, l.Currency, span(l), now.Time().Format("2006-01-02")),
		Kind: AlertLimits, Subject: subject, Since: now,
		Summary:  fmt.Sprintf("Limits shrunk: %s takes %s per payout now", subject, span(l)),
		Detail:   fmt.Sprintf("before, it took %s; payouts outside the new limits wait", span(before)),
		NextStep: "payrun job list counts what waits; ask the gateway, or cancel and split what is too large",
	}
}

package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// What payouts wait for without anything being wrong.
const (
	waitForLift = "stopped"
	waitForDate = "the pay date"
	waitForTurn = "its turn"
)

// WaitForLimits is the reason of payouts whose channel's limits are not known,
// or too old.
const WaitForLimits = "fresh limits of the channel"

// Waiting is a group of approved payouts that nobody has sent yet.
type Waiting struct {
	Channel  string
	Currency money.Currency
	Reason   string
	Payouts  int64
	Date     string // "2006-01-02": the earliest pay date, of those that wait for it
	Meant    bool   // somebody wants it so: a stop, or a pay date
	Blocked  bool   // something is wrong with each, of which it has a case
}

// Stopped reports whether a stop holds the payouts.
func (w Waiting) Stopped() bool { return w.Reason == waitForLift }

// Words says what the payouts do instead of being sent, to follow their number.
func (w Waiting) Words() string {
	wait, are, reason := "wait", "are", w.Reason
	if w.Payouts == 1 {
		wait, are = "waits", "is"
	} else if rest, ok := strings.CutPrefix(reason, "its "); ok {
		reason = "their " + rest
	}
	switch {
	case w.Blocked:
		return are + " blocked: " + w.Reason
	case w.Stopped():
		return wait
	case w.Date != "" && w.Payouts == 1:
		return wait + " for " + reason + ", " + w.Date
	case w.Date != "":
		return wait + " for " + reason + ", the first for " + w.Date
	}
	return wait + " for " + reason
}

// Waiting groups the approved, unsent payouts by what they wait for.
func (b *Book) Waiting(ctx context.Context, channels []string, limitsAge time.Duration) ([]Waiting, error) {
	return b.waiting(ctx, channels, limitsAge, "b.drained_at = 0")
}

// WaitingOf does so for a single batch.
func (b *Book) WaitingOf(ctx context.Context, batch int64, channels []string, limitsAge time.Duration) ([]Waiting, error) {
	return b.waiting(ctx, channels, limitsAge, "b.drained_at = 0 AND b.id = ?", batch)
}

func (b *Book) waiting(ctx context.Context, channels []string, limitsAge time.Duration, which string, args ...any) ([]Waiting, error) {
	now, err := b.db.Now(ctx)
	if err != nil {
		return nil, err
	}
	fresh, today := now.Add(-limitsAge), b.businessDay(now)
	var waiting []Waiting
	err = b.db.Select(ctx, &waiting, `SELECT p.channel, p.currency, count(*) AS payouts, CASE
			WHEN p.blocked <> '' THEN p.blocked
			WHEN EXISTS (SELECT 1 FROM stops s WHERE s.lifted_at = 0 AND (s.scope = 'everything'
				OR s.scope = 'channel' AND s.subject = p.channel
				OR s.scope = 'batch' AND s.subject = CAST(p.batch_id AS TEXT))) OR `+heldAlone+` THEN '`+waitForLift+`'
			WHEN p.pay_date > ? THEN '`+waitForDate+`'
			WHEN l.channel IS NULL THEN '`+WaitForLimits+`'
			WHEN p.amount NOT BETWEEN l.minimum AND l.maximum THEN 'wider limits: the amount is outside'
			WHEN g.currency IS NULL THEN 'a fresh balance from the gateway'
			WHEN g.reported - g.committed + g.included < p.amount + p.fee_estimate THEN 'a higher balance at the gateway'
			ELSE '`+waitForTurn+`' END AS reason, p.blocked <> '' AS blocked, min(p.pay_date) AS date
		FROM batches b JOIN payouts p ON p.batch_id = b.id AND p.state = 'UNSENT'
		LEFT JOIN limits l ON l.channel = p.channel AND l.currency = p.currency AND l.fetched_at >= ?
		LEFT JOIN balances g ON g.currency = p.currency AND g.fetched_at >= ?
		WHERE b.state = 'APPROVED' AND `+which+` GROUP BY 1, 2, 4, 5 ORDER BY 1, 2, 4`, append([]any{today, fresh, fresh}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("find what payouts wait for: %w", err)
	}
	for i, w := range waiting {
		if !w.Blocked && !slices.Contains(channels, w.Channel) {
			waiting[i].Reason = "its channel to be switched on"
		}
		if waiting[i].Reason != waitForDate {
			waiting[i].Date = ""
		}
		waiting[i].Meant = slices.Contains([]string{waitForLift, waitForDate, waitForTurn}, waiting[i].Reason)
	}
	return waiting, nil
}

// StopsOf returns the stops in force that hold a batch, or some of its payouts
// that were not sent yet; the oldest first.
func (b *Book) StopsOf(ctx context.Context, batch int64) ([]Stop, error) {
	var stops []Stop
	err := b.db.Select(ctx, &stops, selectStops+` AND (scope = 'everything' OR scope = 'batch' AND subject = CAST(CAST(? AS BIGINT) AS TEXT)
		OR scope = 'channel' AND subject IN (SELECT t.channel FROM batch_totals t WHERE t.batch_id = ?)
		OR scope = 'payout' AND payout_id BETWEEN ? AND ?
		OR scope = 'wallet' AND subject IN (SELECT p.channel || ' ' || lower(p.account) FROM payouts p
			WHERE p.id BETWEEN ? AND ? AND p.state = 'UNSENT')) ORDER BY placed_at, id`,
		batch, batch, firstID(batch), lastID(batch), firstID(batch), lastID(batch))
	if err != nil {
		return nil, fmt.Errorf("read the stops of batch %d: %w", batch, err)
	}
	return stops, nil
}

// SentBack is how a submitted batch came back to its maker.
type SentBack struct {
	By     string // the person
	Reason Reason // ByRejection or ByRecall
	Note   string // in the person's words
	At     database.Instant
}

// SentBack tells how a batch that is VALID came back the last time. It returns
// the zero SentBack for one that never did, or was handed in again.
func (b *Book) SentBack(ctx context.Context, batch int64) (SentBack, error) {
	var back []SentBack
	err := b.db.Select(ctx, &back, `SELECT e.actor AS "by", e.reason, e.note, e.created_at AS at
		FROM batches b JOIN events e ON e.batch_id = b.id AND e.payout_id = 0
		WHERE b.id = ? AND b.state = 'VALID' AND e.from_state = 'SUBMITTED' AND e.to_state = 'VALID' ORDER BY e.id DESC LIMIT 1`, batch)
	if err != nil || len(back) == 0 {
		return SentBack{}, err
	}
	back[0].By = strings.TrimPrefix(back[0].By, "user:")
	return back[0], nil
}

// PaidAgain finds, for order numbers, the ones under which they are paid
// again; those that nobody pays again are not in it.
func (b *Book) PaidAgain(ctx context.Context, orders []string) (map[string]string, error) {
	type row struct{ Order, Again string }
	var rows []row
	err := b.db.Snapshot(ctx, func(tx *database.Tx) (err error) {
		given := database.Rows{database.Texts("v_order", orders)}
		rows, err = database.Select[row](ctx, tx, given, `SELECT v_order AS "order", max(`+orderNoOf("b", "p")+`) AS again
			FROM v JOIN payouts p ON p.repays <> '' AND p.repays = v_order JOIN batches b ON b.id = p.batch_id
			WHERE b.state <> 'STAGING' AND `+live("b", "p")+` GROUP BY v_order`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find what is paid again: %w", err)
	}
	again := make(map[string]string, len(rows))
	for _, r := range rows {
		again[r.Order] = r.Again
	}
	return again, nil
}

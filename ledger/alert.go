package ledger

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"payrun/internal/database"
)

// Alert is something a person is told about, once. Its texts name payouts by
// order number and hide account numbers.
type Alert struct {
	ID int64
	// Once names the thing and its occurrence: a second alert with the same
	// name is not raised.
	Once     string
	Kind     string // of the case that asks for it, or one of the kinds below
	Subject  string // "payout ORDER", "batch 7", "USD": with Kind, what it is about
	BatchID  int64  `db:"batch_id"` // 0 when it concerns no batch
	OrderNo  string `db:"order_no"` // "" when it concerns no single payout
	Summary  string // one line: what happened, to what
	Detail   string
	NextStep string           `db:"next_step"`
	Since    database.Instant // when it began
	RaisedAt database.Instant `db:"raised_at"`
}

// The kinds of alerts that are not about an open case.
const (
	AlertApproval  = "waiting-for-approval"
	AlertProposal  = "waiting-for-decision"
	AlertFinished  = "batch-finished"
	AlertStopped   = "stopped"
	AlertLimits    = "limits-shrunk"
	AlertRunMissed = "run-missed"
)

const alertColumns = "id, once, kind, subject, batch_id, order_no, summary, detail, next_step, since, raised_at"

// RaiseAlert raises an alert unless it was raised before, which it reports. ID
// and RaisedAt are set by the store.
func (b *Book) RaiseAlert(ctx context.Context, a Alert) (raised bool, err error) {
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		news, err := b.insertAlerts(ctx, tx, []Alert{a})
		raised = len(news) > 0
		return err
	})
	return raised, err
}

// insertAlerts numbers and dates alerts, stores those that are new, with a
// delivery for every way there is, and returns them.
func (b *Book) insertAlerts(ctx context.Context, tx *database.Tx, alerts []Alert) ([]Alert, error) {
	n := len(alerts)
	numbers, err := ids(ctx, tx, "ids", n)
	if err != nil {
		return nil, err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, err
	}
	given := database.NewRows(n, "v_id v_batch v_since", "v_once v_kind v_subject v_order v_summary v_detail v_next")
	for i, a := range alerts {
		given.AddInts(numbers[i], a.BatchID, int64(a.Since))
		given.AddTexts(storable(a.Once), storable(a.Kind), storable(a.Subject), storable(a.OrderNo),
			storable(a.Summary), storable(a.Detail), storable(a.NextStep))
	}
	news, err := database.Select[Alert](ctx, tx, given, "INSERT INTO alerts ("+alertColumns+`)
		SELECT v_id, v_once, v_kind, v_subject, v_batch, v_order, v_summary, v_detail, v_next, v_since, ? FROM v WHERE true
		ON CONFLICT (once) DO NOTHING RETURNING `+alertColumns, now)
	if err != nil {
		return nil, fmt.Errorf("raise alerts: %w", err)
	}
	return news, insertDeliveries(ctx, tx, news, b.alertTo, now)
}

// Alerts returns the newest alerts, newest first, at most so many.
func (b *Book) Alerts(ctx context.Context, most int) ([]Alert, error) {
	var alerts []Alert
	err := b.db.Select(ctx, &alerts, "SELECT "+alertColumns+" FROM alerts ORDER BY id DESC LIMIT ?", most)
	return alerts, err
}

// UndeliveredAlerts returns those that did not arrive every way, yet or for
// good, newest first, at most so many.
func (b *Book) UndeliveredAlerts(ctx context.Context, most int) ([]Alert, error) {
	var alerts []Alert
	err := b.db.Select(ctx, &alerts, "SELECT "+alertColumns+` FROM alerts WHERE id IN (SELECT alert_id FROM alert_deliveries WHERE next_try_at > 0
		UNION SELECT alert_id FROM alert_deliveries WHERE given_up_at > 0) ORDER BY id DESC LIMIT ?`, most)
	return alerts, err
}

var (
	word     = regexp.MustCompile(`[\pL\pN@._+-]+`) // all that an account number may be made of
	decimals = regexp.MustCompile(`^-?[0-9]+\.[0-9]+$|^[0-9]{4}-[0-9]{2}-[0-9]{2}`)
	digits   = regexp.MustCompile(`[0-9]`)
)

// discreet hides whatever may be an account number in a text that partly comes
// from outside: words with six digits or more, and addresses. Order numbers,
// amounts and dates stay.
func discreet(text string) string {
	return word.ReplaceAllStringFunc(text, func(w string) string {
		core := strings.TrimRight(w, ".-+_@")
		isAccount := strings.Contains(core, "@") || len(digits.FindAllString(core, -1)) >= 6
		if !isAccount || orderNoForm.MatchString(core) || decimals.MatchString(core) {
			return w
		}
		return Mask(core) + w[len(core):]
	})
}

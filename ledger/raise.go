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

// AlertRules say how long a thing lasts before somebody is told.
type AlertRules struct {
	// After, by kind of case: one that is closed by then is not told. Cases of
	// other kinds are told at once.
	After map[string]time.Duration
	// Approval is how long a batch waits for a checker, and a proposal for a
	// second person.
	Approval time.Duration
	// Again is how long a case that comes and goes is not told again.
	Again time.Duration
}

// raiseAtOnce bounds how many alerts one transaction raises.
const raiseAtOnce = 500

// Raise raises the alerts that cases, stops and batches ask for, and returns
// those that are new. Any number of processes may call it at once: each thing
// is told once. It reads only what was not told yet, however long the history.
func (b *Book) Raise(ctx context.Context, rules AlertRules) ([]Alert, error) {
	var raised []Alert
	for _, raise := range []func(context.Context, AlertRules) ([]Alert, error){b.raiseCases, b.raiseStops, b.raiseApprovals, b.raiseProposals, b.raiseFinished} {
		news, err := raise(ctx, rules)
		raised = append(raised, news...)
		if err != nil {
			return raised, fmt.Errorf("raise alerts: %w", err)
		}
	}
	return raised, nil
}

// dueCase is a case that asks for an alert, with what its texts need.
type dueCase struct {
	Exception
	Account     string
	Amount      money.Amount
	Currency    money.Currency
	Ordinal     int64
	OrderPrefix string `db:"order_prefix"`
	BatchName   string `db:"batch_name"`
}

const selectDueCases = `SELECT x.id, x.kind, x.batch_id, x.payout_id, x.subject, x.detail, ` + nextStepNow + `, x.opened_at, x.closed_at,
	coalesce((SELECT p.account FROM payouts p WHERE p.id = x.payout_id), '') AS account,
	coalesce((SELECT p.amount FROM payouts p WHERE p.id = x.payout_id), 0) AS amount,
	coalesce((SELECT p.currency FROM payouts p WHERE p.id = x.payout_id), '') AS currency,
	coalesce((SELECT p.ordinal FROM payouts p WHERE p.id = x.payout_id), 0) AS ordinal,
	coalesce((SELECT b.order_prefix FROM batches b WHERE b.id = x.batch_id), '') AS order_prefix,
	coalesce((SELECT b.name FROM batches b WHERE b.id = x.batch_id), '') AS batch_name
	FROM exceptions x WHERE x.alert_at > 0 AND x.alert_at <= ? ORDER BY x.alert_at LIMIT %d`

func (b *Book) raiseCases(ctx context.Context, rules AlertRules) ([]Alert, error) {
	more, err := b.anyDue(ctx, "exceptions")
	var raised, news []Alert
	for err == nil && more {
		err = b.db.InTx(ctx, func(tx *database.Tx) (err error) {
			news, more, err = b.raiseDueCases(ctx, tx, rules)
			return err
		})
		if err == nil {
			raised = append(raised, news...)
		}
	}
	return raised, err
}

// anyDue looks before anything is locked.
func (b *Book) anyDue(ctx context.Context, table string) (bool, error) {
	now, err := b.db.Now(ctx)
	if err != nil {
		return false, err
	}
	var due []int64
	err = b.db.Select(ctx, &due, "SELECT id FROM "+table+" WHERE alert_at > 0 AND alert_at <= ? ORDER BY alert_at LIMIT 1", now)
	return len(due) > 0, err
}

// raiseDueCases tells each due case, puts it off, or lets it go, in the
// transaction that marks it. It reports whether there may be more.
func (b *Book) raiseDueCases(ctx context.Context, tx *database.Tx, rules AlertRules) (raised []Alert, more bool, err error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, false, err
	}
	var due []dueCase
	if err := tx.Select(ctx, &due, fmt.Sprintf(selectDueCases, raiseAtOnce)+tx.Dialect.SkipLocked, now); err != nil {
		return nil, false, err
	}
	told, err := lastTold(ctx, tx, due)
	if err != nil {
		return nil, false, err
	}
	alerts, err := judgeCases(ctx, tx, due, told, rules, now)
	if err != nil {
		return nil, false, err
	}
	raised, err = b.insertAlerts(ctx, tx, alerts)
	return raised, len(due) == raiseAtOnce, err
}

// judgeCases returns the alerts of the cases whose time has come, and marks
// all of them.
func judgeCases(ctx context.Context, tx *database.Tx, due []dueCase, told map[[2]string]database.Instant, rules AlertRules, now database.Instant) ([]Alert, error) {
	var alerts []Alert
	numbers, later := make([]int64, len(due)), make([]database.Instant, len(due))
	for i, c := range due {
		numbers[i] = c.ID
		wait := c.OpenedAt.Add(rules.After[c.Kind])
		if last, ok := told[c.key()]; ok {
			wait = max(wait, last.Add(rules.Again))
		}
		switch {
		case c.Kind == ExceptionStopped: // the stop itself is told
		case c.ClosedAt > 0 && (wait > now || wait > c.ClosedAt): // it passed before its time came
		case wait > now:
			later[i] = wait
		default:
			alerts = append(alerts, c.alert())
			if c.PayoutID == 0 {
				told[c.key()] = now
			}
		}
	}
	given := database.Rows{database.Ints("v_id", numbers), database.Ints("v_at", later)}
	_, err := given.Exec(ctx, tx, "UPDATE exceptions SET alert_at = v_at FROM v WHERE exceptions.id = v_id")
	return alerts, err
}

// lastTold finds when cases about the same things were told last. Each case
// about a single payout is news.
func lastTold(ctx context.Context, tx *database.Tx, due []dueCase) (map[[2]string]database.Instant, error) {
	var kinds, subjects []string
	for _, c := range due {
		if c.PayoutID == 0 {
			kinds, subjects = append(kinds, c.Kind), append(subjects, c.about())
		}
	}
	given := database.Rows{database.Texts("v_kind", kinds), database.Texts("v_subject", subjects)}
	rows, err := database.Select[Alert](ctx, tx, given, `SELECT DISTINCT v_kind AS kind, v_subject AS subject,
		(SELECT max(a.raised_at) FROM alerts a WHERE a.kind = v_kind AND a.subject = v_subject) AS raised_at
		FROM v WHERE EXISTS (SELECT 1 FROM alerts a WHERE a.kind = v_kind AND a.subject = v_subject)`)
	if err != nil {
		return nil, err
	}
	told := map[[2]string]database.Instant{}
	for _, a := range rows {
		told[[2]string{a.Kind, a.Subject}] = a.RaisedAt
	}
	return told, nil
}

func (c dueCase) key() [2]string { return [2]string{c.Kind, c.about()} }

func (c dueCase) orderNo() string {
	if c.Ordinal == 0 {
		return ""
	}
	return Payout{Ordinal: c.Ordinal, OrderPrefix: c.OrderPrefix}.OrderNo()
}

// about names what the case concerns, and is the same for the next such case.
func (c dueCase) about() string {
	switch {
	case c.PayoutID > 0:
		return "payout " + c.orderNo()
	case c.BatchID > 0:
		return fmt.Sprint("batch ", c.BatchID)
	case c.Subject != "":
		return discreet(strings.TrimSpace(c.Subject))
	}
	return "everything"
}

func (c dueCase) alert() Alert {
	about, next := c.about(), c.NextStep
	switch {
	case c.PayoutID > 0:
		about += fmt.Sprintf(", %s %s to %s, batch %d", money.Format(c.Amount, c.Currency), c.Currency, Mask(c.Account), c.BatchID)
		if !strings.Contains(next, "payrun payout show") {
			next += "; payrun payout show " + c.orderNo() + " tells all of it"
		}
	case c.BatchID > 0:
		about += " (" + c.BatchName + ")"
	case c.Kind == ExceptionRestored:
		about += " is stopped"
	}
	return Alert{
		Once: fmt.Sprint("case ", c.ID), Kind: c.Kind, Subject: c.about(), BatchID: c.BatchID, OrderNo: c.orderNo(), Since: c.OpenedAt,
		Summary: headline(c.Kind) + ": " + about, Detail: c.discreetDetail(), NextStep: next,
	}
}

func (c dueCase) discreetDetail() string {
	detail := c.Detail
	if c.Account != "" {
		detail = strings.ReplaceAll(detail, c.Account, Mask(c.Account))
	}
	return discreet(detail)
}

// headlines say a kind of case in words where its own name is not enough.
var headlines = map[string]string{
	ExceptionInDoubt:     "In doubt too long",
	ExceptionReview:      "The gateway's evidence contradicts our data",
	ExceptionTampered:    "Changed after approval",
	ExceptionOrphan:      "The gateway notified about an order that is not ours",
	ExceptionRestored:    "An older copy of the books was noticed",
	ExceptionBraked:      "It would have stopped by itself, and is stopped already",
	ExceptionHeldBack:    "Approved payouts cannot be sent",
	ExceptionUnusual:     "Unusual status at the gateway",
	ExceptionContrary:    "The gateway says otherwise",
	ExceptionRunFailed:   "A job fails",
	ExceptionInboxFolder: "Sheets are not read",
	ExceptionNotVerified: "The ledger breaks a promise",
	ExceptionUnchecked:   "The ledger was not verified for too long",
}

// headline says a kind in words; a new kind of case needs none of its own.
func headline(kind string) string {
	if words, ok := headlines[kind]; ok {
		return words
	}
	words := strings.ReplaceAll(kind, "-", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// dueStop is a stop that asks for an alert.
type dueStop struct {
	ID int64
	Stop
	LiftedAt database.Instant `db:"lifted_at"`
}

// raiseStops tells every stop, also one that was lifted before anybody looked.
func (b *Book) raiseStops(ctx context.Context, _ AlertRules) (raised []Alert, err error) {
	due, err := b.anyDue(ctx, "stops")
	if err != nil || !due {
		return nil, err
	}
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		var due []dueStop
		err := tx.Select(ctx, &due, fmt.Sprintf(`SELECT id, scope, subject, reason, placed_by, placed_at, lifted_at FROM stops
			WHERE alert_at > 0 ORDER BY id LIMIT %d`, raiseAtOnce)+tx.Dialect.SkipLocked)
		if err != nil {
			return err
		}
		numbers, alerts := make([]int64, len(due)), make([]Alert, len(due))
		for i, s := range due {
			numbers[i], alerts[i] = s.ID, s.alert()
		}
		given := database.Rows{database.Ints("v_id", numbers)}
		if _, err := given.Exec(ctx, tx, "UPDATE stops SET alert_at = 0 FROM v WHERE stops.id = v_id"); err != nil {
			return err
		}
		raised, err = b.insertAlerts(ctx, tx, alerts)
		return err
	})
	return raised, err
}

func (s dueStop) alert() Alert {
	a := Alert{
		Once: fmt.Sprint("stop ", s.ID), Kind: AlertStopped, Subject: s.Name(), Since: s.PlacedAt,
		Summary: "Stopped: " + s.Name() + ", by " + strings.TrimPrefix(s.PlacedBy, "user:"), Detail: discreet(s.Reason),
		NextStep: "payrun stop list shows what is stopped; when the reason is gone, a checker lifts it with payrun stop lift",
	}
	if s.Scope == Everything && strings.HasPrefix(s.Reason, restoreReason) {
		a.NextStep = "payrun restored --reason …, once it was compared with the gateway; then another checker: payrun stop lift everything"
	}
	if s.LiftedAt > 0 {
		a.Detail += "; it was lifted " + s.LiftedAt.Sub(s.PlacedAt).Round(time.Second).String() + " later"
	}
	return a
}

// dueBatch is a batch that asks for an alert.
type dueBatch struct {
	ID          int64
	Name        string
	Submitter   string
	SubmittedAt database.Instant `db:"submitted_at"`
	ApprovedAt  database.Instant `db:"approved_at"`
}

func (w dueBatch) subject() string { return fmt.Sprint("batch ", w.ID) }

func payoutCount(n int64) string {
	if n == 1 {
		return "1 payout"
	}
	return fmt.Sprint(n, " payouts")
}

// selectFinished finds batches of which nothing waits and nothing is under
// way. It reads unfinished payouts only, once, whatever number of batches.
const selectFinished = `WITH under_way AS (
		SELECT batch_id FROM payouts WHERE state = 'SENDING'
		UNION SELECT batch_id FROM payouts WHERE state = 'UNKNOWN' AND next_lookup_at > 0
		UNION SELECT batch_id FROM payouts WHERE state = 'ACCEPTED' AND next_lookup_at > 0
		UNION SELECT batch_id FROM payouts WHERE state = 'REVIEW' AND next_lookup_at > 0)
	SELECT b.id, b.name, b.approved_at FROM batches b WHERE b.state = 'APPROVED' AND b.finished_at = 0
	AND NOT EXISTS (SELECT 1 FROM payouts p WHERE p.batch_id = b.id AND p.state = 'UNSENT')
	AND b.id NOT IN (SELECT batch_id FROM under_way) ORDER BY b.id LIMIT 100`

func (b *Book) raiseFinished(ctx context.Context, _ AlertRules) ([]Alert, error) {
	var finished []dueBatch
	if err := b.db.Select(ctx, &finished, selectFinished); err != nil {
		return nil, err
	}
	var raised []Alert
	for _, batch := range finished {
		news, err := b.finish(ctx, batch)
		raised = append(raised, news...)
		if err != nil {
			return raised, err
		}
	}
	return raised, nil
}

// finish counts a batch that has ended, for the first and only time, tells
// it, and lifts its stop.
func (b *Book) finish(ctx context.Context, batch dueBatch) (raised []Alert, err error) {
	progress, err := b.Progress(ctx, batch.ID)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(progress, func(p Progress) bool { return !p.State.Final() }) {
		return nil, nil
	}
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE batches SET finished_at = ? WHERE id = ? AND finished_at = 0", now, batch.ID)
		if err != nil || n == 0 {
			return err
		}
		if raised, err = b.insertAlerts(ctx, tx, []Alert{batch.ended(progress)}); err != nil {
			return err
		}
		return liftOfEnded(ctx, tx, "system", batch.ID)
	})
	return raised, err
}

func (w dueBatch) ended(progress []Progress) Alert {
	return Alert{
		Once: "finished " + w.subject(), Kind: AlertFinished, Subject: w.subject(), BatchID: w.ID, Since: w.ApprovedAt,
		Summary:  fmt.Sprintf("Finished: batch %d (%s)", w.ID, w.Name),
		Detail:   endsInWords(progress),
		NextStep: fmt.Sprintf("payrun batch show %d counts it; payrun report writes the workbook", w.ID),
	}
}

// endsInWords counts ends, such as "paid: 2 payouts, 20.00 USD; failed: …".
func endsInWords(progress []Progress) string {
	var parts []string
	for _, end := range States {
		for _, p := range progress {
			if p.State == end.State {
				parts = append(parts, fmt.Sprintf("%s: %s, %s %s", end.inSentence(), payoutCount(p.Payouts), money.Format(p.Amount, p.Currency), p.Currency))
			}
		}
	}
	return strings.Join(parts, "; ")
}

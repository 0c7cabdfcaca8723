package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"payrun/internal/database"
)

// Delivery is how far one way has come with telling an alert.
type Delivery struct {
	AlertID     int64 `db:"alert_id"`
	Way         string
	Tries       int64
	NextTryAt   database.Instant `db:"next_try_at"` // 0 when it ended
	DeliveredAt database.Instant `db:"delivered_at"`
	GivenUpAt   database.Instant `db:"given_up_at"`
	Answer      string           // the receiver's, or why there is none
}

func insertDeliveries(ctx context.Context, tx *database.Tx, alerts []Alert, ways []string, now database.Instant) error {
	numbers := make([]int64, len(alerts))
	for i, a := range alerts {
		numbers[i] = a.ID
	}
	given := database.Rows{database.Ints("v_alert", numbers)}
	for _, way := range ways {
		_, err := given.Exec(ctx, tx, "INSERT INTO alert_deliveries (alert_id, way, next_try_at) SELECT v_alert, ?, ? FROM v", way, now)
		if err != nil {
			return fmt.Errorf("raise alerts: %w", err)
		}
	}
	return nil
}

// Undelivered is an alert that is due on one way.
type Undelivered struct {
	Alert
	Tries int64 // with this one
}

// TakeDeliveries takes alerts that are due on a way, oldest first, and keeps
// other workers from them for the length of the lease. Whoever takes them
// answers with Delivered or DeliveryFailed; otherwise they come back when the
// lease ends, so that each is delivered at least once.
func (b *Book) TakeDeliveries(ctx context.Context, way string, most int, lease time.Duration) ([]Undelivered, error) {
	waiting, err := b.deliveryDue(ctx, way)
	if err != nil || !waiting { // most often: then nothing is locked
		return nil, err
	}
	var taken []Undelivered
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		var due []int64
		err = tx.Select(ctx, &due, `SELECT alert_id FROM alert_deliveries WHERE way = ? AND next_try_at > 0 AND next_try_at <= ?
			ORDER BY next_try_at, alert_id LIMIT `+strconv.Itoa(most)+tx.Dialect.SkipLocked, way, now)
		if err != nil {
			return err
		}
		given := database.Rows{database.Ints("v_alert", due)}
		_, err = given.Exec(ctx, tx, `UPDATE alert_deliveries SET tries = tries + 1, next_try_at = ?
			FROM v WHERE alert_id = v_alert AND way = ?`, now.Add(lease), way)
		if err != nil {
			return err
		}
		taken, err = database.Select[Undelivered](ctx, tx, given, "SELECT "+alertColumns+`, d.tries FROM v
			JOIN alerts ON id = v_alert JOIN alert_deliveries d ON d.alert_id = v_alert AND d.way = ? ORDER BY id`, way)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take alerts for the %s: %w", way, err)
	}
	return taken, nil
}

func (b *Book) deliveryDue(ctx context.Context, way string) (bool, error) {
	now, err := b.db.Now(ctx)
	if err != nil {
		return false, err
	}
	var due []int64
	err = b.db.Select(ctx, &due, "SELECT alert_id FROM alert_deliveries WHERE way = ? AND next_try_at > 0 AND next_try_at <= ? LIMIT 1", way, now)
	return len(due) > 0, err
}

// Delivered records that alerts arrived, whoever has them now.
func (b *Book) Delivered(ctx context.Context, way string, alerts []Undelivered, answer string) error {
	numbers := make([]int64, len(alerts))
	for i, a := range alerts {
		numbers[i] = a.ID
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		given := database.Rows{database.Ints("v_alert", numbers)}
		_, err = given.Exec(ctx, tx, `UPDATE alert_deliveries SET delivered_at = ?, next_try_at = 0, given_up_at = 0, answer = ?
			FROM v WHERE alert_id = v_alert AND way = ? AND delivered_at = 0`, now, storable(answer), way)
		return err
	})
	if err != nil {
		return fmt.Errorf("record that alerts arrived by %s: %w", way, err)
	}
	return nil
}

// DeliveryFailed records why alerts did not arrive, and when each is tried
// again: after the wait of the same place, or with 0 never. One that another
// worker has taken meanwhile, or that arrived, stays as it is.
func (b *Book) DeliveryFailed(ctx context.Context, way string, alerts []Undelivered, waits []time.Duration, why string) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n := len(alerts)
		numbers, tries, next, ended := make([]int64, n), make([]int64, n), make([]database.Instant, n), make([]database.Instant, n)
		for i, a := range alerts {
			numbers[i], tries[i] = a.ID, a.Tries
			if waits[i] > 0 {
				next[i] = now.Add(waits[i])
			} else {
				ended[i] = now
			}
		}
		given := database.Rows{
			database.Ints("v_alert", numbers), database.Ints("v_tries", tries), database.Ints("v_next", next), database.Ints("v_ended", ended),
		}
		_, err = given.Exec(ctx, tx, `UPDATE alert_deliveries SET next_try_at = v_next, given_up_at = v_ended, answer = ?
			FROM v WHERE alert_id = v_alert AND way = ? AND tries = v_tries AND delivered_at = 0`, storable(why), way)
		return err
	})
	if err != nil {
		return fmt.Errorf("record that alerts did not arrive by %s: %w", way, err)
	}
	return nil
}

// Deliveries returns how far each way has come with these alerts.
func (b *Book) Deliveries(ctx context.Context, alerts []Alert) ([]Delivery, error) {
	numbers := make([]int64, len(alerts))
	for i, a := range alerts {
		numbers[i] = a.ID
	}
	var all []Delivery
	err := b.db.Snapshot(ctx, func(tx *database.Tx) (err error) {
		given := database.Rows{database.Ints("v_alert", numbers)}
		all, err = database.Select[Delivery](ctx, tx, given, `SELECT alert_id, way, tries, next_try_at, delivered_at, given_up_at, answer
			FROM v JOIN alert_deliveries ON alert_id = v_alert ORDER BY alert_id, way`)
		return err
	})
	return all, err
}

// Backlog is what one way has not delivered.
type Backlog struct {
	Way     string
	Waiting int64 // still tried
	GivenUp int64 `db:"given_up"`
}

// Backlogs counts what was not delivered, by way. It reads nothing else.
func (b *Book) Backlogs(ctx context.Context) ([]Backlog, error) {
	var all []Backlog
	err := b.db.Select(ctx, &all, `SELECT way, CAST(sum(waiting) AS BIGINT) AS waiting, CAST(sum(given_up) AS BIGINT) AS given_up FROM (
			SELECT way, count(*) AS waiting, 0 AS given_up FROM alert_deliveries WHERE next_try_at > 0 GROUP BY way
			UNION ALL
			SELECT way, 0, count(*) FROM alert_deliveries WHERE given_up_at > 0 GROUP BY way) x GROUP BY way ORDER BY way`)
	return all, err
}

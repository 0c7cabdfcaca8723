package ledger

import (
	"context"
	"fmt"
	"math"

	"payrun/internal/database"
	"payrun/internal/money"
)

// Limit is what a channel takes for one payout.
type Limit struct {
	Channel          string
	Currency         money.Currency
	Minimum, Maximum money.Amount
	Source           string           // FromGateway or FromConfiguration
	FetchedAt        database.Instant `db:"fetched_at"`
}

// Where a limit came from.
const (
	FromGateway       = "gateway"
	FromConfiguration = "configured"
)

const limitColumns = "channel, currency, minimum, maximum, source, fetched_at"

// GatewayBalance is what the gateway last said it holds for us, and what was
// claimed since.
type GatewayBalance struct {
	Currency  money.Currency
	Reported  money.Amount
	Committed money.Amount     // what was claimed that the report does not know of
	FetchedAt database.Instant `db:"fetched_at"`
}

const balanceColumns = "currency, reported, committed - included AS committed, fetched_at"

// SetLimits stores what the gateway (or the configuration) allows now.
// FetchedAt is set by the store.
func (b *Book) SetLimits(ctx context.Context, limits []Limit) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		shrunk, err := limitsShrunk(ctx, tx, limits, now)
		if err != nil {
			return err
		}
		if _, err := b.insertAlerts(ctx, tx, shrunk); err != nil {
			return err
		}
		for _, l := range limits {
			_, err := tx.Exec(ctx, `INSERT INTO limits (channel, currency, minimum, maximum, source, fetched_at) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (channel, currency) DO UPDATE SET minimum = excluded.minimum, maximum = excluded.maximum,
				source = excluded.source, fetched_at = excluded.fetched_at`, l.Channel, l.Currency, l.Minimum, l.Maximum, l.Source, now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store limits: %w", err)
	}
	return nil
}

// Limits returns the newest known limits, however old.
func (b *Book) Limits(ctx context.Context) ([]Limit, error) {
	var limits []Limit
	err := b.db.Select(ctx, &limits, "SELECT "+limitColumns+" FROM limits ORDER BY currency, channel")
	return limits, err
}

// AllCommitted says of a reported balance that it includes every payout that
// was ever claimed.
const AllCommitted money.Amount = math.MaxInt64

// Answered returns, per currency, how much of all that was ever committed the
// gateway has answered for: a balance it is asked for from now on includes
// that, and perhaps more.
func (b *Book) Answered(ctx context.Context) (map[money.Currency]money.Amount, error) {
	var rows []struct {
		Currency money.Currency
		Answered money.Amount
	}
	err := b.db.Select(ctx, &rows, `SELECT g.currency, g.committed - coalesce((SELECT sum(p.amount + p.fee_estimate)
		FROM payouts p WHERE p.state = 'SENDING' AND p.currency = g.currency), 0) AS answered FROM balances g`)
	if err != nil {
		return nil, fmt.Errorf("read what was committed: %w", err)
	}
	answered := map[money.Currency]money.Amount{}
	for _, row := range rows {
		answered[row.Currency] = max(0, row.Answered)
	}
	return answered, nil
}

// SetGatewayBalance stores what the gateway reports, and how much of what was
// committed the report includes: claims made since still count against it.
func (b *Book) SetGatewayBalance(ctx context.Context, currency money.Currency, reported, included money.Amount) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO balances (currency, reported, committed, fetched_at) VALUES (?, ?, 0, ?)
			ON CONFLICT (currency) DO UPDATE SET reported = excluded.reported, fetched_at = excluded.fetched_at,
			included = CASE WHEN balances.committed < ? THEN balances.committed ELSE ? END`,
			currency, reported, now, included, included)
		return err
	})
	if err != nil {
		return fmt.Errorf("store the gateway's balance: %w", err)
	}
	return nil
}

// GatewayBalances returns the newest reported balances, however old.
func (b *Book) GatewayBalances(ctx context.Context) ([]GatewayBalance, error) {
	var balances []GatewayBalance
	err := b.db.Select(ctx, &balances, "SELECT "+balanceColumns+" FROM balances ORDER BY currency")
	return balances, err
}

func commitBalances(ctx context.Context, tx *database.Tx, committed map[money.Currency]money.Amount) error {
	for currency, amount := range committed {
		if _, err := tx.Exec(ctx, "UPDATE balances SET committed = committed + ? WHERE currency = ?", amount, currency); err != nil {
			return err
		}
	}
	return nil
}

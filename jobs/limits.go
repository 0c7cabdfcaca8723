package jobs

import (
	"context"
	"errors"
	"fmt"

	"payrun/internal/money"
	"payrun/ledger"
)

// Market is one channel in one currency, with the limits to fall back on.
type Market struct {
	Channel  string
	Currency money.Currency
	// Configured limits are used where Source says so, or where the gateway
	// does not tell. Zero: none are configured.
	Configured Bounds
	// AskGateway is false where the configuration decides alone.
	AskGateway bool
}

// Limits refreshes what the gateway takes and holds: payouts are sent only
// inside limits and balances that are younger than a few minutes.
type Limits struct {
	Book    *ledger.Book
	Gateway Gateway
	Markets []Market
}

// Run asks for the limits of every channel and currency and for the balances.
// One that fails does not keep the others from being stored; its age then
// keeps payouts from being sent.
func (l *Limits) Run(ctx context.Context) error {
	var failed error
	var limits []ledger.Limit
	currencies := map[money.Currency]bool{}
	for _, m := range l.Markets {
		currencies[m.Currency] = true
		limit, err := l.limit(ctx, m)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("limits of channel %s in %s: %w", m.Channel, m.Currency, err))
			continue
		}
		limits = append(limits, limit)
	}
	return errors.Join(failed, l.Book.SetLimits(ctx, limits), l.balances(ctx, currencies), l.Book.ForgetCalls(ctx))
}

func (l *Limits) limit(ctx context.Context, m Market) (ledger.Limit, error) {
	limit := ledger.Limit{
		Channel: m.Channel, Currency: m.Currency, Source: ledger.FromConfiguration,
		Minimum: m.Configured.Minimum, Maximum: m.Configured.Maximum,
	}
	if !m.AskGateway || !l.Gateway.Capabilities().ReportsLimits {
		return limit, nil
	}
	bounds, err := l.Gateway.Limits(ctx, m.Channel, m.Currency)
	switch {
	case errors.Is(err, ErrNotOffered) && m.Configured.Maximum > 0:
		return limit, nil
	case err != nil:
		return ledger.Limit{}, err
	}
	limit.Minimum, limit.Maximum, limit.Source = bounds.Minimum, bounds.Maximum, ledger.FromGateway
	return limit, nil
}

func (l *Limits) balances(ctx context.Context, currencies map[money.Currency]bool) error {
	answered, err := l.Book.Answered(ctx) // before asking: what is claimed meanwhile is not in the answer
	if err != nil {
		return err
	}
	explained, err := l.Book.Explained(ctx) // likewise
	if err != nil {
		return err
	}
	balances, err := l.Gateway.Balances(ctx)
	if err != nil {
		return fmt.Errorf("balances: %w", err)
	}
	for currency := range currencies {
		// A currency the gateway does not list is one it holds nothing in.
		if err := l.Book.SetGatewayBalance(ctx, currency, balances[currency], answered[currency]); err != nil {
			return err
		}
		if err := l.Book.WatchBalance(ctx, currency, balances[currency], explained[currency]); err != nil {
			return err
		}
	}
	return nil
}

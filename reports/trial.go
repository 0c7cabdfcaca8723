package reports

import (
	"context"
	"fmt"

	"payrun/internal/money"
	"payrun/ledger"
)

var trialColumns = []column{
	left("Currency", 10), left("Account", 12), left("What it holds", 38), right("Opening", 18), right("Debits", 18), right("Credits", 18),
	right("Closing", 18), right("Since then", 18), right("Balance now", 18), right("Ledger says", 18), right("Difference", 13),
}

// accounts in the order of the money's way, with what each holds.
var accounts = []struct {
	kind  ledger.Kind
	holds string
}{
	{ledger.Funding, "paid in by the owners (normally in credit)"},
	{ledger.Available, "free to be approved"},
	{ledger.Held, "reserved for approved payouts"},
	{ledger.Paid, "gone to payees"},
	{ledger.Fees, "gone to the gateway"},
	{ledger.Suspense, "waits for evidence"},
}

// accountRow is an account with its lines, summed up around the period.
type accountRow struct {
	Currency                        money.Currency
	Kind                            ledger.Kind
	Opening, Debits, Credits, After money.Amount
	Moved                           money.Amount // in entries about single payouts, at any time
	Balance                         money.Amount // as the ledger keeps it
}

const selectAccounts = `SELECT a.currency, a.kind, a.balance, coalesce(s.opening, 0) AS opening, coalesce(s.debits, 0) AS debits,
		coalesce(s.credits, 0) AS credits, coalesce(s.after, 0) AS after, coalesce(s.moved, 0) AS moved
	FROM accounts a LEFT JOIN (SELECT l.account_id,
		sum(CASE WHEN e.created_at >= ? THEN 0 WHEN l.side = 'debit' THEN l.amount ELSE -l.amount END) AS opening,
		sum(CASE WHEN l.side = 'debit' AND e.created_at >= ? AND e.created_at < ? THEN l.amount ELSE 0 END) AS debits,
		sum(CASE WHEN l.side = 'credit' AND e.created_at >= ? AND e.created_at < ? THEN l.amount ELSE 0 END) AS credits,
		sum(CASE WHEN e.created_at < ? THEN 0 WHEN l.side = 'debit' THEN l.amount ELSE -l.amount END) AS after,
		sum(CASE WHEN e.payout_id = 0 THEN 0 WHEN l.side = 'debit' THEN l.amount ELSE -l.amount END) AS moved
		FROM entries e JOIN lines l ON l.entry_id = e.id GROUP BY l.account_id) s ON s.account_id = a.id
	ORDER BY a.currency`

func (a *accountRow) values(holds string) []value {
	in := func(sum money.Amount) value { return amount(sum, a.Currency) }
	closing := a.Opening + a.Debits - a.Credits
	return []value{text(string(a.Currency)), text(string(a.Kind)), text(holds), in(a.Opening), in(a.Debits), in(a.Credits), in(closing),
		in(a.After), in(closing + a.After), in(a.Balance), in(a.Balance - closing - a.After)}
}

// accountRows reads the accounts once: summing up all lines takes a while, and
// several comparisons need the sums.
func (r *report) accountRows(ctx context.Context) ([]accountRow, error) {
	if r.accounts != nil {
		return r.accounts, nil
	}
	from, to := r.filter.From, r.filter.end()
	if err := r.tx.Select(ctx, &r.accounts, selectAccounts, from, from, to, from, to, to); err != nil {
		return nil, fmt.Errorf("sum up the accounts: %w", err)
	}
	return r.accounts, nil
}

// trialBalance writes every account of the whole ledger around the period;
// batch, channel and status do not narrow it.
func (r *report) trialBalance(ctx context.Context, b *book) error {
	rows, err := r.accountRows(ctx)
	if err != nil {
		return err
	}
	s, err := b.newTable("Trial balance", trialColumns, layout{frozen: 2, paper: a4})
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		n := 0
		for n < len(rows) && rows[n].Currency == rows[0].Currency {
			n++
		}
		if err := r.trialOf(s, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	if err := s.finish(); err != nil {
		return err
	}
	return r.agreed()
}

// trialOf writes the accounts of one currency and their sum, which is zero.
func (r *report) trialOf(s *sheet, rows []accountRow) error {
	sum := accountRow{Currency: rows[0].Currency, Kind: "total"}
	for _, account := range accounts {
		for _, row := range rows {
			if row.Kind != account.kind {
				continue
			}
			if err := s.put(row.values(account.holds)); err != nil {
				return err
			}
			r.compare("account "+string(row.Kind), row.Currency, row.Balance, row.Opening+row.Debits-row.Credits+row.After)
			sum.Opening, sum.Debits, sum.Credits = sum.Opening+row.Opening, sum.Debits+row.Debits, sum.Credits+row.Credits
			sum.After, sum.Balance = sum.After+row.After, sum.Balance+row.Balance
		}
	}
	r.compare("trial balance, sum of all accounts", sum.Currency, 0, sum.Opening+sum.Debits-sum.Credits)
	values := sum.values("debits equal credits: the sum is zero")
	for i := range values {
		values[i] = values[i].as(total)
	}
	return s.line(values...)
}

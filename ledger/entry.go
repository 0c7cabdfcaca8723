package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"payrun/internal/database"
	"payrun/internal/money"
)

// entry is one balanced booking in one currency.
type entry struct {
	id       int64
	day      int64
	kind     string // the Reason of the transition, "hold" or "funding"
	currency money.Currency
	batch    int64
	payout   int64 // 0 for holds and top-ups
	corrects int64
	note     string
	actor    string
	at       database.Instant
	lines    []Line
}

const (
	kindHold    = "hold"
	kindFunding = "funding"
)

func (e entry) digest() string {
	fields := []any{e.id, e.day, e.kind, string(e.currency), e.batch, e.payout, e.corrects, e.note, e.actor, int64(e.at)}
	for _, l := range e.lines {
		fields = append(fields, string(l.Account), string(l.Side), int64(l.Amount))
	}
	return digest(fields...)
}

type accountKey struct {
	currency money.Currency
	kind     Kind
}

// lockAccounts makes sure that the accounts of the currencies exist, locks
// them in one order for all transactions, and returns their ids.
func lockAccounts(ctx context.Context, tx *database.Tx, currencies []money.Currency) (map[accountKey]int64, error) {
	currencies = slices.Compact(slices.Sorted(slices.Values(currencies)))
	accounts := map[accountKey]int64{}
	for _, currency := range currencies {
		var rows []struct {
			ID   int64
			Kind Kind
		}
		query := "SELECT id, kind FROM accounts WHERE currency = ? ORDER BY kind" + tx.Dialect.ForUpdate
		if err := tx.Select(ctx, &rows, query, currency); err != nil {
			return nil, fmt.Errorf("lock accounts: %w", err)
		}
		if len(rows) == 0 {
			if err := openAccounts(ctx, tx, currency); err != nil {
				return nil, err
			}
			if err := tx.Select(ctx, &rows, query, currency); err != nil {
				return nil, fmt.Errorf("lock accounts: %w", err)
			}
		}
		for _, row := range rows {
			accounts[accountKey{currency, row.Kind}] = row.ID
		}
	}
	return accounts, nil
}

func openAccounts(ctx context.Context, tx *database.Tx, currency money.Currency) error {
	kinds := []Kind{Funding, Available, Held, Paid, Fees, Suspense}
	numbers, err := ids(ctx, tx, "ids", len(kinds))
	if err != nil {
		return err
	}
	given := database.Rows{database.Ints("number", numbers), database.Texts("word", kinds)}
	_, err = given.Exec(ctx, tx, `INSERT INTO accounts (id, currency, kind) SELECT number, ?, word FROM v
		WHERE true ON CONFLICT DO NOTHING`, currency)
	if err != nil {
		return fmt.Errorf("open accounts: %w", err)
	}
	return nil
}

// post books entries on locked accounts. Entries without lines are left out.
func post(ctx context.Context, tx *database.Tx, day int64, accounts map[accountKey]int64, entries []entry) error {
	entries = slices.DeleteFunc(entries, func(e entry) bool { return len(e.lines) == 0 })
	if len(entries) == 0 {
		return nil
	}
	numbers, err := ids(ctx, tx, "ids", len(entries))
	if err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	for i := range entries {
		entries[i].id, entries[i].day, entries[i].at = numbers[i], day, now
		if err := balanced(entries[i].lines); err != nil {
			return err
		}
	}
	if err := insertEntries(ctx, tx, entries); err != nil {
		return fmt.Errorf("post entries: %w", err)
	}
	if err := insertLines(ctx, tx, accounts, entries); err != nil {
		return fmt.Errorf("post lines: %w", err)
	}
	return nil
}

// balanced returns an error when debits and credits differ: a bug in a
// posting, stopped before it reaches the books.
func balanced(lines []Line) error {
	var total money.Amount
	for _, l := range lines {
		signed := l.Amount
		if l.Side == Credit {
			signed = -signed
		}
		var err error
		if total, err = money.Add(total, signed); err != nil {
			return err
		}
	}
	if total != 0 {
		return fmt.Errorf("an entry's lines are off by %d minor units", total)
	}
	return nil
}

func insertEntries(ctx context.Context, tx *database.Tx, entries []entry) error {
	given := database.NewRows(len(entries), "v_id v_batch v_payout v_corrects", "v_kind v_currency v_note v_actor v_digest")
	for _, e := range entries {
		given.AddInts(e.id, e.batch, e.payout, e.corrects)
		given.AddTexts(e.kind, string(e.currency), e.note, e.actor, e.digest())
	}
	_, err := given.Exec(ctx, tx, `INSERT INTO entries (id, day_id, kind, currency, batch_id, payout_id, corrects, note, actor, created_at, digest)
		SELECT v_id, ?, v_kind, v_currency, v_batch, v_payout, v_corrects, v_note, v_actor, ?, v_digest FROM v`,
		entries[0].day, entries[0].at)
	return err
}

func insertLines(ctx context.Context, tx *database.Tx, accounts map[accountKey]int64, entries []entry) error {
	given := database.NewRows(3*len(entries), "v_entry v_position v_account v_amount", "v_side") // most have three
	deltas := map[int64]int64{}
	for _, e := range entries {
		for i, l := range e.lines {
			account, ok := accounts[accountKey{e.currency, l.Account}]
			if !ok {
				return fmt.Errorf("account %s %s is not locked", e.currency, l.Account)
			}
			given.AddInts(e.id, int64(i+1), account, int64(l.Amount))
			given.AddTexts(string(l.Side))
			if l.Side == Debit {
				deltas[account] += int64(l.Amount)
			} else {
				deltas[account] -= int64(l.Amount)
			}
		}
	}
	if _, err := given.Exec(ctx, tx, `INSERT INTO lines (entry_id, position, account_id, side, amount)
		SELECT v_entry, v_position, v_account, v_side, v_amount FROM v`); err != nil {
		return err
	}
	return addToBalances(ctx, tx, deltas)
}

func addToBalances(ctx context.Context, tx *database.Tx, deltas map[int64]int64) error {
	given := database.NewRows(len(deltas), "v_account v_change", "")
	for account, change := range deltas {
		given.AddInts(account, change)
	}
	_, err := given.Exec(ctx, tx, "UPDATE accounts SET balance = balance + v_change FROM v WHERE accounts.id = v_account")
	return err
}

// Balances of one currency, in minor units; every amount is debits less
// credits, so Funding is normally negative.
type Balances struct {
	Currency                                       money.Currency
	Funding, Available, Held, Paid, Fees, Suspense money.Amount
}

const selectBalances = `SELECT currency,
	sum(CASE kind WHEN 'funding' THEN balance ELSE 0 END) AS funding,
	sum(CASE kind WHEN 'available' THEN balance ELSE 0 END) AS available,
	sum(CASE kind WHEN 'held' THEN balance ELSE 0 END) AS held,
	sum(CASE kind WHEN 'paid' THEN balance ELSE 0 END) AS paid,
	sum(CASE kind WHEN 'fees' THEN balance ELSE 0 END) AS fees,
	sum(CASE kind WHEN 'suspense' THEN balance ELSE 0 END) AS suspense
	FROM accounts GROUP BY currency ORDER BY currency`

// Balances returns the balances of every currency the ledger knows.
func (b *Book) Balances(ctx context.Context) ([]Balances, error) {
	var balances []Balances
	err := b.db.Select(ctx, &balances, selectBalances)
	return balances, err
}

// Fund books a top-up of the gateway account with its evidence, for example
// a bank reference. Only an admin may, or the system when it takes over a
// balance that the gateway reports. The same evidence is booked once per
// currency: a second time is ErrConflict.
func (b *Book) Fund(ctx context.Context, by User, amount money.Amount, currency money.Currency, evidence string) error {
	if amount <= 0 || evidence == "" {
		return fmt.Errorf("%w: a top-up needs an amount above zero and its evidence", ErrInvalid)
	}
	if _, err := currency.Exponent(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "book a top-up", Admin); err != nil {
			return err
		}
		day, err := b.openDay(ctx, tx)
		if err != nil {
			return err
		}
		accounts, err := lockAccounts(ctx, tx, []money.Currency{currency})
		if err != nil {
			return err
		}
		if err := refuseBooked(ctx, tx, currency, evidence); err != nil {
			return err
		}
		e := entry{kind: kindFunding, currency: currency, note: evidence, actor: by.Actor(), lines: fund(Sums{Amount: amount})}
		if err := post(ctx, tx, day, accounts, []entry{e}); err != nil {
			return err
		}
		return audit(ctx, tx, by.Actor(), "funds.add", string(currency), money.Format(amount, currency)+": "+evidence)
	})
	if err != nil {
		return fmt.Errorf("book a top-up: %w", err)
	}
	return nil
}

// refuseBooked keeps a repeated command from booking a top-up twice. The
// accounts are locked, so no other top-up of the currency is under way.
func refuseBooked(ctx context.Context, tx *database.Tx, currency money.Currency, evidence string) error {
	var booked int64
	err := tx.Get(ctx, &booked, "SELECT id FROM entries WHERE kind = 'funding' AND currency = ? AND note = ?", currency, evidence)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: a top-up in %s with the evidence %q is booked already, as entry %d", ErrConflict, currency, evidence, booked)
}

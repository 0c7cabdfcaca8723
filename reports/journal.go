package reports

import (
	"context"
	"fmt"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

var journalColumns = []column{
	right("Entry", 10), right("Business day", 12), left("Time (UTC)", 28), left("Kind", 20), right("Batch", 8), left("Order number", 28),
	left("Account", 11), left("Currency", 9), right("Debit", 17), right("Credit", 17), left("By", 18), left("Note", 34), right("Corrects entry", 10),
}

// posting is one line of the journal with its entry.
type posting struct {
	Entry    int64
	Day      int64
	At       database.Instant
	Kind     string
	Batch    int64
	Payout   int64
	Account  int64
	Currency money.Currency
	Side     ledger.Side
	Amount   money.Amount
	Actor    string
	Note     string
	Corrects int64
}

const selectPostings = `SELECT e.id AS entry, e.day_id AS day, e.created_at AS at, e.kind, e.batch_id AS batch, e.payout_id AS payout,
	l.account_id AS account, e.currency, l.side, l.amount, e.actor, e.note, e.corrects
	FROM entries e JOIN lines l ON l.entry_id = e.id WHERE `

// names are what the journal refers to by number. They are few, and looked up
// here they cost less than joined to every line.
type names struct {
	days, accounts, prefixes map[int64]string
}

func (r *report) names(ctx context.Context) (n names, err error) {
	for _, list := range []struct {
		names *map[int64]string
		query string
	}{
		{&n.days, "SELECT id, business_day AS name FROM days"},
		{&n.accounts, "SELECT id, kind AS name FROM accounts"},
		{&n.prefixes, "SELECT id, order_prefix AS name FROM batches"},
	} {
		var rows []struct {
			ID   int64
			Name string
		}
		if err := r.tx.Select(ctx, &rows, list.query); err != nil {
			return n, fmt.Errorf("journal: %w", err)
		}
		*list.names = make(map[int64]string, len(rows))
		for _, row := range rows {
			(*list.names)[row.ID] = row.Name
		}
	}
	return n, nil
}

func (p *posting) values(row []value, n names) []value {
	debit, credit := amount(p.Amount, p.Currency), value{}
	if p.Side == ledger.Credit {
		debit, credit = credit, debit
	}
	return append(row,
		count(p.Entry), day(n.days[p.Day]), text(iso(p.At)), text(p.Kind), count(p.Batch).unlessZero(), text(p.orderNo(n)),
		text(n.accounts[p.Account]), text(string(p.Currency)), debit, credit, text(p.Actor), text(p.Note), count(p.Corrects).unlessZero())
}

// orderNo is "" for entries about a whole batch or none.
func (p *posting) orderNo(n names) string {
	if p.Payout == 0 {
		return ""
	}
	return ledger.Payout{OrderPrefix: n.prefixes[p.Batch], Ordinal: ledger.OrdinalOf(p.Payout)}.OrderNo()
}

// bothSides sums the journal of one currency.
type bothSides struct {
	Currency      money.Currency
	Debit, Credit money.Amount
}

// add counts one line.
func (b *bothSides) add(side ledger.Side, amount money.Amount) (err error) {
	if side == ledger.Debit {
		b.Debit, err = money.Add(b.Debit, amount)
	} else {
		b.Credit, err = money.Add(b.Credit, amount)
	}
	return err
}

// journal writes every posting line, and checks debits and credits of what it
// wrote against each other and against the database's own sums.
func (r *report) journal(ctx context.Context, b *book) error {
	s, err := b.newTable("Journal", journalColumns, layout{frozen: 1, paper: a4})
	if err != nil {
		return err
	}
	names, err := r.names(ctx)
	if err != nil {
		return err
	}
	written := map[money.Currency]*bothSides{}
	var row []value
	where := r.filter.entries()
	err = each(ctx, r.tx, selectPostings+where.text+" ORDER BY e.id, l.position", where.args, func(p *posting) error {
		row = p.values(row[:0], names)
		if err := s.put(row); err != nil {
			return err
		}
		if written[p.Currency] == nil {
			written[p.Currency] = &bothSides{Currency: p.Currency}
		}
		return written[p.Currency].add(p.Side, p.Amount)
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := s.finish(); err != nil {
		return err
	}
	return r.checkJournal(ctx, written)
}

// checkJournal compares what was written with the database's own sums.
func (r *report) checkJournal(ctx context.Context, written map[money.Currency]*bothSides) error {
	booked, err := r.bookedSides(ctx)
	if err != nil {
		return fmt.Errorf("check the journal: %w", err)
	}
	for _, sum := range booked {
		file := written[sum.Currency]
		if file == nil {
			file = &bothSides{}
		}
		delete(written, sum.Currency)
		r.compare(checkDebits, sum.Currency, sum.Debit, file.Debit)
		r.compare(checkCredits, sum.Currency, sum.Credit, file.Credit)
		r.compare("journal, credits against debits", sum.Currency, file.Debit, file.Credit)
	}
	for currency, file := range written {
		r.compare(checkDebits, currency, 0, file.Debit)
	}
	return r.agreed()
}

// bookedSides sums up the journal that the filter selects: from the accounts
// where it is whole, else line by line.
func (r *report) bookedSides(ctx context.Context) ([]bothSides, error) {
	var booked []bothSides
	if !r.filter.onlyPeriod() {
		where := r.filter.entries()
		err := r.tx.Select(ctx, &booked, `SELECT e.currency, sum(CASE l.side WHEN 'debit' THEN l.amount ELSE 0 END) AS debit,
			sum(CASE l.side WHEN 'credit' THEN l.amount ELSE 0 END) AS credit
			FROM entries e JOIN lines l ON l.entry_id = e.id WHERE `+where.text+" GROUP BY e.currency ORDER BY e.currency", where.args...)
		return booked, err
	}
	rows, err := r.accountRows(ctx)
	for _, row := range rows {
		if n := len(booked); n == 0 || booked[n-1].Currency != row.Currency {
			booked = append(booked, bothSides{Currency: row.Currency})
		}
		last := &booked[len(booked)-1]
		last.Debit, last.Credit = last.Debit+row.Debits, last.Credit+row.Credits
	}
	return booked, err
}

package reports

import (
	"context"
	"fmt"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

var journalColumns = []column{
	{"Entry", 9}, {"Business day", 12}, {"Time (UTC)", 27}, {"Kind", 19}, {"Batch", 7}, {"Order number", 27},
	{"Account", 11}, {"Currency", 9}, {"Debit", 15}, {"Credit", 15}, {"By", 20}, {"Note", 34}, {"Corrects entry", 9},
}

// posting is one line of the journal with its entry.
type posting struct {
	Entry    int64
	Day      string
	At       database.Instant
	Kind     string
	Batch    int64
	Payout   int64
	Prefix   string
	Account  ledger.Kind
	Currency money.Currency
	Side     ledger.Side
	Amount   money.Amount
	Actor    string
	Note     string
	Corrects int64
}

const fromJournal = ` FROM entries e JOIN days d ON d.id = e.day_id JOIN lines l ON l.entry_id = e.id
	JOIN accounts a ON a.id = l.account_id LEFT JOIN batches h ON h.id = e.batch_id WHERE `

const selectPostings = `SELECT e.id AS entry, d.business_day AS day, e.created_at AS at, e.kind, e.batch_id AS batch, e.payout_id AS payout,
	coalesce(h.order_prefix, '') AS prefix, a.kind AS account, e.currency, l.side, l.amount, e.actor, e.note, e.corrects`

func (p *posting) values(row []value) []value {
	debit, credit := amount(p.Amount, p.Currency), value{}
	if p.Side == ledger.Credit {
		debit, credit = credit, debit
	}
	return append(row,
		count(p.Entry), day(p.Day), text(iso(p.At)), text(p.Kind), count(p.Batch).unlessZero(), text(p.orderNo()),
		text(string(p.Account)), text(string(p.Currency)), debit, credit, text(p.Actor), text(p.Note), count(p.Corrects).unlessZero())
}

// orderNo is "" for entries about a whole batch or none.
func (p *posting) orderNo() string {
	if p.Payout == 0 {
		return ""
	}
	const span = 100_000_000
	return ledger.Payout{OrderPrefix: p.Prefix, Ordinal: p.Payout % span}.OrderNo()
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
	s, err := b.newTable("Journal", journalColumns, layout{frozen: 1})
	if err != nil {
		return err
	}
	written := map[money.Currency]*bothSides{}
	var row []value
	where := r.filter.entries()
	err = database.Each(ctx, r.tx, selectPostings+fromJournal+where.text+" ORDER BY e.id, l.position", where.args, func(p *posting) error {
		row = p.values(row[:0])
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

func (r *report) checkJournal(ctx context.Context, written map[money.Currency]*bothSides) error {
	var booked []bothSides
	where := r.filter.entries()
	err := r.tx.Select(ctx, &booked, `SELECT e.currency, sum(CASE l.side WHEN 'debit' THEN l.amount ELSE 0 END) AS debit,
		sum(CASE l.side WHEN 'credit' THEN l.amount ELSE 0 END) AS credit
		FROM entries e JOIN lines l ON l.entry_id = e.id WHERE `+where.text+" GROUP BY e.currency ORDER BY e.currency", where.args...)
	if err != nil {
		return fmt.Errorf("check the journal: %w", err)
	}
	for _, sum := range booked {
		file := written[sum.Currency]
		if file == nil {
			file = &bothSides{}
		}
		delete(written, sum.Currency)
		r.compare("journal, debits", sum.Currency, sum.Debit, file.Debit)
		r.compare("journal, credits against debits", sum.Currency, sum.Debit, file.Credit)
	}
	for currency, file := range written {
		r.compare("journal, debits", currency, 0, file.Debit)
	}
	return r.agreed()
}

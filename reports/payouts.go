package reports

import (
	"context"
	"fmt"

	"payrun/internal/money"
	"payrun/ledger"
)

// payoutColumns of the Payouts sheet and of the csv; payoutRow.values fills
// them.
var payoutColumns = []column{
	right("Batch", 8), left("Sheet", 12), right("Row", 8), left("Reference", 18), left("Order number", 28), left("Gateway order", 22),
	left("Channel", 8), left("Channel name", 15), left("Account", 11), left("Payee", 24), left("Currency", 9), right("Amount", 15),
	right("Fee", 11), left("Fee is", 16), left("Rate", 10), left("Received", 17), left("Status", 13), left("Gateway status", 9),
	right("Attempts", 10), right("Sent at", 20), right("Ended at", 20), right("Pay date", 12), left("Held back because", 20), left("Remark", 28),
	left("Pays again", 28),
}

// payoutRow is a payout as the database has it, with what corrections made of
// its fee.
type payoutRow struct {
	ledger.Payout
	Corrected int64
	BookedFee money.Amount `db:"booked_fee"`
}

// selectPayouts: once people have corrected a payout, only the postings say
// which fee stayed with the gateway. There are few of those.
const selectPayouts = `WITH corrected AS (SELECT e.payout_id, sum(CASE WHEN a.kind <> 'fees' THEN 0
		WHEN l.side = 'debit' THEN l.amount ELSE -l.amount END) AS fee
	FROM entries e JOIN lines l ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id
	WHERE e.payout_id IN (SELECT k.payout_id FROM entries k WHERE k.corrects > 0) GROUP BY e.payout_id)
	SELECT p.id, p.batch_id, p.ordinal, p.sheet, p.row_no, p.reference, p.channel, p.account, p.payee, p.remark, p.pay_date,
	p.amount, p.currency, p.fee_estimate, ` + stateOf + ` AS state, p.blocked, p.attempts, p.gateway_order_no, p.gateway_status,
	p.fee, p.fee_known, p.rate, p.received, p.moved, p.sent_at, p.ended_at, b.order_prefix, p.repays,
	CASE WHEN c.payout_id IS NULL THEN 0 ELSE 1 END AS corrected, coalesce(c.fee, 0) AS booked_fee
	FROM payouts p JOIN batches b ON b.id = p.batch_id LEFT JOIN corrected c ON c.payout_id = p.id WHERE `

// Where the figure of a fee comes from.
const (
	feeNone      = ""                 // none is taken
	feeHeld      = "estimate, held"   // not taken yet
	feeBooked    = "estimate, booked" // taken, but the gateway never said how much
	feeNamed     = "gateway"          // taken, as the gateway said
	feeCorrected = "corrected"        // what people's corrections left with the gateway
)

// feeTaken is the fee of a payout that has ended, or what is held for one
// that has not, and where the figure comes from.
func (p *payoutRow) feeTaken() (money.Amount, string) {
	switch p.State {
	case ledger.Succeeded, ledger.FailedFee, ledger.Failed:
		if p.Corrected == 1 {
			return p.BookedFee, feeCorrected
		}
		if p.State == ledger.Failed {
			return 0, feeNone
		}
		if p.FeeKnown == 0 {
			return p.Fee, feeBooked
		}
		return p.Fee, feeNamed
	case ledger.Cancelled:
		return 0, feeNone
	}
	return p.FeeEstimate, feeHeld
}

// paid is what the payee got: 0 unless it was paid, and otherwise as ordered
// or as two people found.
func (p *payoutRow) paid() money.Amount {
	switch {
	case p.State != ledger.Succeeded:
		return 0
	case p.Moved > 0:
		return p.Moved
	}
	return p.Amount
}

// received is what the payee got in the gateway's words, or in those of the
// people who found that it was another amount than was ordered.
func (p *payoutRow) received() string {
	if p.Moved > 0 {
		return money.Format(p.Moved, p.Currency) + " " + string(p.Currency)
	}
	return p.Received
}

// values fills the columns of the Payouts sheet, appending to row.
func (p *payoutRow) values(row []value, options Options) []value {
	fee, source := p.feeTaken()
	received := ""
	if p.State == ledger.Succeeded {
		received = p.received()
	}
	return append(row,
		count(p.BatchID), text(p.Sheet), count(p.Row), text(p.Reference), text(p.OrderNo()), text(p.GatewayOrder),
		text(p.Channel), text(options.channel(p.Channel)), text(p.MaskedAccount()), text(p.Payee), text(string(p.Currency)),
		amount(p.Amount, p.Currency), amount(fee, p.Currency), text(source), text(p.Rate), text(received),
		text(string(p.State)), text(p.Status), count(p.Attempts), instant(p.SentAt), instant(p.EndedAt),
		day(p.PayDate), text(p.Blocked), text(p.Remark), text(p.Repays))
}

// eachPayout hands the rows of the Payouts sheet to write, in the order of
// batches and sheets, and counts what was written. The values are good until
// the next call.
func (r *report) eachPayout(ctx context.Context, write func([]value) error) error {
	where := r.filter.payouts()
	var row []value
	err := each(ctx, r.tx, selectPayouts+where.text+" ORDER BY p.id", where.args, func(p *payoutRow) error {
		row = p.values(row[:0], r.options)
		if err := write(row); err != nil {
			return err
		}
		fee, _ := p.feeTaken()
		return r.tally.add(group{p.BatchID, p.Channel, p.Currency, p.State},
			sums{Payouts: 1, Amount: p.Amount, Paid: p.paid(), Fees: fee, Estimates: p.FeeEstimate})
	})
	if err != nil {
		return fmt.Errorf("payouts: %w", err)
	}
	return nil
}

func (r *report) payouts(ctx context.Context, b *book) error {
	s, err := b.newTable("Payouts", payoutColumns, layout{frozen: 5, paper: a3})
	if err != nil {
		return err
	}
	if err := r.eachPayout(ctx, s.put); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	return r.checkPayouts(ctx)
}

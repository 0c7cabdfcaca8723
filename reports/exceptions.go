package reports

import (
	"context"
	"fmt"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
)

var exceptionColumns = []column{
	left("Kind", 22), right("Since", 20), right("Days", 7), right("Batch", 8), left("Sheet", 12), right("Row", 8), left("Reference", 18),
	left("Order number", 28), left("Channel", 16), right("Payouts", 9), left("Currency", 9), right("Amount", 15),
	wrapping("What is wrong", 56), wrapping("What to do next", 46),
}

// exception is one line of the sheet: a payout, a group of payouts, a row of a
// sheet that was refused, or a case about none of them.
type exception struct {
	ledger.Payout
	Kind     string
	Payouts  int64
	Detail   string
	NextStep string `db:"next_step"`
	Since    database.Instant
}

// source is one query for exceptions; every query returns the same columns.
// Conditions go where it says %[1]s (payouts p of batches b that are shown),
// %[2]s (cases x about no single payout) and %[3]s (batches b).
type source struct {
	kind  string // "" when the rows have kinds of their own
	next  string // "" when the rows say so themselves; ORDER stands for the payout's number
	query string
}

const aPayout = `p.batch_id, p.ordinal, p.sheet, p.row_no, p.reference, p.channel, p.account, p.currency, p.amount, b.order_prefix, 1 AS payouts`

const aGroup = `p.batch_id, 0 AS ordinal, '' AS sheet, 0 AS row_no, '' AS reference, p.channel, '' AS account, p.currency,
	sum(p.amount) AS amount, '' AS order_prefix, count(*) AS payouts`

const noOpenCase = `NOT EXISTS (SELECT 1 FROM exceptions x WHERE x.payout_id = p.id AND x.closed_at = 0)`

// toConfirm holds for a problem q that people confirm: its row was imported.
const toConfirm = `EXISTS (SELECT 1 FROM warnings w WHERE w.batch_id = q.batch_id AND w.code = q.code AND w.row_no = q.row_no)`

// rowRefused holds for a problem q of a row that was not imported, also where
// q itself is no more than a warning.
const rowRefused = `(q.severity <> 'warning' OR EXISTS (SELECT 1 FROM problems o
	WHERE o.batch_id = q.batch_id AND o.row_no = q.row_no AND o.sheet = q.sheet AND o.severity <> 'warning'))`

// Who confirmed a problem q, or NULL.
var (
	itsMaker   = ledger.Confirmer("q", ledger.Maker)
	itsChecker = ledger.Confirmer("q", ledger.Checker)
)

// problemNext says what to do about a problem q of batch b that a approved. A
// row that was imported must not be handed in again: it would be paid twice.
var problemNext = `CASE
	WHEN b.state = 'CANCELLED' THEN 'the batch was discarded: nothing to do'
	WHEN ` + toConfirm + ` THEN CASE
		WHEN b.state = 'APPROVED' THEN coalesce('confirmed by ' || ` + itsMaker + ` || ', ', '')
			|| 'checked by ' || coalesce(` + itsChecker + `, a.name) || '; the row was imported: nothing to do'
		ELSE coalesce('confirmed by ' || ` + itsMaker + ` || '; the row was imported and waits with its batch: nothing to do',
			'confirm it: payrun batch confirm ' || q.batch_id || ' --row ' || q.row_no) END
	WHEN ` + rowRefused + ` THEN 'correct the row and import it in a new sheet, if it should be paid'
	ELSE 'the row was imported: nothing to do' END`

// problemOpen is 1 for what somebody has to confirm, which comes first.
var problemOpen = `CASE WHEN b.state NOT IN ('APPROVED', 'CANCELLED') AND ` + toConfirm + ` AND ` + itsMaker + ` IS NULL THEN 1 ELSE 0 END`

// sources of exceptions, the most urgent first.
var sources = []source{
	{"", "", `SELECT x.kind, x.detail, x.next_step, x.opened_at AS since, x.batch_id, coalesce(p.ordinal, 0) AS ordinal,
		coalesce(p.sheet, '') AS sheet, coalesce(p.row_no, 0) AS row_no, coalesce(p.reference, '') AS reference,
		coalesce(p.channel, '') AS channel, coalesce(p.account, '') AS account, coalesce(p.currency, '') AS currency,
		coalesce(p.amount, 0) AS amount, coalesce(b.order_prefix, '') AS order_prefix,
		CASE WHEN p.id IS NULL THEN 0 ELSE 1 END AS payouts
		FROM exceptions x LEFT JOIN payouts p ON p.id = x.payout_id LEFT JOIN batches b ON b.id = x.batch_id
		WHERE x.closed_at = 0 AND (x.payout_id = 0 AND %[2]s OR x.payout_id > 0 AND %[1]s) ORDER BY x.kind, x.opened_at, x.payout_id, x.id`},
	{"in doubt, no open case", "open a case: nobody is looking at it", `SELECT ` + aPayout + `, 'is ' || p.state || ' and has no open exception' AS detail,
		p.sent_at AS since FROM payouts p JOIN batches b ON b.id = p.batch_id
		WHERE p.state IN ('UNKNOWN', 'REVIEW') AND ` + noOpenCase + ` AND %[1]s ORDER BY p.id`},
	{"blocked", "find out why; then cancel the payout or import it anew", `SELECT ` + aPayout + `, p.blocked AS detail, b.approved_at AS since
		FROM payouts p JOIN batches b ON b.id = p.batch_id
		WHERE p.state = 'UNSENT' AND p.blocked <> '' AND ` + noOpenCase + ` AND %[1]s ORDER BY p.id`},
	{"closed by the gateway", "get a statement line or the gateway's written word; two people then correct it", `SELECT ` + aPayout + `,
		'closed with status ' || p.gateway_status || '; amount and fee are in suspense' AS detail, p.ended_at AS since
		FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE p.state = 'CLOSED' AND ` + noOpenCase + ` AND %[1]s ORDER BY p.id`},
	{"failed, fee kept", "payrun repay ORDER --reason …; a wrong wallet: a new sheet instead; ask the gateway for the fee", `SELECT ` + aPayout + `,
		'not paid; the gateway kept the fee (status ' || p.gateway_status || ')' AS detail, p.ended_at AS since
		FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE p.state = 'FAILED_FEE' AND %[1]s ORDER BY p.id`},
	{"approved, not sent", "see what the batch waits for: a stop, limits, the balance or the pay date", `SELECT ` + aGroup + `,
		'approved and not sent yet' AS detail, max(b.approved_at) AS since FROM payouts p JOIN batches b ON b.id = p.batch_id
		WHERE p.state = 'UNSENT' AND b.state = 'APPROVED' AND p.blocked = '' AND %[1]s
		GROUP BY p.batch_id, p.channel, p.currency ORDER BY p.batch_id, p.channel, p.currency`},
	{"fee not named", "compare the fees with the gateway's statement", `SELECT ` + aGroup + `,
		'the gateway did not say which fee it took; the estimates are booked' AS detail, max(p.ended_at) AS since
		FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE p.state IN ('SUCCEEDED', 'FAILED_FEE') AND p.fee_known = 0 AND %[1]s
		GROUP BY p.batch_id, p.channel, p.currency ORDER BY p.batch_id, p.channel, p.currency`},
	{"", "", `SELECT CASE q.severity WHEN 'warning' THEN 'sheet, warning' ELSE 'sheet, refused' END AS kind, q.batch_id, 0 AS ordinal, q.sheet, q.row_no,
		'' AS reference, '' AS channel, '' AS account, '' AS currency, 0 AS amount, '' AS order_prefix, 0 AS payouts,
		CASE WHEN q.heading = '' THEN '' ELSE q.heading || ': ' END || q.message AS detail, ` + problemNext + ` AS next_step, b.made_at AS since
		FROM problems q JOIN batches b ON b.id = q.batch_id LEFT JOIN users a ON a.id = b.approved_by
		WHERE %[3]s ORDER BY kind, ` + problemOpen + ` DESC, q.batch_id, q.position`},
}

// writeExceptions writes what people have to look at, and counts it by kind.
func (r *report) writeExceptions(ctx context.Context, b *book) error {
	s, err := b.newTable("Exceptions", exceptionColumns, layout{frozen: 1, paper: a3})
	if err != nil {
		return err
	}
	var row []value
	for _, source := range sources {
		query, args := r.narrowed(source.query)
		err := each(ctx, r.tx, query, args, func(e *exception) error {
			if e.Kind == "" {
				e.Kind = source.kind
			}
			if e.NextStep == "" {
				e.NextStep = strings.Replace(source.next, "ORDER", e.OrderNo(), 1)
			}
			r.countException(e.Kind, e.NextStep)
			row = r.exceptionValues(row[:0], e)
			return s.put(row)
		})
		if err != nil {
			return fmt.Errorf("exceptions %s: %w", source.kind, err)
		}
	}
	return s.finish()
}

// narrowed puts the filter's conditions into a query.
func (r *report) narrowed(query string) (string, []any) {
	shown, batches := r.filter.payouts(), r.filter.batches()
	about := clause{"x.opened_at < ?", []any{r.filter.end()}}
	if r.filter.Batch != 0 {
		about.and("x.batch_id = ?", r.filter.Batch)
	}
	switch {
	case strings.Contains(query, "%[3]s"):
		return fmt.Sprintf(strings.ReplaceAll(query, "%[3]s", "%[1]s"), batches.text), batches.args
	case strings.Contains(query, "%[2]s"):
		return fmt.Sprintf(query, shown.text, about.text), append(about.args, shown.args...)
	}
	return fmt.Sprintf(query, shown.text), shown.args
}

func (r *report) exceptionValues(row []value, e *exception) []value {
	sum := value{}
	if e.Currency != "" {
		sum = amount(e.Amount, e.Currency)
	}
	channel := value{}
	if e.Channel != "" {
		channel = text(r.options.channel(e.Channel))
	}
	orderNo := ""
	if e.Ordinal > 0 {
		orderNo = e.OrderNo()
	}
	return append(row,
		text(e.Kind), instant(e.Since), r.age(e.Since), count(e.BatchID).unlessZero(), text(e.Sheet), count(e.Row).unlessZero(),
		text(e.Reference), text(orderNo), channel, count(e.Payouts).unlessZero(), text(string(e.Currency)), sum,
		text(e.masked()), text(e.NextStep))
}

// masked is the detail without the account number, should a gateway have
// repeated it.
func (e *exception) masked() string {
	if e.Account == "" {
		return e.Detail
	}
	return strings.ReplaceAll(e.Detail, e.Account, e.MaskedAccount())
}

// age in whole days at the time of the snapshot.
func (r *report) age(since database.Instant) value {
	if since == 0 {
		return value{}
	}
	return count(int64(r.snapshot.AsOf.Sub(since) / (24 * time.Hour)))
}

func (r *report) countException(kind, next string) {
	n := len(r.exceptions)
	if n == 0 || r.exceptions[n-1].kind != kind {
		r.exceptions = append(r.exceptions, kindCount{kind: kind, next: next})
		n++
	}
	r.exceptions[n-1].n++
}

// kindCount is how many exceptions of a kind were written.
type kindCount struct {
	kind string
	n    int64
	next string // what to do about the first of them
}

package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"payrun/internal/database"
	"payrun/internal/money"
)

// Payout is one payment to one payee, as imported and as it stands.
type Payout struct {
	ID           int64
	BatchID      int64 `db:"batch_id"`
	Ordinal      int64 // place in the batch, from 1
	Sheet        string
	Row          int64 `db:"row_no"` // row number as the maker sees it
	Reference    string
	Channel      string
	Account      string
	Payee        string
	Remark       string
	Beside       string `db:"-"`        // what the sheet says beside it; only Story tells
	PayDate      string `db:"pay_date"` // "2006-01-02": not sent before; "" for at once
	Amount       money.Amount
	Currency     money.Currency
	FeeEstimate  money.Amount `db:"fee_estimate"`
	RowDigest    string       `db:"row_digest"`
	State        State
	Blocked      string // why an approved payout is not sent; "" normally
	Attempts     int64
	AttemptID    int64            `db:"attempt_id"`
	GatewayOrder string           `db:"gateway_order_no"`
	Status       string           `db:"gateway_status"` // the gateway's own word
	StatusAt     database.Instant `db:"status_at"`      // when that was first seen
	Fee          money.Amount     // taken by the gateway; the estimate while FeeKnown is 0
	FeeKnown     int64            `db:"fee_known"`
	Rate         string           // as the gateway wrote it
	Received     string           // amount and currency the payee got, as the gateway wrote it
	Moved        money.Amount     // what two people found that the payee got, where it is not Amount; else 0
	Lookups      int64            // since the last change of state
	NextLookup   database.Instant `db:"next_lookup_at"`
	SentAt       database.Instant `db:"sent_at"`
	EndedAt      database.Instant `db:"ended_at"`
	OrderPrefix  string           `db:"order_prefix"`
	Repays       string           // the order number that this one pays again; "" normally
}

// payoutColumns selects a Payout from "payouts p JOIN batches b": a payout
// that was never sent stands where its batch stands.
const payoutColumns = `p.id, p.batch_id, p.ordinal, p.sheet, p.row_no, p.reference, p.channel, p.account, p.payee,
	p.remark, p.pay_date, p.amount, p.currency, p.fee_estimate, p.row_digest,
	CASE WHEN p.state = 'UNSENT' THEN b.state ELSE p.state END AS state, p.blocked, p.attempts, p.attempt_id,
	p.gateway_order_no, p.gateway_status, p.status_at, p.fee, p.fee_known, p.rate, p.received, p.moved, p.lookups, p.next_lookup_at,
	p.sent_at, p.ended_at, b.order_prefix, p.repays`

// maxOrdinal is the largest batch: eight digits of an order number.
const maxOrdinal = 99_999_999

func payoutID(batch, ordinal int64) int64 { return batch*(maxOrdinal+1) + ordinal }

func batchOf(payout int64) int64 { return payout / (maxOrdinal + 1) }

// firstID and lastID bound the ids of a batch, for a range over the primary key.
func firstID(batch int64) int64 { return payoutID(batch, 0) }
func lastID(batch int64) int64  { return payoutID(batch, maxOrdinal) }

// idOf is SQL for the id of a payout in batch b.
func idOf(b, ordinal string) string { return fmt.Sprintf("%s.id * %d + %s", b, maxOrdinal+1, ordinal) }

// IDs bounds the ids of a batch's payouts.
func IDs(batch int64) (first, last int64) { return firstID(batch), lastID(batch) }

// OrdinalOf is the place in its batch of the payout with an id.
func OrdinalOf(id int64) int64 { return id % (maxOrdinal + 1) }

// OrderNo is the number the gateway knows the payout by: 16 characters for
// the batch, then the ordinal in 8 digits. It depends on nothing but the
// gateway account, the rows of the sheet, and the repeat number a checker
// granted, so importing the same sheet into a restored database meets the
// same numbers again. It is "" while the batch has none.
func (p Payout) OrderNo() string {
	if p.OrderPrefix == "" {
		return ""
	}
	return fmt.Sprintf("%s%08d", p.OrderPrefix, p.Ordinal)
}

const prefixLength = 16

func orderPrefix(gatewayAccount, rowsDigest string, repeat int64) string {
	sum := sha256.Sum256([]byte(digest("order", gatewayAccount, rowsDigest, repeat)))
	return base32.StdEncoding.EncodeToString(sum[:])[:prefixLength]
}

// rowDigest covers everything a checker approves about one payout.
func (p Payout) rowDigest() string {
	fields := []any{p.BatchID, p.Ordinal, p.Sheet, p.Row, p.Reference, p.Channel, p.Account, p.Payee, p.Remark,
		p.PayDate, int64(p.Amount), string(p.Currency), int64(p.FeeEstimate)}
	return digest(p.withRepays(fields)...)
}

// withRepays adds what a re-pay pays again; every other payout keeps the
// digest it had before there were re-pays.
func (p Payout) withRepays(fields []any) []any {
	if p.Repays == "" {
		return fields
	}
	return append(fields, p.Repays)
}

// paramsDigest covers what is sent to the gateway; it is equal for every
// attempt of a payout.
func (p Payout) paramsDigest() string {
	return digest(p.OrderNo(), p.Channel, p.Account, int64(p.Amount), string(p.Currency))
}

// MaskedAccount shows the last four characters only.
func (p Payout) MaskedAccount() string { return Mask(p.Account) }

// Mask hides all but the last four characters of an account number, and all
// of a short one.
func Mask(account string) string {
	runes := []rune(account)
	const shown = 4
	if len(runes) <= shown {
		return "****"
	}
	return "****" + string(runes[len(runes)-shown:])
}

// Payout finds a payout by its order number.
func (b *Book) Payout(ctx context.Context, orderNo string) (Payout, error) {
	var p Payout
	prefix, ordinal, ok := splitOrderNo(orderNo)
	if !ok {
		return p, fmt.Errorf("%w: %q is not an order number of ours", ErrNotFound, orderNo)
	}
	err := b.db.Get(ctx, &p, "SELECT "+payoutColumns+` FROM batches b
		JOIN payouts p ON p.id = `+idOf("b", "?")+" WHERE b.order_prefix = ?", ordinal, prefix)
	if err != nil {
		return p, fmt.Errorf("payout %s: %w", orderNo, err)
	}
	return p, nil
}

var orderNoForm = regexp.MustCompile(`^[A-Z2-7]{16}[0-9]{8}$`)

func splitOrderNo(orderNo string) (prefix string, ordinal int64, ok bool) {
	if !orderNoForm.MatchString(orderNo) {
		return "", 0, false
	}
	ordinal, err := strconv.ParseInt(orderNo[prefixLength:], 10, 64)
	return orderNo[:prefixLength], ordinal, err == nil && ordinal > 0
}

// EachPayout hands every payout of a batch to f, in order, from one snapshot.
func (b *Book) EachPayout(ctx context.Context, batch int64, f func(*Payout) error) error {
	return b.db.Snapshot(ctx, func(tx *database.Tx) error { return eachPayout(ctx, tx, batch, f) })
}

func eachPayout(ctx context.Context, tx *database.Tx, batch int64, f func(*Payout) error) error {
	return database.Each(ctx, tx, "SELECT "+payoutColumns+` FROM payouts p JOIN batches b ON b.id = p.batch_id AND b.state <> 'STAGING'
		WHERE p.id BETWEEN ? AND ? ORDER BY p.id`, []any{firstID(batch), lastID(batch)}, f)
}

// Step is one line of a payout's story.
type Step struct {
	At     database.Instant
	ID     int64 // places steps of the same instant in order
	What   string
	Actor  string
	Detail string

	// Of an entry: what it moved, and in which currency.
	Amount   money.Amount
	Currency money.Currency
}

// Story tells everything that happened to a payout, in order: its batch's
// decisions, attempts, answers, changes of state, entries, cases, what people
// proposed and decided about it, and what pays it again.
func (b *Book) Story(ctx context.Context, orderNo string) (Payout, []Step, error) {
	p, err := b.Payout(ctx, orderNo)
	if err != nil {
		return p, nil, err
	}
	err = b.db.Get(ctx, &p.Beside, "SELECT beside FROM extras WHERE payout_id = ?", p.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return p, nil, fmt.Errorf("story of %s: %w", orderNo, err)
	}
	var steps []Step
	err = b.db.Select(ctx, &steps, story, p.BatchID, p.ID, p.ID, p.ID, p.ID, p.ID, p.ID, p.ID, p.ID, p.OrderNo())
	if err != nil {
		return p, nil, fmt.Errorf("story of %s: %w", orderNo, err)
	}
	for i := range steps {
		step := &steps[i]
		step.Detail = strings.TrimSpace(step.Detail)
		if step.Currency != "" {
			step.Detail = strings.TrimSpace(money.Format(step.Amount, step.Currency) + " " + string(step.Currency) + " " + step.Detail)
		}
	}
	return p, steps, nil
}

// holding is true of a stop s that holds a payout p; see Stop.Holds.
const holding = `(s.scope = 'everything' OR s.scope = 'channel' AND s.subject = p.channel OR s.scope = 'batch' AND s.subject = CAST(p.batch_id AS TEXT)
	OR s.scope = 'wallet' AND s.subject = p.channel || ' ' || lower(p.account) OR s.scope = 'payout' AND s.payout_id = p.id)`

var story = `
	SELECT created_at AS at, id, CASE WHEN from_state = '' THEN to_state ELSE from_state || ' to ' || to_state END AS what,
	       actor, reason || CASE WHEN note = '' THEN '' ELSE ': ' || note END AS detail, 0 AS amount, '' AS currency
	FROM events WHERE payout_id = 0 AND batch_id = ?
	UNION ALL
	SELECT created_at, id, from_state || ' to ' || to_state, actor, reason || CASE WHEN note = '' THEN '' ELSE ': ' || note END, 0, ''
	FROM events WHERE payout_id > 0 AND payout_id = ?
	UNION ALL
	SELECT created_at, id, 'attempt ' || number, worker,
	       CASE limits_source WHEN 'gateway' THEN 'within the limits that the gateway named' ELSE 'within the configured limits' END, 0, ''
	FROM attempts WHERE payout_id = ?
	UNION ALL
	SELECT created_at, id, kind || ' ' || outcome, CASE kind WHEN 'statement' THEN 'two people' ELSE 'gateway' END,
	       CASE WHEN code = '' THEN '' ELSE 'code ' || code END || CASE WHEN gateway_status = '' THEN '' ELSE ' status ' || gateway_status END
	       || CASE WHEN reason = '' THEN '' ELSE ' (' || reason || ')' END || CASE WHEN message = '' THEN '' ELSE ' ' || message END, 0, ''
	FROM evidence WHERE payout_id = ?
	UNION ALL
	SELECT created_at, id, 'entry ' || kind, actor, note,
	       CAST((SELECT sum(l.amount) FROM lines l WHERE l.entry_id = e.id AND l.side = 'debit') AS BIGINT), currency
	FROM entries e WHERE payout_id > 0 AND payout_id = ?
	UNION ALL
	SELECT opened_at, id, 'case ' || kind, '', detail || CASE WHEN closed_at = 0 THEN '; open' ELSE '; closed: ' || resolution END, 0, ''
	FROM exceptions WHERE payout_id > 0 AND payout_id = ?
	UNION ALL
	SELECT s.placed_at, s.id, 'stop of ' || CASE s.scope WHEN 'payout' THEN 'the payout' WHEN 'wallet' THEN 'its wallet'
	       WHEN 'batch' THEN 'its batch' WHEN 'channel' THEN 'its channel' ELSE s.scope END, s.placed_by,
	       s.reason || CASE WHEN s.lifted_at = 0 THEN '; in force' ELSE '; lifted by ' || s.lifted_by END, 0, ''
	FROM payouts p JOIN batches b ON b.id = p.batch_id AND b.approved_at > 0
	JOIN stops s ON ` + holding + ` AND (s.lifted_at = 0 OR s.lifted_at > b.approved_at)
	WHERE p.id = ? AND (p.state = 'UNSENT' OR s.placed_at <= coalesce((SELECT max(a.created_at) FROM attempts a WHERE a.payout_id = p.id), p.ended_at))
	UNION ALL
	SELECT q.created_at, q.id, 'proposal ' || q.id, 'user:' || u.name, q.outcome || ': ' || q.reason
	       || CASE WHEN q.evidence = '' THEN '' ELSE '; evidence: ' || q.evidence END
	       || CASE WHEN q.file_digest = '' THEN '' ELSE '; file ' || q.file_name || ' (SHA-256 ' || q.file_digest || ')' END, 0, ''
	FROM proposals q JOIN users u ON u.id = q.proposed_by WHERE q.payout_id = ?
	UNION ALL
	SELECT d.created_at, d.id, 'proposal ' || q.id || ' ' || d.verdict, 'user:' || u.name, d.note, 0, ''
	FROM proposals q JOIN decisions d ON d.proposal_id = q.id JOIN users u ON u.id = d.decided_by WHERE q.payout_id = ?
	UNION ALL
	SELECT v.created_at, v.id, 'paid again', v.actor, 'as ' || ` + orderNoOf("b", "r") + `, 0, ''
	FROM payouts r JOIN batches b ON b.id = r.batch_id AND b.order_prefix <> '' JOIN events v ON v.batch_id = b.id AND v.payout_id = 0 AND v.from_state = ''
	WHERE r.repays <> '' AND r.repays = ?
	ORDER BY id`

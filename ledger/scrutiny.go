package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// Kinds of warnings that the ledger itself finds, because it knows who was
// paid before. The importer has kinds of its own.
const (
	// PayeePaid: the same amount to the same account was approved lately, and
	// has not failed, or it is disputed whether it has.
	PayeePaid = "payee-paid-before"
	// PayeeWaiting: another batch that waits for approval pays it too.
	PayeeWaiting = "payee-waiting"
	// ReferenceUsed: an approved payout that has not failed, or may not have,
	// had the same reference lately, and is not what PayeePaid names.
	ReferenceUsed = "reference-used"
	// ReferenceWaiting: one of another batch that waits for approval has it,
	// likewise.
	ReferenceWaiting = "reference-waiting"
	// FileUsed: another batch came from the same file, with other rows.
	FileUsed = "file-used"
	// TotalsRepeated: another batch has as many payouts, and the same totals.
	TotalsRepeated = "totals-repeated"
	// FirstPayment: nothing to this account was ever approved.
	FirstPayment = "wallet-first-payment"
	// FirstPaymentLarge: likewise, and the amount is large.
	FirstPaymentLarge = "wallet-first-large"
)

// confirmedTwice lists the kinds that the checker confirms as well as the
// maker: the ones that may be the same payment again. The first is found by
// the importer, within the sheet.
var confirmedTwice = []string{"payee-repeated", PayeePaid, PayeeWaiting, ReferenceUsed, ReferenceWaiting, FileUsed, TotalsRepeated}

// quotedTwice is the same list between the quotation marks of a statement.
var quotedTwice = strings.Join(confirmedTwice, "', '")

// Scrutiny says what the ledger looks for when an import is published. The zero
// value looks for nothing but the same rows and the same file.
type Scrutiny struct {
	// Repeats is how far back a payment of the same amount to the same account
	// counts as a repeat, and so does a sheet with the same totals.
	Repeats time.Duration
	// References is how far back a reference counts as used.
	References time.Duration
	// FirstPayments flags every payment to an account that was never paid.
	FirstPayments bool
	// Large flags those first payments that are above an amount.
	Large map[money.Currency]money.Amount
}

// Reading tells how a batch's sheet was read and what its maker chose.
type Reading struct {
	Source   string // the file as an inbox found it; "" when a person handed it in
	Profile  string // name of the import profile, "" for none
	Settings string // the profile's own text
	Columns  string // how each column was understood
	GoodRows string `db:"good_rows"` // totals confirmed to go on without the bad rows, "" for none
	Warnings int64  // that people have to confirm
}

// reading is a Reading as it is kept.
type reading struct {
	BatchID int64 `db:"batch_id"`
	Reading
	Actor           string
	CreatedAt       database.Instant `db:"created_at"`
	RepeatsSince    database.Instant `db:"repeats_since"` // how far back payments counted as repeats; 0: it was not kept then
	ReferencesSince database.Instant `db:"references_since"`
	Seal            string
}

const readingColumns = "batch_id, source, profile, settings, columns, good_rows, warnings, actor, created_at, repeats_since, references_since, seal"

func (r *reading) seal() string {
	fields := []any{r.BatchID, r.Source, r.Profile, r.Settings, r.Columns, r.GoodRows, r.Warnings, r.Actor, int64(r.CreatedAt)}
	if r.RepeatsSince > 0 { // older seals go without
		fields = append(fields, int64(r.RepeatsSince), int64(r.ReferencesSince))
	}
	return digest(fields...)
}

// Reading returns how a batch's sheet was read. It is empty for batches that
// were imported before Payrun kept this.
func (b *Book) Reading(ctx context.Context, batch int64) (Reading, error) {
	var r reading
	err := b.db.Get(ctx, &r, "SELECT "+readingColumns+" FROM readings WHERE batch_id = ?", batch)
	if errors.Is(err, ErrNotFound) {
		return Reading{}, nil
	}
	return r.Reading, err
}

// Imported finds the batch that an inbox made from a file before, 0 for none.
// A file that could not be moved away is not imported again. One whose batch was
// discarded is: somebody put it back.
func (b *Book) Imported(ctx context.Context, source string) (int64, error) {
	var batch int64
	err := b.db.Get(ctx, &batch, `SELECT r.batch_id FROM readings r JOIN batches b ON b.id = r.batch_id AND b.state NOT IN ('STAGING', 'CANCELLED')
		WHERE r.source = ? AND r.source <> '' ORDER BY r.batch_id DESC LIMIT 1`, source)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return batch, err
}

// SheetWarning is something in the sheet that people have to confirm.
type SheetWarning struct {
	Code string
	Row  int64
}

// AddWarnings stages what the importer wants confirmed.
func (s *Staging) AddWarnings(ctx context.Context, warnings []SheetWarning) error {
	if len(warnings) == 0 {
		return nil
	}
	err := s.book.db.InTx(ctx, func(tx *database.Tx) error {
		if err := s.stillStaging(ctx, tx); err != nil {
			return err
		}
		return database.Load(ctx, tx, "warnings", []string{"batch_id", "code", "row_no", "payout_id", "repeats"}, len(warnings),
			func(i int) []any { return []any{s.batch, warnings[i].Code, warnings[i].Row, int64(0), int64(0)} })
	})
	if err != nil {
		return fmt.Errorf("stage warnings: %w", err)
	}
	return nil
}

// scrutinize looks through the staged rows for what people have to confirm.
func (s *Staging) scrutinize(ctx context.Context, tx *database.Tx, look Scrutiny) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	// In this order: a batch that is approved meanwhile is seen by one.
	if err := s.reviewWaiting(ctx, tx, look); err != nil {
		return fmt.Errorf("find what waits already: %w", err)
	}
	if err := s.reviewApproved(ctx, tx, look, now); err != nil {
		return fmt.Errorf("find repeated payments: %w", err)
	}
	if err := s.reviewFirst(ctx, tx, look); err != nil {
		return fmt.Errorf("find first payments: %w", err)
	}
	return nil
}

// reviewFirst looks for first payments.
func (s *Staging) reviewFirst(ctx context.Context, tx *database.Tx, look Scrutiny) error {
	large, limits := largerThan(look.Large)
	if large == "" && !look.FirstPayments {
		return nil
	}
	query, args := findFirst, []any{firstID(s.batch), lastID(s.batch)}
	if large != "" {
		query = strings.Replace(query, "'"+FirstPayment+"'", "CASE WHEN "+large+" THEN '"+FirstPaymentLarge+"' ELSE '"+FirstPayment+"' END", 1)
		args = append(slices.Clone(limits), args...)
	}
	if !look.FirstPayments {
		query += " AND (" + large + ")"
		args = append(args, limits...)
	}
	_, err := tx.Exec(ctx, query, args...)
	return err
}

// findPaid goes from each staged row to the payees of its account, so that it
// does not depend on how long the history is. Of several payments it names the
// one that has the same reference too.
var findPaid = `INSERT INTO warnings (batch_id, code, row_no, payout_id, repeats)
	SELECT p.batch_id, '` + PayeePaid + `', p.row_no, p.id, coalesce(max(CASE WHEN e.reference = p.reference THEN e.id END), max(e.id)) FROM payouts p
	JOIN payees o ON ` + samePayee + ` AND o.approved_at >= ?
	JOIN payouts e ON e.id = o.payout_id AND ` + mayBePaid + `
	WHERE p.id BETWEEN ? AND ? GROUP BY p.batch_id, p.row_no, p.id`

// mayBePaid is SQL for a payout e that counts as paid, or as one that will be.
// What was not paid counts as long as a case says that it may have been.
var mayBePaid = `(e.state NOT IN (` + unpaid + `)
		OR EXISTS (SELECT 1 FROM exceptions x WHERE x.payout_id = e.id AND x.closed_at = 0
			AND x.kind IN ('` + ExceptionBlocked + `', '` + strings.Join(disputes, "', '") + `')))`

// findWaiting sorts instead of joining: no plan of it is quadratic, whatever
// the planner believes about rows that were loaded a moment ago.
const findWaiting = `INSERT INTO warnings (batch_id, code, row_no, payout_id, repeats)
	SELECT w.batch_id, '` + PayeeWaiting + `', w.row_no, w.id, w.other FROM (
		SELECT p.id, p.batch_id, p.row_no, coalesce(
			max(CASE WHEN p.batch_id <> ? THEN p.id END) OVER (PARTITION BY p.account, p.channel, p.currency, p.amount, p.reference),
			max(CASE WHEN p.batch_id <> ? THEN p.id END) OVER (PARTITION BY p.account, p.channel, p.currency, p.amount)) AS other
		FROM payouts p WHERE p.state = 'UNSENT'
		AND p.batch_id IN (SELECT id FROM batches WHERE state IN ('VALID', 'SUBMITTED') OR id = ?)) w
	WHERE w.batch_id = ? AND w.other IS NOT NULL`

const findFirst = `INSERT INTO warnings (batch_id, code, row_no, payout_id, repeats)
	SELECT p.batch_id, '` + FirstPayment + `', p.row_no, p.id, 0 FROM payouts p WHERE p.id BETWEEN ? AND ?
	AND NOT EXISTS (SELECT 1 FROM payees o WHERE o.account = p.account AND o.channel = p.channel)`

// reviewWaiting looks into the batches that wait for approval.
func (s *Staging) reviewWaiting(ctx context.Context, tx *database.Tx, look Scrutiny) error {
	var waiting int64
	if err := tx.Get(ctx, &waiting, "SELECT count(*) FROM batches WHERE state IN ('VALID', 'SUBMITTED')"); err != nil || waiting == 0 {
		return err
	}
	if look.Repeats > 0 {
		if _, err := tx.Exec(ctx, findWaiting, s.batch, s.batch, s.batch, s.batch); err != nil {
			return err
		}
	}
	if look.References > 0 {
		return s.reviewWaitingReferences(ctx, tx, look)
	}
	return nil
}

// reviewApproved looks into what was approved lately.
func (s *Staging) reviewApproved(ctx context.Context, tx *database.Tx, look Scrutiny, now database.Instant) error {
	if look.Repeats > 0 {
		if _, err := tx.Exec(ctx, findPaid, now.Add(-look.Repeats), firstID(s.batch), lastID(s.batch)); err != nil {
			return err
		}
	}
	if look.References > 0 {
		return s.reviewUsedReferences(ctx, tx, look, now)
	}
	return nil
}

// largerThan is the condition that a payout is above its currency's limit.
func largerThan(limits map[money.Currency]money.Amount) (condition string, args []any) {
	var parts []string
	for _, currency := range slices.Sorted(maps.Keys(limits)) {
		parts = append(parts, "p.currency = ? AND p.amount > ?")
		args = append(args, string(currency), int64(limits[currency]))
	}
	return strings.Join(parts, " OR "), args
}

// keepReading records how the sheet was read, with the number of warnings.
func (s *Staging) keepReading(ctx context.Context, tx *database.Tx, counts Counts) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	kept := reading{
		BatchID: s.batch, Reading: counts.Reading, Actor: s.by.Actor(), CreatedAt: now,
		RepeatsSince: now.Add(-counts.Scrutiny.Repeats), ReferencesSince: now.Add(-counts.Scrutiny.References),
	}
	for _, text := range []*string{&kept.Source, &kept.Profile, &kept.Settings, &kept.Columns, &kept.GoodRows} {
		*text = storable(*text)
	}
	if err := tx.Get(ctx, &kept.Warnings, "SELECT count(*) FROM warnings WHERE batch_id = ?", s.batch); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO readings ("+readingColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		kept.BatchID, kept.Source, kept.Profile, kept.Settings, kept.Columns, kept.GoodRows, kept.Warnings, kept.Actor, kept.CreatedAt,
		kept.RepeatsSince, kept.ReferencesSince, kept.seal())
	return err
}

// notePayees puts the payouts of a batch that is being approved on the record
// of who was paid.
func notePayees(ctx context.Context, tx *database.Tx, batch int64, now database.Instant) error {
	_, err := tx.Exec(ctx, `INSERT INTO payees (account, channel, currency, amount, reference, payout_id, approved_at)
		SELECT account, channel, currency, amount, reference, id, ? FROM payouts WHERE id BETWEEN ? AND ?`, now, firstID(batch), lastID(batch))
	return err
}

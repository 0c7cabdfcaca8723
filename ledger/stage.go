package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// NewPayout is a payout as an importer read it.
type NewPayout struct {
	Sheet       string
	Row         int64
	Reference   string
	Channel     string
	Account     string
	Payee       string
	Remark      string
	PayDate     string
	Amount      money.Amount
	Currency    money.Currency
	FeeEstimate money.Amount
	Beside      string // what the sheet says beside it, in columns that Payrun does not interpret
	repays      string // the order number that it pays again
}

// Staging is an import under way. Rows go into the store in chunks that
// nobody sees; Publish makes them a batch in one row, so an import is all or
// nothing however large it is. One goroutine uses it; its chunks may be stored
// by others.
type Staging struct {
	book    *Book
	by      User
	batch   int64
	name    string
	account string
	added   int64
	stored  atomic.Int64 // of those added
	found   int64        // problems
	rows    identity
	totals  map[totalKey]*Total
	sums    map[money.Currency]money.Amount // with fees
	repays  []int64                         // failed payouts that this batch pays again
}

type totalKey struct {
	channel  string
	currency money.Currency
}

// abandoned is when the rows of an import that neither finished nor failed
// (its process died) are cleared away by a later one.
const abandoned = time.Hour

// Stage begins an import by a maker for a gateway account.
func (b *Book) Stage(ctx context.Context, by User, name, gatewayAccount string) (*Staging, error) {
	s := &Staging{book: b, by: by, name: name, account: gatewayAccount, rows: newIdentity(), totals: map[totalKey]*Total{}, sums: map[money.Currency]money.Amount{}}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "import a sheet", Maker); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		numbers, err := ids(ctx, tx, "batch_ids", 1)
		if err != nil {
			return err
		}
		s.batch = numbers[0]
		_, err = tx.Exec(ctx, "INSERT INTO batches (id, name, state, gateway_account, made_by, made_at) VALUES (?, ?, ?, ?, ?, ?)",
			s.batch, name, staging, gatewayAccount, by.ID, now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return s, b.clearAbandoned(ctx)
}

// Add stages rows. A few thousand at a time is a good size. After an error
// the import can only be discarded.
func (s *Staging) Add(ctx context.Context, rows []NewPayout) error {
	chunk, err := s.Chunk(rows)
	if err != nil {
		return err
	}
	return chunk.Store(ctx)
}

// Chunk is rows of an import that have their numbers.
type Chunk struct {
	staging *Staging
	first   int64 // ordinal
	rows    []NewPayout
}

// Chunk is the first half of Add: it gives the rows that come next their
// numbers and counts them in.
func (s *Staging) Chunk(rows []NewPayout) (Chunk, error) {
	c := Chunk{s, s.added + 1, rows}
	s.added += int64(len(rows)) // even if they are refused: what follows would be a sheet with a hole
	if s.added > maxOrdinal {
		return c, fmt.Errorf("%w: a batch holds at most %d payouts", ErrInvalid, maxOrdinal)
	}
	for i := range rows {
		p := c.payout(i)
		if err := p.checkNew(); err != nil {
			return c, fmt.Errorf("row %d: %w", p.Row, err)
		}
		if err := s.count(&p); err != nil {
			return c, fmt.Errorf("row %d: %w", p.Row, err)
		}
	}
	return c, nil
}

// Store is the second half of Add. Several chunks may be stored at the same
// time, in any order.
func (c Chunk) Store(ctx context.Context) error {
	err := c.staging.book.db.InTx(ctx, func(tx *database.Tx) error {
		if err := c.staging.stillStaging(ctx, tx); err != nil {
			return err
		}
		if err := c.insertPayouts(ctx, tx); err != nil {
			return err
		}
		return c.insertExtras(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("stage payouts: %w", err)
	}
	c.staging.stored.Add(int64(len(c.rows)))
	return nil
}

// payout is the ith of its rows, without its digest.
func (c Chunk) payout(i int) Payout {
	row, ordinal := c.rows[i], c.first+int64(i)
	return Payout{
		ID: payoutID(c.staging.batch, ordinal), BatchID: c.staging.batch, Ordinal: ordinal, Sheet: row.Sheet, Row: row.Row,
		Reference: row.Reference, Channel: row.Channel, Account: row.Account, Payee: row.Payee, Remark: row.Remark,
		PayDate: row.PayDate, Amount: row.Amount, Currency: row.Currency, FeeEstimate: row.FeeEstimate, Repays: row.repays,
	}
}

// insertPayouts makes and digests each row when its turn comes: the server
// stores the rows before it meanwhile, and no chunk is held twice.
func (c Chunk) insertPayouts(ctx context.Context, tx *database.Tx) error {
	columns := []string{
		"id", "batch_id", "ordinal", "sheet", "row_no", "reference", "channel", "account", "payee",
		"remark", "pay_date", "amount", "currency", "fee_estimate", "row_digest", "repays",
	}
	return database.Load(ctx, tx, "payouts", columns, len(c.rows), func(i int) []any {
		p := c.payout(i)
		return []any{
			p.ID, p.BatchID, p.Ordinal, p.Sheet, p.Row, p.Reference, p.Channel, p.Account, p.Payee,
			p.Remark, p.PayDate, int64(p.Amount), string(p.Currency), int64(p.FeeEstimate), p.rowDigest(), p.Repays,
		}
	})
}

// insertExtras keeps what stands beside the payouts that have something there.
func (c Chunk) insertExtras(ctx context.Context, tx *database.Tx) error {
	var with []int
	for i := range c.rows {
		if c.rows[i].Beside != "" {
			with = append(with, i)
		}
	}
	if len(with) == 0 {
		return nil
	}
	return database.Load(ctx, tx, "extras", []string{"payout_id", "batch_id", "beside"}, len(with), func(i int) []any {
		return []any{payoutID(c.staging.batch, c.first+int64(with[i])), c.staging.batch, storable(c.rows[with[i]].Beside)}
	})
}

var errCleared = fmt.Errorf("%w: this import was published before, or it took too long and was cleared away", ErrConflict)

// stillStaging keeps the import from being cleared away until the transaction
// ends.
func (s *Staging) stillStaging(ctx context.Context, tx *database.Tx) error {
	var batch int64
	err := tx.Get(ctx, &batch, "SELECT id FROM batches WHERE id = ? AND state = ?"+tx.Dialect.ForShare, s.batch, staging)
	if errors.Is(err, ErrNotFound) {
		return errCleared
	}
	return err
}

// checkNew refuses what an importer must not let through and one of the engines
// would: both refuse the same.
func (p *Payout) checkNew() error {
	if p.Amount <= 0 || p.FeeEstimate < 0 || p.Account == "" {
		return fmt.Errorf("%w: a payout needs an account, an amount above zero and a fee that is not negative", ErrInvalid)
	}
	if _, err := p.Currency.Exponent(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, text := range []string{p.Sheet, p.Reference, p.Channel, p.Account, p.Payee, p.Remark, p.PayDate} {
		if text != storable(text) {
			return fmt.Errorf("%w: a text is not valid UTF-8, or holds a NUL", ErrInvalid)
		}
	}
	return nil
}

// count adds a row to the totals, and to the digest by which a sheet is known
// again when it comes back renamed or saved anew. No sum may leave the range
// of an amount: approving adds them all up.
func (s *Staging) count(p *Payout) error {
	s.rows.add(p)
	key := totalKey{p.Channel, p.Currency}
	t := s.totals[key]
	if t == nil {
		t = &Total{Channel: p.Channel, Currency: p.Currency}
		s.totals[key] = t
	}
	t.Payouts++
	var err, feeErr, sumErr error
	t.Amount, err = money.Add(t.Amount, p.Amount)
	t.Fees, feeErr = money.Add(t.Fees, p.FeeEstimate)
	s.sums[p.Currency], sumErr = money.Sum(s.sums[p.Currency], p.Amount, p.FeeEstimate)
	if err := errors.Join(err, feeErr, sumErr); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// AddProblems stages what was wrong with the sheet.
func (s *Staging) AddProblems(ctx context.Context, problems []Problem) error {
	columns := []string{"batch_id", "position", "code", "severity", "sheet", "row_no", "col", "heading", "value", "message"}
	err := s.book.db.InTx(ctx, func(tx *database.Tx) error {
		if err := s.stillStaging(ctx, tx); err != nil {
			return err
		}
		return database.Load(ctx, tx, "problems", columns, len(problems), func(i int) []any {
			p := problems[i]
			return []any{s.batch, s.found + int64(i) + 1, p.Code, p.Severity, p.Sheet, p.Row, p.Column, p.Heading, storable(p.Value), storable(p.Message)}
		})
	})
	if err != nil {
		return fmt.Errorf("stage problems: %w", err)
	}
	s.found += int64(len(problems))
	return nil
}

// Counts says how every row of the sheet was used.
type Counts struct {
	SourceDigest                    string // SHA-256 of the file's bytes
	Read, Accepted, Rejected, Blank int64
	Reading                         Reading  // how it was read; its Warnings are counted here
	Scrutiny                        Scrutiny // what to look for in the rows
}

// Publish makes the staged rows a batch. A sheet with the same rows as an
// earlier, live batch becomes one too, but waits for AllowRepeat.
func (s *Staging) Publish(ctx context.Context, counts Counts) (Batch, error) {
	if err := s.checkCounts(counts); err != nil {
		return Batch{}, err
	}
	publish := func(tx *database.Tx) error { return s.publish(ctx, tx, counts) }
	err := s.book.db.InTx(ctx, publish)
	if database.IsUnique(err) { // the same sheet, published by someone else just now
		err = s.book.db.InTx(ctx, publish)
	}
	if err != nil {
		return Batch{}, fmt.Errorf("publish import: %w", err)
	}
	// It is published: a caller who gave up meanwhile must hear of it.
	return s.book.Batch(context.WithoutCancel(ctx), s.batch)
}

func (s *Staging) publish(ctx context.Context, tx *database.Tx, counts Counts) error {
	// One at a time, so that of two that pay the same payee one sees the other.
	if err := tx.Queue(ctx, "publish"); err != nil {
		return err
	}
	if err := s.scrutinize(ctx, tx, counts.Scrutiny); err != nil {
		return err
	}
	if err := s.insertTotals(ctx, tx); err != nil {
		return err
	}
	rowsDigest := s.rows.sum()
	if err := s.reviewSheet(ctx, tx, counts, rowsDigest); err != nil {
		return fmt.Errorf("find a batch that is alike: %w", err)
	}
	if err := s.keepReading(ctx, tx, counts); err != nil {
		return err
	}
	if err := s.makeBatch(ctx, tx, counts, rowsDigest); err != nil {
		return err
	}
	if err := lockRepayable(ctx, tx, s.batch, s.repays); err != nil {
		return err
	}
	return batchEvent(ctx, tx, change{s.batch, "", Valid, byImport, s.name, s.by.Actor(), rowsDigest})
}

// makeBatch lets everybody see the staged rows, with order numbers unless they
// repeat an earlier batch.
func (s *Staging) makeBatch(ctx context.Context, tx *database.Tx, counts Counts, rowsDigest string) error {
	earlier, err := earlierBatch(ctx, tx, s.batch, rowsDigest, s.account)
	if err != nil {
		return err
	}
	prefix := ""
	if earlier == 0 {
		prefix = orderPrefix(s.account, rowsDigest, 0)
	}
	n, err := tx.Exec(ctx, `UPDATE batches SET state = ?, order_prefix = ?, source_digest = ?, rows_digest = ?, repeats = ?,
		rows_read = ?, accepted = ?, rejected = ?, blank = ? WHERE id = ? AND state = ?`,
		Valid, prefix, counts.SourceDigest, rowsDigest, earlier,
		counts.Read, counts.Accepted, counts.Rejected, counts.Blank, s.batch, staging)
	if err != nil {
		return err
	}
	if n != 1 {
		return errCleared
	}
	return nil
}

func (s *Staging) checkCounts(c Counts) error {
	switch {
	case c.Accepted != s.added || s.stored.Load() != s.added:
		return fmt.Errorf("%w: %d rows accepted, %d staged, %d of them stored", ErrInvalid, c.Accepted, s.added, s.stored.Load())
	case c.Accepted == 0:
		return fmt.Errorf("%w: a batch needs at least one payout", ErrInvalid)
	case c.Read < 0 || c.Rejected < 0 || c.Blank < 0 || c.Read != c.Accepted+c.Rejected+c.Blank:
		return fmt.Errorf("%w: %d rows read are not %d accepted, %d rejected and %d blank", ErrInvalid, c.Read, c.Accepted, c.Rejected, c.Blank)
	}
	return nil
}

// earlierBatch finds a batch with the same rows, which has order numbers: one
// that pays something if there is any, or one that was taken back.
func earlierBatch(ctx context.Context, tx *database.Tx, batch int64, rowsDigest, account string) (int64, error) {
	earlier, err := liveRepeated(ctx, tx, batch, rowsDigest, account)
	if err != nil || earlier > 0 {
		return earlier, err
	}
	err = tx.Get(ctx, &earlier, `SELECT id FROM batches WHERE rows_digest = ? AND gateway_account = ?
		AND (state <> 'CANCELLED' OR approved_at > 0) ORDER BY id DESC LIMIT 1`, rowsDigest, account)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return earlier, err
}

// liveRepeated finds the latest other batch with the same rows of which
// something may be paid, 0 for none.
func liveRepeated(ctx context.Context, tx *database.Tx, batch int64, rowsDigest, account string) (other int64, err error) {
	err = tx.Get(ctx, &other, "SELECT coalesce(max(b.id), 0) FROM batches b WHERE b.rows_digest = ? AND b.gateway_account = ? AND b.id <> ? AND "+paysSomething,
		rowsDigest, account, batch)
	return other, err
}

func (s *Staging) insertTotals(ctx context.Context, tx *database.Tx) error {
	if err := s.stillStaging(ctx, tx); err != nil {
		return err
	}
	for _, t := range s.totals {
		_, err := tx.Exec(ctx, `INSERT INTO batch_totals (batch_id, channel, currency, payouts, amount, fees)
			VALUES (?, ?, ?, ?, ?, ?)`, s.batch, t.Channel, t.Currency, t.Payouts, t.Amount, t.Fees)
		if err != nil {
			return err
		}
	}
	return nil
}

// Discard removes what was staged. It is safe after Publish, when it changes
// nothing.
func (s *Staging) Discard(ctx context.Context) error {
	return s.book.clear(ctx, s.batch, s.book.db.Dialect.ForUpdate)
}

func (b *Book) clearAbandoned(ctx context.Context) error {
	now, err := b.db.Now(ctx)
	if err != nil {
		return err
	}
	var batches []int64
	if err := b.db.Select(ctx, &batches, "SELECT id FROM batches WHERE state = 'STAGING' AND made_at < ?", now.Add(-abandoned)); err != nil {
		return fmt.Errorf("find abandoned imports: %w", err)
	}
	for _, batch := range batches {
		// One that is locked is not abandoned: its process stands still in the
		// middle of a chunk, and nobody else's import waits for that.
		if err := b.clear(ctx, batch, b.db.Dialect.SkipLocked); err != nil {
			return err
		}
	}
	return nil
}

// clear deletes what an import has staged, if the batch can be locked so.
func (b *Book) clear(ctx context.Context, batch int64, lock string) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		var state State
		err := tx.Get(ctx, &state, "SELECT state FROM batches WHERE id = ?"+lock, batch)
		if err != nil || state != staging {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM payouts WHERE id BETWEEN ? AND ?", firstID(batch), lastID(batch)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM problems WHERE batch_id = ?", batch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM warnings WHERE batch_id = ?", batch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM extras WHERE payout_id BETWEEN ? AND ?", firstID(batch), lastID(batch)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM batches WHERE id = ?", batch)
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("clear import %d: %w", batch, err)
	}
	return nil
}

// identity digests what makes a sheet the same sheet, however it is named,
// saved or laid out: whom it pays what, in order, under which references. A
// re-pay has another identity than what it pays again, so it needs nobody's
// leave to repeat it.
type identity struct{ hash hash.Hash }

func newIdentity() identity { return identity{sha256.New()} }

func (i identity) add(p *Payout) {
	fields := []any{p.Channel, p.Account, int64(p.Amount), string(p.Currency), p.Reference, p.PayDate}
	io.WriteString(i.hash, digest(p.withRepays(fields)...))
}

func (i identity) sum() string { return hex.EncodeToString(i.hash.Sum(nil)) }

// content digests the row digests of a batch in order, and adds up what the
// rows ask for.
type content struct {
	hash hash.Hash
	rows int64
	sums map[money.Currency]Sums
	// repays are the order numbers that the rows pay again.
	repays []string
}

func newContent(orderPrefix string) *content {
	c := &content{hash: sha256.New(), sums: map[money.Currency]Sums{}}
	io.WriteString(c.hash, digest(orderPrefix))
	return c
}

func (c *content) add(p *Payout) error {
	io.WriteString(c.hash, p.RowDigest)
	c.rows++
	if p.Repays != "" {
		c.repays = append(c.repays, p.Repays)
	}
	sums := c.sums[p.Currency]
	var err, feeErr error
	sums.Amount, err = money.Add(sums.Amount, p.Amount)
	sums.Estimate, feeErr = money.Add(sums.Estimate, p.FeeEstimate)
	c.sums[p.Currency] = sums
	return errors.Join(err, feeErr)
}

func (c *content) sum() string { return hex.EncodeToString(c.hash.Sum(nil)) }

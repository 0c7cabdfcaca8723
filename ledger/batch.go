package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// Batch is one imported sheet on its way through maker and checker.
type Batch struct {
	ID             int64
	Name           string
	State          State
	GatewayAccount string `db:"gateway_account"`
	OrderPrefix    string `db:"order_prefix"`
	SourceDigest   string `db:"source_digest"`  // of the file's bytes
	RowsDigest     string `db:"rows_digest"`    // of the rows' content, in order
	ContentDigest  string `db:"content_digest"` // of all row digests; what a checker approves
	Repeats        int64  // an earlier batch with the same rows, or 0
	RepeatNumber   int64  `db:"repeat_number"`
	RowsRead       int64  `db:"rows_read"` // = Accepted + Rejected + Blank
	Accepted       int64
	Rejected       int64
	Blank          int64
	Maker          string
	MadeAt         database.Instant `db:"made_at"`
	Submitter      string
	SubmittedAt    database.Instant `db:"submitted_at"`
	Approver       string
	ApprovedAt     database.Instant `db:"approved_at"`
	StopReason     string           `db:"stop_reason"` // why it is paused; "" when it is not
}

const selectBatches = `SELECT b.id, b.name, b.state, b.gateway_account, b.order_prefix, b.source_digest, b.rows_digest,
	b.content_digest, b.repeats, b.repeat_number, b.rows_read, b.accepted, b.rejected, b.blank,
	m.name AS maker, b.made_at, coalesce(s.name, '') AS submitter, b.submitted_at,
	coalesce(a.name, '') AS approver, b.approved_at, coalesce(p.reason, '') AS stop_reason
	FROM batches b JOIN users m ON m.id = b.made_by
	LEFT JOIN users s ON s.id = b.submitted_by LEFT JOIN users a ON a.id = b.approved_by
	LEFT JOIN stops p ON p.scope = 'batch' AND p.subject = CAST(b.id AS TEXT) AND p.lifted_at = 0`

// Batches lists the batches, newest first.
func (b *Book) Batches(ctx context.Context) ([]Batch, error) {
	var batches []Batch
	err := b.db.Select(ctx, &batches, selectBatches+" WHERE b.state <> 'STAGING' ORDER BY b.id DESC")
	return batches, err
}

// Batch finds one batch.
func (b *Book) Batch(ctx context.Context, id int64) (Batch, error) {
	var batch Batch
	err := b.db.Get(ctx, &batch, selectBatches+" WHERE b.state <> 'STAGING' AND b.id = ?", id)
	if err != nil {
		return batch, fmt.Errorf("batch %d: %w", id, err)
	}
	return batch, nil
}

// Ended is how far an approved batch is.
type Ended struct {
	BatchID   int64 `db:"batch_id"`
	Payouts   int64 // that have ended, of Batch.Accepted
	Cancelled int64 // 1 when all of them were taken back
}

// Ended tells how far the approved batches are, by their ids. It counts the
// payouts of unfinished batches only.
func (b *Book) Ended(ctx context.Context) (map[int64]Ended, error) {
	var all []Ended
	ofBatch := "FROM payouts p WHERE p.id BETWEEN " + idOf("b", "0") + " AND " + idOf("b", strconv.Itoa(maxOrdinal)) + " AND p.state "
	err := b.db.Select(ctx, &all, `SELECT b.id AS batch_id, CASE WHEN b.finished_at > 0 THEN b.accepted
		ELSE (SELECT count(*) `+ofBatch+`IN ('SUCCEEDED', 'FAILED', 'FAILED_FEE', 'CLOSED', 'CANCELLED')) END AS payouts,
		CASE WHEN EXISTS (SELECT 1 `+ofBatch+`<> 'CANCELLED') THEN 0 ELSE 1 END AS cancelled
		FROM batches b WHERE b.state = 'APPROVED'`)
	if err != nil {
		return nil, fmt.Errorf("count what has ended: %w", err)
	}
	ended := make(map[int64]Ended, len(all))
	for _, e := range all {
		ended[e.BatchID] = e
	}
	return ended, nil
}

// Total is the count and sum of a batch's payouts in one channel and currency.
type Total struct {
	Channel  string
	Currency money.Currency
	Payouts  int64
	Amount   money.Amount
	Fees     money.Amount // estimated
}

// Totals returns what a batch amounts to, fixed when it was imported.
func (b *Book) Totals(ctx context.Context, batch int64) ([]Total, error) {
	var totals []Total
	err := b.db.Select(ctx, &totals, `SELECT channel, currency, payouts, amount, fees FROM batch_totals
		WHERE batch_id = ? ORDER BY currency, channel`, batch)
	return totals, err
}

// PayDates sums up the payouts of a batch that are not sent before a day.
type PayDates struct {
	Payouts     int64
	First, Last string // "2006-01-02"
}

// PayDates returns those of a batch.
func (b *Book) PayDates(ctx context.Context, batch int64) (PayDates, error) {
	var dates PayDates
	err := b.db.Get(ctx, &dates, `SELECT count(*) AS payouts, coalesce(min(pay_date), '') AS first, coalesce(max(pay_date), '') AS last
		FROM payouts WHERE id BETWEEN ? AND ? AND pay_date <> ''`, firstID(batch), lastID(batch))
	if err != nil {
		return PayDates{}, fmt.Errorf("read the pay dates of batch %d: %w", batch, err)
	}
	return dates, nil
}

// Progress is how many payouts of a batch stand in one state.
type Progress struct {
	State    State
	Currency money.Currency
	Payouts  int64
	Amount   money.Amount
	Fees     money.Amount // taken or, where none are known, estimated; of what failed, those that a correction left with the gateway
}

// Progress counts a batch's payouts by state and currency.
func (b *Book) Progress(ctx context.Context, batch int64) ([]Progress, error) {
	var progress []Progress
	err := b.db.Select(ctx, &progress, `SELECT CASE WHEN p.state = 'UNSENT' THEN b.state ELSE p.state END AS state,
		p.currency, count(*) AS payouts, sum(p.amount) AS amount,
		sum(CASE WHEN p.state IN ('SUCCEEDED', 'FAILED_FEE') THEN p.fee
			WHEN p.state = 'FAILED' AND EXISTS (SELECT 1 FROM entries k WHERE k.payout_id > 0 AND k.payout_id = p.id AND k.corrects > 0) THEN p.fee
			ELSE 0 END) AS fees
		FROM payouts p JOIN batches b ON b.id = p.batch_id AND b.state <> 'STAGING' WHERE p.id BETWEEN ? AND ?
		GROUP BY 1, 2 ORDER BY 1, 2`, firstID(batch), lastID(batch))
	return progress, err
}

// Problem is something wrong with a sheet, as the importer said it.
type Problem struct {
	Code, Severity, Sheet string
	Row                   int64  `db:"row_no"`
	Column                string `db:"col"`
	Heading               string
	Value                 string
	Message               string
}

// Problems lists what was wrong with a batch's sheet, in the sheet's order.
func (b *Book) Problems(ctx context.Context, batch int64) ([]Problem, error) {
	var problems []Problem
	err := b.db.Select(ctx, &problems, `SELECT code, severity, sheet, row_no, col, heading, value, message
		FROM problems WHERE batch_id = (SELECT id FROM batches WHERE id = ? AND state <> 'STAGING') ORDER BY position`, batch)
	return problems, err
}

// change is one step of a batch from state to state.
type change struct {
	batch    int64
	from, to State
	reason   Reason
	note     string
	actor    string
	digest   string // what the person saw
}

// apply moves a batch along the table and records the event. It returns
// ErrConflict when the batch is not in the state the change starts from.
func apply(ctx context.Context, tx *database.Tx, c change) error {
	if _, err := transition(c.from, c.to, c.reason); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, "UPDATE batches SET state = ? WHERE id = ? AND state = ?", c.to, c.batch, c.from)
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: batch %d is not %s", ErrConflict, c.batch, c.from)
	}
	return batchEvent(ctx, tx, c)
}

func batchEvent(ctx context.Context, tx *database.Tx, c change) error {
	err := insertEvents(ctx, tx, []event{{
		BatchID: c.batch, From: c.from, To: c.to, Reason: c.reason, Note: c.note, Actor: c.actor, Digest: c.digest,
	}})
	if err != nil {
		return err
	}
	return audit(ctx, tx, c.actor, "batch."+string(c.reason), fmt.Sprint("batch ", c.batch), c.note)
}

// Submit hands a batch in. What the checker will be shown, and must find
// unchanged, is fixed here as the content digest.
func (b *Book) Submit(ctx context.Context, by User, batch int64) error {
	content, err := b.readContent(ctx, batch)
	if err != nil {
		return fmt.Errorf("submit batch %d: %w", batch, err)
	}
	var refused error // as something else is named now, which stays so
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "submit a batch", Maker); err != nil {
			return err
		}
		found, err := lookAgain(ctx, tx, by.Actor(), batch)
		if refused = mustLookAgain(batch, found); err != nil || refused != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE batches SET submitted_by = ?, submitted_at = ?, content_digest = ?
			WHERE id = ? AND order_prefix <> ''`, by.ID, now, content.sum(), batch)
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%w: batch %d repeats an earlier one; a checker has to allow the repeat first", ErrConflict, batch)
		}
		if err := checkConfirmed(ctx, tx, batch, Maker, ""); err != nil {
			return err
		}
		return apply(ctx, tx, change{batch, Valid, Submitted, BySubmission, "", by.Actor(), content.sum()})
	})
	if err = cmp.Or(err, refused); err != nil {
		return fmt.Errorf("submit batch %d: %w", batch, err)
	}
	return nil
}

// Approve releases a submitted batch for sending and holds its money: amount
// and estimated fees, one entry per currency. Whoever made or submitted the
// batch cannot approve it.
func (b *Book) Approve(ctx context.Context, by User, batch int64) error {
	content, err := b.readContent(ctx, batch)
	if err != nil {
		return fmt.Errorf("approve batch %d: %w", batch, err)
	}
	var refused error // as something else is named now, which stays so
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "approve a batch", Checker); err != nil {
			return err
		}
		if err := checkFourEyes(ctx, tx, by, batch, content.sum()); err != nil {
			return err
		}
		found, err := lookAgain(ctx, tx, by.Actor(), batch)
		if refused = mustSendBack(batch, found); err != nil || refused != nil {
			return err
		}
		if err := checkStillConfirmed(ctx, tx, batch); err != nil {
			return err
		}
		if err := checkConfirmed(ctx, tx, batch, Checker, by.Actor()); err != nil {
			return err
		}
		if err := b.holdBatch(ctx, tx, by, batch, content.sums); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE batches SET approved_by = ?, approved_at = ? WHERE id = ?", by.ID, now, batch); err != nil {
			return err
		}
		if err := checkRepaysOf(ctx, tx, batch, content.repays); err != nil {
			return err
		}
		if err := notePayees(ctx, tx, batch, now); err != nil {
			return err
		}
		return apply(ctx, tx, change{batch, Submitted, Approved, ByApproval, "", by.Actor(), content.sum()})
	})
	if database.IsUnique(err) {
		err = fmt.Errorf("%w: somebody else approved it just now", ErrConflict)
	}
	if err = cmp.Or(err, refused); err != nil {
		return fmt.Errorf("approve batch %d: %w", batch, err)
	}
	return nil
}

func checkFourEyes(ctx context.Context, tx *database.Tx, by User, batch int64, content string) error {
	var row struct {
		State         State
		MadeBy        int64  `db:"made_by"`
		SubmittedBy   int64  `db:"submitted_by"`
		ContentDigest string `db:"content_digest"`
	}
	err := tx.Get(ctx, &row, "SELECT state, made_by, submitted_by, content_digest FROM batches WHERE id = ?", batch)
	if err != nil {
		return err
	}
	switch {
	case row.State != Submitted:
		return fmt.Errorf("%w: batch %d is %s, only a SUBMITTED one can be approved", ErrConflict, batch, row.State)
	case by.ID == row.MadeBy || by.ID == row.SubmittedBy:
		return fmt.Errorf("%w: %s made or submitted batch %d; somebody else has to approve it", ErrForbidden, by.Name, batch)
	case content != row.ContentDigest:
		return fmt.Errorf("%w: batch %d is not what was submitted", ErrTampered, batch)
	}
	return nil
}

// holdBatch holds what the rows themselves add up to, per currency.
func (b *Book) holdBatch(ctx context.Context, tx *database.Tx, by User, batch int64, sums map[money.Currency]Sums) error {
	day, err := b.openDay(ctx, tx)
	if err != nil {
		return err
	}
	currencies := slices.Sorted(maps.Keys(sums))
	accounts, err := lockAccounts(ctx, tx, currencies)
	if err != nil {
		return err
	}
	var entries []entry
	for _, currency := range currencies {
		needed, err := money.Add(sums[currency].Amount, sums[currency].Estimate)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err := checkFunds(ctx, tx, currency, needed); err != nil {
			return err
		}
		entries = append(entries, entry{kind: kindHold, currency: currency, batch: batch, actor: by.Actor(), lines: hold(sums[currency])})
	}
	return post(ctx, tx, day, accounts, entries)
}

func checkFunds(ctx context.Context, tx *database.Tx, currency money.Currency, needed money.Amount) error {
	var available money.Amount
	err := tx.Get(ctx, &available, "SELECT balance FROM accounts WHERE currency = ? AND kind = 'available'", currency)
	if err != nil {
		return err
	}
	if available < needed {
		return fmt.Errorf("%w: %s %s are needed with fees, %s are available; book a top-up first",
			ErrFunds, money.Format(needed, currency), currency, money.Format(available, currency))
	}
	return nil
}

// Reject sends a submitted batch back to its maker, with a reason.
func (b *Book) Reject(ctx context.Context, by User, batch int64, reason string) error {
	return b.takeBack(ctx, by, Checker, change{batch, Submitted, Valid, ByRejection, reason, by.Actor(), ""})
}

// Recall takes a submitted batch back before anybody approved it.
func (b *Book) Recall(ctx context.Context, by User, batch int64, reason string) error {
	return b.takeBack(ctx, by, Maker, change{batch, Submitted, Valid, ByRecall, reason, by.Actor(), ""})
}

func (b *Book) takeBack(ctx context.Context, by User, role Role, c change) error {
	if c.note == "" {
		return errNoReason
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "take a batch back", role); err != nil {
			return err
		}
		if err := apply(ctx, tx, c); err != nil {
			return err
		}
		_, err := lookAgain(ctx, tx, c.actor, c.batch)
		return err
	})
	if err != nil {
		return fmt.Errorf("batch %d: %w", c.batch, err)
	}
	return nil
}

// AllowRepeat lets a batch with the same rows as an earlier one go on: next
// month's identical payroll is legitimate. It gets order numbers of its own.
func (b *Book) AllowRepeat(ctx context.Context, by User, batch int64, reason string) error {
	if reason == "" {
		return errNoReason
	}
	var refused error // as another batch is named now, which stays so
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "allow a repeat", Checker); err != nil {
			return err
		}
		found, err := lookAgain(ctx, tx, by.Actor(), batch)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if refused = nil; found.held > 0 {
			refused = mustLookAgain(batch, found)
			return nil
		}
		if err := lockAudit(ctx, tx); err != nil { // so that no two repeats get one number
			return err
		}
		var row struct {
			RowsDigest     string `db:"rows_digest"`
			GatewayAccount string `db:"gateway_account"`
			MadeBy         int64  `db:"made_by"`
			Latest         int64
		}
		err = tx.Get(ctx, &row, `SELECT rows_digest, gateway_account, made_by,
			(SELECT max(o.repeat_number) FROM batches o WHERE o.rows_digest = b.rows_digest) AS latest
			FROM batches b WHERE id = ? AND state = 'VALID' AND repeats > 0 AND order_prefix = ''`, batch)
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%w: batch %d does not wait for leave to repeat", ErrConflict, batch)
		}
		if err != nil {
			return err
		}
		if row.MadeBy == by.ID {
			return fmt.Errorf("%w: %s made batch %d; somebody else has to allow the repeat", ErrForbidden, by.Name, batch)
		}
		repeat := row.Latest + 1
		prefix := orderPrefix(row.GatewayAccount, row.RowsDigest, repeat)
		if _, err := tx.Exec(ctx, "UPDATE batches SET repeat_number = ?, order_prefix = ? WHERE id = ?", repeat, prefix, batch); err != nil {
			return err
		}
		return audit(ctx, tx, by.Actor(), "batch.allow-repeat", fmt.Sprint("batch ", batch), fmt.Sprintf("repeat %d: %s", repeat, reason))
	})
	if err = cmp.Or(err, refused); err != nil {
		return fmt.Errorf("allow repeat of batch %d: %w", batch, err)
	}
	return nil
}

// Discard drops a batch that nobody approved. Its sheet can be imported
// again as if it had never been.
func (b *Book) Discard(ctx context.Context, by User, batch int64, reason string) error {
	if reason == "" {
		return errNoReason
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "discard a batch", Maker); err != nil {
			return err
		}
		if err := orphan(ctx, tx, batch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE batches SET order_prefix = '' WHERE id = ? AND state = 'VALID'", batch); err != nil {
			return err
		}
		if err := apply(ctx, tx, change{batch, Valid, Cancelled, ByDiscarding, reason, by.Actor(), ""}); err != nil {
			return err
		}
		return lookAgainAbout(ctx, tx, by.Actor(), batch)
	})
	if err != nil {
		return fmt.Errorf("discard batch %d: %w", batch, err)
	}
	return nil
}

// orphan keeps in mind which order numbers of a discarded batch the gateway
// says it has: the same rows get them again when they are imported anew.
func orphan(ctx context.Context, tx *database.Tx, batch int64) error {
	var known []Payout
	err := tx.Select(ctx, &known, `SELECT p.ordinal, b.order_prefix FROM payouts p JOIN batches b ON b.id = p.batch_id
		WHERE p.id BETWEEN ? AND ? AND p.state = 'UNSENT' AND p.blocked = ?`, firstID(batch), lastID(batch), BlockedKnown)
	if err != nil {
		return err
	}
	cases := make([]Exception, len(known))
	for i, p := range known {
		cases[i] = orphaned(p.OrderNo())
	}
	return openExceptions(ctx, tx, cases)
}

// readContent reads a batch's rows, checks each against the digest taken of
// it at import, and digests and adds up them all. It returns ErrTampered with
// the row that changed.
func (b *Book) readContent(ctx context.Context, batch int64) (*content, error) {
	var read *content
	err := b.db.Snapshot(ctx, func(tx *database.Tx) error {
		var head Batch
		if err := tx.Get(ctx, &head, selectBatches+" WHERE b.state <> 'STAGING' AND b.id = ?", batch); err != nil {
			return err
		}
		read = newContent(head.OrderPrefix)
		err := eachPayout(ctx, tx, batch, func(p *Payout) error {
			if p.rowDigest() != p.RowDigest {
				return fmt.Errorf("%w: row %d of batch %d (sheet %q)", ErrTampered, p.Row, batch, p.Sheet)
			}
			return read.add(p)
		})
		if err != nil {
			return err
		}
		if read.rows != head.Accepted {
			return fmt.Errorf("%w: batch %d has %d rows, %d were imported", ErrTampered, batch, read.rows, head.Accepted)
		}
		return nil
	})
	return read, err
}

// Open counts the payouts that were sent and have not ended, in one state.
type Open struct {
	State   State
	Payouts int64
	Oldest  time.Duration // since the oldest of them was sent
}

// Open counts what is under way. It reads only unfinished payouts, however
// many have ended.
func (b *Book) Open(ctx context.Context) ([]Open, error) {
	now, err := b.db.Now(ctx)
	if err != nil {
		return nil, err
	}
	var all []Open
	for _, state := range []State{Sending, Unknown, Accepted, Review} {
		condition := fmt.Sprintf("state = '%s' AND next_lookup_at > 0", state)
		if state == Sending {
			condition = "state = 'SENDING'"
		}
		var row struct {
			Payouts int64
			Oldest  database.Instant
		}
		err := b.db.Get(ctx, &row, "SELECT count(*) AS payouts, coalesce(min(sent_at), 0) AS oldest FROM payouts WHERE "+condition)
		if err != nil {
			return nil, fmt.Errorf("count open payouts: %w", err)
		}
		o := Open{State: state, Payouts: row.Payouts}
		if row.Payouts > 0 {
			o.Oldest = now.Sub(row.Oldest)
		}
		all = append(all, o)
	}
	return all, nil
}

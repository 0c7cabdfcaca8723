package ledger

import (
	"context"
	"errors"
	"fmt"

	"payrun/internal/database"
)

// Day is one business day of the books. Every entry carries the day that was
// open when it was booked, so a closed day never changes.
type Day struct {
	ID          int64
	BusinessDay string           `db:"business_day"` // "2006-01-02" in the business zone
	OpenedAt    database.Instant `db:"opened_at"`
	ClosedAt    database.Instant `db:"closed_at"`
	ClosedBy    string           `db:"closed_by"`
	Entries     int64
	AuditDigest string `db:"audit_digest"` // head of the audit trail when it was closed
	Digest      string
}

const dayColumns = "id, business_day, opened_at, closed_at, closed_by, entries, audit_digest, digest"

// openDay returns the open day and keeps it open until the transaction ends:
// closing waits for the share lock.
func (b *Book) openDay(ctx context.Context, tx *database.Tx) (int64, error) {
	const selectOpen = "SELECT id FROM days WHERE closed_at = 0"
	for {
		var day int64
		err := tx.Get(ctx, &day, selectOpen+tx.Dialect.ForShare)
		if !errors.Is(err, ErrNotFound) {
			return day, err
		}
		if err := b.beginDay(ctx, tx); err != nil {
			return 0, err
		}
	}
}

// beginDay opens a day; it changes nothing when another transaction was first.
func (b *Book) beginDay(ctx context.Context, tx *database.Tx) error {
	number, now, err := stamp(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO days (id, business_day, opened_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		number, b.businessDay(now), now)
	return err
}

func (b *Book) businessDay(at database.Instant) string {
	return at.Time().In(b.zone).Format("2006-01-02")
}

// CloseDay closes the open business day and opens the next one. The digest it
// returns covers the day before, every entry, and the audit trail; kept
// elsewhere, it proves later that nothing was changed. A day without entries
// may be closed too.
func (b *Book) CloseDay(ctx context.Context, actor string) (Day, error) {
	var day Day
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		var err error
		if day, err = b.lockDay(ctx, tx); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		day.ClosedAt, day.ClosedBy = now, actor
		if err := tx.Get(ctx, &day.AuditDigest, "SELECT digest FROM audit_head WHERE id = 1"+tx.Dialect.ForUpdate); err != nil {
			return err
		}
		if day.Digest, day.Entries, err = dayDigest(ctx, tx, day); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE days SET closed_at = ?, closed_by = ?, entries = ?, audit_digest = ?, digest = ? WHERE id = ?",
			day.ClosedAt, day.ClosedBy, day.Entries, day.AuditDigest, day.Digest, day.ID)
		if err != nil {
			return err
		}
		if err := b.beginDay(ctx, tx); err != nil {
			return err
		}
		return audit(ctx, tx, actor, "day.close", "day "+day.BusinessDay, fmt.Sprintf("%d entries, digest %s", day.Entries, day.Digest))
	})
	if err != nil {
		return Day{}, fmt.Errorf("close day: %w", err)
	}
	return day, nil
}

// lockDay waits for everybody who is booking into the open day.
func (b *Book) lockDay(ctx context.Context, tx *database.Tx) (Day, error) {
	for {
		var day Day
		err := tx.Get(ctx, &day, "SELECT "+dayColumns+" FROM days WHERE closed_at = 0"+tx.Dialect.ForUpdate)
		if !errors.Is(err, ErrNotFound) {
			return day, err
		}
		if err := b.beginDay(ctx, tx); err != nil {
			return day, err
		}
	}
}

// dayDigest chains the day before with the day itself and the digests of its
// entries.
func dayDigest(ctx context.Context, tx *database.Tx, day Day) (string, int64, error) {
	var chain string
	err := tx.Get(ctx, &chain, "SELECT digest FROM days WHERE id < ? ORDER BY id DESC LIMIT 1", day.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", 0, err
	}
	chain = digest(chain, day.BusinessDay, int64(day.OpenedAt), int64(day.ClosedAt), day.ClosedBy, day.AuditDigest)
	var entries int64
	err = database.Each(ctx, tx, "SELECT digest FROM entries WHERE day_id = ? ORDER BY id", []any{day.ID},
		func(entry *struct{ Digest string }) error {
			entries++
			chain = digest(chain, entry.Digest)
			return nil
		})
	return chain, entries, err
}

// Days lists the business days, newest first.
func (b *Book) Days(ctx context.Context) ([]Day, error) {
	var days []Day
	err := b.db.Select(ctx, &days, "SELECT "+dayColumns+" FROM days ORDER BY id DESC")
	return days, err
}

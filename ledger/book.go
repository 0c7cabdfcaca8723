package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"payrun/internal/database"
)

// Errors that callers branch on. The message that wraps one is made for
// people.
var (
	// ErrNotFound: there is no such batch, payout or user.
	ErrNotFound = database.ErrNotFound
	// ErrConflict: something changed meanwhile, or is not in the state the
	// action needs.
	ErrConflict = errors.New("conflict")
	// ErrForbidden: the person may not do this.
	ErrForbidden = errors.New("not allowed")
	// ErrInvalid: what was asked makes no sense.
	ErrInvalid = errors.New("invalid")
	// ErrFunds: the available balance is too small.
	ErrFunds = errors.New("not enough available")
	// ErrTampered: a row no longer matches the digest taken of it.
	ErrTampered = errors.New("changed behind the ledger's back")
)

var errNoReason = fmt.Errorf("%w: a reason is needed", ErrInvalid)

// Config of a Book; the zero value is usable.
type Config struct {
	// Zone in which business days begin and end. Default UTC.
	Zone *time.Location
	// Proof is what must be shown before a payout in doubt is sent again or
	// called failed.
	Proof Proof
	// Resend says who lets it be sent again then. Default ResendManual.
	Resend Resend
	// GenerationFile tells a restored copy of the store from the store, see
	// NoticeRestore; best on another disk. Default: none.
	GenerationFile string
	// AskFirst is how long after a restore claims say that the gateway must
	// be asked about a payout before it is sent. Default 30 days.
	AskFirst time.Duration
	// AlertTo names the ways by which alerts are delivered. Default none:
	// alerts are kept and shown only.
	AlertTo []string
	// Brakes stop sending by themselves. Default: never.
	Brakes Brakes
}

// Book is the ledger on one store.
type Book struct {
	db         *database.DB
	zone       *time.Location
	proof      Proof
	resend     Resend
	generation string // file, "" for none
	askFirst   time.Duration
	alertTo    []string
	brakes     Brakes
}

// New returns the ledger on a migrated store.
func New(db *database.DB, config Config) *Book {
	if config.Zone == nil {
		config.Zone = time.UTC
	}
	if config.AskFirst == 0 {
		config.AskFirst = 30 * 24 * time.Hour
	}
	return &Book{
		db: db, zone: config.Zone, proof: config.Proof.withDefaults(), resend: config.Resend,
		generation: config.GenerationFile, askFirst: config.AskFirst, alertTo: config.AlertTo, brakes: config.Brakes,
	}
}

// Now returns the store's time, the only clock that due times, leases and
// grace are measured by.
func (b *Book) Now(ctx context.Context) (database.Instant, error) { return b.db.Now(ctx) }

// digest is the SHA-256 of the fields in lower-case hex. Each field is
// preceded by its length, so no two lists of fields share a digest.
func digest(fields ...any) string {
	text := make([]byte, 0, 512)
	var number [20]byte
	for _, field := range fields {
		switch f := field.(type) {
		case string:
			text = append(strconv.AppendInt(text, int64(len(f)), 10), ':')
			text = append(text, f...)
		case int64:
			digits := strconv.AppendInt(number[:0], f, 10)
			text = append(strconv.AppendInt(text, int64(len(digits)), 10), ':')
			text = append(text, digits...)
		default:
			panic(fmt.Sprintf("digest of a %T", field)) // a bug: its text may change with its type
		}
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// sequences holds how each engine hands out the next n numbers of a sequence.
var sequences = map[string]string{
	database.Postgres.Name: "SELECT nextval(CAST(? AS regclass)) FROM generate_series(1, ?)",
	database.SQLite.Name:   "UPDATE sequences SET last = last + ?2 WHERE name = ?1 RETURNING last - ?2 + 1",
}

// ids returns n fresh, increasing numbers. One sequence numbers all rows, so
// that the story of a payout can be told in order across tables.
func ids(ctx context.Context, tx *database.Tx, sequence string, n int) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	var numbers []int64
	if err := tx.Select(ctx, &numbers, sequences[tx.Dialect.Name], sequence, n); err != nil {
		return nil, fmt.Errorf("number rows: %w", err)
	}
	for len(numbers) < n { // SQLite returns the first of a run
		numbers = append(numbers, numbers[len(numbers)-1]+1)
	}
	return numbers, nil
}

// stamp returns a fresh number and the transaction's time, for one new row.
func stamp(ctx context.Context, tx *database.Tx) (number int64, now database.Instant, err error) {
	if now, err = tx.Now(ctx); err != nil {
		return 0, 0, err
	}
	numbers, err := ids(ctx, tx, "ids", 1)
	if err != nil {
		return 0, 0, err
	}
	return numbers[0], now, nil
}

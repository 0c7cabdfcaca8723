package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"payrun/internal/database"
)

// ErrUnconfirmed: a batch has warnings that somebody must confirm first.
var ErrUnconfirmed = fmt.Errorf("%w: warnings are not confirmed", ErrConflict)

// confirmation is who confirmed one kind of warning.
type confirmation struct {
	ID        int64
	BatchID   int64 `db:"batch_id"`
	Code      string
	Row       int64 `db:"row_no"` // 0: all rows of the kind
	Role      Role
	Warnings  int64 // that it covered
	Actor     string
	CreatedAt database.Instant `db:"created_at"`
	Seal      string
}

const confirmationColumns = "id, batch_id, code, row_no, role, warnings, actor, created_at, seal"

func (c *confirmation) seal() string {
	return digest(c.ID, c.BatchID, c.Code, c.Row, string(c.Role), c.Warnings, c.Actor, int64(c.CreatedAt))
}

// WarningKind counts the warnings of one kind in a batch.
type WarningKind struct {
	Code     string
	Warnings int64
	// Open counts those that no maker has confirmed, Unchecked those that the
	// checker has to confirm and that no checker has.
	Open, Unchecked int64
}

// WarningKinds lists a batch's kinds of warnings.
func (b *Book) WarningKinds(ctx context.Context, batch int64) ([]WarningKind, error) {
	var kinds []WarningKind
	err := b.db.Select(ctx, &kinds, `SELECT w.code, count(*) AS warnings,
		sum(CASE WHEN `+confirmedBy(Maker)+` THEN 0 ELSE 1 END) AS open,
		sum(CASE WHEN w.code NOT IN ('`+quotedTwice+`') OR `+confirmedBy(Checker)+` THEN 0 ELSE 1 END) AS unchecked
		FROM warnings w JOIN batches b ON b.id = w.batch_id AND b.state <> 'STAGING'
		WHERE w.batch_id = ? GROUP BY w.code ORDER BY w.code`, batch)
	return kinds, err
}

// confirmedBy is the condition that somebody with the role confirmed warning
// w; further conditions on the confirmation c may follow.
func confirmedBy(role Role, and ...string) string {
	return fmt.Sprintf(`EXISTS (SELECT 1 FROM confirmations c WHERE c.batch_id = w.batch_id AND c.code = w.code
		AND c.row_no IN (0, w.row_no) AND c.role = '%s'%s)`, role, strings.Join(and, ""))
}

// Warning is one warning of a batch, with what it is about.
type Warning struct {
	Code         string
	Row          int64  `db:"row_no"`
	Message      string // the importer's words, "" for what the ledger found
	Repeats      int64  // batch of the payout that this one repeats, or 0
	RepeatsRow   int64  `db:"repeats_row"`
	RepeatsState State  `db:"repeats_state"`
	Maker        string // who confirmed it, "" for nobody
	Checker      string
}

// NeedsChecker tells whether the checker has to confirm it too.
func (w Warning) NeedsChecker() bool { return slices.Contains(confirmedTwice, w.Code) }

// Warnings lists the first warnings of a batch, in the sheet's order; kind ""
// stands for all kinds.
func (b *Book) Warnings(ctx context.Context, batch int64, kind string, limit int) ([]Warning, error) {
	var warnings []Warning
	err := b.db.Select(ctx, &warnings, `SELECT w.code, w.row_no,
		coalesce((SELECT max(p.message) FROM problems p WHERE p.batch_id = w.batch_id AND p.code = w.code AND p.row_no = w.row_no), '') AS message,
		coalesce(e.batch_id, 0) AS repeats, coalesce(e.row_no, 0) AS repeats_row, coalesce(e.state, '') AS repeats_state,
		coalesce((`+confirmer(Maker)+`), '') AS maker, coalesce((`+confirmer(Checker)+`), '') AS checker
		FROM warnings w JOIN batches b ON b.id = w.batch_id AND b.state <> 'STAGING'
		LEFT JOIN payouts e ON e.id = w.repeats AND w.repeats > 0
		WHERE w.batch_id = ? AND (? = '' OR w.code = ?) ORDER BY w.row_no, w.code, w.payout_id LIMIT ?`, batch, kind, kind, limit)
	for i := range warnings {
		w := &warnings[i]
		w.Maker, w.Checker = strings.TrimPrefix(w.Maker, "user:"), strings.TrimPrefix(w.Checker, "user:")
	}
	return warnings, err
}

func confirmer(role Role) string {
	return fmt.Sprintf(`SELECT min(c.actor) FROM confirmations c WHERE c.batch_id = w.batch_id AND c.code = w.code
		AND c.row_no IN (0, w.row_no) AND c.role = '%s'`, role)
}

// ConfirmWarnings records that a person takes responsibility for warnings of a batch:
// of one kind ("" for every kind), in one row (0 for all rows). While the batch
// is VALID that is a maker, while it is SUBMITTED a checker who neither made
// nor submitted it. It returns how many warnings are confirmed by this that
// were not before, and ErrConflict if there are none.
func (b *Book) ConfirmWarnings(ctx context.Context, by User, batch int64, kind string, row int64) (int64, error) {
	var confirmed int64
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		role, err := confirmingRole(ctx, tx, by, batch)
		if err != nil {
			return err
		}
		mine := ""
		if role == Checker { // each checker answers for what they approve
			mine = by.actor()
		}
		open, err := unconfirmed(ctx, tx, batch, role, mine)
		if err != nil {
			return err
		}
		confirmed = 0 // the transaction may be tried again
		for _, w := range open {
			if kind != "" && w.Code != kind {
				continue
			}
			n, err := confirm(ctx, tx, by, confirmation{BatchID: batch, Code: w.Code, Row: row, Role: role, Warnings: w.Warnings, Actor: by.actor()}, mine)
			if err != nil {
				return err
			}
			confirmed += n
		}
		if confirmed == 0 {
			return fmt.Errorf("%w: batch %d has no such warning that waits for a %s", ErrConflict, batch, role)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("confirm warnings of batch %d: %w", batch, err)
	}
	return confirmed, nil
}

func confirmingRole(ctx context.Context, tx *database.Tx, by User, batch int64) (Role, error) {
	var head struct {
		State       State
		MadeBy      int64 `db:"made_by"`
		SubmittedBy int64 `db:"submitted_by"`
	}
	// One at a time, so that nobody confirms what somebody else just did.
	err := tx.Get(ctx, &head, "SELECT state, made_by, submitted_by FROM batches WHERE id = ? AND state <> 'STAGING'"+tx.Dialect.ForUpdate, batch)
	if err != nil {
		return "", err
	}
	switch {
	case head.State == Valid:
		return Maker, authorize(ctx, tx, by, "confirm a batch's warnings", Maker)
	case head.State != Submitted:
		return "", fmt.Errorf("%w: the batch is %s; warnings are confirmed before it is approved", ErrConflict, head.State)
	case by.ID == head.MadeBy || by.ID == head.SubmittedBy:
		return "", fmt.Errorf("%w: %s made or submitted the batch; somebody else has to confirm now", ErrForbidden, by.Name)
	}
	var before int64
	err = tx.Get(ctx, &before, "SELECT count(*) FROM confirmations WHERE batch_id = ? AND role = ? AND actor = ?", batch, Maker, by.actor())
	if err != nil {
		return "", err
	}
	if before > 0 {
		return "", fmt.Errorf("%w: %s confirmed warnings of the batch as a maker; somebody else has to confirm now", ErrForbidden, by.Name)
	}
	return Checker, authorize(ctx, tx, by, "confirm a batch's warnings", Checker)
}

// unconfirmed counts, by kind, the warnings that still want somebody with the
// role; actor "" takes anybody's confirmation.
func unconfirmed(ctx context.Context, tx *database.Tx, batch int64, role Role, actor string) ([]WarningKind, error) {
	query := "SELECT w.code, count(*) AS warnings FROM warnings w WHERE w.batch_id = ? AND NOT " + confirmedBy(role, " AND (? = '' OR c.actor = ?)")
	if role == Checker {
		query += " AND w.code IN ('" + quotedTwice + "')"
	}
	var open []WarningKind
	err := tx.Select(ctx, &open, query+" GROUP BY w.code ORDER BY w.code", batch, actor, actor)
	return open, err
}

// confirm stores one confirmation, of all rows or of one, and returns how many
// warnings it covers.
func confirm(ctx context.Context, tx *database.Tx, by User, c confirmation, mine string) (int64, error) {
	if c.Row > 0 {
		err := tx.Get(ctx, &c.Warnings, `SELECT count(*) FROM warnings w WHERE w.batch_id = ? AND w.code = ? AND w.row_no = ? AND NOT `+
			confirmedBy(c.Role, " AND (? = '' OR c.actor = ?)"), c.BatchID, c.Code, c.Row, mine, mine)
		if err != nil || c.Warnings == 0 {
			return 0, err
		}
	}
	var err error
	if c.ID, c.CreatedAt, err = stamp(ctx, tx); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "INSERT INTO confirmations ("+confirmationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.ID, c.BatchID, c.Code, c.Row, c.Role, c.Warnings, c.Actor, c.CreatedAt, c.seal())
	if err != nil {
		return 0, err
	}
	where := "in all rows"
	if c.Row > 0 {
		where = fmt.Sprint("in row ", c.Row)
	}
	return c.Warnings, audit(ctx, tx, by.actor(), "batch.confirm", fmt.Sprint("batch ", c.BatchID),
		fmt.Sprintf("as %s: %d of %s, %s", c.Role, c.Warnings, c.Code, where))
}

// checkConfirmed refuses to go on while warnings want confirming.
func checkConfirmed(ctx context.Context, tx *database.Tx, batch int64, role Role, actor string) error {
	open, err := unconfirmed(ctx, tx, batch, role, actor)
	if err != nil || len(open) == 0 {
		return err
	}
	words := make([]string, len(open))
	for i, w := range open {
		words[i] = fmt.Sprintf("%d of %s", w.Warnings, w.Code)
	}
	return fmt.Errorf("%w by the %s: %s", ErrUnconfirmed, role, strings.Join(words, ", "))
}

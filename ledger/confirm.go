package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"payrun/internal/database"
	"payrun/internal/money"
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

// Repeats tells whether the kind stands for what may be the same payment
// again: the checker confirms it too, and nobody together with other kinds.
func (k WarningKind) Repeats() bool { return slices.Contains(confirmedTwice, k.Code) }

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
// w since it names what it does; further conditions on the confirmation c may
// follow.
func confirmedBy(role Role, and ...string) string {
	return "EXISTS (SELECT 1 " + fromConfirmations("w", role) + sinceNamed + strings.Join(and, "") + ")"
}

// sinceNamed keeps the confirmations c of warning w that are about what it
// names now.
const sinceNamed = " AND c.id > w.since"

// fromConfirmations finds the confirmations c of a warning in a role.
func fromConfirmations(of string, role Role) string {
	return fmt.Sprintf(`FROM confirmations c WHERE c.batch_id = %[1]s.batch_id AND c.code = %[1]s.code
		AND c.row_no IN (0, %[1]s.row_no) AND c.role = '%[2]s'`, of, role)
}

// Confirmer is SQL for the name of who confirmed a warning, or the problem
// that it is about, in a role; NULL for nobody.
func Confirmer(of string, role Role) string { return confirmer(of, role, "") }

func confirmer(of string, role Role, and string) string {
	return "(SELECT replace(min(c.actor), 'user:', '') " + fromConfirmations(of, role) + and + ")"
}

// Warning is one warning of a batch, with what it is about.
type Warning struct {
	Code    string
	Row     int64  `db:"row_no"`
	Message string // the importer's words, "" for what the ledger found
	// What its row pays: nothing for warnings about the sheet as a whole.
	Payout  Payout `db:"-"`
	Repeats Repeated
	Maker   string // who confirmed it, "" for nobody
	Checker string
}

// Repeated is the payout that another one may pay again, or the batch where
// the sheet as a whole is like another.
type Repeated struct {
	Batch    int64  // 0: nothing is repeated
	Name     string // of the batch
	State    State  // of the payout, or of the batch
	Row      int64  `db:"row_no"` // 0, like the rest, for a batch
	Account  string
	Amount   money.Amount
	Currency money.Currency
}

// Warnings lists the first warnings of a batch, of the rarest kinds first and
// then in the sheet's order; kind "" stands for all kinds.
func (b *Book) Warnings(ctx context.Context, batch int64, kind string, limit int) ([]Warning, error) {
	var warnings []Warning
	err := b.db.Select(ctx, &warnings, `SELECT w.code, w.row_no,
		coalesce((SELECT max(p.message) FROM problems p WHERE p.batch_id = w.batch_id AND p.code = w.code AND p.row_no = w.row_no), '') AS message,
		coalesce(r.id, 0) AS "repeats.batch", coalesce(r.name, '') AS "repeats.name", coalesce(e.row_no, 0) AS "repeats.row_no",
		coalesce(CASE WHEN e.state = 'UNSENT' THEN r.state ELSE e.state END, r.state, '') AS "repeats.state",
		coalesce(e.account, '') AS "repeats.account", coalesce(e.amount, 0) AS "repeats.amount", coalesce(e.currency, '') AS "repeats.currency",
		coalesce(`+confirmer("w", Maker, sinceNamed)+`, '') AS maker,
		coalesce(`+confirmer("w", Checker, sinceNamed)+`, '') AS checker
		FROM warnings w JOIN batches b ON b.id = w.batch_id AND b.state <> 'STAGING'
		LEFT JOIN payouts e ON e.id = w.repeats AND w.repeats > 0 AND w.payout_id > 0
		LEFT JOIN batches r ON r.id = w.repeats / ? AND w.repeats > 0
		WHERE w.batch_id = ? AND (? = '' OR w.code = ?) ORDER BY count(*) OVER (PARTITION BY w.code), w.row_no, w.code, w.payout_id LIMIT ?`,
		maxOrdinal+1, batch, kind, kind, limit)
	if err != nil {
		return nil, err
	}
	return warnings, b.warnedPayouts(ctx, batch, warnings)
}

// warnedPayouts fills in what the rows of warnings pay.
func (b *Book) warnedPayouts(ctx context.Context, batch int64, warnings []Warning) error {
	if len(warnings) == 0 {
		return nil
	}
	first, last := warnings[0].Row, warnings[0].Row
	for _, w := range warnings {
		first, last = min(first, w.Row), max(last, w.Row)
	}
	var payouts []Payout
	err := b.db.Select(ctx, &payouts, `SELECT row_no, reference, channel, account, payee, amount, currency FROM payouts
		WHERE id BETWEEN ? AND ? AND row_no BETWEEN ? AND ?`, firstID(batch), lastID(batch), first, last)
	byRow := make(map[int64]Payout, len(payouts))
	for _, p := range payouts {
		byRow[p.Row] = p
	}
	for i := range warnings {
		warnings[i].Payout = byRow[warnings[i].Row]
	}
	return err
}

// ConfirmedKind is what a person just took responsibility for, of one kind and in
// one currency.
type ConfirmedKind struct {
	Code     string
	Currency money.Currency // "" for warnings about the sheet as a whole
	Warnings int64
	Amount   money.Amount // that their rows pay
}

// ConfirmWarnings records that a person takes responsibility for warnings of a batch:
// of one kind ("" for every kind), in the given rows (none, or 0, for all rows).
// While the batch is VALID that is a maker, while it is SUBMITTED a checker who
// neither made nor submitted it. What may be the same payment again is confirmed
// by its kind or by its row, never with everything else. It returns what is
// confirmed by this that was not before. If even one of the rows has nothing to
// confirm, it confirms nothing and returns ErrConflict.
func (b *Book) ConfirmWarnings(ctx context.Context, by User, batch int64, kind string, rows ...int64) ([]ConfirmedKind, error) {
	if rows = slices.Compact(slices.Sorted(slices.Values(rows))); len(rows) == 0 {
		rows = []int64{0}
	}
	var confirmed []ConfirmedKind
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		role, err := confirmingRole(ctx, tx, by, batch)
		if err != nil {
			return err
		}
		confirmed = nil
		for _, row := range rows {
			some, err := confirmOpen(ctx, tx, confirmation{BatchID: batch, Code: kind, Row: row, Role: role, Actor: by.Actor()})
			if err != nil {
				return err
			}
			confirmed = addConfirmed(confirmed, some)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("confirm warnings of batch %d: %w", batch, err)
	}
	return confirmed, nil
}

// addConfirmed adds what one row had to what the rows before it had.
func addConfirmed(all, some []ConfirmedKind) []ConfirmedKind {
	for _, k := range some {
		at := slices.IndexFunc(all, func(other ConfirmedKind) bool { return other.Code == k.Code && other.Currency == k.Currency })
		if at < 0 {
			all = append(all, k)
			continue
		}
		all[at].Warnings += k.Warnings
		all[at].Amount += k.Amount // each row is part of a batch whose sum fits
	}
	return all
}

// confirmOpen confirms what waits of a kind, or of all kinds but the repeats.
func confirmOpen(ctx context.Context, tx *database.Tx, wanted confirmation) (confirmed []ConfirmedKind, err error) {
	mine := ""
	if wanted.Role == Checker { // each checker answers for what they approve
		mine = wanted.Actor
	}
	open, err := unconfirmed(ctx, tx, wanted.BatchID, wanted.Role, mine)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, w := range open {
		if wanted.Code != "" && w.Code != wanted.Code {
			continue
		}
		if wanted.Code == "" && wanted.Row == 0 && w.Repeats() {
			left = append(left, w.Code)
			continue
		}
		c := wanted
		c.Code = w.Code
		covers, err := covered(ctx, tx, c, mine)
		if err != nil {
			return nil, err
		}
		if len(covers) == 0 { // not in that row
			continue
		}
		if err := confirm(ctx, tx, c, covers); err != nil {
			return nil, err
		}
		confirmed = append(confirmed, covers...)
	}
	switch {
	case len(confirmed) > 0:
		return confirmed, nil
	case len(left) > 0:
		return nil, fmt.Errorf("%w: %s may be the same payments again; they are confirmed by kind or row, not with everything else",
			ErrConflict, strings.Join(left, " and "))
	}
	in := ""
	if wanted.Row > 0 {
		in = fmt.Sprintf(" in row %d", wanted.Row)
	}
	return nil, fmt.Errorf("%w: batch %d has no such warning%s that waits for a %s", ErrConflict, wanted.BatchID, in, wanted.Role)
}

// covered adds up what a confirmation is about. It sorts instead of joining:
// no plan of it is quadratic.
func covered(ctx context.Context, tx *database.Tx, c confirmation, mine string) ([]ConfirmedKind, error) {
	var all []ConfirmedKind
	err := tx.Select(ctx, &all, `SELECT x.code, x.currency, count(*) AS warnings, sum(x.amount) AS amount FROM (
		SELECT r.code, max(r.currency) OVER (PARTITION BY r.row_no) AS currency, max(r.amount) OVER (PARTITION BY r.row_no) AS amount FROM (
			SELECT w.code, w.row_no, '' AS currency, 0 AS amount FROM warnings w
			WHERE w.batch_id = ? AND w.code = ? AND (? = 0 OR w.row_no = ?) AND NOT `+confirmedBy(c.Role, " AND (? = '' OR c.actor = ?)")+`
			UNION ALL SELECT '', p.row_no, p.currency, p.amount FROM payouts p WHERE p.id BETWEEN ? AND ?) r) x
		WHERE x.code <> '' GROUP BY x.code, x.currency ORDER BY x.currency`,
		c.BatchID, c.Code, c.Row, c.Row, mine, mine, firstID(c.BatchID), lastID(c.BatchID))
	return all, err
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
	err = tx.Get(ctx, &before, "SELECT count(*) FROM confirmations WHERE batch_id = ? AND role = ? AND actor = ?", batch, Maker, by.Actor())
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

// confirm stores one confirmation, of all rows or of one.
func confirm(ctx context.Context, tx *database.Tx, c confirmation, covers []ConfirmedKind) error {
	for _, part := range covers {
		c.Warnings += part.Warnings
	}
	var err error
	if c.ID, c.CreatedAt, err = stamp(ctx, tx); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO confirmations ("+confirmationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.ID, c.BatchID, c.Code, c.Row, c.Role, c.Warnings, c.Actor, c.CreatedAt, c.seal())
	if err != nil {
		return err
	}
	where := "in all rows"
	if c.Row > 0 {
		where = fmt.Sprint("in row ", c.Row)
	}
	return audit(ctx, tx, c.Actor, "batch.confirm", fmt.Sprint("batch ", c.BatchID),
		fmt.Sprintf("as %s: %d of %s, %s", c.Role, c.Warnings, c.Code, where))
}

// checkConfirmed refuses to go on while warnings want confirming.
func checkConfirmed(ctx context.Context, tx *database.Tx, batch int64, role Role, actor string) error {
	open, err := unconfirmed(ctx, tx, batch, role, actor)
	if err != nil || len(open) == 0 {
		return err
	}
	return fmt.Errorf("%w by the %s: %s", ErrUnconfirmed, role, kindsInWords(open))
}

// checkStillConfirmed refuses a batch whose maker confirmed what has ended
// since, instead of what its warnings name now.
func checkStillConfirmed(ctx context.Context, tx *database.Tx, batch int64) error {
	open, err := unconfirmed(ctx, tx, batch, Maker, "")
	if err != nil || len(open) == 0 {
		return err
	}
	return fmt.Errorf("%w: what the maker confirmed has ended since, and something else is named now: %s; %s", ErrConflict, kindsInWords(open), sendBack(batch))
}

func sendBack(batch int64) string {
	return fmt.Sprintf("send it back, so that it is looked at again: payrun batch reject %d --reason …", batch)
}

func kindsInWords(open []WarningKind) string {
	words := make([]string, len(open))
	for i, w := range open {
		words[i] = fmt.Sprintf("%d of %s", w.Warnings, w.Code)
	}
	return strings.Join(words, ", ")
}

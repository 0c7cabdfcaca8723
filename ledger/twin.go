package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"payrun/internal/database"
)

// A twin is what a warning names: the payout, or the batch, that may pay the
// same. People answer for what they were told of, so that a warning whose
// twin has ended names another one that lives, and is confirmed anew.

// family is a kind of likeness between rows.
type family struct {
	codes []string // of its warnings
	same  string   // columns of r that are equal in twins
	payee string   // SQL for a payee o that is like payout p
	since string   // column of a batch's reading: how far back payments count
	among string   // SQL for the batches b of twins of batch m
}

var families = []family{
	{[]string{PayeePaid, PayeeWaiting}, "r.account, r.channel, r.currency, r.amount", samePayee, "repeats_since", ""},
	{[]string{ReferenceUsed, ReferenceWaiting}, "r.reference", "o.reference = p.reference AND o.reference <> ''", "references_since",
		" AND b.gateway_account = m.gateway_account"},
}

const samePayee = "o.account = p.account AND o.channel = p.channel AND o.currency = p.currency AND o.amount = p.amount"

// findTwins finds, for each row of which the warnings name nothing that lives,
// the payout that waits or was approved, of the same reference if there is one.
// It sorts instead of joining, as findWaiting does, and goes to what was
// approved by the payees. All of it is one statement, so that a batch that is
// approved meanwhile is seen.
func (f family) findTwins() string {
	const row = ".id, p.row_no, p.account, p.channel, p.currency, p.amount, p.reference"
	return `WITH ended AS (SELECT w.payout_id AS id FROM warnings w JOIN payouts e ON e.id = w.repeats JOIN batches b ON b.id = e.batch_id
		WHERE w.batch_id = ? AND w.code IN ('` + strings.Join(f.codes, "', '") + `') GROUP BY w.payout_id
		HAVING max(CASE WHEN b.state <> 'CANCELLED' AND ` + mayBePaid + ` THEN 1 ELSE 0 END) = 0)
	SELECT x.id AS payout, x.row_no, x.other FROM (
		SELECT r.id, r.row_no, r.ours, coalesce(
			max(CASE WHEN r.ours = 0 THEN r.id END) OVER (PARTITION BY r.account, r.channel, r.currency, r.amount, r.reference),
			max(CASE WHEN r.ours = 0 THEN r.id END) OVER (PARTITION BY ` + f.same + `)) AS other
		FROM (SELECT 1 AS ours, p` + row + ` FROM ended d JOIN payouts p ON p.id = d.id
			UNION ALL
			SELECT 0, p` + row + ` FROM payouts p WHERE p.state = 'UNSENT' AND (SELECT count(*) FROM ended) > 0 AND p.batch_id IN (
				SELECT b.id FROM batches b JOIN batches m ON m.id = ? AND b.id <> m.id` + f.among + ` WHERE b.state IN ('VALID', 'SUBMITTED'))
			UNION ALL
			SELECT 0, e` + strings.ReplaceAll(row, "p.", "e.") + ` FROM ended d JOIN payouts p ON p.id = d.id
			JOIN payees o ON ` + f.payee + ` AND o.approved_at >= coalesce((SELECT ` + f.since + ` FROM readings WHERE batch_id = ?), 0)
			JOIN payouts e ON e.id = o.payout_id AND ` + mayBePaid + `
			WHERE (SELECT count(*) FROM batches b JOIN batches m ON m.id = ?` + f.among + ` WHERE b.id = e.batch_id) > 0) r) x
	WHERE x.ours = 1 AND x.other IS NOT NULL`
}

// twin is what a warning about a payout, or about the sheet as a whole, names
// from now on.
type twin struct {
	Payout int64
	Row    int64 `db:"row_no"`
	Other  int64
}

// renamed is what was found to live where what was named has ended.
type renamed struct {
	warnings int64   // that name something else now
	batches  []int64 // which
	held     int64   // the batch with the same rows that a repeat has to be allowed of; 0 if that is as it was
}

func (r renamed) any() bool { return r.warnings > 0 || r.held > 0 }

// String says what was found, to go on after the name of the batch.
func (r renamed) String() string {
	var words []string
	if r.held > 0 {
		words = append(words, fmt.Sprintf("it has the same rows as batch %d, while the one that was named before has ended", r.held))
	}
	if r.warnings > 0 {
		lives := fmt.Sprintf("batch %d pays", r.batches[0])
		if len(r.batches) > 1 {
			lives = fmt.Sprintf("batches %s pay", strings.Trim(strings.ReplaceAll(fmt.Sprint(r.batches), " ", ", "), "[]"))
		}
		words = append(words, fmt.Sprintf("%d of its warnings named what has ended since, while %s the same", r.warnings, lives))
	}
	return strings.Join(words, ", and ")
}

// mustLookAgain refuses a batch that was not handed in.
func mustLookAgain(batch int64, found renamed) error {
	switch {
	case found.held > 0:
		return fmt.Errorf("%w: batch %d: %s; a checker who has looked at it has to allow the repeat: payrun batch allow-repeat %d --reason …",
			ErrConflict, batch, found, batch)
	case found.any():
		return fmt.Errorf("%w: batch %d: %s; look at that, and confirm again", ErrUnconfirmed, batch, found)
	}
	return nil
}

// mustSendBack refuses one that was: its maker answers first.
func mustSendBack(batch int64, found renamed) error {
	if !found.any() {
		return nil
	}
	return fmt.Errorf("%w: batch %d: %s; %s", ErrConflict, batch, found, sendBack(batch))
}

// alike is a batch that is looked at again.
type alike struct {
	ID             int64
	State          State
	GatewayAccount string `db:"gateway_account"`
	SourceDigest   string `db:"source_digest"`
	RowsDigest     string `db:"rows_digest"`
	Accepted       int64
	Repeats        int64
	RepeatsSince   database.Instant `db:"repeats_since"`
}

// lookAgain lets the warnings of a batch that is not approved yet, and its
// repeat, name what lives where what they name has ended. What was confirmed or
// allowed of them is void then. A repeat that was handed in cannot change:
// it is returned all the same.
func lookAgain(ctx context.Context, tx *database.Tx, actor string, batch int64) (r renamed, err error) {
	var b alike // locked, so that nobody confirms meanwhile
	err = tx.Get(ctx, &b, `SELECT id, state, gateway_account, source_digest, rows_digest, accepted, repeats,
		coalesce((SELECT repeats_since FROM readings WHERE batch_id = batches.id), 0) AS repeats_since
		FROM batches WHERE id = ?`+tx.Dialect.ForUpdate, batch)
	if err != nil || b.State != Valid && b.State != Submitted {
		return r, err
	}
	number, _, err := stamp(ctx, tx)
	if err != nil {
		return r, err
	}
	for _, f := range families {
		var twins []twin
		if err := tx.Select(ctx, &twins, f.findTwins(), batch, batch, batch, batch); err != nil {
			return r, fmt.Errorf("look again for what pays the same: %w", err)
		}
		if err := r.rename(ctx, tx, batch, number, f.codes, twins); err != nil {
			return r, err
		}
	}
	if err := b.lookAtSheet(ctx, tx, &r, number); err != nil {
		return r, fmt.Errorf("look again for a batch that is alike: %w", err)
	}
	if err := b.lookAtRepeat(ctx, tx, &r); err != nil || !r.any() {
		return r, err
	}
	return r, audit(ctx, tx, actor, "batch.look-again", fmt.Sprint("batch ", batch), r.String())
}

// rename lets the warnings of some kinds name their new twins. All of their key
// is in the rows, so that every plan goes by it.
func (r *renamed) rename(ctx context.Context, tx *database.Tx, batch, number int64, codes []string, twins []twin) error {
	rows := database.NewRows(len(codes)*len(twins), "v_batch v_row v_payout v_other", "v_code")
	for _, t := range twins {
		for _, code := range codes {
			rows.AddInts(batch, t.Row, t.Payout, t.Other)
			rows.AddTexts(code)
		}
		if other := batchOf(t.Other); !slices.Contains(r.batches, other) {
			r.batches = append(r.batches, other)
		}
	}
	n, err := rows.Exec(ctx, tx, `UPDATE warnings SET repeats = v_other, since = ? FROM v
		WHERE batch_id = v_batch AND code = v_code AND row_no = v_row AND payout_id = v_payout`, number)
	r.warnings += n
	slices.Sort(r.batches)
	return err
}

// lookAtSheet does so for the warnings about the sheet as a whole.
func (b *alike) lookAtSheet(ctx context.Context, tx *database.Tx, r *renamed, number int64) error {
	var ended []string
	err := tx.Select(ctx, &ended, `SELECT w.code FROM warnings w JOIN batches b ON b.id = w.repeats / ?
		WHERE w.batch_id = ? AND w.row_no = 0 AND w.payout_id = 0 AND w.repeats > 0 AND NOT `+paysSomething, maxOrdinal+1, b.ID)
	if err != nil {
		return err
	}
	for _, code := range ended {
		like, args := sameFile, []any{b.GatewayAccount, b.RowsDigest, b.SourceDigest}
		if code == TotalsRepeated {
			like, args = sameTotals, []any{b.GatewayAccount, b.RowsDigest, b.Accepted, b.RepeatsSince, b.SourceDigest, b.ID}
		}
		var other int64
		if err := tx.Get(ctx, &other, liveBatch+like, args...); err != nil {
			return err
		}
		if other == 0 {
			continue
		}
		if err := r.rename(ctx, tx, b.ID, number, []string{code}, []twin{{Other: firstID(other)}}); err != nil {
			return err
		}
	}
	return nil
}

// lookAtRepeat does so for the batch with the same rows: leave to repeat one
// that has ended is none to repeat another.
func (b *alike) lookAtRepeat(ctx context.Context, tx *database.Tx, r *renamed) error {
	if b.Repeats == 0 {
		return nil
	}
	var pays int64
	err := tx.Get(ctx, &pays, "SELECT count(*) FROM batches b WHERE b.id = ? AND "+paysSomething, b.Repeats)
	if err != nil || pays > 0 {
		return err
	}
	if r.held, err = liveRepeated(ctx, tx, b.ID, b.RowsDigest, b.GatewayAccount); err != nil || r.held == 0 || b.State != Valid {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE batches SET repeats = ?, repeat_number = 0, order_prefix = '' WHERE id = ?", r.held, b.ID)
	return err
}

// lookAgainAbout looks again at the batches that name one that has just ended,
// so that people read at once what they are asked about.
func lookAgainAbout(ctx context.Context, tx *database.Tx, actor string, ended int64) error {
	var batches []int64
	err := tx.Select(ctx, &batches, `SELECT w.batch_id FROM warnings w WHERE w.repeats BETWEEN ? AND ? AND w.repeats > 0
		UNION SELECT b.id FROM batches b WHERE b.rows_digest = (SELECT e.rows_digest FROM batches e WHERE e.id = ?) AND b.repeats = ?
		ORDER BY 1`, firstID(ended), lastID(ended), ended, ended)
	if err != nil {
		return err
	}
	for _, batch := range batches {
		if _, err := lookAgain(ctx, tx, actor, batch); err != nil {
			return err
		}
	}
	return nil
}

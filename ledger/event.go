package ledger

import (
	"context"

	"payrun/internal/database"
)

// event is one change of state, of a payout or (payout 0) of a batch.
type event struct {
	ID         int64
	BatchID    int64 `db:"batch_id"`
	PayoutID   int64 `db:"payout_id"`
	From       State `db:"from_state"`
	To         State `db:"to_state"`
	Reason     Reason
	Note       string
	Actor      string
	AttemptID  int64 `db:"attempt_id"`
	EvidenceID int64 `db:"evidence_id"`
	Digest     string
	CreatedAt  database.Instant `db:"created_at"`
	Seal       string
}

const eventColumns = `id, batch_id, payout_id, from_state, to_state, reason, note, actor, attempt_id, evidence_id,
	digest, created_at, seal`

func (e event) seal() string {
	return digest(e.ID, e.BatchID, e.PayoutID, string(e.From), string(e.To), string(e.Reason), e.Note, e.Actor,
		e.AttemptID, e.EvidenceID, e.Digest, int64(e.CreatedAt))
}

// insertEvents numbers, dates and seals events, and stores them.
func insertEvents(ctx context.Context, tx *database.Tx, events []event) error {
	n := len(events)
	numbers, err := ids(ctx, tx, "ids", n)
	if err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	given := database.NewRows(n, "v_id v_batch v_payout v_attempt v_evidence", "v_from v_to v_reason v_note v_actor v_digest v_seal")
	for i, e := range events {
		e.ID, e.CreatedAt, e.Note = numbers[i], now, storable(e.Note)
		given.AddInts(e.ID, e.BatchID, e.PayoutID, e.AttemptID, e.EvidenceID)
		given.AddTexts(string(e.From), string(e.To), string(e.Reason), e.Note, e.Actor, e.Digest, e.seal())
	}
	_, err = given.Exec(ctx, tx, "INSERT INTO events ("+eventColumns+`)
		SELECT v_id, v_batch, v_payout, v_from, v_to, v_reason, v_note, v_actor, v_attempt, v_evidence, v_digest, ?, v_seal FROM v`, now)
	return err
}

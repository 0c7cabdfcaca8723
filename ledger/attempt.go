package ledger

import (
	"context"

	"payrun/internal/database"
)

// attempt is the intent to send a payout, committed before the socket is used.
type attempt struct {
	ID           int64
	PayoutID     int64 `db:"payout_id"`
	Number       int64
	OrderNo      string `db:"order_no"`
	ParamsDigest string `db:"params_digest"`
	LimitsSource string `db:"limits_source"`
	Worker       string
	SendBy       database.Instant `db:"send_by"`
	CreatedAt    database.Instant `db:"created_at"`
	Seal         string
}

const attemptColumns = "id, payout_id, number, order_no, params_digest, limits_source, worker, send_by, created_at, seal"

func (a attempt) seal() string {
	return digest(a.ID, a.PayoutID, a.Number, a.OrderNo, a.ParamsDigest, a.LimitsSource, a.Worker, int64(a.SendBy), int64(a.CreatedAt))
}

// insertAttempts dates and seals attempts, all by one worker, and stores them.
func insertAttempts(ctx context.Context, tx *database.Tx, attempts []attempt) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	given := database.NewRows(len(attempts), "v_id v_payout v_number v_send_by", "v_order v_params v_source v_worker v_seal")
	for _, a := range attempts {
		a.CreatedAt = now
		given.AddInts(a.ID, a.PayoutID, a.Number, int64(a.SendBy))
		given.AddTexts(a.OrderNo, a.ParamsDigest, a.LimitsSource, a.Worker, a.seal())
	}
	_, err = given.Exec(ctx, tx, "INSERT INTO attempts ("+attemptColumns+`)
		SELECT v_id, v_payout, v_number, v_order, v_params, v_source, v_worker, v_send_by, ?, v_seal FROM v`, now)
	return err
}

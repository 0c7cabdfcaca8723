package ledger

import (
	"context"
	"fmt"
	"slices"

	"payrun/internal/database"
)

// doubtPromises are those about the way out of doubt.
var doubtPromises = []promise{
	{"re-sends", "a payout left a second time only after a release, and was released only when proven absent", rows(`
		SELECT 'payout ' || t.payout_id AS row, 'attempt ' || t.number || ' was made though attempt ' || (t.number - 1) || ' may have left and nobody released it' AS wrong
		FROM attempts t JOIN attempts b ON b.payout_id = t.payout_id AND b.number = t.number - 1 WHERE t.number > 1
		AND NOT EXISTS (SELECT 1 FROM events e WHERE e.payout_id > 0 AND e.payout_id = t.payout_id AND e.attempt_id = b.id
			AND e.to_state = 'APPROVED' AND e.reason IN ('not-sent', 'released') AND e.id < t.id)
		UNION ALL
		SELECT 'payout ' || e.payout_id, 'was ' || CASE e.reason WHEN 'released' THEN 'released' ELSE 'called failed' END || ' (event ' || e.id || ') without proof that the gateway does not have it'
		FROM events e JOIN attempts a ON a.id = e.attempt_id WHERE e.payout_id > 0 AND e.reason IN ('released', 'proven-not-created')
		AND (2 > (SELECT count(DISTINCT v.created_at) FROM evidence v WHERE v.payout_id = e.payout_id AND v.attempt_id = e.attempt_id
				AND v.kind = 'lookup' AND v.outcome = 'absent' AND v.created_at > a.send_by AND v.id < e.id)
			OR EXISTS (SELECT 1 FROM evidence c WHERE c.payout_id = e.payout_id AND c.kind = 'callback' AND c.id < e.id))
		UNION ALL
		SELECT 'payout ' || e.payout_id, 'was called failed (event ' || e.id || ') though an attempt was not refused for good' FROM events e
		WHERE e.payout_id > 0 AND e.reason = 'proven-not-created' AND EXISTS (SELECT 1 FROM attempts t WHERE t.payout_id = e.payout_id AND t.id < e.id
			AND ` + mayHaveLeft + ` AND NOT EXISTS (SELECT 1 FROM evidence r WHERE r.payout_id = t.payout_id AND r.attempt_id = t.id
				AND r.kind = 'create' AND r.outcome = 'not-created'))`)},
	{"not found", "what counted as \"not found\" looks as it was learned, and a person had it learned", checkLearned},
	{"contradictions", "no payout ended otherwise than a notification said without a case about it", rows(`
		SELECT 'payout ' || p.id AS row, 'ended with status ' || p.gateway_status || ', a notification said ' || p.notified_status AS wrong FROM payouts p
		WHERE p.notified_status <> '' AND p.gateway_status <> '' AND p.notified_status <> p.gateway_status
		AND p.state IN ('SUCCEEDED', 'FAILED', 'FAILED_FEE', 'CLOSED')
		AND NOT EXISTS (SELECT 1 FROM exceptions x WHERE x.payout_id = p.id)`)},
}

// checkLearned compares the learned shapes with their seals and the audit
// trail, and the answers that count as proof with the learned shapes.
func checkLearned(ctx context.Context, tx *database.Tx) ([]found, error) {
	var learned []Learned
	if err := tx.Select(ctx, &learned, "SELECT "+learnedColumns+" FROM learned ORDER BY id"); err != nil {
		return nil, err
	}
	var all []found
	before := map[string]string{}
	for _, l := range learned {
		row := fmt.Sprintf("learned answer %d of %s", l.ID, l.GatewayAccount)
		if before[l.GatewayAccount] == "" {
			before[l.GatewayAccount] = nothingLearned
		}
		var told int64
		err := tx.Get(ctx, &told, "SELECT count(*) FROM audit WHERE action = 'gateway.learn' AND actor = ? AND subject = ? AND created_at = ? AND detail = ?",
			l.By, l.GatewayAccount, l.CreatedAt, learnDetail(before[l.GatewayAccount], l.Shape))
		if err != nil {
			return nil, err
		}
		if l.seal() != l.Seal || told == 0 {
			all = append(all, found{row, "edited or forged: the audit trail does not say that it was learned so"})
		}
		before[l.GatewayAccount] = l.Shape.String()
	}
	err := eachAbsent(ctx, tx, func(a absence) {
		if !slices.ContainsFunc(learned, a.fits) {
			all = append(all, found{fmt.Sprint("payout ", a.PayoutID), fmt.Sprintf("its evidence %d counts as \"not found\", but does not look so", a.ID)})
		}
	})
	return all, err
}

// absence is an answer that counts as proof.
type absence struct {
	ID       int64
	PayoutID int64 `db:"payout_id"`
	Shape
	Account     string `db:"gateway_account"`
	Ordinal     int64
	OrderPrefix string `db:"order_prefix"`
}

func (a absence) fits(l Learned) bool {
	e := Evidence{HTTPStatus: a.HTTPStatus, Code: a.Code, Message: a.Message}
	no := Payout{OrderPrefix: a.OrderPrefix, Ordinal: a.Ordinal}.OrderNo()
	return l.ID < a.ID && l.GatewayAccount == a.Account && l.Shape == e.Shape(no)
}

func eachAbsent(ctx context.Context, tx *database.Tx, f func(absence)) error {
	return database.Each(ctx, tx, `SELECT e.id, e.payout_id, e.http_status, e.code, e.message, p.ordinal, b.order_prefix, b.gateway_account
		FROM evidence e JOIN payouts p ON p.id = e.payout_id JOIN batches b ON b.id = p.batch_id WHERE e.outcome = 'absent' ORDER BY e.id`, nil,
		func(a *absence) error { f(*a); return nil })
}

package ledger

import (
	"context"
	"fmt"
	"strings"

	"payrun/internal/database"
)

// Shape is how a gateway says that it has no order of a number. No document
// tells, so it is learned from the answer to a number that was never used.
type Shape struct {
	HTTPStatus int64 `db:"http_status"`
	Code       string
	Message    string // without the order number
}

// Shape is the shape of an answer about an order number.
func (e Evidence) Shape(orderNo string) Shape {
	return Shape{e.HTTPStatus, storable(e.Code), strings.ReplaceAll(storable(e.Message), orderNo, "ORDER")}
}

// String writes the shape for people.
func (s Shape) String() string {
	return fmt.Sprintf("HTTP %d, code %s, %q", s.HTTPStatus, s.Code, s.Message)
}

// Learned is a shape with who learned it and when.
type Learned struct {
	ID             int64
	GatewayAccount string `db:"gateway_account"`
	Shape
	By        string           `db:"learned_by"`
	CreatedAt database.Instant `db:"created_at"`
	Seal      string
}

const learnedColumns = "id, gateway_account, http_status, code, message, learned_by, created_at, seal"

func (l Learned) seal() string {
	return digest(l.ID, l.GatewayAccount, l.HTTPStatus, l.Code, l.Message, l.By, int64(l.CreatedAt))
}

// Learned returns the newest shape of a gateway account; a zero one, with ID
// 0, while nobody has learned any.
func (b *Book) Learned(ctx context.Context, account string) (Learned, error) {
	var known []Learned
	err := b.db.Select(ctx, &known, selectLearned, account)
	return newest(known), err
}

const selectLearned = "SELECT " + learnedColumns + " FROM learned WHERE gateway_account = ? ORDER BY id DESC LIMIT 1"

func newest(known []Learned) Learned {
	if len(known) == 0 {
		return Learned{}
	}
	return known[0]
}

// Learn keeps the shape of "not found" of a gateway account, unless it is the
// one that is known already. The first one needs no one's leave (by may be the
// zero User); another one changes what counts as proof, so only a checker or
// an admin may.
func (b *Book) Learn(ctx context.Context, by User, account string, shape Shape) (Learned, error) {
	actor := "operator"
	if by.ID != 0 {
		actor = by.Actor()
	}
	var learned Learned
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := lockAudit(ctx, tx); err != nil { // one shape at a time
			return err
		}
		var known []Learned
		if err := tx.Select(ctx, &known, selectLearned, account); err != nil {
			return err
		}
		if learned = newest(known); learned.ID != 0 && learned.Shape == shape {
			return nil
		}
		before := nothingLearned
		if learned.ID != 0 {
			if err := authorize(ctx, tx, by, "accept another answer for \"not found\"", Checker, Admin); err != nil {
				return err
			}
			before = learned.Shape.String()
		}
		number, now, err := stamp(ctx, tx)
		if err != nil {
			return err
		}
		learned = Learned{ID: number, GatewayAccount: account, Shape: shape, By: actor, CreatedAt: now}
		learned.Seal = learned.seal()
		_, err = tx.Exec(ctx, "INSERT INTO learned ("+learnedColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)", learned.ID, learned.GatewayAccount,
			learned.HTTPStatus, learned.Code, learned.Message, learned.By, learned.CreatedAt, learned.Seal)
		if err != nil {
			return err
		}
		return audit(ctx, tx, actor, "gateway.learn", account, learnDetail(before, shape))
	})
	if err != nil {
		return learned, fmt.Errorf("learn how the gateway says \"not found\": %w", err)
	}
	return learned, nil
}

// nothingLearned is what came before the first shape.
const nothingLearned = "nothing"

func learnDetail(before string, shape Shape) string {
	return "before: " + before + "; now: " + shape.String()
}

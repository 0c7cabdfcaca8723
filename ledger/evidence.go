package ledger

import (
	"context"
	"strings"

	"payrun/internal/database"
)

// Evidence is what a gateway said, kept for ever.
type Evidence struct {
	Kind         string // EvidenceCreate, EvidenceLookup, EvidenceCallback, EvidenceStatement
	Heard        Heard  `db:"outcome"`
	Reason       string // why it is unknown
	HTTPStatus   int64  `db:"http_status"`
	Code         string
	Message      string
	GatewayOrder string `db:"gateway_order_no"`
	Status       string `db:"gateway_status"`
	Digest       string // SHA-256 of the raw answer
	Body         string // the raw answer
}

// Heard is what was heard from the gateway, in a word of the gateway's package
// (accepted, rejected, unknown, …) or one of those below. Evidence of what two
// people stated has their [Outcome] there.
type Heard string

// What the ledger acts on.
const (
	// HeardAbsent marks a look-up that counts for a [Proof]: the answer had
	// the learned shape of "not found", and just before and just after it the
	// gateway knew another order.
	HeardAbsent Heard = "absent"
	// HeardNotCreated marks the refusal of a create call with a code that is
	// proven to mean that no order was made.
	HeardNotCreated Heard = "not-created"
	// HeardEnded marks a notification about an end.
	HeardEnded Heard = "ended"
	// HeardUnpaid marks a look-up's answer that the order ended without the
	// payee being paid, also when the order is not as we ordered it.
	HeardUnpaid Heard = "ended-unpaid"
	// HeardClosed marks a look-up's answer that the order is closed, which
	// says nothing about the money.
	HeardClosed Heard = "ended-closed"
	// HeardRejected marks the refusal of a create call, which the brakes count.
	HeardRejected Heard = "rejected"
	// HeardNotSent marks what was not handed over, so that nothing was heard.
	HeardNotSent Heard = "not-sent"
)

// ended is the status of the end that a notification tells, "" of any other.
func (e Evidence) ended() string {
	if e.Heard != HeardEnded {
		return ""
	}
	return storable(e.Status)
}

// The kinds of evidence.
const (
	EvidenceCreate   = "create"
	EvidenceLookup   = "lookup"
	EvidenceCallback = "callback"
	// EvidenceStatement is what two people stated, with what they had in hand.
	EvidenceStatement = "statement"
)

// answer is evidence as it is stored, about one payout (0 when it concerns
// none of ours).
type answer struct {
	ID        int64
	PayoutID  int64 `db:"payout_id"`
	AttemptID int64 `db:"attempt_id"`
	Evidence
	CreatedAt database.Instant `db:"created_at"`
	Seal      string
}

const evidenceColumns = `id, payout_id, attempt_id, kind, outcome, reason, http_status, code, message,
	gateway_order_no, gateway_status, digest, body, created_at, seal`

func (a answer) seal() string {
	return digest(a.ID, a.PayoutID, a.AttemptID, a.Kind, string(a.Heard), a.Reason, a.HTTPStatus, a.Code, a.Message,
		a.GatewayOrder, a.Status, a.Digest, a.Body, int64(a.CreatedAt))
}

// texts are the fields of evidence that come from outside.
func (e *Evidence) texts() []*string {
	return []*string{&e.Kind, (*string)(&e.Heard), &e.Reason, &e.Code, &e.Message, &e.GatewayOrder, &e.Status, &e.Digest, &e.Body}
}

// insertEvidence dates and seals the evidence of findings, and stores it
// under the given numbers.
func insertEvidence(ctx context.Context, tx *database.Tx, numbers []int64, findings []Finding) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	given := database.NewRows(len(findings), "v_id v_payout v_attempt v_http",
		"v_kind v_outcome v_reason v_code v_message v_order v_status v_digest v_body v_seal")
	for i, f := range findings {
		a := answer{ID: numbers[i], PayoutID: f.PayoutID, AttemptID: f.AttemptID, Evidence: *f.Evidence, CreatedAt: now}
		for _, text := range a.texts() {
			*text = storable(*text)
		}
		given.AddInts(a.ID, a.PayoutID, a.AttemptID, a.HTTPStatus)
		given.AddTexts(a.Kind, string(a.Heard), a.Reason, a.Code, a.Message, a.GatewayOrder, a.Status, a.Digest, a.Body, a.seal())
	}
	_, err = given.Exec(ctx, tx, "INSERT INTO evidence ("+evidenceColumns+`)
		SELECT v_id, v_payout, v_attempt, v_kind, v_outcome, v_reason, v_http, v_code, v_message,
		v_order, v_status, v_digest, v_body, ?, v_seal FROM v`, now)
	return err
}

// storable makes a gateway's text fit to be stored: PostgreSQL takes neither
// NUL nor broken UTF-8. The digest is of the raw bytes and stays exact.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

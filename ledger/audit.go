package ledger

import (
	"context"
	"fmt"

	"payrun/internal/database"
)

// AuditRecord is one thing a person (or the system on its own) did.
type AuditRecord struct {
	Position  int64
	Actor     string // "user:NAME", "worker:ID", "system", or "command line" and "operator" for whoever gave no token
	Action    string // such as "batch.approved"
	Subject   string
	Detail    string
	CreatedAt database.Instant `db:"created_at"`
	Digest    string           // covers this record and the digest before it
}

func (r AuditRecord) chained(previous string) string {
	return digest(previous, r.Position, r.Actor, r.Action, r.Subject, r.Detail, int64(r.CreatedAt))
}

// audit appends to the chain. The head's row lock makes concurrent writers
// queue, so the chain never forks.
func audit(ctx context.Context, tx *database.Tx, actor, action, subject, detail string) error {
	var head struct {
		Position int64
		Digest   string
	}
	if err := tx.Get(ctx, &head, "SELECT position, digest FROM audit_head WHERE id = 1"+tx.Dialect.ForUpdate); err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	r := AuditRecord{Position: head.Position + 1, Actor: actor, Action: action, Subject: subject, Detail: detail, CreatedAt: now}
	r.Digest = r.chained(head.Digest)
	if _, err := tx.Exec(ctx, `INSERT INTO audit (position, actor, action, subject, detail, created_at, digest)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, r.Position, r.Actor, r.Action, r.Subject, r.Detail, r.CreatedAt, r.Digest); err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	if _, err := tx.Exec(ctx, "UPDATE audit_head SET position = ?, digest = ? WHERE id = 1", r.Position, r.Digest); err != nil {
		return fmt.Errorf("audit %s: %w", action, err)
	}
	return nil
}

// lockAudit makes everything that is audited wait its turn.
func lockAudit(ctx context.Context, tx *database.Tx) error {
	var position int64
	return tx.Get(ctx, &position, "SELECT position FROM audit_head WHERE id = 1"+tx.Dialect.ForUpdate)
}

// Note writes an action that changes nothing else, such as an export, into
// the audit trail.
func (b *Book) Note(ctx context.Context, actor, action, subject, detail string) error {
	return b.db.InTx(ctx, func(tx *database.Tx) error { return audit(ctx, tx, actor, action, subject, detail) })
}

// Head returns the newest link of the audit chain, to be kept outside the
// database.
func (b *Book) Head(ctx context.Context) (position int64, head string, err error) {
	var row struct {
		Position int64
		Digest   string
	}
	err = b.db.Get(ctx, &row, "SELECT position, digest FROM audit_head WHERE id = 1")
	return row.Position, row.Digest, err
}

package reports

import (
	"context"
	"errors"
	"fmt"

	"payrun/internal/database"
	"payrun/ledger"
)

// The three tables of the sheet share their columns' widths.
var (
	approvalColumns = []column{
		{"Batch", 9}, {"Name", 28}, {"State", 18}, {"Made by", 20}, {"Submitted by", 20}, {"Approved by", 20},
		{"Made (UTC)", 27}, {"Submitted (UTC)", 27}, {"Approved (UTC)", 27}, {"Rows read", 9}, {"Accepted", 9}, {"Rejected", 9},
		{"Blank", 9}, {"Repeats batch", 9}, {"Content approved (SHA-256)", 66}, {"File (SHA-256)", 66},
	}
	eventColumns = []column{
		{"Event", 0}, {"Time (UTC)", 0}, {"Batch", 0}, {"From", 0}, {"To", 0}, {"By", 0}, {"What", 0}, {"Digest seen (SHA-256)", 0}, {"Note", 0},
	}
	auditColumns = []column{
		{"Record", 0}, {"Time (UTC)", 0}, {"By", 0}, {"Action", 0}, {"Subject", 0}, {"Chain digest (SHA-256)", 0}, {"Detail", 0},
	}
)

// approvals writes who made, submitted and approved each batch and what they
// saw, what happened to the batches, and what people did in the period.
func (r *report) approvals(ctx context.Context, b *book) error {
	if err := b.addSheet("Approvals and audit"); err != nil {
		return err
	}
	l := layout{paper: a3}
	for _, c := range approvalColumns {
		l.widths = append(l.widths, c.width)
	}
	s := b.newSheet("Approvals and audit", l)
	if err := s.open(); err != nil {
		return err
	}
	err := errors.Join(
		s.line(text("Approvals and audit").as(title)),
		s.line(text("Times are UTC. Whoever made or submitted a batch cannot approve it; the digest approved is the digest submitted.").as(note)),
	)
	if err != nil {
		return err
	}
	for _, write := range []func(context.Context, *sheet) error{r.batchRows, r.eventRows, r.auditRows} {
		if err := write(ctx, s); err != nil {
			return fmt.Errorf("approvals: %w", err)
		}
	}
	return s.finish()
}

func (r *report) batchRows(ctx context.Context, s *sheet) error {
	if err := s.begin("Who made, submitted and approved", approvalColumns); err != nil {
		return err
	}
	where := r.filter.batches()
	return database.Each(ctx, r.tx, `SELECT b.id, b.name, b.state, b.source_digest, b.content_digest, b.repeats, b.rows_read,
		b.accepted, b.rejected, b.blank, m.name AS maker, b.made_at, coalesce(s.name, '') AS submitter, b.submitted_at,
		coalesce(a.name, '') AS approver, b.approved_at
		FROM batches b JOIN users m ON m.id = b.made_by LEFT JOIN users s ON s.id = b.submitted_by
		LEFT JOIN users a ON a.id = b.approved_by WHERE `+where.text+" ORDER BY b.id", where.args, func(b *ledger.Batch) error {
		return s.put([]value{count(b.ID), text(b.Name), text(string(b.State)), text(b.Maker), text(b.Submitter), text(b.Approver),
			text(iso(b.MadeAt)), text(iso(b.SubmittedAt)), text(iso(b.ApprovedAt)), count(b.RowsRead), count(b.Accepted), count(b.Rejected),
			count(b.Blank), count(b.Repeats).unlessZero(), text(b.ContentDigest), text(b.SourceDigest)})
	})
}

type batchEvent struct {
	ID      int64
	BatchID int64            `db:"batch_id"`
	From    string           `db:"from_state"`
	To      string           `db:"to_state"`
	At      database.Instant `db:"created_at"`
	Reason  string
	Note    string
	Actor   string
	Digest  string
}

func (r *report) eventRows(ctx context.Context, s *sheet) error {
	if err := s.begin("What happened to the batches", eventColumns); err != nil {
		return err
	}
	where := r.filter.batches()
	return database.Each(ctx, r.tx, `SELECT v.id, v.batch_id, v.from_state, v.to_state, v.created_at, v.reason, v.note, v.actor, v.digest
		FROM events v JOIN batches b ON b.id = v.batch_id WHERE v.payout_id = 0 AND `+where.text+" ORDER BY v.id", where.args,
		func(e *batchEvent) error {
			return s.put([]value{count(e.ID), text(iso(e.At)), count(e.BatchID), text(e.From), text(e.To), text(e.Actor),
				text(e.Reason), text(e.Digest), text(e.Note)})
		})
}

// auditRows writes what was done in the period: the whole trail, or with a
// batch what was done to it. The chain's digests let anybody find the records
// again in the ledger.
func (r *report) auditRows(ctx context.Context, s *sheet) error {
	if err := s.begin("What people and workers did", auditColumns); err != nil {
		return err
	}
	var where clause
	where.and("created_at >= ? AND created_at < ?", r.filter.From, r.filter.end())
	if r.filter.Batch != 0 {
		where.and("subject = ?", fmt.Sprint("batch ", r.filter.Batch))
	}
	return database.Each(ctx, r.tx, "SELECT position, actor, action, subject, detail, created_at, digest FROM audit WHERE "+
		where.text+" ORDER BY position", where.args, func(a *ledger.AuditRecord) error {
		return s.put([]value{count(a.Position), text(iso(a.CreatedAt)), text(a.Actor), text(a.Action), text(a.Subject),
			text(a.Digest), text(a.Detail)})
	})
}

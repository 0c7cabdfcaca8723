package reports

import (
	"context"
	"errors"
	"fmt"

	"payrun/internal/database"
	"payrun/ledger"
)

// The tables of the sheet share its columns. Digests and details stand where
// the cells to their right are empty, and run on over them.
var (
	approvalWidths  = []float64{10, 28, 16, 18, 18, 18, 20, 20, 20, 10, 15, 10, 10, 10, 10, 22}
	approvalColumns = []column{
		right("Batch", 0), left("Name", 0), left("State", 0), left("Made by", 0), left("Submitted by", 0), left("Approved by", 0),
		right("Made at", 0), right("Submitted at", 0), right("Approved at", 0), right("Rows read", 0), right("Accepted", 0),
		right("Rejected", 0), right("Blank", 0), right("Repeats batch", 0),
	}
	digestColumns = []column{
		right("Batch", 0), left("Name", 0), left("Content (SHA-256)", 0), left("", 0), left("", 0), left("", 0),
		left("File (SHA-256)", 0),
	}
	eventColumns = []column{
		right("Event", 0), left("Time (UTC)", 0), right("Batch", 0), left("From", 0), left("To", 0), left("By", 0), left("What", 0),
		left("Note", 0), left("", 0), left("Digest seen", 0),
	}
	decisionColumns = []column{
		right("Proposal", 0), left("Order number", 0), left("Decided as", 0), left("It was", 0), left("Proposed by", 0), left("Verdict", 0),
		right("Proposed at", 0), right("Decided at", 0), left("Decided by", 0), right("Fee", 0), right("Really paid", 0), left("Reason", 0),
		left("", 0), left("Evidence", 0), left("", 0), left("Evidence file (SHA-256)", 0),
	}
	auditColumns = []column{
		right("Record", 0), left("Time (UTC)", 0), left("By", 0), left("Action", 0), left("Subject", 0), left("Detail", 0), left("", 0),
		left("", 0), left("", 0), left("Chain digest", 0),
	}
)

// approvals writes who made, submitted and approved each batch and what they
// saw, what happened to the batches, what two people decided about payouts,
// and what people did in the period.
func (r *report) approvals(ctx context.Context, b *book) error {
	if err := b.addSheet("Approvals and audit"); err != nil {
		return err
	}
	s := b.newSheet("Approvals and audit", layout{widths: approvalWidths, paper: a4})
	err := errors.Join(s.open(), s.title("Approvals and audit",
		"Whoever made or submitted a batch cannot approve it. What is approved has the digest of what was submitted, row by row."))
	if err != nil {
		return err
	}
	for _, write := range []func(context.Context, *sheet) error{r.batchRows, r.digestRows, r.eventRows, r.decisionRows, r.auditRows} {
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
	return each(ctx, r.tx, `SELECT b.id, b.name, b.state, b.repeats, b.rows_read,
		b.accepted, b.rejected, b.blank, m.name AS maker, b.made_at, coalesce(s.name, '') AS submitter, b.submitted_at,
		coalesce(a.name, '') AS approver, b.approved_at
		FROM batches b JOIN users m ON m.id = b.made_by LEFT JOIN users s ON s.id = b.submitted_by
		LEFT JOIN users a ON a.id = b.approved_by WHERE `+where.text+" ORDER BY b.id", where.args, func(b *ledger.Batch) error {
		r.batches[b.ID] = b.Name
		return s.put([]value{count(b.ID), text(b.Name), text(string(b.State)), text(b.Maker), text(b.Submitter), text(b.Approver),
			instant(b.MadeAt), instant(b.SubmittedAt), instant(b.ApprovedAt), count(b.RowsRead), count(b.Accepted), count(b.Rejected),
			count(b.Blank), count(b.Repeats).unlessZero()})
	})
}

func (r *report) digestRows(ctx context.Context, s *sheet) error {
	if err := s.begin("What they saw", digestColumns); err != nil {
		return err
	}
	where := r.filter.batches()
	return each(ctx, r.tx, "SELECT b.id, b.name, b.source_digest, b.content_digest FROM batches b WHERE "+where.text+" ORDER BY b.id",
		where.args, func(b *ledger.Batch) error {
			return s.put([]value{count(b.ID), text(b.Name), text(b.ContentDigest), {}, {}, {}, text(b.SourceDigest)})
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
	return each(ctx, r.tx, `SELECT v.id, v.batch_id, v.from_state, v.to_state, v.created_at, v.reason, v.note, v.actor, v.digest
		FROM events v JOIN batches b ON b.id = v.batch_id WHERE v.payout_id = 0 AND `+where.text+" ORDER BY v.id", where.args,
		func(e *batchEvent) error {
			return s.put([]value{count(e.ID), text(iso(e.At)), count(e.BatchID), text(e.From), text(e.To), text(e.Actor),
				text(e.Reason), text(e.Note), {}, text(e.Digest)})
		})
}

// decisionRows writes what people proposed and decided about the payouts that
// are shown.
func (r *report) decisionRows(ctx context.Context, s *sheet) error {
	if err := s.begin("What two people decided about payouts", decisionColumns); err != nil {
		return err
	}
	where := r.filter.payouts()
	return each(ctx, r.tx, ledger.SelectDecisions+" WHERE "+where.text+" ORDER BY q.id", where.args,
		func(d *ledger.Decision) error {
			verdict, fee := string(d.Verdict), value{}
			if verdict == "" {
				verdict = "open"
			}
			if d.FeeNamed != 0 {
				fee = amount(d.NamedFee, d.Currency)
			}
			return s.put([]value{count(d.Proposal), text(d.OrderNo()), text(string(d.Outcome)), text(string(d.Stood)), text(d.Proposer),
				text(verdict), instant(d.ProposedAt), instant(d.DecidedAt), text(d.Decider), fee,
				amount(d.NamedMoved, d.Currency).unlessZero(), text(d.Reason), {}, text(d.Evidence), {}, text(d.FileDigest)})
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
	return each(ctx, r.tx, "SELECT position, actor, action, subject, detail, created_at, digest FROM audit WHERE "+
		where.text+" ORDER BY position", where.args, func(a *ledger.AuditRecord) error {
		return s.put([]value{count(a.Position), text(iso(a.CreatedAt)), text(a.Actor), text(a.Action), text(a.Subject),
			text(a.Detail), {}, {}, {}, text(a.Digest)})
	})
}

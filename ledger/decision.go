package ledger

import (
	"context"
	"fmt"
	"strings"

	"payrun/internal/database"
	"payrun/internal/money"
)

// Outcome is what two people decide about one payout.
type Outcome string

// The outcomes.
const (
	OutcomePaid      Outcome = "paid"       // the payee was paid
	OutcomeFailed    Outcome = "failed"     // the payee was not paid
	OutcomeSendAgain Outcome = "send-again" // the gateway never had it: send it once more, under the same number
	OutcomeUnblock   Outcome = "unblock"    // what blocked it is put right: send it after asking the gateway
	OutcomeCancel    Outcome = "cancel"     // take it back: nothing ever left
)

// Proposal is what one person proposes about one payout. It changes nothing
// until a second person confirms it.
type Proposal struct {
	Outcome    Outcome
	Reason     string
	Evidence   string       // a statement line, or the gateway's written word
	FileName   string       // of a file that proves it
	FileDigest string       // the file's SHA-256 in hex
	Fee        money.Amount // what the gateway took
	FeeKnown   bool
	Moved      money.Amount // what the payee really got, where it is not what was ordered; else 0
}

// proposal is a Proposal as it is stored: with where its payout stood.
type proposal struct {
	ID         int64
	PayoutID   int64 `db:"payout_id"`
	Outcome    Outcome
	Reason     string
	Evidence   string
	FileName   string `db:"file_name"`
	FileDigest string `db:"file_digest"`
	Fee        money.Amount
	FeeKnown   int64 `db:"fee_known"`
	State      State
	AttemptID  int64 `db:"attempt_id"`
	EventID    int64 `db:"event_id"` // the payout's newest
	Blocked    string
	ProposedBy int64            `db:"proposed_by"`
	CreatedAt  database.Instant `db:"created_at"`
	Seal       string
	Moved      money.Amount
}

const proposalColumns = `id, payout_id, outcome, reason, evidence, file_name, file_digest, fee, fee_known,
	state, attempt_id, event_id, blocked, proposed_by, created_at, seal, moved`

// seal covers what was really moved only where that is said: proposals are
// older than the question.
func (p proposal) seal() string {
	fields := []any{p.ID, p.PayoutID, string(p.Outcome), p.Reason, p.Evidence, p.FileName, p.FileDigest, int64(p.Fee), p.FeeKnown,
		string(p.State), p.AttemptID, p.EventID, p.Blocked, p.ProposedBy, int64(p.CreatedAt)}
	if p.Moved != 0 {
		fields = append(fields, int64(p.Moved))
	}
	return digest(fields...)
}

// way is how an outcome changes a state, and whether the gateway kept a fee.
// reason is "" where nothing changes but what is known: the outcome is what the
// ledger says already, or what blocked the payout is gone.
func way(outcome Outcome, from State, keptFee bool) (to State, reason Reason, ok bool) {
	switch outcome {
	case OutcomePaid:
		switch from {
		case Unknown, Review:
			return Succeeded, ByTwoPeople, true
		case Failed, FailedFee, Closed, Cancelled:
			return Succeeded, ByCorrection, true
		case Succeeded:
			return from, "", true
		}
	case OutcomeFailed:
		switch from {
		case Review:
			if keptFee {
				return FailedFee, ByTwoPeople, true
			}
			return Failed, ByTwoPeople, true
		case Unknown:
			return Failed, ByTwoPeople, true
		case Succeeded, Closed:
			return Failed, ByCorrection, true
		case Failed, FailedFee, Cancelled:
			return from, "", true
		}
	case OutcomeSendAgain:
		return Approved, ByRelease, from == Unknown
	case OutcomeUnblock:
		return Approved, "", from == Approved
	case OutcomeCancel:
		return Cancelled, ByCancellation, from == Approved
	}
	return "", "", false
}

// Propose writes down what somebody says about a payout, and where it stands
// now. One proposal about a payout is open at a time. It returns the number
// of the proposal.
func (b *Book) Propose(ctx context.Context, by User, orderNo string, p Proposal) (int64, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	found, err := b.Payout(ctx, orderNo)
	if err != nil {
		return 0, err
	}
	var number int64
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "propose a decision", Maker, Checker); err != nil {
			return err
		}
		s, err := lockStanding(ctx, tx, found.ID)
		if err != nil {
			return err
		}
		if err := p.fits(s); err != nil {
			return err
		}
		number, err = insertProposal(ctx, tx, by, s, p)
		if err != nil {
			return err
		}
		return audit(ctx, tx, by.Actor(), "decision.propose", "payout "+orderNo, fmt.Sprintf("proposal %d, %s: %s", number, p.Outcome, p.Reason))
	})
	if err != nil {
		return 0, fmt.Errorf("propose for payout %s: %w", orderNo, err)
	}
	return number, nil
}

func (p *Proposal) check() error {
	for _, text := range []*string{&p.Reason, &p.Evidence, &p.FileName, &p.FileDigest} {
		*text = strings.TrimSpace(storable(*text))
	}
	switch {
	case p.Reason == "":
		return errNoReason
	case p.Fee < 0:
		return fmt.Errorf("%w: a fee is not negative", ErrInvalid)
	case p.Moved < 0:
		return fmt.Errorf("%w: what was paid is above zero", ErrInvalid)
	case p.Moved > 0 && p.Outcome != OutcomePaid:
		return fmt.Errorf("%w: only of what was paid is there another amount", ErrInvalid)
	case p.FeeKnown && p.Outcome != OutcomePaid && p.Outcome != OutcomeFailed:
		return fmt.Errorf("%w: only what was paid or failed has a fee", ErrInvalid)
	}
	return nil
}

// fits refuses what cannot be decided about a payout that stands so.
func (p *Proposal) fits(s standing) error {
	to, reason, ok := way(p.Outcome, s.State, p.Fee > 0)
	switch {
	case !ok:
		return fmt.Errorf("%w: the payout is %s; %s cannot be decided about it", ErrConflict, s.State, p.Outcome)
	case s.Proposal != 0:
		return fmt.Errorf("%w: proposal %d about it is open; it has to be confirmed, refused or withdrawn first", ErrConflict, s.Proposal)
	case p.Outcome == OutcomeUnblock && s.Blocked == "":
		return fmt.Errorf("%w: nothing blocks the payout", ErrConflict)
	case to == s.State && p.Outcome != OutcomeUnblock && s.Cases == 0:
		return fmt.Errorf("%w: the payout is %s already, and no case about it is open", ErrConflict, s.State)
	case (to == Succeeded || to == FailedFee && reason == ByTwoPeople) && !written(p.Evidence, p.FileDigest):
		return fmt.Errorf("%w: that money has moved needs evidence: a statement line, or the gateway's written word", ErrInvalid)
	case reason == ByCorrection && !written(p.Evidence, p.FileDigest):
		return fmt.Errorf("%w: a correction needs evidence: a statement line, or the gateway's written word", ErrInvalid)
	case p.Moved > 0 && p.Moved != s.Amount && reason != ByTwoPeople:
		return fmt.Errorf("%w: the payout is %s; that another amount was paid is decided while it is in doubt or under review", ErrConflict, s.State)
	case p.FeeKnown && to == Failed && reason == ByTwoPeople:
		return fmt.Errorf("%w: what was never paid has no fee", ErrInvalid)
	}
	return nil
}

// written reports whether a proposer showed what the gateway wrote, or a line
// of its statement.
func written(evidence, fileDigest string) bool { return evidence != "" || fileDigest != "" }

func insertProposal(ctx context.Context, tx *database.Tx, by User, s standing, p Proposal) (int64, error) {
	number, now, err := stamp(ctx, tx)
	if err != nil {
		return 0, err
	}
	row := proposal{
		ID: number, PayoutID: s.ID, Outcome: p.Outcome, Reason: p.Reason, Evidence: p.Evidence, FileName: p.FileName, FileDigest: p.FileDigest,
		Fee: p.Fee, State: s.State, AttemptID: s.AttemptID, EventID: s.EventID, Blocked: s.Blocked, ProposedBy: by.ID, CreatedAt: now,
	}
	if p.FeeKnown {
		row.FeeKnown = 1
	}
	if p.Moved != s.Amount {
		row.Moved = p.Moved
	}
	row.Seal = row.seal()
	_, err = tx.Exec(ctx, "INSERT INTO proposals ("+proposalColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		row.ID, row.PayoutID, row.Outcome, row.Reason, row.Evidence, row.FileName, row.FileDigest, row.Fee, row.FeeKnown,
		row.State, row.AttemptID, row.EventID, row.Blocked, row.ProposedBy, row.CreatedAt, row.Seal, row.Moved)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "INSERT INTO open_proposals (payout_id, proposal_id) VALUES (?, ?)", row.PayoutID, row.ID)
	return number, err
}

// standing is where a payout stands, for people who decide about it.
type standing struct {
	Payout
	EventID  int64 `db:"event_id"` // its newest
	Proposal int64 // the open one, or 0
	Cases    int64 // that are open
}

// openProposal is SQL for the number of the proposal about payout p that waits,
// or 0.
const openProposal = `coalesce((SELECT max(q.id) FROM proposals q WHERE q.payout_id = p.id
	AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.proposal_id = q.id)), 0)`

// lockStanding locks a payout, so that what is read of it stays true until the
// transaction ends.
func lockStanding(ctx context.Context, tx *database.Tx, payout int64) (standing, error) {
	var s standing
	if err := tx.Get(ctx, &s.ID, "SELECT id FROM payouts WHERE id = ?"+tx.Dialect.ForUpdate, payout); err != nil {
		return s, err
	}
	err := tx.Get(ctx, &s, "SELECT "+payoutColumns+`,
		coalesce((SELECT max(e.id) FROM events e WHERE e.payout_id > 0 AND e.payout_id = p.id), 0) AS event_id,
		`+openProposal+` AS proposal,
		(SELECT count(*) FROM exceptions x WHERE x.payout_id = p.id AND x.closed_at = 0) AS cases
		FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE p.id = ?`, payout)
	return s, err
}

// Verdict is what became of a proposal.
type Verdict string

// The verdicts; "" while the proposal is open.
const (
	Confirmed Verdict = "confirmed" // a second person agreed, and it took effect
	Refused   Verdict = "refused"   // a second person did not agree
	Withdrawn Verdict = "withdrawn" // the proposer took it back
	Void      Verdict = "void"      // the payout moved on before anybody confirmed
)

// decision is what became of a proposal, as it is stored.
type decision struct {
	ProposalID int64 `db:"proposal_id"`
	ID         int64
	Verdict    Verdict
	Note       string
	EventID    int64            `db:"event_id"` // the change of state that it made, or 0
	DecidedBy  int64            `db:"decided_by"`
	CreatedAt  database.Instant `db:"created_at"`
	Seal       string
}

const decisionColumns = "proposal_id, id, verdict, note, event_id, decided_by, created_at, seal"

func (d decision) seal() string {
	return digest(d.ProposalID, d.ID, string(d.Verdict), d.Note, d.EventID, d.DecidedBy, int64(d.CreatedAt))
}

// decideAs is the command that proposes an outcome; that money has moved needs
// evidence.
func decideAs(outcome Outcome, orderNo string) string {
	if outcome == OutcomePaid {
		return decideWithEvidence(outcome, orderNo)
	}
	return fmt.Sprintf("payrun payout decide %s --as %s --reason …", orderNo, outcome)
}

// decideWithEvidence is the command that proposes a correction.
func decideWithEvidence(outcome Outcome, orderNo string) string {
	return fmt.Sprintf("payrun payout decide %s --as %s --reason … --evidence \"statement line\"", orderNo, outcome)
}

// Decision is a proposal with the payout it is about and what became of it.
type Decision struct {
	Payout
	Proposal   int64 // its number
	Outcome    Outcome
	Reason     string
	Evidence   string
	FileName   string       `db:"file_name"`
	FileDigest string       `db:"file_digest"`
	NamedFee   money.Amount `db:"named_fee"`
	FeeNamed   int64        `db:"fee_named"`   // 1: people named the fee
	NamedMoved money.Amount `db:"named_moved"` // what the payee got, where people named another amount; else 0
	Stood      State        // where the payout stood when it was proposed
	Proposer   string
	ProposedAt database.Instant `db:"proposed_at"`
	Verdict    Verdict          // "" while it is open
	Note       string           // with the verdict
	Decider    string
	DecidedAt  database.Instant `db:"decided_at"`
}

// SelectDecisions is SQL for every Decision, from proposals q about payouts p
// of batches b; conditions may follow.
const SelectDecisions = "SELECT " + payoutColumns + `, q.id AS proposal, q.outcome, q.reason, q.evidence, q.file_name, q.file_digest,
	q.fee AS named_fee, q.fee_known AS fee_named, q.moved AS named_moved, q.state AS stood, m.name AS proposer, q.created_at AS proposed_at,
	coalesce(d.verdict, '') AS verdict, coalesce(d.note, '') AS note, coalesce(c.name, '') AS decider, coalesce(d.created_at, 0) AS decided_at
	FROM proposals q JOIN payouts p ON p.id = q.payout_id JOIN batches b ON b.id = p.batch_id JOIN users m ON m.id = q.proposed_by
	LEFT JOIN decisions d ON d.proposal_id = q.id LEFT JOIN users c ON c.id = d.decided_by`

// whereOpen finds those that wait by themselves, however many were decided.
const whereOpen = " WHERE q.id IN (SELECT w.proposal_id FROM open_proposals w)"

// Proposals lists the proposals that wait for a second person, oldest first.
func (b *Book) Proposals(ctx context.Context) ([]Decision, error) {
	var open []Decision
	err := b.db.Select(ctx, &open, SelectDecisions+whereOpen+" ORDER BY q.id")
	return open, err
}

// Decisions lists all proposals and what became of them, oldest first.
func (b *Book) Decisions(ctx context.Context) ([]Decision, error) {
	var all []Decision
	err := b.db.Select(ctx, &all, SelectDecisions+" ORDER BY q.id")
	return all, err
}

// Decision finds one proposal and what became of it.
func (b *Book) Decision(ctx context.Context, proposal int64) (Decision, error) {
	var found Decision
	err := b.db.Get(ctx, &found, SelectDecisions+" WHERE q.id = ?", proposal)
	if err != nil {
		return found, fmt.Errorf("proposal %d: %w", proposal, err)
	}
	return found, nil
}

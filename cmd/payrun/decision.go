package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"payrun/internal/money"
	"payrun/jobs"
	"payrun/ledger"
)

type payoutDecideCmd struct {
	Order        string `arg:"" help:"Order number."`
	As           string `required:"" help:"paid; failed; send-again: the gateway never had it; unblock: what blocked it is put right; cancel: nothing ever left." enum:"paid,failed,send-again,unblock,cancel"`
	Evidence     string `help:"A statement line, or the gateway's written word; needed where money is said to have moved, and for a correction."`
	EvidenceFile string `help:"A file that proves it; its name and SHA-256 are kept, not the file." placeholder:"FILE"`
	Fee          string `help:"The fee that the gateway really took, such as 0.50. Without it a payout that had failed is booked as paid without a fee."`
	Amount       string `help:"What the payee really got, where that is not what was ordered, such as 9.50; with paid."`
	withReason
}

// Run proposes.
func (c *payoutDecideCmd) Run(a *app) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	p, err := a.book.Payout(a.ctx, c.Order)
	if err != nil {
		return err
	}
	proposal, err := c.proposal(p.Currency)
	if err != nil {
		return err
	}
	number, err := a.book.Propose(a.ctx, user, c.Order, proposal)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"proposal": number, "order": c.Order, "outcome": c.As, "by": user.Name}, func() {
		a.sayf("Proposal %d by %s: payout %s as %s. Nothing has changed yet.", number, user.Name, c.Order, c.As)
		a.sayf("Next, a checker other than %s: payrun decision confirm %d", user.Name, number)
	})
}

func (c *payoutDecideCmd) proposal(currency money.Currency) (p ledger.Proposal, err error) {
	p = ledger.Proposal{Outcome: ledger.Outcome(c.As), Reason: c.Reason, Evidence: c.Evidence}
	if c.Fee != "" {
		if p.Fee, err = money.Parse(c.Fee, currency); err != nil {
			return p, usagef("--fee: %w; write it as 0.50", err)
		}
		p.FeeKnown = true
	}
	if c.Amount != "" {
		if p.Moved, err = money.Parse(c.Amount, currency); err == nil && p.Moved <= 0 {
			err = errors.New("it is not above zero")
		}
		if err != nil {
			return p, usagef("--amount: %w; write it as 9.50", err)
		}
	}
	if c.EvidenceFile != "" {
		p.FileName = filepath.Base(c.EvidenceFile)
		if p.FileDigest, err = evidenceDigest(c.EvidenceFile); err != nil {
			return p, usagef("--evidence-file: %w", err)
		}
	}
	return p, nil
}

// evidenceDigest is the SHA-256 of a file that says something.
func evidenceDigest(path string) (digest string, err error) {
	size, digest, err := jobs.FileDigest(path)
	if err == nil && size == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	return digest, err
}

// decisionCmd is for the second person.
type decisionCmd struct {
	List     decisionListCmd     `cmd:"" help:"Proposals that wait for a second person; --all lists those that were decided, too."`
	Confirm  decisionConfirmCmd  `cmd:"" help:"Let a proposal take effect (checker, not its proposer)."`
	Refuse   decisionRefuseCmd   `cmd:"" help:"End a proposal without any effect (checker, not its proposer)."`
	Withdraw decisionWithdrawCmd `cmd:"" help:"Take your own proposal back."`
}

type decisionListCmd struct {
	All bool `help:"Also those that were confirmed, refused, withdrawn or void."`
}

// Run lists proposals.
func (c *decisionListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	read := a.book.Proposals
	if c.All {
		read = a.book.Decisions
	}
	list, err := read(a.ctx)
	if err != nil {
		return err
	}
	return a.show(views(list, viewDecision), func() {
		if len(list) == 0 {
			a.sayf("No proposal waits for a second person.")
		}
		for _, d := range list {
			a.printDecision(d)
		}
	})
}

func (a *app) printDecision(d ledger.Decision) {
	a.sayf("Proposal %d: payout %s as %s; it was %s, %s to %s", d.Proposal, d.OrderNo(), d.Outcome, d.Stood, amount(d.Amount, d.Currency), d.MaskedAccount())
	a.sayf("  by %s at %s: %s", d.Proposer, a.localTime(d.ProposedAt), d.Reason)
	if d.Evidence != "" {
		a.sayf("  evidence: %s", d.Evidence)
	}
	if d.FileDigest != "" {
		a.sayf("  file %s, SHA-256 %s", d.FileName, d.FileDigest)
	}
	if d.NamedMoved != 0 {
		a.sayf("  really paid: %s, %s were ordered", amount(d.NamedMoved, d.Currency), amount(d.Amount, d.Currency))
	}
	if d.FeeNamed != 0 {
		a.sayf("  fee: %s", amount(d.NamedFee, d.Currency))
	}
	switch {
	case d.Verdict == "" && d.State != d.Stood:
		a.sayf("  the payout has moved on and is %s, so nothing is left to confirm; next, %s: payrun decision withdraw %d, or a checker: payrun decision refuse %d --reason …",
			d.State, d.Proposer, d.Proposal, d.Proposal)
	case d.Verdict == "":
		a.sayf("  next, a checker other than %s: payrun decision confirm %d, or payrun decision refuse %d --reason …", d.Proposer, d.Proposal, d.Proposal)
	case d.Note == "":
		a.sayf("  %s by %s at %s", d.Verdict, d.Decider, a.localTime(d.DecidedAt))
	default:
		a.sayf("  %s by %s at %s: %s", d.Verdict, d.Decider, a.localTime(d.DecidedAt), d.Note)
	}
}

type proposalNumber struct {
	Proposal int64 `arg:"" help:"Number of the proposal."`
}

type decisionConfirmCmd struct{ proposalNumber }

// Run confirms.
func (c *decisionConfirmCmd) Run(a *app) error { return a.endProposal(c.Proposal, a.confirmProposal) }

type decisionRefuseCmd struct {
	proposalNumber
	withReason
}

// Run refuses.
func (c *decisionRefuseCmd) Run(a *app) error {
	return a.endProposal(c.Proposal, func(u ledger.User, n int64) error { return a.book.Refuse(a.ctx, u, n, c.Reason) })
}

type decisionWithdrawCmd struct{ proposalNumber }

// Run withdraws.
func (c *decisionWithdrawCmd) Run(a *app) error {
	return a.endProposal(c.Proposal, func(u ledger.User, n int64) error { return a.book.Withdraw(a.ctx, u, n) })
}

func (a *app) confirmProposal(u ledger.User, n int64) error { return a.book.Confirm(a.ctx, u, n) }

// endProposal gives a verdict as the person whose token was given, and says
// where the payout stands now.
func (a *app) endProposal(number int64, verdict func(ledger.User, int64) error) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := verdict(user, number); err != nil {
		return err
	}
	d, err := a.book.Decision(a.ctx, number)
	if err != nil {
		return err
	}
	return a.show(viewDecision(d), func() {
		a.sayf("Proposal %d by %s is %s by %s. Payout %s is %s.", d.Proposal, d.Proposer, d.Verdict, d.Decider, d.OrderNo(), d.State)
		if d.Verdict == ledger.Confirmed && d.State == ledger.Approved {
			a.sayf("payrun serve sends it, after asking the gateway about it.")
		}
	})
}

type decisionView struct {
	Proposal   int64          `json:"proposal"`
	Order      string         `json:"order"`
	Outcome    ledger.Outcome `json:"outcome"`
	Reason     string         `json:"reason"`
	Evidence   string         `json:"evidence,omitempty"`
	FileName   string         `json:"evidence_file,omitempty"`
	FileDigest string         `json:"evidence_sha256,omitempty"`
	Fee        string         `json:"fee,omitempty"`
	Paid       string         `json:"really_paid,omitempty"` // where it is not what was ordered
	Stood      ledger.State   `json:"state_when_proposed"`
	State      ledger.State   `json:"state"`
	Proposer   string         `json:"proposed_by"`
	ProposedAt string         `json:"proposed_at"`
	Verdict    ledger.Verdict `json:"verdict,omitempty"` // none: it waits
	Note       string         `json:"note,omitempty"`
	Decider    string         `json:"decided_by,omitempty"`
	DecidedAt  string         `json:"decided_at,omitempty"`
}

func viewDecision(d ledger.Decision) decisionView {
	v := decisionView{
		Proposal: d.Proposal, Order: d.OrderNo(), Outcome: d.Outcome, Reason: d.Reason, Evidence: d.Evidence, FileName: d.FileName,
		FileDigest: d.FileDigest, Stood: d.Stood, State: d.State, Proposer: d.Proposer, ProposedAt: instant(d.ProposedAt),
		Verdict: d.Verdict, Note: d.Note, Decider: d.Decider, DecidedAt: instant(d.DecidedAt),
	}
	if d.FeeNamed != 0 {
		v.Fee = decimal(d.NamedFee, d.Currency)
	}
	if d.NamedMoved != 0 {
		v.Paid = decimal(d.NamedMoved, d.Currency)
	}
	return v
}

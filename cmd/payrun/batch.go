package main

import (
	"fmt"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
	"payrun/ledger"
)

// batchCmd groups what people decide about batches.
type batchCmd struct {
	List        batchListCmd        `cmd:"" help:"List batches, newest first."`
	Show        batchShowCmd        `cmd:"" help:"Show a batch: totals, progress, problems, what it waits for."`
	Submit      batchSubmitCmd      `cmd:"" help:"Hand a batch in (maker)."`
	Recall      batchRecallCmd      `cmd:"" help:"Take a submitted batch back (maker)."`
	Discard     batchDiscardCmd     `cmd:"" help:"Drop a batch nobody approved (maker)."`
	Approve     batchApproveCmd     `cmd:"" help:"Release a batch for sending (checker, not its maker)."`
	Reject      batchRejectCmd      `cmd:"" help:"Send a batch back to its maker (checker)."`
	AllowRepeat batchAllowRepeatCmd `cmd:"" help:"Let the same rows be paid again (checker, not its maker)."`
	Pause       batchPauseCmd       `cmd:"" help:"Send no more of a batch for now."`
	Resume      batchResumeCmd      `cmd:"" help:"Go on sending a paused batch (checker)."`
	Cancel      batchCancelCmd      `cmd:"" help:"Take back what was not sent yet (checker)."`
}

type batchID struct {
	ID int64 `arg:"" help:"Number of the batch."`
}

type withReason struct {
	Reason string `required:"" help:"Why; kept in the audit trail."`
}

type batchListCmd struct{}

// Run lists batches.
func (c *batchListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	batches, err := a.book.Batches(a.ctx)
	if err != nil {
		return err
	}
	return a.show(batches, func() {
		if len(batches) == 0 {
			a.sayf("No batches yet: payrun import FILE makes one.")
			return
		}
		t := newTable(a.out, "batch ", "state", "payouts ", "rejected ", "made by", "made at", "name")
		for _, b := range batches {
			t.row(b.ID, batchState(b), b.Accepted, b.Rejected, b.Maker, a.localTime(b.MadeAt), b.Name)
		}
		t.flush()
	})
}

func batchState(b ledger.Batch) string {
	if b.StopReason != "" {
		return string(b.State) + ", paused"
	}
	return string(b.State)
}

// localTime shows an instant in the business zone.
func (a *app) localTime(at database.Instant) string {
	if at == 0 {
		return "-"
	}
	return at.Time().In(a.config.Zone).Format("2006-01-02 15:04:05")
}

type batchShowCmd struct{ batchID }

// Run shows one batch.
func (c *batchShowCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	b, err := a.book.Batch(a.ctx, c.ID)
	if err != nil {
		return err
	}
	totals, err := a.book.Totals(a.ctx, c.ID)
	if err != nil {
		return err
	}
	progress, err := a.book.Progress(a.ctx, c.ID)
	if err != nil {
		return err
	}
	problems, err := a.book.Problems(a.ctx, c.ID)
	if err != nil {
		return err
	}
	open, err := a.batchExceptions(c.ID)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"batch": b, "totals": totals, "progress": progress, "problems": problems, "exceptions": open}, func() {
		a.printBatch(b, totals, progress, problems)
		for _, e := range open {
			a.sayf("  open: %s, %s: %s. Next: %s.", e.Kind, time.Since(e.OpenedAt.Time()).Round(time.Second), e.Detail, e.NextStep)
		}
	})
}

func (a *app) batchExceptions(batch int64) ([]ledger.Exception, error) {
	all, err := a.book.Exceptions(a.ctx)
	var mine []ledger.Exception
	for _, e := range all {
		if e.BatchID == batch {
			mine = append(mine, e)
		}
	}
	return mine, err
}

func (a *app) printBatch(b ledger.Batch, totals []ledger.Total, progress []ledger.Progress, problems []ledger.Problem) {
	a.sayf("Batch %d: %s, %s", b.ID, b.Name, batchState(b))
	a.sayf("  made by %s at %s; rows read %d: %d accepted, %d rejected, %d blank", b.Maker, a.localTime(b.MadeAt), b.RowsRead, b.Accepted, b.Rejected, b.Blank)
	if b.SubmittedAt > 0 {
		a.sayf("  submitted by %s at %s", b.Submitter, a.localTime(b.SubmittedAt))
	}
	if b.ApprovedAt > 0 {
		a.sayf("  approved by %s at %s", b.Approver, a.localTime(b.ApprovedAt))
	}
	if b.StopReason != "" {
		a.sayf("  paused: %s", b.StopReason)
	}
	if b.Repeats > 0 {
		a.sayf("  same rows as batch %d, repeat number %d", b.Repeats, b.RepeatNumber)
	}
	a.sayf("")
	t := newTable(a.out, "channel", "payouts ", "amount ", "est. fees ", "currency")
	for _, total := range totals {
		t.row(a.channelName(total.Channel), total.Payouts, money.Format(total.Amount, total.Currency), money.Format(total.Fees, total.Currency), total.Currency)
	}
	t.flush()
	a.sayf("")
	t = newTable(a.out, "state", "payouts ", "amount ", "fees ", "currency")
	for _, p := range progress {
		t.row(p.State, p.Payouts, money.Format(p.Amount, p.Currency), money.Format(p.Fees, p.Currency), p.Currency)
	}
	t.flush()
	if len(problems) > 0 {
		a.sayf("\n%d problems of the sheet:", len(problems))
		for _, p := range problems {
			a.sayf("  row %d, column %s: %s", p.Row, p.Column, p.Message)
		}
	}
}

type batchSubmitCmd struct{ batchID }

// Run submits.
func (c *batchSubmitCmd) Run(a *app) error {
	return a.decide("submitted", c.ID, func(u ledger.User) error { return a.book.Submit(a.ctx, u, c.ID) })
}

type batchRecallCmd struct {
	batchID
	withReason
}

// Run recalls.
func (c *batchRecallCmd) Run(a *app) error {
	return a.decide("recalled", c.ID, func(u ledger.User) error { return a.book.Recall(a.ctx, u, c.ID, c.Reason) })
}

type batchDiscardCmd struct {
	batchID
	withReason
}

// Run discards.
func (c *batchDiscardCmd) Run(a *app) error {
	return a.decide("discarded", c.ID, func(u ledger.User) error { return a.book.Discard(a.ctx, u, c.ID, c.Reason) })
}

type batchApproveCmd struct{ batchID }

// Run approves.
func (c *batchApproveCmd) Run(a *app) error {
	return a.decide("approved", c.ID, func(u ledger.User) error { return a.book.Approve(a.ctx, u, c.ID) })
}

type batchRejectCmd struct {
	batchID
	withReason
}

// Run rejects.
func (c *batchRejectCmd) Run(a *app) error {
	return a.decide("rejected", c.ID, func(u ledger.User) error { return a.book.Reject(a.ctx, u, c.ID, c.Reason) })
}

type batchAllowRepeatCmd struct {
	batchID
	withReason
}

// Run allows a repeat.
func (c *batchAllowRepeatCmd) Run(a *app) error {
	return a.decide("allowed to repeat", c.ID, func(u ledger.User) error { return a.book.AllowRepeat(a.ctx, u, c.ID, c.Reason) })
}

type batchPauseCmd struct {
	batchID
	withReason
}

// Run pauses.
func (c *batchPauseCmd) Run(a *app) error {
	return a.decide("paused", c.ID, func(u ledger.User) error {
		return a.book.PlaceStop(a.ctx, u, ledger.OneBatch, fmt.Sprint(c.ID), c.Reason)
	})
}

type batchResumeCmd struct{ batchID }

// Run resumes.
func (c *batchResumeCmd) Run(a *app) error {
	return a.decide("resumed", c.ID, func(u ledger.User) error { return a.book.LiftStop(a.ctx, u, ledger.OneBatch, fmt.Sprint(c.ID)) })
}

type batchCancelCmd struct {
	batchID
	withReason
}

// Run cancels what was not sent.
func (c *batchCancelCmd) Run(a *app) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	n, err := a.book.Cancel(a.ctx, user, c.ID, c.Reason)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"batch": c.ID, "cancelled": n}, func() {
		a.sayf("Batch %d: %d payouts cancelled, their money is available again.", c.ID, n)
	})
}

// decide runs one decision as the person whose token was given.
func (a *app) decide(what string, batch int64, decision func(ledger.User) error) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := decision(user); err != nil {
		return err
	}
	return a.show(map[string]any{"batch": batch, "decision": what, "by": user.Name}, func() {
		a.sayf("Batch %d is %s by %s.", batch, what, user.Name)
	})
}

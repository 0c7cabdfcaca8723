package main

import (
	"context"
	"fmt"
	"strings"

	"payrun/importers"
	"payrun/jobs"
	"payrun/ledger"
)

// batchCmd groups what people see and decide about batches.
type batchCmd struct {
	List        batchListCmd        `cmd:"" help:"List batches, newest first."`
	Show        batchShowCmd        `cmd:"" help:"Show a batch: totals, progress, problems, what it waits for."`
	Warnings    batchWarningsCmd    `cmd:"" help:"List what people have to confirm about a batch."`
	Confirm     batchConfirmCmd     `cmd:"" help:"Confirm warnings of a batch (maker; later checker, not its maker)."`
	Submit      batchSubmitCmd      `cmd:"" help:"Submit a batch (maker)."`
	Recall      batchRecallCmd      `cmd:"" help:"Take a submitted batch back (maker)."`
	Discard     batchDiscardCmd     `cmd:"" help:"Drop a batch nobody approved (maker)."`
	Approve     batchApproveCmd     `cmd:"" help:"Release a batch for sending (checker, not its maker)."`
	Reject      batchRejectCmd      `cmd:"" help:"Send a batch back to its maker (checker)."`
	AllowRepeat batchAllowRepeatCmd `cmd:"" help:"Let the same rows be paid again (checker, not its maker)."`
	Pause       batchPauseCmd       `cmd:"" help:"Send no more of a batch for now (maker or checker)."`
	Resume      batchResumeCmd      `cmd:"" help:"Go on sending a paused batch (checker)."`
	Cancel      batchCancelCmd      `cmd:"" help:"Take back what was not sent yet (checker)."`
}

type batchID struct {
	ID int64 `arg:"" name:"batch" help:"Number of the batch."`
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
	ended, err := a.book.Ended(a.ctx)
	if err != nil {
		return err
	}
	view := func(b ledger.Batch) batchView { return viewBatch(b, ended[b.ID]) }
	return a.show(views(batches, view), func() {
		if len(batches) == 0 {
			a.sayf("No batches yet: payrun import FILE makes one.")
			return
		}
		t := newTable(a.out, "batch ", "state", "payouts ", "rejected ", "made by", "made at", "name")
		for _, b := range batches {
			t.row(b.ID, batchState(b, ended[b.ID]), count(b.Accepted), count(b.Rejected), b.Maker, a.localTime(b.MadeAt), b.Name)
		}
		t.flush()
	})
}

// batchState says how far a batch is.
func batchState(b ledger.Batch, ended ledger.Ended) string {
	if outcome := batchOutcome(b, ended); outcome != "" {
		return strings.ToUpper(outcome)
	}
	words := string(b.State)
	if ended.Payouts > 0 {
		words += fmt.Sprintf(", %s of %s done", count(ended.Payouts), count(b.Accepted))
	}
	if b.StopReason != "" {
		words += ", paused"
	}
	return words
}

// batchOutcome is how an approved batch ended, "" while some of its payouts
// have not.
func batchOutcome(b ledger.Batch, ended ledger.Ended) string {
	switch {
	case b.State != ledger.Approved || ended.Payouts < b.Accepted:
		return ""
	case ended.Cancelled == 1:
		return "cancelled"
	}
	return "finished"
}

// endedOf is how far a batch is, by its progress.
func endedOf(progress []ledger.Progress) (ended ledger.Ended) {
	ended.Cancelled = 1
	for _, p := range progress {
		if p.State.Final() {
			ended.Payouts += p.Payouts
		}
		if p.State != ledger.Cancelled {
			ended.Cancelled = 0
		}
	}
	return ended
}

type batchShowCmd struct{ batchID }

// batchStory is all that batch show tells.
type batchStory struct {
	batch      ledger.Batch
	totals     []ledger.Total
	dates      ledger.PayDates
	progress   []ledger.Progress
	problems   []ledger.Problem
	exceptions []ledger.Exception
	warnings   []ledger.WarningKind
	overlaps   []ledger.Overlap
	reading    ledger.Reading
	back       ledger.SentBack
	waits      []string
	next       string
}

// Run shows one batch.
func (c *batchShowCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	s, err := a.batchStory(c.ID)
	if err != nil {
		return err
	}
	document := map[string]any{
		"batch": viewBatch(s.batch, endedOf(s.progress)), "totals": views(s.totals, viewTotal),
		"pay_dates": payDatesView(s.dates), "progress": views(s.progress, viewProgress),
		"problems": views(s.problems, viewProblem), "exceptions": views(s.exceptions, viewException),
		"warnings": views(s.warnings, viewWarningKind), "reading": viewReading(s.reading),
		"overlaps": views(s.overlaps, viewOverlap), "waits": append([]string{}, s.waits...), "next_step": s.next,
	}
	if s.back.By != "" {
		document["sent_back"] = sentBackView{s.back.By, string(s.back.Reason), s.back.Note, instant(s.back.At)}
	}
	return a.show(document, func() { a.printBatch(s) })
}

func (a *app) batchStory(id int64) (s batchStory, err error) {
	if s.batch, err = a.book.Batch(a.ctx, id); err != nil {
		return s, err
	}
	if s.totals, err = a.book.Totals(a.ctx, id); err != nil {
		return s, err
	}
	if s.dates, err = a.book.PayDates(a.ctx, id); err != nil {
		return s, err
	}
	if s.progress, err = a.book.Progress(a.ctx, id); err != nil {
		return s, err
	}
	if s.problems, err = a.book.Problems(a.ctx, id); err != nil {
		return s, err
	}
	if s.warnings, err = a.book.WarningKinds(a.ctx, id); err != nil {
		return s, err
	}
	if s.overlaps, err = a.book.Overlaps(a.ctx, id); err != nil {
		return s, err
	}
	if s.reading, err = a.book.Reading(a.ctx, id); err != nil {
		return s, err
	}
	all, err := a.book.Exceptions(a.ctx)
	if err != nil {
		return s, err
	}
	for _, e := range all {
		if e.BatchID == id {
			s.exceptions = append(s.exceptions, e)
		}
	}
	return s, a.whatComes(&s)
}

// whatComes adds what the batch waits for, and who has to do what.
func (a *app) whatComes(s *batchStory) (err error) {
	s.next = nextOf(s.batch, s.warnings)
	if s.back, err = a.book.SentBack(a.ctx, s.batch.ID); err != nil || s.batch.State != ledger.Approved {
		return err
	}
	if s.waits, err = a.whatHolds(s.batch.ID); err != nil {
		return err
	}
	s.next, err = a.nextOfFailed(s.batch.ID)
	return err
}

type sentBackView struct {
	By     string `json:"by"`
	How    string `json:"how"` // rejected or recalled
	Reason string `json:"reason"`
	At     string `json:"at"`
}

func (a *app) printBatch(s batchStory) {
	a.printHistory(s.batch, s.back, endedOf(s.progress))
	a.printReading(s.reading)
	for _, sentence := range s.waits {
		a.sayf("  Waits: %s", sentence)
	}
	if s.next != "" {
		a.sayf("  %s", s.next)
	}
	a.sayf("")
	a.printProgress(s.progress)
	a.sayf("")
	t := newTable(a.out, "channel", "payouts ", "amount ", "est. fees ", "currency")
	for _, total := range s.totals {
		t.row(a.channelName(total.Channel), count(total.Payouts), grouped(total.Amount, total.Currency), grouped(total.Fees, total.Currency), total.Currency)
	}
	t.flush()
	a.printDates(s.dates)
	a.printToConfirm(s.batch, s.warnings)
	a.printOverlaps(s.batch, s.overlaps)
	if len(s.exceptions) > 0 {
		a.sayf("\n%s for a person:", counted(len(s.exceptions), "open case", "open cases"))
	}
	for _, e := range s.exceptions {
		a.sayf("  %s since %s: %s. Next: %s.", e.Kind, a.localTime(e.OpenedAt), e.Detail, e.NextStep)
	}
	if len(s.problems) > 0 {
		first := ""
		if len(s.problems) == jobs.MostProblems {
			first = "The first " // more are not kept
		}
		a.sayf("\n%s%s of the sheet:", first, counted(len(s.problems), "problem", "problems"))
	}
	for _, p := range s.problems {
		label := "rejected"
		if p.Severity == string(importers.Warning) {
			label = "warning "
		}
		a.sayf("  %s  row %d, column %s\n%s", label, p.Row, orNone(p.Column), wrapped(p.Message, "    "))
	}
}

func (a *app) printHistory(b ledger.Batch, back ledger.SentBack, ended ledger.Ended) {
	a.sayf("Batch %d: %s, %s", b.ID, b.Name, batchState(b, ended))
	a.sayf("  made by %s at %s; rows: %s accepted, %s rejected, %s blank", b.Maker, a.localTime(b.MadeAt), count(b.Accepted), count(b.Rejected), count(b.Blank))
	switch {
	case back.Reason == ledger.ByRecall:
		a.sayf("  taken back by %s at %s: %q", back.By, a.localTime(back.At), back.Note)
	case back.By != "":
		a.sayf("  sent back by %s at %s: %q", back.By, a.localTime(back.At), back.Note)
	case b.SubmittedAt > 0 && b.State != ledger.Valid:
		a.sayf("  submitted by %s at %s", b.Submitter, a.localTime(b.SubmittedAt))
	}
	if b.ApprovedAt > 0 {
		a.sayf("  approved by %s at %s", b.Approver, a.localTime(b.ApprovedAt))
	}
	if b.StopReason != "" {
		a.sayf("  paused: %s", b.StopReason)
	}
	switch {
	case b.Repeats > 0 && b.RepeatNumber > 0:
		a.sayf("  same rows as batch %d; a checker allowed the repeat", b.Repeats)
	case b.Repeats > 0:
		a.sayf("  same rows as batch %d: a checker has to allow the repeat (payrun batch allow-repeat %d --reason …)", b.Repeats, b.ID)
	}
}

// printProgress shows how many payouts stand in which state.
func (a *app) printProgress(progress []ledger.Progress) {
	t := newTable(a.out, "state", "payouts ", "amount ", "fees ", "currency", "meaning")
	for _, w := range ledger.States {
		for _, p := range progress {
			if p.State == w.State {
				t.row(p.State, count(p.Payouts), grouped(p.Amount, p.Currency), grouped(p.Fees, p.Currency), p.Currency, w.Meaning)
			}
		}
	}
	t.flush()
}

type batchSubmitCmd struct {
	batchID
	ConfirmWarnings bool `help:"Confirm the warnings that wait for the maker first, all but repeats."`
}

// Run submits.
func (c *batchSubmitCmd) Run(a *app) error {
	return a.decideWarned("submitted", c.ID, c.ConfirmWarnings, (*ledger.Book).Submit)
}

// reasoned is a batch that somebody decides about for a reason.
type reasoned struct {
	batchID
	withReason
}

type batchRecallCmd struct{ reasoned }

// Run recalls.
func (c *batchRecallCmd) Run(a *app) error { return c.decide(a, "recalled", (*ledger.Book).Recall) }

type batchDiscardCmd struct{ reasoned }

// Run discards.
func (c *batchDiscardCmd) Run(a *app) error { return c.decide(a, "discarded", (*ledger.Book).Discard) }

type batchApproveCmd struct {
	batchID
	ConfirmWarnings bool `help:"Confirm the warnings that wait for the checker first, all but repeats."`
}

// Run approves.
func (c *batchApproveCmd) Run(a *app) error {
	return a.decideWarned("approved", c.ID, c.ConfirmWarnings, (*ledger.Book).Approve)
}

type batchRejectCmd struct{ reasoned }

// Run rejects.
func (c *batchRejectCmd) Run(a *app) error { return c.decide(a, "rejected", (*ledger.Book).Reject) }

type batchAllowRepeatCmd struct{ reasoned }

// Run allows a repeat.
func (c *batchAllowRepeatCmd) Run(a *app) error {
	return c.decide(a, "allowed to repeat", (*ledger.Book).AllowRepeat)
}

type batchPauseCmd struct{ reasoned }

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

type batchCancelCmd struct{ reasoned }

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
	return a.show(map[string]any{"batch": c.ID, "cancelled": n, "by": user.Name}, func() {
		a.sayf("Batch %d: %s cancelled, their money is available again.", c.ID, counted(n, "payout", "payouts"))
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
	next, err := a.afterDecision(what, batch)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"batch": batch, "decision": what, "by": user.Name}, func() {
		a.sayf("Batch %d is %s by %s.%s", batch, what, user.Name, next)
	})
}

// decide is a decision that takes nothing but a reason.
func (c reasoned) decide(a *app, what string, decision func(*ledger.Book, context.Context, ledger.User, int64, string) error) error {
	return a.decide(what, c.ID, func(u ledger.User) error { return decision(a.book, a.ctx, u, c.ID, c.Reason) })
}

// decideWarned is a decision before which somebody is told what may be paid
// twice, and warnings are confirmed.
func (a *app) decideWarned(what string, batch int64, confirm bool, decision func(*ledger.Book, context.Context, ledger.User, int64) error) error {
	return a.decide(what, batch, func(u ledger.User) error {
		if err := a.warnOfOverlaps(batch); err != nil {
			return err
		}
		if confirm {
			if err := a.confirmAll(u, batch, ""); err != nil {
				return err
			}
		}
		return a.hintConfirming(batch, decision(a.book, a.ctx, u, batch))
	})
}

// afterDecision says where the batch goes now, and who has to do what.
func (a *app) afterDecision(what string, batch int64) (string, error) {
	switch what {
	case "rejected", "recalled":
		b, err := a.book.Batch(a.ctx, batch)
		return fmt.Sprintf(" It goes back to %s. Next, %s: payrun batch submit %d again, or payrun batch discard %d --reason …", b.Maker, b.Maker, batch, batch), err
	case "approved", "resumed":
		stops, err := a.book.StopsOf(a.ctx, batch)
		return a.sentUnless(stops), err
	case "discarded":
		reading, err := a.book.Reading(a.ctx, batch)
		if reading.GoodRows == "" {
			return "", err
		}
		return " The annotated copy of its sheet still marks its rows as imported: clear the marks there before it is handed in again.", err
	case "paused":
		return fmt.Sprintf(" Only a checker lifts that: payrun batch resume %d", batch), nil
	}
	next, err := a.nextOfBatch(batch)
	if next != "" {
		next = " " + next
	}
	return next, err
}

// readingView is how a sheet was read, for programs.
type readingView struct {
	Source   string `json:"source,omitempty"`
	Profile  string `json:"profile,omitempty"`
	Settings string `json:"settings,omitempty"`
	Columns  string `json:"columns,omitempty"`
	GoodRows string `json:"good_rows,omitempty"`
}

func viewReading(r ledger.Reading) readingView {
	return readingView{r.Source, r.Profile, r.Settings, r.Columns, r.GoodRows}
}

// printReading says what was chosen when the sheet was imported.
func (a *app) printReading(r ledger.Reading) {
	switch {
	case r.Profile != "":
		a.sayf("  read by import profile %s", r.Profile)
	case r.Settings != "":
		a.sayf("  read with settings of its own (--json shows them)")
	}
	a.printIgnored(r)
	if r.GoodRows != "" {
		a.sayf("  imported without the bad rows; its maker confirmed: %s", r.GoodRows)
	}
}

// printIgnored names the columns that mean nothing to a payout: a heading that
// is misspelt must not go unnoticed.
func (a *app) printIgnored(r ledger.Reading) {
	var columns []string
	for line := range strings.SplitSeq(r.Columns, "\n") {
		if column, ok := strings.CutSuffix(line, ": "+importers.FieldIgnored.String()); ok {
			columns = append(columns, column)
		}
	}
	if len(columns) > 0 {
		a.sayf("%s", wrapped("kept, but not interpreted: "+strings.Join(columns, ", "), "  "))
	}
}

// payDatesView is which payouts are not sent before a day, for programs.
type payDatesView struct {
	Payouts int64  `json:"payouts"`
	First   string `json:"first,omitempty"`
	Last    string `json:"last,omitempty"`
}

func (a *app) printDates(d ledger.PayDates) {
	switch {
	case d.Payouts == 0:
	case d.First == d.Last:
		a.sayf("%s not before %s.", counted(d.Payouts, "payout is sent", "payouts are sent"), d.First)
	default:
		a.sayf("%s payouts have a pay date and are not sent before it: %s to %s.", count(d.Payouts), d.First, d.Last)
	}
}

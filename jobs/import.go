package jobs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"payrun/importers"
	"payrun/internal/money"
	"payrun/ledger"
)

// Fee is what a gateway takes for a payout, as configured: the estimate that
// is held with the amount until the real fee is known.
type Fee struct {
	Flat            money.Amount
	PartsPerMillion int64
}

// Of returns the estimate for an amount, rounded up.
func (f Fee) Of(amount money.Amount) (money.Amount, error) {
	return money.Add(f.Flat, money.Share(amount, f.PartsPerMillion))
}

// Import turns a sheet into a batch.
type Import struct {
	Book           *ledger.Book
	GatewayAccount string
	Rules          importers.Rules
	Fees           map[string]Fee // by channel
}

// ImportChoice says what to do about rows that cannot be paid.
type ImportChoice struct {
	// GoodRows imports the good rows of a sheet that has bad ones too.
	// Without it such a sheet is not imported at all.
	GoodRows bool
}

// Imported is what became of a sheet.
type Imported struct {
	Sheet    importers.Result
	Problems []importers.Problem // at most maxProblems of them
	Found    int                 // problems in all
	// Batch is the new batch; nil when nothing was imported.
	Batch *ledger.Batch
}

// maxProblems is how many problems are handed back and stored; a sheet with
// more has one mistake many times.
const maxProblems = 1000

// ErrRowsRejected: the sheet has rows that cannot be paid, and importing only
// the good ones was not chosen. Nothing was imported.
var ErrRowsRejected = errors.New("the sheet has rows that cannot be paid")

// ErrNoRows: the sheet has no row that could be paid.
var ErrNoRows = errors.New("the sheet has no good row")

// loadRows is how many rows go into the store together.
const loadRows = 5_000

// File imports one sheet for a maker. Reading and storing overlap. Whatever
// goes wrong leaves nothing behind; the problems found come back in any case.
func (im *Import) File(ctx context.Context, by ledger.User, path string, choice ImportChoice) (Imported, error) {
	rules, err := im.rules(ctx)
	if err != nil {
		return Imported{}, err
	}
	staging, err := im.Book.Stage(ctx, by, filepath.Base(path), im.GatewayAccount)
	if err != nil {
		return Imported{}, err
	}
	// Changes nothing once the batch is published.
	defer func() { _ = staging.Discard(context.WithoutCancel(ctx)) }()

	sink := newLoader(ctx, im, staging)
	result, readErr := importers.Read(ctx, path, rules, sink)
	loadErr := sink.close()
	done := Imported{Sheet: result, Problems: sink.problems, Found: sink.found}
	if err := errors.Join(readErr, loadErr); err != nil {
		return done, err
	}
	switch {
	case result.Accepted == 0:
		return done, ErrNoRows
	case result.Rejected > 0 && !choice.GoodRows:
		return done, fmt.Errorf("%w: %d of %d", ErrRowsRejected, result.Rejected, result.Accepted+result.Rejected)
	}
	batch, err := im.publish(ctx, staging, done)
	if err != nil {
		return done, err
	}
	done.Batch = &batch
	return done, nil
}

// Check judges a sheet without touching the store, and so without knowing
// the limits of the moment.
func (im *Import) Check(ctx context.Context, path string) (Imported, error) {
	var found onlyProblems
	result, err := importers.Read(ctx, path, im.Rules, &found)
	return Imported{Sheet: result, Problems: found.problems, Found: found.found}, err
}

// rules adds the limits known now, so that a row outside them is named while
// its maker still looks at the sheet. The limits count again when it is sent.
func (im *Import) rules(ctx context.Context) (importers.Rules, error) {
	limits, err := im.Book.Limits(ctx)
	if err != nil {
		return importers.Rules{}, fmt.Errorf("read limits: %w", err)
	}
	blocked, err := im.Book.BlockedAccounts(ctx)
	if err != nil {
		return importers.Rules{}, err
	}
	rules := im.Rules
	rules.BlockedAccounts = slices.Concat(rules.BlockedAccounts, blocked)
	if rules.Channels = slices.Clone(rules.Channels); rules.Channels == nil {
		rules.Channels = importers.DefaultChannels()
	}
	for i, channel := range rules.Channels {
		known := map[money.Currency]importers.Limit{}
		for _, l := range limits {
			if l.Channel == channel.Code {
				known[l.Currency] = importers.Limit{Min: l.Minimum, Max: l.Maximum}
			}
		}
		rules.Channels[i].Limits = known
	}
	return rules, nil
}

func (im *Import) publish(ctx context.Context, staging *ledger.Staging, done Imported) (ledger.Batch, error) {
	problems := make([]ledger.Problem, len(done.Problems))
	for i, p := range done.Problems {
		problems[i] = ledger.Problem{
			Code: string(p.Code), Severity: string(p.Severity), Sheet: p.Sheet, Row: int64(p.Row),
			Column: p.Column, Heading: p.Heading, Value: p.Value, Message: p.Message,
		}
	}
	if err := staging.AddProblems(ctx, problems); err != nil {
		return ledger.Batch{}, err
	}
	r := done.Sheet
	return staging.Publish(ctx, ledger.Counts{
		SourceDigest: r.Digest, Read: int64(r.Accepted + r.Rejected + r.Blank),
		Accepted: int64(r.Accepted), Rejected: int64(r.Rejected), Blank: int64(r.Blank),
	})
}

// onlyProblems is a sink that keeps the first problems.
type onlyProblems struct {
	problems []importers.Problem
	found    int
}

// Rows forgets them.
func (s *onlyProblems) Rows([]importers.Row) error { return nil }

// Problems keeps the first maxProblems.
func (s *onlyProblems) Problems(problems []importers.Problem) error {
	s.found += len(problems)
	room := max(0, maxProblems-len(s.problems))
	s.problems = append(s.problems, problems[:min(room, len(problems))]...)
	return nil
}

// loader stores rows in one goroutine while the sheet is read in another.
type loader struct {
	onlyProblems
	im    *Import
	ctx   context.Context
	chunk []ledger.NewPayout
	queue chan []ledger.NewPayout
	ended chan error
}

func newLoader(ctx context.Context, im *Import, staging *ledger.Staging) *loader {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &loader{im: im, ctx: ctx, queue: make(chan []ledger.NewPayout, 2), ended: make(chan error, 1)}
	go func() {
		var err error
		for chunk := range l.queue {
			if err == nil {
				if err = staging.Add(ctx, chunk); err != nil {
					cancel(err) // the reader has no need to go on
				}
			}
		}
		cancel(nil)
		l.ended <- err
	}()
	return l
}

// Rows takes the rows over; they are stored while the next ones are read.
func (l *loader) Rows(rows []importers.Row) error {
	for _, r := range rows {
		fee, err := l.im.Fees[r.Channel].Of(r.Amount)
		if err != nil {
			return fmt.Errorf("fee of row %d: %w", r.Number, err)
		}
		l.chunk = append(l.chunk, ledger.NewPayout{
			Sheet: r.Sheet, Row: int64(r.Number), Reference: r.Reference, Channel: r.Channel, Account: r.Account,
			Payee: r.Payee, Remark: r.Remark, PayDate: r.PayDate, Amount: r.Amount, Currency: r.Currency, FeeEstimate: fee,
		})
	}
	if len(l.chunk) < loadRows {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	if len(l.chunk) == 0 {
		return nil
	}
	select {
	case l.queue <- l.chunk:
		l.chunk = make([]ledger.NewPayout, 0, loadRows)
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// close stores the rest and waits for it.
func (l *loader) close() error {
	err := l.flush()
	close(l.queue)
	return errors.Join(err, <-l.ended)
}

package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"payrun/importers"
	"payrun/internal/money"
	"payrun/internal/sheets"
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

// Annotator writes a copy of a sheet with what was found in it.
type Annotator func(ctx context.Context, source, target string, rules importers.Rules, j sheets.Judgement) error

// Import turns a sheet into a batch.
type Import struct {
	Book           *ledger.Book
	GatewayAccount string
	Rules          importers.Rules
	Fees           map[string]Fee // by channel
	// Scrutiny says what is looked for in the store when a sheet is imported.
	Scrutiny ledger.Scrutiny
	// Read reads a sheet: [importers.Read], the default, or the Read method of
	// an [importers.Apart].
	Read func(context.Context, string, importers.Rules, importers.Sink) (importers.Result, error)
	// Annotate marks problems in a copy: [sheets.Annotate], the default, or the
	// Annotate method of a [sheets.Apart].
	Annotate Annotator
}

func (im *Import) read(ctx context.Context, path string, rules importers.Rules, sink importers.Sink) (importers.Result, error) {
	if im.Read == nil {
		return importers.Read(ctx, path, rules, sink)
	}
	return im.Read(ctx, path, rules, sink)
}

// ImportChoice says how a sheet is read and what to do about rows that cannot
// be paid. It is kept with the batch.
type ImportChoice struct {
	// GoodRows imports the good rows of a sheet that has bad ones too, if
	// Totals says the same of them as [GoodTotals] or is AnyTotals. Without it
	// such a sheet is not imported at all.
	GoodRows bool
	Totals   string
	// Profile says how the sheet is written; ProfileName and Settings are its
	// name and its text.
	Profile               importers.Profile
	ProfileName, Settings string
	// Options is how the same reading is asked for on a command line, such as
	// "--profile ru"; "" if nothing need be said.
	Options string
	// Source names the file as an inbox found it; "" when a person hands it in.
	Source string
}

// AnyTotals takes the good rows whatever they add up to: for the sandbox.
const AnyTotals = "any"

// GoodTotals says what a maker confirms who goes on without the bad rows, such
// as "118 good, 2 bad, 141282.55 USD".
func GoodTotals(sheet importers.Result) string {
	sums := map[money.Currency]money.Amount{}
	for _, t := range sheet.Totals {
		sums[t.Currency] += t.Amount // cannot overflow: the importer caps rows and digits
	}
	text := fmt.Sprintf("%d good, %d bad", sheet.Accepted, sheet.Rejected)
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		text += fmt.Sprintf(", %s %s", money.Format(sums[currency], currency), currency)
	}
	return text
}

// judge says why a sheet that was read must not be imported as chosen.
func (c ImportChoice) judge(sheet importers.Result) error {
	switch {
	case sheet.Accepted == 0:
		return ErrNoRows
	case sheet.Rejected > 0 && !c.GoodRows:
		return fmt.Errorf("%w: %d of %d", ErrRowsRejected, sheet.Rejected, sheet.Accepted+sheet.Rejected)
	case (sheet.Rejected > 0 || c.Totals != "") && c.Totals != AnyTotals && c.Totals != GoodTotals(sheet):
		return fmt.Errorf("%w: they are %q", ErrTotals, GoodTotals(sheet))
	}
	return nil
}

// Imported is what became of a sheet.
type Imported struct {
	Sheet    importers.Result
	Problems []importers.Problem // at most MostProblems of them
	Found    int                 // problems in all
	// Batch is the new batch; nil when nothing was imported.
	Batch *ledger.Batch
	// Reading is what the batch keeps of how its sheet was read.
	Reading ledger.Reading

	rules    importers.Rules // that the sheet was read with
	options  string          // of the choice
	annotate Annotator
}

// MostProblems is how many problems are handed back and stored; a sheet with
// more has one mistake many times.
const MostProblems = 1000

// ErrRowsRejected: the sheet has rows that cannot be paid, and importing only
// the good ones was not chosen. Nothing was imported.
var ErrRowsRejected = errors.New("the sheet has rows that cannot be paid")

// ErrTotals: the good rows were asked for, but not with the totals that they
// have. Nothing was imported.
var ErrTotals = errors.New("the totals of the good and the bad rows are not confirmed")

// ErrNoRows: the sheet has no row that could be paid.
var ErrNoRows = errors.New("the sheet has no good row")

// loadRows is how many rows go into the store together. Fewer cost more
// transactions; more take memory, and keep SQLite's other writers waiting. An
// importer hands rows over 512 at a time.
const loadRows = 6 * 512

// loadsAtOnce is how many such chunks are on their way into the store: while
// PostgreSQL commits one it takes the next. SQLite has them wait for each other.
const loadsAtOnce = 2

// File imports one sheet for a maker. Reading and storing overlap. Whatever
// goes wrong leaves nothing behind; the problems found come back in any case.
func (im *Import) File(ctx context.Context, by ledger.User, path string, choice ImportChoice) (Imported, error) {
	rules, err := im.rules(ctx, choice.Profile)
	if err != nil {
		return Imported{}, err
	}
	sink := newLoader(ctx, im, func(ctx context.Context) (*ledger.Staging, error) {
		return im.Book.Stage(ctx, by, filepath.Base(path), im.GatewayAccount)
	})
	result, err := im.read(ctx, path, rules, sink)
	if err == nil {
		err = choice.judge(result)
	}
	staging, loadErr := sink.close(err == nil)
	if staging != nil {
		// Changes nothing once the batch is published.
		defer func() { _ = staging.Discard(context.WithoutCancel(ctx)) }()
	}
	done := im.imported(result, sink.onlyProblems, rules)
	done.options = choice.Options
	if loadErr != nil && !errors.Is(err, loadErr) { // the reader stops with it, too
		err = errors.Join(err, loadErr)
	}
	if err != nil {
		return done, err
	}
	batch, err := im.publish(ctx, staging, done, choice)
	if err != nil {
		return done, err
	}
	done.Batch = &batch
	// It is published: a caller who gave up meanwhile must hear of it.
	done.Reading, err = im.Book.Reading(context.WithoutCancel(ctx), batch.ID)
	return done, err
}

// Check judges a sheet without touching the store, and so without knowing
// the limits of the moment, or who was paid before. Its errors are those of
// File.
func (im *Import) Check(ctx context.Context, path string, choice ImportChoice) (Imported, error) {
	var found onlyProblems
	rules := im.Rules
	rules.Profile = choice.Profile
	result, err := im.read(ctx, path, rules, &found)
	if err == nil {
		err = choice.judge(result)
	}
	done := im.imported(result, found, rules)
	done.options = choice.Options
	return done, err
}

// imported is what is known of a sheet that was read, before it is a batch.
func (im *Import) imported(sheet importers.Result, found onlyProblems, rules importers.Rules) Imported {
	return Imported{Sheet: sheet, Problems: found.problems, Found: found.found, rules: rules, annotate: im.Annotate}
}

// rules adds the limits known now, so that a row outside them is named while
// its maker still looks at the sheet. The limits count again when it is sent.
func (im *Import) rules(ctx context.Context, profile importers.Profile) (importers.Rules, error) {
	limits, err := im.Book.Limits(ctx)
	if err != nil {
		return importers.Rules{}, fmt.Errorf("read limits: %w", err)
	}
	blocked, err := im.Book.BlockedAccounts(ctx)
	if err != nil {
		return importers.Rules{}, err
	}
	rules := im.Rules
	rules.Profile = profile
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

func (im *Import) publish(ctx context.Context, staging *ledger.Staging, done Imported, choice ImportChoice) (ledger.Batch, error) {
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
		Reading: choice.reading(r), Scrutiny: im.Scrutiny,
	})
}

// reading is what is kept about how the sheet was read and what was chosen.
func (c ImportChoice) reading(sheet importers.Result) ledger.Reading {
	r := ledger.Reading{Source: c.Source, Profile: c.ProfileName, Settings: c.Settings, Columns: columns(sheet)}
	if sheet.Rejected > 0 {
		r.GoodRows = GoodTotals(sheet)
	}
	return r
}

// columns says in a line each how a sheet's columns were understood.
func columns(sheet importers.Result) string {
	lines := make([]string, len(sheet.Columns))
	for i, column := range sheet.Columns {
		lines[i] = fmt.Sprintf("%s %q: %s", column.Letter, column.Heading, column.Field)
	}
	return strings.Join(lines, "\n")
}

// onlyProblems is a sink that keeps the first problems.
type onlyProblems struct {
	problems []importers.Problem
	found    int
}

// Rows forgets them.
func (s *onlyProblems) Rows([]importers.Row) error { return nil }

// Problems keeps the first MostProblems.
func (s *onlyProblems) Problems(problems []importers.Problem) error {
	s.found += len(problems)
	room := max(0, MostProblems-len(s.problems))
	s.problems = append(s.problems, problems[:min(room, len(problems))]...)
	return nil
}

// loader stores rows while the sheet is read. It begins with the first full
// chunk, or when all is read: most sheets that are not imported leave no trace
// in the store, not even an unused number.
type loader struct {
	onlyProblems
	im       *Import
	ctx      context.Context // ends when a chunk could not be stored
	stage    func(context.Context) (*ledger.Staging, error)
	staging  *ledger.Staging
	payouts  []ledger.NewPayout // of the next chunk
	warnings []ledger.SheetWarning
	chunks   *errgroup.Group
}

func newLoader(ctx context.Context, im *Import, stage func(context.Context) (*ledger.Staging, error)) *loader {
	l := &loader{im: im, stage: stage}
	l.chunks, l.ctx = errgroup.WithContext(ctx)
	l.chunks.SetLimit(loadsAtOnce)
	return l
}

// Rows takes the rows over; they are stored while the next ones are read.
func (l *loader) Rows(rows []importers.Row) error {
	for _, r := range rows {
		fee, err := l.im.Fees[r.Channel].Of(r.Amount)
		if err != nil {
			return fmt.Errorf("fee of row %d: %w", r.Number, err)
		}
		l.payouts = append(l.payouts, ledger.NewPayout{
			Sheet: r.Sheet, Row: int64(r.Number), Reference: r.Reference, Channel: r.Channel, Account: r.Account,
			Payee: r.Payee, Remark: r.Remark, PayDate: r.PayDate, Amount: r.Amount, Currency: r.Currency, FeeEstimate: fee,
			Beside: r.Beside,
		})
	}
	if len(l.payouts) < loadRows {
		return nil
	}
	return l.flush()
}

// Problems keeps the first ones for people to read, and all warnings of rows
// that are imported for people to confirm. All problems of a row come in one
// call.
func (l *loader) Problems(problems []importers.Problem) error {
	rejected := map[int]bool{}
	for _, p := range problems {
		if p.Severity == importers.RowRejected {
			rejected[p.Row] = true
		}
	}
	for _, p := range problems {
		if p.Severity == importers.Warning && !rejected[p.Row] {
			l.warnings = append(l.warnings, ledger.SheetWarning{Code: string(p.Code), Row: int64(p.Row)})
		}
	}
	return l.onlyProblems.Problems(problems)
}

// flush has a chunk stored, when there is room for one more.
func (l *loader) flush() (err error) {
	if len(l.payouts)+len(l.warnings) == 0 {
		return nil
	}
	if l.staging == nil {
		if l.staging, err = l.stage(l.ctx); err != nil {
			return err
		}
	}
	chunk, err := l.staging.Chunk(l.payouts)
	if err != nil {
		return err
	}
	warnings := l.warnings
	l.chunks.Go(func() error {
		if err := chunk.Store(l.ctx); err != nil {
			return err
		}
		return l.staging.AddWarnings(l.ctx, warnings)
	})
	l.payouts, l.warnings = make([]ledger.NewPayout, 0, loadRows), nil
	return context.Cause(l.ctx)
}

// close waits until everything is stored, with the rest if it is wanted. What
// it returns is nil if nothing was.
func (l *loader) close(rest bool) (staging *ledger.Staging, err error) {
	if rest {
		err = l.flush()
	}
	if failed := l.chunks.Wait(); failed != nil { // perhaps before err, and its cause
		err = failed
	}
	return l.staging, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"payrun/internal/web"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/reports"
)

// flow is the whole way of one sheet on the sandbox: sheet in, workbook out.
type flow struct {
	*app
	people demoPeople
	engine *jobs.Engine
	line   *progressLine
	choice jobs.ImportChoice
	// annotates writes a bad sheet back beside itself: a sheet of the user's own.
	annotates bool
	wake      chan struct{} // a look-up is due
}

// newFlow opens store, sandbox and people, and listens for notifications.
func (a *app) newFlow(choice jobs.ImportChoice) (*flow, error) {
	f := &flow{app: a, choice: choice, line: newProgressLine(a), wake: make(chan struct{}, 1)}
	a.log = logger(a.config, f.line)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the sandbox's notifications: %w", err)
	}
	a.onClose(func() error { return ignoreClosed(listener.Close()) })
	if f.engine, err = a.openEngine(notifyAddress(listener)); err != nil {
		return nil, err
	}
	if f.people, err = a.demoPeople(); err != nil {
		return nil, err
	}
	return f, f.listen(listener)
}

// listen takes notifications in until the command ends.
func (f *flow) listen(listener net.Listener) error {
	server, err := web.New(web.Config{
		Book: f.book, Notifier: f.engine, Wake: ring(f.wake), Log: f.log, NotificationsPerSecond: f.notificationsPerSecond(),
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(f.ctx))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	f.onClose(func() error { stop(); return <-ended })
	return nil
}

func notifyAddress(l net.Listener) string { return "http://" + l.Addr().String() + "/notify/epay" }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// ring returns a function that wakes whoever waits on c, without blocking.
func ring(c chan<- struct{}) func() {
	return func() {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// run is the whole way.
func (f *flow) run(path string) error {
	if err := f.prepare(); err != nil {
		return err
	}
	batch, err := f.importSheet(path)
	if err != nil {
		return err
	}
	if err := f.approve(batch); err != nil {
		return err
	}
	started := time.Now()
	left := f.follow(batch.ID)
	if left != nil && !errors.Is(left, errRestless) {
		return left
	}
	f.sayf("Sent and followed in %s.", time.Since(started).Round(100*time.Millisecond))
	return errors.Join(left, f.finish(batch.ID))
}

// finish closes the day and writes what is to be kept of it.
func (f *flow) finish(batch int64) error {
	if _, err := f.settle(f.people.admin.Actor()); err != nil {
		return err
	}
	workbook, _, err := f.writeReport(reports.Filter{Batch: batch}, "", f.people.checker.Actor())
	if err != nil {
		return err
	}
	return f.sumUp(batch, relative(workbook))
}

// prepare asks the sandbox for limits and balances, and books what it holds
// as opening funds.
func (f *flow) prepare() error {
	if _, err := f.askGateway(f.engine.Gateway); err != nil {
		return err
	}
	theirs, err := f.book.GatewayBalances(f.ctx)
	if err != nil {
		return err
	}
	ours, err := f.book.Balances(f.ctx)
	if err != nil {
		return err
	}
	for _, b := range unbooked(theirs, ours) {
		if err := f.book.Fund(f.ctx, f.people.admin, b.Reported, b.Currency, "opening balance that the sandbox reports"); err != nil {
			return err
		}
		f.sayf("Opening funds booked: %s, as the sandbox reports.", amount(b.Reported, b.Currency))
	}
	return nil
}

// unbooked are balances in currencies our books do not know yet.
func unbooked(theirs []ledger.GatewayBalance, ours []ledger.Balances) []ledger.GatewayBalance {
	known := map[string]bool{}
	for _, b := range ours {
		known[string(b.Currency)] = true
	}
	var left []ledger.GatewayBalance
	for _, b := range theirs {
		if !known[string(b.Currency)] && b.Reported > 0 {
			left = append(left, b)
		}
	}
	return left
}

func (f *flow) importSheet(path string) (ledger.Batch, error) {
	f.sayf("\nImporting %s as %s.", relative(path), f.people.maker.Name)
	imported, err := f.importJob().File(f.ctx, f.people.maker, path, f.choice)
	var copied markedCopy
	if f.annotates {
		copied = f.annotateBeside(path, imported, err)
	}
	if err == nil {
		f.sayf("Batch %d: %s accepted, %s rejected.", imported.Batch.ID,
			counted(imported.Batch.Accepted, "payout", "payouts"), counted(imported.Batch.Rejected, "row", "rows"))
	}
	if !f.cli.JSON {
		printProblems(f.out, imported)
		f.printCopy(copied)
	}
	if err != nil {
		return ledger.Batch{}, sheetError(path, err)
	}
	b := *imported.Batch
	if b.Rejected > 0 {
		f.sayf("\nRejected rows are left out here; on your own sheets only with --good-rows.")
	}
	if b.Repeats == 0 {
		return b, nil
	}
	f.sayf("\nThese rows were imported before, as batch %d. On your own books a checker decides\n"+
		"whether that is a mistake; here %s allows the repeat, and the payouts\nget order numbers of their own.", b.Repeats, f.people.checker.Name)
	return b, f.book.AllowRepeat(f.ctx, f.people.checker, b.ID, "run again on the sandbox")
}

// approve shows the pre-flight, then submits and approves as the demo people.
func (f *flow) approve(batch ledger.Batch) error {
	p, err := f.engine.Preflight(f.ctx, batch.ID)
	if err != nil {
		return err
	}
	if !f.cli.JSON {
		f.printPreflight(p)
	}
	if err := f.confirmEverything(f.people.maker, batch.ID); err != nil {
		return err
	}
	if err := f.book.Submit(f.ctx, f.people.maker, batch.ID); err != nil {
		return err
	}
	if err := f.confirmEverything(f.people.checker, batch.ID); err != nil {
		return err
	}
	if err := f.book.Approve(f.ctx, f.people.checker, batch.ID); err != nil {
		return err
	}
	f.sayf("\nSubmitted by %s, approved by %s: two made-up people.\nOn a live gateway two real people do this; nobody approves what they made.\n", f.people.maker.Name, f.people.checker.Name)
	return nil
}

// confirmEverything confirms repeats as well, kind by kind: no money is at
// stake.
func (f *flow) confirmEverything(by ledger.User, batch int64) error {
	kinds, err := f.book.WarningKinds(f.ctx, batch)
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if err := f.confirmAll(by, batch, kind.Code); err != nil {
			return err
		}
	}
	return nil
}

var (
	// errRestless: nothing has changed for a while.
	errRestless = fmt.Errorf("%w: nothing has changed for a while", errStillOpen)
	// errInterrupted: a signal ended the run.
	errInterrupted = fmt.Errorf("%w: stopped while they were under way", errStillOpen)
)

// restless is how long a run on the sandbox waits while nothing changes.
const restless = 30 * time.Second

// follow sends and tracks, on fresh limits, until every payout of the batch has ended. When it
// returns, what was under way is recorded.
func (f *flow) follow(batch int64) error {
	ctx, stop := context.WithCancel(f.ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	broken := make(chan error, 1)
	loop := func(job string, pause time.Duration, wake <-chan struct{}, run func(context.Context) error) {
		running.Go(func() { jobs.Loop(ctx, f.log, job, pause, wake, unlessBroken(broken, run)) })
	}
	loop("disburse", 500*time.Millisecond, nil, disburse(f.engine))
	loop("limits", time.Minute, nil, f.limitsJob(f.engine.Gateway).Run)
	loop("track", 200*time.Millisecond, f.wake, track(f.engine))
	return f.watch(ctx, batch, broken)
}

// unlessBroken reports a job that fails twice in a row. A service tries on for
// ever; a person at a terminal wants to know.
func unlessBroken(broken chan<- error, run func(context.Context) error) func(context.Context) error {
	failures := 0
	return func(ctx context.Context) error {
		err := run(ctx)
		if err == nil {
			failures = 0
			return nil
		}
		if failures++; failures == 2 && ctx.Err() == nil {
			select {
			case broken <- err:
			default: // another job was first
			}
		}
		return err
	}
}

// watch shows progress until the batch has ended or nothing changes any more.
func (f *flow) watch(ctx context.Context, batch int64, broken <-chan error) error {
	defer f.line.end()
	last, changed := "", time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		progress, err := f.book.Progress(ctx, batch)
		if ctx.Err() != nil {
			return fmt.Errorf("%w; what was sent is recorded, and payrun serve goes on with batch %d", errInterrupted, batch)
		}
		if err != nil {
			return err
		}
		done, all, words := summarize(progress)
		f.line.show(done, all, words)
		if done == all {
			return nil
		}
		if words != last {
			last, changed = words, time.Now()
		}
		if time.Since(changed) > restless {
			return fmt.Errorf("%w: %s; payrun batch show %d says why, and payrun serve goes on following them", errRestless, words, batch)
		}
		select {
		case <-ctx.Done():
		case err := <-broken:
			return fmt.Errorf("%w; what was sent is recorded or in doubt, and payrun serve goes on with batch %d", err, batch)
		case <-tick.C:
		}
	}
}

func (a *app) heads() jobs.Heads { return jobs.Heads(filepath.Join(a.config.Data, "closed-days.txt")) }

func (a *app) settle(actor string) (ledger.Day, error) {
	s := jobs.Settle{Book: a.book, Heads: a.heads(), Actor: actor}
	return s.Run(a.ctx)
}

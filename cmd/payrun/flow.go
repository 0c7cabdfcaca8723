package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"payrun/importers"
	"payrun/internal/money"
	"payrun/internal/web"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/reports"
)

// demoPeople are who acts on the sandbox, where nobody else is there to.
type demoPeople struct{ admin, maker, checker ledger.User }

// errRealLedger keeps the demo away from books that people keep.
var errRealLedger = fmt.Errorf("%w: this data folder holds a ledger that people keep; run it elsewhere: set PAYRUN_DATA to another folder", errUsage)

func (a *app) demoPeople() (demoPeople, error) {
	users, err := a.book.Users(a.ctx)
	if err != nil {
		return demoPeople{}, err
	}
	known := map[string]ledger.User{}
	for _, u := range users {
		known[u.Name] = u
	}
	if _, ok := known["demo-admin"]; len(users) > 0 && !ok {
		return demoPeople{}, errRealLedger
	}
	var p demoPeople
	ensure := func(into *ledger.User, by ledger.User, name string, role ledger.Role) {
		if u, ok := known[name]; ok {
			*into = u
		} else if err == nil {
			*into, err = a.book.AddUser(a.ctx, by, name, role)
		}
	}
	ensure(&p.admin, ledger.User{}, "demo-admin", ledger.Admin)
	ensure(&p.maker, p.admin, "demo-maker", ledger.Maker)
	ensure(&p.checker, p.admin, "demo-checker", ledger.Checker)
	return p, err
}

// flow takes one sheet the whole way on the sandbox.
type flow struct {
	*app
	people demoPeople
	engine *jobs.Engine
	choice jobs.ImportChoice
	wake   chan struct{} // a look-up is due
}

func (a *app) newFlow(choice jobs.ImportChoice) (*flow, error) {
	f := &flow{app: a, choice: choice, wake: make(chan struct{}, 1)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the sandbox's notifications: %w", err)
	}
	a.onClose(func() error { return ignoreClosed(listener.Close()) })
	f.engine, err = a.openEngine("http://" + listener.Addr().String() + "/notify/epay")
	if err != nil {
		return nil, err
	}
	if f.people, err = a.demoPeople(); err != nil {
		return nil, err
	}
	server, err := web.New(web.Config{Book: a.book, Notifier: f.engine, Wake: f.wakeUp, Log: a.log, NotificationsPerSecond: 10_000})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(a.ctx)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ctx, listener) })
	a.onClose(func() error { stop(); serving.Wait(); return nil })
	return f, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (f *flow) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run is the whole way: sheet in, workbook out.
func (f *flow) run(path string) error {
	if err := f.prepare(); err != nil {
		return err
	}
	batch, err := f.importSheet(path)
	if err != nil {
		return err
	}
	if err := f.decide(batch); err != nil {
		return err
	}
	started := time.Now()
	followErr := f.follow(batch.ID)
	if followErr != nil && !errors.Is(followErr, errStillOpen) {
		return followErr
	}
	f.sayf("\nSent and followed in %s.", time.Since(started).Round(100*time.Millisecond))
	if _, err := f.settle("user:" + f.people.admin.Name); err != nil {
		return err
	}
	workbook, _, err := f.writeReport(reports.Filter{Batch: batch.ID}, "", "user:"+f.people.checker.Name)
	if err != nil {
		return err
	}
	if err := f.sumUp(batch.ID, relative(workbook)); err != nil {
		return err
	}
	return followErr
}

// prepare asks the sandbox for limits and balances, and books what it holds
// as opening funds.
func (f *flow) prepare() error {
	if err := f.limitsJob(f.engine.Gateway).Run(f.ctx); err != nil {
		return fmt.Errorf("%w: %w", errGateway, err)
	}
	theirs, err := f.book.GatewayBalances(f.ctx)
	if err != nil {
		return err
	}
	ours, err := f.book.Balances(f.ctx)
	if err != nil {
		return err
	}
	for _, b := range theirs {
		booked := false
		for _, o := range ours {
			booked = booked || o.Currency == b.Currency
		}
		if booked || b.Reported <= 0 {
			continue
		}
		if err := f.book.Fund(f.ctx, f.people.admin, b.Reported, b.Currency, "opening balance that the sandbox reports"); err != nil {
			return err
		}
		f.sayf("Booked the sandbox's balance as opening funds: %s", amount(b.Reported, b.Currency))
	}
	return nil
}

func (f *flow) importSheet(path string) (ledger.Batch, error) {
	imported, err := f.importJob().File(f.ctx, f.people.maker, path, f.choice)
	f.sayf("\nImporting %s as %s", path, f.people.maker.Name)
	if !f.cli.JSON {
		printProblems(f.out, imported)
	}
	if err != nil {
		return ledger.Batch{}, err
	}
	b := *imported.Batch
	f.sayf("Batch %d: %d payouts accepted, %d rows rejected.", b.ID, b.Accepted, b.Rejected)
	if b.Repeats > 0 {
		if err := f.book.AllowRepeat(f.ctx, f.people.checker, b.ID, "the demo is run again"); err != nil {
			return b, err
		}
		f.sayf("The same rows were imported before, as batch %d. On your own books a checker decides whether that is a mistake;\nhere %s allows the repeat, and the payouts get order numbers of their own.", b.Repeats, f.people.checker.Name)
	}
	return b, nil
}

// decide shows the pre-flight, then submits and approves as the demo people.
func (f *flow) decide(batch ledger.Batch) error {
	p, err := f.engine.Preflight(f.ctx, batch.ID)
	if err != nil {
		return err
	}
	if !f.cli.JSON {
		f.printPreflight(p)
	}
	if err := f.book.Submit(f.ctx, f.people.maker, batch.ID); err != nil {
		return err
	}
	if err := f.book.Approve(f.ctx, f.people.checker, batch.ID); err != nil {
		return err
	}
	f.sayf("\nSubmitted by %s, approved by %s: two people the sandbox makes up.\nOn a live gateway two real people do this; nobody approves what they made.\n", f.people.maker.Name, f.people.checker.Name)
	return nil
}

// restless is how long a run on the sandbox waits while nothing changes.
const restless = 30 * time.Second

// follow sends and tracks until every payout of the batch has ended.
func (f *flow) follow(batch int64) error {
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		jobs.Loop(ctx, f.log, "disburse", 500*time.Millisecond, nil, func(ctx context.Context) error {
			_, err := f.engine.Disburse(ctx)
			return err
		})
	})
	running.Go(func() {
		jobs.Loop(ctx, f.log, "track", 200*time.Millisecond, f.wake, func(ctx context.Context) error {
			_, err := f.engine.Track(ctx)
			return err
		})
	})
	return f.watch(ctx, batch)
}

// watch shows progress until the batch has ended or nothing changes any more.
func (f *flow) watch(ctx context.Context, batch int64) error {
	line := newProgressLine(f.app)
	defer line.end()
	last, changed := "", time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		progress, err := f.book.Progress(ctx, batch)
		if err != nil {
			return err
		}
		done, all, words := summarize(progress)
		line.show(done, all, words)
		if done == all {
			return nil
		}
		if words != last {
			last, changed = words, time.Now()
		}
		if time.Since(changed) > restless {
			return fmt.Errorf("%w: %s; payrun batch show %d names them, and payrun serve goes on following them", errStillOpen, words, batch)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: interrupted; what was sent is kept, start again to follow it", errStillOpen)
		case <-tick.C:
		}
	}
}

// sumUp prints the totals beside the sandbox's own book, which shares no code
// and no data with ours.
func (f *flow) sumUp(batch int64, workbook string) error {
	progress, err := f.book.Progress(f.ctx, batch)
	if err != nil {
		return err
	}
	if !f.cli.JSON {
		f.sayf("")
		t := newTable(f.out, "state", "payouts ", "amount ", "fees ", "currency")
		for _, p := range progress {
			t.row(p.State, p.Payouts, money.Format(p.Amount, p.Currency), money.Format(p.Fees, p.Currency), p.Currency)
		}
		t.flush()
	}
	theirs, err := f.askSandbox(batch)
	if err != nil {
		return err
	}
	if f.cli.JSON {
		printJSON(f.out, map[string]any{"batch": batch, "progress": progress, "sandbox": theirs, "workbook": workbook})
		return nil
	}
	f.sayf("\nThe sandbox's own book agrees: %d payouts paid, %s, fees %s; paid twice: %d; different: %d.",
		theirs.Paid, amount(theirs.Amount, "USD"), amount(theirs.Fees, "USD"), theirs.Twice, theirs.Different)
	f.sayf("Workbook: %s", workbook)
	f.sayf("\nThree things to try next:\n  payrun batch show %d            what happened, by state and channel\n  payrun payout show %s   one payout's whole story\n  payrun verify                   check every promise of the ledger\n(payrun is: go run ./cmd/payrun)", batch, theirs.Example)
	return nil
}

// sandboxSays compares our payouts with the sandbox's book, one by one.
type sandboxSays struct {
	Paid      int          `json:"paid"`
	Twice     int          `json:"paid_twice"`
	Different int          `json:"different"`
	Amount    money.Amount `json:"amount_minor"`
	Fees      money.Amount `json:"fees_minor"`
	Example   string       `json:"example_order"`
}

var errSandboxDiffers = errors.New("the sandbox's book and ours differ: this is a bug in payrun, please report it")

func (f *flow) askSandbox(batch int64) (sandboxSays, error) {
	var says sandboxSays
	err := f.book.EachPayout(f.ctx, batch, func(p *ledger.Payout) error {
		if says.Example == "" {
			says.Example = p.OrderNo()
		}
		o, _ := f.sandbox.Order(p.OrderNo())
		if o.Paid > 1 {
			says.Twice++
		}
		if o.Paid > 0 {
			says.Paid++
			says.Amount += o.PaidAmount
			says.Fees += o.Fee
		}
		if (o.Paid > 0) != (p.State == ledger.Succeeded) || o.Paid > 0 && (o.PaidAmount != p.Amount || o.Fee != p.Fee) {
			says.Different++
		}
		return nil
	})
	if err == nil && says.Twice+says.Different > 0 {
		err = errSandboxDiffers
	}
	return says, err
}

func (a *app) settle(actor string) (ledger.Day, error) {
	s := jobs.Settle{Book: a.book, HeadsFile: filepath.Join(a.config.Data, "closed-days.txt"), Actor: actor}
	return s.Run(a.ctx)
}

func relative(path string) string {
	folder, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(folder, path); err == nil {
		return rel
	}
	return path
}

func printProblems(w interface{ Write([]byte) (int, error) }, im jobs.Imported) {
	if im.Found == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d problems:\n", im.Found)
	for i, p := range im.Problems {
		if i == 50 {
			fmt.Fprintf(w, "  … and %d more\n", im.Found-i)
			break
		}
		mark := "rejected"
		if p.Severity == importers.Warning {
			mark = "warning "
		}
		fmt.Fprintf(w, "  %s  %s: %s\n", mark, p.Where(), p.Message)
	}
	fmt.Fprintln(w)
}

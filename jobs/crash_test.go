package jobs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"payrun/epay"
	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/reports"
)

// victimTask is the environment variable that makes this test binary a process
// to be killed.
const victimTask = "PAYRUN_TEST_VICTIM"

// task is what a victim does, over and over, until it is killed.
type task struct {
	Do                  string // disburse, import, approve, confirm, report, listen, alert
	Database            string
	Gateway, Notify     string
	Worker              string
	InFlight, PerSecond int
	Linger, Patience    time.Duration
	Batch, Proposal     int64
	Path                string
	Maker, Checker      string
	db                  *database.DB
	Clock               time.Time // the database's, standing still
}

// Short enough that leases run out while a test waits.
const (
	victimPatience = 2 * time.Second
	victimCall     = time.Second
)

func runVictim(text string) int {
	if err := victim(text); err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		return 1
	}
	return 0
}

func victim(text string) error {
	var todo task
	if err := json.Unmarshal([]byte(text), &todo); err != nil {
		return err
	}
	ctx := context.Background()
	config := database.Config{URL: todo.Database}
	if !todo.Clock.IsZero() {
		config.Clock = func() time.Time { return todo.Clock }
	}
	db, err := database.Open(ctx, config)
	if err != nil {
		return err
	}
	todo.db = db
	book := ledger.New(db, ledger.Config{})
	for {
		switch todo.Do {
		case "schedule":
			err = todo.schedule(ctx)
		case "disburse":
			err = todo.disburse(ctx, book)
		case "import":
			err = todo.importSheet(ctx, book)
		case "approve":
			err = todo.approve(ctx, book)
		case "confirm":
			err = todo.confirm(ctx, book)
		case "listen":
			err = todo.listen(ctx, book)
		case "report":
			_, err = reports.Workbook(ctx, db, todo.Path, reports.Filter{}, reports.Options{})
		case "alert":
			err = todo.tell(ctx, db)
		}
		if err != nil {
			return err
		}
		fmt.Println("done")
	}
}

// schedule runs a job that never ends.
func (todo task) schedule(ctx context.Context) error {
	s, err := jobs.NewScheduler(todo.db, todo.Worker, slog.New(slog.DiscardHandler), jobs.Plan{
		Job: "settle", Spec: "0 * * * *", Missed: jobs.RunOnce, Run: func(ctx context.Context) (string, error) {
			fmt.Println("running")
			<-ctx.Done()
			return "", ctx.Err()
		},
	})
	if err == nil {
		s.Run(ctx)
	}
	return err
}

func (todo task) disburse(ctx context.Context, book *ledger.Book) error {
	client, err := epay.New(epay.Config{BaseURL: todo.Gateway, Account: sandbox.DefaultAccount, Key: sandbox.DefaultKey, Timeout: victimCall})
	if err != nil {
		return err
	}
	e := &jobs.Engine{
		Book: book, Gateway: jobs.NewEPAY(client, todo.Notify), Worker: todo.Worker, Channels: []string{"11", "12", "16", "18"},
		Rate: jobs.Rate{CallsPerSecond: todo.PerSecond, LookupPercent: 50}, InFlight: todo.InFlight,
		CallTimeout: victimCall, Patience: todo.Patience, Linger: todo.Linger,
	}
	if err := e.Defaults(); err != nil {
		return err
	}
	_, err = e.Disburse(ctx)
	return err
}

func (todo task) importSheet(ctx context.Context, book *ledger.Book) error {
	maker, err := book.User(ctx, todo.Maker)
	if err != nil {
		return err
	}
	im := &jobs.Import{Book: book, GatewayAccount: sandbox.DefaultAccount}
	_, err = im.File(ctx, maker, todo.Path, jobs.ImportChoice{})
	return err
}

func (todo task) approve(ctx context.Context, book *ledger.Book) error {
	maker, err := book.User(ctx, todo.Maker)
	if err != nil {
		return err
	}
	checker, err := book.User(ctx, todo.Checker)
	if err != nil {
		return err
	}
	batch, err := book.Batch(ctx, todo.Batch)
	if err != nil {
		return err
	}
	if batch.State == ledger.Valid {
		if err := book.Submit(ctx, maker, todo.Batch); err != nil {
			return err
		}
		fmt.Println("submitted")
	}
	if err := book.Approve(ctx, checker, todo.Batch); err != nil && !errors.Is(err, ledger.ErrConflict) {
		return err
	}
	return nil
}

// process is a victim that runs.
type process struct {
	t       *testing.T
	command *exec.Cmd
	lines   chan string // what it prints; closed when it is gone
}

func start(t *testing.T, todo task) *process {
	t.Helper()
	text, err := json.Marshal(todo)
	fatal(t, err)
	p := &process{t: t, command: exec.Command(os.Args[0]), lines: make(chan string, 1000)}
	p.command.Env = append(os.Environ(), victimTask+"="+string(text))
	p.command.Stderr = os.Stderr
	out, err := p.command.StdoutPipe()
	fatal(t, err)
	fatal(t, p.command.Start())
	go func() {
		defer close(p.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			select {
			case p.lines <- scan.Text():
			default: // the test saw enough
			}
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process as a power cut would, at once and without a word.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	for range p.lines {
	}
	_ = p.command.Wait() // "signal: killed"
}

// doomed is a shop whose victims are other processes.
type doomed struct {
	*shop
	address string
	notify  string
	creates atomic.Int64
	arrived chan int64 // number of each create, as it comes in
}

func eachDoomed(t *testing.T, test func(*testing.T, *doomed)) {
	t.Helper()
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		address := dbtest.URL(t, engine, migrated)
		db := dbtest.Open(t, database.Config{URL: address}, migrated)
		settings := hostile()
		settings.NotFoundFor = time.Second // scaled: at once, but not always
		d := &doomed{shop: openShop(t, db, settings), address: address, arrived: make(chan int64, 1000)}
		d.notify = d.listen() + "/notify/epay"
		d.door.onCreate(func() { d.arrived <- d.creates.Add(1) })
		test(t, d)
	})
}

func (d *doomed) task(do string) task {
	return task{Do: do, Database: d.address, Gateway: d.door.url(), Notify: d.notify, Worker: "victim", InFlight: 8, Patience: victimPatience, Maker: "mia", Checker: "charles"}
}

// after kills a worker when the sandbox has seen so many creates from it.
func (d *doomed) after(creates int64, todo task) {
	d.t.Helper()
	for len(d.arrived) > 0 {
		<-d.arrived
	}
	from := d.creates.Load()
	p := start(d.t, todo)
	deadline := time.After(giveUp)
	for {
		select {
		case n := <-d.arrived:
			if n >= from+creates {
				p.kill()
				return
			}
		case line := <-p.lines: // it was faster
			if line == "done" {
				p.kill()
				return
			}
		case <-deadline:
			d.t.Fatal("the worker sends nothing")
		}
	}
}

// drained finishes what the dead left behind, with a worker of this process,
// and judges the result by the sandbox's book.
func (d *doomed) drained(batch ledger.Batch) {
	d.t.Helper()
	d.door.onCreate(func() {})
	d.faults()
	if _, err := d.engine.Disburse(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	d.settle(batch.ID)
	d.sound()
	d.must(d.book.EachPayout(d.t.Context(), batch.ID, func(p *ledger.Payout) error {
		order, _ := d.sandbox.Order(p.OrderNo())
		switch {
		case order.Creates > 1:
			d.t.Errorf("%s went out %d times", p.OrderNo(), order.Creates)
		case p.State == ledger.Succeeded, p.State == ledger.Unknown && order.Accepted == 0:
		default:
			d.t.Errorf("%s is %s, the sandbox says %d", p.OrderNo(), p.State, order.Status)
		}
		return nil
	}))
}

func TestKilledBetweenIntentAndSend(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		batch := d.approved(d.sheet(12))
		todo := d.task("disburse")
		todo.PerSecond = 8 // slots a quarter of a second apart: the first create is seen while others wait
		d.after(1, todo)
		if got := d.states(batch.ID); got[ledger.Sending] < 2 {
			t.Fatalf("nothing was claimed and not sent: %v", got)
		}
		d.drained(batch)
		if got := d.states(batch.ID); got[ledger.Unknown] == 0 {
			t.Errorf("an attempt that was lost before it was sent is %v, want a doubt for people", got)
		}
	})
}

func TestKilledBetweenSendAndReply(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		batch := d.approved(d.sheet(12))
		d.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultDelay, Wait: 300 * time.Millisecond})
		d.after(8, d.task("disburse"))
		d.drained(batch)
		if got := d.states(batch.ID); got[ledger.Succeeded] < 8 {
			t.Errorf("states %v", got)
		}
	})
}

func TestKilledBetweenReplyAndCommit(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		batch := d.approved(d.sheet(12))
		// The last reply is still to come: with it the run would end, and record
		// them all, perhaps before it is killed.
		d.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultDelay, Wait: victimCall, Stored: true, Times: 1})
		todo := d.task("disburse")
		todo.Linger = time.Hour // replies wait for more replies
		d.after(12, todo)
		d.door.quiet()
		if got := d.states(batch.ID); got[ledger.Sending] != 12 {
			t.Fatalf("something was recorded: %v", got)
		}
		d.drained(batch)
	})
}

// Workers die at random moments, others take over, and a second one works all
// the time.
func TestKilledAtRandom(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		batch := d.approved(d.sheet(80))
		d.faults(
			sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultDelay, Wait: 50 * time.Millisecond, Stored: true, Rate: 500_000},
			sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultDelay, Wait: 50 * time.Millisecond, Rate: 300_000},
		)
		second := d.task("disburse")
		second.Worker, second.InFlight = "second", 2
		other := start(t, second)
		for i := range 3 {
			todo := d.task("disburse")
			todo.Worker, todo.Linger = fmt.Sprint("victim ", i), time.Duration(1+random.IntN(80))*time.Millisecond
			d.after(1+random.Int64N(16), todo)
		}
		other.kill()
		d.drained(batch)
	})
}

// A process that was stopped until others took its attempts over must not send
// them when it goes on.
func TestStoppedPastItsLeaseItSendsNothing(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		batch := d.approved(d.sheet(12))
		todo := d.task("disburse")
		todo.PerSecond, todo.Patience = 8, 100*time.Millisecond
		p := start(t, todo)
		select {
		case <-d.arrived:
		case <-time.After(giveUp):
			t.Fatal("nothing is sent")
		}
		d.must(p.command.Process.Signal(syscall.SIGSTOP))
		d.door.quiet()
		d.tracked(batch.ID, func(p *ledger.Payout) bool { return p.State != ledger.Sending })
		lost := map[string]bool{}
		d.must(d.book.EachPayout(t.Context(), batch.ID, func(p *ledger.Payout) error {
			order, _ := d.sandbox.Order(p.OrderNo())
			lost[p.OrderNo()] = p.State == ledger.Unknown && order.Creates == 0
			return nil
		}))
		d.must(d.book.PlaceStop(t.Context(), d.checker, ledger.Everything, "", "only what was claimed may go"))
		d.must(p.command.Process.Signal(syscall.SIGCONT))
		<-p.lines // its run has ended
		taken := 0
		for no := range lost {
			if !lost[no] {
				continue
			}
			taken++
			if order, _ := d.sandbox.Order(no); order.Creates > 0 {
				t.Errorf("%s was sent after its attempt was taken over", no)
			}
		}
		if taken == 0 {
			t.Fatalf("no attempt was taken over: %v", d.states(batch.ID))
		}
		d.must(d.book.LiftStop(t.Context(), d.checker, ledger.Everything, ""))
		p.kill()
		d.drained(batch)
	})
}

func TestKilledInAnImport(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		path, published := d.killedInAnImport()
		im, err := d.importing.File(t.Context(), d.maker, path, jobs.ImportChoice{})
		d.must(err)
		if im.Batch.Accepted != 8_000 || im.Batch.Repeats != 0 {
			t.Errorf("imported again as %+v", im.Batch)
		}
		d.sound()

		// What the dead process staged is cleared away by a later import.
		later := dbtest.Open(t, database.Config{URL: d.address, Clock: func() time.Time { return time.Now().Add(2 * time.Hour) }}, migrated)
		s, err := ledger.New(later, ledger.Config{}).Stage(t.Context(), d.maker, "later", sandbox.DefaultAccount)
		d.must(err)
		d.must(s.Discard(t.Context()))
		d.count("SELECT count(*) FROM payouts", func(n int64) bool { return n == 8_000*(published+1) })
		d.sound()
	})
}

// killedInAnImport returns the sheet whose import was killed, and how many of
// others were published, since they were faster than the kill.
func (d *doomed) killedInAnImport() (path string, published int64) {
	d.t.Helper()
	for range 20 {
		todo := d.task("import")
		todo.Path = d.sheet(8_000)
		before := d.count("SELECT count(*) FROM payouts", func(int64) bool { return true })
		p := start(d.t, todo)
		d.count("SELECT count(*) FROM payouts", func(n int64) bool { return n > before })
		p.kill()
		batches, err := d.book.Batches(d.t.Context())
		d.must(err)
		if n := int64(len(batches)); n > published {
			published = n
			continue
		}
		return todo.Path, published
	}
	d.t.Fatal("every import was faster than the kill")
	return "", 0
}

// count polls a number until it is as wanted; nothing announces a commit.
func (s *shop) count(query string, ok func(int64) bool) (n int64) {
	s.t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(giveUp)
	for {
		s.must(s.db.Get(s.t.Context(), &n, query))
		if ok(n) {
			return n
		}
		select {
		case <-poll.C:
		case <-deadline:
			s.t.Fatalf("%s stays %d", query, n)
		}
	}
}

func TestKilledInAnApproval(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		im, err := d.importing.File(t.Context(), d.maker, d.sheet(300), jobs.ImportChoice{})
		d.must(err)
		todo := d.task("approve")
		todo.Batch = im.Batch.ID
		for range 8 {
			p := start(t, todo)
			select {
			case <-p.lines: // submitted, or done
			case <-time.After(giveUp):
				t.Fatal("nothing is approved")
			}
			p.kill()
			d.sound()
			batch, err := d.book.Batch(t.Context(), im.Batch.ID)
			d.must(err)
			balances, err := d.book.Balances(t.Context())
			d.must(err)
			if held := balances[0].Held > 0; held != (batch.State == ledger.Approved) {
				t.Fatalf("the batch is %s and %d are held", batch.State, balances[0].Held)
			}
			if batch.State == ledger.Approved {
				return
			}
			d.must(d.book.Reject(t.Context(), d.checker, im.Batch.ID, "once more"))
		}
	})
}

func TestKilledInAReport(t *testing.T) {
	eachDoomed(t, func(t *testing.T, d *doomed) {
		d.approved(d.sheet(1000))
		folder := t.TempDir()
		todo := d.task("report")
		todo.Path = filepath.Join(folder, "report.xlsx")
		for range 3 {
			p := start(t, todo)
			partial := d.growing(folder)
			p.kill()
			_, err := os.Stat(todo.Path)
			if partial == "" || err == nil {
				t.Fatalf("a report is offered while %q is being written: %v", partial, err)
			}
			d.must(os.RemoveAll(partial))
		}
		if _, err := reports.Workbook(t.Context(), d.db, todo.Path, reports.Filter{}, reports.Options{}); err != nil {
			t.Error(err)
		}
		d.sound()
	})
}

// growing waits until a file appears in the folder and returns its path.
func (d *doomed) growing(folder string) string {
	d.t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	deadline := time.After(giveUp)
	for {
		files, err := os.ReadDir(folder)
		d.must(err)
		for _, file := range files {
			if file.Name() != "report.xlsx" {
				return filepath.Join(folder, file.Name())
			}
		}
		select {
		case <-poll.C:
		case <-deadline:
			d.t.Fatal("no report is being written")
		}
	}
}

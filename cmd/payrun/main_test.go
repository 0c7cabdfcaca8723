package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childLimit makes a child process unable to write larger files: a disk that
// is full.
const childLimit = "TEST_CHILD_FILE_LIMIT"

// TestMain runs the program itself when a test starts its own binary again.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && (os.Args[1] == "read-sheet" || os.Args[1] == "mark-sheet") {
		main() // the process apart of a test that imports a sheet
	}
	if os.Getenv("TEST_CHILD") != "" {
		limitFiles(os.Getenv(childLimit))
		main()
	}
	patient()
	// dbtest waits for its private server, which ends with this process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("payrun/internal/database/dbtest.init.func1.1"))
}

// patient lets more tests run at a time than there are processors, unless the
// command line says how many: most of them wait for the sandbox.
func patient() {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "8")
	}
}

func limitFiles(bytes string) {
	if bytes == "" {
		return
	}
	var limit syscall.Rlimit
	if _, err := fmt.Sscan(bytes, &limit.Cur); err != nil {
		panic(err)
	}
	limit.Max = limit.Cur
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
}

// place is a folder with Payrun in it, as one user has it.
type place struct {
	t       testing.TB
	data    string
	environ []string
}

// newPlace is a fresh folder, with a sandbox that is in no hurry to save calls.
func newPlace(t testing.TB, environ ...string) *place {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	return &place{t, data, append([]string{"PAYRUN_DATA=" + data, "PAYRUN_GATEWAY_CALLS_PER_SECOND=0"}, environ...)}
}

// with is the same place with more in the environment.
func (p *place) with(environ ...string) *place {
	return &place{p.t, p.data, append(append([]string{}, p.environ...), environ...)}
}

// without is the same place with settings of these prefixes taken away.
func (p *place) without(prefixes ...string) *place {
	kept := &place{p.t, p.data, nil}
	for _, pair := range p.environ {
		drop := false
		for _, prefix := range prefixes {
			drop = drop || strings.HasPrefix(pair, prefix)
		}
		if !drop {
			kept.environ = append(kept.environ, pair)
		}
	}
	return kept
}

// as is the same place for the owner of a token.
func (p *place) as(token string) *place { return p.with("PAYRUN_TOKEN=" + token) }

type result struct {
	t        testing.TB
	command  string
	code     int
	out, err string
}

// run runs a command in this process.
func (p *place) run(args ...string) result {
	p.t.Helper()
	return p.runContext(p.t.Context(), args...)
}

func (p *place) runContext(ctx context.Context, args ...string) result {
	p.t.Helper()
	var out, errOut bytes.Buffer
	code := run(ctx, args, p.environ, &out, &errOut)
	return result{p.t, strings.Join(args, " "), code, out.String(), errOut.String()}
}

// must runs a command that has to succeed.
func (p *place) must(args ...string) result {
	p.t.Helper()
	return p.run(args...).exits(exitOK)
}

func (r result) exits(code int) result {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("payrun %s: exit code %d, want %d\n%s%s", r.command, r.code, code, short(r.out), short(r.err))
	}
	if strings.Contains(r.out+r.err, "panic") || strings.Contains(r.out+r.err, "goroutine ") {
		r.t.Fatalf("payrun %s panicked:\n%s%s", r.command, r.out, r.err)
	}
	return r
}

// short keeps the beginning and the end of a long text.
func short(text string) string {
	const most = 3000
	if len(text) <= 2*most {
		return text
	}
	return text[:most] + "\n…\n" + text[len(text)-most:]
}

// says checks for texts on standard output.
func (r result) says(texts ...string) result {
	r.t.Helper()
	return r.in("output", r.out, texts)
}

// complains checks for texts on standard error.
func (r result) complains(texts ...string) result {
	r.t.Helper()
	return r.in("standard error", r.err, texts)
}

func (r result) in(where, got string, texts []string) result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			r.t.Errorf("payrun %s: %q is not in its %s:\n%s", r.command, text, where, short(got))
		}
	}
	return r
}

// document reads the one JSON document on standard output.
func (r result) document(into any) {
	r.t.Helper()
	decoder := json.NewDecoder(strings.NewReader(r.out))
	if err := decoder.Decode(into); err != nil {
		r.t.Fatalf("payrun %s: no JSON document: %v\n%s", r.command, err, r.out)
	}
	if rest, _ := io.ReadAll(decoder.Buffered()); strings.TrimSpace(string(rest)) != "" || strings.Count(r.out, "\n") != 1 {
		r.t.Fatalf("payrun %s: more than one JSON document:\n%s", r.command, r.out)
	}
}

// sheet writes a csv file of the given rows below the usual heading.
func (p *place) sheet(rows ...string) string {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "payouts.csv")
	text := "reference,channel,account,amount,currency,payee\n" + strings.Join(rows, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// goodRows are payouts that the sandbox pays: the last digits say so.
func goodRows(n int) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("R-%03d,Perfect Money,U%03d000907,%d.25,USD,Payee %d", i+1, i%1000, 10+i, i+1)
	}
	return rows
}

// badRow has an amount nobody pays.
const badRow = "R-900,Perfect Money,U900000907,0.00,USD,Nobody"

func (p *place) file(name, text string, mode os.FileMode) string {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// people adds an admin, a maker and a checker, and returns their tokens.
func (p *place) people() (admin, maker, checker string) {
	p.t.Helper()
	token := func(as *place, name string) string {
		return strings.TrimSpace(as.must("user", "token", name).out)
	}
	p.must("user", "add", "ada", "--role", "admin")
	admin = token(p, "ada")
	boss := p.as(admin)
	boss.must("user", "add", "mia", "--role", "maker")
	boss.must("user", "add", "carl", "--role", "checker")
	return admin, token(boss, "mia"), token(boss, "carl")
}

// process is Payrun as a process of its own.
type process struct {
	t       testing.TB
	command *exec.Cmd
	out     *lines
	errOut  *lines
	ended   chan error
}

// start starts Payrun as a process of its own.
func (p *place) start(args ...string) *process {
	p.t.Helper()
	return p.startFrom(os.Args[0], args...)
}

// startFrom does so from a copy of this test.
func (p *place) startFrom(program string, args ...string) *process {
	p.t.Helper()
	command := exec.Command(program, args...)
	command.Env = append([]string{"TEST_CHILD=1", "PATH=" + os.Getenv("PATH")}, p.environ...)
	c := &process{t: p.t, command: command, out: newLines(), errOut: newLines(), ended: make(chan error, 1)}
	command.Stdout, command.Stderr = c.out, c.errOut
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { c.ended <- command.Wait() }()
	p.t.Cleanup(func() { _ = command.Process.Kill() })
	return c
}

// patience is how long a test waits for what ought to take a moment.
const patience = 5 * time.Minute

func (c *process) signal(s os.Signal) {
	c.t.Helper()
	if err := c.command.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// wait waits for the end and returns what a command in this process would.
func (c *process) wait() result {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.t.Fatalf("%v does not end:\n%s%s", c.command.Args, c.out, c.errOut)
	}
	return result{c.t, strings.Join(c.command.Args[1:], " "), c.command.ProcessState.ExitCode(), c.out.String(), c.errOut.String()}
}

// lines keeps what is written and wakes those who wait for a text in it.
type lines struct {
	mu    sync.Mutex
	text  strings.Builder
	grown *sync.Cond
}

func newLines() *lines {
	l := &lines{}
	l.grown = sync.NewCond(&l.mu)
	return l
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.grown.Broadcast()
	return l.text.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line waits for a line with the text and returns it.
func (l *lines) line(t testing.TB, text string) string {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = true
		l.grown.Broadcast()
	})
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		scanner := bufio.NewScanner(strings.NewReader(l.text.String()))
		for scanner.Scan() {
			if strings.Contains(scanner.Text(), text) {
				return scanner.Text()
			}
		}
		if late {
			t.Fatalf("nothing says %q:\n%s", text, l.text.String())
		}
		l.grown.Wait()
	}
}

// eventually asks again and again, without sleeping in between longer than it
// takes to ask, until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

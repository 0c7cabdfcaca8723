package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"payrun/internal/sandbox"
)

// Small enough that leases run out while a storm rages.
const (
	workers     = 3
	callTimeout = 2 * time.Second
	// grace is longer than the gateway is ever late, or denies what it has.
	grace = 10 * time.Second
	// leaseAtMost is longer than any lease: how late a payout may leave, the
	// call's time-out, and the ledger's margin.
	leaseAtMost = 5*time.Second + callTimeout + 5*time.Second
)

var channels = []string{sandbox.PerfectMoney, sandbox.Advcash, sandbox.Payeer, sandbox.FasaPay}

// callsPerSecond is the gateway's limit over all workers: about half of the
// calls may be creates, and these shall go on for most of the storm.
func (o options) callsPerSecond() int {
	return 10 + int(int64(o.payouts)*int64(time.Second)*4/int64(o.storm))
}

// installation is everything that runs, in a folder of its own.
type installation struct {
	options
	ctx         context.Context // ends with Ctrl-C
	folder      string
	program     string
	environment []string
	postgres    *postgres
	gateway     *process
	gatewayAt   string // address
	workers     [workers]*process
	started     [workers]time.Time
	listens     [workers]string
	still       [workers]int // scenes that keep a worker stopped
	away        [workers]int // scenes that keep a worker from being started
	post        *postOffice
	tokens      map[string]string // of people
	batch       int64
	counts      counts
}

// counts are what happened to the installation.
type counts struct {
	kills, stalls, pauses, databases, gateways, disks, outages int
	gaveUp                                                     int    // workers that ended by themselves
	why                                                        string // the last one did
	lifts                                                      int    // stops that a checker lifted
}

// install builds the program and starts what workers need.
func install(ctx context.Context, o options) (*installation, error) {
	in := &installation{options: o, ctx: ctx, tokens: map[string]string{}}
	var err error
	if in.folder, err = os.MkdirTemp("", "payrun-chaos."); err != nil {
		return in, err
	}
	if err := os.Chmod(in.folder, 0o755); err != nil { // PostgreSQL runs as somebody else
		return in, err
	}
	in.program = filepath.Join(in.folder, "payrun")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", in.program, "./cmd/payrun").CombinedOutput(); err != nil {
		return in, fmt.Errorf("build payrun: %w\n%s", err, out)
	}
	if in.postgres, err = startPostgres(in.folder); err != nil {
		return in, err
	}
	for i := range in.listens {
		if in.listens[i], err = freeAddress(); err != nil {
			return in, err
		}
	}
	if in.gatewayAt, err = freeAddress(); err != nil {
		return in, err
	}
	if in.post, err = openPostOffice(o.seed, in.listens[:]); err != nil {
		return in, err
	}
	in.environment = in.settings()
	return in, in.startGateway()
}

// settings are those of every process of ours.
func (in *installation) settings() []string {
	all := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + in.folder, "TMPDIR=" + in.folder,
		"PAYRUN_DATA=" + filepath.Join(in.folder, "data"),
		"PAYRUN_DATABASE_URL=" + in.postgres.address,
		"PAYRUN_GATEWAY_URL=http://" + in.gatewayAt + sandbox.BasePath,
		"PAYRUN_GATEWAY_ACCOUNT=" + sandbox.DefaultAccount, "PAYRUN_GATEWAY_KEY=" + sandbox.DefaultKey,
		"PAYRUN_GATEWAY_NOTIFY_URL=" + in.post.url, "PAYRUN_GATEWAY_TIMEOUT=" + callTimeout.String(),
		"PAYRUN_GATEWAY_IN_FLIGHT=8", fmt.Sprintf("PAYRUN_GATEWAY_CALLS_PER_SECOND=%d", in.callsPerSecond()),
		"PAYRUN_GATEWAY_LOOKUP_PERCENT=50",
		"PAYRUN_TRACKING_ACCEPTED=500ms,1s,2s,3s,5s", "PAYRUN_TRACKING_IN_DOUBT=500ms,1s,2s,3s,5s,20s",
		"PAYRUN_RESEND=" + in.resend, "PAYRUN_RESEND_GRACE=" + grace.String(),
		fmt.Sprintf("PAYRUN_RESEND_ATTEMPTS=%d", mostAttempts),
		"PAYRUN_TRACKING_CLOSED_AGAIN=2s", "PAYRUN_TRACKING_CONFLICT=1s,2s,3s", "PAYRUN_SCHEDULE_LIMITS=@every 5s",
	}
	for channel, fee := range sandbox.Demo().Fees {
		all = append(all, fmt.Sprintf("PAYRUN_CHANNELS_%s_FEE_FLAT=%d.%02d", channel, fee.Flat/100, fee.Flat%100),
			fmt.Sprintf("PAYRUN_CHANNELS_%s_FEE_PERCENT=%d.%04d", channel, fee.PartsPerMillion/10_000, fee.PartsPerMillion%10_000))
	}
	return all
}

// freeAddress finds a port that stays free while its owner is being started
// again: below those that systems give to outgoing connections.
func freeAddress() (string, error) {
	const first, last, tries = 20_000, 29_999, 100
	var err error
	for range tries {
		var listener net.Listener
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first+1))); err == nil {
			return listener.Addr().String(), listener.Close()
		}
	}
	return "", err
}

func (in *installation) startGateway() error {
	var err error
	in.gateway, err = in.start("gateway", in.environment, in.program, "sandbox", "--listen", in.gatewayAt, "--duplicates", "pay",
		"--book", filepath.Join(in.folder, "book.jsonl"), "--seed", fmt.Sprint(in.seed), "--time-scale", "0.001")
	if err != nil {
		return err
	}
	return in.await("the gateway", func() error {
		_, err := in.ask("GET", "/sandbox/faults", nil)
		return err
	})
}

// await tries until it succeeds; nothing announces that a process is ready.
func (in *installation) await(what string, try func() error) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not get ready: %w", what, err)
		}
		if err := in.pause(50 * time.Millisecond); err != nil {
			return err
		}
	}
}

// pause waits, unless somebody pressed Ctrl-C.
func (in *installation) pause(d time.Duration) error {
	select {
	case <-in.ctx.Done():
		return errors.New("stopped")
	case <-time.After(d):
		return nil
	}
}

func (in *installation) startWorker(i int) error {
	environment := append(in.environment, fmt.Sprintf("PAYRUN_DATA=%s/data%d", in.folder, i))
	in.started[i] = time.Now()
	var err error
	in.workers[i], err = in.start(fmt.Sprintf("worker%d", i), environment, in.program, "work", "--listen", in.listens[i])
	return err
}

// command runs one command of ours to its end, as somebody.
func (in *installation) command(who string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(in.ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, in.program, arguments...)
	command.Env, command.Dir = append(in.environment, "PAYRUN_TOKEN="+in.tokens[who]), in.folder
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		return string(out), fmt.Errorf("payrun %s: %w: %s%s", strings.Join(arguments, " "), err, out, complaints.String())
	}
	return string(out), nil
}

// remove ends every process and removes the folder.
func (in *installation) remove() error {
	if in.folder == "" {
		return nil
	}
	for _, w := range in.workers {
		w.kill()
	}
	if in.gateway != nil {
		in.gateway.kill()
	}
	var err error
	if in.post != nil {
		err = in.post.close()
	}
	err = errors.Join(err, in.postgres.stop())
	if in.keep {
		fmt.Println("chaos: logs and the gateway's book are in", in.folder)
		return err
	}
	return errors.Join(err, os.RemoveAll(in.folder))
}

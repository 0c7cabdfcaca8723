// Command chaos lets a whole installation of Payrun pay thousands of people
// while everything around it breaks, and then asks the sandbox gateway's own
// book who was paid how often.
//
// The processes are real: PostgreSQL, the sandbox gateway, three workers. The
// gateway pays a repeated order number again, and loses, delays, garbles and
// denies at set rates. Workers are killed and stopped beyond their leases,
// PostgreSQL and the gateway are killed and started again, the disk under the
// store fills up, a channel fails, notifications come twice, late, never, and
// forged. One seed always makes the same script of faults.
//
//	go run ./internal/chaos                  5,000 payouts
//	go run ./internal/chaos -short           300 payouts
//	go run ./internal/chaos -seed 42 -v      the same script again, with the workers' words
//
// It exits with 1 when a payout was paid twice, lost or reported wrongly, when
// a promise of the ledger is broken, or when the gateway saw more calls than
// it allows. Start reading at run, then script.go and verdict.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	payouts  int
	seed     uint64
	storm    time.Duration // how long things break
	patience time.Duration // for the rest to come to an end
	resend   string        // policy: who lets a payout that is proven absent be sent again
	verbose  bool
	keep     bool
}

func main() {
	var o options
	short := flag.Bool("short", false, "300 payouts and a short storm")
	flag.IntVar(&o.payouts, "payouts", 5000, "how many people are paid")
	flag.Uint64Var(&o.seed, "seed", 0, "replays the script of faults of this seed; 0 takes a new one")
	flag.DurationVar(&o.storm, "storm", 2*time.Minute, "how long things break")
	flag.DurationVar(&o.patience, "patience", 5*time.Minute, "how long everything may take to come to an end afterwards")
	policy := flag.String("resend", "both", "automatic, manual, or both, one after the other")
	flag.BoolVar(&o.verbose, "v", false, "tell each fault as it happens")
	flag.BoolVar(&o.keep, "keep", false, "leave logs and the gateway's book behind")
	flag.Parse()
	if *short {
		o.payouts, o.storm = 300, 30*time.Second
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1e9) + 1
	}
	runtime.LockOSThread() // processes die with the thread that started them
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := runAll(ctx, o, *policy)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// runAll runs the storm under each policy that is asked for.
func runAll(ctx context.Context, o options, policy string) error {
	policies := map[string][]string{"both": {automatic, manual}, automatic: {automatic}, manual: {manual}}[policy]
	if policies == nil {
		return fmt.Errorf("-resend is %q; it must be automatic, manual or both", policy)
	}
	for _, o.resend = range policies {
		if err := run(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// The policies.
const (
	automatic = "automatic"
	manual    = "manual"
)

// errBreach: a promise was broken; the report says which.
var errBreach = errors.New("a promise was broken")

// run lets one installation live through one storm, and reports.
func run(ctx context.Context, o options) (err error) {
	fmt.Printf("chaos: %d payouts, sent again by policy %s, seed %d\n", o.payouts, o.resend, o.seed)
	in, err := install(ctx, o)
	if err != nil {
		return errors.Join(err, in.remove())
	}
	defer func() { err = errors.Join(err, in.remove()) }()
	if err := in.prepare(); err != nil {
		return err
	}
	began := time.Now()
	if err := in.live(scriptOf(o.seed, o.storm)); err != nil {
		return err
	}
	v, err := in.judge()
	if err != nil {
		return err
	}
	v.took = time.Since(began)
	v.print(os.Stdout)
	if len(v.breaches) > 0 {
		return fmt.Errorf("%w; the script again: go run ./internal/chaos -payouts %d -storm %s -resend %s -seed %d", errBreach, o.payouts, o.storm, o.resend, o.seed)
	}
	return nil
}

package jobs_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or, in a process that a crash test started to be
// killed, the work of that process.
func TestMain(m *testing.M) {
	if task := os.Getenv(victimTask); task != "" {
		os.Exit(runVictim(task))
	}
	patient()
	// dbtest waits for its private server, which ends with this process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("payrun/internal/database/dbtest.init.func1.1"))
}

// patient lets more tests run at a time than there are processors, unless the
// command line says how many: most of them wait, for leases and time-outs.
func patient() {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "5")
	}
}

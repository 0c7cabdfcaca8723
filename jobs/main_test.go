package jobs_test

import (
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
	goleak.VerifyTestMain(m)
}

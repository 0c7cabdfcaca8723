//go:build unix

package apart

import (
	"syscall"
	"time"
)

// limitProcess bounds this process. What outgrows its memory dies of a failed
// allocation, what outlives its time by the kernel's hand.
func limitProcess(memory int64, processor time.Duration) error {
	seconds := uint64((processor + time.Second - 1) / time.Second)
	if err := syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds}); err != nil || raceDetector {
		return err
	}
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: uint64(memory), Max: uint64(memory)})
}

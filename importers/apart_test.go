package importers_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payrun/importers"
	"payrun/internal/sheets"
)

// apartWay names, in its environment, how the process apart behaves.
const (
	apartWay  = "PAYRUN_READS_APART"
	apartPeak = "PAYRUN_READS_APART_PEAK" // file for the memory it took
)

// serveApart is the process apart: as it should be, or misbehaving.
func serveApart(way string) int {
	switch way {
	case "panic":
		panic("a bug of the reader")
	case "silent":
		never := make(chan os.Signal, 1)
		signal.Notify(never, syscall.SIGUSR1)
		<-never
	case "mark":
		if err := sheets.ServeApart(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return writePeak()
	case "text": // what reading text takes, which is not done apart
		_, err := importers.Read(context.Background(), os.Args[1], importers.Rules{}, &collector{})
		fmt.Print(refusal(err))
		return writePeak()
	case "garbage":
		fmt.Println("this is no answer")
		return 0
	}
	if err := importers.ServeApart(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return writePeak()
}

func writePeak() int {
	if err := os.WriteFile(os.Getenv(apartPeak), []byte(peakMemory()), 0o600); err != nil {
		return 1
	}
	return 0
}

// peakMemory is the most memory this process had at a time, as Linux says it:
// "123456 kB". What a parent learns from wait counts the parent's own.
func peakMemory() string {
	status, _ := os.ReadFile("/proc/self/status") // "" where there is none
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(peak)
}

// apart reads in processes that behave in the given way.
func apart(way string) importers.Apart {
	return importers.Apart{Command: func(ctx context.Context) *exec.Cmd {
		command := exec.CommandContext(ctx, os.Args[0])
		command.Env = []string{apartWay + "=" + way}
		return command
	}}
}

// readApart reads a file in a process apart and returns how much memory that
// took, in KiB; 0 for a process that was ended for taking too much.
func readApart(t testing.TB, a importers.Apart, path string, rules importers.Rules) (importers.Result, *collector, int, error) {
	t.Helper()
	var sink collector
	result, peak, err := watchApart(t, a, path, rules, &sink)
	return result, &sink, peak, err
}

// watchApart does that with a sink of the caller's.
func watchApart(t testing.TB, a importers.Apart, path string, rules importers.Rules, sink importers.Sink) (importers.Result, int, error) {
	t.Helper()
	peak := filepath.Join(t.TempDir(), "peak")
	command := a.Command
	a.Command = func(ctx context.Context) *exec.Cmd {
		child := command(ctx)
		child.Env = append(child.Env, apartPeak+"="+peak)
		return child
	}
	rules.TempDir = t.TempDir()
	result, err := a.Read(t.Context(), path, rules, sink)
	if leftovers, readErr := os.ReadDir(rules.TempDir); readErr != nil || len(leftovers) > 0 {
		t.Errorf("temporary files left behind: %v, %v", leftovers, readErr)
	}
	return result, readPeak(t, peak), err
}

// readPeak reads the memory that a process wrote down when it ended, in KiB.
func readPeak(t testing.TB, path string) int {
	t.Helper()
	kibibytes := 0
	if text, readErr := os.ReadFile(path); readErr == nil {
		if _, err := fmt.Sscanf(string(text), "%d kB", &kibibytes); err != nil {
			t.Fatalf("peak memory %q: %v", text, err)
		}
	}
	return kibibytes
}

// TestApartReadsTheSame holds both ways of reading against each other, over
// every sample and every way to refuse.
func TestApartReadsTheSame(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.*")
	if err != nil || len(paths) < 10 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			want, wantSink, wantErr := readFile(t, path, importers.Rules{})
			got, gotSink, _, gotErr := readApart(t, apart("well"), path, importers.Rules{})
			if diff := cmp.Diff(describe(want, wantSink, wantErr), describe(got, gotSink, gotErr)); diff != "" {
				t.Errorf("(-here +apart)\n%s", diff)
			}
			if refusal(wantErr) != refusal(gotErr) {
				t.Errorf("refused as %q here, as %q apart", refusal(wantErr), refusal(gotErr))
			}
		})
	}
}

// TestApartDies: whatever becomes of the process, ours goes on with a refusal.
func TestApartDies(t *testing.T) {
	t.Parallel()
	const good = "testdata/payouts-november.xlsx"
	for way, code := range map[string]importers.Code{"panic": importers.ReaderFailed, "garbage": importers.ReaderFailed, "silent": importers.ReaderTime} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			a := apart(way)
			if way == "silent" { // the others may be slow to go, such as under the race detector
				a.Time = time.Second / 2
			}
			_, sink, _, err := readApart(t, a, good, importers.Rules{})
			if refusal(err) != code || len(sink.rows) > 0 {
				t.Errorf("got %v, want code %s", err, code)
			}
		})
	}
}

// TestApartErrors come back as they would from reading here.
func TestApartErrors(t *testing.T) {
	t.Parallel()
	a := apart("well")
	const good = "testdata/payouts-november.xlsx"
	full := errors.New("disk full")
	if _, err := a.Read(t.Context(), good, importers.Rules{}, failingSink{rows: full}); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := a.Read(t.Context(), "testdata/none.csv", importers.Rules{}, failingSink{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := a.Read(t.Context(), "testdata", importers.Rules{}, failingSink{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := a.Read(t.Context(), good, importers.Rules{Profile: importers.Profile{Channel: "99"}}, failingSink{}); err == nil || !strings.Contains(err.Error(), "channel") {
		t.Errorf("wrong rules: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Read(cancelled, good, importers.Rules{}, failingSink{}); !errors.Is(err, context.Canceled) || refusal(err) != "" {
		t.Errorf("cancelled: %v", err)
	}
	broken := importers.Apart{Command: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/no/such/program") }}
	if _, err := broken.Read(t.Context(), good, importers.Rules{}, failingSink{}); err == nil || refusal(err) != "" {
		t.Errorf("no process: %v", err)
	}
}

package apart_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"payrun/internal/apart"
)

// way names, in its environment, how the process apart behaves.
const way = "PAYRUN_APART_WAY"

func TestMain(m *testing.M) {
	if how := os.Getenv(way); how != "" {
		if err := apart.Serve(os.Stdin, os.Stdout, work(how)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// work counts down from the question.
func work(how string) func(int, func(int) error) error {
	return func(from int, answer func(int) error) error {
		switch how {
		case "panic":
			panic("a bug of the work")
		case "mute":
			return nil
		case "killed":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "silent":
			never := make(chan os.Signal, 1)
			signal.Notify(never, syscall.SIGUSR1)
			<-never
		case "busy":
			for n := 1; n != 0; n += 2 { // never even, and so never zero
			}
		case "hungry":
			kept := make([]byte, 512<<20)
			for i := range kept {
				kept[i] = 1
			}
		case "files":
			for i, name := range []string{"first", "second"} {
				if _, err := io.WriteString(apart.File(i, name), name); err != nil {
					return err
				}
			}
		}
		for n := from; n >= 0; n-- {
			if err := answer(n); err != nil {
				return err
			}
		}
		return nil
	}
}

func process(how string) apart.Process {
	return apart.Process{
		Command: func(ctx context.Context) *exec.Cmd {
			command := exec.CommandContext(ctx, os.Args[0])
			command.Env = []string{way + "=" + how}
			return command
		},
		Memory: 128 << 20, Time: 10 * time.Second,
	}
}

func TestAnswersComeInOrder(t *testing.T) {
	t.Parallel()
	want := 3
	err := apart.Ask(t.Context(), process("well"), want, nil, func(n int) (more bool, err error) {
		if n != want {
			t.Errorf("got %d, want %d", n, want)
		}
		want--
		return n > 0, nil
	})
	if err != nil || want != -1 {
		t.Errorf("stopped before %d: %v", want, err)
	}
}

func TestFilesAreHandedOver(t *testing.T) {
	t.Parallel()
	var files []*os.File
	for range 2 {
		file, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	if err := apart.Ask(t.Context(), process("files"), 0, files, enough); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"first", "second"} {
		if content, err := os.ReadFile(files[i].Name()); err != nil || string(content) != want {
			t.Errorf("file %d holds %q, %v", i, content, err)
		}
	}
}

func enough(int) (more bool, err error) { return false, nil }

// Whatever becomes of the process, ours goes on and hears why.
func TestAProcessThatDoesNotFinish(t *testing.T) {
	t.Parallel()
	tests := []struct {
		way  string
		time time.Duration
		want error
	}{
		{"panic", 10 * time.Second, apart.ErrDied},
		{"mute", 10 * time.Second, apart.ErrDied},
		{"killed", 10 * time.Second, apart.ErrKilled},
		{"silent", time.Second / 2, apart.ErrTime},
		{"busy", time.Second, apart.ErrTime},
	}
	for _, tt := range tests {
		t.Run(tt.way, func(t *testing.T) {
			t.Parallel()
			p := process(tt.way)
			p.Time = tt.time
			if err := apart.Ask(t.Context(), p, 1, nil, enough); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAskingCanBeGivenUp(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	if err := apart.Ask(t.Context(), process("well"), 1, nil, func(int) (bool, error) { return true, full }); !errors.Is(err, full) {
		t.Errorf("the answer is refused: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := apart.Ask(cancelled, process("well"), 1, nil, enough); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	p := apart.Process{Command: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/no/such/program") }}
	if err := apart.Ask(t.Context(), p, 1, nil, enough); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

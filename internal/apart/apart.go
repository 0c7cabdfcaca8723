// Package apart does work on foreign bytes in a process of its own, which gets
// only so much memory and time: whatever a hostile file does to it, it does
// not do to us.
//
// The parent calls [Ask]; the process is this program again, or a test, and
// calls [Serve]. They speak gob over the process's standard input and output.
package apart

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Process is how the processes are made and what each may use.
type Process struct {
	// Command makes the process. It must do nothing but call [Serve]; it needs
	// neither secrets nor settings, so it best gets no environment.
	Command func(ctx context.Context) *exec.Cmd
	// Memory is the most that the process may use, in bytes.
	Memory int64
	// Time is the processor time it may take, in whole seconds. A process that
	// is silent for three times as long is ended too.
	Time time.Duration
}

// Why a process did not finish.
var (
	ErrMemory = errors.New("the work takes more memory than it may")
	ErrTime   = errors.New("the work takes longer than it may")
	ErrDied   = errors.New("the process that does the work died")
	// ErrKilled: somebody else ended it, such as a system short of memory.
	ErrKilled = errors.New("the process that does the work was killed; perhaps the machine is short of memory")
)

// limits is the first thing that the process hears.
type limits struct {
	Memory int64
	Time   time.Duration
}

// Ask starts a process, puts the question to it, hands the files over, in
// order, and gives every answer to take until that wants no more. It returns when
// the process is gone: with the error of take as it is, that of the context,
// [ErrMemory], [ErrTime], [ErrDied] or [ErrKilled]. Calls are independent of each other.
func Ask[Q, A any](ctx context.Context, p Process, question Q, files []*os.File, take func(A) (more bool, err error)) error {
	processCtx, kill := context.WithCancel(ctx)
	defer kill()
	child := &child{Cmd: p.Command(processCtx)}
	child.Stderr, child.ExtraFiles = &child.complaints, files
	var words bytes.Buffer
	encoder := gob.NewEncoder(&words)
	if err := errors.Join(encoder.Encode(limits{p.Memory, p.Time}), encoder.Encode(question)); err != nil {
		return err
	}
	child.Stdin = &words
	answers, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		return fmt.Errorf("start a process apart: %w", err)
	}
	patience := 3 * p.Time
	silence := time.AfterFunc(patience, kill)
	err = receive(answers, take, silence, patience)
	if err != nil && !errors.Is(err, errCutShort) {
		kill() // nobody listens any more
	}
	waitErr := child.Wait()
	silent := !silence.Stop()
	switch {
	case !errors.Is(err, errCutShort):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return child.fault(waitErr, silent, p.Time)
}

// child is the process and the first of what it complains about.
type child struct {
	*exec.Cmd
	complaints firstBytes
}

// firstBytes keeps the beginning of what is written to it.
type firstBytes struct{ kept []byte }

func (w *firstBytes) Write(p []byte) (int, error) {
	const most = 4 << 10
	w.kept = append(w.kept, p[:min(len(p), most-len(w.kept))]...)
	return len(p), nil
}

var errCutShort = errors.New("the process apart ended early")

// receive hands over what the process sends until that is enough. The silence
// is not counted while the answers are dealt with.
func receive[A any](answers io.Reader, take func(A) (bool, error), silence *time.Timer, patience time.Duration) error {
	decoder := gob.NewDecoder(answers)
	for {
		silence.Reset(patience)
		var answer A
		if decoder.Decode(&answer) != nil {
			return errCutShort
		}
		silence.Stop()
		more, err := take(answer)
		if err != nil {
			return err
		}
		if !more {
			silence.Reset(patience) // for the process to go
			return nil
		}
	}
}

// fault says why a process that did not finish ended. One that was killed had
// its processor time, or it was ended by somebody else, such as a system that
// is short of memory.
func (c *child) fault(waitErr error, silent bool, most time.Duration) error {
	var exit *exec.ExitError
	killed := errors.As(waitErr, &exit) && strings.Contains(exit.String(), "killed")
	switch {
	case c.ranOutOfMemory():
		return ErrMemory
	case silent, killed && exit.UserTime()+exit.SystemTime() > most/2:
		return ErrTime
	case killed:
		return ErrKilled
	}
	return ErrDied
}

// ranOutOfMemory knows the last words of a process that got no more memory: for
// its heap, for the stack of a thread, or for the garbage collector's own
// lists, of which Go 1.26 does not look whether it got them. A fault in the
// work itself begins with "panic:" instead.
func (c *child) ranOutOfMemory() bool {
	if bytes.HasPrefix(c.complaints.kept, []byte("SIGSEGV: segmentation violation")) {
		return true
	}
	for _, words := range []string{"out of memory", "cannot allocate memory", "failed to create new OS thread", "pthread_create failed", "cannot map pages"} {
		if bytes.Contains(c.complaints.kept, []byte(words)) {
			return true
		}
	}
	return false
}

// Serve is the other side of [Ask]: it gives the whole process the limits that
// the parent asks for and lets it work on the one question.
func Serve[Q, A any](in io.Reader, out io.Writer, work func(question Q, answer func(A) error) error) error {
	var most limits
	var question Q
	decoder := gob.NewDecoder(in)
	if err := errors.Join(decoder.Decode(&most), decoder.Decode(&question)); err != nil {
		return fmt.Errorf("hear the question: %w", err)
	}
	// Every further processor would cost the memory of its threads.
	runtime.GOMAXPROCS(2)
	if err := limitProcess(most.Memory, most.Time); err != nil {
		return fmt.Errorf("limit the process: %w", err)
	}
	debug.SetMemoryLimit(most.Memory / 4 * 3)
	encoder := gob.NewEncoder(out)
	return work(question, func(answer A) error { return encoder.Encode(answer) })
}

// File is the nth of the files that the parent handed over, from 0, under a
// name of the caller's; nil if there is none.
func File(n int, name string) *os.File {
	const first = 3 // after standard input, output and error
	return os.NewFile(uintptr(first+n), name)
}

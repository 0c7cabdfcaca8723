package importers

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

// Apart reads workbooks in a process of their own, which gets only so much
// memory and time: whatever a hostile file does to it, it does not do to us.
// Text is read here: what it can take is bounded by the file's size and by
// the length of a line. Calls may run concurrently, each with a process of its
// own.
type Apart struct {
	// Command makes the process. It must do nothing but call [ServeApart];
	// it needs neither secrets nor settings, so it best gets no environment.
	Command func(ctx context.Context) *exec.Cmd
	// Memory is the most that the process may use, in bytes [224 MiB].
	Memory int64
	// Time is the processor time it may take, in whole seconds [10 s]. A
	// process that is silent for three times as long is ended too.
	Time time.Duration
}

const (
	apartMemory = 224 << 20
	apartTime   = 10 * time.Second
)

// apartSheet is the descriptor under which the process finds the open sheet.
const apartSheet = 3

// What the two processes say to each other, as gob streams: the parent one
// apartRequest, the child any number of apartParts, the last one with an End.
type (
	apartRequest struct {
		Name   string // of the file, for its extension
		Rules  Rules
		Memory int64
		Time   time.Duration
	}
	apartPart struct {
		Rows     []Row
		Problems []Problem
		End      *apartEnd
	}
	apartEnd struct {
		Result  Result
		Refusal *Problem
		Failure string // any other error
	}
)

// Read is [Read], for a workbook in a process apart. A file over which that
// process runs out of memory or time, or dies, is refused.
func (a Apart) Read(ctx context.Context, path string, rules Rules, sink Sink) (result Result, err error) {
	if _, err := rules.compile(); err != nil {
		return Result{}, err
	}
	sheet, err := os.Open(path)
	if err != nil {
		return Result{}, fmt.Errorf("read sheet: %w", err)
	}
	defer sheet.Close()
	if !isZip(sheet) {
		return read(ctx, sheet, path, rules, sink)
	}
	// A process that is killed leaves its files behind.
	if rules.TempDir, err = os.MkdirTemp(rules.TempDir, "payrun-read-"); err != nil {
		return Result{}, fmt.Errorf("read sheet: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(rules.TempDir)) }()

	request := apartRequest{Name: path, Rules: rules, Memory: a.Memory, Time: a.Time}
	orDefault(&request.Memory, apartMemory)
	orDefault(&request.Time, apartTime)
	end, err := a.converse(ctx, sheet, request, sink)
	switch {
	case err != nil:
	case end.Refusal != nil:
		err = &FileError{*end.Refusal}
	case end.Failure != "":
		return end.Result, errors.New(end.Failure)
	}
	if err != nil {
		return end.Result, fmt.Errorf("read sheet: %w", err)
	}
	return end.Result, nil
}

// isZip tells whether a file may be a workbook. What cannot be read is told
// later.
func isZip(file io.ReaderAt) bool {
	magic := make([]byte, len(magicZip))
	n, _ := file.ReadAt(magic, 0)
	return bytes.Equal(magic[:n], magicZip)
}

// converse starts the process, hands what it reads to the sink, and waits
// until it is gone.
func (a Apart) converse(ctx context.Context, sheet *os.File, request apartRequest, sink Sink) (apartEnd, error) {
	processCtx, kill := context.WithCancel(ctx)
	defer kill()
	child := &apartChild{Cmd: a.Command(processCtx)}
	child.Stderr, child.ExtraFiles = &child.complaints, []*os.File{sheet}
	var question bytes.Buffer
	if err := gob.NewEncoder(&question).Encode(request); err != nil {
		return apartEnd{}, err
	}
	child.Stdin = &question
	answers, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		return apartEnd{}, fmt.Errorf("start a process apart: %w", err)
	}
	silence := time.AfterFunc(3*request.Time, kill)
	end, err := receive(answers, sink, silence, 3*request.Time)
	if err != nil && !errors.Is(err, errCutShort) {
		kill() // nobody listens any more
	}
	waitErr := child.Wait()
	silent := !silence.Stop()
	switch {
	case !errors.Is(err, errCutShort):
		return end, err
	case ctx.Err() != nil:
		return end, ctx.Err()
	}
	return end, child.fault(waitErr, silent, request)
}

// apartChild is the process and the first of what it complains about.
type apartChild struct {
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

// receive hands over what the process sends until its end. The silence is not
// counted while the sink is busy.
func receive(answers io.Reader, sink Sink, silence *time.Timer, patience time.Duration) (apartEnd, error) {
	decoder := gob.NewDecoder(answers)
	for {
		silence.Reset(patience)
		var part apartPart
		if decoder.Decode(&part) != nil {
			return apartEnd{}, errCutShort
		}
		silence.Stop()
		if part.End != nil {
			silence.Reset(patience) // for the process to go
			return *part.End, nil
		}
		if err := passOn(sink, part.Rows, part.Problems); err != nil {
			return apartEnd{}, err
		}
	}
}

// fault says why a process that did not finish ended.
func (c *apartChild) fault(waitErr error, silent bool, request apartRequest) error {
	var exit *exec.ExitError
	switch {
	case c.ranOutOfMemory():
		return refuse(ReaderMemory, "Reading the file takes more than %d MiB of memory, far more than any payout sheet needs. Copy the payouts into a new workbook.", request.Memory>>20)
	case silent, errors.As(waitErr, &exit) && strings.Contains(exit.String(), "killed"):
		return refuse(ReaderTime, "Reading the file takes more than %v, far more than any payout sheet needs. Copy the payouts into a new workbook.", request.Time)
	}
	return readerFailed()
}

// ranOutOfMemory knows the last words of a process that got no more memory: for
// its heap, for the stack of a thread, or for the garbage collector's own
// lists, of which Go 1.26 does not look whether it got them. A fault in the
// reader itself begins with "panic:" instead.
func (c *apartChild) ranOutOfMemory() bool {
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

func readerFailed() *FileError {
	return refuse(ReaderFailed, "The file makes the reader fail, so nothing of it was taken. Save it again in a spreadsheet program, and keep this one for whoever looks after Payrun.")
}

// ServeApart is the other side of [Apart]: it reads one sheet, which the
// parent has opened, and ends. It gives the whole process the limits that the
// parent asks for.
func ServeApart(in io.Reader, out io.Writer) error {
	var request apartRequest
	if err := gob.NewDecoder(in).Decode(&request); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	// The library and our scan are two; every further processor would cost the
	// memory of its threads.
	runtime.GOMAXPROCS(2)
	if err := limitProcess(request.Memory, request.Time); err != nil {
		return fmt.Errorf("limit the process: %w", err)
	}
	// Half of the usual garbage at a time, for a twentieth more of its time.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(request.Memory / 4 * 3)
	sheet := os.NewFile(apartSheet, request.Name)
	if sheet == nil {
		return errors.New("the sheet was not handed over")
	}
	defer sheet.Close()
	sink := &apartSink{gob.NewEncoder(out)}
	var end apartEnd
	result, err := read(context.Background(), sheet, request.Name, request.Rules, sink)
	end.Result = result
	if refusal, ok := errors.AsType[*FileError](err); ok {
		end.Refusal = &refusal.Problem
	} else if err != nil {
		end.Failure = err.Error()
	}
	return sink.encoder.Encode(apartPart{End: &end})
}

// apartSink sends on what was read.
type apartSink struct{ encoder *gob.Encoder }

func (s *apartSink) Rows(rows []Row) error { return s.encoder.Encode(apartPart{Rows: rows}) }

func (s *apartSink) Problems(problems []Problem) error {
	return s.encoder.Encode(apartPart{Problems: problems})
}

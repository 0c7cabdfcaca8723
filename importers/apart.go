package importers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"payrun/internal/apart"
)

// Apart reads workbooks in a process of their own, which gets only so much
// memory and time: whatever a hostile file does to it, it does not do to us.
// Text is read here: what it can take is bounded by the file's size and by
// the length of a line. Calls may run concurrently, each with a process of its
// own. Its Command must do nothing but call [ServeApart]; its Memory is 224 MiB
// and its Time 10 s unless they are given.
type Apart apart.Process

const (
	apartMemory = 224 << 20
	apartTime   = 10 * time.Second
)

// What the two processes say to each other: the parent one apartRequest, the
// child any number of apartParts, the last one with an End.
type (
	apartRequest struct {
		Name  string // of the file, for its extension
		Rules Rules
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

	end, err := a.converse(ctx, sheet, apartRequest{Name: path, Rules: rules}, sink)
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

// converse hands what the process reads to the sink, and returns its end.
func (a Apart) converse(ctx context.Context, sheet *os.File, request apartRequest, sink Sink) (end apartEnd, err error) {
	process := apart.Process(a)
	orDefault(&process.Memory, apartMemory)
	orDefault(&process.Time, apartTime)
	err = apart.Ask(ctx, process, request, []*os.File{sheet}, func(part apartPart) (more bool, err error) {
		if part.End != nil {
			end = *part.End
			return false, nil
		}
		return true, passOn(sink, part.Rows, part.Problems)
	})
	switch {
	case errors.Is(err, apart.ErrMemory):
		err = refuse(ReaderMemory, "Reading the file takes more than %d MiB of memory, far more than any payout sheet needs. Copy the payouts into a new workbook.", process.Memory>>20)
	case errors.Is(err, apart.ErrTime):
		err = refuse(ReaderTime, "Reading the file takes more than %v, far more than any payout sheet needs. Copy the payouts into a new workbook.", process.Time)
	case errors.Is(err, apart.ErrDied):
		err = readerFailed()
	}
	return end, err
}

func readerFailed() *FileError {
	return refuse(ReaderFailed, "The file makes the reader fail, so nothing of it was taken. Save it again in a spreadsheet program, and keep this one for whoever looks after Payrun.")
}

// ServeApart is the other side of [Apart]: it reads one sheet, which the
// parent has opened, and ends. It gives the whole process the limits that the
// parent asks for.
func ServeApart(in io.Reader, out io.Writer) error {
	return apart.Serve(in, out, func(request apartRequest, answer func(apartPart) error) error {
		sheet := apart.File(0, request.Name)
		if sheet == nil {
			return errors.New("the sheet was not handed over")
		}
		defer sheet.Close()
		var end apartEnd
		result, err := read(context.Background(), sheet, request.Name, request.Rules, apartSink(answer))
		end.Result = result
		if refusal, ok := errors.AsType[*FileError](err); ok {
			end.Refusal = &refusal.Problem
		} else if err != nil {
			end.Failure = err.Error()
		}
		return answer(apartPart{End: &end})
	})
}

// apartSink sends on what was read.
type apartSink func(apartPart) error

// Rows sends rows.
func (s apartSink) Rows(rows []Row) error { return s(apartPart{Rows: rows}) }

// Problems sends problems.
func (s apartSink) Problems(problems []Problem) error { return s(apartPart{Problems: problems}) }

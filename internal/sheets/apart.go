package sheets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"payrun/importers"
	"payrun/internal/apart"
)

// Apart makes annotated copies in a process of their own: the spreadsheet
// library takes the whole workbook into memory, and the workbook is foreign.
type Apart struct {
	// Command makes the process. It must do nothing but call [ServeApart];
	// it needs neither secrets nor settings, so it best gets no environment.
	Command func(ctx context.Context) *exec.Cmd
}

// What the two processes say to each other. The copy itself goes into the file
// that the parent hands over.
type (
	apartRequest struct {
		Source string
		Rules  importers.Rules
		Judged Judgement
	}
	apartOutcome struct {
		Failure string // "" when the copy is complete
		NoCopy  int    // which of noCopy the failure is, from 1; 0 for another error
	}
)

// Annotate is [Annotate] in a process apart. A sheet over which that process
// runs out of memory or time gets [ErrTooLarge], one over which it dies
// [ErrUnsuitable].
func (a Apart) Annotate(ctx context.Context, source, target string, rules importers.Rules, j Judgement) (err error) {
	if err := j.copyable(); err != nil {
		return err
	}
	// A process that is killed leaves its files behind.
	if rules.TempDir, err = os.MkdirTemp(rules.TempDir, "payrun-copy-"); err != nil {
		return fmt.Errorf("make room for the copy: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(rules.TempDir)) }()
	return create(target, func(draft *os.File) error {
		var outcome apartOutcome
		err := apart.Ask(ctx, a.process(j), apartRequest{source, rules, j}, []*os.File{draft}, func(answer apartOutcome) (more bool, err error) {
			outcome = answer
			return false, nil
		})
		switch {
		case errors.Is(err, apart.ErrMemory), errors.Is(err, apart.ErrTime):
			return ErrTooLarge
		case errors.Is(err, apart.ErrDied):
			return fmt.Errorf("%w: %w", ErrUnsuitable, err)
		case err != nil:
			return err
		}
		return outcome.err()
	})
}

// process limits what a copy may take. A small sheet gets what reading it may
// take, a large one more by its cells, which the importer has counted: each
// takes the library up to a KiB, and 50,000 of them a second.
func (a Apart) process(j Judgement) apart.Process {
	const (
		memory, perCell = 224 << 20, 1152
		second          = 20_000 // cells, on a slow machine
	)
	cells := max(j.Sheet.Cells, j.Sheet.Rows*(1+len(j.Sheet.Columns))) // of text they are not counted
	cells = min(cells, mostCells)
	return apart.Process{
		Command: a.Command, Memory: memory + perCell*int64(cells),
		Time: 10*time.Second + time.Duration(cells/second)*time.Second,
	}
}

// ServeApart is the other side of [Apart]: it makes one copy and ends.
func ServeApart(in io.Reader, out io.Writer) error {
	return apart.Serve(in, out, func(request apartRequest, answer func(apartOutcome) error) error {
		draft := apart.File(0, "copy")
		if draft == nil {
			return errors.New("the file for the copy was not handed over")
		}
		defer draft.Close()
		return answer(outcomeOf(writeCopy(context.Background(), request.Source, draft, request.Rules, request.Judged)))
	})
}

func outcomeOf(err error) apartOutcome {
	if err == nil {
		return apartOutcome{}
	}
	outcome := apartOutcome{Failure: err.Error()}
	for i, reason := range noCopy() {
		if errors.Is(err, reason) {
			outcome.NoCopy = i + 1
		}
	}
	return outcome
}

func (o apartOutcome) err() error {
	switch {
	case o.Failure == "":
		return nil
	case o.NoCopy == 0:
		return errors.New(o.Failure)
	}
	reason := noCopy()[o.NoCopy-1]
	return fmt.Errorf("%w%s", reason, strings.TrimPrefix(o.Failure, reason.Error()))
}

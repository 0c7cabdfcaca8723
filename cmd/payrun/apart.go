package main

import (
	"context"
	"os"
	"os/exec"

	"payrun/importers"
	"payrun/internal/sheets"
)

// readSheetCmd and markSheetCmd are the processes in which payrun handles
// workbooks: nobody calls them by hand.
type (
	readSheetCmd struct{}
	markSheetCmd struct{}
)

// Run reads the sheet that the parent process has opened.
func (c *readSheetCmd) Run(*app) error { return importers.ServeApart(os.Stdin, os.Stdout) }

// Run writes the annotated copy that the parent process has begun.
func (c *markSheetCmd) Run(*app) error { return sheets.ServeApart(os.Stdin, os.Stdout) }

// apart lets this program run one of the commands above as a process of its
// own. That gets no environment, so none of our secrets.
func apart(hidden string) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd {
		command := exec.CommandContext(ctx, itself(), hidden)
		command.Env = []string{}
		return command
	}
}

// itself is the program that runs. Where the system knows it that is this very
// version, even if a newer one has been put in its place since.
func itself() string {
	const running = "/proc/self/exe"
	if _, err := os.Stat(running); err == nil {
		return running
	}
	program, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return program
}

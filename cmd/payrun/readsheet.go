package main

import (
	"context"
	"os"
	"os/exec"

	"payrun/importers"
)

// readSheetCmd is the process in which payrun reads a workbook: nobody calls
// it by hand.
type readSheetCmd struct{}

// Run reads the sheet that the parent process has opened.
func (c *readSheetCmd) Run(*app) error { return importers.ServeApart(os.Stdin, os.Stdout) }

// readApart lets this program read workbooks in processes of their own. They
// get no environment, so none of our secrets.
func readApart() importers.Apart {
	return importers.Apart{Command: func(ctx context.Context) *exec.Cmd {
		program, err := os.Executable()
		if err != nil {
			program = os.Args[0]
		}
		command := exec.CommandContext(ctx, program, "read-sheet")
		command.Env = []string{}
		return command
	}}
}

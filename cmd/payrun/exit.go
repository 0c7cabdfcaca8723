package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"payrun/importers"
	"payrun/internal/config"
	"payrun/internal/database"
	"payrun/jobs"
	"payrun/ledger"
	"payrun/migrations"
)

// Exit codes; scripts rely on them, so they never change their meaning.
const (
	exitOK       = 0
	exitFailure  = 1
	exitUsage    = 2
	exitDatabase = 3
	exitGateway  = 4
	exitSheet    = 5
	exitRefused  = 6
	exitBreach   = 7
	exitOpen     = 8
)

var exitMeanings = []struct {
	code    int
	meaning string
}{
	{exitOK, "done"},
	{exitFailure, "failed for a reason not listed here"},
	{exitUsage, "wrong command line or settings"},
	{exitDatabase, "the database or its disk cannot be used: unreachable, foreign, newer, full, in use"},
	{exitGateway, "the gateway cannot be used: unreachable, or it turns us away"},
	{exitSheet, "the sheet was not imported"},
	{exitRefused, "not allowed, not found, or not possible in this state"},
	{exitBreach, "the ledger breaks a promise"},
	{exitOpen, "payouts are still open: in doubt, waiting, or under way"},
}

func exitCodes() string {
	words := make([]string, len(exitMeanings))
	for i, e := range exitMeanings {
		words[i] = fmt.Sprintf("%d %s", e.code, e.meaning)
	}
	return strings.Join(words, "; ") + "."
}

// Errors that only the command line makes.
var (
	errGateway    = errors.New("the gateway cannot be used")
	errSheet      = errors.New("the sheet was not imported")
	errEngineBusy = errors.New("another payrun process runs the jobs on this database file")
	errBreach     = errors.New("the ledger breaks a promise; the rows are named above")
	errListener   = errors.New("the web listener failed, so everything was stopped")
	errNotTold    = errors.New("alerts do not arrive every way")
	errStillOpen  = errors.New("some payouts are still open")
	errNoToken    = errors.New("this needs to know who you are: set PAYRUN_TOKEN or use --token-file (payrun user token NAME issues one)")
)

// usageError is a wrong command line or setting.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode finds what an error stands for. Where errors are joined, the most
// telling one decides: the order of the cases.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case isOne(err, errBreach, jobs.ErrBreach):
		return exitBreach
	case as[usageError](err), as[*config.Error](err):
		return exitUsage
	case isOne(err, jobs.ErrRowsRejected, jobs.ErrNoRows, jobs.ErrTotals, errSheet), as[*importers.FileError](err):
		return exitSheet
	case isOne(err, errEngineBusy, database.ErrUnusable, database.ErrNotDurable, migrations.ErrForeign, migrations.ErrNewer, migrations.ErrPending),
		isFull(err):
		return exitDatabase
	case isOne(err, errGateway, jobs.ErrGateway):
		return exitGateway
	case isOne(err, errStillOpen):
		return exitOpen
	case isOne(err, errNoToken, ledger.ErrToken, ledger.ErrForbidden, ledger.ErrConflict, ledger.ErrInvalid, ledger.ErrFunds, ledger.ErrNotFound, ledger.ErrTampered, errRestored):
		return exitRefused
	case as[*fs.PathError](err), isOne(err, errListener, errNotTold): // IsConnection would take them for a lost database
		return exitFailure
	case database.IsConnection(err):
		return exitDatabase
	}
	return exitFailure
}

func isOne(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func isFull(err error) bool {
	return database.IsFull(err) || isOne(err, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG)
}

// advice says what to do about an error whose own words do not. "" for most.
func advice(err error) string {
	var hinted hintedError
	switch {
	case errors.As(err, &hinted):
		return hinted.hint
	case errors.Is(err, jobs.ErrRowsRejected):
		return "correct the rows named above and hand the sheet in again, or import only its good rows with --good-rows"
	case errors.Is(err, jobs.ErrTotals):
		return "if that is what you expect, say so: --good-rows --totals \"…\", with those words"
	case errors.Is(err, jobs.ErrNoRows):
		return "correct the rows named above and hand the sheet in again"
	case isFull(err):
		return "the disk is full: make room, then run the command again; what was not committed was not kept"
	case errors.Is(err, database.ErrCommitUnknown):
		return "look whether it happened (payrun batch list) before you do it again"
	case errors.Is(err, database.ErrUnusable) && !as[*config.Error](err):
		return "check database.url and data, and that this user may write there"
	case errors.Is(err, ledger.ErrFunds):
		return "book a top-up with payrun funds add, or split the batch"
	}
	return ""
}

// report prints an error for a person, or for a program with --json, and
// returns the exit code it stands for.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	code, text, hint := exitCode(err), strings.TrimSpace(err.Error()), advice(err)
	if a.cli.JSON {
		printJSON(a.errOut, problemView{Error: text, Advice: hint, ExitCode: code})
		return code
	}
	if hint != "" {
		text += "\n" + hint
	}
	for line := range strings.Lines(text) {
		fmt.Fprintln(a.errOut, "payrun: "+strings.TrimRight(line, "\n"))
	}
	return code
}

type problemView struct {
	Error    string `json:"error"`
	Advice   string `json:"advice,omitempty"`
	ExitCode int    `json:"exit_code"`
}

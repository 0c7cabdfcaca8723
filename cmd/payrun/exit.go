package main

import (
	"errors"
	"fmt"
	"strings"

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
	{exitDatabase, "the database cannot be used: unreachable, foreign, newer, full, in use"},
	{exitGateway, "the gateway cannot be used: unreachable, or it turns us away"},
	{exitSheet, "the sheet was not imported"},
	{exitRefused, "not allowed, or not possible in this state"},
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
	errUsage      = errors.New("usage")
	errEngineBusy = errors.New("another payrun process runs the jobs on this database file")
	errBreach     = errors.New("the ledger breaks a promise; see above for the rows")
	errStillOpen  = errors.New("some payouts are still open")
	errNoToken    = errors.New("this needs to know who you are: set PAYRUN_TOKEN or use --token-file (payrun user token NAME issues one)")
)

// exitCode finds what an error stands for.
func exitCode(err error) int {
	for _, e := range []struct {
		is   []error
		code int
	}{
		{[]error{errUsage}, exitUsage},
		{[]error{errBreach}, exitBreach},
		{[]error{errStillOpen}, exitOpen},
		{[]error{errEngineBusy, database.ErrUnusable, database.ErrNotDurable, migrations.ErrForeign, migrations.ErrNewer, migrations.ErrPending}, exitDatabase},
		{[]error{errGateway, jobs.ErrGateway}, exitGateway},
		{[]error{jobs.ErrRowsRejected, jobs.ErrNoRows, errSheet}, exitSheet},
		{[]error{errNoToken, ledger.ErrToken, ledger.ErrForbidden, ledger.ErrConflict, ledger.ErrInvalid, ledger.ErrFunds, ledger.ErrNotFound, ledger.ErrTampered}, exitRefused},
	} {
		for _, target := range e.is {
			if errors.Is(err, target) {
				return e.code
			}
		}
	}
	var settings *config.Error
	var sheet *importers.FileError
	switch {
	case errors.As(err, &settings):
		return exitUsage
	case errors.As(err, &sheet):
		return exitSheet
	case database.IsFull(err), database.IsConnection(err):
		return exitDatabase
	}
	return exitFailure
}

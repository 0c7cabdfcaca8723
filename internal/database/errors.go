package database

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers branch on.
var (
	// ErrUnusable: the store cannot be opened as configured.
	ErrUnusable = errors.New("the database cannot be used")
	// ErrNotDurable: the store may forget commits.
	ErrNotDurable = errors.New("the database does not keep every commit")
	// ErrNotFound: a query for one row found none.
	ErrNotFound = errors.New("not found")
	// ErrCommitUnknown: the connection broke during a commit, which may or
	// may not have happened.
	ErrCommitUnknown = errors.New("the connection broke during the commit")
)

// IsUnique reports whether err is the violation of a unique index.
func IsUnique(err error) bool {
	return pqCode(err) == "23505" || sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_UNIQUE ||
		sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// IsRetryable reports whether the engine gave up the transaction for the
// sake of another one, so that running it again may succeed.
func IsRetryable(err error) bool {
	switch pqCode(err) {
	case "40001", "40P01", "55P03":
		return true
	}
	code := sqliteCode(err) & 0xff
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

// IsFull reports whether the disk under the store has no room left, or cannot
// be written for another reason, such as a quota.
func IsFull(err error) bool {
	switch code := sqliteCode(err); code {
	case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC:
		return true
	default:
		return code&0xff == sqlite3.SQLITE_FULL || pqCode(err) == "53100"
	}
}

// IsConnection reports whether the connection to the server broke.
func IsConnection(err error) bool {
	var network *net.OpError // not net.Error: a file that cannot be opened is one too
	code := pqCode(err)
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network) || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == abandoned
}

// abandoned: the server took back a transaction whose client said nothing for
// too long, and closed the connection.
const abandoned = "25P03"

// IsRefused reports whether a guard of the schema (an insert-only table, a
// frozen column) refused the statement.
func IsRefused(err error) bool {
	return pqCode(err) == "P0001" || sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_TRIGGER
}

func pqCode(err error) string {
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return ""
}

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"payrun/jobs"
	"payrun/ledger"
)

// backupCmd copies the database while everything goes on.
type backupCmd struct {
	To string `arg:"" help:"A new file, or a folder that gets one named by the time."`
}

type backupView struct {
	Path       string       `json:"path"`
	ClosedDays string       `json:"closed_days,omitempty"`
	Bytes      int64        `json:"bytes"`
	SHA256     string       `json:"sha256"`
	Breaches   []breachView `json:"breaches"`
}

// Run writes a checked copy of a database file. PostgreSQL has its own tools
// for that, and then it says how to use them.
func (c *backupCmd) Run(a *app) error {
	by, err := a.actor()
	if err != nil {
		return err
	}
	if a.db.Path() == "" {
		a.sayf("%s", a.postgresBackup())
		return errServerBackup
	}
	b := jobs.Backup{DB: a.db, Book: a.book, Heads: a.heads(), Actor: by}
	done, err := b.Run(a.ctx, c.To)
	if err != nil {
		return err
	}
	if len(done.Breaches) > 0 {
		err = errBreach
	}
	v := backupView{done.Path, done.Heads, done.Bytes, done.SHA256, views(done.Breaches, viewBreach)}
	return errors.Join(a.show(v, func() { a.printBackup(v) }), err)
}

func (a *app) printBackup(v backupView) {
	a.printBreaches(v.Breaches)
	if len(v.Breaches) == 0 {
		a.sayf("%s: %s bytes, opened and checked.", relative(v.Path), count(v.Bytes))
	} else {
		a.sayf("%s: %s bytes. It is a true copy, but the ledger breaks promises, see above.", relative(v.Path), count(v.Bytes))
	}
	a.sayf("  SHA-256 %s", v.SHA256)
	if v.ClosedDays != "" {
		a.sayf("  %s: the digests of the days closed so far.", relative(v.ClosedDays))
	}
	a.sayf("%s", wrapped("It holds account numbers: keep it where only you can read it, on another machine, together with your configuration "+
		"and key files, which are not in it.", ""))
	a.sayf("%s", wrapped(fmt.Sprintf("To restore it: stop every payrun; put it in the place of %s; remove %s-wal and -shm beside that, if they are there; "+
		"leave %s as it is; start, and follow what payrun check says.", a.db.Path(), filepath.Base(a.db.Path()), a.config.GenerationFile), ""))
}

// errServerBackup: nothing was copied, and what to do was printed.
var errServerBackup = fmt.Errorf("%w: no backup was made; PostgreSQL's own tools make it, as said above", ledger.ErrConflict)

// postgresBackup tells how, with the database's own address.
func (a *app) postgresBackup() string {
	return strings.Join([]string{
		"Payrun does not copy a PostgreSQL database itself. Either or both of these do, while Payrun runs:",
		"",
		"  A copy of one moment, every night:",
		"    pg_dump --format=custom --file=payrun.dump '" + a.withoutPassword() + "'",
		"    (the password by PGPASSWORD or ~/.pgpass, not on the command line)",
		"",
		"  Every commit, so that a lost machine loses nothing:",
		"    continuous archiving (pg_basebackup and archive_command), or a standby with",
		"    synchronous_commit on and synchronous_standby_names set. A standby that is not",
		"    synchronous loses the newest commits, and with them what was sent.",
		"",
		"Keep with it your configuration and key files, and " + relative(string(a.heads())) + ".",
		"",
		"To restore: stop every payrun; restore with pg_restore or recover PostgreSQL; start. Payrun",
		"notices a restored dump, a recovery and a promoted standby, stops everything and says so.",
		"A copy of the server's whole disk it notices by " + relative(a.config.GenerationFile) + ", if that",
		"was not copied back as well. To be sure, run payrun restored --reason … before payrun serve.",
	}, "\n")
}

// withoutPassword is the database's address as pg_dump wants it.
func (a *app) withoutPassword() string {
	location, err := url.Parse(string(a.config.DatabaseURL))
	if err != nil {
		return a.databaseName()
	}
	if location.User != nil {
		location.User = url.User(location.User.Username())
	}
	query := location.Query()
	for _, secret := range []string{"password", "sslpassword"} {
		query.Del(secret)
	}
	location.RawQuery = query.Encode()
	return location.String()
}

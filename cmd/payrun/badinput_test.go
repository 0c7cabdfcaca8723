package main

import (
	"context"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
)

func TestCommandLinesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.run().exits(exitUsage).complains("payrun --help")
	p.run("versoin").exits(exitUsage).complains(`did you mean "version"?`)
	p.run("batch", "show", "x").exits(exitUsage).complains("<batch>")
	p.run("batch", "recall", "1").exits(exitUsage).complains("--reason")
	p.run("user", "add", "x", "--role", "king").exits(exitUsage).complains("maker")
	p.run("job", "run", "everything").exits(exitUsage).complains("disburse")
	p.run("funds", "add", "1e5", "USD", "--evidence", "x").exits(exitUsage).complains("not a plain decimal number")
	p.run("funds", "add", "5.00", "usd", "--evidence", "x").exits(exitUsage).complains("unknown currency")
	p.run("--help").exits(exitOK).says("Exit codes: 0 done", "payrun demo")
	for _, command := range []string{"demo", "run", "import", "batch", "batch approve", "payout show", "stop", "funds add", "job run", "report", "serve", "user add", "sandbox"} {
		p.run(append(strings.Fields(command), "--help")...).exits(exitOK).says("Usage: payrun " + command)
	}
	if _, err := os.Stat(p.data); err == nil {
		t.Error("a wrong command line made the data folder")
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, checker := p.people()
	p.run("batch", "show", "7").exits(exitRefused).complains("batch 7: not found")
	p.run("payout", "show", "X").exits(exitRefused).complains("no payout has the order number, gateway number or reference \"X\"", "payrun payout list --batch N")
	p.as(maker).run("batch", "submit", "7").exits(exitRefused).complains("7")
	p.as(checker).run("batch", "approve", "7").exits(exitRefused).complains("7")
	p.as(checker).run("stop", "channel", "99", "--reason", "x").exits(exitUsage).complains("there is no channel")
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	file := p.file("payrun.yaml", "gatway:\n  url: x\nlisten: 5\n", 0o600)
	p.run("--config", file, "batch", "list").exits(exitUsage).complains("payrun.yaml:1: there is no setting", "listen is \"5\"")
	p.with("PAYRUN_CONFIG=" + file).run("check").exits(exitUsage).says("FAIL  settings").complains("the check failed: settings")
	p.with("PAYRUN_SCHEDULE_SETTLE=at noon").run("check").exits(exitUsage).says("FAIL  schedules")
	p.with("PAYRUN_GATEWAY_URL=ftp://x/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY=k").
		run("check").exits(exitUsage).says("FAIL  gateway", "gateway.url must start with https://")
	q := newPlace(t, "PAYRUN_SCHEDULE_SETTLE=at noon", "PAYRUN_LISTEN=127.0.0.1:0")
	q.run("serve").exits(exitUsage).complains("at noon")
	if _, err := os.Stat(filepath.Join(q.data, "sandbox-book.jsonl")); err == nil {
		t.Error("wrong settings started a sandbox")
	}
}

func sqlite(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDatabasesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()

	foreign := filepath.Join(t.TempDir(), "foreign.db")
	sqlite(t, foreign, "CREATE TABLE invoices (id INTEGER)")
	p := newPlace(t)
	p.must("migrate").says("applied versions")
	newer := filepath.Join(p.data, "payrun.db")
	sqlite(t, newer, "INSERT INTO payrun_migrations (version_id, is_applied) VALUES (9999, 1)")
	const advice = "check database.url and data"
	for name, test := range map[string]struct {
		url  string
		want []string
	}{
		"nobody listens":       {"postgres://payrun:pw@" + nobody + "/payrun?sslmode=disable", []string{"connection refused", advice}},
		"no such scheme":       {"mysql://x/y", []string{"must start with sqlite: or postgres://"}},
		"not a database":       {"sqlite:" + p.file("text.db", strings.Repeat("this is no database\n", 100), 0o600), []string{"not a database", advice}},
		"a folder":             {"sqlite:" + t.TempDir(), []string{advice}},
		"below a file":         {"sqlite:" + filepath.Join(p.file("plain", "x", 0o600), "sub", "payrun.db"), []string{"not a directory", advice}},
		"another application":  {"sqlite:" + foreign, []string{"another application's tables", "of its own"}},
		"newer than this":      {"sqlite:" + newer, []string{"newer than this binary"}},
		"not migrated":         {dbtest.Empty(t, "postgres"), []string{"run payrun migrate"}},
		"read-only filesystem": {"sqlite:/proc/payrun/payrun.db", []string{advice}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newPlace(t, "PAYRUN_DATABASE_URL="+test.url)
			for _, command := range [][]string{{"batch", "list"}, {"run", q.sheet(goodRows(1)...)}, {"verify"}} {
				q.run(command...).exits(exitDatabase).complains(test.want...)
			}
			q.run("check").exits(exitDatabase).says("FAIL  database")
		})
	}
}

func TestServerDatabaseIsMigratedOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "PAYRUN_DATABASE_URL="+dbtest.Empty(t, "postgres"))
	p.run("funds").exits(exitDatabase).complains("run payrun migrate")
	p.must("migrate").says("applied versions")
	p.must("migrate", "--json").says(`{"applied":[]}`)
	p.must("run", p.sheet(goodRows(5)...)).says("5 paid", "agrees")
	p.must("verify")
}

func TestSecondEngineOnOneFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("migrate")
	serving := p.with("PAYRUN_LISTEN=127.0.0.1:0").start("serve")
	serving.address()
	p.with("PAYRUN_LISTEN=127.0.0.1:0").run("serve").exits(exitDatabase).complains("another payrun process runs the jobs on this database file", "PostgreSQL")
	p.run("demo", "--sheet", exampleSheet).exits(exitDatabase).complains("stop it first")
	p.must("batch", "list")
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK)
	p.must("run", p.sheet(goodRows(1)...))
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	sheet := newPlace(t).sheet(goodRows(4000)...) // more than either disk takes
	t.Run("file size limit", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.must("migrate")
		limited := p.with(childLimit+"=900000").start("run", sheet).wait()
		if limited.code == exitOK {
			t.Error("a sheet was paid without room for its books")
		}
		limited.exits(limited.code).complains("payrun: ")
		p.must("verify").says("checks passed")
	})
	if os.Getuid() != 0 {
		return // only root may make a small disk; the limit above stands for it
	}
	t.Run("small disk", func(t *testing.T) {
		t.Parallel()
		small := t.TempDir()
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		p := newPlace(t, "PAYRUN_DATA="+filepath.Join(small, "data"))
		p.run("run", sheet).exits(exitDatabase).complains("the disk is full: make room")
		if err := syscall.Mount("", small, "", syscall.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
		p.must("verify").says("checks passed")
		p.must("run", p.sheet(goodRows(3)...)).says("3 paid")
	})
}

func TestSheetsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	for name, test := range map[string]struct{ path, want string }{
		"old format":     {"../../importers/testdata/old-format.xls", "save as .xlsx"},
		"no good row":    {p.sheet(badRow), "no good row"},
		"no row":         {p.sheet(), "no payout rows|no data|nothing|no row"},
		"empty":          {p.file("empty.csv", "", 0o600), "empty|no data|nothing"},
		"not a workbook": {p.file("fake.xlsx", "PK\x03\x04 nonsense", 0o600), "fake.xlsx"},
		"missing":        {"/nowhere/x.csv", "there is no file called /nowhere/x.csv"},
		"folder":         {t.TempDir(), "is not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := p.as(maker).run("import", test.path).exits(exitSheet)
			for one := range strings.SplitSeq(test.want, "|") {
				if strings.Contains(r.err, one) {
					return
				}
			}
			t.Errorf("none of %q in:\n%s", test.want, r.err)
		})
	}
	t.Cleanup(func() {
		p := &place{t, p.data, p.environ}
		r := p.runContext(context.Background(), "batch", "list")
		r.exits(exitOK).says("No batches yet")
	})
}

func TestOneBadSheetDoesNotKeepTheNext(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, maker, _ := p.people()
	p.as(maker).run("import", p.sheet(badRow), p.sheet(goodRows(1)...)).exits(exitSheet).says("1 good row", "payrun batch submit")
	var batches []batchView
	p.must("batch", "list", "--json").document(&batches)
	if len(batches) != 1 {
		t.Errorf("%d batches, want 1", len(batches))
	}
}

func TestVerifyNamesTheRow(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.must("run", p.sheet(goodRows(2)...))
	path := filepath.Join(p.data, "payrun.db")
	db := dbtest.Open(t, database.Config{URL: "sqlite:" + path}, func(context.Context, *database.DB) error { return nil })
	err := db.InTx(t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE accounts SET balance = balance + 1 WHERE kind = 'paid'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.run("verify").exits(exitBreach).says("FAIL", "paid").complains("the ledger breaks a promise")
	var found verifyView
	r := p.run("verify", "--json").exits(exitBreach)
	r.document(&found)
	if len(found.Breaches) == 0 {
		t.Errorf("no breach named: %s", r.out)
	}
}

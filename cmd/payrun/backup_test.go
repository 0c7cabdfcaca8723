package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/sandbox"
	"payrun/migrations"
)

// payer is a place with people and money at a gateway that pays a repeated
// order number again.
type payer struct {
	*place
	gateway               *sandbox.Server
	admin, maker, checker string // tokens
}

func newPayer(t *testing.T, environ ...string) *payer {
	t.Helper()
	settings := sandbox.Demo()
	settings.TimeScale, settings.Duplicates = 0.0001, sandbox.DuplicatePay
	p := newPlace(t, environ...)
	gateway := p.gateway(settings)
	b := &payer{place: p.at(gateway.URL()), gateway: gateway}
	b.must("migrate")
	b.admin, b.maker, b.checker = b.people()
	b.as(b.admin).must("funds", "add", "1000000.00", "USD", "--evidence", "bank reference 4711")
	return b
}

// approved hands a sheet in and approves it.
func (b *payer) approved(sheet string) {
	b.t.Helper()
	b.as(b.maker).must("run", sheet)
	b.as(b.checker).must("batch", "approve", "1")
}

// paid sends and follows until n payouts of the batch are paid.
func (b *payer) paid(n int64) {
	b.t.Helper()
	b.must("job", "run", "disburse")
	eventually(b.t, "they are paid", func() bool {
		b.must("job", "run", "track")
		return b.states(1)["SUCCEEDED"] == n
	})
}

func (b *payer) file() string { return filepath.Join(b.data, "payrun.db") }

// creates counts what the gateway was asked to pay.
func (b *payer) creates() (n int) {
	for _, order := range b.gateway.Book().Orders {
		n += order.Creates
	}
	return n
}

// restore puts a copy in the place of the database, as the backup command says.
func (b *payer) restore(copied string) {
	b.t.Helper()
	text, err := os.ReadFile(copied)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, beside := range []string{"-wal", "-shm"} {
		_ = os.Remove(b.file() + beside) // payrun removes them when it ends
	}
	if err := os.WriteFile(b.file(), text, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func TestBackupIsMadeWhileServing(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	b.approved(b.sheet(goodRows(3)...))
	serving := b.with("PAYRUN_LISTEN=127.0.0.1:0").start("serve")
	serving.address()
	folder := t.TempDir()
	var first, second backupView
	b.as(b.checker).must("settle")
	b.as(b.admin).must("backup", folder, "--json").document(&first)
	eventually(t, "serve goes on", func() bool { return b.states(1)["SUCCEEDED"] == 3 })
	path := filepath.Join(t.TempDir(), "second.db")
	b.must("backup", path).says("opened and checked", "SHA-256", "To restore it: stop every payrun", "payrun.db.generation")
	b.run("backup", path).exits(exitRefused).complains("never written over another file")
	b.must("backup", path+"2", "--json").document(&second)
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK)

	if filepath.Dir(first.Path) != folder || first.ClosedDays == "" || first.Bytes == 0 {
		t.Errorf("backed up as %+v", first)
	}
	for _, path := range []string{first.Path, first.ClosedDays, path, second.Path} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 2 {
		t.Errorf("the folder holds %v, %v; want the copy and the closed days", files, err)
	}
	restored := b.with("PAYRUN_DATABASE_URL=sqlite:" + path)
	restored.must("verify").says("checks passed")
	if s := restored.states(1); s["SUCCEEDED"] != 3 {
		t.Errorf("the copy has %v", s)
	}
	if n := b.number("SELECT count(*) FROM audit WHERE action = 'store.backup' AND actor = 'user:ada' AND detail LIKE '%" + first.SHA256 + "'"); n != 1 {
		t.Errorf("%d audit records tell of the backup", n)
	}
}

// number asks the place's database.
func (b *payer) number(query string) (n int64) {
	b.t.Helper()
	db := dbtest.Open(b.t, database.Config{URL: "sqlite:" + b.file()}, migrations.Check)
	if err := db.Get(b.t.Context(), &n, query); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestABackupOfBrokenBooksSaysSo(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	sqlite(t, b.file(), "UPDATE accounts SET balance = balance + 1 WHERE kind = 'funding'")
	path := filepath.Join(t.TempDir(), "copy.db")
	b.run("backup", path).exits(exitBreach).says("funding", "a true copy, but the ledger breaks promises")
	if _, err := os.Stat(path); err != nil {
		t.Error(err) // it is evidence
	}
}

func TestABackupIntoNoFolderSaysSo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.people()
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for _, to := range []string{filepath.Join(nowhere, "x.db"), nowhere + string(filepath.Separator)} {
		p.run("backup", to).exits(exitRefused).complains("there is no folder "+nowhere, "make it")
	}
}

func TestABackupThatDoesNotFitIsNotOffered(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "copy.db")
	b.with(childLimit+"=100000").start("backup", path).wait().exits(exitDatabase).complains("the disk is full: make room")
	if files, err := os.ReadDir(folder); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	b.must("backup", path)
}

func TestBackupOfPostgreSQLSaysHow(t *testing.T) {
	t.Parallel()
	address := dbtest.Empty(t, "postgres")
	location, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	location.User = url.UserPassword("payrun", canaryPassword)
	p := newPlace(t, "PAYRUN_DATABASE_URL="+location.String())
	p.must("migrate")
	target := filepath.Join(t.TempDir(), "copy.db")
	p.run("backup", target).exits(exitRefused).silent(canaryPassword).
		says("pg_dump --format=custom", location.Path, "continuous archiving", "synchronous_standby_names", "payrun restored").
		complains("no backup was made")
	if _, err := os.Stat(target); err == nil {
		t.Error("something was written")
	}
}

// The copy is from after the approval and before the first send: in it, all
// that was paid meanwhile looks unsent.
func TestARestoredBackupSendsNothing(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	b.approved(b.sheet(goodRows(3)...))
	copied := filepath.Join(t.TempDir(), "copy.db")
	b.must("check").says("a restored copy would be noticed: generation 0")
	b.must("backup", copied)
	b.paid(3)
	b.restore(copied)
	if s := b.states(1); s["APPROVED"] != 3 {
		t.Fatalf("the copy has %v", s)
	}

	// Any process notices, however often it is started again.
	for range 2 {
		serving := b.with("PAYRUN_LISTEN=127.0.0.1:0").start("serve")
		serving.address()
		eventually(t, "limits are known, so it could send", func() bool { return b.number("SELECT count(*) FROM limits") > 0 })
		b.waited(serving)
	}
	b.must("job", "run", "disburse").says("0 sent")
	if n := b.creates(); n != 3 {
		t.Fatalf("the gateway was asked to pay %d times, want 3", n)
	}
	b.must("stop", "list").says("everything", "system", "a restore was noticed: this database is older than the last one used here")
	b.run("check").exits(exitRefused).says("FAIL  restores", "payrun restored --reason")
	b.must("exceptions").says("restored, for", ": everything\n")

	b.as(b.checker).run("stop", "lift", "everything").exits(exitRefused).complains("first say what was restored", "payrun restored")
	b.as(b.maker).run("restored", "--reason", "the disk died").exits(exitRefused).complains("needs the role admin or checker")
	b.as(b.admin).must("restored", "--reason", "the disk died").
		says("Everything is stopped", "asked about each payout", "they get the same order numbers", "a checker other than ada")
	b.must("job", "run", "disburse").says("0 sent")
	b.as(b.checker).must("stop", "lift", "everything").says("payouts go again")
	b.must("check").says("the gateway is asked about each payout before it is sent", "Ready.")
	b.must("verify")
}

// waited waits until serve has tried to send at least once, and ends it.
func (b *payer) waited(serving *process) {
	b.t.Helper()
	runs := func() int64 {
		return b.number("SELECT count(*) FROM exceptions WHERE kind = 'restored' AND closed_at = 0")
	}
	eventually(b.t, "the restore is a case", func() bool { return runs() == 1 })
	serving.signal(syscall.SIGTERM)
	serving.wait().exits(exitOK)
}

// Killed between the commit of a claim and the file outside the database,
// the file is one behind: that is a crash, not a restore.
func TestAKilledProcessIsNoRestore(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	b.approved(b.sheet(goodRows(3)...))
	b.paid(3)
	file := b.file() + ".generation"
	kept, _, err := database.ReadGeneration(file)
	if err != nil || kept.Number == 0 {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	kept.Number--
	if err := kept.Write(file); err != nil {
		t.Fatal(err)
	}
	b.must("check").says("Ready.")
	if again, _, _ := database.ReadGeneration(file); again.Number != kept.Number+1 {
		t.Errorf("the file stays at %d", again.Number)
	}
	b.must("stop", "list").says("Nothing is stopped")
}

func TestNothingRunsOnAServerThatForgets(t *testing.T) {
	t.Parallel()
	t.Run("commits", func(t *testing.T) {
		t.Parallel()
		address := dbtest.Empty(t, "postgres")
		b := newPayer(t, "PAYRUN_DATABASE_URL="+address)
		b.approved(b.sheet(goodRows(3)...))
		db := dbtest.Open(t, database.Config{URL: address}, migrations.Check)
		if _, err := db.Writer().ExecContext(t.Context(), fmt.Sprintf("ALTER DATABASE %s SET synchronous_commit = off", name(t, address))); err != nil {
			t.Fatal(err)
		}
		b.forgets("synchronous_commit")
	})
	t.Run("pages", func(t *testing.T) {
		t.Parallel()
		cluster := dbtest.NewCluster(t)
		b := newPayer(t, "PAYRUN_DATABASE_URL="+cluster.URL("postgres"))
		b.approved(b.sheet(goodRows(3)...))
		cluster.Kill()
		cluster.Start("fsync=off")
		b.forgets("fsync")
		cluster.Kill()
		cluster.Start()
		b.paid(3)
	})
}

func name(t *testing.T, address string) string {
	t.Helper()
	location, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(location.Path, "/")
}

func (b *payer) forgets(setting string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience) // it must not serve
	defer cancel()
	for _, command := range [][]string{{"serve"}, {"job", "run", "disburse"}} {
		b.with("PAYRUN_LISTEN=127.0.0.1:0").runContext(ctx, command...).exits(exitDatabase).complains("does not keep every commit", setting)
	}
	b.run("check").exits(exitDatabase).says("FAIL  durability")
	if n := b.creates(); n != 0 {
		b.t.Errorf("%d were sent", n)
	}
}

// Payouts are sent as long as their intent can be stored, and not one more.
func TestNothingIsSentFromAFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		return // only root may make a small disk; TestDiskFull has a limit that stands for it
	}
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	b := newPayer(t, "PAYRUN_DATA="+filepath.Join(small, "data"))
	b.data = filepath.Join(small, "data")
	const payouts = 600
	b.approved(b.sheet(goodRows(payouts)...))
	fill(t, filepath.Join(small, "filler"), 300_000)

	b.run("job", "run", "disburse").exits(exitDatabase).complains("the disk is full: make room")
	b.intended()
	if n := b.creates(); n == payouts {
		t.Error("all were sent: the disk was large enough")
	}
	if err := syscall.Mount("", small, "", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	b.must("verify")
	before := b.creates()
	b.must("job", "run", "disburse")
	b.intended()
	if b.creates() == before {
		t.Error("with room again nothing more is sent")
	}
	b.must("verify")
}

// intended fails the test when the gateway saw a create without an attempt, or
// paid anybody twice.
func (b *payer) intended() {
	b.t.Helper()
	book := b.gateway.Book()
	if twice := book.PaidTwice(); len(twice) > 0 {
		b.t.Errorf("paid twice: %v", twice)
	}
	if creates, attempts := b.creates(), b.number("SELECT count(*) FROM attempts"); int64(creates) > attempts {
		b.t.Errorf("%d creates, %d attempts", creates, attempts)
	}
}

// fill writes a file that leaves so many bytes of its disk.
func fill(t *testing.T, path string, left uint64) {
	t.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &disk); err != nil {
		t.Fatal(err)
	}
	free := disk.Bfree * uint64(disk.Bsize)
	if free <= left {
		t.Fatalf("only %d bytes are free", free)
	}
	if err := os.WriteFile(path, make([]byte, free-left), 0o600); err != nil {
		t.Fatal(err)
	}
}

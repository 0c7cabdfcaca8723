package ledger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/ledger"
)

// guarded is an office that keeps its generation outside the database.
type guarded struct {
	*office
	clock *clock
	file  string
}

func eachGuarded(t *testing.T, test func(*testing.T, *guarded)) {
	t.Helper()
	eachAt(t, func(t *testing.T, o *office, c *clock) {
		g := &guarded{o, c, filepath.Join(t.TempDir(), "generation")}
		g.Book = ledger.New(o.db, ledger.Config{GenerationFile: g.file})
		test(t, g)
	})
}

// running has noticed nothing, and has claimed two of six payouts.
func (g *guarded) running() ledger.Batch {
	g.t.Helper()
	if why := g.notice(); why != "" {
		g.t.Fatalf("a new store is taken for a copy: %s", why)
	}
	batch := g.approved("november", sheet("n", 6))
	for range 2 {
		if claims := g.claim(1); len(claims) != 1 || claims[0].AskFirst {
			g.t.Fatalf("claims: %+v", claims)
		}
	}
	return batch
}

func (g *guarded) notice() string {
	g.t.Helper()
	why, err := g.NoticeRestore(g.t.Context())
	must(g.t, err)
	return why
}

func (g *guarded) kept() database.Generation {
	g.t.Helper()
	kept, _, err := database.ReadGeneration(g.file)
	must(g.t, err)
	return kept
}

// held fails the test unless everything is stopped, with a case, for good.
func (g *guarded) held() {
	g.t.Helper()
	if claims := g.claim(10); len(claims) != 0 {
		g.t.Errorf("%d payouts were claimed from a restored copy", len(claims))
	}
	stops, err := g.Stops(g.t.Context())
	must(g.t, err)
	if len(stops) != 1 || stops[0].Scope != ledger.Everything {
		g.t.Errorf("stops: %+v", stops)
	}
	if n := g.count("SELECT count(*) FROM exceptions WHERE kind = 'restored' AND closed_at = 0"); n != 1 {
		g.t.Errorf("%d open cases", n)
	}
	if n := g.count("SELECT count(*) FROM audit WHERE action = 'store.restored'"); n == 0 {
		g.t.Error("the audit trail does not tell of it")
	}
	g.sound()
}

// What people are told of a restore names steps that work.
func TestARestoreIsToldInWords(t *testing.T) {
	eachGuarded(t, func(t *testing.T, g *guarded) {
		g.running()
		g.told()
		kept := g.kept()
		kept.Number++
		must(t, kept.Write(g.file))
		g.held()
		told := map[string]string{}
		for _, alert := range g.told() {
			told[alert.Summary] = alert.NextStep
		}
		noticed := "An older copy of the books was noticed: everything is stopped"
		if next, ok := told[noticed]; !ok || !strings.Contains(next, "payrun restored --reason") {
			t.Errorf("%q: %q of %q", noticed, next, told)
		}
		stopped := "Stopped: everything, by system"
		if next := told[stopped]; !strings.HasPrefix(next, "payrun restored --reason …, once") || !strings.HasSuffix(next, "then another checker: payrun stop lift everything") {
			t.Errorf("%q: %q of %q", stopped, next, told)
		}
	})
}

// Everything that tells a copy, and everything that only looks like one. The
// claim itself must notice: a restore may happen while a process runs.
func TestWhatTellsARestoredCopy(t *testing.T) {
	write := func(store string, by int64) func(*guarded) {
		return func(g *guarded) {
			kept := g.kept()
			if store != "" {
				kept.Store = store
			}
			kept.Number += by
			must(g.t, kept.Write(g.file))
		}
	}
	edit := func(statement string) func(*guarded) { return func(g *guarded) { g.exec(statement) } }
	remove := func(g *guarded) { must(g.t, os.Remove(g.file)) }
	both := func(text string) map[string]string { return map[string]string{"sqlite3": text, "postgres": text} }
	server := func(text string) map[string]string { return map[string]string{"postgres": text} }
	for _, test := range []struct {
		name   string
		engine string // that it may happen to; "" for both
		after  func(*guarded)
		want   map[string]string // engine -> what is said; missing: nothing is noticed
	}{
		{"older copy", "", write("", 1), both("this database is older than the last one used here (2 sendings known, 3 made")},
		{"much older copy", "", write("", 1000), both("(2 sendings known")},
		{"copy from before the first claim", "", edit("UPDATE origin SET generation = 0"), both("(0 sendings known")},
		{"copy from before anything was known", "", edit("UPDATE origin SET store = '', cluster = '', place = '', timeline = 0, generation = 0"), both("another database")},
		{"another store", "", write(strings.Repeat("X", 26), 0), both("another database")},
		{"file lost, or another machine", "", remove, map[string]string{"sqlite3": "is missing, though payouts were claimed"}},
		{"another cluster", "postgres", edit("UPDATE origin SET cluster = '7'"), server("another PostgreSQL cluster")},
		{"a dump restored", "postgres", edit("UPDATE origin SET place = '5/7'"), server("the tables were created anew")},
		{"a standby took over", "postgres", edit("UPDATE origin SET timeline = 7"), server("is on timeline 1, it was 7")},
		{"a role that may ask at last", "postgres", edit("UPDATE origin SET cluster = '', timeline = 0"), nil},
		{"a crash before the file was written", "", write("", -1), nil},
		{"a file that is long behind", "", write("", -2), nil},
		{"nothing happened", "", func(*guarded) {}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachGuarded(t, func(t *testing.T, g *guarded) {
				g.running()
				if test.engine != "" && test.engine != g.db.Dialect.Name {
					return // it has nothing of the kind
				}
				test.after(g)
				before, _, err := database.ReadGeneration(g.file)
				must(t, err)
				want := test.want[g.db.Dialect.Name]
				if want == "" {
					g.goesOn()
					return
				}
				g.held()
				if n := g.count("SELECT count(*) FROM stops WHERE reason LIKE ?", "%"+want+"%"); n != 1 {
					t.Errorf("the stop does not say %q", want)
				}
				if why := g.notice(); why != "" {
					t.Errorf("noticed again: %s", why)
				}
				if g.kept().Number <= before.Number {
					t.Errorf("the file says %d, as copies do that are older than what was noticed", g.kept().Number)
				}
				g.held()
			})
		})
	}
}

// goesOn fails the test unless payouts go as ever.
func (g *guarded) goesOn() {
	g.t.Helper()
	if why := g.notice(); why != "" {
		g.t.Errorf("noticed: %s", why)
	}
	if claims := g.claim(1); len(claims) != 1 || claims[0].AskFirst {
		g.t.Errorf("claims: %+v", claims)
	}
	g.sound()
}

func TestARestoreIsSettledByTwoPeople(t *testing.T) {
	eachGuarded(t, func(t *testing.T, g *guarded) {
		ctx := t.Context()
		g.running()
		kept := g.kept()
		kept.Number++
		must(t, kept.Write(g.file))
		if why := g.notice(); !strings.Contains(why, "2 sendings known, 3 made") {
			t.Fatalf("noticed: %q", why)
		}
		lift := func(by ledger.User) error { return g.LiftStop(ctx, by, ledger.Everything, "") }
		if err := lift(g.checker); !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), "payrun restored") {
			t.Errorf("lifted before anybody said what was restored: %v", err)
		}
		for name, by := range map[string]ledger.User{"maker": g.maker, "nobody": {}} {
			if err := g.DeclareRestore(ctx, by, "the disk died"); !errors.Is(err, ledger.ErrForbidden) {
				t.Errorf("%s declared a restore: %v", name, err)
			}
		}
		if err := g.DeclareRestore(ctx, g.checker, ""); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("declared without a reason: %v", err)
		}
		must(t, g.DeclareRestore(ctx, g.checker, "the disk died"))
		if err := lift(g.checker); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("lifted by who declared it: %v", err)
		}
		g.held()
		must(t, lift(g.both))
		if n := g.count("SELECT count(*) FROM exceptions WHERE kind = 'restored' AND closed_at = 0"); n != 0 {
			t.Errorf("%d cases stay open", n)
		}
		if claims := g.claim(1); len(claims) != 1 || !claims[0].AskFirst {
			t.Errorf("claims after a restore: %+v", claims)
		}
		g.clock.advance(31 * 24 * time.Hour)
		g.refresh()
		if claims := g.claim(1); len(claims) != 1 || claims[0].AskFirst {
			t.Errorf("claims a month later: %+v", claims)
		}
		g.sound()
	})
}

// A restore that nothing tells, such as a whole machine's snapshot.
func TestARestoreMayBeDeclaredUnnoticed(t *testing.T) {
	eachGuarded(t, func(t *testing.T, g *guarded) {
		g.running()
		must(t, g.DeclareRestore(t.Context(), g.admin, "snapshot of the virtual machine"))
		g.held()
		must(t, g.LiftStop(t.Context(), g.checker, ledger.Everything, ""))
		if claims := g.claim(1); len(claims) != 1 || !claims[0].AskFirst {
			t.Errorf("claims after a restore: %+v", claims)
		}
	})
}

// Before a byte leaves, the file says so: what a claim returns is sent.
func TestTheFileIsWrittenBeforeAClaimReturns(t *testing.T) {
	eachGuarded(t, func(t *testing.T, g *guarded) {
		g.running()
		origin, err := g.Origin(t.Context())
		must(t, err)
		if want := (database.Generation{Store: origin.Store, Number: 2}); g.kept() != want {
			t.Errorf("kept %+v, want %+v", g.kept(), want)
		}
		info, err := os.Stat(g.file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	})
}

// The very first claim finds no file: were it committed, a crash before the
// file is written would look like a file that was lost.
func TestNothingIsClaimedBeforeThereIsAFile(t *testing.T) {
	eachGuarded(t, func(t *testing.T, g *guarded) {
		g.approved("november", sheet("n", 2))
		if _, err := os.Stat(g.file); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if claims := g.claim(1); len(claims) != 0 {
			t.Errorf("claimed %d", len(claims))
		}
		if kept := g.kept(); kept.Number != 0 {
			t.Errorf("kept %+v", kept)
		}
		if claims := g.claim(1); len(claims) != 1 || g.kept().Number != 1 {
			t.Errorf("claims %+v, kept %+v", claims, g.kept())
		}
	})
}

func TestAGenerationFileThatCannotBeUsedStopsClaims(t *testing.T) {
	for name, damage := range map[string]func(*guarded) error{
		"damaged":  func(g *guarded) error { return os.WriteFile(g.file, []byte("payrun store X generation 7\n"), 0o600) },
		"cut off":  func(g *guarded) error { return os.Truncate(g.file, 10) },
		"a folder": func(g *guarded) error { return errors.Join(os.Remove(g.file), os.Mkdir(g.file, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			eachGuarded(t, func(t *testing.T, g *guarded) {
				g.running()
				must(t, damage(g))
				claimed, err := g.Claim(t.Context(), order(1))
				if !errors.Is(err, database.ErrUnusable) || len(claimed.Claims) != 0 {
					t.Errorf("claimed %d, %v", len(claimed.Claims), err)
				}
			})
		})
	}
}

// A claim that is committed while its file cannot be written comes back with
// the error, so that its payouts are reported as not sent.
func TestAClaimWhoseFileCannotBeWrittenIsNotSent(t *testing.T) {
	t.Parallel()
	o, c := officeAt(t, "postgres")
	folder := filepath.Join(t.TempDir(), "other disk")
	g := &guarded{o, c, filepath.Join(folder, "generation")}
	g.Book = ledger.New(o.db, ledger.Config{GenerationFile: g.file})
	g.running()
	type result struct {
		claimed ledger.Claimed
		err     error
	}
	ended := make(chan result, 1)
	must(t, dbtest.Patiently(t.Context(), o.db, func(tx *database.Tx) error {
		// The claim reads the file, and then waits for this row.
		if _, err := tx.Exec(t.Context(), "UPDATE balances SET included = included"); err != nil {
			return err
		}
		go func() {
			claimed, err := g.Claim(t.Context(), order(1))
			ended <- result{claimed, err}
		}()
		g.waits()
		return errors.Join(os.RemoveAll(folder), os.WriteFile(folder, nil, 0o600)) // the disk is gone
	}))
	r := <-ended
	if !errors.Is(r.err, database.ErrUnusable) || len(r.claimed.Claims) != 1 {
		t.Fatalf("claimed %d, %v", len(r.claimed.Claims), r.err)
	}
	if n := g.count("SELECT count(*) FROM payouts WHERE state = 'SENDING'"); n != 3 {
		t.Errorf("%d are claimed, want the two before and this one", n)
	}
}

// waits returns when somebody waits for a lock.
func (o *office) waits() {
	o.t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for o.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == 0 {
		if time.Now().After(deadline) {
			o.t.Fatal("nobody waits for a lock")
		}
	}
}

func TestVerifyNamesAForgedRestore(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		must(t, o.DeclareRestore(t.Context(), o.admin, "a drill"))
		s := &scene{office: o}
		id := s.count("SELECT id FROM restores")
		row := fmt.Sprint("restore ", id)
		at := s.count("SELECT created_at FROM restores")
		sealed := digested(999999, "declared", "no reason", "user:ada", 9, at)
		for _, f := range []forgery{
			{"reason", edit("UPDATE restores SET reason = 'x'"), "restores", []string{row}},
			{"kind", edit("UPDATE restores SET kind = 'noticed'"), "restores", []string{row}},
			{"added", edit(fmt.Sprintf("INSERT INTO restores VALUES (999999, 'declared', 'no reason', 'user:ada', 9, %d, '%s')", at, sealed)), "restores", []string{"restore 999999"}},
			{"deleted", edit("DELETE FROM restores"), "restores", []string{"origin"}},
			{"forgotten", edit("UPDATE origin SET restored_at = 0"), "restores", []string{"origin"}},
		} {
			t.Run(f.name, func(t *testing.T) { s.try(t, f) })
		}
		s.t = t
		for _, edit := range []string{"DELETE FROM restores", "UPDATE restores SET actor = actor"} {
			err := s.db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(t.Context(), edit)
				return err
			})
			if !database.IsRefused(err) {
				t.Errorf("%s: %v", edit, err)
			}
		}
		s.sound()
	})
}

// inPostgres is an office whose address the test knows, with one payout of
// four claimed.
func inPostgres(t *testing.T, address string) *office {
	t.Helper()
	o := open(t, dbtest.Open(t, database.Config{URL: address}, migrated))
	o.approved("november", sheet("n", 4))
	if claims := o.claim(1); len(claims) != 1 {
		t.Fatalf("claims: %+v", claims)
	}
	return o
}

// noticedAt opens the store that took another one's place.
func noticedAt(t *testing.T, address, why string) {
	t.Helper()
	g := &guarded{reopened(t, dbtest.Open(t, database.Config{URL: address}, prepared)), nil, ""}
	g.held()
	if n := g.count("SELECT count(*) FROM stops WHERE reason LIKE ?", "%"+why+"%"); n != 1 {
		t.Errorf("the stop does not say %q", why)
	}
}

func TestACopyWithinAServerIsNoticed(t *testing.T) {
	t.Parallel()
	address := dbtest.URL(t, "postgres", migrated)
	must(t, inPostgres(t, address).db.Close())
	noticedAt(t, dbtest.Copy(t, address), "created anew")
}

func TestADumpRestoredElsewhereIsNoticed(t *testing.T) {
	t.Parallel()
	address := dbtest.URL(t, "postgres", migrated)
	inPostgres(t, address)
	noticedAt(t, dbtest.NewCluster(t).Restore(address), "another PostgreSQL cluster")
}

// A standby takes over that had not received the newest claims.
func TestAFailoverThatLostCommitsIsNoticed(t *testing.T) {
	t.Parallel()
	primary := dbtest.NewCluster(t)
	o := inPostgres(t, primary.URL("postgres"))
	standby := primary.Standby()
	standby.Kill() // it follows no more
	if claims := o.claim(2); len(claims) != 2 {
		t.Fatalf("claims: %+v", claims)
	}
	must(t, o.db.Close())
	primary.Kill()
	standby.Start()
	standby.Promote()
	noticedAt(t, standby.URL("postgres"), "timeline 2, it was 1")
}

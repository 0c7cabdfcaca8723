package database_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
)

// prepare makes two small tables: a counter to race on, and a list.
func prepare(ctx context.Context, db *database.DB) error {
	return db.InTx(ctx, func(tx *database.Tx) error {
		for _, statement := range []string{
			"CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
			"INSERT INTO counters (id, n) VALUES (1, 0)",
			"CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE)",
		} {
			// A clone of the PostgreSQL template has them already.
			if _, err := tx.Exec(ctx, strings.Replace(statement, "CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1)+
				onConflict(statement)); err != nil {
				return err
			}
		}
		return nil
	})
}

func onConflict(statement string) string {
	if strings.HasPrefix(statement, "INSERT") {
		return " ON CONFLICT DO NOTHING"
	}
	return ""
}

func TestConcurrentReadThenWriteLosesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		const workers, rounds = 4, 25
		var wg sync.WaitGroup
		errs := make(chan error, workers*rounds)
		for range workers {
			wg.Go(func() {
				for range rounds {
					errs <- db.InTx(t.Context(), func(tx *database.Tx) error {
						var n int64
						if err := tx.Get(t.Context(), &n, "SELECT n FROM counters WHERE id = ?"+tx.Dialect.ForUpdate, 1); err != nil {
							return err
						}
						_, err := tx.Exec(t.Context(), "UPDATE counters SET n = ? WHERE id = ?", n+1, 1)
						return err
					})
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		var n int64
		if err := db.Get(t.Context(), &n, "SELECT n FROM counters"); err != nil || n != workers*rounds {
			t.Fatalf("counter = %d, %v; want %d", n, err, workers*rounds)
		}
	})
}

type wordRow struct {
	ID   int64
	Word string
}

// A batch may run in parts; no part may forget the others.
func TestALargeBatchReturnsEveryRow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		const rows = 1777
		ids, words := make([]int64, rows), make([]string, rows)
		for i := range ids {
			ids[i], words[i] = int64(i+1), fmt.Sprint("word ", i+1)
		}
		var got []wordRow
		err := db.InTx(t.Context(), func(tx *database.Tx) (err error) {
			batch := database.Rows{database.Ints("number", ids), database.Texts("text", words)}
			got, err = database.Select[wordRow](t.Context(), tx, batch, "INSERT INTO words (id, word) SELECT number, text FROM v RETURNING id, word")
			return err
		})
		if err != nil || len(got) != rows {
			t.Fatalf("%d rows came back, %v; want %d", len(got), err, rows)
		}
		seen := map[int64]string{}
		for _, row := range got {
			seen[row.ID] = row.Word
		}
		for i, id := range ids {
			if seen[id] != words[i] {
				t.Fatalf("row %d came back as %q", id, seen[id])
			}
		}
	})
}

func TestBatchBindsEveryRowExactly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		ids := []int64{1, 2, 3, 4}
		words := []string{`quote " and '`, "кошелёк", "a,b{c}\\", "<script>&amp;"}
		var got []wordRow
		err := db.InTx(t.Context(), func(tx *database.Tx) error {
			batch := database.Rows{database.Ints("number", ids), database.Texts("text", words)}
			n, err := batch.Exec(t.Context(), tx, "INSERT INTO words (id, word) SELECT number, text FROM v")
			if err != nil || n != 4 {
				t.Errorf("inserted %d, %v", n, err)
			}
			got, err = database.Select[wordRow](t.Context(), tx, batch,
				"UPDATE words SET word = v.text || ? FROM v WHERE words.id = v.number AND words.id > ? RETURNING id, word", "!", 1)
			return err
		})
		if err != nil || len(got) != 3 {
			t.Fatalf("updated %v, %v", got, err)
		}
		for _, row := range got {
			if want := words[row.ID-1] + "!"; row.Word != want {
				t.Errorf("row %d = %q, want %q", row.ID, row.Word, want)
			}
		}
	})
}

// Rows that are added one by one are bound like whole columns, and a row that
// misses a value is refused.
func TestRowsAreAddedOneByOne(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		batch := database.NewRows(2, "number half", "text ending")
		for i := range int64(3) { // more than there is room for
			batch.AddInts(2*i, i)
			batch.AddTexts(fmt.Sprint("word ", i), "!")
		}
		var got []wordRow
		err := db.InTx(t.Context(), func(tx *database.Tx) (err error) {
			got, err = database.Select[wordRow](t.Context(), tx, batch,
				"INSERT INTO words (id, word) SELECT number - half, text || ending FROM v RETURNING id, word")
			return err
		})
		slices.SortFunc(got, func(a, b wordRow) int { return cmp.Compare(a.ID, b.ID) })
		if want := []wordRow{{0, "word 0!"}, {1, "word 1!"}, {2, "word 2!"}}; err != nil || !slices.Equal(got, want) {
			t.Errorf("stored %v, %v; want %v", got, err, want)
		}
		for name, add := range map[string]func(database.Rows){
			"a text too few":    func(r database.Rows) { r.AddInts(7, 7); r.AddTexts("!") },
			"a number too many": func(r database.Rows) { r.AddInts(7, 7, 7); r.AddTexts("seven", "!") },
		} {
			uneven := database.NewRows(1, "number half", "text ending")
			add(uneven)
			err := db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := uneven.Exec(t.Context(), tx, "INSERT INTO words (id, word) SELECT number, text FROM v")
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "rows") {
				t.Errorf("%s: error %v", name, err)
			}
		}
	})
}

// Were the transaction rolled back as soon as its context ends, beside the COPY
// that still reads from the same connection, both could wait for ever.
func TestALoadThatIsGivenUpEnds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		const rows = 20_000
		for round := range 20 {
			ctx, giveUp := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- db.InTx(ctx, func(tx *database.Tx) error {
					return database.Load(ctx, tx, "words", []string{"id", "word"}, rows, func(i int) []any {
						if i == rows/20*round {
							giveUp()
							for range 10_000 {
								runtime.Gosched() // to whoever would roll back
							}
						}
						return []any{i, fmt.Sprint("word ", i)}
					})
				})
			}()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("given up at a row: %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("round %d has not ended", round)
			}
		}
		var stored int
		if err := db.Get(t.Context(), &stored, "SELECT count(*) FROM words"); err != nil || stored != 0 {
			t.Errorf("%d rows are stored (%v)", stored, err)
		}
	})
}

// Whoever waits for a connection may give up, and one that comes in that very
// moment is not lost.
func TestATransactionIsGivenUpWhereverItIs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		db.Writer().SetMaxOpenConns(1)
		count := func(ctx context.Context) error {
			return db.InTx(ctx, func(tx *database.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE counters SET n = n + 1 WHERE id = 1")
				return err
			})
		}
		committed := 0
		for round := range 200 {
			ctx, giveUp := context.WithTimeout(t.Context(), time.Duration(round)*10*time.Microsecond)
			switch err := count(ctx); {
			case err == nil:
				committed++
			case !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("round %d: %v", round, err)
			}
			giveUp()
		}
		err := db.InTx(t.Context(), func(*database.Tx) error { // has the only connection
			ctx, giveUp := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer giveUp()
			return count(ctx)
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a connection: %v", err)
		}
		if err := count(t.Context()); err != nil {
			t.Error(err)
		}
		var n int
		if err := db.Get(t.Context(), &n, "SELECT n FROM counters WHERE id = 1"); err != nil || n != committed+1 {
			t.Errorf("counted to %d (%v), %d were committed", n, err, committed+1)
		}
	})
}

func TestErrorsAreClassifiedByCode(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		insert := func(id int64, word string) error {
			return db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(t.Context(), "INSERT INTO words (id, word) VALUES (?, ?)", id, word)
				return err
			})
		}
		if err := insert(1, "a"); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{"primary key": insert(1, "b"), "unique": insert(2, "a")} {
			if !database.IsUnique(err) || database.IsRetryable(err) || database.IsConnection(err) || database.IsFull(err) {
				t.Errorf("%s: %v is not classified as a unique violation alone", name, err)
			}
		}
		var word string
		if err := db.Get(t.Context(), &word, "SELECT word FROM words WHERE id = 99"); !errors.Is(err, database.ErrNotFound) {
			t.Errorf("missing row: %v", err)
		}
	})
}

func TestSnapshotSeesOneStateAndCannotWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		err := db.Snapshot(t.Context(), func(snapshot *database.Tx) error {
			var before, after int64
			if err := snapshot.Get(t.Context(), &before, "SELECT n FROM counters"); err != nil {
				return err
			}
			err := db.InTx(t.Context(), func(tx *database.Tx) error {
				_, err := tx.Exec(t.Context(), "UPDATE counters SET n = 7")
				return err
			})
			if err != nil {
				return err
			}
			if err := snapshot.Get(t.Context(), &after, "SELECT n FROM counters"); err != nil {
				return err
			}
			if before != 0 || after != 0 {
				t.Errorf("snapshot saw %d, then %d", before, after)
			}
			_, err = snapshot.Exec(t.Context(), "UPDATE counters SET n = 8")
			return err
		})
		if err == nil {
			t.Error("a snapshot accepted a write")
		}
	})
}

func TestNowIsTheDatabasesAndFixedInATransaction(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		now, err := db.Now(t.Context())
		if err != nil || time.Since(now.Time()).Abs() > time.Minute {
			t.Fatalf("now = %s, %v", now, err)
		}
		err = db.InTx(t.Context(), func(tx *database.Tx) error {
			first, _ := tx.Now(t.Context())
			second, err := tx.Now(t.Context())
			if first != second {
				t.Errorf("now moved from %s to %s in one transaction", first, second)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestStoreIsDurable(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, prepare, func(t *testing.T, db *database.DB) {
		if err := db.CheckDurable(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A server that was restarted has closed the connections that lie idle here.
func TestClosingAfterTheServerIsGoneIsNoFailure(t *testing.T) {
	t.Parallel()
	db, err := database.Open(t.Context(), database.Config{URL: dbtest.URL(t, "postgres", prepare)})
	if err != nil {
		t.Fatal(err)
	}
	var ended int
	err = db.Get(t.Context(), &ended, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()) gone`)
	if err != nil || ended == 0 {
		t.Fatalf("%d connections ended: %v", ended, err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// A service and a command may both be the first. Without the second try a few
// in a hundred of these are told that the file is locked.
func TestANewStoreIsOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	const stores, processes = 50, 6
	for range stores {
		address := "sqlite:" + filepath.Join(t.TempDir(), "payrun.db")
		var openers sync.WaitGroup
		for range processes {
			openers.Go(func() {
				db, err := database.Open(t.Context(), database.Config{URL: address})
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		openers.Wait()
	}
}

func TestUnusableStoresAreNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{
		"unknown scheme":   "mysql://localhost/x",
		"no path":          "sqlite:",
		"folder in a file": "sqlite:" + file + "/payrun.db",
		"nobody listens":   "postgres://payrun:secret@127.0.0.1:1/payrun",
		"malformed":        "postgres://payrun:secret@[::1/payrun",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := database.Open(t.Context(), database.Config{URL: address})
			if !errors.Is(err, database.ErrUnusable) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("err = %v", err)
			}
		})
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://u:secret@h/db", "postgres://h/db?password=secret&user=u", "postgres://u:secret@[::1/db"} {
		if got := database.Redacted(address); strings.Contains(got, "secret") {
			t.Errorf("Redacted(%q) = %q", address, got)
		}
	}
}

package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"payrun/internal/database"
)

// Origin is how a store is told from a copy of it. PostgreSQL says where a
// store lives; and every claim raises a generation that is also kept in a file
// outside the database, which an older copy falls behind.
type Origin struct {
	Store string // random, made when a process first looks
	database.Identity
	Generation int64
	RestoredAt database.Instant `db:"restored_at"` // noticed or declared; 0: never
}

const selectOrigin = "SELECT store, cluster, place, timeline, generation, restored_at FROM origin WHERE id = 1"

// Origin returns what the store knows of itself.
func (b *Book) Origin(ctx context.Context) (Origin, error) {
	var o Origin
	err := b.db.Get(ctx, &o, selectOrigin)
	return o, err
}

// restored says how the store differs from the one that payouts were claimed
// from last, "" when it does not. What one side does not know is not compared.
func (o Origin) restored(here database.Identity, kept *database.Generation, path string) string {
	switch {
	case o.Cluster != "" && here.Cluster != "" && o.Cluster != here.Cluster:
		return fmt.Sprintf("the database is on another PostgreSQL cluster: %s, it was %s", here.Cluster, o.Cluster)
	case o.Place != "" && o.Place != here.Place:
		return fmt.Sprintf("the tables were created anew, as a restored dump does: their place is %s, it was %s", here.Place, o.Place)
	case o.Timeline > 0 && here.Timeline > 0 && o.Timeline != here.Timeline:
		return fmt.Sprintf("PostgreSQL is on timeline %d, it was %d: a standby took over, or a backup was recovered", here.Timeline, o.Timeline)
	case path == "":
	case kept == nil && here.Place == "" && o.Generation > 0: // a server has workers on many machines, new ones too
		return fmt.Sprintf("%s is missing, though payouts were claimed from this database", path)
	case kept != nil && kept.Store != o.Store:
		return fmt.Sprintf("payouts were claimed from another database than this one, says %s", path)
	case kept != nil && kept.Number > o.Generation:
		return fmt.Sprintf("this database is older than the last one used here (%d sendings known, %d made, says %s)", o.Generation, kept.Number, path)
	}
	return ""
}

func (o Origin) restoredWithin(span time.Duration, now database.Instant) bool {
	return o.RestoredAt > 0 && now < o.RestoredAt.Add(span)
}

// RestoredAt is when a restore was last noticed or declared; 0: never.
func (b *Book) RestoredAt(ctx context.Context) (database.Instant, error) {
	var o Origin
	if err := b.db.Get(ctx, &o, selectOrigin); err != nil {
		return 0, fmt.Errorf("read the store's origin: %w", err)
	}
	return o.RestoredAt, nil
}

// restored is when a backup was restored, while the gateway has to be asked
// about payouts before anything becomes of them; 0 otherwise.
func (b *Book) restored(ctx context.Context, tx *database.Tx) (database.Instant, error) {
	var o Origin
	if err := tx.Get(ctx, &o, selectOrigin); err != nil {
		return 0, fmt.Errorf("read the store's origin: %w", err)
	}
	now, err := tx.Now(ctx)
	if err != nil || !o.restoredWithin(b.askFirst, now) {
		return 0, err
	}
	return o.RestoredAt, nil
}

// NoticeRestore compares the store with what is known about it, before
// anything is sent. A restored copy, or a server that took over, is stopped
// as a whole, with a case, until people have looked; why then says what was
// noticed. Claims do the same, so that it is also noticed while running.
func (b *Book) NoticeRestore(ctx context.Context) (why string, err error) {
	var w watch
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		w = watch{path: b.generation}
		return w.look(ctx, tx)
	})
	if err == nil {
		err = w.keep()
	}
	if err != nil {
		return "", fmt.Errorf("see whether a backup was restored: %w", err)
	}
	return w.noticed, nil
}

// watch is one look at where a store is, in one transaction.
type watch struct {
	path    string // of the generation file; "" for none
	kept    *database.Generation
	origin  Origin
	noticed string
}

// look locks the store's origin and compares. What a claim commits stays
// undone until keep has written it outside the database.
func (w *watch) look(ctx context.Context, tx *database.Tx) error {
	if err := tx.Get(ctx, &w.origin, selectOrigin+tx.Dialect.ForUpdate); err != nil {
		return fmt.Errorf("read the store's origin: %w", err)
	}
	here, err := tx.Identity(ctx)
	if err != nil {
		return err
	}
	if err := w.read(); err != nil {
		return err
	}
	if w.noticed = w.origin.restored(here, w.kept, w.path); w.noticed != "" {
		return w.restore(ctx, tx, here, "noticed", w.noticed, "system")
	}
	if w.origin.Store != "" && (here.Cluster == "" || here == w.origin.Identity) {
		return nil
	}
	w.settle(here)
	return w.save(ctx, tx)
}

func (w *watch) read() error {
	w.kept = nil
	if w.path == "" {
		return nil
	}
	kept, found, err := database.ReadGeneration(w.path)
	if found {
		w.kept = &kept
	}
	return err
}

// settle makes this the place where the store lives from now on.
func (w *watch) settle(here database.Identity) {
	if w.origin.Store == "" {
		w.origin.Store = rand.Text()
	}
	w.origin.Place = here.Place
	if here.Cluster != "" {
		w.origin.Cluster = here.Cluster
	}
	if here.Timeline > 0 {
		w.origin.Timeline = here.Timeline
	}
}

func (w *watch) save(ctx context.Context, tx *database.Tx) error {
	o := w.origin
	_, err := tx.Exec(ctx, "UPDATE origin SET store = ?, cluster = ?, place = ?, timeline = ?, generation = ?, restored_at = ? WHERE id = 1",
		o.Store, o.Cluster, o.Place, o.Timeline, o.Generation, o.RestoredAt)
	return err
}

// restore stops everything and settles down here: generations that were
// claimed elsewhere are behind.
func (w *watch) restore(ctx context.Context, tx *database.Tx, here database.Identity, kind, reason, actor string) error {
	number, now, err := stamp(ctx, tx)
	if err != nil {
		return err
	}
	w.settle(here)
	if w.kept != nil {
		w.origin.Generation = max(w.origin.Generation, w.kept.Number)
	}
	w.origin.Generation++
	w.origin.RestoredAt = now
	if err := w.save(ctx, tx); err != nil {
		return err
	}
	r := restoreRow{ID: number, Kind: kind, Reason: storable(reason), Actor: actor, Generation: w.origin.Generation, CreatedAt: now}
	if err := r.insert(ctx, tx); err != nil {
		return err
	}
	if _, err := insertStop(ctx, tx, Stop{Scope: Everything, Reason: restoreReason + kind + ": " + reason, PlacedBy: actor}); err != nil {
		return err
	}
	if err := openException(ctx, tx, Exception{Kind: ExceptionRestored, Detail: reason, NextStep: restoredNextStep}); err != nil {
		return err
	}
	return audit(ctx, tx, actor, "store.restored", kind+" "+strconv.FormatInt(number, 10), reason)
}

// restoreReason begins the reason of a stop that a restore placed.
const restoreReason = "a restore was "

const restoredNextStep = "compare with the gateway's own list what was paid since the copy was made; say what was restored with payrun restored --reason; " +
	"another person, a checker, then lifts the stop"

// advance raises the generation: payouts are being claimed.
func (w *watch) advance(ctx context.Context, tx *database.Tx) error {
	w.origin.Generation++
	_, err := tx.Exec(ctx, "UPDATE origin SET generation = ? WHERE id = 1", w.origin.Generation)
	return err
}

// unkept: there is no generation file yet. Were one claim committed before it
// is there, a crash between the two would look like a file that was lost.
func (w *watch) unkept() bool { return w.path != "" && w.kept == nil }

// keep writes outside the database what was committed inside. Until it has,
// nothing may be sent. A database that is ahead is not a copy: its process
// died between the two. A watch that never looked, for want of a free slot,
// has nothing to keep.
func (w *watch) keep() error {
	want := database.Generation{Store: w.origin.Store, Number: w.origin.Generation}
	if w.path == "" || want.Store == "" || w.kept != nil && *w.kept == want {
		return nil
	}
	return want.Write(w.path)
}

// DeclareRestore records that a backup was restored or a standby took over,
// whether that was noticed or not: everything is stopped, and from now on the
// gateway is asked about each payout before it is sent. An admin or a checker
// may; another person has to lift the stop.
func (b *Book) DeclareRestore(ctx context.Context, by User, reason string) error {
	if reason == "" {
		return errNoReason
	}
	var w watch
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "declare a restore", Admin, Checker); err != nil {
			return err
		}
		w = watch{path: b.generation}
		if err := w.look(ctx, tx); err != nil {
			return err
		}
		return w.restore(ctx, tx, w.origin.Identity, "declared", reason, by.Actor())
	})
	if err == nil {
		err = w.keep()
	}
	if err != nil {
		return fmt.Errorf("declare a restore: %w", err)
	}
	return nil
}

// lastRestore is the number of the newest restore; 0 for none.
func (b *Book) lastRestore(ctx context.Context) (number int64, err error) {
	if err = b.db.Get(ctx, &number, "SELECT coalesce(max(id), 0) FROM restores"); err != nil {
		err = fmt.Errorf("find the newest restore: %w", err)
	}
	return number, err
}

// settleRestore lets the stop of a restore be lifted when somebody has said
// what was restored, by somebody else who knew of it, and ends the case. The
// origin's row lock comes first, as for a restore.
func settleRestore(ctx context.Context, tx *database.Tx, by User, known int64) error {
	var origin Origin
	if err := tx.Get(ctx, &origin, selectOrigin+tx.Dialect.ForUpdate); err != nil {
		return fmt.Errorf("read the store's origin: %w", err)
	}
	var last restoreRow
	err := tx.Get(ctx, &last, "SELECT "+restoreColumns+` FROM restores WHERE EXISTS (SELECT 1 FROM exceptions
		WHERE kind = ? AND closed_at = 0) ORDER BY id DESC LIMIT 1`, ExceptionRestored)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case last.ID > known:
		return fmt.Errorf("%w: a restore was %s just now; payrun stop list and payrun exceptions say what to do", ErrConflict, last.Kind)
	case last.Kind == "noticed":
		return fmt.Errorf("%w: a restored copy was noticed here; first say what was restored and compared, with payrun restored --reason", ErrConflict)
	case last.Actor == by.Actor():
		return fmt.Errorf("%w: %s declared the restore, so another checker lifts the stop", ErrForbidden, by.Name)
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE exceptions SET closed_at = ?, closed_by = ?, resolution = 'compared, and the stop was lifted' WHERE kind = ? AND closed_at = 0",
		now, by.Actor(), ExceptionRestored)
	return err
}

// restoreRow is a restore that was noticed or declared.
type restoreRow struct {
	ID         int64
	Kind       string
	Reason     string
	Actor      string
	Generation int64
	CreatedAt  database.Instant `db:"created_at"`
	Seal       string
}

const restoreColumns = "id, kind, reason, actor, generation, created_at, seal"

func (r restoreRow) seal() string {
	return digest(r.ID, r.Kind, r.Reason, r.Actor, r.Generation, int64(r.CreatedAt))
}

func (r restoreRow) insert(ctx context.Context, tx *database.Tx) error {
	_, err := tx.Exec(ctx, "INSERT INTO restores ("+restoreColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
		r.ID, r.Kind, r.Reason, r.Actor, r.Generation, r.CreatedAt, r.seal())
	return err
}

// checkRestores: each restore is as it was written and audited, and the store
// remembers the newest.
func checkRestores(ctx context.Context, tx *database.Tx) ([]found, error) {
	var all []found
	err := database.Each(ctx, tx, "SELECT "+restoreColumns+" FROM restores ORDER BY id", nil, func(r *restoreRow) error {
		if r.seal() != r.Seal {
			all = append(all, found{fmt.Sprint("restore ", r.ID), "was edited or forged"})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	missing, err := rows(`SELECT 'restore ' || r.id AS row, 'no audit record of it' AS wrong FROM restores r WHERE NOT EXISTS
			(SELECT 1 FROM audit a WHERE a.action = 'store.restored' AND a.subject = r.kind || ' ' || r.id AND a.actor = r.actor AND a.created_at = r.created_at)
		UNION ALL
		SELECT 'origin', 'another restore than the newest counts as its newest' FROM origin o
		WHERE o.restored_at <> (SELECT coalesce(max(created_at), 0) FROM restores)`)(ctx, tx)
	return append(all, missing...), err
}

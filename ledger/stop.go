package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"payrun/internal/database"
)

// Scope of a stop.
type Scope string

// The scopes, from the widest to the narrowest.
const (
	Everything Scope = "everything"
	OneChannel Scope = "channel"
	OneBatch   Scope = "batch"
	OneWallet  Scope = "wallet"
	OnePayout  Scope = "payout"
)

// Stop keeps payouts from being claimed, and from being sent when they are
// claimed already, until it is lifted. Calls already under way go on. The
// stop of a wallet also keeps sheets from naming it.
type Stop struct {
	Scope Scope
	// Subject is a channel code, a batch id, a Wallet, an order number, or ""
	// for everything. A wallet's is not for people's eyes: see Name.
	Subject  string
	Reason   string
	PlacedBy string           `db:"placed_by"`
	PlacedAt database.Instant `db:"placed_at"`
	// Also is why it would have been stopped once more, by itself or after a
	// restore, while it was stopped already; only Stops tells.
	Also string

	payout int64 // that OnePayout is about
}

// Wallet is the subject of a stop of one: upper and lower case are one, since
// some operators take both.
func Wallet(channel, account string) string { return channel + " " + strings.ToLower(account) }

// Name is what is stopped, in words, with a wallet's account masked.
func (s Stop) Name() string {
	channel, account, _ := strings.Cut(s.Subject, " ")
	switch s.Scope {
	case Everything:
		return "everything"
	case OneWallet:
		return "wallet " + Mask(account) + " on channel " + channel
	}
	return string(s.Scope) + " " + s.Subject
}

// Holds reports whether the stop keeps the payout from being sent.
func (s Stop) Holds(p Payout) bool {
	switch s.Scope {
	case Everything:
		return true
	case OneChannel:
		return s.Subject == p.Channel
	case OneBatch:
		return s.Subject == strconv.FormatInt(p.BatchID, 10)
	case OneWallet:
		return s.Subject == Wallet(p.Channel, p.Account)
	case OnePayout:
		return s.Subject == p.OrderNo()
	}
	return false
}

func (s Stop) key() string { return string(s.Scope) + " " + s.Subject }

// Stops returns the stops in force.
func (b *Book) Stops(ctx context.Context) ([]Stop, error) {
	var stops []Stop
	err := b.db.Select(ctx, &stops, `SELECT s.scope, s.subject, s.reason, s.placed_by, s.placed_at,
		coalesce((SELECT max(CASE x.kind WHEN '`+ExceptionRestored+`' THEN 'a restore was noticed or declared: ' ELSE '' END || x.detail) FROM exceptions x WHERE x.closed_at = 0 AND x.batch_id = 0 AND x.payout_id = 0 AND (
			x.kind = '`+ExceptionBraked+`' AND x.subject = s.scope || ' ' || s.subject
			OR x.kind = '`+ExceptionRestored+`' AND x.subject = '' AND s.scope = 'everything' AND s.reason NOT LIKE '`+restoreReason+`%')), '') AS also
		FROM stops s WHERE s.lifted_at = 0 ORDER BY s.placed_at, s.id`)
	return stops, err
}

const selectStops = "SELECT scope, subject, reason, placed_by, placed_at FROM stops WHERE lifted_at = 0"

// BlockedAccounts returns the accounts of the wallets that are stopped, in
// lower case.
func (b *Book) BlockedAccounts(ctx context.Context) ([]string, error) {
	var accounts []string
	err := b.db.Select(ctx, &accounts, "SELECT subject FROM stops WHERE lifted_at = 0 AND scope = 'wallet'")
	for i, wallet := range accounts {
		_, accounts[i], _ = strings.Cut(wallet, " ")
	}
	if err != nil {
		return nil, fmt.Errorf("read stopped wallets: %w", err)
	}
	return accounts, nil
}

// wideStops reads the stops that hold whole markets; those of single payouts
// and wallets may be many, and are asked for row by row: see held.
func wideStops(ctx context.Context, tx *database.Tx) (map[string]bool, error) {
	var stops []Stop
	if err := tx.Select(ctx, &stops, selectStops+" AND scope IN ('everything', 'channel', 'batch')"); err != nil {
		return nil, fmt.Errorf("read stops: %w", err)
	}
	keys := map[string]bool{}
	for _, s := range stops {
		keys[s.key()] = true
	}
	return keys, nil
}

// heldAlone is true of a payout p that is stopped itself, or whose wallet is.
const heldAlone = `(EXISTS (SELECT 1 FROM stops s WHERE s.lifted_at = 0 AND s.payout_id > 0 AND s.payout_id = p.id)
	OR EXISTS (SELECT 1 FROM stops s WHERE s.lifted_at = 0 AND s.scope = 'wallet' AND s.subject = p.channel || ' ' || lower(p.account)))`

// PlaceStop stops sending. Makers, checkers and admins may all pull the brake.
func (b *Book) PlaceStop(ctx context.Context, by User, scope Scope, subject, reason string) error {
	if reason == "" {
		return errNoReason
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "stop payouts", Maker, Checker, Admin); err != nil {
			return err
		}
		stop := Stop{Scope: scope, Subject: subject, Reason: reason, PlacedBy: by.Actor()}
		var err error
		if stop.payout, err = checkStop(ctx, tx, stop); err != nil {
			return err
		}
		placed, err := insertStop(ctx, tx, stop)
		if err != nil {
			return err
		}
		if !placed {
			return fmt.Errorf("%w: %s is stopped already", ErrConflict, stop.Name())
		}
		return audit(ctx, tx, stop.PlacedBy, "stop.place", stop.Name(), reason)
	})
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// Brake stops a channel, or with "" everything, on behalf of a worker that
// found it in trouble. A checker lifts it; what is stopped already stays so,
// and a case tells the reason that came second.
func (b *Book) Brake(ctx context.Context, actor, channel, reason string) error {
	err := b.db.InTx(ctx, func(tx *database.Tx) error { return brake(ctx, tx, actor, channel, reason) })
	if err != nil {
		return fmt.Errorf("stop channel %s: %w", channel, err)
	}
	return nil
}

// brake opens a case with the stop, since nobody asked for it.
func brake(ctx context.Context, tx *database.Tx, actor, channel, reason string) error {
	stop := Stop{Scope: Everything, Reason: reason, PlacedBy: actor}
	if channel != "" {
		stop.Scope, stop.Subject = OneChannel, channel
	}
	placed, err := insertStop(ctx, tx, stop)
	if err != nil {
		return err
	}
	lift := "a checker lets payouts go again with payrun stop lift " + strings.TrimSpace(stop.key())
	if !placed {
		return brakeAgain(ctx, tx, stop, lift)
	}
	err = openException(ctx, tx, Exception{
		Kind: ExceptionStopped, Subject: stop.key(), Detail: stop.Name() + " was stopped automatically: " + reason,
		NextStep: "find out why; " + lift,
	})
	if err != nil {
		return err
	}
	return audit(ctx, tx, actor, "stop.brake", stop.Name(), reason)
}

// brakeAgain keeps the reason of an automatic stop of what people have stopped
// already: whoever lifts theirs has to know of it. Calls under way pull an
// automatic brake again and again; its first reason is enough.
func brakeAgain(ctx context.Context, tx *database.Tx, s Stop, lift string) error {
	var told []int64
	err := tx.Select(ctx, &told, "SELECT id FROM exceptions WHERE kind IN ('"+ExceptionStopped+"', '"+ExceptionBraked+`')
		AND batch_id = 0 AND payout_id = 0 AND subject = ? AND closed_at = 0`, s.key())
	if err != nil || len(told) > 0 {
		return err
	}
	err = openException(ctx, tx, Exception{
		Kind: ExceptionBraked, Subject: s.key(), Detail: "it would have been stopped automatically: " + s.Reason,
		NextStep: "find out why, beside what it was stopped for; " + lift,
	})
	if err != nil {
		return err
	}
	return audit(ctx, tx, s.PlacedBy, "stop.brake", s.Name(), "stopped already; "+s.Reason)
}

// insertStop returns false when the same is stopped already. Then nobody lifts
// that stop before the transaction ends.
func insertStop(ctx context.Context, tx *database.Tx, s Stop) (placed bool, err error) {
	number, now, err := stamp(ctx, tx)
	if err != nil {
		return false, err
	}
	for {
		n, err := tx.Exec(ctx, `INSERT INTO stops (id, scope, subject, payout_id, reason, placed_by, placed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, number, s.Scope, s.Subject, s.payout, s.Reason, s.PlacedBy, now)
		if err != nil || n > 0 {
			return n > 0, err
		}
		var before int64
		err = tx.Get(ctx, &before, "SELECT id FROM stops WHERE scope = ? AND subject = ? AND lifted_at = 0"+tx.Dialect.ForUpdate, s.Scope, s.Subject)
		if !errors.Is(err, ErrNotFound) { // else it was being lifted
			return false, err
		}
	}
}

// checkStop refuses a stop that would hold nothing: claims compare subjects
// to the letter. It returns the payout that is to be stopped, if it is one.
func checkStop(ctx context.Context, tx *database.Tx, s Stop) (payout int64, err error) {
	switch s.Scope {
	case Everything:
		if s.Subject == "" {
			return 0, nil
		}
	case OneChannel:
		if s.Subject != "" {
			return 0, nil
		}
	case OneBatch:
		var batch int64
		err := tx.Get(ctx, &batch, "SELECT id FROM batches WHERE CAST(id AS TEXT) = ?", s.Subject)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return 0, err
		}
	case OneWallet:
		channel, account, _ := strings.Cut(s.Subject, " ")
		if channel != "" && account != "" && s.Subject == Wallet(channel, account) {
			return 0, nil
		}
	case OnePayout:
		return stoppable(ctx, tx, s.Subject)
	}
	return 0, fmt.Errorf("%w: there is nothing called %s to stop", ErrInvalid, s.Name())
}

// stoppable finds a payout that might still be sent.
func stoppable(ctx context.Context, tx *database.Tx, orderNo string) (int64, error) {
	p, err := notified(ctx, tx, orderNo)
	switch {
	case err != nil:
		return 0, err
	case p.ID == 0:
		return 0, fmt.Errorf("%w: there is no payout %s", ErrNotFound, orderNo)
	case p.State.Final():
		return 0, fmt.Errorf("%w: payout %s has ended as %s", ErrConflict, orderNo, p.State)
	}
	return p.ID, nil
}

// LiftStop lets payouts go again. Only a checker may. The stop of a restore
// that is noticed or declared at the same moment is not lifted: ErrConflict.
func (b *Book) LiftStop(ctx context.Context, by User, scope Scope, subject string) error {
	stop := Stop{Scope: scope, Subject: subject}
	known, err := b.lastRestore(ctx)
	if err != nil {
		return err
	}
	err = b.db.InTx(ctx, func(tx *database.Tx) error {
		if err := authorize(ctx, tx, by, "let payouts go again", Checker); err != nil {
			return err
		}
		if scope == Everything {
			if err := settleRestore(ctx, tx, by, known); err != nil {
				return err
			}
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE stops SET lifted_by = ?, lifted_at = ? WHERE scope = ? AND subject = ? AND lifted_at = 0`,
			by.Actor(), now, scope, subject)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %s is not stopped", ErrConflict, stop.Name())
		}
		_, err = tx.Exec(ctx, `UPDATE exceptions SET closed_at = ?, closed_by = ?, resolution = 'the stop was lifted'
			WHERE kind IN ('`+ExceptionStopped+"', '"+ExceptionBraked+`') AND subject = ? AND closed_at = 0`, now, by.Actor(), stop.key())
		if err != nil {
			return err
		}
		return audit(ctx, tx, by.Actor(), "stop.lift", stop.Name(), "")
	})
	if err != nil {
		return fmt.Errorf("lift stop: %w", err)
	}
	return nil
}

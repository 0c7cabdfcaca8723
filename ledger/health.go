package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// Brakes say when sending stops by itself, whichever workers saw the trouble.
// A checker lets payouts go again. Zero fields never stop anything.
type Brakes struct {
	// Window is how far back calls are counted; whole minutes.
	Window time.Duration
	// Minimum is how many calls a rate needs to mean anything.
	Minimum int
	// InDoubtPercent and RefusedPercent of the calls on a channel stop it when
	// more of them are left in doubt, or refused.
	InDoubtPercent, RefusedPercent int
	// BadSignatures is how many of the gateway's answers may be wrongly signed
	// before everything stops. Notifications do not count: anybody can post one.
	BadSignatures int
	// BalancePercent is how far the gateway's balance may fall below what our
	// claims explain, in percent of it, before everything stops.
	BalancePercent int
}

// ReasonBadSignature is the word of a gateway's package that the brakes look
// for in evidence.
const ReasonBadSignature = "bad-signature"

// calls counts how calls on one channel went.
type calls struct {
	Channel                string
	Sent, Refused          int64
	InDoubt                int64 `db:"in_doubt"`
	BadSignatures          int64 `db:"bad_signatures"`
	EverywhereBadSignature int64 `db:"-"`
}

func (c calls) trouble() bool { return c.InDoubt+c.Refused+c.BadSignatures > 0 }

// verdict says why the calls of a window stop their channel, or everything.
func (b Brakes) verdict(c calls) (reason string, everything bool) {
	over := func(n int64, percent int) bool {
		return percent > 0 && c.Sent >= int64(b.Minimum) && n*100 > c.Sent*int64(percent)
	}
	switch {
	case b.BadSignatures > 0 && c.EverywhereBadSignature >= int64(b.BadSignatures):
		return fmt.Sprintf("%d of the gateway's answers in %s were wrongly signed, the brake is at %d", c.EverywhereBadSignature, b.Window, b.BadSignatures), true
	case over(c.InDoubt, b.InDoubtPercent):
		return fmt.Sprintf("%d of %d payouts sent in %s were left in doubt, the brake is at %d percent", c.InDoubt, c.Sent, b.Window, b.InDoubtPercent), false
	case over(c.Refused, b.RefusedPercent):
		return fmt.Sprintf("%d of %d payouts sent in %s were refused, the brake is at %d percent", c.Refused, c.Sent, b.Window, b.RefusedPercent), false
	}
	return "", false
}

// tally counts what the findings say about each channel.
func (r *recording) tally() []calls {
	counts := map[string]*calls{}
	for _, f := range r.findings {
		p, ok := r.changed[f.PayoutID]
		if !ok || f.Evidence == nil {
			continue
		}
		c := counts[p.Channel]
		if c == nil {
			c = &calls{Channel: p.Channel}
			counts[p.Channel] = c
		}
		if strings.HasPrefix(f.Evidence.Reason, ReasonBadSignature) { // what was asked before may follow
			c.BadSignatures++
		}
		if f.From != Sending || f.To == Approved || f.Evidence.Kind != EvidenceCreate {
			continue
		}
		c.Sent++
		switch {
		case f.Evidence.Heard == HeardRejected, f.Evidence.Heard == HeardNotCreated:
			c.Refused++
		case f.To == Unknown:
			c.InDoubt++
		}
	}
	var all []calls
	for _, c := range counts {
		if c.Sent > 0 || c.trouble() {
			all = append(all, *c)
		}
	}
	slices.SortFunc(all, func(a, b calls) int { return cmp.Compare(a.Channel, b.Channel) })
	return all
}

// watch adds the findings to their channels' minutes and pulls the brake when
// a window, over all workers, is as bad as the brakes say. It comes last: of
// what it locks, nobody holds anything for long.
func (r *recording) watch(ctx context.Context) error {
	tallied := r.tally()
	if len(tallied) == 0 {
		return nil
	}
	if err := r.count(ctx, tallied); err != nil {
		return err
	}
	if !slices.ContainsFunc(tallied, calls.trouble) {
		return nil
	}
	window, err := callsSince(ctx, r.tx, r.now.Add(-r.book.brakes.Window))
	if err != nil {
		return err
	}
	for _, c := range window {
		reason, everything := r.book.brakes.verdict(c)
		if reason == "" {
			continue
		}
		channel := c.Channel
		if everything {
			channel = ""
		}
		if err := brake(ctx, r.tx, r.actor, channel, reason); err != nil {
			return err
		}
	}
	return nil
}

func (r *recording) count(ctx context.Context, tallied []calls) error {
	given := database.NewRows(len(tallied), "v_sent v_doubt v_refused v_bad", "v_channel")
	for _, c := range tallied {
		given.AddInts(c.Sent, c.InDoubt, c.Refused, c.BadSignatures)
		given.AddTexts(c.Channel)
	}
	// WHERE: without it SQLite takes ON for a join's.
	_, err := given.Exec(ctx, r.tx, `INSERT INTO channel_minutes (channel, minute, worker, sent, in_doubt, refused, bad_signatures)
		SELECT v_channel, CAST(? AS BIGINT), CAST(? AS TEXT), v_sent, v_doubt, v_refused, v_bad FROM v WHERE v_sent >= 0
		ON CONFLICT (minute, channel, worker) DO UPDATE SET sent = channel_minutes.sent + excluded.sent,
		in_doubt = channel_minutes.in_doubt + excluded.in_doubt, refused = channel_minutes.refused + excluded.refused,
		bad_signatures = channel_minutes.bad_signatures + excluded.bad_signatures`, minuteOf(r.now), r.actor)
	if err != nil {
		return fmt.Errorf("count calls: %w", err)
	}
	return nil
}

func minuteOf(at database.Instant) int64 { return int64(at) / time.Minute.Microseconds() }

// callsSince sums up a window over all workers. What happened before a stop
// was lifted has been looked at by a person, and counts no more.
func callsSince(ctx context.Context, tx *database.Tx, since database.Instant) ([]calls, error) {
	var window []calls
	err := tx.Select(ctx, &window, `SELECT m.channel, sum(m.sent) AS sent, sum(m.in_doubt) AS in_doubt, sum(m.refused) AS refused,
		sum(m.bad_signatures) AS bad_signatures FROM channel_minutes m WHERE m.minute >= ?
		AND m.minute > (SELECT coalesce(max(s.lifted_at), 0) / 60000000 FROM stops s
			WHERE s.lifted_at >= ? AND (s.scope = 'everything' OR s.scope = 'channel' AND s.subject = m.channel))
		GROUP BY m.channel ORDER BY m.channel`, minuteOf(since), since)
	if err != nil {
		return nil, fmt.Errorf("read how calls went: %w", err)
	}
	var bad int64
	for _, c := range window {
		bad += c.BadSignatures
	}
	for i := range window {
		window[i].EverywhereBadSignature = bad
	}
	return window, nil
}

// Explained is how much of the gateway's money our claims have taken for
// certain, fees included: of payouts that ended, since others may not have
// been taken yet. Ask for it before the gateway's balance.
func (b *Book) Explained(ctx context.Context) (map[money.Currency]money.Amount, error) {
	var rows []struct {
		Currency  money.Currency
		Explained money.Amount
	}
	err := b.db.Select(ctx, &rows, `SELECT g.currency, g.committed + `+feesOf+` - coalesce((SELECT sum(p.amount + p.fee_estimate) FROM payouts p
			WHERE p.state = 'SENDING' AND p.currency = g.currency), 0)
		- coalesce((SELECT sum(p.amount + p.fee_estimate) FROM payouts p
			WHERE p.state IN ('UNKNOWN', 'ACCEPTED', 'REVIEW') AND p.next_lookup_at > 0 AND p.currency = g.currency), 0) AS explained
		FROM balances g`)
	if err != nil {
		return nil, fmt.Errorf("read what our claims explain: %w", err)
	}
	explained := map[money.Currency]money.Amount{}
	for _, row := range rows {
		explained[row.Currency] = row.Explained
	}
	return explained, nil
}

const feesOf = "coalesce((SELECT a.balance FROM accounts a WHERE a.currency = g.currency AND a.kind = 'fees'), 0)"

// anchorAge is how long the balance is measured against one report.
const anchorAge = 24 * time.Hour

// anchored is what we know of a balance, with the report of it that it is
// measured against.
type anchored struct {
	Currency      money.Currency
	Claimed       money.Amount     // by us, until now
	Anchor        money.Amount     // what the gateway reported, and our claims had taken by then
	AnchorClaimed money.Amount     `db:"anchor_claimed"` // what they had taken
	AnchoredAt    database.Instant `db:"anchored_at"`
	LiftedAt      database.Instant `db:"lifted_at"` // of the newest stop of everything
}

// known reports whether it can be measured: a person who lifted a stop has
// looked at what was reported before.
func (g anchored) known() bool { return g.AnchoredAt > g.LiftedAt }

// unexplained says in words by how much a reported balance fell below what our
// claims explain, "" where that is less than so many percent of it.
func (g anchored) unexplained(reported money.Amount, percent int) string {
	held, since := g.Anchor-g.AnchorClaimed, g.Claimed-g.AnchorClaimed
	missing, allowed := g.Anchor-reported-g.Claimed, (held+since)/100*money.Amount(percent)
	if !g.known() || missing <= allowed {
		return ""
	}
	return fmt.Sprintf(
		"the gateway's balance fell by %[1]s %[6]s more than all our claims explain: it held %[2]s %[6]s at %[3]s, at most %[4]s %[6]s was claimed since, and it holds %[5]s %[6]s",
		money.Format(missing, g.Currency), money.Format(held, g.Currency), g.AnchoredAt.Time().Format("2006-01-02 15:04 UTC"),
		money.Format(since, g.Currency), money.Format(reported, g.Currency), g.Currency)
}

// WatchBalance compares a balance that the gateway just reported with what our
// claims explain, and stops everything when it fell further. What it held and
// what our claims took for certain (explained, from before it was asked) is at
// most what it once held; what it holds and all that was ever claimed is at
// least that, unless somebody else took money out.
func (b *Book) WatchBalance(ctx context.Context, currency money.Currency, reported, explained money.Amount) error {
	if b.brakes.BalancePercent == 0 {
		return nil
	}
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		var g anchored
		err := tx.Get(ctx, &g, `SELECT g.currency, g.committed + `+feesOf+` AS claimed, g.anchor, g.anchor_claimed, g.anchored_at,
			(SELECT coalesce(max(s.lifted_at), 0) FROM stops s WHERE s.scope = 'everything') AS lifted_at
			FROM balances g WHERE g.currency = ?`, currency)
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if fall := g.unexplained(reported, b.brakes.BalancePercent); fall != "" {
			return brake(ctx, tx, "system", "", fall)
		}
		if g.known() && reported+explained <= g.Anchor && now.Sub(g.AnchoredAt) < anchorAge {
			return nil
		}
		_, err = tx.Exec(ctx, "UPDATE balances SET anchor = ?, anchor_claimed = ?, anchored_at = ? WHERE currency = ?",
			reported+explained, explained, now, currency)
		return err
	})
	if err != nil {
		return fmt.Errorf("watch the gateway's balance: %w", err)
	}
	return nil
}

// ForgetCalls deletes the counts that no window reaches any more.
func (b *Book) ForgetCalls(ctx context.Context) error {
	return b.db.InTx(ctx, func(tx *database.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM channel_minutes WHERE minute < ?", minuteOf(now.Add(-b.brakes.Window-time.Hour)))
		return err
	})
}

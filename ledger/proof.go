package ledger

import (
	"context"
	"fmt"
	"time"

	"payrun/internal/database"
)

// Proof is what must be shown before a payout in doubt may be sent again or
// called failed: that the gateway does not have it, and nothing of it is on
// the way any more.
type Proof struct {
	// Answers is how often the gateway must have said "not found" since the
	// newest attempt could last have left. Default 3.
	Answers int
	// Over is the time between the first and the last of them. Default 30 min.
	Over time.Duration
	// Attempts is how often a payout may be sent at all, with all attempts
	// counted that may have left. Default 2.
	Attempts int
}

func (p Proof) withDefaults() Proof {
	if p.Answers == 0 {
		p.Answers = 3
	}
	if p.Over == 0 {
		p.Over = 30 * time.Minute
	}
	if p.Attempts == 0 {
		p.Attempts = 2
	}
	return p
}

// grounds is what is on file about the absence of one payout.
type grounds struct {
	Payout           // ID, state and what makes its order number
	Attempt    int64 // the newest one
	Sent       int64 // attempts that may have left
	NotCreated int64 `db:"not_created"` // those of them that were refused for good
	Learned    int64 // shapes of "not found" known for its account
	Notified   int64 // verified notifications about it
	Answers    int64
	Newest     int64            // the newest such answer's evidence
	First      database.Instant // of the answers
	Last       database.Instant
	Doubtful   string // why what it pays again may have been paid, "" normally
	Reason     string // of the newest look-up: why it proves nothing, where it could have
}

// mayHaveLeft is true of an attempt t that is not proven to have stayed here.
const mayHaveLeft = `NOT EXISTS (SELECT 1 FROM events n
	WHERE n.payout_id > 0 AND n.payout_id = t.payout_id AND n.attempt_id = t.id AND n.reason = 'not-sent')`

// readGrounds looks only at answers that came after the newest attempt could
// last have left, and after the last one that named an order of the gateway's.
func readGrounds(ctx context.Context, tx *database.Tx, payouts []int64) ([]grounds, error) {
	given := database.Rows{database.Ints("v_payout", payouts)}
	all, err := database.Select[grounds](ctx, tx, given, `, since AS (
		SELECT a.payout_id AS s_payout, a.id AS s_attempt, CASE WHEN coalesce(max(e.created_at), 0) > a.send_by THEN max(e.created_at) ELSE a.send_by END AS s_at
		FROM v JOIN payouts p ON p.id = v_payout JOIN attempts a ON a.id = p.attempt_id
		LEFT JOIN evidence e ON e.payout_id = p.id AND e.gateway_order_no <> ''
		GROUP BY a.payout_id, a.id, a.send_by)
		SELECT p.id, p.state, p.next_lookup_at, p.ordinal, p.repays, s_attempt AS attempt, b.order_prefix,
		(SELECT count(*) FROM attempts t WHERE t.payout_id = p.id AND `+mayHaveLeft+`) AS sent,
		(SELECT count(*) FROM attempts t WHERE t.payout_id = p.id AND `+mayHaveLeft+` AND EXISTS
			(SELECT 1 FROM evidence r WHERE r.payout_id = p.id AND r.attempt_id = t.id AND r.kind = 'create' AND r.outcome = 'not-created')) AS not_created,
		(SELECT count(*) FROM learned l WHERE l.gateway_account = b.gateway_account) AS learned,
		(SELECT count(*) FROM evidence c WHERE c.payout_id = p.id AND c.kind = 'callback') AS notified,
		coalesce((SELECT l.reason FROM evidence l WHERE l.payout_id = p.id AND l.kind = 'lookup' ORDER BY l.id DESC LIMIT 1), '') AS reason,
		count(e.id) AS answers, coalesce(max(e.id), 0) AS newest, coalesce(min(e.created_at), 0) AS first, coalesce(max(e.created_at), 0) AS last
		FROM since JOIN payouts p ON p.id = s_payout JOIN batches b ON b.id = p.batch_id
		LEFT JOIN evidence e ON e.payout_id = p.id AND e.attempt_id = s_attempt AND e.kind = 'lookup' AND e.outcome = 'absent' AND e.created_at > s_at
		GROUP BY p.id, p.state, p.next_lookup_at, p.ordinal, p.repays, s_attempt, b.order_prefix, b.gateway_account`)
	if err != nil {
		return nil, fmt.Errorf("read the proof of absence: %w", err)
	}
	repays := make([]Payout, len(all))
	for i, g := range all {
		repays[i] = g.Payout
	}
	doubtful, err := doubtfulChains(ctx, tx, repays)
	for i := range all {
		all[i].Doubtful = doubtful[all[i].ID]
	}
	return all, err
}

// missing of the proof that the gateway does not have the payout.
func (p Proof) missing(g grounds) string {
	switch {
	case g.State == Sending:
		return "an attempt is under way"
	case g.Notified > 0:
		return "the gateway notified about it, so it has it: ask the gateway what became of it, and add its written word as evidence"
	case g.Learned == 0:
		return "nobody knows yet how the gateway says \"not found\": run payrun check"
	case g.Answers < int64(p.Answers):
		return fmt.Sprintf("the gateway has said \"not found\" %d of %d times%s; %s", g.Answers, p.Answers, g.why(), g.next())
	case g.Last.Sub(g.First) < p.Over:
		return fmt.Sprintf("the gateway has said \"not found\" %d times within %s, which must be %s; %s",
			g.Answers, g.Last.Sub(g.First).Round(time.Second), p.Over, g.next())
	}
	return ""
}

// why the newest answer did not count, in brackets.
func (g grounds) why() string {
	if g.Reason == "" || g.Answers > 0 {
		return ""
	}
	return " (the last answer does not count: " + g.Reason + ")"
}

func (g grounds) next() string {
	if g.NextLookup == 0 {
		return "no look-up is due"
	}
	return "the next look-up is at " + g.NextLookup.Time().Format("2006-01-02 15:04:05 UTC")
}

// spent says that the payout may not be sent again, however absent it is.
func (p Proof) spent(g grounds) string {
	if g.Doubtful != "" || g.Sent < int64(p.Attempts) {
		return g.Doubtful
	}
	return fmt.Sprintf("it was sent %d times, and %d is the most", g.Sent, p.Attempts)
}

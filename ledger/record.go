package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// Finding is what one look at a payout means: the answer to a create call or
// to a look-up, and the change of state it leads to.
type Finding struct {
	PayoutID  int64
	AttemptID int64 // the attempt that was answered; the newest one for look-ups
	From, To  State // equal when the state stays
	Reason    Reason
	Note      string
	Evidence  *Evidence // nil when the answer says nothing new

	GatewayOrder string
	Status       string
	Fee          money.Amount
	FeeKnown     bool
	Rate         string
	Received     string

	// Unusual says in words why a person should watch the payout although
	// its state is clear; "" normally. UnusualKind is the case's kind, ""
	// meaning ExceptionUnusual.
	Unusual, UnusualKind string
	// Conflict: the look-up tells another end than a notification.
	Conflict bool
	// Block keeps a payout that goes back to APPROVED from being claimed, and
	// says why; "" normally.
	Block string
	// NextLookup is when to look again; 0 for never.
	NextLookup time.Duration

	basis int64 // evidence on file that it stands on, where it brings none
}

// Record stores findings: state, evidence, events and postings commit
// together. Each takes effect only if the payout still stands where the
// finding starts from; the evidence of the others is kept all the same. It
// returns how many took effect. One finding that the store refuses does not
// take the others with it.
func (b *Book) Record(ctx context.Context, actor string, findings []Finding) (int, error) {
	for _, f := range findings {
		_, illegal := transition(f.From, f.To, f.Reason)
		switch {
		case illegal != nil:
		case f.Reason == ByTwoPeople || f.Reason == ByCorrection:
			return 0, fmt.Errorf("%w: two people decide about payout %d, not %s", ErrForbidden, f.PayoutID, actor)
		case f.Reason == ByRelease || f.Reason == ByProof:
			return 0, fmt.Errorf("%w: payout %d changes so only by proof, not because %s says so", ErrForbidden, f.PayoutID, actor)
		}
	}
	findings, later := oncePerPayout(findings)
	if len(findings) == 0 {
		return 0, nil
	}
	changed, err := b.recordOnce(ctx, actor, findings)
	if err != nil && !hopeless(ctx, findings, err) {
		half := len(findings) / 2
		first, errFirst := b.Record(ctx, actor, findings[:half])
		second, errSecond := b.Record(ctx, actor, findings[half:])
		changed, err = first+second, errors.Join(errFirst, errSecond)
	}
	more, errLater := b.Record(ctx, actor, later)
	return changed + more, errors.Join(err, errLater)
}

// oncePerPayout splits off findings about a payout that has one already: the
// guard judges them after the first has taken effect.
func oncePerPayout(findings []Finding) (once, later []Finding) {
	seen := make(map[int64]bool, len(findings))
	for _, f := range findings {
		if seen[f.PayoutID] {
			later = append(later, f)
			continue
		}
		seen[f.PayoutID] = true
		once = append(once, f)
	}
	return once, later
}

// hopeless reports whether there is no use in trying the findings in halves:
// there is only one, or the store itself is away.
func hopeless(ctx context.Context, findings []Finding, err error) bool {
	return len(findings) == 1 || database.IsConnection(err) || database.IsFull(err) || ctx.Err() != nil
}

func (b *Book) recordOnce(ctx context.Context, actor string, findings []Finding) (int, error) {
	changed := 0
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		r := recording{book: b, tx: tx, actor: actor, findings: findings}
		err := r.run(ctx)
		changed = len(r.changed)
		return err
	})
	if err == nil {
		return changed, nil
	}
	err = fmt.Errorf("record findings: %w", err)
	if len(findings) == 1 && errors.Is(err, ErrTransition) {
		err = errors.Join(err, b.keepEvidence(ctx, findings))
	}
	return 0, err
}

// keepEvidence stores what a gateway said even though it leads nowhere.
func (b *Book) keepEvidence(ctx context.Context, findings []Finding) error {
	return b.db.InTx(ctx, func(tx *database.Tx) error {
		return (&recording{tx: tx, findings: findings}).insertEvidence(ctx)
	})
}

// recording is one Record under way, in one transaction.
type recording struct {
	book        *Book
	tx          *database.Tx
	actor       string
	findings    []Finding
	now         database.Instant
	transitions []Transition // per finding; zero when the state stays
	day         int64
	accounts    map[accountKey]int64
	evidenceIDs []int64
	changed     map[int64]changedPayout

	// guard, if set, keeps the findings that hold once day, accounts and
	// batches are locked; it locks the payouts.
	guard func(context.Context, *database.Tx, []Finding) ([]Finding, error)
	// decided is nothing, unless two people decided it.
	decided decided
}

type changedPayout struct {
	ID       int64
	BatchID  int64 `db:"batch_id"`
	Channel  string
	Currency money.Currency
	Amount   money.Amount
	Estimate money.Amount `db:"fee_estimate"`
	Fee      money.Amount
	Moved    money.Amount
}

func (r *recording) run(ctx context.Context) error {
	err := r.lock(ctx)
	if err != nil {
		return err
	}
	if r.guard == nil {
		err = r.lockFollowed(ctx)
	} else {
		r.findings, err = r.guard(ctx, r.tx, r.findings)
	}
	if err != nil {
		return err
	}
	// Only now: what became due while this waited for the locks is in the past.
	if r.now, err = r.tx.Now(ctx); err != nil {
		return err
	}
	if err := r.checkTransitions(); err != nil {
		return err
	}
	if err := r.insertEvidence(ctx); err != nil {
		return err
	}
	if err := r.update(ctx); err != nil {
		return err
	}
	if err := r.insertEvents(ctx); err != nil {
		return err
	}
	if err := r.post(ctx); err != nil {
		return err
	}
	if err := r.updateExceptions(ctx); err != nil {
		return err
	}
	// Late, since an end closes what was open before.
	if err := r.flagContrary(ctx); err != nil {
		return err
	}
	if err := r.blockReturned(ctx); err != nil {
		return err
	}
	return r.watch(ctx)
}

// flagContrary opens a case for a payout that ends otherwise than a
// notification said.
func (r *recording) flagContrary(ctx context.Context) error {
	var ended []int64
	var statuses []string
	r.eachChange(func(_ int, f Finding, p changedPayout) {
		if f.To.Final() && f.Status != "" {
			ended, statuses = append(ended, p.ID), append(statuses, f.Status)
		}
	})
	given := database.Rows{database.Ints("v_payout", ended), database.Texts("v_status", statuses)}
	others, err := database.Select[Payout](ctx, r.tx, given, `SELECT DISTINCT e.payout_id AS id, e.gateway_status FROM v
		JOIN evidence e ON e.payout_id = v_payout WHERE e.kind = 'callback' AND e.outcome = 'ended' AND e.gateway_status <> v_status`)
	if err != nil {
		return err
	}
	var cases []Exception
	for _, p := range others {
		cases = append(cases, contrary(p.ID, r.changed[p.ID].BatchID, "ended otherwise than a notification said: "+p.Status))
	}
	return openExceptions(ctx, r.tx, cases)
}

// blockReturned looks again at re-pays that were not sent after all: what they
// pay again may have been paid meanwhile.
func (r *recording) blockReturned(ctx context.Context) error {
	var returned []int64
	r.eachChange(func(_ int, f Finding, p changedPayout) {
		if f.To == Approved {
			returned = append(returned, p.ID)
		}
	})
	_, err := blockDoubtful(ctx, r.tx, returned)
	return err
}

func (r *recording) checkTransitions() error {
	r.transitions = make([]Transition, len(r.findings))
	for i, f := range r.findings {
		if f.From == f.To {
			continue
		}
		var err error
		if r.transitions[i], err = transition(f.From, f.To, f.Reason); err != nil {
			return err
		}
	}
	return nil
}

// lock takes, in the ledger's one order, what the findings may need: the open
// day and the accounts when money moves, the batches when payouts go back.
func (r *recording) lock(ctx context.Context) error {
	var paid, back []int64
	for _, f := range r.findings {
		switch {
		case f.To.Final():
			paid = append(paid, f.PayoutID)
		case f.To == Approved && f.From != Approved:
			back = append(back, batchOf(f.PayoutID))
		}
	}
	if len(paid) > 0 {
		var err error
		if r.day, err = r.book.openDay(ctx, r.tx); err != nil {
			return err
		}
		given := database.Rows{database.Ints("v_payout", paid)}
		currencies, err := database.Select[money.Currency](ctx, r.tx, given, "SELECT DISTINCT p.currency FROM v JOIN payouts p ON p.id = v_payout")
		if err != nil {
			return err
		}
		if r.accounts, err = lockAccounts(ctx, r.tx, currencies); err != nil {
			return err
		}
	}
	given := database.Rows{database.Ints("v_batch", back)}
	_, err := given.Exec(ctx, r.tx, "UPDATE batches SET drained_at = 0 FROM v WHERE batches.id = v_batch")
	return err
}

// lockFollowed locks the payouts that are to be looked up again: a notification
// that has one of them locked makes its look-up due.
func (r *recording) lockFollowed(ctx context.Context) error {
	var followed []int64
	for _, f := range r.findings {
		if f.NextLookup > 0 && f.From != Sending {
			followed = append(followed, f.PayoutID)
		}
	}
	if len(followed) == 0 {
		return nil
	}
	return lockPayouts(ctx, r.tx, followed)
}

func (r *recording) insertEvidence(ctx context.Context) error {
	r.evidenceIDs = make([]int64, len(r.findings))
	var kept []Finding
	for _, f := range r.findings {
		if f.Evidence != nil {
			kept = append(kept, f)
		}
	}
	numbers, err := ids(ctx, r.tx, "ids", len(kept))
	if err != nil {
		return err
	}
	next := 0
	for i, f := range r.findings {
		if f.Evidence != nil {
			r.evidenceIDs[i] = numbers[next]
			next++
		}
	}
	return insertEvidence(ctx, r.tx, numbers, kept)
}

// update is the guard: a finding changes only a payout that still stands
// where the finding starts from, with the attempt it is about.
func (r *recording) update(ctx context.Context) error {
	given := r.rows()
	// A fee that the gateway does not name is booked as estimated; what was
	// booked when a payout ended stays. A look-up that is due already was asked
	// for by a notification while this one was under way, and stays due.
	changed, err := database.Select[changedPayout](ctx, r.tx, given, `UPDATE payouts SET state = v_to, lease_until = 0,
		lookups = CASE WHEN v_from = v_to THEN lookups + 1 ELSE 0 END,
		next_lookup_at = CASE WHEN v_next > 0 AND next_lookup_at BETWEEN 1 AND ? THEN next_lookup_at ELSE v_next END, ended_at = CASE WHEN ended_at > 0 AND v_from = v_to THEN ended_at ELSE v_ended END,
		gateway_order_no = CASE WHEN v_order = '' THEN gateway_order_no ELSE v_order END,
		status_at = CASE WHEN v_status = '' OR v_status = gateway_status THEN status_at ELSE ? END,
		gateway_status = CASE WHEN v_status = '' THEN gateway_status ELSE v_status END,
		fee = CASE WHEN ended_at > 0 AND v_from = v_to THEN fee WHEN v_known = 1 THEN v_fee WHEN fee_known = 1 THEN fee ELSE fee_estimate END,
		fee_known = CASE WHEN v_known = 1 AND (ended_at = 0 OR v_from <> v_to) THEN 1 ELSE fee_known END,
		rate = CASE WHEN v_rate = '' THEN rate ELSE v_rate END,
		received = CASE WHEN v_received = '' THEN received ELSE v_received END,
		blocked = CASE WHEN v_block = '' THEN blocked ELSE v_block END,
		conflicts = CASE WHEN v_conflict = 1 THEN conflicts + 1 WHEN v_status = '' THEN conflicts ELSE 0 END
		FROM v WHERE payouts.id = v_payout AND payouts.state = v_from AND payouts.attempt_id = v_attempt
		AND (v_from <> 'UNSENT' OR EXISTS (SELECT 1 FROM batches b WHERE b.id = payouts.batch_id AND b.state = 'APPROVED'))
		AND NOT (v_ended > 0 AND v_status <> '' AND v_from <> v_to AND payouts.notified_status NOT IN ('', v_status))
		RETURNING id, batch_id, channel, currency, amount, fee_estimate, fee, moved`, r.now, r.now)
	if err != nil {
		return err
	}
	r.changed = make(map[int64]changedPayout, len(changed))
	for _, p := range changed {
		r.changed[p.ID] = p
	}
	return nil
}

// rows are the findings for update's statement.
func (r *recording) rows() database.Rows {
	given := database.NewRows(len(r.findings), "v_payout v_attempt v_fee v_known v_next v_ended v_conflict",
		"v_from v_to v_order v_status v_rate v_received v_block")
	for _, f := range r.findings {
		var known, conflict int64
		var next, ended database.Instant
		if f.FeeKnown {
			known = 1
		}
		if f.NextLookup > 0 {
			next = r.now.Add(f.NextLookup)
		}
		if f.To.Final() {
			ended = r.now
		}
		if f.Conflict {
			conflict = 1
		}
		given.AddInts(f.PayoutID, f.AttemptID, int64(f.Fee), known, int64(next), int64(ended), conflict)
		given.AddTexts(string(f.From.stored()), string(f.To.stored()), storable(f.GatewayOrder), storable(f.Status),
			storable(f.Rate), storable(f.Received), storable(f.Block))
	}
	return given
}

// eachChange calls f for every finding that changed a payout's state.
func (r *recording) eachChange(f func(i int, finding Finding, p changedPayout)) {
	for i, finding := range r.findings {
		if p, ok := r.changed[finding.PayoutID]; ok && finding.From != finding.To {
			f(i, finding, p)
		}
	}
}

func (r *recording) insertEvents(ctx context.Context) error {
	var events []event
	r.eachChange(func(i int, f Finding, p changedPayout) {
		events = append(events, event{
			BatchID: p.BatchID, PayoutID: p.ID, From: f.From, To: f.To, Reason: f.Reason, Note: f.Note,
			Actor: r.actor, AttemptID: f.AttemptID, EvidenceID: max(r.evidenceIDs[i], f.basis),
		})
	})
	return insertEvents(ctx, r.tx, events)
}

func (r *recording) post(ctx context.Context) error {
	var entries []entry
	r.eachChange(func(i int, f Finding, p changedPayout) {
		t := r.transitions[i]
		entries = append(entries, entry{
			kind: string(t.Reason), currency: p.Currency, batch: p.BatchID, payout: p.ID, actor: r.actor,
			corrects: r.decided.corrects, note: r.decided.note,
			lines: t.Posting(Sums{Amount: p.Amount, Estimate: p.Estimate, Fee: p.Fee, Moved: max(p.Moved, r.decided.moved), FeeChange: r.decided.feeChange}),
		})
	})
	if err := post(ctx, r.tx, r.day, r.accounts, entries); err != nil || r.decided.moved == 0 || len(entries) == 0 {
		return err
	}
	return r.settleDifference(ctx, r.changed[entries[0].payout])
}

// settleDifference takes what a payee got more or less than was ordered out of
// suspense: the evidence for it is the decision's.
func (r *recording) settleDifference(ctx context.Context, p changedPayout) error {
	if _, err := r.tx.Exec(ctx, "UPDATE payouts SET moved = ? WHERE id = ?", r.decided.moved, p.ID); err != nil {
		return err
	}
	var first int64
	if err := r.tx.Get(ctx, &first, "SELECT max(id) FROM entries WHERE payout_id > 0 AND payout_id = ?", p.ID); err != nil {
		return err
	}
	return post(ctx, r.tx, r.day, r.accounts, []entry{{
		kind: string(ByTwoPeople), currency: p.Currency, batch: p.BatchID, payout: p.ID, actor: r.actor,
		corrects: first, note: r.decided.note, lines: move(Available, Suspense, p.Amount-r.decided.moved),
	}})
}

// ReleaseExpired turns attempts whose worker did not report in time into
// doubt: the worker may have died after the gateway took the payout.
func (b *Book) ReleaseExpired(ctx context.Context, actor string, most int) (int, error) {
	var expired []struct {
		ID      int64
		Attempt int64 `db:"attempt_id"`
	}
	now, err := b.db.Now(ctx)
	if err != nil {
		return 0, err
	}
	err = b.db.Select(ctx, &expired, `SELECT id, attempt_id FROM payouts WHERE state = 'SENDING' AND lease_until < ?
		ORDER BY lease_until LIMIT ?`, now, most)
	if err != nil {
		return 0, fmt.Errorf("find lost attempts: %w", err)
	}
	findings := make([]Finding, len(expired))
	for i, p := range expired {
		findings[i] = Finding{
			PayoutID: p.ID, AttemptID: p.Attempt, From: Sending, To: Unknown, Reason: ByLostLease,
			Note: "the worker that sent it did not report back", NextLookup: time.Millisecond,
		}
	}
	return b.Record(ctx, actor, findings)
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"payrun/internal/database"
	"payrun/internal/money"
)

// ClaimOrder says what a worker is ready to send.
type ClaimOrder struct {
	Worker      string
	Max         int           // free places: what is claimed will be sent at once
	Channels    []string      // those that are switched on
	Pace        Pace          // of create calls, over all workers
	Patience    time.Duration // how late after its slot a payout may still leave
	CallTimeout time.Duration // of the create call; the lease outlives it
	LimitsAge   time.Duration // older limits and balances are not sent on
}

// Claim is one payout that a worker must now send, or report as not sent.
// Durations run from the moment the claim was made.
type Claim struct {
	Payout
	Number    int64         // of the attempt, from 1
	SendAfter time.Duration // its slot in the shared budget
	SendBy    time.Duration // past this it must not be sent
	// Spoken: the gateway notified about the order. That it does not know it is
	// no answer then.
	Spoken bool
	// AskFirst: the gateway may have the order already, from an earlier attempt
	// or from before a restore, or people unblocked it, so it must have denied
	// the order right before this one leaves. The question, and the one about
	// what it Repays, has a slot of its own, AskAfter. A denial counts only if
	// the gateway knows another order right after it, asked in ControlAfter.
	AskFirst     bool
	AskAfter     time.Duration
	ControlAfter time.Duration
}

// Claimed is what a claim found.
type Claimed struct {
	Claims []Claim
	// At is when the claim read the database's time, by this process's clock:
	// slots count from then.
	At time.Time
	// Waiting: approved payouts are left; see Book.Waiting for the reasons.
	Waiting bool
	// Throttled is how long until the shared budget has a slot again; 0
	// unless that is why nothing was claimed, and then Waiting is not known.
	Throttled time.Duration
}

// leaseMargin is added to a lease for whatever clocks and schedulers do.
const leaseMargin = 5 * time.Second

// Claim takes approved payouts and commits an attempt for each: from then on
// they are in doubt until Record says how they ended. It takes no more than
// can be sent within about a second, so that little is in doubt when a worker
// dies. A payout is passed over while its channel, its batch or everything is
// stopped, before its pay date, outside limits younger than LimitsAge, or
// beyond the gateway's balance; it is blocked for good when its row no longer
// matches the digest that was approved. A restore that is noticed stops
// everything, see NoticeRestore. With database.ErrCommitUnknown, or when the
// generation file cannot be written, the claims come back with the error:
// nothing of them may be sent, and Record must hear it.
func (b *Book) Claim(ctx context.Context, order ClaimOrder) (Claimed, error) {
	var claimed Claimed
	var empty []int64
	var seen watch
	err := b.db.InTx(ctx, func(tx *database.Tx) error {
		c := claiming{book: b, tx: tx, order: order, watch: watch{path: b.generation}}
		if err := c.run(ctx); err != nil {
			return err
		}
		claimed, empty, seen = c.claimed, c.empty, c.watch
		return nil
	})
	if errors.Is(err, database.ErrCommitUnknown) {
		// The attempts may be there: the caller has to say that it sent nothing.
		return claimed, fmt.Errorf("claim payouts: %w", err)
	}
	if err != nil {
		return Claimed{}, fmt.Errorf("claim payouts: %w", err)
	}
	if err := seen.keep(); err != nil {
		return claimed, fmt.Errorf("claim payouts: %w", err)
	}
	// The claims are committed, so nothing may keep them from the caller; what
	// is not marked now is marked by a later claim.
	_ = b.drain(ctx, empty)
	return claimed, nil
}

// claiming is one claim under way, in one transaction.
type claiming struct {
	book    *Book
	tx      *database.Tx
	order   ClaimOrder
	watch   watch
	now     database.Instant
	slots   slots
	limits  []Limit
	left    map[money.Currency]money.Amount // of the gateway's balance
	claimed Claimed
	empty   []int64 // batches with nothing left to send
}

func (c *claiming) run(ctx context.Context) error {
	var err error
	if c.slots, err = reserve(ctx, c.tx, ForSends, c.order.Pace, c.order.Max); err != nil {
		return err
	}
	c.now, c.claimed.At = c.slots.now, c.slots.read // one moment, by both clocks
	if c.slots.count == 0 {
		c.claimed.Throttled = c.slots.at(0).Sub(c.now) - horizon + time.Millisecond
		return nil
	}
	if err := c.watch.look(ctx, c.tx); err != nil {
		return err
	}
	if c.watch.unkept() {
		c.claimed.Waiting = true
		return nil
	}
	if err := c.readBounds(ctx); err != nil {
		return err
	}
	var candidates []candidate
	if candidates, err = c.candidates(ctx); err != nil {
		return err
	}
	if candidates, err = c.withoutDoubtful(ctx, candidates); err != nil {
		return err
	}
	claims, used, tampered := c.choose(candidates)
	if err := block(ctx, c.tx, tampered, BlockedTampered, nil); err != nil {
		return err
	}
	if err := c.commitAttempts(ctx, claims); err != nil {
		return err
	}
	if err := c.slots.use(ctx, c.tx, ForSends, used); err != nil {
		return err
	}
	left, err := openBatches(ctx, c.tx)
	c.claimed.Waiting = slices.ContainsFunc(left, func(b openBatch) bool { return b.Unsent })
	return err
}

// readBounds reads the limits and balances that are fresh enough to send on.
func (c *claiming) readBounds(ctx context.Context) error {
	fresh := c.now.Add(-c.order.LimitsAge)
	if err := c.tx.Select(ctx, &c.limits, "SELECT "+limitColumns+" FROM limits WHERE fetched_at >= ? ORDER BY channel, currency", fresh); err != nil {
		return err
	}
	c.limits = slices.DeleteFunc(c.limits, func(l Limit) bool { return !slices.Contains(c.order.Channels, l.Channel) })
	var balances []GatewayBalance
	if err := c.tx.Select(ctx, &balances, "SELECT "+balanceColumns+" FROM balances WHERE fetched_at >= ?", fresh); err != nil {
		return err
	}
	c.left = map[money.Currency]money.Amount{}
	for _, balance := range balances {
		c.left[balance.Currency] = balance.Reported - balance.Committed
	}
	return nil
}

// candidates locks payouts in the order of their sheets, oldest batch first.
func (c *claiming) candidates(ctx context.Context) ([]candidate, error) {
	batches, err := openBatches(ctx, c.tx)
	if err != nil {
		return nil, err
	}
	stopped, err := wideStops(ctx, c.tx)
	if err != nil || stopped[Stop{Scope: Everything}.key()] {
		return nil, err
	}
	var candidates []candidate
	for _, batch := range batches {
		if !batch.Unsent {
			c.empty = append(c.empty, batch.ID)
			continue
		}
		if stopped[Stop{Scope: OneBatch, Subject: strconv.FormatInt(batch.ID, 10)}.key()] {
			continue
		}
		if identityWrong(batch.Batch, batch.RowsDigest) != "" {
			if err := openException(ctx, c.tx, tamperedBatch(batch.ID)); err != nil {
				return nil, err
			}
			continue
		}
		for _, limit := range c.limits {
			free := c.slots.count - len(candidates)
			if free <= 0 {
				return candidates, nil
			}
			if stopped[Stop{Scope: OneChannel, Subject: limit.Channel}.key()] {
				continue
			}
			found, err := c.lockPayouts(ctx, batch.Batch, limit, free)
			if err != nil {
				return nil, err
			}
			candidates = append(candidates, found...)
		}
	}
	return candidates, nil
}

// candidate is a payout with what an earlier attempt sent, which a later one
// must send again to the letter.
type candidate struct {
	Payout
	ParamsBefore string `db:"params_before"`
	MayHaveLeft  bool   `db:"may_have_left"` // an earlier attempt; or people unblocked it
	Spoken       bool   // the gateway notified about it
}

type openBatch struct {
	Batch
	Unsent bool
}

// tamperedBatch is a batch whose order numbers are not those that follow from
// its rows: sent under others, a payout could be paid twice.
func tamperedBatch(batch int64) Exception {
	return Exception{
		Kind: ExceptionTampered, BatchID: batch, Detail: "the order numbers of the batch were changed after approval",
		NextStep: "find out who changed them; nothing of the batch is sent until they are put back",
	}
}

func openBatches(ctx context.Context, tx *database.Tx) ([]openBatch, error) {
	var batches []openBatch
	err := tx.Select(ctx, &batches, `SELECT b.id, b.order_prefix, b.gateway_account, b.rows_digest, b.repeat_number, b.accepted, EXISTS (SELECT 1 FROM payouts p
		WHERE p.batch_id = b.id AND p.state = 'UNSENT') AS unsent
		FROM batches b WHERE b.state = 'APPROVED' AND b.drained_at = 0 ORDER BY b.id`)
	return batches, err
}

// passedOver is how many payouts that may not be sent now a claim passes over
// in the order of the sheet. Behind more of them it goes by amount, or each
// claim would read them all again.
const passedOver = 100

// lockPayouts takes payouts of one market in the order of their sheet. Rows
// beyond those that were imported are nobody's payouts.
func (c *claiming) lockPayouts(ctx context.Context, batch Batch, limit Limit, most int) ([]candidate, error) {
	until := batch.Accepted + 1
	err := c.tx.Get(ctx, &until, `SELECT p.ordinal FROM payouts p WHERE p.state = 'UNSENT' AND p.batch_id = ? AND p.channel = ? AND p.currency = ?
		AND p.ordinal < ? ORDER BY p.ordinal LIMIT 1 OFFSET `+strconv.Itoa(most+passedOver), batch.ID, limit.Channel, limit.Currency, until)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	all := err != nil // there are no more than that
	found, err := c.pick(ctx, batch.ID, limit, "p.ordinal < ?", "p.ordinal", most, until)
	if all || err != nil || len(found) == most {
		return found, err
	}
	rest, err := c.lockBeyond(ctx, batch, limit, most-len(found), until)
	return append(found, rest...), err
}

// lockBeyond takes payouts from an ordinal on, by pay date and amount, so that
// those outside the limits, beyond the balance or before their day are not
// even read.
func (c *claiming) lockBeyond(ctx context.Context, batch Batch, limit Limit, most int, from int64) ([]candidate, error) {
	var all []candidate
	date, next := "", ">=" // those without a date come first
	for len(all) < most {
		err := c.tx.Get(ctx, &date, `SELECT p.pay_date FROM payouts p WHERE p.state = 'UNSENT' AND p.batch_id = ? AND p.channel = ? AND p.currency = ?
			AND p.pay_date `+next+` ? AND p.pay_date <= ? ORDER BY p.pay_date LIMIT 1`, batch.ID, limit.Channel, limit.Currency, date, c.book.businessDay(c.now))
		if errors.Is(err, ErrNotFound) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		found, err := c.pick(ctx, batch.ID, limit, "p.ordinal BETWEEN ? AND ? AND p.pay_date = ?", "p.amount", most-len(all), from, batch.Accepted, date)
		if err != nil {
			return nil, err
		}
		all, next = append(all, found...), ">"
	}
	return all, nil
}

// pick locks payouts that may be sent. It asks in an order that only one index
// of unsent payouts has, and writes the row limit into the text: given another
// choice, PostgreSQL likes to walk all payouts from the oldest on. where bounds
// the ordinal from above once: of two bounds SQLite may walk up to the higher.
func (c *claiming) pick(ctx context.Context, batch int64, limit Limit, where, order string, most int, args ...any) ([]candidate, error) {
	var found []candidate
	left := c.left[limit.Currency]
	err := c.tx.Select(ctx, &found, `SELECT p.id, p.batch_id, p.ordinal, p.sheet, p.row_no, p.reference, p.channel,
		p.account, p.payee, p.remark, p.pay_date, p.amount, p.currency, p.fee_estimate, p.row_digest, p.attempts, p.repays,
		(SELECT b.order_prefix FROM batches b WHERE b.id = p.batch_id) AS order_prefix,
		CASE WHEN p.attempts = 0 THEN '' ELSE (SELECT max(a.params_digest) FROM attempts a WHERE a.payout_id = p.id) END AS params_before,
		p.attempts > 0 AND EXISTS (SELECT 1 FROM attempts t WHERE t.payout_id = p.id AND `+mayHaveLeft+`)
			OR EXISTS (SELECT 1 FROM proposals q JOIN decisions d ON d.proposal_id = q.id AND d.verdict = 'confirmed'
				WHERE q.payout_id = p.id AND q.outcome = 'unblock') AS may_have_left,
		`+spokenOf+` AS spoken
		FROM payouts p WHERE p.state = 'UNSENT' AND p.batch_id = ? AND p.channel = ? AND p.currency = ?
		AND p.amount BETWEEN ? AND ? AND p.amount + p.fee_estimate <= ? AND p.blocked = '' AND p.pay_date <= ?
		AND NOT `+heldAlone+` AND `+where+" ORDER BY "+order+" LIMIT "+strconv.Itoa(most)+c.tx.Dialect.SkipLocked,
		append([]any{batch, limit.Channel, limit.Currency, limit.Minimum, min(limit.Maximum, left), left, c.book.businessDay(c.now)}, args...)...)
	return found, err
}

// withoutDoubtful blocks the re-pays of what may have been paid after all: the
// last look at the ledger before they would leave.
func (c *claiming) withoutDoubtful(ctx context.Context, candidates []candidate) ([]candidate, error) {
	var repays []int64
	for _, p := range candidates {
		if p.Repays != "" && p.rowDigest() == p.RowDigest {
			repays = append(repays, p.ID)
		}
	}
	doubtful, err := blockDoubtful(ctx, c.tx, repays)
	return slices.DeleteFunc(candidates, func(p candidate) bool { return doubtful[p.ID] != "" }), err
}

// choose keeps what may be sent now, in order, and counts the slots for it: a
// payout that has to be asked about first takes three.
func (c *claiming) choose(candidates []candidate) (claims []Claim, used int, tampered []int64) {
	for _, p := range candidates {
		if p.rowDigest() != p.RowDigest || p.ParamsBefore != "" && p.ParamsBefore != p.paramsDigest() {
			tampered = append(tampered, p.ID)
			continue
		}
		if c.left[p.Currency] < p.Amount+p.FeeEstimate {
			continue
		}
		if used >= c.slots.count {
			break
		}
		c.left[p.Currency] -= p.Amount + p.FeeEstimate
		claim := Claim{Payout: p.Payout, Number: p.Attempts + 1, Spoken: p.Spoken}
		claim.AskFirst = p.MayHaveLeft || p.Spoken || c.watch.origin.restoredWithin(c.book.askFirst, c.now)
		claim.AskAfter = c.slots.at(used).Sub(c.now)
		if claim.AskFirst {
			claim.ControlAfter = c.slots.at(used + 1).Sub(c.now)
			used += 2
		}
		if claim.Repays != "" { // asked about what it pays again
			used++
		}
		claim.SendAfter = c.slots.at(used).Sub(c.now)
		claim.SendBy = claim.SendAfter + c.order.Patience
		used++
		claims = append(claims, claim)
	}
	return claims, used, tampered
}

// calls is how many calls the worker may make about the payout before it
// reports back: the create call, and the questions that come first.
func (c Claim) calls() time.Duration {
	calls := time.Duration(1)
	if c.AskFirst {
		calls += 2
	}
	if c.Repays != "" {
		calls++
	}
	return calls
}

// commitAttempts makes the intent durable: state, attempt and event. Only
// after this commits may a byte be sent.
func (c *claiming) commitAttempts(ctx context.Context, claims []Claim) error {
	n := len(claims)
	if n == 0 {
		return nil
	}
	numbers, err := ids(ctx, c.tx, "ids", n)
	if err != nil {
		return err
	}
	given := database.NewRows(n, "v_payout v_attempt v_number v_lease", "")
	attempts, events := make([]attempt, n), make([]event, n)
	committed := map[money.Currency]money.Amount{}
	for i := range claims {
		p := &claims[i]
		p.AttemptID, p.State = numbers[i], Sending
		sendBy := c.now.Add(p.SendBy)
		given.AddInts(p.ID, p.AttemptID, p.Number, int64(sendBy.Add(p.calls()*c.order.CallTimeout+leaseMargin)))
		attempts[i] = attempt{
			ID: p.AttemptID, PayoutID: p.ID, Number: p.Number, OrderNo: p.OrderNo(), ParamsDigest: p.paramsDigest(),
			LimitsSource: c.limitFor(p.Payout).Source, Worker: c.order.Worker, SendBy: sendBy,
		}
		events[i] = event{
			BatchID: p.BatchID, PayoutID: p.ID, From: Approved, To: Sending, Reason: ByClaim,
			Actor: "worker:" + c.order.Worker, AttemptID: p.AttemptID,
		}
		committed[p.Currency] += p.Amount + p.FeeEstimate
	}
	// The state is compared as a text of its own: as it stands, PostgreSQL would
	// take an index of unsent payouts that it believes to be empty, and walk it.
	changed, err := given.Exec(ctx, c.tx, `UPDATE payouts SET state = 'SENDING', attempts = v_number, attempt_id = v_attempt,
		lease_until = v_lease, next_lookup_at = 0, lookups = 0, sent_at = ?
		FROM v WHERE payouts.id = v_payout AND payouts.state || '' = 'UNSENT'`, c.now)
	if err != nil {
		return err
	}
	if changed != int64(n) {
		return fmt.Errorf("%w: %d of %d claimed payouts had changed", ErrConflict, int64(n)-changed, n)
	}
	if err := insertAttempts(ctx, c.tx, attempts); err != nil {
		return err
	}
	if err := insertEvents(ctx, c.tx, events); err != nil {
		return err
	}
	c.claimed.Claims = claims
	if err := c.watch.advance(ctx, c.tx); err != nil {
		return err
	}
	return commitBalances(ctx, c.tx, committed)
}

func (c *claiming) limitFor(p Payout) Limit {
	i := slices.IndexFunc(c.limits, func(l Limit) bool { return l.Channel == p.Channel && l.Currency == p.Currency })
	return c.limits[i]
}

// Why a payout is blocked until a person acts.
const (
	BlockedTampered = "row or order number changed after approval"
	BlockedKnown    = "the gateway knows an order that we never sent"
	BlockedInvalid  = "the gateway's client refuses it as invalid"
	BlockedRepaid   = "the payout that it pays again may have been paid"
)

// block keeps payouts from being claimed, and opens a case for each that says
// why, with details where there are any.
func block(ctx context.Context, tx *database.Tx, payouts []int64, why string, details map[int64]string) error {
	given := database.Rows{database.Ints("v_payout", payouts)}
	if _, err := given.Exec(ctx, tx, "UPDATE payouts SET blocked = ? FROM v WHERE payouts.id = v_payout", why); err != nil {
		return err
	}
	cases := make([]Exception, len(payouts))
	for i, payout := range payouts {
		cases[i] = blockedCase(payout, why, details[payout])
	}
	return openExceptions(ctx, tx, cases)
}

// blockedCase says what to do about a blocked payout.
func blockedCase(payout int64, why, detail string) Exception {
	e := Exception{Kind: ExceptionBlocked, PayoutID: payout, BatchID: batchOf(payout), Detail: why}
	if detail != "" {
		e.Detail += ": " + detail
	}
	switch why {
	case BlockedTampered:
		e.Kind, e.NextStep = ExceptionTampered, "find out who changed the row; put it right and let it go: "+decideAs(OutcomeUnblock, anOrder)+
			"; or take it back: "+decideAs(OutcomeCancel, anOrder)
	case BlockedInvalid:
		e.NextStep = "take it back: " + decideAs(OutcomeCancel, anOrder) + "; then correct its row and hand it in anew"
	case BlockedRepaid:
		e.NextStep = "ask the gateway what became of the payout that it pays again; then let it go, which asks the gateway once more: " +
			decideAs(OutcomeUnblock, anOrder) + "; or take it back: " + decideAs(OutcomeCancel, anOrder)
	}
	return e
}

// drain marks batches that have nothing left to send, so that later claims
// need not look at them. The batch's row lock comes first: whoever puts a
// payout back takes it too, so one of the two sees the other's work.
func (b *Book) drain(ctx context.Context, batches []int64) error {
	for _, batch := range batches {
		err := b.db.InTx(ctx, func(tx *database.Tx) error {
			now, err := tx.Now(ctx)
			if err != nil {
				return err
			}
			var id int64
			if err := tx.Get(ctx, &id, "SELECT id FROM batches WHERE id = ?"+tx.Dialect.ForUpdate, batch); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `UPDATE batches SET drained_at = ? WHERE id = ? AND drained_at = 0
				AND NOT EXISTS (SELECT 1 FROM payouts p WHERE p.batch_id = batches.id AND p.state = 'UNSENT')`, now, batch)
			return err
		})
		if err != nil {
			return fmt.Errorf("mark batch %d as sent: %w", batch, err)
		}
	}
	return nil
}

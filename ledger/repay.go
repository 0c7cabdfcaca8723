package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"payrun/internal/database"
)

// Repay makes a batch that pays failed payouts again, each under a new order
// number that is linked to the old one. It goes through submit and approve
// like any other. The numbers follow from the old ones, so doing it again
// after a restored backup meets the same. It returns ErrConflict with the
// payout that may not be paid again: one that has not failed, is paid again
// already, or whose end is disputed. The batch is looked through like an
// import, for what people have to confirm.
func (b *Book) Repay(ctx context.Context, by User, orders []string, look Scrutiny, reason string) (Batch, error) {
	reason = strings.TrimSpace(storable(reason))
	if reason == "" {
		return Batch{}, errNoReason
	}
	if err := by.must("pay failed payouts again", Maker); err != nil {
		return Batch{}, err
	}
	failed, account, err := b.failedPayouts(ctx, orders)
	if err != nil {
		return Batch{}, fmt.Errorf("re-pay: %w", err)
	}
	s, err := b.Stage(ctx, by, "re-pay: "+reason, account)
	if err != nil {
		return Batch{}, err
	}
	rows, fields := make([]NewPayout, len(failed)), make([]any, len(failed))
	for i, p := range failed {
		rows[i] = NewPayout{
			Sheet: p.Sheet, Row: p.Row, Reference: p.Reference, Channel: p.Channel, Account: p.Account, Payee: p.Payee,
			Remark: p.Remark, PayDate: p.PayDate, Amount: p.Amount, Currency: p.Currency, FeeEstimate: p.FeeEstimate, repays: p.OrderNo(),
		}
		s.repays, fields[i] = append(s.repays, p.ID), p.OrderNo()
	}
	n := int64(len(rows))
	err = s.Add(ctx, rows)
	if err == nil {
		var batch Batch
		if batch, err = s.Publish(ctx, Counts{SourceDigest: digest(fields...), Read: n, Accepted: n, Scrutiny: look}); err == nil {
			return batch, nil
		}
	}
	return Batch{}, fmt.Errorf("re-pay: %w", errors.Join(err, s.Discard(context.WithoutCancel(ctx))))
}

// failedPayouts finds the payouts of some order numbers, in the order of
// their batches, and the gateway account that all of them were sent from.
func (b *Book) failedPayouts(ctx context.Context, orders []string) ([]Payout, string, error) {
	if len(orders) == 0 {
		return nil, "", fmt.Errorf("%w: name at least one order number", ErrInvalid)
	}
	prefixes, ordinals := make([]string, len(orders)), make([]int64, len(orders))
	for i, no := range orders {
		var ok bool
		if prefixes[i], ordinals[i], ok = splitOrderNo(no); !ok {
			return nil, "", fmt.Errorf("%w: %q is not an order number of ours", ErrNotFound, no)
		}
	}
	type row struct {
		Payout
		GatewayAccount string `db:"gateway_account"`
	}
	var found []row
	err := b.db.Snapshot(ctx, func(tx *database.Tx) (err error) {
		given := database.Rows{database.Texts("v_prefix", prefixes), database.Ints("v_ordinal", ordinals)}
		found, err = database.Select[row](ctx, tx, given, "SELECT "+payoutColumns+`, b.gateway_account FROM v
			JOIN batches b ON b.order_prefix = v_prefix JOIN payouts p ON p.id = `+idOf("b", "v_ordinal"))
		return err
	})
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(found, func(a, b row) int { return int(a.ID - b.ID) })
	payouts, numbers := make([]Payout, len(found)), make([]int64, len(found))
	for i, f := range found {
		payouts[i], numbers[i] = f.Payout, f.ID
		switch {
		case f.GatewayAccount != found[0].GatewayAccount:
			return nil, "", fmt.Errorf("%w: %s and %s belong to different gateway accounts; re-pay them apart", ErrInvalid, payouts[0].OrderNo(), f.OrderNo())
		case i > 0 && f.ID == found[i-1].ID:
			return nil, "", fmt.Errorf("%w: %s is named twice", ErrInvalid, f.OrderNo())
		}
	}
	for _, no := range orders {
		if !slices.ContainsFunc(payouts, func(p Payout) bool { return p.OrderNo() == no }) {
			return nil, "", fmt.Errorf("%w: there is no payout %s", ErrNotFound, no)
		}
	}
	return payouts, found[0].GatewayAccount, b.db.Snapshot(ctx, func(tx *database.Tx) error { return checkRepayable(ctx, tx, 0, numbers) })
}

// lockRepayable locks failed payouts that are about to be paid again, so that
// each is paid again by one batch only.
func lockRepayable(ctx context.Context, tx *database.Tx, batch int64, payouts []int64) error {
	if len(payouts) == 0 {
		return nil
	}
	if err := lockPayouts(ctx, tx, payouts); err != nil {
		return err
	}
	return checkRepayable(ctx, tx, batch, payouts)
}

// repayable is a payout that somebody wants to pay again.
type repayable struct {
	Payout
	Again    string // the order number under which another batch pays it again
	Disputed string // the kind of case that is open about its payee and amount
	Proposal int64
}

// checkRepayable refuses the payouts that a batch may not pay again.
func checkRepayable(ctx context.Context, tx *database.Tx, batch int64, payouts []int64) error {
	all, err := readRepayable(ctx, tx, batch, payouts)
	if err != nil {
		return err
	}
	failed := make([]Payout, len(all))
	for i, p := range all {
		failed[i] = p.Payout
	}
	doubtful, err := doubtfulChains(ctx, tx, failed)
	if err != nil {
		return err
	}
	for _, p := range all {
		if why := p.refusal(doubtful[p.ID]); why != "" {
			return fmt.Errorf("%w: payout %s %s", ErrConflict, p.OrderNo(), why)
		}
	}
	return nil
}

func readRepayable(ctx context.Context, tx *database.Tx, batch int64, payouts []int64) ([]repayable, error) {
	given := database.Rows{database.Ints("v_payout", payouts)}
	// A case about this payout, or about another one to the same payee over
	// the same amount: then the two may have been mixed up.
	return database.Select[repayable](ctx, tx, given, "SELECT "+payoutColumns+`,
		coalesce((SELECT max(`+orderNoOf("rb", "r")+`) FROM payouts r JOIN batches rb ON rb.id = r.batch_id
			WHERE r.repays <> '' AND r.repays = `+orderNoOf("b", "p")+` AND `+live("rb", "r")+` AND rb.state <> 'STAGING' AND rb.id <> ?), '') AS again,
		coalesce((SELECT max(x.kind) FROM exceptions x JOIN payouts o ON o.id = x.payout_id
			WHERE x.closed_at = 0 AND `+isDispute+`
			AND o.channel = p.channel AND o.account = p.account AND o.amount = p.amount AND o.currency = p.currency), '') AS disputed,
		`+openProposal+` AS proposal
		FROM v JOIN payouts p ON p.id = v_payout JOIN batches b ON b.id = p.batch_id ORDER BY p.id`, batch)
}

// refusal says why the payout may not be paid again, "" when it may; doubtful
// is what makes its chain doubtful, should it be a re-pay itself.
func (p repayable) refusal(doubtful string) string {
	switch {
	case p.State != Failed && p.State != FailedFee:
		return fmt.Sprintf("is %s; only one that failed can be paid again", p.State)
	case p.GatewayOrder == "":
		return "has no order at the gateway that is as we ordered it, and so the gateway cannot confirm that it failed; pay it in a new sheet"
	case p.Again != "":
		return "is paid again already, as " + p.Again
	case p.Disputed != "":
		return fmt.Sprintf("may have been paid: a case of the kind %s about its payee and amount is open (payrun exceptions)", p.Disputed)
	case p.Proposal != 0:
		return fmt.Sprintf("may change: proposal %d about it is open", p.Proposal)
	case doubtful != "":
		return "was a re-pay itself: " + doubtful
	}
	return ""
}

// disputes are the kinds of open cases in which a payee may have been paid
// although the ledger says otherwise.
var disputes = []string{ExceptionReview, ExceptionContrary, ExceptionPaidTwice}

// isDispute is SQL for a case x of one of these kinds.
var isDispute = "x.kind IN ('" + strings.Join(disputes, "', '") + "')"

// orderNoOf is SQL for the order number of payout p in batch b.
func orderNoOf(b, p string) string {
	return b + ".order_prefix || substr(CAST(100000000 + " + p + ".ordinal AS TEXT), 2)"
}

// live is SQL for a payout p in batch b that nobody took back.
func live(b, p string) string { return p + ".state <> 'CANCELLED' AND " + b + ".state <> 'CANCELLED'" }

// paidAgain finds what pays a payout again, what pays that again, and so on.
func paidAgain(ctx context.Context, tx *database.Tx, no string) (chain []Payout, err error) {
	for {
		var again Payout
		err := tx.Get(ctx, &again, "SELECT "+payoutColumns+` FROM payouts p JOIN batches b ON b.id = p.batch_id
			WHERE p.repays <> '' AND p.repays = ? AND b.state <> 'STAGING' AND `+live("b", "p")+` ORDER BY p.id DESC LIMIT 1`, no)
		if errors.Is(err, ErrNotFound) {
			return chain, nil
		}
		if err != nil {
			return nil, fmt.Errorf("find what pays %s again: %w", no, err)
		}
		chain, no = append(chain, again), again.OrderNo()
	}
}

// link is one payout of a chain, each paying the next one again.
type link struct {
	Again    int64  // the re-pay that the chain is about
	Disputed string // the kind of case that says it may have been paid
	Instead  string // a cancelled re-pay of the same that may have been paid
	Payout
}

// doubtfulChains says of re-pays, by payout, why they may not be sent: of what
// they pay again, and what that paid again, and so on, one has not failed, or
// a case says that it may have been paid, or that another re-pay of it was,
// which had been cancelled. "" or nothing for those that may.
func doubtfulChains(ctx context.Context, tx *database.Tx, payouts []Payout) (map[int64]string, error) {
	var links []link
	for _, p := range payouts {
		links = append(links, link{Again: p.ID, Payout: p})
	}
	why := map[int64]string{}
	for {
		links = slices.DeleteFunc(links, func(l link) bool { return l.Repays == "" || why[l.Again] != "" })
		if len(links) == 0 {
			return why, nil
		}
		for _, l := range links {
			why[l.Again] = l.Repays + ", which it pays again, is not on file"
		}
		var err error
		if links, err = nextLinks(ctx, tx, links); err != nil {
			return nil, fmt.Errorf("find what is paid again: %w", err)
		}
		for _, l := range links {
			if why[l.Again] = l.doubt(); why[l.Again] == "" {
				delete(why, l.Again)
			}
		}
	}
}

// nextLinks finds what the payouts of links pay again. That is older, so a
// chain has an end.
func nextLinks(ctx context.Context, tx *database.Tx, links []link) ([]link, error) {
	given := database.NewRows(len(links), "v_again v_id v_ordinal", "v_prefix")
	for _, l := range links {
		prefix, ordinal, _ := splitOrderNo(l.Repays)
		given.AddInts(l.Again, l.ID, ordinal)
		given.AddTexts(prefix)
	}
	return database.Select[link](ctx, tx, given, "SELECT "+payoutColumns+`, v_again AS again,
		coalesce((SELECT max(x.kind) FROM exceptions x WHERE x.payout_id = p.id AND x.closed_at = 0
			AND `+isDispute+`), '') AS disputed,
		coalesce((SELECT max(`+orderNoOf("ob", "o")+`) FROM payouts o JOIN batches ob ON ob.id = o.batch_id
			WHERE o.repays <> '' AND o.repays = `+orderNoOf("b", "p")+` AND o.id <> v_id AND (o.state = 'SUCCEEDED' OR o.state = 'CANCELLED'
			AND EXISTS (SELECT 1 FROM exceptions x WHERE x.payout_id = o.id AND x.closed_at = 0 AND `+isDispute+`))), '') AS instead
		FROM v JOIN batches b ON b.order_prefix = v_prefix AND b.order_prefix <> ''
		JOIN payouts p ON p.id = `+idOf("b", "v_ordinal")+" AND p.id < v_id")
}

// doubt says why the payout may have been paid after all, "" if nothing does.
func (l link) doubt() string {
	switch {
	case l.State != Failed && l.State != FailedFee:
		return fmt.Sprintf("%s, which it pays again, is %s", l.OrderNo(), l.State)
	case l.Disputed != "":
		return fmt.Sprintf("%s, which it pays again, may have been paid: a case of the kind %s about it is open", l.OrderNo(), l.Disputed)
	case l.Instead != "":
		return fmt.Sprintf("%s, which was to pay %s again and was cancelled, may have been paid", l.Instead, l.OrderNo())
	}
	return ""
}

// blockDoubtful keeps those of the payouts from being sent that are re-pays of
// what may have been paid after all, and says of each why.
func blockDoubtful(ctx context.Context, tx *database.Tx, payouts []int64) (map[int64]string, error) {
	if len(payouts) == 0 {
		return nil, nil
	}
	if err := lockPayouts(ctx, tx, payouts); err != nil {
		return nil, err
	}
	given := database.Rows{database.Ints("v_payout", payouts)}
	repays, err := database.Select[Payout](ctx, tx, given, "SELECT "+payoutColumns+` FROM v JOIN payouts p ON p.id = v_payout
		JOIN batches b ON b.id = p.batch_id AND b.state = 'APPROVED' WHERE p.repays <> '' AND p.state = 'UNSENT' AND p.blocked = ''`)
	if err != nil {
		return nil, err
	}
	doubtful, err := doubtfulChains(ctx, tx, repays)
	if err != nil {
		return nil, err
	}
	return doubtful, block(ctx, tx, slices.Sorted(maps.Keys(doubtful)), BlockedRepaid, doubtful)
}

// paidBesides finds what pays too much once a payout is paid: what pays it
// again, and where it was cancelled as a re-pay itself, what took its place.
func paidBesides(ctx context.Context, tx *database.Tx, p Payout) ([]Payout, error) {
	chain, err := paidAgain(ctx, tx, p.OrderNo())
	if err != nil || p.Repays == "" {
		return chain, err
	}
	others, err := paidAgain(ctx, tx, p.Repays)
	others = slices.DeleteFunc(others, func(o Payout) bool {
		return o.ID == p.ID || slices.ContainsFunc(chain, func(c Payout) bool { return c.ID == o.ID })
	})
	return append(chain, others...), err
}

// blockRepays keeps what pays a payout again from being sent while it is
// disputed whether the payout was paid.
func blockRepays(ctx context.Context, tx *database.Tx, paid Payout) error {
	besides, err := paidBesides(ctx, tx, paid)
	if err != nil {
		return err
	}
	payouts := make([]int64, len(besides))
	for i, p := range besides {
		payouts[i] = p.ID
	}
	_, err = blockDoubtful(ctx, tx, payouts)
	return err
}

// checkRepaysOf looks again whether a batch may pay again what it does, now
// that it is about to be approved.
func checkRepaysOf(ctx context.Context, tx *database.Tx, batch int64, orders []string) error {
	prefixes, ordinals := make([]string, len(orders)), make([]int64, len(orders))
	for i, no := range orders {
		prefixes[i], ordinals[i], _ = splitOrderNo(no)
	}
	given := database.Rows{database.Texts("v_prefix", prefixes), database.Ints("v_ordinal", ordinals)}
	payouts, err := database.Select[int64](ctx, tx, given, `SELECT p.id FROM v JOIN batches b ON b.order_prefix = v_prefix AND b.order_prefix <> ''
		JOIN payouts p ON p.id = `+idOf("b", "v_ordinal"))
	if err != nil {
		return err
	}
	return lockRepayable(ctx, tx, batch, payouts)
}

// warnRepaid opens cases when a payout that failed, and was paid again, turns
// out to be paid: what pays it again, and again after that, is paid too much.
// What was not sent yet is kept from being sent.
func (d *deciding) warnRepaid(ctx context.Context) error {
	besides, err := paidBesides(ctx, d.tx, d.at.Payout)
	if err != nil {
		return err
	}
	for _, again := range besides {
		if err := d.warnOf(ctx, again); err != nil {
			return err
		}
	}
	return nil
}

func (d *deciding) warnOf(ctx context.Context, again Payout) error {
	// Locked first, so that a send that just ended as not sent is seen.
	if err := lockPayouts(ctx, d.tx, []int64{again.ID}); err != nil {
		return err
	}
	n, err := d.tx.Exec(ctx, `UPDATE payouts SET blocked = CASE WHEN blocked = '' THEN ? ELSE blocked END
		WHERE id = ? AND state = 'UNSENT'`, BlockedRepaid, again.ID)
	if err != nil {
		return err
	}
	does := "pays it again"
	if again.Repays == d.at.Repays {
		does = "took its place"
	}
	detail := fmt.Sprintf("%s was paid after all, and %s %s", d.at.OrderNo(), again.OrderNo(), does)
	next := "ask the payee or the gateway for one of them back; then two people close the case: " + decideAs(OutcomePaid, d.at.OrderNo())
	if n > 0 {
		detail += "; that was not sent yet"
		next = "take it back: " + decideAs(OutcomeCancel, again.OrderNo())
	}
	for _, p := range []Payout{d.at.Payout, again} {
		if n > 0 && p.ID == d.at.ID {
			continue // nobody is paid twice
		}
		err := openException(ctx, d.tx, Exception{Kind: ExceptionPaidTwice, BatchID: p.BatchID, PayoutID: p.ID, Detail: detail, NextStep: next})
		if err != nil {
			return err
		}
	}
	return nil
}

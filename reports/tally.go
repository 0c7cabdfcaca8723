package reports

import (
	"cmp"
	"errors"
	"slices"

	"payrun/internal/money"
	"payrun/ledger"
)

// tally counts what is written, while it is written. It has an entry per
// combination that occurs, not per payout.
type tally map[group]*sums

// group is what payouts are counted by.
type group struct {
	Batch    int64
	Channel  string
	Currency money.Currency
	State    ledger.State
}

// sums of the payouts of a group, in minor units of its currency.
type sums struct {
	Payouts   int64
	Amount    money.Amount // as ordered
	Paid      money.Amount // what payees got, of those that were paid
	Fees      money.Amount
	Estimates money.Amount // held as fees when the batch was approved
}

func (t tally) add(g group, s sums) error {
	all, ok := t[g]
	if !ok {
		all = &sums{}
		t[g] = all
	}
	return all.add(s)
}

func (s *sums) add(o sums) error {
	var amountErr, paidErr, feesErr, estimatesErr error
	s.Payouts += o.Payouts
	s.Amount, amountErr = money.Add(s.Amount, o.Amount)
	s.Paid, paidErr = money.Add(s.Paid, o.Paid)
	s.Fees, feesErr = money.Add(s.Fees, o.Fees)
	s.Estimates, estimatesErr = money.Add(s.Estimates, o.Estimates)
	return errors.Join(amountErr, paidErr, feesErr, estimatesErr)
}

// countedGroup is a group with its sums.
type countedGroup struct {
	group
	sums
}

// The ways in which the payouts are grouped. Amounts of different currencies
// are never added up.
func byCurrency(g group) group { return group{Currency: g.Currency} }
func byState(g group) group    { return group{Currency: g.Currency, State: g.State} }
func byChannel(g group) group  { return group{Currency: g.Currency, Channel: g.Channel} }
func byBatch(g group) group    { return group{Currency: g.Currency, Batch: g.Batch} }

// by merges the groups that are equal in what key keeps, and sorts them by
// currency, batch, channel and the order of a payout's life. The sums of the
// parts fit where the sum of the whole did.
func (t tally) by(key func(group) group) []countedGroup {
	merged := tally{}
	for g, s := range t {
		_ = merged.add(key(g), *s)
	}
	groups := make([]countedGroup, 0, len(merged))
	for g, s := range merged {
		groups = append(groups, countedGroup{g, *s})
	}
	slices.SortFunc(groups, func(a, b countedGroup) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Batch, b.Batch),
			cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.State.Rank(), b.State.Rank()))
	})
	return groups
}

package ledger

import (
	"fmt"
	"slices"

	"payrun/internal/money"
)

// State says where a payout stands, and until it is first claimed, where its
// batch stands.
type State string

// The states of a payout. Before it is claimed a payout has no state of its
// own: it stands where its batch stands (Valid, Submitted, Approved), and one
// change to the batch moves a million payouts.
const (
	Valid     State = "VALID"      // imported, every check passed
	Submitted State = "SUBMITTED"  // the maker handed it in
	Approved  State = "APPROVED"   // a checker released it; its money is held
	Cancelled State = "CANCELLED"  // taken back before anything was sent; final
	Sending   State = "SENDING"    // an attempt is open: its call may be under way
	Unknown   State = "UNKNOWN"    // the gateway may or may not have it: in doubt
	Accepted  State = "ACCEPTED"   // the gateway has it and works on it
	Review    State = "REVIEW"     // evidence contradicts itself; people decide
	Succeeded State = "SUCCEEDED"  // the payee was paid; final
	Failed    State = "FAILED"     // not paid, amount and fee came back; final
	FailedFee State = "FAILED_FEE" // not paid, the fee was kept; final
	Closed    State = "CLOSED"     // the gateway closed it; money in suspense; final
)

// unsent is how the database writes "stands where its batch stands".
const unsent State = "UNSENT"

// staging is a batch whose import has not finished; nobody sees it.
const staging State = "STAGING"

// Final reports whether only a correction by two people can change the state.
func (s State) Final() bool {
	return slices.Contains([]State{Cancelled, Succeeded, Failed, FailedFee, Closed}, s)
}

// Sent reports whether the gateway has, or may have, the payout.
func (s State) Sent() bool { return s == Sending || s == Unknown || s == Accepted }

func (s State) stored() State {
	if s == Approved {
		return unsent
	}
	return s
}

// Reason says why a state changed; events, journal and reports show it.
type Reason string

// The reasons for a transition.
const (
	byImport       Reason = "imported" // how a batch begins
	BySubmission   Reason = "submitted"
	ByRejection    Reason = "rejected"
	ByRecall       Reason = "recalled"
	ByApproval     Reason = "approved"
	ByDiscarding   Reason = "discarded"
	ByCancellation Reason = "cancelled"
	ByClaim        Reason = "claimed"
	ByNotSending   Reason = "not-sent"
	ByAcceptance   Reason = "accepted"
	ByDoubt        Reason = "in-doubt"
	ByLostLease    Reason = "lease-lost"
	ByFinding      Reason = "found"
	ByRelease      Reason = "released"
	ByProof        Reason = "proven-not-created"
	BySuccess      Reason = "gateway-succeeded"
	ByFailure      Reason = "gateway-failed"
	ByKeptFee      Reason = "gateway-kept-fee"
	ByClosing      Reason = "gateway-closed"
	ByConflict     Reason = "conflict"
	ByTwoPeople    Reason = "decided-by-two"
	ByCorrection   Reason = "corrected"
)

// Transition is one legal change of state.
type Transition struct {
	From, To State
	Reason   Reason
	// Posting moves the money that the change of state means.
	Posting Posting
	// Guard says what must hold; the functions that make the change enforce it.
	Guard string
}

// Transitions is every legal change of state; any other is refused.
var Transitions = []Transition{
	{Valid, Submitted, BySubmission, none, "by a maker; row digests, count and totals are fixed"},
	{Submitted, Valid, ByRejection, none, "by a checker, with a reason"},
	{Submitted, Valid, ByRecall, none, "by the maker"},
	{Submitted, Approved, ByApproval, hold, "by a checker who neither made nor submitted it; digests unchanged; enough available"},
	{Valid, Cancelled, ByDiscarding, none, "by a maker; nothing was held"},
	{Approved, Cancelled, ByCancellation, release, "no attempt was ever made, or each ended with proof that nothing was sent"},

	{Approved, Sending, ByClaim, none, "not stopped, row digest unchanged, inside fresh limits, slot reserved; the attempt is durable"},
	{Sending, Approved, ByNotSending, none, "proof that no byte was sent, by the worker that held the attempt"},
	{Sending, Accepted, ByAcceptance, none, "the gateway accepted and echoed order number, amount and currency"},
	{Sending, Unknown, ByDoubt, none, "any other answer, or none"},
	{Sending, Unknown, ByNotSending, none, "asked before sending again and learned nothing; no byte of the order was sent"},
	{Sending, Unknown, ByLostLease, none, "the worker did not report before its lease ended"},
	{Unknown, Accepted, ByFinding, none, "a look-up found it"},
	{Unknown, Approved, ByRelease, none, "proven absent by look-ups over the grace time; released by two people or by configuration"},
	{Unknown, Failed, ByProof, release, "the refusal is one that proves nothing was created, and look-ups after the grace time agree"},
	{Unknown, Failed, ByTwoPeople, release, "two people, and the proof that a release needs"},
	{Review, Failed, ByTwoPeople, release, "two people, and the proof that a release needs"},
	{Review, FailedFee, ByTwoPeople, keepFee, "two people, with the gateway's written word that it kept the fee"},
	{Unknown, Succeeded, ByTwoPeople, pay, "two people, with a statement line or the gateway's written word"},
	{Review, Succeeded, ByTwoPeople, pay, "two people, with a statement line or the gateway's written word"},

	{Sending, Succeeded, BySuccess, pay, "the create reply says so, fields equal"},
	{Unknown, Succeeded, BySuccess, pay, "a look-up says so, fields equal"},
	{Accepted, Succeeded, BySuccess, pay, "a look-up says so, fields equal"},
	{Review, Succeeded, BySuccess, pay, "a later, clean look-up says so"},
	{Sending, Failed, ByFailure, release, "the create reply says cancelled or failed"},
	{Unknown, Failed, ByFailure, release, "a look-up says cancelled or failed"},
	{Accepted, Failed, ByFailure, release, "a look-up says cancelled or failed"},
	{Review, Failed, ByFailure, release, "a later, clean look-up says so"},
	{Sending, FailedFee, ByKeptFee, keepFee, "the create reply says failed with the fee kept"},
	{Unknown, FailedFee, ByKeptFee, keepFee, "a look-up says failed with the fee kept"},
	{Accepted, FailedFee, ByKeptFee, keepFee, "a look-up says failed with the fee kept"},
	{Review, FailedFee, ByKeptFee, keepFee, "a later, clean look-up says so"},
	{Unknown, Closed, ByClosing, suspend, "two look-ups, the grace time apart, say closed"},
	{Accepted, Closed, ByClosing, suspend, "two look-ups, the grace time apart, say closed"},
	{Review, Closed, ByClosing, suspend, "two later, clean look-ups, the grace time apart, say closed"},
	{Sending, Review, ByConflict, none, "amount, currency, account or order number differs"},
	{Unknown, Review, ByConflict, none, "amount, currency, account or order number differs"},
	{Accepted, Review, ByConflict, none, "amount, currency, account or order number differs"},

	{Succeeded, Failed, ByCorrection, takeBack, "two people, with evidence"},
	{Failed, Succeeded, ByCorrection, payLate, "two people, with evidence"},
	{FailedFee, Succeeded, ByCorrection, payLate, "two people, with evidence"},
	{Closed, Failed, ByCorrection, unsuspend, "two people, or statement evidence"},
	{Closed, Succeeded, ByCorrection, paySuspended, "two people, with evidence"},
	{Cancelled, Succeeded, ByCorrection, payUnheld, "two people, with evidence: the gateway has what nobody here sent"},
}

// ErrTransition: the change of state is not in the table.
var ErrTransition = fmt.Errorf("%w: no such change of state", ErrConflict)

// transition finds the row of the table, or ErrTransition.
func transition(from, to State, reason Reason) (Transition, error) {
	for _, t := range Transitions {
		if t.From == from && t.To == to && t.Reason == reason {
			return t, nil
		}
	}
	return Transition{}, fmt.Errorf("%w: %s to %s as %s", ErrTransition, from, to, reason)
}

// Kind of account. Every currency has one of each.
type Kind string

// The accounts. Funding is what the owners paid in and normally in credit;
// all others are normally in debit.
const (
	Funding   Kind = "funding"   // top-ups of the gateway account
	Available Kind = "available" // free to be approved
	Held      Kind = "held"      // reserved for approved payouts
	Paid      Kind = "paid"      // gone to payees
	Fees      Kind = "fees"      // gone to the gateway
	Suspense  Kind = "suspense"  // neither here nor there until evidence comes
)

// Line is one side of an entry.
type Line struct {
	Account Kind
	Side    Side
	Amount  money.Amount // > 0
}

// Side of an account.
type Side string

// The two sides.
const (
	Debit  Side = "debit"
	Credit Side = "credit"
)

// Sums are the amounts a posting is made of, all in one currency.
type Sums struct {
	Amount   money.Amount // what the payee gets
	Estimate money.Amount // the fee that was held with it
	Fee      money.Amount // the fee the gateway took
	// Moved is what the payee really got, where that is not the amount; else 0.
	Moved money.Amount
	// FeeChange is by how much a correction changes the fee that is booked.
	FeeChange money.Amount
}

// paid is what the payee gets, or got.
func (s Sums) paid() money.Amount {
	if s.Moved > 0 {
		return s.Moved
	}
	return s.Amount
}

// Posting turns the sums of a payout (or, for a hold, of a whole batch) into
// the lines that belong to a change of state.
type Posting func(Sums) []Line

func none(Sums) []Line { return nil }

func hold(s Sums) []Line { return move(Held, Available, s.Amount+s.Estimate) }

func release(s Sums) []Line { return move(Available, Held, s.Amount+s.Estimate) }

// pay books the amount and the real fee, and gives back what was held too
// much (or takes what was held too little). What the payee got more or less
// than was ordered goes to suspense.
func pay(s Sums) []Line {
	lines := balance(Available, s.Estimate-s.Fee)
	lines = append(lines, balance(Suspense, s.Amount-s.paid())...)
	lines = append(lines, balance(Paid, s.paid())...)
	lines = append(lines, balance(Fees, s.Fee)...)
	return append(lines, balance(Held, -s.Amount-s.Estimate)...)
}

func keepFee(s Sums) []Line {
	lines := balance(Available, s.Amount+s.Estimate-s.Fee)
	lines = append(lines, balance(Fees, s.Fee)...)
	return append(lines, balance(Held, -s.Amount-s.Estimate)...)
}

func suspend(s Sums) []Line { return move(Suspense, Held, s.Amount+s.Estimate) }

func unsuspend(s Sums) []Line {
	lines := balance(Available, s.Amount+s.Estimate-s.FeeChange)
	lines = append(lines, balance(Fees, s.FeeChange)...)
	return append(lines, balance(Suspense, -s.Amount-s.Estimate)...)
}

func takeBack(s Sums) []Line {
	lines := balance(Available, s.paid()-s.FeeChange)
	lines = append(lines, balance(Fees, s.FeeChange)...)
	return append(lines, balance(Paid, -s.paid())...)
}

func payLate(s Sums) []Line {
	lines := balance(Available, -s.paid()-s.FeeChange)
	lines = append(lines, balance(Fees, s.FeeChange)...)
	return append(lines, balance(Paid, s.paid())...)
}

func paySuspended(s Sums) []Line {
	lines := balance(Available, s.Estimate-s.Fee)
	lines = append(lines, balance(Paid, s.Amount)...)
	lines = append(lines, balance(Fees, s.Fee)...)
	return append(lines, balance(Suspense, -s.Amount-s.Estimate)...)
}

// payUnheld pays what was taken back, and its fee: nothing is held for it.
func payUnheld(s Sums) []Line {
	lines := balance(Available, -s.Amount-s.Fee)
	lines = append(lines, balance(Paid, s.Amount)...)
	return append(lines, balance(Fees, s.Fee)...)
}

func fund(s Sums) []Line { return move(Available, Funding, s.Amount) }

func move(to, from Kind, amount money.Amount) []Line {
	return append(balance(to, amount), balance(from, -amount)...)
}

// balance is a debit for a positive amount, a credit for a negative one, and
// no line at all for zero.
func balance(account Kind, amount money.Amount) []Line {
	switch {
	case amount > 0:
		return []Line{{account, Debit, amount}}
	case amount < 0:
		return []Line{{account, Credit, -amount}}
	}
	return nil
}

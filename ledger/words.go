package ledger

import (
	"cmp"
	"slices"
)

// StateWords is what people call a state. sentence and report are "" where
// Short and Meaning do.
type StateWords struct {
	State    State
	Short    string // with a count, such as "29 paid"
	sentence string // in an alert or a refusal
	Meaning  string // for the money, on a terminal
	report   string // what a report says that it means
}

// States are the states in the order in which people want to read them: how a
// payout goes, then how it ends.
var States = []StateWords{
	{Valid, "not submitted", "", "imported, not handed in", "imported, not handed in yet"},
	{Submitted, "not approved", "", "waits for a checker", ""},
	{Approved, "to send", "not sent, but perhaps known to the gateway", "released, not sent yet", "approved, money held, not sent yet"},
	{Sending, "sending", "being sent", "its call is under way", "being sent right now"},
	{Unknown, "in doubt", "", "in doubt, being looked up", "in doubt: may or may not be paid, money held"},
	{Accepted, "under way", "under way at the gateway", "the gateway works on it", "the gateway works on it, money held"},
	{Review, "in review", "under review", "a person has to look", "evidence contradicts itself, money held"},
	{Succeeded, "paid", "", "paid", ""},
	{Failed, "failed", "", "not paid, money is back", "not paid, amount and fee came back"},
	{FailedFee, "failed, fee kept", "failed, the fee kept", "not paid, the fee is gone", "not paid, the gateway kept the fee"},
	{Closed, "closed", "closed, in suspense", "closed, money in suspense", "closed by the gateway, money in suspense"},
	{Cancelled, "cancelled", "", "taken back, never sent", "taken back before it was sent"},
}

func (w StateWords) inSentence() string { return cmp.Or(w.sentence, w.Short) }

// InReport says what the state means to who reads a report.
func (w StateWords) InReport() string { return cmp.Or(w.report, w.Meaning) }

// Rank is the state's place in [States], or -1 for what is no state of a payout.
func (s State) Rank() int {
	return slices.IndexFunc(States, func(w StateWords) bool { return w.State == s })
}

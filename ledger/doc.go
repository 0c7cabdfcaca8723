// Package ledger is the single source of truth about payouts and money: the
// batches people approve, the payouts in them, every attempt to send one,
// everything a gateway answered, and the double-entry books that follow.
//
// # What it guarantees
//
// A payout changes state only along the table in [Transitions]. State,
// postings, evidence and audit commit in one transaction, and a state is
// always what its events add up to. A payout is sent only after a durable
// attempt, its order number never changes, and at most one attempt of it is
// open. Entries balance per currency and are never changed: a mistake is
// corrected by a new, linked entry. [Book.Verify] checks all of this and
// names the row that breaks it.
//
// # What it leaves to others
//
// It knows no gateway and no file format: package jobs decides what a
// gateway's answer means and hands it over as a [Finding].
//
// # Where to start
//
// state.go reads like a specification: states, transitions, postings. A
// batch comes in through [Book.Stage], goes through [Book.Submit] and
// [Book.Approve], is sent by [Book.Claim] and [Book.Record], and followed by
// [Book.DueLookups]. What no answer of a gateway ends, two people do:
// [Book.Propose] and [Book.Confirm]. [Book.Repay] pays a failed payout again.
//
// Amounts are minor units, instants UTC microseconds of the database's own
// clock. A [Book] is safe for concurrent use by any number of goroutines and
// processes; locks are taken in one order: people, open day, budget, origin, accounts,
// batches, payouts, exceptions, audit trail. Where an action needs the trail
// first, and two of them meet, the engine gives one up and it runs again.
package ledger

// Package jobs is what Payrun does: import sheets, refresh limits, disburse,
// track, settle and report. Each job is one function that does what is due and
// returns; the scheduler, the command line and tests all call the same.
//
// It stands between packages that do not know each other: sheets come from
// importers, money and states live in ledger, and a payment gateway is
// whatever implements [Gateway]. What a gateway's answer means for a payout is
// decided in one place, judge.go, without touching a database or a socket.
//
// Intent is committed before any byte is sent, no transaction is open during
// a call, and outcomes are recorded many at a time.
package jobs

// Package sandbox is the EPAY payout gateway as a real HTTP server for demos,
// money tests and chaos runs, with a durable book that says who was paid how
// often.
//
// It is built from the gateway's documents and shares no code with the client:
// signatures, envelopes and callbacks are written twice, so that a mistake in
// one shows up against the other.
//
// # What it guarantees
//
//   - Every create request that reaches it is in the book, refused or not, and
//     so is every payment and every change of status.
//   - Nothing is told to anybody, in a reply or a callback, that is not in the
//     book's file; the file survives a killed process, and a new Server on it
//     goes on with the orders and callbacks that were open.
//   - In every currency, available + held + spent + fees = funded, always.
//   - What happens to an order depends on the seed and its number alone.
//   - It listens on and calls loopback addresses only.
//
// Start reading at [New] and Server.serve, the way of every call. All state is
// the fold of the book's events, in records.apply.
//
// # The gateway
//
// Under [BasePath]: payoutApi/createEwalletTransaction, queryTransaction,
// getLimit and getBalance. A create holds amount and fee, the order then goes
// the way of its [Outcome]: 7 spends both, 5, 6 and 8 release both, 20
// releases the amount and keeps the fee. Codes other than 1 are invented here
// and say so in their message.
//
// For trying things by hand, the last six digits of the account number choose
// the outcome (Config.PlainAccounts switches this off):
//
//	000900  create is refused          000911  ends in 11, exception
//	000901  stays 1                    000919  19, then 7
//	000905  ends in 5, cancelled       000920  ends in 20, fee kept
//	000906  ends in 6, failed          000976  7, then taken back with 6
//	000907  ends in 7, paid
//	000908  ends in 8, closed
//	000909  ends in 9, frozen
//
// # The controls
//
//	GET    /sandbox/book              the whole book
//	GET    /sandbox/book/{orderNo}    one order
//	GET    /sandbox/calls?window=1s   arrivals per endpoint and the busiest window
//	GET    /sandbox/faults            the faults in force
//	POST   /sandbox/faults            {"rules":[{"at":"create","kind":"lost-reply","rate":50000}]}
//	DELETE /sandbox/faults            clear them
//	POST   /sandbox/orders/{orderNo}  {"outcome":"19,7"} before its create, or {"status":7} after
//	POST   /sandbox/funds             {"currency":"USD","amount":"1000.00"}
//
// [Fault] documents the members of a rule and [Kind] what can go wrong. Faults
// and scripts are not in the book and end with the process.
//
// # The book's file
//
// One JSON object a line, appended only. Its members are those of the type
// event: kind, time in UTC microseconds, order number, and what the kind
// needs, amounts in minor units. A last line without a line feed was torn by a
// kill and is cut off.
package sandbox

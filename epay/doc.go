// Package epay is a client for the wallet payouts of the EPAY merchant gateway:
// limits, balances, payouts to e-wallets, look-ups and signed notifications.
//
// What it guarantees:
//
//   - A payout is sent at most once per call. Nothing is retried, no redirect
//     is followed, and net/http is given no way to replay a body on its own.
//   - An answer counts only when it is whole, correctly signed where it is
//     signed, and speaks of the order, amount, currency and account asked
//     about. Everything else is Unknown together with a stable Reason, never a
//     failure: the money may have moved.
//   - "Nothing was sent" is said only with proof (Reply.NotSent). The
//     connection itself is sealed before that is reported, so no byte can
//     leave afterwards.
//   - The API key goes to the gateway only inside a hash and appears in no
//     error, log line or printed value.
//
// What it leaves to the caller: choosing order numbers and storing them before
// the first send, deciding what to do about Unknown and Rejected (ask again
// with QueryTransaction, never send twice), rate limits, and persistence.
// Amounts are decimal strings such as "25.00"; no float is used anywhere.
//
// A Client is safe for concurrent use. Start reading at Client and
// Client.CreateEwalletTransaction.
//
// # Where the facts come from
//
// EPAY publishes a manual rather than a specification. Comments name its page
// in brackets, for example [status], or say "inferred" where the manual is
// silent and this package had to choose:
//
//	[sign]     before/api_sign                       signature
//	[guide]    introduction/guide                    envelope, addresses
//	[limit]    before/getLimit                       getLimit
//	[balance]  before/getBalance                     getBalance
//	[ewallet]  payment/createEwalletTransaction      wallet payout
//	[query]    after/queryTransaction                look-up
//	[asyn]     after/asyn                            notifications
//	[status]   references/orderCode                  order statuses
package epay

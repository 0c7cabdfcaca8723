// Package reports writes what the ledger holds into files that finance and
// auditors take away: a reconciliation workbook (xlsx) and the csv twin of its
// Payouts sheet.
//
// # What it guarantees
//
// A report is made from one snapshot of the database, and the same snapshot
// makes the same bytes: nothing in the file comes from a clock or from the
// order of a map. Before a file is offered, what was written is compared with
// sums the database makes on its own and with the postings of the ledger; a
// difference is [ErrMismatch], and then there is no file. A file appears under
// its name complete or not at all.
//
// Rows stream from the snapshot into the file; memory does not grow with their
// number. Nothing is ever written to the database.
//
// # What a reader of a file may rely on
//
// Amounts are exact. Text from sheets and gateways is always text: no cell
// becomes a formula, in the workbook by the type of the cell, in csv by a
// leading apostrophe. Of a payee's account only the last four characters are
// shown.
//
// # Where to start
//
// [Workbook] and [CSV] are the two ways in. payouts.go is the simplest sheet;
// checks.go says what is compared before a file is offered.
package reports

// Package importers reads payout sheets, xlsx or csv, into payout rows and
// into problems that name sheet, row and column in words a finance person can
// act on.
//
// What it guarantees:
//
//   - Every row of a sheet is counted exactly once: title, header, control
//     total, blank, accepted or rejected. Nothing is left out silently.
//   - Nothing is repaired or guessed. Accounts stay exactly as they stand in
//     the sheet, amounts are exact minor units and never pass through binary
//     arithmetic, and a number format is only read if the rules declare it.
//   - A file that is damaged, hostile or misleading (cells out of order, a
//     false checksum, hidden data, merged payout rows) is refused as a whole.
//     An xlsx file is scanned strictly before the spreadsheet library opens
//     it, and what the library reads is compared with the scan row by row.
//   - Memory does not grow with the rows, except for a workbook's table of
//     shared strings: beyond 128,000 rows the tables of repeats go on in files.
//
// The package knows no database and no gateway: limits, channels and number
// formats come in as [Rules], rows and problems go out through a [Sink]. If
// [Read] returns an error, whoever received rows from it throws them away.
//
// Start reading at [Read]; a row's rules are in row.go, the words of headings
// in field.go and heading.go, the columns in header.go, and the strict scan of
// xlsx files in archive.go, workbook.go and sheet.go.
package importers

// Package sheets writes the sheets that a maker works on: the template to fill
// in, and the maker's own sheet back with its problems marked.
//
// An annotated copy ([Annotate]) is the same workbook, with its formats,
// formulas, widths, merged titles and other sheets, and with three additions:
// a column that names each row's problems, marks and comments on the cells
// that have one, and a sheet that sums everything up. The importer knows the
// additions again, so the copy can be corrected and handed in as it is. A
// [Twin] says the same to programs, as JSON.
//
// The files that were handed in are only ever read. A file that is written
// appears under its name complete or not at all, and takes no name that is in
// use. Text from sheets is always written as text, never as a formula, and
// accounts in messages show their last four characters only.
//
// The package judges nothing: it is told what [importers.Read] found.
package sheets

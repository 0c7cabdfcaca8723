package sheets

import "payrun/importers"

// Judgement is what was found out about one sheet.
type Judgement struct {
	File     string              // name, without folders
	Sheet    importers.Result    // what the importer counted
	Problems []importers.Problem // the first ones, in sheet order
	Found    int                 // problems in all
	Refused  *importers.Problem  // why the whole file was refused; nil if it was not
	Reason   string              // why nothing was imported, as a sentence; "" if nothing stood against it
	Batch    int64               // the batch that the accepted rows became; 0 for none
	Options  string              // of the command line with which it was read, such as "--profile ru"; "" for none
}

// Faulty tells whether there is something to correct: the file was refused,
// or rows of it were.
func (j Judgement) Faulty() bool { return j.Refused != nil || j.Sheet.Rejected > 0 }

// more is how many problems were found but not kept.
func (j Judgement) more() int { return j.Found - len(j.Problems) }

// every lists the problems with the refusal of the whole file first.
func (j Judgement) every() []importers.Problem {
	if j.Refused == nil {
		return j.Problems
	}
	return append([]importers.Problem{*j.Refused}, j.Problems...)
}

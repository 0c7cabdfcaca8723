package sheets

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// author signs our comments. The name is their first line too, which tells
// them from those of people: not every program keeps the author.
const author = "Payrun"

func isOurs(c excelize.Comment) bool {
	text := c.Text
	for _, run := range c.Paragraph {
		text += run.Text
	}
	return strings.HasPrefix(text, author+"\n")
}

// comment lays the sentences over the cells they speak of. Comments of people
// stay; a cell that has one gets none of ours.
func (a *annotation) comment() error {
	if !a.commentable() {
		return nil
	}
	taken, err := a.dropComments()
	if err != nil {
		return err
	}
	cells, sentences := a.commented()
	for _, cell := range cells {
		if taken[cell] {
			continue
		}
		if err := a.addComment(cell, strings.Join(sentences[cell], "\n")); err != nil {
			return err
		}
	}
	return nil
}

// commented lists the cells with problems, in the order of the problems. What
// concerns a row as a whole is said at its first column.
func (a *annotation) commented() (cells []string, sentences map[string][]string) {
	sentences = map[string][]string{}
	first := "A"
	if len(a.Sheet.Columns) > 0 {
		first = a.Sheet.Columns[0].Letter
	}
	for _, p := range a.every() {
		if p.Row == 0 {
			continue
		}
		column := p.Column
		if column == "" {
			column = first
		}
		cell := fmt.Sprintf("%s%d", column, p.Row)
		if sentences[cell] == nil {
			cells = append(cells, cell)
		}
		sentences[cell] = append(sentences[cell], p.Message)
	}
	return cells, sentences
}

// dropComments removes those of an earlier copy and returns the cells that
// have one of somebody else.
func (a *annotation) dropComments() (taken map[string]bool, err error) {
	comments, err := a.file.GetComments(a.sheet)
	if err != nil {
		return nil, err
	}
	taken = map[string]bool{}
	for _, c := range comments {
		if !isOurs(c) {
			taken[c.Cell] = true
			continue
		}
		if err := a.file.DeleteComment(a.sheet, c.Cell); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

func (a *annotation) addComment(cell, text string) error {
	const width, perLine, lineHeight = 300, 46, 16 // pixels, letters of the small font, pixels
	lines := 2
	for paragraph := range strings.SplitSeq(text, "\n") {
		lines += 1 + utf8.RuneCountInString(paragraph)/perLine
	}
	return a.file.AddComment(a.sheet, excelize.Comment{
		Cell: cell, Author: author, Width: width, Height: uint(lines * lineHeight),
		Paragraph: []excelize.RichTextRun{{Text: author + "\n", Font: &excelize.Font{Bold: true, Size: 9}}, {Text: text, Font: &excelize.Font{Size: 9}}},
	})
}

var commentPart = regexp.MustCompile(`^xl/(?:comments|drawings/vmlDrawing)(\d+)\.(?:xml|vml)$`)

// commentable tells whether the library can add comments without harm. It
// numbers their parts by counting, and so would overwrite another sheet's
// where a program has named them otherwise; the column has to do there.
func (a *annotation) commentable() bool {
	count, pairs := 0, map[string]int{}
	safe := true
	a.file.Pkg.Range(func(key, _ any) bool {
		name := strings.TrimPrefix(key.(string), "/")
		lower := strings.ToLower(name)
		if strings.Contains(lower, "threadedcomment") || !strings.Contains(lower, "comment") && !strings.HasSuffix(lower, ".vml") || strings.HasSuffix(lower, ".rels") {
			return true
		}
		number := commentPart.FindStringSubmatch(name)
		if number == nil {
			safe = false
			return false
		}
		count++
		pairs[number[1]]++
		return true
	})
	for number := 1; number <= len(pairs); number++ {
		safe = safe && pairs[fmt.Sprint(number)] == 2
	}
	return safe && count == 2*len(pairs)
}

package reports

import (
	"errors"
	"fmt"

	"github.com/xuri/excelize/v2"
)

// column is one column of a table.
type column struct {
	heading string
	width   float64 // in characters; 0 where the sheet's layout decides
	look    look    // of the heading
	wraps   bool
}

// left is a column of words, right one of numbers and times, wrapping one of
// sentences.
func left(heading string, width float64) column     { return column{heading, width, headingLeft, false} }
func right(heading string, width float64) column    { return column{heading, width, headingRight, false} }
func wrapping(heading string, width float64) column { return column{heading, width, headingLeft, true} }

// Heights in points.
const (
	rowHeight     = 15
	headingHeight = 32
	sectionHeight = 24
	titleHeight   = 30
)

// layout is what is set once per sheet.
type layout struct {
	widths []float64
	frozen int  // columns that stay when scrolling; the heading row does too
	table  bool // one table from the first row: frozen, filtered, repeated in print
	paper  paper
}

// paper to print on, always one page wide.
type paper struct {
	size        int // as the format numbers them
	orientation string
}

var (
	a4Upright = paper{9, "portrait"}
	a4        = paper{9, "landscape"}
	a3        = paper{8, "landscape"}
)

func (s *sheet) setUpPage(name string) error {
	fit, wide, tall := true, 1, 0
	margin, edge := 0.4, 0.6
	paper := s.layout.paper
	grid := s.layout.table
	return errors.Join(
		s.file.SetSheetProps(name, &excelize.SheetPropsOptions{FitToPage: &fit}),
		s.file.SetPageLayout(name, &excelize.PageLayoutOptions{Size: &paper.size, Orientation: &paper.orientation, FitToWidth: &wide, FitToHeight: &tall}),
		s.file.SetPageMargins(name, &excelize.PageLayoutMarginsOptions{Left: &margin, Right: &margin, Top: &edge, Bottom: &edge}),
		s.file.SetHeaderFooter(name, &excelize.HeaderFooterOptions{OddFooter: "&L&8&A&R&8Page &P of &N"}),
		s.file.SetSheetView(name, 0, &excelize.ViewOptions{ShowGridLines: &grid}),
	)
}

// fillPages makes an upright page a little smaller where its last rows would
// spill onto another one.
func (s *sheet) fillPages() error {
	const most = 80 // rows that can still be read on one page
	if s.layout.paper != a4Upright {
		return nil
	}
	tall := (s.row + most - 1) / most
	return s.file.SetPageLayout(s.partName(), &excelize.PageLayoutOptions{FitToHeight: &tall})
}

func (s *sheet) freeze() error {
	corner, err := excelize.CoordinatesToCellName(s.layout.frozen+1, 2)
	if err != nil {
		return err
	}
	pane := "bottomRight"
	if s.layout.frozen == 0 {
		pane = "bottomLeft"
	}
	return s.stream.SetPanes(&excelize.Panes{Freeze: true, XSplit: s.layout.frozen, YSplit: 1, TopLeftCell: corner, ActivePane: pane})
}

func (s *sheet) filterAndRepeat() error {
	last, err := excelize.CoordinatesToCellName(len(s.columns), s.row)
	if err != nil {
		return err
	}
	name := s.partName()
	if err := s.file.AutoFilter(name, "A1:"+last, nil); err != nil {
		return err
	}
	return s.file.SetDefinedName(&excelize.DefinedName{
		Name: "_xlnm.Print_Titles", RefersTo: fmt.Sprintf("'%s'!$1:$1", name), Scope: name,
	})
}

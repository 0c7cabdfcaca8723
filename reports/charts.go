package reports

import (
	"fmt"

	"github.com/xuri/excelize/v2"

	"payrun/internal/money"
)

// palette of the charts' slices.
var palette = []string{"1F2A44", "3E7CB1", "81A4CD", "DBA159", "7A9E7E", "B5654A", "9C89B8", "C9C5BA"}

// chartRange is where a currency's lines stand in a table of sums.
type chartRange struct {
	currency    money.Currency
	first, last int // rows
}

// charts collects what to draw and places it beside the tables.
type charts struct {
	book     *book
	sheet    string
	row      int // of the next chart
	status   []chartRange
	channels []chartRange
}

func (c *charts) byStatus(r chartRange)  { c.status = append(c.status, r) }
func (c *charts) byChannel(r chartRange) { c.channels = append(c.channels, r) }

// mostCurrencies bounds the drawing; the tables have them all.
const mostCurrencies = 4

// draw places two charts per currency, one under the other, in the column
// after the tables.
func (c *charts) draw() error {
	for i := range min(len(c.status), mostCurrencies) {
		if err := c.place(c.columns(c.status[i])); err != nil {
			return err
		}
		if err := c.place(c.doughnut(c.channels[i])); err != nil {
			return err
		}
	}
	return nil
}

const (
	chartWidth  = 520 // pixels
	chartHeight = 300
	chartRows   = 16 // that a chart covers, and a gap
)

func (c *charts) place(chart *excelize.Chart) error {
	chart.Dimension = excelize.ChartDimension{Width: chartWidth, Height: chartHeight}
	chart.Border = excelize.LineOptions{Type: excelize.LineNone}
	chart.Format = excelize.GraphicOptions{Positioning: "oneCell", AltText: chart.Title.Paragraph[0].Text}
	err := c.book.file.AddChart(c.sheet, fmt.Sprint("I", c.row), chart)
	c.row += chartRows
	return err
}

func (c *charts) series(r chartRange) excelize.ChartSeries {
	cells := func(column string) string {
		return fmt.Sprintf("'%s'!$%s$%d:$%s$%d", c.sheet, column, r.first, column, r.last)
	}
	return excelize.ChartSeries{Name: string(r.currency), Categories: cells("B"), Values: cells("D")}
}

func chartTitle(words string) excelize.ChartTitle {
	return excelize.ChartTitle{Paragraph: []excelize.RichTextRun{{
		Text: words, Font: &excelize.Font{Family: "Calibri", Size: 13, Bold: true, Color: ink},
	}}}
}

func (c *charts) columns(r chartRange) *excelize.Chart {
	series, gap := c.series(r), uint(60)
	series.Fill = excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{palette[1]}}
	return &excelize.Chart{
		Type: excelize.Col, Series: []excelize.ChartSeries{series}, GapWidth: &gap,
		Title:  chartTitle("Amount by status, " + string(r.currency)),
		Legend: excelize.ChartLegend{Position: "none"},
		YAxis:  excelize.ChartAxis{MajorGridLines: true, NumFmt: excelize.ChartNumFmt{CustomNumFmt: "#,##0"}},
	}
}

func (c *charts) doughnut(r chartRange) *excelize.Chart {
	series := c.series(r)
	for i := range r.last - r.first + 1 {
		series.DataPoint = append(series.DataPoint, excelize.ChartDataPoint{
			Index: i, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{palette[i%len(palette)]}},
		})
	}
	return &excelize.Chart{
		Type: excelize.Doughnut, Series: []excelize.ChartSeries{series}, HoleSize: 55,
		Title:    chartTitle("Amount by channel, " + string(r.currency)),
		Legend:   excelize.ChartLegend{Position: "right"},
		PlotArea: excelize.ChartPlotArea{ShowPercent: true},
	}
}

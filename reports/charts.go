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

// charts draws two charts per currency, side by side, in rows that are kept
// free for them.
type charts struct {
	sheet    *sheet
	busiest  money.Currency // goes to the rows reserved on top
	top      int
	status   []chartRange
	channels []chartRange
}

// Both charts together are as wide as the tables.
const (
	statusWidth  = 600 // pixels
	channelWidth = 440
	chartHeight  = 300
	chartRows    = 16  // that a chart covers, and a gap
	secondGap    = 110 // pixels from the edge of column E to the second chart
)

// reserve keeps the next rows free for the busiest currency.
func (c *charts) reserve() {
	if c.busiest != "" {
		c.top = c.sheet.skip(chartRows) + 1
	}
}

func (c *charts) byStatus(r chartRange)  { c.status = append(c.status, r) }
func (c *charts) byChannel(r chartRange) { c.channels = append(c.channels, r) }

// mostCurrencies bounds the drawing; the tables have them all.
const mostCurrencies = 4

// draw places the charts: the busiest currency's on top, the others' here.
func (c *charts) draw() error {
	for i := range min(len(c.status), mostCurrencies) {
		row := c.top
		if c.status[i].currency != c.busiest {
			row = c.sheet.skip(chartRows) + 1
		}
		if err := c.place(fmt.Sprint("A", row), 0, statusWidth, c.columns(c.status[i])); err != nil {
			return err
		}
		if err := c.place(fmt.Sprint("E", row), secondGap, channelWidth, c.doughnut(c.channels[i])); err != nil {
			return err
		}
	}
	return nil
}

func (c *charts) place(cell string, gap int, width uint, chart *excelize.Chart) error {
	chart.Dimension = excelize.ChartDimension{Width: width, Height: chartHeight}
	chart.Border = excelize.LineOptions{Type: excelize.LineNone}
	chart.Format = excelize.GraphicOptions{Positioning: "oneCell", AltText: chart.Title.Paragraph[0].Text, OffsetX: gap}
	return c.sheet.file.AddChart(summarySheet, cell, chart)
}

func (c *charts) series(r chartRange) excelize.ChartSeries {
	cells := func(column string) string {
		return fmt.Sprintf("'%s'!$%s$%d:$%s$%d", summarySheet, column, r.first, column, r.last)
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
	font := excelize.Font{Family: "Calibri", Size: 8, Color: faded}
	return &excelize.Chart{
		Type: excelize.Col, Series: []excelize.ChartSeries{series}, GapWidth: &gap,
		Title:  chartTitle("Amount by status, " + string(r.currency)),
		Legend: excelize.ChartLegend{Position: "none"},
		XAxis:  excelize.ChartAxis{Font: font},
		YAxis:  excelize.ChartAxis{Font: font, MajorGridLines: true, NumFmt: excelize.ChartNumFmt{CustomNumFmt: "#,##0"}},
	}
}

func (c *charts) doughnut(r chartRange) *excelize.Chart {
	series := c.series(r)
	for i := range r.last - r.first + 1 {
		series.DataPoint = append(series.DataPoint, excelize.ChartDataPoint{
			Index: i, Fill: excelize.Fill{Type: "pattern", Pattern: 1, Color: []string{palette[i%len(palette)]}},
		})
	}
	series.DataLabel = excelize.ChartDataLabel{Font: excelize.Font{Family: "Calibri", Size: 10, Bold: true, Color: "FFFFFF"}}
	return &excelize.Chart{
		Type: excelize.Doughnut, Series: []excelize.ChartSeries{series}, HoleSize: 55,
		Title:    chartTitle("Amount by channel, " + string(r.currency)),
		Legend:   excelize.ChartLegend{Position: "right", Font: &excelize.Font{Family: "Calibri", Size: 10, Color: faded}},
		PlotArea: excelize.ChartPlotArea{ShowPercent: true},
	}
}

package architecture

import (
	"go/ast"
	"strings"
	"testing"
)

// floating are the places that may compute with binary fractions, none of them
// money: everything else counts in whole minor units. Workbooks store doubles,
// so an amount passes through one where it is read and where it is written, as
// text on both sides; both packages test that it comes out as it went in.
var floating = []string{
	"importers/amount.go",                                                                // the shortest decimal of a stored double
	"reports/",                                                                           // widths of columns, cells of a workbook
	"internal/sheets/",                                                                   // widths of columns
	"internal/web/metrics.go",                                                            // what the metrics' library takes: counts and ages
	"internal/sandbox/config.go", "internal/sandbox/outcome.go", "cmd/payrun/sandbox.go", // how fast the sandbox's time goes
}

func TestNoFloatIsNearMoney(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() { // rates and ratios of benchmarks
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			name, ok := n.(*ast.Ident)
			if !ok || name.Name != "float64" && name.Name != "float32" && name.Name != "ParseFloat" {
				return true
			}
			for _, place := range floating {
				if strings.HasPrefix(s.path(), place) {
					seen[place] = true
					return true
				}
			}
			t.Errorf("%s computes with floats; money is counted in whole minor units", s.path())
			return true
		})
	}
	for _, place := range floating {
		if !seen[place] {
			t.Errorf("%s needs no floats any more: take it off the list", place)
		}
	}
}

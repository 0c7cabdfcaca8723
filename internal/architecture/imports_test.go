package architecture

import (
	"slices"
	"testing"
)

// plan says which of the project's packages each package may import outside
// its tests. Arrows go down only, so the order is: whoever imports stands
// above. A new package needs a row of its own.
var plan = []struct {
	folder string
	may    []string
}{
	{"cmd/payrun", []string{
		"internal/config", "internal/web", "internal/sandbox", "internal/alert", "jobs", "reports", "internal/sheets", "importers", "epay", "ledger",
		"migrations", "internal/database", "internal/money",
	}},
	{"internal/chaos", []string{"internal/sandbox", "ledger", "internal/database"}},
	{"internal/simulation", nil},
	{"internal/config", []string{"importers", "internal/money"}},
	{"internal/web", []string{"jobs", "reports", "ledger", "internal/money"}},
	{"jobs", []string{"importers", "internal/sheets", "reports", "epay", "ledger", "internal/alert", "internal/database", "internal/money"}},
	{"reports", []string{"ledger", "internal/database", "internal/money"}},
	{"ledger", []string{"internal/database", "internal/money"}},
	{"internal/sheets", []string{"importers", "internal/apart", "internal/money"}},
	{"importers", []string{"internal/apart", "internal/money"}},
	{"epay", nil},
	{"internal/alert/alerttest", nil},
	{"internal/alert", nil},
	{"internal/sandbox", []string{"internal/money"}},
	{"migrations", []string{"internal/database"}},
	{"internal/database/dbtest", []string{"internal/database"}},
	{"internal/database", nil},
	{"internal/apart", nil},
	{"internal/money", nil},
	{"internal/architecture", nil},
}

// testOnly packages never become part of the program.
var testOnly = []string{"internal/database/dbtest", "internal/alert/alerttest", "internal/architecture", "internal/simulation", "internal/chaos"}

// strangers never know each other, not even in tests: the one would then be
// checked with the other's mistakes.
var strangers = [][2]string{{"epay", "internal/sandbox"}, {"epay", "ledger"}}

func TestThePlanPointsDownwards(t *testing.T) {
	t.Parallel()
	standing := map[string]int{}
	for i, p := range plan {
		standing[p.folder] = i
	}
	for i, p := range plan {
		for _, below := range p.may {
			if at, ok := standing[below]; !ok || at <= i {
				t.Errorf("the plan lets %s import %s, which does not stand below it", p.folder, below)
			}
		}
	}
}

func TestPackagesImportWhatThePlanAllows(t *testing.T) {
	t.Parallel()
	may, seen := map[string][]string{}, map[string]bool{}
	for _, p := range plan {
		may[p.folder] = p.may
	}
	for _, s := range sources(t) {
		seen[s.folder] = true
		if _, planned := may[s.folder]; !planned {
			t.Errorf("%s: the package is not in the plan", s.path())
			continue
		}
		for _, name := range s.imports() {
			below := ours(name)
			if below == "" || s.isTest() {
				continue
			}
			if slices.Contains(testOnly, below) {
				t.Errorf("%s imports %s, which is for tests only", s.path(), name)
			} else if !slices.Contains(may[s.folder], below) {
				t.Errorf("%s imports %s: the plan does not allow it", s.path(), name)
			}
		}
	}
	for folder := range may {
		if !seen[folder] {
			t.Errorf("the plan names %s, where there is no Go file", folder)
		}
	}
}

func TestStrangersStayStrangers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, name := range s.imports() {
			for _, pair := range strangers {
				if within(s.folder, pair[0]) && within(ours(name), pair[1]) || within(s.folder, pair[1]) && within(ours(name), pair[0]) {
					t.Errorf("%s imports %s", s.path(), name)
				}
			}
		}
	}
}

// The client stands alone, so that anybody can take it as it is.
func TestTheGatewaysClientUsesTheStandardLibraryAlone(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.folder != "epay" || s.isTest() {
			continue
		}
		for _, name := range s.imports() {
			if !isStandard(name) {
				t.Errorf("%s imports %s", s.path(), name)
			}
		}
	}
}

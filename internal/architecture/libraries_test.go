package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rooms says where outside libraries are used, outside tests. Everything else
// reaches them through those packages, so a library can be exchanged in one
// place.
var rooms = map[string][]string{
	"github.com/alecthomas/kong":          {"cmd/payrun"},
	"github.com/jmoiron/sqlx":             {"internal/database", "internal/database/dbtest"},
	"github.com/lib/pq":                   {"internal/database"},
	"github.com/mattn/go-isatty":          {"cmd/payrun"},
	"github.com/pressly/goose/v3":         {"migrations"},
	"github.com/prometheus/client_golang": {"internal/web"},
	"github.com/robfig/cron/v3":           {"jobs"},
	"github.com/sethvargo/go-limiter":     {"jobs", "internal/web"},
	"github.com/xuri/excelize/v2":         {"importers", "reports", "internal/sheets"},
	"go.yaml.in/yaml/v3":                  {"internal/config"},
	"golang.org/x/sync":                   {"jobs"},
	"golang.org/x/text":                   {"importers"},
	"modernc.org/sqlite":                  {"internal/database"},
}

func TestLibrariesStayInTheirRooms(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, name := range s.imports() {
			if isStandard(name) || within(name, module) {
				continue
			}
			library := libraryOf(name)
			used[library] = true
			if !slices.Contains(rooms[library], s.folder) {
				t.Errorf("%s imports %s, which has its place in %v", s.path(), name, rooms[library])
			}
		}
	}
	for _, library := range sortedKeys(rooms) {
		if !used[library] {
			t.Errorf("%s is not used any more", library)
		}
	}
}

func libraryOf(name string) string {
	for library := range rooms {
		if within(name, library) {
			return library
		}
	}
	return name
}

// SQLite's C library in Go is only correct with the exact run-time library it
// was generated for. A newer one compiles, and then corrupts.
func TestSQLiteHasTheRunTimeItWasMadeFor(t *testing.T) {
	t.Parallel()
	const runTime = "modernc.org/libc"
	description, err := os.ReadFile(goList(t, "{{.GoMod}}", "modernc.org/sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(runTime) + ` (v\S+)`).FindSubmatch(description)
	if named == nil {
		t.Fatalf("the go.mod of modernc.org/sqlite names no %s", runTime)
	}
	if got, want := goList(t, "{{.Version}}", runTime), string(named[1]); got != want {
		t.Errorf("go.mod has %s %s, modernc.org/sqlite was made for %s: go get %s@%s", runTime, got, want, runTime, want)
	}
}

func goList(t *testing.T, format, name string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", format, name)
	command.Dir = root
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", name, err, complaints.String())
	}
	return strings.TrimSpace(string(out))
}

// topLevel is everything that may stand in the project's folder.
var topLevel = []string{
	"cmd", "docs", "epay", "examples", "importers", "internal", "jobs", "ledger", "migrations", "reports", "scripts", "tools",
	"CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "README.md", "go.mod", "go.sum", "staticcheck.conf",
}

func TestTheTopLevelIsAsPlanned(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	ignored := ignoredByGit(t)
	found := map[string]bool{}
	for _, entry := range entries {
		name := entry.Name()
		found[name] = true
		if !strings.HasPrefix(name, ".") && !slices.Contains(topLevel, name) && !ignored(name) {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
	for _, name := range topLevel {
		if !found[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// ignoredByGit knows what a developer may have lying about.
func ignoredByGit(t *testing.T) func(name string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	patterns := strings.Fields(string(text))
	return func(name string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			matched, err := filepath.Match(strings.Trim(pattern, "/"), name)
			return err == nil && matched
		})
	}
}

package architecture

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payrun/internal/config"
)

var update = flag.Bool("update", false, "write README.md's tables anew")

// tables are the parts of README.md that are made from the code. Each stands
// between two marks: <!-- NAME --> and <!-- end of NAME -->.
var tables = map[string]func(*testing.T) string{
	"settings":   settingsTable,
	"commands":   commandsTable,
	"exit codes": exitCodesTable,
}

func TestReadmeSaysWhatTheCodeSays(t *testing.T) {
	path := filepath.Join(root, "README.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	for _, name := range sortedKeys(tables) {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		before, rest, opened := strings.Cut(readme, begin)
		got, after, closed := strings.Cut(rest, end)
		if !opened || !closed {
			t.Fatalf("README.md has no %s … %s", strings.TrimSpace(begin), end)
		}
		want := tables[name](t)
		if got != want && !*update {
			t.Errorf("README.md's table of %s is out of date; run go test ./internal/architecture -update\n%s", name,
				cmp.Diff(strings.Split(got, "\n"), strings.Split(want, "\n")))
		}
		readme = before + begin + want + end + after
	}
	if *update && readme != string(text) {
		if err := os.WriteFile(path, []byte(readme), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// settingsTable writes what every channel has only once.
func settingsTable(*testing.T) string {
	var b strings.Builder
	b.WriteString("| key | default | what it is |\n|---|---|---|\n")
	written := map[string]bool{}
	for _, key := range config.Keys() {
		name, channel := forAnyChannel(key.Name)
		if written[name] {
			continue
		}
		written[name] = true
		doc := key.Doc
		if channel {
			_, rest, named := strings.Cut(doc, ": `false`")
			if named {
				doc = "`false`" + rest
			}
		}
		if key.Secret {
			doc += " (secret: environment only)"
		}
		value := ""
		if key.Default != "" {
			value = "`" + key.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, value, doc)
	}
	return b.String()
}

var channelKey = regexp.MustCompile(`^channels\.[0-9]+\.`)

func forAnyChannel(name string) (string, bool) {
	general := channelKey.ReplaceAllString(name, "channels.CODE.")
	return general, general != name
}

// Every channel has the same keys with the same defaults, so that one row of
// the table can speak for all.
func TestAllChannelsHaveTheSameSettings(t *testing.T) {
	t.Parallel()
	defaults, channels := map[string]map[string]int{}, map[string]bool{}
	for _, key := range config.Keys() {
		if name, channel := forAnyChannel(key.Name); channel {
			if defaults[name] == nil {
				defaults[name] = map[string]int{}
			}
			defaults[name][key.Default]++
			channels[channelKey.FindString(key.Name)] = true
		}
	}
	if len(channels) == 0 {
		t.Fatal("there are no channels")
	}
	for _, name := range sortedKeys(defaults) {
		for value, n := range defaults[name] {
			if n != len(channels) {
				t.Errorf("%s is %q for %d of %d channels", name, value, n, len(channels))
			}
		}
	}
}

func exitCodesTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| code | meaning |\n|---|---|\n")
	for _, code := range exitCodes(t) {
		fmt.Fprintf(&b, "| %s | %s |\n", code.number, code.meaning)
	}
	return b.String()
}

func commandsTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| command | what it does |\n|---|---|\n")
	for _, c := range commands(t) {
		fmt.Fprintf(&b, "| `payrun %s` | %s |\n", c.usage, c.help)
	}
	return b.String()
}

var (
	relativeLink = regexp.MustCompile(`\]\(([^):#]+)\)`)
	codeFence    = regexp.MustCompile("(?s)```.*?```")
)

func TestDocumentsLinkToWhatExists(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append(documents, more...) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range relativeLink.FindAllStringSubmatch(codeFence.ReplaceAllString(string(text), ""), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), filepath.FromSlash(link[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", filepath.Base(document), link[1])
			}
		}
	}
}

package config

import (
	"slices"
	"strings"
)

// others are variables of Payrun that are no settings.
var others = []string{"PAYRUN_CONFIG", "PAYRUN_TOKEN", "PAYRUN_TEST_POSTGRES"}

func (l *loader) environment(environ []string) {
	byName := map[string]Key{}
	for _, k := range Keys() {
		byName[k.Env()] = k
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "PAYRUN_") || slices.Contains(others, name) {
			continue
		}
		key, ok := byName[name]
		if !ok {
			l.wrong("the environment variable %s is no setting of payrun%s", name, suggestion(name, Key.Env))
			continue
		}
		l.set(key.Name, value, "environment")
	}
}

func lookup(environ []string, name string) string {
	value := ""
	for _, pair := range environ { // the last one counts, as for a shell
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v
		}
	}
	return value
}

func (k Key) name() string { return k.Name }

// suggestion names the key that was probably meant, spelled by spell: the one
// with the fewest letters changed, or one whose last part is the same.
func suggestion(written string, spell func(Key) string) string {
	best, least := "", len(written)/3+1
	for _, k := range Keys() {
		name := spell(k)
		if d := distance(strings.ToLower(written), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		best = sameEnding(written, spell)
	}
	if best == "" {
		return ""
	}
	return "; is " + best + " meant?"
}

func sameEnding(written string, spell func(Key) string) string {
	last := written[strings.LastIndexByte(written, '.')+1:]
	for _, k := range Keys() {
		if strings.HasSuffix(spell(k), "."+last) {
			return spell(k)
		}
	}
	return ""
}

// distance counts the letters to insert, delete or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

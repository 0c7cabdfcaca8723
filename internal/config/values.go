package config

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"payrun/internal/money"
)

func (l *loader) text(name string) string {
	if value, ok := l.values[name]; ok {
		return value
	}
	key, ok := find(name)
	if !ok {
		panic("no such key: " + name)
	}
	return key.Default
}

func (l *loader) oneOf(name string, words ...string) string {
	value := l.text(name)
	if !slices.Contains(words, value) {
		l.wrong("%s is %q; it must be one of %s", name, value, strings.Join(words, ", "))
	}
	return value
}

func (l *loader) number(name string, least, most int) int {
	text := l.text(name)
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		l.wrong("%s is %q; it must be a whole number from %d to %d", name, text, least, most)
	}
	return n
}

func (l *loader) duration(name string) time.Duration {
	all := l.durations(name)
	if len(all) == 0 {
		return 0
	}
	return all[0]
}

// durations reads one duration, or for a key that is a list several between
// commas.
func (l *loader) durations(name string) []time.Duration {
	parts := []string{l.text(name)}
	if key, _ := find(name); key.List {
		parts = strings.Split(parts[0], ",")
	}
	var all []time.Duration
	for _, part := range parts {
		d, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil || d <= 0 {
			l.wrong("%s is %q; it must be a duration above zero, such as 30s or 10m", name, part)
			continue
		}
		all = append(all, d)
	}
	return all
}

// words reads a list; an empty one is none.
func (l *loader) words(name string) []string {
	var all []string
	for word := range strings.SplitSeq(l.text(name), ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

func (l *loader) amount(name string, currency money.Currency) money.Amount {
	a, err := money.Parse(l.text(name), currency)
	if err != nil || a < 0 {
		l.wrong("%s is %q; it must be an amount in %s such as 0.50", name, l.text(name), currency)
	}
	return a
}

// percent reads "1.5" as 15,000 parts per million: up to four decimals.
func (l *loader) percent(name string) int64 {
	const hundred = 100_0000
	a, err := money.Parse(l.text(name), "CLF") // any currency of four decimals
	if err != nil || a < 0 || a > hundred {
		l.wrong("%s is %q; it must be a percentage such as 1.5", name, l.text(name))
	}
	return int64(a)
}

// secret comes from its variable or from the file that NAME_file names.
func (l *loader) secret(name string) Secret {
	file := l.text(name + "_file")
	if file == "" {
		return Secret(l.text(name))
	}
	if l.text(name) != "" {
		l.wrong("%s and %s_file are both set; keep one", name, name)
	}
	text, problem := ReadSecret(file)
	if problem != "" {
		l.wrong("%s_file: %s", name, problem)
	}
	return Secret(text)
}

// ReadSecret reads a file that only its owner may read, without the line end.
// When it cannot be used it returns a sentence that says why and what to do.
func ReadSecret(path string) (text, problem string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", "the file cannot be read: " + err.Error()
	case !info.Mode().IsRegular():
		return "", path + " is not a file"
	case info.Mode().Perm()&0o077 != 0:
		return "", path + " can be read by others; run chmod 600 " + path
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", "the file cannot be read: " + err.Error()
	}
	if text = strings.TrimRight(string(content), "\r\n"); text == "" {
		return "", path + " is empty"
	}
	return text, ""
}

// Package config reads Payrun's settings: one optional YAML file, every key
// also as an environment variable, secrets only by environment or file.
//
// Everything there is to set is a row of [Keys]; the README's table and the
// strict check for unknown keys are made from it. With no settings at all
// Payrun runs on SQLite against its own sandbox gateway.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"payrun/importers"
	"payrun/internal/money"
)

// Config is what was set, checked and with defaults filled in.
type Config struct {
	Data        string // folder for everything that is written
	Zone        *time.Location
	DatabaseURL string
	Connections int

	Gateway  Gateway
	Channels []Channel
	Tracking Tracking

	Listen       string // of callbacks, health and metrics
	Inbox        Inbox
	Reports      string // folder
	Schedules    map[string]string
	LogLevel     string
	LogFormat    string
	Sources      map[string]string // key -> where its value came from
	keysInEffect map[string]string
}

// Gateway is the account payouts are sent through.
type Gateway struct {
	URL, Account     string
	Key, PreviousKey string `json:"-"`
	Separator        string
	ReplySignature   string
	NotifyURL        string
	Timeout          time.Duration
	InFlight         int
	CallsPerSecond   int
	HeadroomPercent  int
	LookupPercent    int
}

// Sandbox reports whether no live gateway is configured.
func (g Gateway) Sandbox() bool { return g.URL == "" }

// Channel is one e-wallet operator and what is allowed on it.
type Channel struct {
	Code, Name       string
	Enabled          bool
	Currencies       []money.Currency
	FeeFlat          money.Amount // in the channel's first currency
	FeePPM           int64        // parts per million
	AskLimits        bool
	Minimum, Maximum money.Amount // configured limits, in the first currency
}

// Tracking is how payouts are followed.
type Tracking struct {
	Accepted, InDoubt []time.Duration
	ClosedAgain       time.Duration
}

// Inbox is a folder whose sheets are imported by themselves.
type Inbox struct{ Folder, Owner string }

// Error lists everything that is wrong with the settings, one sentence each.
type Error struct{ Problems []string }

// Error joins the sentences.
func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// Load reads the file (none when path is ""), then the environment, which
// wins. A relative path in the settings is relative to the working folder. It
// returns an *Error that names every problem at once.
func Load(path string, environ []string) (Config, error) {
	l := loader{values: map[string]string{}, sources: map[string]string{}}
	l.file(path)
	l.environment(environ)
	c := l.config()
	c.Sources, c.keysInEffect = l.sources, l.values
	if len(l.problems) > 0 {
		return c, &Error{l.problems}
	}
	return c, nil
}

// loader gathers values as text, so that "0.50" never becomes a float.
type loader struct {
	values   map[string]string
	sources  map[string]string
	problems []string
}

func (l *loader) wrong(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) file(path string) {
	if path == "" {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		l.wrong("the configuration file cannot be read: %v", err)
		return
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		l.wrong("%s is not valid YAML: %v", path, err)
		return
	}
	if len(document.Content) == 0 {
		return // an empty file sets nothing
	}
	l.flatten(path, "", document.Content[0])
}

func (l *loader) flatten(path, prefix string, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			l.flatten(path, strings.TrimPrefix(prefix+"."+node.Content[i].Value, "."), node.Content[i+1])
		}
	case yaml.SequenceNode:
		items := make([]string, len(node.Content))
		for i, item := range node.Content {
			items[i] = item.Value
		}
		l.setFromFile(path, prefix, strings.Join(items, ","), node.Line)
	default:
		l.setFromFile(path, prefix, node.Value, node.Line)
	}
}

func (l *loader) setFromFile(path, name, value string, line int) {
	at := fmt.Sprintf("%s:%d", path, line)
	key, ok := find(name)
	switch {
	case !ok:
		l.wrong("%s: there is no setting %q%s", at, name, suggestion(name))
	case key.Secret:
		l.wrong("%s: %s is a secret and does not belong into a configuration file; set %s, or %s_file to the path of a file", at, name, key.Env(), name)
	case l.values[name] != "":
		l.wrong("%s: %s is set twice", at, name)
	default:
		l.values[name], l.sources[name] = value, at
	}
}

// ignored variables have the same prefix but are no settings.
var ignored = []string{"PAYRUN_CONFIG", "PAYRUN_TOKEN", "PAYRUN_TEST_POSTGRES"}

func (l *loader) environment(environ []string) {
	byEnv := map[string]Key{}
	for _, k := range Keys() {
		byEnv[k.Env()] = k
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "PAYRUN_") || slices.Contains(ignored, name) {
			continue
		}
		key, ok := byEnv[name]
		if !ok {
			l.wrong("the environment variable %s is no setting of payrun", name)
			continue
		}
		l.values[key.Name], l.sources[key.Name] = value, "environment"
	}
}

// config turns texts into values and checks what belongs together.
func (l *loader) config() Config {
	c := Config{
		Data: l.text("data"), Connections: l.number("database.max_connections", 2, 1000),
		Listen: l.text("listen"), LogLevel: l.oneOf("log.level", "debug", "info", "warn", "error"),
		LogFormat: l.oneOf("log.format", "text", "json"),
		Inbox:     Inbox{l.text("inbox.folder"), l.text("inbox.owner")},
		Schedules: map[string]string{},
	}
	var err error
	if c.Zone, err = time.LoadLocation(l.text("zone")); err != nil {
		l.wrong("zone: %v; use a name such as Europe/Kyiv", err)
	}
	for _, job := range []string{"import", "limits", "settle", "report"} {
		c.Schedules[job] = l.text("schedule." + job)
	}
	c.Reports = l.under(c.Data, "reports.folder", "reports")
	c.DatabaseURL = l.databaseURL(c.Data)
	c.Gateway = l.gateway()
	c.Channels = l.channels()
	c.Tracking = Tracking{l.durations("tracking.accepted"), l.durations("tracking.in_doubt"), l.duration("tracking.closed_again")}
	if c.Inbox.Folder != "" && c.Inbox.Owner == "" {
		l.wrong("inbox.owner is missing: sheets in the inbox need a maker who answers for them")
	}
	return c
}

func (l *loader) under(data, name, standard string) string {
	if value := l.text(name); value != "" {
		return value
	}
	return filepath.Join(data, standard)
}

func (l *loader) databaseURL(data string) string {
	address := l.text("database.url")
	if file := l.text("database.url_file"); file != "" {
		address = l.secretFile("database.url_file", file)
	}
	if address == "" {
		return "sqlite:" + filepath.Join(data, "payrun.db")
	}
	location, err := url.Parse(address)
	if err == nil && location.User != nil && l.sources["database.url"] != "environment" && l.text("database.url_file") == "" {
		if _, has := location.User.Password(); has {
			l.wrong("database.url holds a password, which does not belong into a configuration file; set PAYRUN_DATABASE_URL or database.url_file")
		}
	}
	return address
}

func (l *loader) gateway() Gateway {
	g := Gateway{
		URL: l.text("gateway.url"), Account: l.text("gateway.account"),
		Key: l.secret("gateway.key"), PreviousKey: l.secret("gateway.previous_key"),
		Separator:      l.oneOf("gateway.separator", "java", "amp", "comma"),
		ReplySignature: l.oneOf("gateway.reply_signature", "if-present", "required"),
		NotifyURL:      l.text("gateway.notify_url"), Timeout: l.duration("gateway.timeout"),
		InFlight: l.number("gateway.in_flight", 1, 10_000), CallsPerSecond: l.number("gateway.calls_per_second", 0, 100_000),
		HeadroomPercent: l.number("gateway.headroom_percent", 0, 90), LookupPercent: l.number("gateway.lookup_percent", 5, 95),
	}
	if g.URL == "" && (g.Account != "" || g.Key != "") {
		l.wrong("gateway.account or gateway.key is set, but not gateway.url: a live gateway needs all three")
	}
	if g.URL != "" && g.Account == "" {
		l.wrong("gateway.account is missing: the merchant account at the gateway")
	}
	if g.URL != "" && g.Key == "" {
		l.wrong("gateway.key is missing: set PAYRUN_GATEWAY_KEY, or gateway.key_file to the path of a file that only you can read")
	}
	return g
}

func (l *loader) channels() []Channel {
	var channels []Channel
	for _, standard := range importers.DefaultChannels() {
		prefix := "channels." + standard.Code + "."
		c := Channel{Code: standard.Code, Name: standard.Name, Enabled: l.oneOf(prefix+"enabled", "true", "false") == "true"}
		for _, code := range strings.Split(l.text(prefix+"currencies"), ",") {
			currency := money.Currency(strings.TrimSpace(code))
			if _, err := currency.Exponent(); err != nil {
				l.wrong("%scurrencies: %v", prefix, err)
				continue
			}
			c.Currencies = append(c.Currencies, currency)
		}
		if len(c.Currencies) > 0 {
			c.FeeFlat = l.amount(prefix+"fee_flat", c.Currencies[0])
			c.Minimum, c.Maximum = l.amount(prefix+"minimum", c.Currencies[0]), l.amount(prefix+"maximum", c.Currencies[0])
		}
		c.FeePPM = l.percent(prefix + "fee_percent")
		c.AskLimits = l.oneOf(prefix+"limits", "gateway", "configured") == "gateway"
		if !c.AskLimits && c.Maximum == 0 {
			l.wrong("%smaximum is missing: with limits: configured it decides what may be sent", prefix)
		}
		channels = append(channels, c)
	}
	return channels
}

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
	var n int
	text := l.text(name)
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || fmt.Sprint(n) != text || n < least || n > most {
		l.wrong("%s is %q; it must be a whole number from %d to %d", name, text, least, most)
	}
	return n
}

func (l *loader) duration(name string) time.Duration {
	d, err := time.ParseDuration(l.text(name))
	if err != nil || d <= 0 {
		l.wrong("%s is %q; it must be a duration such as 30s or 10m", name, l.text(name))
	}
	return d
}

func (l *loader) durations(name string) []time.Duration {
	var all []time.Duration
	for _, part := range strings.Split(l.text(name), ",") {
		d, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil || d <= 0 {
			l.wrong("%s: %q is no duration such as 30s or 10m", name, part)
		}
		all = append(all, d)
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
	a, err := money.Parse(l.text(name), "CLF") // any currency of four decimals
	if err != nil || a < 0 || a > 100_0000 {
		l.wrong("%s is %q; it must be a percentage such as 1.5", name, l.text(name))
	}
	return int64(a)
}

// secret comes from its variable or from the file that NAME_file names.
func (l *loader) secret(name string) string {
	file := l.text(name + "_file")
	switch {
	case file == "":
		return l.text(name)
	case l.text(name) != "":
		l.wrong("%s and %s_file are both set; keep one", name, name)
	}
	return l.secretFile(name+"_file", file)
}

func (l *loader) secretFile(name, path string) string {
	info, err := os.Stat(path)
	if err != nil {
		l.wrong("%s cannot be read: %v", name, err)
		return ""
	}
	if info.Mode().Perm()&0o077 != 0 {
		l.wrong("%s: %s can be read by others; run chmod 600 %s", name, path, path)
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.wrong("%s cannot be read: %v", name, err)
	}
	return strings.TrimRight(string(text), "\r\n")
}

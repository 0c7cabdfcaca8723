package config

import (
	"cmp"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"payrun/importers"
	"payrun/internal/money"
)

// config turns texts into values and checks what belongs together.
func (l *loader) config() Config {
	c := Config{
		Data: l.text("data"), Zone: l.zone(), Connections: l.number("database.max_connections", 2, 1000),
		Listen: l.listen(), Inbox: l.inbox(), Sheets: l.sheets(), Schedules: map[string]string{},
		LogLevel: l.level(), LogFormat: l.oneOf("log.format", "text", "json"),
		Gateway: l.gateway(), Channels: l.channels(), Alert: l.alert(),
		Brakes: l.brakes(), Tracking: l.tracking(),
		Resend: Resend{
			Automatic: l.oneOf("resend", "manual", "automatic") == "automatic",
			Answers:   l.number("resend_answers", 2, 1000), Grace: l.duration("resend_grace"), Attempts: l.number("resend_attempts", 1, 100),
		},
	}
	for _, job := range scheduled {
		c.Schedules[job] = l.text("schedule." + job)
	}
	c.SkipMissed = l.skipMissed()
	c.Reports = cmp.Or(l.text("reports.folder"), filepath.Join(c.Data, "reports"))
	c.Profiles = cmp.Or(l.text("profiles.folder"), filepath.Join(c.Data, "profiles"))
	c.Warnings = l.warnings()
	c.DatabaseURL = l.databaseURL(c.Data)
	c.AskAfterRestore = l.duration("database.ask_after_restore")
	c.GenerationFile = cmp.Or(l.text("database.generation_file"), generationFile(c))
	return c
}

// scheduled are the jobs that have a schedule.
var scheduled = []string{"import", "limits", "settle", "report", "verify"}

func (l *loader) skipMissed() []string {
	jobs := l.words("schedule.skip_missed")
	for _, job := range jobs {
		if !slices.Contains(scheduled, job) {
			l.wrong("schedule.skip_missed: there is no job %q; there are %s", job, strings.Join(scheduled, ", "))
		}
	}
	return jobs
}

func (l *loader) brakes() Brakes {
	return Brakes{
		Window: l.duration("brakes.window"), Minimum: l.number("brakes.minimum", 1, 1_000_000),
		InDoubtPercent: l.number("brakes.in_doubt_percent", 0, 100), RefusedPercent: l.number("brakes.refused_percent", 0, 100),
		BadSignatures: l.number("brakes.bad_signatures", 0, 1_000_000), BalancePercent: l.number("brakes.balance_percent", 0, 100),
	}
}

func (l *loader) tracking() Tracking {
	return Tracking{
		Accepted: l.durations("tracking.accepted"), InDoubt: l.durations("tracking.in_doubt"), Conflict: l.durations("tracking.conflict"),
		ClosedAgain: l.duration("tracking.closed_again"), Stuck: l.duration("tracking.stuck"), PendingWithdrawal: l.duration("tracking.pending_withdrawal"),
	}
}

func (l *loader) zone() *time.Location {
	zone, err := time.LoadLocation(l.text("zone"))
	if err != nil {
		l.wrong("zone: %v; use a name such as Europe/Kyiv", err)
		return time.UTC
	}
	return zone
}

func (l *loader) listen() string {
	address := l.text("listen")
	if _, _, err := net.SplitHostPort(address); err != nil {
		l.wrong("listen is %q; it must be an address with a port, such as 127.0.0.1:8480", address)
	}
	return address
}

func (l *loader) inbox() Inbox {
	inbox := Inbox{l.text("inbox.folder"), l.text("inbox.owner")}
	switch {
	case inbox.Folder != "" && inbox.Owner == "":
		l.wrong("inbox.owner is missing: sheets in the inbox need a maker who answers for them")
	case inbox.Folder == "" && inbox.Owner != "":
		l.wrong("inbox.owner is set, but not inbox.folder: there is no inbox to answer for")
	}
	return inbox
}

func (l *loader) sheets() Sheets {
	mib := func(name string, least, most int) int64 { return int64(l.number(name, least, most)) << 20 }
	return Sheets{
		Rows: l.number("sheets.max_rows", 1, 1_000_000), Columns: l.number("sheets.max_columns", 3, 1_000), Parts: l.number("sheets.max_parts", 5, 100_000),
		Bytes: mib("sheets.max_mib", 1, 1_000), Unpacked: mib("sheets.max_unpacked_mib", 1, 1_000), Memory: mib("sheets.max_memory_mib", 64, 100_000),
		Time: l.duration("sheets.max_time"),
	}
}

func (l *loader) warnings() Warnings {
	within := func(name string) time.Duration {
		if l.text(name) == "0" {
			return 0
		}
		return l.duration(name)
	}
	w := Warnings{
		RepeatsWithin: within("warnings.repeats_within"), ReferencesWithin: within("warnings.references_within"),
		FirstPayment: l.oneOf("warnings.first_payment", "all", "large", "none"), Large: l.text("warnings.large_amount"),
	}
	l.amount("warnings.large_amount", "JPY") // a currency without decimals: whole amounts mean the same in all
	return w
}

func (l *loader) level() slog.Level {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return levels[l.oneOf("log.level", "debug", "info", "warn", "error")]
}

// databaseURL may hold a password, and then comes by environment or by a file
// of its own, like every secret.
func (l *loader) databaseURL(data string) Secret {
	const name = "database.url"
	address := l.text(name)
	if l.text(name+"_file") != "" {
		return l.secret(name)
	}
	if l.sources[name] != "environment" && holdsPassword(address) {
		l.wrong("%s: database.url holds a password, which does not belong in a configuration file; set PAYRUN_DATABASE_URL, or database.url_file to the path of a file that only you can read",
			l.sources[name])
	}
	if address == "" {
		address = "sqlite:" + filepath.Join(data, "payrun.db")
	}
	return Secret(address)
}

// generationFile stands where it is not copied by whoever copies the database.
func generationFile(c Config) string {
	if path, embedded := strings.CutPrefix(string(c.DatabaseURL), "sqlite:"); embedded {
		return path + ".generation"
	}
	return filepath.Join(c.Data, "payrun.generation")
}

func holdsPassword(address string) bool {
	location, err := url.Parse(address)
	if err != nil {
		return strings.Contains(address, "@") // unreadable: rather refuse than leak
	}
	_, has := location.User.Password()
	return has || location.Query().Has("password")
}

func (l *loader) gateway() Gateway {
	g := Gateway{
		URL: l.text("gateway.url"), Account: l.text("gateway.account"),
		Key: l.secret("gateway.key"), PreviousKey: l.secret("gateway.previous_key"),
		Separator:       l.oneOf("gateway.separator", "java", "amp", "comma"),
		ReplySignature:  l.oneOf("gateway.reply_signature", "if-present", "required"),
		NotifyURL:       l.notifyURL(),
		ProvenRefusals:  l.words("gateway.proven_refusals"),
		Timeout:         l.duration("gateway.timeout"),
		InFlight:        l.number("gateway.in_flight", 1, 10_000),
		CallsPerSecond:  l.number("gateway.calls_per_second", 0, 100_000),
		LimitsAge:       l.duration("gateway.limits_age"),
		HeadroomPercent: l.number("gateway.headroom_percent", 0, 90),
		LookupPercent:   l.number("gateway.lookup_percent", 5, 95),
	}
	hasKey := g.Key != "" || l.text("gateway.key_file") != ""
	switch {
	case g.URL == "" && (g.Account != "" || hasKey):
		l.wrong("gateway.account or gateway.key is set, but not gateway.url: a live gateway needs all three")
	case g.URL != "" && g.Account == "":
		l.wrong("gateway.account is missing: the merchant account at the gateway")
	}
	if g.URL != "" && !hasKey {
		l.wrong("gateway.key is missing: set PAYRUN_GATEWAY_KEY, or gateway.key_file to the path of a file that only you can read")
	}
	return g
}

// notifyURL is checked before anything runs: with a bad one the gateway would
// refuse every payout.
func (l *loader) notifyURL() string {
	text := l.text("gateway.notify_url")
	address, err := url.Parse(text)
	good := err == nil && address.Host != "" && address.User == nil && address.Fragment == "" &&
		(address.Scheme == "https" || address.Scheme == "http" && isLoopback(address.Hostname()))
	if text != "" && !good {
		l.wrong("gateway.notify_url is %q; it must be an https address such as https://pay.example.org/notify/epay", text)
	}
	return text
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func (l *loader) channels() []Channel {
	var channels []Channel
	for _, standard := range importers.DefaultChannels() {
		channels = append(channels, l.channel(standard.Code, standard.Name))
	}
	return channels
}

func (l *loader) channel(code, name string) Channel {
	prefix := "channels." + code + "."
	c := Channel{
		Code: code, Name: name, Enabled: l.oneOf(prefix+"enabled", "true", "false") == "true",
		Currencies: l.currencies(prefix + "currencies"), FeePPM: l.percent(prefix + "fee_percent"),
		AskLimits: l.oneOf(prefix+"limits", "gateway", "configured") == "gateway",
	}
	if len(c.Currencies) == 0 {
		return c // its amounts mean nothing
	}
	first := c.Currencies[0]
	c.FeeFlat = l.amount(prefix+"fee_flat", first)
	c.Minimum, c.Maximum = l.amount(prefix+"minimum", first), l.amount(prefix+"maximum", first)
	switch {
	case !c.AskLimits && c.Maximum == 0:
		l.wrong("%smaximum is missing: with limits: configured it decides what may be sent", prefix)
	case c.Maximum > 0 && c.Minimum > c.Maximum:
		l.wrong("%sminimum is larger than %smaximum: nothing could be sent", prefix, prefix)
	}
	return c
}

func (l *loader) currencies(name string) []money.Currency {
	var all []money.Currency
	for code := range strings.SplitSeq(l.text(name), ",") {
		currency := money.Currency(strings.TrimSpace(code))
		if _, err := currency.Exponent(); err != nil {
			l.wrong("%s: %v; use three-letter codes such as USD", name, err)
			continue
		}
		all = append(all, currency)
	}
	return all
}

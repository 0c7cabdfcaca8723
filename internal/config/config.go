// Package config reads Payrun's settings: one optional YAML file, every key
// also as an environment variable, secrets only by environment or by a file of
// their own.
//
// It is strict: a key or a PAYRUN_ variable that nobody knows is an error, and
// all mistakes are named at once, with file and line. With no settings at all
// Payrun runs on SQLite against its own sandbox gateway.
//
// Everything there is to set is a row of [Keys]; start there, then [Load].
package config

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"payrun/internal/money"
)

// Config is what was set, checked, with defaults filled in.
type Config struct {
	File        string // the configuration file, "" for none
	Data        string // folder for everything that is written
	Zone        *time.Location
	DatabaseURL Secret // may hold a password
	Connections int    // to PostgreSQL, at most
	// GenerationFile tells a restored copy of the database from the database.
	GenerationFile string
	// AskAfterRestore is how long the gateway is then asked before each send.
	AskAfterRestore time.Duration

	Gateway  Gateway
	Channels []Channel // in the order of importers.DefaultChannels
	Tracking Tracking
	Resend   Resend
	Brakes   Brakes

	Listen    string // of notifications, health and metrics
	Inbox     Inbox
	Sheets    Sheets
	Profiles  string // folder
	Warnings  Warnings
	Reports   string // folder
	Schedules map[string]string
	// SkipMissed are the jobs whose missed runs are not made up for.
	SkipMissed []string
	Alert      Alert
	LogLevel   slog.Level
	LogFormat  string // text or json

	// Sources tells where each value came from: "environment" or FILE:LINE.
	// A key that is missing has its default.
	Sources map[string]string
}

// IsSet reports whether a key was set, rather than left to its default.
func (c Config) IsSet(key string) bool { return c.Sources[key] != "" }

// Gateway is the account payouts are sent through.
type Gateway struct {
	URL, Account     string
	Key, PreviousKey Secret
	Separator        string
	ReplySignature   string
	NotifyURL        string
	ProvenRefusals   []string
	Timeout          time.Duration
	InFlight         int
	CallsPerSecond   int // 0: no limit
	LimitsAge        time.Duration
	HeadroomPercent  int
	LookupPercent    int
}

// Sandbox reports whether no live gateway is configured.
func (g Gateway) Sandbox() bool { return g.URL == "" }

// Channel is one e-wallet operator and what is allowed on it. Its amounts are
// minor units of its first currency.
type Channel struct {
	Code, Name       string
	Enabled          bool
	Currencies       []money.Currency // at least one
	FeeFlat          money.Amount
	FeePPM           int64 // parts per million
	AskLimits        bool
	Minimum, Maximum money.Amount // configured limits; 0: none
}

// Brakes say when sending stops by itself; 0 switches one off.
type Brakes struct {
	Window                         time.Duration
	Minimum                        int
	InDoubtPercent, RefusedPercent int
	BadSignatures                  int
	BalancePercent                 int
}

// Tracking is how payouts are followed.
type Tracking struct {
	Accepted, InDoubt, Conflict []time.Duration
	ClosedAgain                 time.Duration
	Stuck, PendingWithdrawal    time.Duration
}

// Resend is what it takes to send a payout in doubt again.
type Resend struct {
	Automatic bool
	Answers   int
	Grace     time.Duration
	Attempts  int
}

// Inbox is a folder whose sheets are imported by themselves.
type Inbox struct{ Folder, Owner string }

// Sheets is the most that a sheet may have or take.
type Sheets struct {
	Rows, Columns, Parts    int
	Bytes, Unpacked, Memory int64
	Time                    time.Duration // of the processor
}

// Alert is whom to tell, and when.
type Alert struct {
	WebhookURL    string // its path may be a secret: never show it
	WebhookSecret Secret

	MailServer, MailSecurity, MailUser string
	MailPassword                       Secret
	MailFrom                           string
	MailTo                             []string

	ApprovalAfter, InDoubtAfter, HeldBackAfter, LateAfter time.Duration
	BalanceLow                                            map[money.Currency]money.Amount
}

// Warnings says what people have to confirm about a sheet besides what the
// importer finds.
type Warnings struct {
	RepeatsWithin    time.Duration // 0: repeats need not be confirmed
	ReferencesWithin time.Duration // 0: used references need not be confirmed
	FirstPayment     string        // all, large or none
	Large            string        // a whole amount in any currency
}

// Secret is a text that never shows itself: printing and logging it say only
// whether it is set. Convert it to a string where it is used.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return "(not set)"
	}
	return "(secret)"
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides it from JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides it from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Error lists everything that is wrong with the settings, one sentence each.
type Error struct{ Problems []string }

// Error joins the sentences, one a line.
func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// Load reads the file, then the environment, which wins. With path "" the file
// is the one that PAYRUN_CONFIG names, or none. Relative paths in the settings
// are relative to the working folder. It returns an *Error that names every
// problem at once.
func Load(path string, environ []string) (Config, error) {
	l := loader{values: map[string]string{}, sources: map[string]string{}}
	if path == "" {
		path = lookup(environ, "PAYRUN_CONFIG")
	}
	l.file(path)
	l.environment(environ)
	c := l.config()
	c.File, c.Sources = path, l.sources
	if len(l.problems) > 0 {
		return c, &Error{l.problems}
	}
	return c, nil
}

// loader gathers values as text, so that "0.50" never becomes a float, then
// turns them into a Config. It collects problems instead of stopping at one.
type loader struct {
	values   map[string]string
	sources  map[string]string
	problems []string
}

func (l *loader) wrong(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// set keeps a value. An empty one means the default: it is as if not set.
func (l *loader) set(key, value, source string) {
	if value != "" {
		l.values[key], l.sources[key] = value, source
	}
}

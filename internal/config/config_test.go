package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payrun/internal/config"
	"payrun/internal/money"
)

// canary is a secret that no message may repeat.
const canary = "CANARY0key0CANARY"

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, yaml string, environ ...string) (config.Config, error) {
	t.Helper()
	path := ""
	if yaml != "" {
		path = write(t, "payrun.yaml", yaml, 0o644)
	}
	return config.Load(path, environ)
}

func TestNothingSetMeansSandboxOnSQLite(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Gateway.Sandbox() || string(c.DatabaseURL) != "sqlite:payrun-data/payrun.db" || c.Reports != "payrun-data/reports" {
		t.Errorf("got gateway %q, database %q, reports %q", c.Gateway.URL, string(c.DatabaseURL), c.Reports)
	}
	if c.Zone != time.UTC || c.LogLevel != slog.LevelInfo || c.Gateway.CallsPerSecond != 2 || c.Gateway.InFlight != 1 {
		t.Errorf("unexpected defaults: %+v", c)
	}
	if len(c.Channels) != 4 || !c.Channels[0].Enabled || c.Channels[0].Currencies[0] != "USD" {
		t.Errorf("unexpected channels: %+v", c.Channels)
	}
}

// sample is a value that every key accepts, different from its default. The
// file ones are paths of secret files.
func sample(t *testing.T, k config.Key) (value string) {
	switch {
	case strings.HasSuffix(k.Name, "_file"):
		return write(t, "secret", "sqlite:of-a-file\n", 0o600)
	case k.Name == "schedule.skip_missed":
		return "report,verify"
	case strings.HasPrefix(k.Name, "schedule."):
		return "@every 7m"
	}
	byEnding := map[string]string{
		"data": "elsewhere", "zone": "Europe/Kyiv", "database.url": "sqlite:other.db", "database.max_connections": "9",
		"database.ask_after_restore": "48h",
		"gateway.url":                "https://pay.example/capi/openapi/", "gateway.account": "us", "gateway.key": "k1", "gateway.previous_key": "k0",
		"gateway.separator": "amp", "gateway.reply_signature": "required", "gateway.notify_url": "https://us.example/notify/epay",
		"gateway.timeout": "7s", "gateway.in_flight": "3", "gateway.calls_per_second": "5", "gateway.headroom_percent": "20",
		"gateway.lookup_percent": "30", "tracking.accepted": "1s,2s", "tracking.in_doubt": "3s", "tracking.closed_again": "4s", "tracking.conflict": "5s,6s",
		"tracking.stuck": "7h", "tracking.pending_withdrawal": "8h", "gateway.proven_refusals": "4711,4712",
		"brakes.window": "7m", "brakes.minimum": "30", "brakes.in_doubt_percent": "40", "brakes.refused_percent": "60", "brakes.bad_signatures": "6", "brakes.balance_percent": "2",
		"sheets.max_rows": "7", "sheets.max_columns": "9", "sheets.max_mib": "3", "sheets.max_unpacked_mib": "4", "sheets.max_parts": "20",
		"sheets.max_memory_mib": "99", "sheets.max_time": "3s", "gateway.limits_age": "9m",
		"resend": "automatic", "resend_answers": "5", "resend_grace": "9m", "resend_attempts": "4",
		"listen": "127.0.0.1:1", "inbox.folder": "in", "inbox.owner": "mia", "profiles.folder": "p",
		"warnings.repeats_within": "24h", "warnings.references_within": "25h", "warnings.first_payment": "all", "warnings.large_amount": "50", "reports.folder": "out", "log.level": "debug", "log.format": "json",
		"alert.webhook_url": "https://hooks.example/payrun", "alert.webhook_secret": "a-secret-of-enough-letters", "alert.mail_server": "mail.example:587",
		"alert.mail_security": "tls", "alert.mail_user": "payrun", "alert.mail_password": "p", "alert.mail_from": "payrun@example.org",
		"alert.mail_to": "mia@example.org,charles@example.org", "alert.approval_after": "2h", "alert.in_doubt_after": "3h", "alert.held_back_after": "4h",
		"alert.late_after": "5h", "alert.balance_low": "USD 1000.00,EUR 5.00",
		"enabled": "false", "currencies": "EUR,USD", "fee_flat": "0.50", "fee_percent": "1.5", "limits": "configured", "minimum": "2.00", "maximum": "9.00",
	}
	for _, name := range []string{k.Name, k.Name[strings.LastIndexByte(k.Name, '.')+1:]} {
		if v, ok := byEnding[name]; ok {
			return v
		}
	}
	t.Fatalf("a new key needs a sample here: %s", k.Name)
	return ""
}

// needs are the settings without which a key makes no sense.
func needs(name string) []string {
	switch {
	case strings.HasPrefix(name, "gateway.key") || name == "gateway.account":
		return []string{"PAYRUN_GATEWAY_URL=https://x.example/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY=k"}
	case name == "gateway.url":
		return []string{"PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY=k"}
	case strings.HasPrefix(name, "alert.webhook"):
		return []string{"PAYRUN_ALERT_WEBHOOK_URL=https://x.example", "PAYRUN_ALERT_WEBHOOK_SECRET=s"}
	case name == "alert.mail_user" || strings.HasPrefix(name, "alert.mail_password"):
		return []string{"PAYRUN_ALERT_MAIL_USER=u", "PAYRUN_ALERT_MAIL_PASSWORD=p"}
	case name == "alert.mail_server" || name == "alert.mail_from" || name == "alert.mail_to":
		return []string{"PAYRUN_ALERT_MAIL_SERVER=h:25", "PAYRUN_ALERT_MAIL_FROM=f", "PAYRUN_ALERT_MAIL_TO=t"}
	case name == "inbox.folder":
		return []string{"PAYRUN_INBOX_OWNER=o"}
	case name == "inbox.owner":
		return []string{"PAYRUN_INBOX_FOLDER=f"}
	case strings.HasPrefix(name, "channels.") && (strings.HasSuffix(name, ".limits") || strings.HasSuffix(name, ".minimum")):
		return []string{"PAYRUN_" + strings.ToUpper(strings.ReplaceAll(name[:strings.LastIndexByte(name, '.')], ".", "_")) + "_MAXIMUM=99"}
	}
	return nil
}

func without(environ []string, key config.Key) []string {
	var rest []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if name != key.Env() && name+"_FILE" != key.Env() {
			rest = append(rest, pair)
		}
	}
	return rest
}

// nested writes "a.b.c: value" as YAML.
func nested(name, value string) string {
	var text strings.Builder
	parts := strings.Split(name, ".")
	for depth, part := range parts {
		fmt.Fprintf(&text, "%s%s:", strings.Repeat("  ", depth), part)
		if depth < len(parts)-1 {
			text.WriteString("\n")
		}
	}
	fmt.Fprintf(&text, " %q\n", value)
	return text.String()
}

func TestEveryKeyWorksByFileAndByEnvironment(t *testing.T) {
	t.Parallel()
	for _, key := range config.Keys() {
		t.Run(key.Name, func(t *testing.T) {
			t.Parallel()
			value := sample(t, key)
			around := without(needs(key.Name), key)
			byEnvironment, err := config.Load("", append(around, key.Env()+"="+value))
			if err != nil {
				t.Fatalf("by environment: %v", err)
			}
			if !byEnvironment.IsSet(key.Name) {
				t.Error("its source is not known")
			}
			plain, _ := config.Load("", around)
			if cmp.Equal(view(plain), view(byEnvironment)) {
				t.Error("it changes nothing")
			}
			if key.Secret {
				return
			}
			byFile, err := load(t, nested(key.Name, value), around...)
			if err != nil {
				t.Fatalf("by file: %v", err)
			}
			if diff := cmp.Diff(view(byEnvironment), view(byFile)); diff != "" {
				t.Errorf("environment and file differ:\n%s", diff)
			}
		})
	}
}

// view is what a configuration does, without where it came from.
func view(c config.Config) map[string]any {
	return map[string]any{
		"data": c.Data, "zone": c.Zone.String(), "database": string(c.DatabaseURL), "connections": c.Connections,
		"generation": c.GenerationFile, "asking": c.AskAfterRestore,
		"gateway": c.Gateway, "key": string(c.Gateway.Key), "previous": string(c.Gateway.PreviousKey), "channels": c.Channels,
		"tracking": c.Tracking, "resend": c.Resend, "brakes": c.Brakes, "listen": c.Listen, "inbox": c.Inbox, "sheets": c.Sheets, "profiles": c.Profiles, "warnings": c.Warnings, "reports": c.Reports, "schedules": c.Schedules, "skip missed": c.SkipMissed,
		"level": c.LogLevel, "format": c.LogFormat,
		"alert": c.Alert, "webhook secret": string(c.Alert.WebhookSecret), "mail password": string(c.Alert.MailPassword),
	}
}

func TestEnvironmentWinsOverFileAndEmptyMeansDefault(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "data: from-file\nlisten: 127.0.0.1:1\nzone:\nlog: {}\n", 0o644)
	c, err := config.Load("", []string{"PAYRUN_CONFIG=" + file, "PAYRUN_DATA=from-environment", "PAYRUN_LISTEN=", "PAYRUN_ZONE="})
	if err != nil {
		t.Fatal(err)
	}
	if c.File != file || c.Data != "from-environment" || c.Listen != "127.0.0.1:1" || c.Zone != time.UTC {
		t.Errorf("got file %q, data %q, listen %q, zone %v", c.File, c.Data, c.Listen, c.Zone)
	}
	if c.Sources["data"] != "environment" || !strings.HasSuffix(c.Sources["listen"], "c.yaml:2") {
		t.Errorf("sources: %v", c.Sources)
	}
}

func TestMoneyIsReadExactly(t *testing.T) {
	t.Parallel()
	c, err := load(t, "channels:\n  12:\n    currencies: [EUR, USD]\n    fee_flat: 0.10\n    fee_percent: 1.2345\n    maximum: 10000\n")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Channels[1]
	if got.FeeFlat != 10 || got.FeePPM != 12345 || got.Maximum != 1_000_000 || !cmp.Equal(got.Currencies, []money.Currency{"EUR", "USD"}) {
		t.Errorf("got %+v", got)
	}
}

func TestProblemsAreNamedAllAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		yaml    string
		environ []string
		want    []string // each is part of one problem, in order
	}{
		"unknown key, letters swapped": {"gatewey:\n  url: x\n", nil, []string{`c.yaml:1: there is no setting "gatewey"`}},
		"unknown key in a group":       {"gateway:\n  time_out: 5s\n", nil, []string{"c.yaml:2: there is no setting \"gateway.time_out\"; is gateway.timeout meant?"}},
		"known key in a wrong group":   {"max_connections: 5\n", nil, []string{"is database.max_connections meant?"}},
		"unknown channel":              {"channels: {13: {enabled: true}}\n", nil, []string{`no setting "channels.13"`}},
		"two problems at once":         {"zone: Mars/Phobos\ndatabase: {max_connections: many}\n", nil, []string{"zone: unknown time zone Mars/Phobos", "database.max_connections is \"many\"; it must be a whole number from 2 to 1000"}},
		"set twice":                    {"data: a\ndata: b\n", nil, []string{"already defined|set twice"}},
		"value where a group belongs":  {"gateway: https://x\n", nil, []string{"c.yaml:1: gateway is a group of settings, not a value"}},
		"group where a value belongs":  {"data: {folder: x}\n", nil, []string{"c.yaml:1: data must be a single value"}},
		"list where a value belongs":   {"data: [a, b]\n", nil, []string{"data must be a single value"}},
		"list of lists":                {"tracking: {accepted: [[1s]]}\n", nil, []string{"tracking.accepted must be a list of single values"}},
		"alias":                        {"data: &d x\nlisten: *d\n", nil, []string{"listen is a YAML alias"}},
		"not YAML":                     {"data: [\n", nil, []string{"is not valid YAML"}},
		"two documents":                {"data: a\n---\ndata: b\n", nil, []string{"more than one YAML document"}},
		"a list as document":           {"- data\n", nil, []string{"settings are names with values"}},
		"boolean":                      {"channels: {11: {enabled: maybe}}\n", nil, []string{`channels.11.enabled is "maybe"; it must be one of true, false`}},
		"duration":                     {"gateway: {timeout: 30}\n", nil, []string{`gateway.timeout is "30"; it must be a duration above zero`}},
		"negative duration":            {"tracking: {in_doubt: [5s, -1s]}\n", nil, []string{`tracking.in_doubt is "-1s"`}},
		"number with rest":             {"gateway: {in_flight: 5x}\n", nil, []string{"gateway.in_flight is \"5x\""}},
		"amount with too many digits":  {"channels: {11: {fee_flat: 0.123}}\n", nil, []string{`channels.11.fee_flat is "0.123"; it must be an amount in USD`}},
		"percentage above hundred":     {"channels: {11: {fee_percent: 100.0001}}\n", nil, []string{"it must be a percentage"}},
		"unknown currency":             {"channels: {11: {currencies: [usd]}}\n", nil, []string{`unknown currency "usd"`}},
		"configured without maximum":   {"channels: {11: {limits: configured}}\n", nil, []string{"channels.11.maximum is missing"}},
		"minimum above maximum":        {"channels: {11: {minimum: 5, maximum: 4}}\n", nil, []string{"channels.11.minimum is larger"}},
		"listen without port":          {"listen: localhost\n", nil, []string{`listen is "localhost"`}},
		"notify address over http":     {"gateway: {notify_url: http://pay.example.org/notify/epay}\n", nil, []string{"it must be an https address"}},
		"inbox without owner":          {"inbox: {folder: in}\n", nil, []string{"inbox.owner is missing"}},
		"webhook without secret":       {"alert: {webhook_url: 'https://x.example'}\n", nil, []string{"alert.webhook_url is set, but not alert.webhook_secret"}},
		"mail without people":          {"alert: {mail_server: 'x.example:25'}\n", nil, []string{"alert.mail_server is set, but not alert.mail_from and alert.mail_to"}},
		"floor without currency":       {"alert: {balance_low: [1000]}\n", nil, []string{`alert.balance_low holds "1000"; it must be a currency and an amount`}},
		"owner without inbox":          {"inbox: {owner: mia}\n", nil, []string{"inbox.owner is set, but not inbox.folder"}},
		"live gateway without the rest": {"gateway: {url: 'https://x.example/openapi/'}\n", nil,
			[]string{"gateway.account is missing", "gateway.key is missing: set PAYRUN_GATEWAY_KEY"}},
		"key without gateway":        {"", []string{"PAYRUN_GATEWAY_KEY=" + canary}, []string{"but not gateway.url"}},
		"unknown variable":           {"", []string{"PAYRUN_GATEWAY_KEYS=" + canary}, []string{"PAYRUN_GATEWAY_KEYS is no setting of payrun; is PAYRUN_GATEWAY_KEY meant?"}},
		"unknown variable, far off":  {"", []string{"PAYRUN_COLOUR=" + canary}, []string{"PAYRUN_COLOUR is no setting of payrun"}},
		"secret in the file":         {"gateway: {key: " + canary + "}\n", nil, []string{"c.yaml:1: gateway.key is a secret and does not belong in a configuration file; set PAYRUN_GATEWAY_KEY, or gateway.key_file"}},
		"password in the file":       {"database: {url: 'postgres://u:" + canary + "@db/x'}\n", nil, []string{"c.yaml:1: database.url holds a password"}},
		"password as a parameter":    {"database: {url: 'postgres://db/x?password=" + canary + "'}\n", nil, []string{"database.url holds a password"}},
		"password in a broken URL":   {"database: {url: 'postgres://u:" + canary + "%zz@db/x'}\n", nil, []string{"database.url holds a password"}},
		"key and key file":           {"", []string{"PAYRUN_GATEWAY_URL=https://x/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY=" + canary, "PAYRUN_GATEWAY_KEY_FILE=SECRET"}, []string{"are both set; keep one"}},
		"key file read by others":    {"", []string{"PAYRUN_GATEWAY_URL=https://x/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY_FILE=OPEN"}, []string{"can be read by others; run chmod 600"}},
		"key file missing":           {"", []string{"PAYRUN_GATEWAY_URL=https://x/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY_FILE=/nowhere/key"}, []string{"gateway.key_file: the file cannot be read"}},
		"key file empty":             {"", []string{"PAYRUN_GATEWAY_URL=https://x/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY_FILE=EMPTY"}, []string{"is empty"}},
		"key file is a folder":       {"", []string{"PAYRUN_GATEWAY_URL=https://x/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a", "PAYRUN_GATEWAY_KEY_FILE=/"}, []string{"is not a file"}},
		"file that is not there":     {"", []string{"PAYRUN_CONFIG=/nowhere/c.yaml"}, []string{"the configuration file cannot be read"}},
		"file that is a folder":      {"", []string{"PAYRUN_CONFIG=/"}, []string{"the configuration file cannot be read"}},
		"misspelt file and variable": {"dat: x\n", []string{"PAYRUN_DAT=y"}, []string{`there is no setting "dat"; is data meant?`, "PAYRUN_DAT is no setting of payrun; is PAYRUN_DATA meant?"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := strings.NewReplacer(
				"SECRET", write(t, "key", canary+"\n", 0o600), "OPEN", write(t, "key", canary+"\n", 0o640), "EMPTY", write(t, "key", "\n", 0o600))
			var environ []string
			for _, pair := range test.environ {
				environ = append(environ, files.Replace(pair))
			}
			path := ""
			if test.yaml != "" {
				path = write(t, "c.yaml", test.yaml, 0o644)
			}
			_, err := config.Load(path, environ)
			var problems *config.Error
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems", err)
			}
			if len(problems.Problems) != len(test.want) {
				t.Fatalf("got %d problems, want %d:\n%v", len(problems.Problems), len(test.want), err)
			}
			for i, want := range test.want {
				if !containsOne(problems.Problems[i], want) {
					t.Errorf("problem %d is %q, want %q in it", i, problems.Problems[i], want)
				}
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the message repeats a secret: %v", err)
			}
		})
	}
}

func containsOne(text, alternatives string) bool {
	for part := range strings.SplitSeq(alternatives, "|") {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func TestSecretsComeFromFilesAndNeverShow(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", []string{
		"PAYRUN_GATEWAY_URL=https://x.example/openapi/", "PAYRUN_GATEWAY_ACCOUNT=a",
		"PAYRUN_GATEWAY_KEY_FILE=" + write(t, "key", canary+"\r\n", 0o400),
		"PAYRUN_DATABASE_URL_FILE=" + write(t, "url", "postgres://u:"+canary+"@db/x\n", 0o600),
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(c.Gateway.Key) != canary || string(c.DatabaseURL) != "postgres://u:"+canary+"@db/x" {
		t.Error("the files were not read exactly")
	}
	var logged strings.Builder
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	log.Info("settings", "config", c, "gateway", c.Gateway, "key", c.Gateway.Key)
	for how, text := range map[string]string{
		"%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c), "log": logged.String(),
		"key %s": fmt.Sprintf("%s %q", c.Gateway.Key, c.Gateway.Key),
	} {
		if strings.Contains(text, canary) {
			t.Errorf("%s shows a secret: %s", how, text)
		}
	}
}

func TestKeysAreUniqueAndDocumented(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range config.Keys() {
		if seen[k.Name] || seen[k.Env()] || k.Doc == "" {
			t.Errorf("%s is there twice, or undocumented", k.Name)
		}
		seen[k.Name], seen[k.Env()] = true, true
	}
}

func FuzzFile(f *testing.F) {
	for _, seed := range []string{"data: x\n", "gateway:\n  url: y\n", "a: &x [*x]\n", "? {a: b}\n: c\n", "\x00", "- - -\n", "data: !!binary aGk=\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := load(t, text)
		var problems *config.Error
		if err != nil && !errors.As(err, &problems) {
			t.Errorf("not a list of problems: %v", err)
		}
	})
}

package config

import (
	"slices"
	"strings"

	"payrun/importers"
)

// Key is one thing that can be set.
type Key struct {
	Name    string // in the file, dots for levels
	Default string
	Doc     string
	Secret  bool // only by environment, or by the file that NAME_file names
	List    bool // several values: a list in the file, commas elsewhere
}

// Env is the environment variable of the key.
func (k Key) Env() string {
	return "PAYRUN_" + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// Keys lists everything there is to set, in the order of the documentation.
func Keys() []Key {
	return slices.Concat(storeKeys, gatewayKeys, channelKeys(), runningKeys, alertKeys)
}

var storeKeys = []Key{
	{Name: "data", Default: "payrun-data", Doc: "folder for everything that is written"},
	{Name: "zone", Default: "UTC", Doc: "business zone: days, pay dates, and times in reports"},
	{Name: "database.url", Doc: "`sqlite:PATH` or `postgres://…`; default: `payrun.db` in the data folder"},
	{Name: "database.url_file", Doc: "file that holds the database URL, mode 600"},
	{Name: "database.max_connections", Default: "16", Doc: "connections to PostgreSQL, at most"},
	{Name: "database.generation_file", Doc: "tells a restored copy of the database from the database: best on another disk; default: beside the SQLite file, else in the data folder"},
	{Name: "database.ask_after_restore", Default: "720h", Doc: "so long after a restore the gateway is asked about each payout before it is sent"},
}

var gatewayKeys = []Key{
	{Name: "gateway.url", Doc: "the gateway's base URL, ending in `/openapi/`; empty: the sandbox"},
	{Name: "gateway.account", Doc: "our merchant account at the gateway"},
	{Name: "gateway.key", Secret: true, Doc: "payout API key"},
	{Name: "gateway.key_file", Doc: "file that holds the key, mode 600"},
	{Name: "gateway.previous_key", Secret: true, Doc: "still verifies answers while the key is being changed"},
	{Name: "gateway.previous_key_file", Doc: "file that holds it, mode 600"},
	{Name: "gateway.separator", Default: "java", Doc: "inside nested objects of a signature: `java`, `amp` or `comma`"},
	{Name: "gateway.reply_signature", Default: "if-present", Doc: "`required` refuses unsigned answers"},
	{Name: "gateway.notify_url", Doc: "public https address of our `/notify/epay`; empty: look-ups only"},
	{Name: "gateway.proven_refusals", List: true, Doc: "codes of which the gateway has confirmed that a refused payout was never made; empty: none"},
	{Name: "gateway.timeout", Default: "30s", Doc: "for one whole call"},
	{Name: "gateway.in_flight", Default: "1", Doc: "calls open at a time, per process"},
	{Name: "gateway.calls_per_second", Default: "2", Doc: "the gateway's limit over all processes; 0: none"},
	{Name: "gateway.limits_age", Default: "5m", Doc: "limits and balances that are older are not sent on"},
	{Name: "gateway.headroom_percent", Default: "10", Doc: "share of the limit that is left unused"},
	{Name: "gateway.lookup_percent", Default: "40", Doc: "share of the rest that belongs to look-ups"},
}

func channelKeys() []Key {
	var keys []Key
	for _, c := range importers.DefaultChannels() {
		prefix := "channels." + c.Code + "."
		keys = append(keys,
			Key{Name: prefix + "enabled", Default: "true", Doc: c.Name + ": `false` switches the channel off"},
			Key{Name: prefix + "currencies", Default: "USD", List: true, Doc: "currencies it may pay"},
			Key{Name: prefix + "fee_flat", Default: "0", Doc: "estimated fee per payout, in its first currency"},
			Key{Name: prefix + "fee_percent", Default: "0", Doc: "estimated fee in percent of the amount"},
			Key{Name: prefix + "limits", Default: "gateway", Doc: "`configured` does not ask the gateway for limits"},
			Key{Name: prefix + "minimum", Default: "0", Doc: "configured limit, also where the gateway tells none"},
			Key{Name: prefix + "maximum", Default: "0", Doc: "likewise; 0: none configured"},
		)
	}
	return keys
}

var runningKeys = []Key{
	{Name: "tracking.accepted", Default: "10s,30s,1m,2m,5m,10m,30m,1h", List: true, Doc: "waits between look-ups of a payout under way; the last one repeats"},
	{Name: "tracking.in_doubt", Default: "5s,30s,2m,10m,30m,1h", List: true, Doc: "likewise for a payout in doubt"},
	{Name: "tracking.closed_again", Default: "10m", Doc: "a payout the gateway calls closed is asked about again after this"},
	{Name: "tracking.conflict", Default: "1m,5m,15m", List: true, Doc: "waits while a look-up contradicts a notification; then people decide"},
	{Name: "tracking.stuck", Default: "24h", Doc: "a payout under way for longer becomes a case"},
	{Name: "tracking.pending_withdrawal", Default: "72h", Doc: "one that its payee has not taken for longer becomes a case"},
	{Name: "resend", Default: "manual", Doc: "`automatic` sends a payout again that is proven absent; only where the gateway has confirmed that it refuses a repeated order number"},
	{Name: "resend_answers", Default: "3", Doc: "times the gateway must have said \"not found\" for the proof"},
	{Name: "resend_grace", Default: "30m", Doc: "time between the first and the last of them"},
	{Name: "resend_attempts", Default: "2", Doc: "times a payout may be sent at all"},
	{Name: "brakes.window", Default: "10m", Doc: "sending stops by itself by what happened within this time, over all processes"},
	{Name: "brakes.minimum", Default: "20", Doc: "payouts sent on a channel before a share of them means anything"},
	{Name: "brakes.in_doubt_percent", Default: "30", Doc: "a channel stops when more of its payouts come into doubt; 0: never"},
	{Name: "brakes.refused_percent", Default: "50", Doc: "a channel stops when more of its payouts are refused; 0: not by share"},
	{Name: "brakes.bad_signatures", Default: "5", Doc: "everything stops at so many wrongly signed answers of the gateway; 0: never"},
	{Name: "brakes.balance_percent", Default: "1", Doc: "everything stops when the gateway's balance falls so much further than our payouts explain; 0: never"},
	{Name: "listen", Default: "127.0.0.1:8480", Doc: "address of notifications, health and metrics"},
	{Name: "inbox.folder", Doc: "sheets put here are imported; empty: none"},
	{Name: "inbox.owner", Doc: "the maker who answers for them; a folder in it that is named like an import profile has the profile's owner"},
	{Name: "sheets.max_rows", Default: "50000", Doc: "payout rows that a sheet may have; more may take more of all below"},
	{Name: "sheets.max_columns", Default: "50", Doc: "columns that it may have"},
	{Name: "sheets.max_mib", Default: "10", Doc: "size of its file in MiB"},
	{Name: "sheets.max_unpacked_mib", Default: "100", Doc: "size of a workbook unpacked, in MiB"},
	{Name: "sheets.max_parts", Default: "200", Doc: "files inside a workbook"},
	{Name: "sheets.max_memory_mib", Default: "224", Doc: "memory in MiB that reading a workbook may take"},
	{Name: "sheets.max_time", Default: "10s", Doc: "processor time that reading a workbook may take"},
	{Name: "profiles.folder", Doc: "import profiles, a file `NAME.yaml` each; default: `profiles` in the data folder"},
	{Name: "warnings.repeats_within", Default: "720h", Doc: "the same amount to the same wallet within this time must be confirmed, and a sheet with the same totals; `0`: need not"},
	{Name: "warnings.references_within", Default: "720h", Doc: "a reference that was paid under within this time must be confirmed; `0`: need not, for teams that number every sheet from 1"},
	{Name: "warnings.first_payment", Default: "large", Doc: "which first payments to a wallet must be confirmed: `all`, `large` or `none`"},
	{Name: "warnings.large_amount", Default: "1000", Doc: "a first payment above this is large, in any currency"},
	{Name: "reports.folder", Doc: "where workbooks go; default: `reports` in the data folder"},
	{Name: "schedule.import", Default: "@every 1m", Doc: "when the inbox is looked at"},
	{Name: "schedule.limits", Default: "@every 1m", Doc: "when limits and balances are refreshed"},
	{Name: "schedule.settle", Default: "5 4 * * *", Doc: "when the business day closes, in UTC; `CRON_TZ=Europe/Kyiv` in front sets another zone"},
	{Name: "schedule.report", Default: "15 4 * * *", Doc: "when the workbook is written"},
	{Name: "schedule.verify", Default: "35 4 * * *", Doc: "when every promise of the ledger is checked"},
	{Name: "schedule.skip_missed", List: true, Doc: "jobs whose missed runs are skipped, and said to be; those of all others are made up for once"},
	{Name: "log.level", Default: "info", Doc: "`debug`, `info`, `warn` or `error`; `demo` and `run` default to `warn`"},
	{Name: "log.format", Default: "text", Doc: "`text` or `json`"},
}

var alertKeys = []Key{
	{Name: "alert.webhook_url", Doc: "https address that alerts are posted to; empty: none"},
	{Name: "alert.webhook_secret", Secret: true, Doc: "signs what is posted: `whsec_` and base64, or 24 characters or more"},
	{Name: "alert.webhook_secret_file", Doc: "file that holds the secret, mode 600"},
	{Name: "alert.mail_server", Doc: "`host:port` of the server that alerts are mailed through; empty: none"},
	{Name: "alert.mail_security", Default: "starttls", Doc: "`starttls`, `tls` (from the first byte), or `none` for a server on this machine"},
	{Name: "alert.mail_user", Doc: "user at the mail server; empty: without a login"},
	{Name: "alert.mail_password", Secret: true, Doc: "their password"},
	{Name: "alert.mail_password_file", Doc: "file that holds it, mode 600"},
	{Name: "alert.mail_from", Doc: "the sender's address"},
	{Name: "alert.mail_to", List: true, Doc: "addresses of those who are told"},
	{Name: "alert.approval_after", Default: "1h", Doc: "a batch or a proposal that waits longer for a second person is told"},
	{Name: "alert.in_doubt_after", Default: "30m", Doc: "a payout that is in doubt longer is told"},
	{Name: "alert.held_back_after", Default: "10m", Doc: "approved payouts that cannot be sent for longer are told"},
	{Name: "alert.late_after", Default: "10m", Doc: "a job's run that is later counts as missed"},
	{Name: "alert.balance_low", List: true, Doc: "gateway balances below which somebody is told, such as `USD 1000.00`; what approved payouts need is watched anyway"},
}

func find(name string) (Key, bool) {
	keys := Keys()
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

// isGroup reports whether the name is a level above keys, such as "gateway".
func isGroup(name string) bool {
	return slices.ContainsFunc(Keys(), func(k Key) bool { return strings.HasPrefix(k.Name, name+".") })
}

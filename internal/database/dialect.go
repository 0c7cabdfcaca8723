package database

// Dialect holds every string in which the two engines differ. Business code
// never asks which engine it runs on; it uses these strings.
type Dialect struct {
	// Name is "sqlite" or "postgres", as the migration tool spells it.
	Name string
	// ForUpdate locks the rows a query selects. SQLite has one writer and
	// needs no row locks.
	ForUpdate string
	// ForShare locks them against change but not against other readers.
	ForShare string
	// SkipLocked is ForUpdate for claims: rows that another worker holds
	// are passed over.
	SkipLocked string

	queue   string            // query that waits for its argument's turn, "" with one writer
	now     string            // query for the database's time in microseconds
	durable map[string]string // setting -> accepted values, separated by spaces
	// identity are queries for an Identity, the best first.
	identity []string
}

// SQLite is the embedded engine: one file, one writer at a time.
var SQLite = Dialect{
	Name: "sqlite3",
	durable: map[string]string{
		"PRAGMA synchronous":  "2 3",
		"PRAGMA journal_mode": "wal delete",
	},
	identity: []string{"SELECT '' AS cluster, '' AS place, 0 AS timeline"},
}

// Postgres is the production engine.
var Postgres = Dialect{
	Name:       "postgres",
	ForUpdate:  " FOR UPDATE",
	ForShare:   " FOR SHARE",
	SkipLocked: " FOR UPDATE SKIP LOCKED",
	queue:      "SELECT pg_advisory_xact_lock(hashtext(?))",
	now:        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
	durable: map[string]string{
		"SHOW fsync":              "on",
		"SHOW full_page_writes":   "on",
		"SHOW synchronous_commit": "on remote_write remote_apply",
	},
	// The timeline is that of the newest log file: the control data tells a
	// promotion only after the next checkpoint.
	identity: []string{
		`SELECT (SELECT system_identifier::text FROM pg_control_system()) AS cluster, ` + place + ` AS place,
			CASE WHEN pg_is_in_recovery() THEN 0 ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END AS timeline`,
		`SELECT '' AS cluster, ` + place + ` AS place, 0 AS timeline`,
	},
}

// place: object numbers of the database and of the table store.
const place = `coalesce((SELECT d.oid || '/' || to_regclass('store')::oid FROM pg_database d WHERE d.datname = current_database()), '')`

-- The tables, in PostgreSQL's words. For SQLite the two words that differ are
-- exchanged when this file is read: see migrations.go.
--
-- Instants are microseconds since 1970 in UTC, 0 meaning never. Amounts are
-- minor units. Digests are SHA-256 in lower-case hex. States and kinds are
-- words, so that a person can read the tables.
--
-- The large tables (payouts, attempts, evidence, events, entries, lines) have
-- no foreign keys: each would cost a locked look-up per row and double the
-- price of a payout. Nothing is ever deleted from them, and verify names every
-- row that refers to nothing.

-- +goose Up

CREATE TABLE store (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    application TEXT   NOT NULL CHECK (application = 'payrun')
);
INSERT INTO store (id, application) VALUES (1, 'payrun');

-- People ---------------------------------------------------------------

CREATE TABLE users (
    id          BIGINT PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE CHECK (name <> ''),
    created_at  BIGINT NOT NULL,
    disabled_at BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE user_roles (
    user_id    BIGINT NOT NULL REFERENCES users (id),
    role       TEXT   NOT NULL CHECK (role IN ('maker', 'checker', 'auditor', 'admin')),
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, role)
);

CREATE TABLE tokens (
    id         BIGINT PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES users (id),
    digest     TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL DEFAULT 0
);

-- What people did, as a chain: each digest covers the one before.
CREATE TABLE audit (
    position   BIGINT PRIMARY KEY,
    actor      TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    detail     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    digest     TEXT   NOT NULL
);

-- The chain's newest link; its row lock keeps concurrent writers from forking it.
CREATE TABLE audit_head (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    position BIGINT NOT NULL,
    digest   TEXT   NOT NULL
);
INSERT INTO audit_head (id, position, digest) VALUES (1, 0, '');

-- Batches and payouts ---------------------------------------------------

CREATE TABLE batches (
    id              BIGINT PRIMARY KEY,
    name            TEXT   NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('STAGING', 'VALID', 'SUBMITTED', 'APPROVED', 'CANCELLED')),
    gateway_account TEXT   NOT NULL,
    -- The first 16 characters of every order number of the batch; '' while staging.
    order_prefix    TEXT   NOT NULL DEFAULT '',
    source_digest   TEXT   NOT NULL DEFAULT '',
    rows_digest     TEXT   NOT NULL DEFAULT '',
    content_digest  TEXT   NOT NULL DEFAULT '',
    -- An earlier batch with the same rows, or 0; such a batch waits for a
    -- checker to grant it a repeat number.
    repeats         BIGINT NOT NULL DEFAULT 0,
    repeat_number   BIGINT NOT NULL DEFAULT 0,
    rows_read       BIGINT NOT NULL DEFAULT 0,
    accepted        BIGINT NOT NULL DEFAULT 0,
    rejected        BIGINT NOT NULL DEFAULT 0,
    blank           BIGINT NOT NULL DEFAULT 0,
    made_by         BIGINT NOT NULL REFERENCES users (id),
    made_at         BIGINT NOT NULL,
    submitted_by    BIGINT NOT NULL DEFAULT 0,
    submitted_at    BIGINT NOT NULL DEFAULT 0,
    approved_by     BIGINT NOT NULL DEFAULT 0,
    approved_at     BIGINT NOT NULL DEFAULT 0,
    -- When nothing was left to send; 0 while there is.
    drained_at      BIGINT NOT NULL DEFAULT 0,
    CHECK (rows_read = accepted + rejected + blank),
    CHECK (approved_by = 0 OR approved_by NOT IN (made_by, submitted_by))
);
CREATE UNIQUE INDEX batches_order_prefix ON batches (order_prefix) WHERE order_prefix <> '';
CREATE INDEX batches_rows_digest ON batches (rows_digest);
CREATE INDEX batches_source_digest ON batches (source_digest);
CREATE INDEX batches_to_send ON batches (id) WHERE state = 'APPROVED' AND drained_at = 0;

CREATE TABLE batch_totals (
    batch_id BIGINT NOT NULL REFERENCES batches (id),
    channel  TEXT   NOT NULL,
    currency TEXT   NOT NULL,
    payouts  BIGINT NOT NULL CHECK (payouts > 0),
    amount   BIGINT NOT NULL CHECK (amount > 0),
    fees     BIGINT NOT NULL CHECK (fees >= 0),
    PRIMARY KEY (batch_id, channel, currency)
);

CREATE TABLE problems (
    batch_id BIGINT NOT NULL REFERENCES batches (id),
    position BIGINT NOT NULL,
    code     TEXT   NOT NULL,
    severity TEXT   NOT NULL,
    sheet    TEXT   NOT NULL,
    row_no   BIGINT NOT NULL,
    col      TEXT   NOT NULL,
    heading  TEXT   NOT NULL,
    value    TEXT   NOT NULL,
    message  TEXT   NOT NULL,
    PRIMARY KEY (batch_id, position)
);

-- A payout's id is its batch's id and its ordinal in one number, so the
-- primary key is also the order in which a sheet is paid.
CREATE TABLE payouts (
    id           BIGINT PRIMARY KEY,
    batch_id     BIGINT NOT NULL,
    ordinal      BIGINT NOT NULL CHECK (ordinal BETWEEN 1 AND 99999999),
    sheet        TEXT   NOT NULL,
    row_no       BIGINT NOT NULL,
    reference    TEXT   NOT NULL,
    channel      TEXT   NOT NULL,
    account      TEXT   NOT NULL CHECK (account <> ''),
    payee        TEXT   NOT NULL,
    remark       TEXT   NOT NULL,
    pay_date     TEXT   NOT NULL,
    amount       BIGINT NOT NULL CHECK (amount > 0),
    currency     TEXT   NOT NULL,
    fee_estimate BIGINT NOT NULL CHECK (fee_estimate >= 0),
    row_digest   TEXT   NOT NULL,

    -- UNSENT stands where its batch stands: VALID, SUBMITTED, APPROVED.
    state            TEXT   NOT NULL DEFAULT 'UNSENT' CHECK (state IN ('UNSENT', 'SENDING', 'UNKNOWN', 'ACCEPTED',
                            'REVIEW', 'SUCCEEDED', 'FAILED', 'FAILED_FEE', 'CLOSED', 'CANCELLED')),
    -- Why an unsent payout may not be claimed; '' when it may.
    blocked          TEXT   NOT NULL DEFAULT '',
    attempts         BIGINT NOT NULL DEFAULT 0,
    -- The newest attempt; it is open while the state is SENDING, so an order
    -- cannot have two open attempts.
    attempt_id       BIGINT NOT NULL DEFAULT 0,
    lease_until      BIGINT NOT NULL DEFAULT 0,
    gateway_order_no TEXT   NOT NULL DEFAULT '',
    gateway_status   TEXT   NOT NULL DEFAULT '',
    -- When the gateway's status was first seen.
    status_at        BIGINT NOT NULL DEFAULT 0,
    fee              BIGINT NOT NULL DEFAULT 0,
    fee_known        BIGINT NOT NULL DEFAULT 0 CHECK (fee_known IN (0, 1)),
    rate             TEXT   NOT NULL DEFAULT '',
    received         TEXT   NOT NULL DEFAULT '',
    lookups          BIGINT NOT NULL DEFAULT 0,
    next_lookup_at   BIGINT NOT NULL DEFAULT 0,
    sent_at          BIGINT NOT NULL DEFAULT 0,
    ended_at         BIGINT NOT NULL DEFAULT 0,
    CHECK (id = batch_id * 100000000 + ordinal),
    CHECK (state <> 'SENDING' OR (attempt_id > 0 AND lease_until > 0))
);
-- Unfinished work only: these stay small however long the history grows.
CREATE INDEX payouts_unsent ON payouts (batch_id, channel, currency, ordinal) WHERE state = 'UNSENT';
CREATE INDEX payouts_sending ON payouts (lease_until) WHERE state = 'SENDING';
CREATE INDEX payouts_lookup ON payouts (state, next_lookup_at) WHERE next_lookup_at > 0;

-- Insert-only: what was intended, what came back, what changed -----------
-- A seal is the digest of its row, so that Verify can name one that was edited.

-- One row per create call, committed before the socket is used.
CREATE TABLE attempts (
    id            BIGINT PRIMARY KEY,
    payout_id     BIGINT NOT NULL,
    number        BIGINT NOT NULL CHECK (number > 0),
    order_no      TEXT   NOT NULL,
    params_digest TEXT   NOT NULL,
    limits_source TEXT   NOT NULL,
    worker        TEXT   NOT NULL,
    send_by       BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    seal          TEXT   NOT NULL,
    UNIQUE (payout_id, number)
);

-- What the gateway said, in its own words.
CREATE TABLE evidence (
    id               BIGINT PRIMARY KEY,
    payout_id        BIGINT NOT NULL,
    attempt_id       BIGINT NOT NULL,
    kind             TEXT   NOT NULL CHECK (kind IN ('create', 'lookup', 'callback', 'statement')),
    outcome          TEXT   NOT NULL,
    reason           TEXT   NOT NULL,
    http_status      BIGINT NOT NULL,
    code             TEXT   NOT NULL,
    message          TEXT   NOT NULL,
    gateway_order_no TEXT   NOT NULL,
    gateway_status   TEXT   NOT NULL,
    digest           TEXT   NOT NULL,
    body             TEXT   NOT NULL,
    created_at       BIGINT NOT NULL,
    seal             TEXT   NOT NULL
);
CREATE INDEX evidence_payout ON evidence (payout_id);

-- State = fold(events). payout_id 0 marks an event of the batch as a whole.
CREATE TABLE events (
    id          BIGINT PRIMARY KEY,
    batch_id    BIGINT NOT NULL,
    payout_id   BIGINT NOT NULL,
    from_state  TEXT   NOT NULL,
    to_state    TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    note        TEXT   NOT NULL,
    actor       TEXT   NOT NULL,
    attempt_id  BIGINT NOT NULL,
    evidence_id BIGINT NOT NULL,
    digest      TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    seal        TEXT   NOT NULL
);
CREATE INDEX events_payout ON events (payout_id) WHERE payout_id > 0;
CREATE INDEX events_batch ON events (batch_id) WHERE payout_id = 0;

-- The books ----------------------------------------------------------------

CREATE TABLE days (
    id           BIGINT PRIMARY KEY,
    business_day TEXT   NOT NULL,
    opened_at    BIGINT NOT NULL,
    closed_at    BIGINT NOT NULL DEFAULT 0,
    closed_by    TEXT   NOT NULL DEFAULT '',
    entries      BIGINT NOT NULL DEFAULT 0,
    -- The head of the audit trail when the day was closed.
    audit_digest TEXT   NOT NULL DEFAULT '',
    -- Covers the day before, this row, and every entry of the day.
    digest       TEXT   NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX days_one_open ON days (closed_at) WHERE closed_at = 0;

-- balance is debits less credits over all lines of the account.
CREATE TABLE accounts (
    id       BIGINT PRIMARY KEY,
    currency TEXT   NOT NULL,
    kind     TEXT   NOT NULL CHECK (kind IN ('funding', 'available', 'held', 'paid', 'fees', 'suspense')),
    balance  BIGINT NOT NULL DEFAULT 0,
    UNIQUE (currency, kind)
);

CREATE TABLE entries (
    id         BIGINT PRIMARY KEY,
    day_id     BIGINT NOT NULL,
    kind       TEXT   NOT NULL,
    currency   TEXT   NOT NULL,
    batch_id   BIGINT NOT NULL,
    payout_id  BIGINT NOT NULL,
    -- The entry that this one corrects, or 0.
    corrects   BIGINT NOT NULL,
    note       TEXT   NOT NULL,
    actor      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    digest     TEXT   NOT NULL
);
CREATE UNIQUE INDEX entries_one_hold ON entries (batch_id, currency) WHERE kind = 'hold';
-- A payout's hold is resolved once; what comes later is a correction.
CREATE UNIQUE INDEX entries_one_resolution ON entries (payout_id) WHERE payout_id > 0 AND corrects = 0;
CREATE UNIQUE INDEX entries_one_correction ON entries (corrects) WHERE corrects > 0;
CREATE INDEX entries_day ON entries (day_id, id);

CREATE TABLE lines (
    entry_id   BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    side       TEXT   NOT NULL CHECK (side IN ('debit', 'credit')),
    amount     BIGINT NOT NULL CHECK (amount > 0),
    PRIMARY KEY (entry_id, position)
);

-- What the runs know and do --------------------------------------------------

CREATE TABLE limits (
    channel    TEXT   NOT NULL,
    currency   TEXT   NOT NULL,
    minimum    BIGINT NOT NULL,
    maximum    BIGINT NOT NULL,
    source     TEXT   NOT NULL CHECK (source IN ('gateway', 'configured')),
    fetched_at BIGINT NOT NULL,
    PRIMARY KEY (channel, currency)
);

-- committed is all that was ever claimed, included the part of it that the
-- reported balance knows of.
CREATE TABLE balances (
    currency   TEXT   PRIMARY KEY,
    reported   BIGINT NOT NULL,
    committed  BIGINT NOT NULL,
    included   BIGINT NOT NULL DEFAULT 0,
    fetched_at BIGINT NOT NULL
);

CREATE TABLE stops (
    id        BIGINT PRIMARY KEY,
    scope     TEXT   NOT NULL CHECK (scope IN ('everything', 'channel', 'batch')),
    subject   TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    placed_by TEXT   NOT NULL,
    placed_at BIGINT NOT NULL,
    lifted_by TEXT   NOT NULL DEFAULT '',
    lifted_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX stops_in_force ON stops (scope, subject) WHERE lifted_at = 0;

-- When the next call of a kind may leave, over all processes.
CREATE TABLE budgets (
    name         TEXT   PRIMARY KEY,
    next_free_at BIGINT NOT NULL
);

CREATE TABLE exceptions (
    id         BIGINT PRIMARY KEY,
    kind       TEXT   NOT NULL,
    batch_id   BIGINT NOT NULL,
    payout_id  BIGINT NOT NULL,
    subject    TEXT   NOT NULL,
    detail     TEXT   NOT NULL,
    next_step  TEXT   NOT NULL,
    opened_at  BIGINT NOT NULL,
    closed_at  BIGINT NOT NULL DEFAULT 0,
    closed_by  TEXT   NOT NULL DEFAULT '',
    resolution TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX exceptions_of_payout ON exceptions (payout_id) WHERE closed_at = 0;
CREATE UNIQUE INDEX exceptions_open ON exceptions (kind, batch_id, payout_id, subject) WHERE closed_at = 0;

CREATE TABLE schedules (
    job         TEXT   PRIMARY KEY,
    spec        TEXT   NOT NULL,
    next_due_at BIGINT NOT NULL
);

-- One row per due instant: whoever inserts it runs it.
CREATE TABLE job_runs (
    job         TEXT   NOT NULL,
    due_at      BIGINT NOT NULL,
    worker      TEXT   NOT NULL,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL DEFAULT 0,
    outcome     TEXT   NOT NULL DEFAULT '',
    detail      TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (job, due_at)
);


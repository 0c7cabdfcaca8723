-- How a sheet was read, what people have to confirm about it, and who was
-- paid before.

-- +goose Up

-- One row per batch: the profile by which its sheet was read, and what its
-- maker chose.
CREATE TABLE readings (
    batch_id   BIGINT PRIMARY KEY,
    -- The file as an inbox found it; '' for a sheet that a person handed in.
    source     TEXT   NOT NULL,
    profile    TEXT   NOT NULL,
    -- The profile's own text, and how each column was understood.
    settings   TEXT   NOT NULL,
    columns    TEXT   NOT NULL,
    -- The totals that the maker confirmed to go on without the bad rows; ''
    -- when there were none.
    good_rows  TEXT   NOT NULL,
    warnings   BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    seal       TEXT   NOT NULL
);
CREATE INDEX readings_source ON readings (source) WHERE source <> '';

-- What must be confirmed before a batch may be handed in.
CREATE TABLE warnings (
    batch_id  BIGINT NOT NULL,
    code      TEXT   NOT NULL,
    row_no    BIGINT NOT NULL,
    -- The payout it is about, or 0 where it is about the sheet.
    payout_id BIGINT NOT NULL,
    -- The payout that this one repeats, or 0.
    repeats   BIGINT NOT NULL,
    PRIMARY KEY (batch_id, code, row_no, payout_id)
);

-- What a sheet says beside a payout, in columns that mean nothing to Payrun.
CREATE TABLE extras (
    payout_id BIGINT PRIMARY KEY,
    batch_id  BIGINT NOT NULL,
    beside    TEXT   NOT NULL CHECK (beside <> '')
);

-- Who confirmed what: one kind of warning of a batch, in all rows (row_no 0)
-- or in one.
CREATE TABLE confirmations (
    id         BIGINT PRIMARY KEY,
    batch_id   BIGINT NOT NULL,
    code       TEXT   NOT NULL,
    row_no     BIGINT NOT NULL,
    role       TEXT   NOT NULL CHECK (role IN ('maker', 'checker')),
    warnings   BIGINT NOT NULL CHECK (warnings > 0),
    actor      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    seal       TEXT   NOT NULL
);
CREATE INDEX confirmations_batch ON confirmations (batch_id);

-- Every payout that was approved, by its payee and amount: how a payee's first
-- payment, and the same payment again, are found without reading the history.
CREATE TABLE payees (
    account     TEXT   NOT NULL,
    channel     TEXT   NOT NULL,
    currency    TEXT   NOT NULL,
    amount      BIGINT NOT NULL,
    payout_id   BIGINT NOT NULL,
    approved_at BIGINT NOT NULL,
    PRIMARY KEY (account, channel, currency, amount, payout_id)
);
INSERT INTO payees (account, channel, currency, amount, payout_id, approved_at)
SELECT p.account, p.channel, p.currency, p.amount, p.id, b.approved_at
FROM payouts p JOIN batches b ON b.id = p.batch_id WHERE b.approved_at > 0;

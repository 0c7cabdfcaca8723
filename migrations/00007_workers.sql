-- What many processes share: who works, whose run of a job is still alive,
-- stops of single payouts and wallets, and how each channel answers.

-- +goose Up

-- A process that runs the schedule says so again and again.
CREATE TABLE workers (
    name       TEXT   PRIMARY KEY,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    stopped_at BIGINT NOT NULL DEFAULT 0
);

-- A run that nobody has renewed until lease_until is lost. tries counts the
-- runs in a row that were.
ALTER TABLE job_runs ADD COLUMN lease_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job_runs ADD COLUMN tries BIGINT NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX job_runs_alive ON job_runs (job) WHERE outcome = '';

-- The scopes are a rule of the table, so it is written anew.
ALTER TABLE stops RENAME TO stops_before;
CREATE TABLE stops (
    id        BIGINT PRIMARY KEY,
    scope     TEXT   NOT NULL CHECK (scope IN ('everything', 'channel', 'batch', 'wallet', 'payout')),
    -- Channel code, batch id, channel and wallet in lower case, or order number.
    subject   TEXT   NOT NULL,
    payout_id BIGINT NOT NULL DEFAULT 0,
    reason    TEXT   NOT NULL,
    placed_by TEXT   NOT NULL,
    placed_at BIGINT NOT NULL,
    lifted_by TEXT   NOT NULL DEFAULT '',
    lifted_at BIGINT NOT NULL DEFAULT 0,
    CHECK ((scope = 'payout') = (payout_id > 0))
);
INSERT INTO stops (id, scope, subject, reason, placed_by, placed_at, lifted_by, lifted_at)
    SELECT id, scope, subject, reason, placed_by, placed_at, lifted_by, lifted_at FROM stops_before;
DROP TABLE stops_before;
CREATE UNIQUE INDEX stops_in_force ON stops (scope, subject) WHERE lifted_at = 0;
CREATE INDEX stops_of_payout ON stops (payout_id) WHERE lifted_at = 0 AND payout_id > 0;

-- How calls on a channel went, by minute and worker, so that no two processes
-- wait for each other's row. Old ones are deleted.
CREATE TABLE channel_minutes (
    channel        TEXT   NOT NULL,
    minute         BIGINT NOT NULL,
    worker         TEXT   NOT NULL,
    sent           BIGINT NOT NULL,
    in_doubt       BIGINT NOT NULL,
    refused        BIGINT NOT NULL,
    bad_signatures BIGINT NOT NULL,
    PRIMARY KEY (minute, channel, worker)
);

-- The most that was ever proven to be the gateway's balance and our claims
-- together: what falls below it was not taken by our claims.
ALTER TABLE balances ADD COLUMN anchor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE balances ADD COLUMN anchor_claimed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE balances ADD COLUMN anchored_at BIGINT NOT NULL DEFAULT 0;

-- Payouts by amount, for claims that would have to pass over many that may
-- not be sent now.
CREATE INDEX payouts_by_amount ON payouts (batch_id, channel, currency, pay_date, amount) WHERE state = 'UNSENT';

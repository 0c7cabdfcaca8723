-- The way out of doubt: how each gateway says that it has no such order, and
-- what notifications say about the end of a payout.

-- +goose Up

-- The shape of the answer to a number that was never used, as a person had it
-- asked for; an account's newest row counts. Insert-only.
CREATE TABLE learned (
    id              BIGINT PRIMARY KEY,
    gateway_account TEXT   NOT NULL,
    http_status     BIGINT NOT NULL,
    code            TEXT   NOT NULL,
    -- Without the order number that was asked about.
    message         TEXT   NOT NULL,
    learned_by      TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    seal            TEXT   NOT NULL
);
CREATE INDEX learned_account ON learned (gateway_account, id);

-- The newest status of an end that a verified notification told.
ALTER TABLE payouts ADD COLUMN notified_status TEXT NOT NULL DEFAULT '';
-- Look-ups in a row that told another end than the notification.
ALTER TABLE payouts ADD COLUMN conflicts BIGINT NOT NULL DEFAULT 0;

-- Alerts: what people are told, once per thing, and how far each way of telling
-- them has come. What asks for an alert is marked on the row of the fact
-- itself, in the transaction that writes it, whoever writes it.

-- +goose Up

-- When a case or a stop is to be told: 0 when it was, or need not be any more.
-- The default makes a new row due at once.
ALTER TABLE exceptions ADD COLUMN alert_at BIGINT NOT NULL DEFAULT 1;
UPDATE exceptions SET alert_at = 0 WHERE closed_at > 0;
CREATE INDEX exceptions_to_alert ON exceptions (alert_at) WHERE alert_at > 0;

ALTER TABLE stops ADD COLUMN alert_at BIGINT NOT NULL DEFAULT 1;
UPDATE stops SET alert_at = 0 WHERE lifted_at > 0;
CREATE INDEX stops_to_alert ON stops (alert_at) WHERE alert_at > 0;

-- When every payout of the batch was seen to have ended; 0 before.
ALTER TABLE batches ADD COLUMN finished_at BIGINT NOT NULL DEFAULT 0;
-- What ended before there were alerts is history, not news.
UPDATE batches SET finished_at = drained_at WHERE drained_at > 0 AND NOT EXISTS (SELECT 1 FROM payouts p
    WHERE p.batch_id = batches.id AND p.state IN ('UNSENT', 'SENDING', 'UNKNOWN', 'ACCEPTED', 'REVIEW'));
CREATE INDEX batches_unfinished ON batches (id) WHERE state = 'APPROVED' AND finished_at = 0;
CREATE INDEX batches_to_approve ON batches (submitted_at) WHERE state = 'SUBMITTED';

CREATE TABLE alerts (
    id        BIGINT PRIMARY KEY,
    -- The thing and its occurrence in words, so that it is told once.
    once      TEXT   NOT NULL UNIQUE,
    kind      TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    batch_id  BIGINT NOT NULL,
    order_no  TEXT   NOT NULL,
    summary   TEXT   NOT NULL,
    detail    TEXT   NOT NULL,
    next_step TEXT   NOT NULL,
    since     BIGINT NOT NULL,
    raised_at BIGINT NOT NULL
);
CREATE INDEX alerts_of_subject ON alerts (kind, subject, raised_at);

CREATE TABLE alert_deliveries (
    alert_id     BIGINT NOT NULL REFERENCES alerts (id),
    way          TEXT   NOT NULL,
    tries        BIGINT NOT NULL DEFAULT 0,
    -- Also a lease: while a worker delivers, nobody else takes it before then.
    -- 0 when it was delivered or given up.
    next_try_at  BIGINT NOT NULL,
    delivered_at BIGINT NOT NULL DEFAULT 0,
    given_up_at  BIGINT NOT NULL DEFAULT 0,
    -- What the receiver said last, or why it said nothing.
    answer       TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (alert_id, way)
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (way, next_try_at) WHERE next_try_at > 0;
CREATE INDEX alert_deliveries_given_up ON alert_deliveries (way) WHERE given_up_at > 0;

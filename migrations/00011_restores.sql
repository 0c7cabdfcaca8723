-- What tells a restored copy from the store it was copied from: payouts that
-- were sent since the copy was made look unsent in it.

-- +goose Up

CREATE TABLE origin (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    -- Random, made when a process first looks; '' until then.
    store       TEXT   NOT NULL,
    -- Where PostgreSQL says that the store lives; '' and 0 where nobody says it.
    cluster     TEXT   NOT NULL,
    place       TEXT   NOT NULL,
    timeline    BIGINT NOT NULL,
    -- Rises with every claim, and is also kept in a file outside the database.
    generation  BIGINT NOT NULL,
    -- When a restore was last noticed or declared.
    restored_at BIGINT NOT NULL
);
INSERT INTO origin (id, store, cluster, place, timeline, generation, restored_at) VALUES (1, '', '', '', 0, 0, 0);

-- Insert-only and sealed. Noticed by Payrun, or declared by a person.
CREATE TABLE restores (
    id         BIGINT PRIMARY KEY,
    kind       TEXT   NOT NULL CHECK (kind IN ('noticed', 'declared')),
    reason     TEXT   NOT NULL,
    actor      TEXT   NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    seal       TEXT   NOT NULL
);

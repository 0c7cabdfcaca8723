-- What a payee was really paid, where two people found that it is not what was
-- ordered; 0 where it is.

-- +goose Up

ALTER TABLE proposals ADD COLUMN moved BIGINT NOT NULL DEFAULT 0 CHECK (moved >= 0);
ALTER TABLE payouts ADD COLUMN moved BIGINT NOT NULL DEFAULT 0 CHECK (moved >= 0);

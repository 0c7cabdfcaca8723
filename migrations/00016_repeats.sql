-- Batches that are repeated by a later one are found from their side too.

-- +goose Up

CREATE INDEX warnings_repeats ON warnings (repeats) WHERE repeats > 0;

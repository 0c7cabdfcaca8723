-- +goose Up

-- A claim asks whether the gateway notified about an order number before any
-- sheet had it.
CREATE INDEX exceptions_orphan ON exceptions (subject) WHERE kind = 'orphan';

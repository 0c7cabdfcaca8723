-- A stop is a decision: it is lifted once, and otherwise stays as it was.
-- PostgreSQL's twin differs because triggers have no common syntax.

-- +goose Up

-- +goose StatementBegin
CREATE TRIGGER stops_frozen BEFORE UPDATE OF id, scope, subject, payout_id, reason, placed_by, placed_at ON stops
BEGIN SELECT RAISE(ABORT, 'stops stay as they were placed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stops_kept BEFORE DELETE ON stops
BEGIN SELECT RAISE(ABORT, 'stops stay as they were placed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER stops_lifted_once BEFORE UPDATE OF lifted_by, lifted_at ON stops WHEN OLD.lifted_at > 0
BEGIN SELECT RAISE(ABORT, 'a stop is lifted once'); END;
-- +goose StatementEnd

-- A stop is a decision: it is lifted once, and otherwise stays as it was.
-- SQLite's twin differs because triggers have no common syntax.

-- +goose Up

CREATE TRIGGER stops_frozen BEFORE UPDATE OF id, scope, subject, payout_id, reason, placed_by, placed_at ON stops
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stops_kept BEFORE DELETE OR TRUNCATE ON stops EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stops_lifted_once BEFORE UPDATE OF lifted_by, lifted_at ON stops FOR EACH ROW WHEN (OLD.lifted_at > 0) EXECUTE FUNCTION refuse_change();

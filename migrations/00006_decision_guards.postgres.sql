-- Guards of decisions for PostgreSQL. SQLite's twin differs because triggers
-- have no common syntax.

-- +goose Up

CREATE TRIGGER proposals_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON proposals EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions EXECUTE FUNCTION refuse_change();

-- Which order a payout pays again is part of what a checker approved.
CREATE TRIGGER payouts_repays_frozen BEFORE UPDATE OF repays ON payouts EXECUTE FUNCTION refuse_change();

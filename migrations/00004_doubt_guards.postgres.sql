-- Guards of the learned shapes for PostgreSQL; see 00002.

-- +goose Up

CREATE TRIGGER learned_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON learned EXECUTE FUNCTION refuse_change();

-- Guards of 00011 for PostgreSQL; triggers have no syntax in common.

-- +goose Up

CREATE TRIGGER restores_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON restores EXECUTE FUNCTION refuse_change();

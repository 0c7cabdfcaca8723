-- Guards of the tables of 00013 for PostgreSQL. SQLite's twin differs because
-- triggers have no common syntax.

-- +goose Up

CREATE TRIGGER readings_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON readings EXECUTE FUNCTION refuse_change();
CREATE TRIGGER confirmations_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON confirmations EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payees_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payees EXECUTE FUNCTION refuse_change();

-- What people have to confirm is fixed when they first see the batch.
CREATE TRIGGER warnings_only_staged AFTER INSERT ON warnings REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_rows();
CREATE TRIGGER warnings_kept BEFORE DELETE ON warnings FOR EACH ROW EXECUTE FUNCTION refuse_published();
CREATE TRIGGER warnings_frozen BEFORE UPDATE OR TRUNCATE ON warnings EXECUTE FUNCTION refuse_change();

-- Likewise what its sheet said beside a payout.
CREATE TRIGGER extras_only_staged AFTER INSERT ON extras REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_rows();
CREATE TRIGGER extras_kept BEFORE DELETE ON extras FOR EACH ROW EXECUTE FUNCTION refuse_published();
CREATE TRIGGER extras_frozen BEFORE UPDATE OR TRUNCATE ON extras EXECUTE FUNCTION refuse_change();

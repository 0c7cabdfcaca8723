-- Guards, sequences and views for PostgreSQL. SQLite's twin differs because
-- triggers, sequences and date functions have no common syntax.

-- +goose Up

CREATE SEQUENCE ids;
CREATE SEQUENCE batch_ids;

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is insert-only: correct it with a new row', TG_TABLE_NAME;
END $$;
-- +goose StatementEnd

CREATE TRIGGER audit_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_change();
CREATE TRIGGER batch_totals_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON batch_totals EXECUTE FUNCTION refuse_change();
CREATE TRIGGER attempts_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attempts EXECUTE FUNCTION refuse_change();
CREATE TRIGGER evidence_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entries_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lines_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON lines EXECUTE FUNCTION refuse_change();

-- What a checker approved never changes.
CREATE TRIGGER payouts_frozen BEFORE UPDATE OF id, batch_id, ordinal, sheet, row_no, reference, channel, account,
    payee, remark, pay_date, amount, currency, fee_estimate, row_digest ON payouts EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payouts_no_truncate BEFORE TRUNCATE ON payouts EXECUTE FUNCTION refuse_change();

-- Order numbers and rows stay what they were when the batch was handed in.
CREATE TRIGGER batches_frozen BEFORE UPDATE OF id, gateway_account, order_prefix, source_digest, rows_digest, repeats,
    repeat_number, rows_read, accepted, rejected, blank, made_by, made_at ON batches
    FOR EACH ROW WHEN (OLD.state NOT IN ('STAGING', 'VALID')) EXECUTE FUNCTION refuse_change();

-- +goose StatementBegin
CREATE FUNCTION refuse_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT state FROM batches WHERE id = OLD.batch_id) <> 'STAGING' THEN
        RAISE EXCEPTION '% of a published batch stay', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd

-- A batch that people have seen takes no more rows.
-- +goose StatementBegin
CREATE FUNCTION refuse_late_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM (SELECT DISTINCT batch_id FROM fresh) f
               WHERE coalesce((SELECT state FROM batches b WHERE b.id = f.batch_id), '') <> 'STAGING') THEN
        RAISE EXCEPTION 'an imported batch takes no more payouts';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER payouts_only_staged AFTER INSERT ON payouts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_rows();

-- Only an import that never finished may be cleared away.
CREATE TRIGGER payouts_kept BEFORE DELETE ON payouts FOR EACH ROW EXECUTE FUNCTION refuse_published();
CREATE TRIGGER problems_kept BEFORE DELETE ON problems FOR EACH ROW EXECUTE FUNCTION refuse_published();
CREATE TRIGGER problems_frozen BEFORE UPDATE OR TRUNCATE ON problems EXECUTE FUNCTION refuse_change();

-- For auditors' own queries: times as text.
CREATE VIEW journal AS
SELECT e.id AS entry, e.day_id AS day, e.kind, e.batch_id AS batch, e.payout_id AS payout, l.position,
       a.kind AS account, e.currency, l.side, l.amount, e.actor, e.note,
       to_char(to_timestamp(e.created_at / 1000000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
FROM entries e JOIN lines l ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id;

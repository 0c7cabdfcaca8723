-- A warning that something is paid again names what pays it. Once that has
-- ended, it names another that does, and has to be confirmed anew. SQLite's
-- twin differs because triggers have no common syntax.

-- +goose Up

-- The number as of which a warning names what it does: confirmations with
-- lower numbers were about something else. 0: since the import.
ALTER TABLE warnings ADD COLUMN since BIGINT NOT NULL DEFAULT 0;

-- How far back the import looked, for payments and for references: no later
-- look goes further. 0: nobody knows, for what was imported before this.
ALTER TABLE readings ADD COLUMN repeats_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE readings ADD COLUMN references_since BIGINT NOT NULL DEFAULT 0;

DROP TRIGGER warnings_frozen ON warnings;
CREATE TRIGGER warnings_frozen BEFORE UPDATE OF batch_id, code, row_no, payout_id OR TRUNCATE ON warnings EXECUTE FUNCTION refuse_change();

-- What a warning names changes before the approval only, and never without
-- voiding what was confirmed of it.
-- +goose StatementBegin
CREATE FUNCTION refuse_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.repeats = 0 OR NEW.since <= OLD.since
        OR coalesce((SELECT state FROM batches WHERE id = OLD.batch_id), '') NOT IN ('VALID', 'SUBMITTED') THEN
        RAISE EXCEPTION 'what a warning names stays, or is confirmed anew';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER warnings_settled BEFORE UPDATE OF repeats, since ON warnings FOR EACH ROW EXECUTE FUNCTION refuse_settled();

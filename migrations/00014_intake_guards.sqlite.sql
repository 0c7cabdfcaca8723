-- Guards of the tables of 00013 for SQLite. PostgreSQL's twin differs because
-- triggers have no common syntax.

-- +goose Up

-- +goose StatementBegin
CREATE TRIGGER readings_no_update BEFORE UPDATE ON readings
BEGIN SELECT RAISE(ABORT, 'readings is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER readings_no_delete BEFORE DELETE ON readings
BEGIN SELECT RAISE(ABORT, 'readings is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER confirmations_no_update BEFORE UPDATE ON confirmations
BEGIN SELECT RAISE(ABORT, 'confirmations is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER confirmations_no_delete BEFORE DELETE ON confirmations
BEGIN SELECT RAISE(ABORT, 'confirmations is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payees_no_update BEFORE UPDATE ON payees
BEGIN SELECT RAISE(ABORT, 'payees is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payees_no_delete BEFORE DELETE ON payees
BEGIN SELECT RAISE(ABORT, 'payees is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

-- What people have to confirm is fixed when they first see the batch.
-- +goose StatementBegin
CREATE TRIGGER warnings_only_staged BEFORE INSERT ON warnings
WHEN coalesce((SELECT state FROM batches WHERE id = NEW.batch_id), '') <> 'STAGING'
BEGIN SELECT RAISE(ABORT, 'an imported batch takes no more warnings'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER warnings_kept BEFORE DELETE ON warnings
WHEN (SELECT state FROM batches WHERE id = OLD.batch_id) <> 'STAGING'
BEGIN SELECT RAISE(ABORT, 'warnings of a published batch stay'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER warnings_frozen BEFORE UPDATE ON warnings
BEGIN SELECT RAISE(ABORT, 'warnings is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

-- Likewise what its sheet said beside a payout.
-- +goose StatementBegin
CREATE TRIGGER extras_only_staged BEFORE INSERT ON extras
WHEN coalesce((SELECT state FROM batches WHERE id = NEW.batch_id), '') <> 'STAGING'
BEGIN SELECT RAISE(ABORT, 'an imported batch takes no more extras'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER extras_kept BEFORE DELETE ON extras
WHEN (SELECT state FROM batches WHERE id = OLD.batch_id) <> 'STAGING'
BEGIN SELECT RAISE(ABORT, 'extras of a published batch stay'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER extras_frozen BEFORE UPDATE ON extras
BEGIN SELECT RAISE(ABORT, 'extras is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

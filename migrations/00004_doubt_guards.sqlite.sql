-- Guards of the learned shapes for SQLite; see 00002.

-- +goose Up

-- +goose StatementBegin
CREATE TRIGGER learned_no_update BEFORE UPDATE ON learned
BEGIN SELECT RAISE(ABORT, 'learned is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER learned_no_delete BEFORE DELETE ON learned
BEGIN SELECT RAISE(ABORT, 'learned is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

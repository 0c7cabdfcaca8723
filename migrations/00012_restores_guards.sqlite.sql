-- Guards of 00011 for SQLite; triggers have no syntax in common.

-- +goose Up

-- +goose StatementBegin
CREATE TRIGGER restores_no_update BEFORE UPDATE ON restores
BEGIN SELECT RAISE(ABORT, 'restores is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER restores_no_delete BEFORE DELETE ON restores
BEGIN SELECT RAISE(ABORT, 'restores is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

-- Guards of decisions for SQLite. PostgreSQL's twin differs because triggers
-- have no common syntax.

-- +goose Up

-- +goose StatementBegin
CREATE TRIGGER proposals_no_update BEFORE UPDATE ON proposals
BEGIN SELECT RAISE(ABORT, 'proposals is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER proposals_no_delete BEFORE DELETE ON proposals
BEGIN SELECT RAISE(ABORT, 'proposals is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

-- Which order a payout pays again is part of what a checker approved.
-- +goose StatementBegin
CREATE TRIGGER payouts_repays_frozen BEFORE UPDATE OF repays ON payouts
BEGIN SELECT RAISE(ABORT, 'payouts is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

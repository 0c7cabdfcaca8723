-- Which references were paid under, so that one that is used already is found
-- without reading the history. PostgreSQL's twin differs because triggers have
-- no common syntax.

-- +goose Up

ALTER TABLE payees ADD COLUMN reference TEXT NOT NULL DEFAULT '';
DROP TRIGGER payees_no_update;
UPDATE payees SET reference = p.reference FROM payouts p WHERE p.id = payees.payout_id AND p.reference <> '';
-- +goose StatementBegin
CREATE TRIGGER payees_no_update BEFORE UPDATE ON payees
BEGIN SELECT RAISE(ABORT, 'payees is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
CREATE INDEX payees_reference ON payees (reference, approved_at) WHERE reference <> '';

-- Sheets with the same number of payouts, of which only the late ones count.
CREATE INDEX batches_accepted ON batches (accepted, approved_at);

-- Which references were paid under, so that one that is used already is found
-- without reading the history. SQLite's twin differs because triggers have no
-- common syntax.

-- +goose Up

ALTER TABLE payees ADD COLUMN reference TEXT NOT NULL DEFAULT '';
DROP TRIGGER payees_insert_only ON payees;
UPDATE payees SET reference = p.reference FROM payouts p WHERE p.id = payees.payout_id AND p.reference <> '';
CREATE TRIGGER payees_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payees EXECUTE FUNCTION refuse_change();
CREATE INDEX payees_reference ON payees (reference, approved_at) WHERE reference <> '';

-- Sheets with the same number of payouts, of which only the late ones count.
CREATE INDEX batches_accepted ON batches (accepted, approved_at);

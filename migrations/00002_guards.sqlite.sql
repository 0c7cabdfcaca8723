-- Guards, sequences and views for SQLite. PostgreSQL's twin differs because
-- triggers, sequences and date functions have no common syntax.

-- +goose Up

CREATE TABLE sequences (
    name TEXT    PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
INSERT INTO sequences (name, last) VALUES ('ids', 0), ('batch_ids', 0);

-- +goose StatementBegin
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER batch_totals_no_update BEFORE UPDATE ON batch_totals
BEGIN SELECT RAISE(ABORT, 'batch_totals is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER batch_totals_no_delete BEFORE DELETE ON batch_totals
BEGIN SELECT RAISE(ABORT, 'batch_totals is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_no_update BEFORE UPDATE ON attempts
BEGIN SELECT RAISE(ABORT, 'attempts is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_no_delete BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'attempts is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_no_update BEFORE UPDATE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_no_delete BEFORE DELETE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER lines_no_update BEFORE UPDATE ON lines
BEGIN SELECT RAISE(ABORT, 'lines is insert-only: correct it with a new row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER lines_no_delete BEFORE DELETE ON lines
BEGIN SELECT RAISE(ABORT, 'lines is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

-- What a checker approved never changes.
-- +goose StatementBegin
CREATE TRIGGER payouts_frozen BEFORE UPDATE OF id, batch_id, ordinal, sheet, row_no, reference, channel, account,
    payee, remark, pay_date, amount, currency, fee_estimate, row_digest ON payouts
BEGIN SELECT RAISE(ABORT, 'payouts is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

-- Order numbers and rows stay what they were when the batch was handed in.
-- +goose StatementBegin
CREATE TRIGGER batches_frozen BEFORE UPDATE OF id, gateway_account, order_prefix, source_digest, rows_digest, repeats,
    repeat_number, rows_read, accepted, rejected, blank, made_by, made_at ON batches
WHEN OLD.state NOT IN ('STAGING', 'VALID')
BEGIN SELECT RAISE(ABORT, 'a batch that was handed in does not change'); END;
-- +goose StatementEnd

-- A batch that people have seen takes no more rows.
-- +goose StatementBegin
CREATE TRIGGER payouts_only_staged BEFORE INSERT ON payouts
WHEN coalesce((SELECT state FROM batches WHERE id = NEW.batch_id), '') <> 'STAGING'
BEGIN SELECT RAISE(ABORT, 'an imported batch takes no more payouts'); END;
-- +goose StatementEnd

-- Only an import that never finished may be cleared away.
-- +goose StatementBegin
CREATE TRIGGER payouts_kept BEFORE DELETE ON payouts
WHEN (SELECT state FROM batches WHERE id = OLD.batch_id) <> 'STAGING'
BEGIN SELECT RAISE(ABORT, 'payouts of a published batch stay'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER problems_kept BEFORE DELETE ON problems
WHEN (SELECT state FROM batches WHERE id = OLD.batch_id) <> 'STAGING'
BEGIN SELECT RAISE(ABORT, 'problems of a published batch stay'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER problems_frozen BEFORE UPDATE ON problems
BEGIN SELECT RAISE(ABORT, 'problems is insert-only: correct it with a new row'); END;
-- +goose StatementEnd

-- For auditors' own queries: times as text.
CREATE VIEW journal AS
SELECT e.id AS entry, e.day_id AS day, e.kind, e.batch_id AS batch, e.payout_id AS payout, l.position,
       a.kind AS account, e.currency, l.side, l.amount, e.actor, e.note,
       strftime('%Y-%m-%dT%H:%M:%S', e.created_at / 1000000, 'unixepoch') || printf('.%06dZ', e.created_at % 1000000) AS at
FROM entries e JOIN lines l ON l.entry_id = e.id JOIN accounts a ON a.id = l.account_id;

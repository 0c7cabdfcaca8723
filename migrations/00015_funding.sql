-- +goose Up

-- The same evidence pays in once: a top-up that was booked although its
-- answer was lost is not booked again when a person repeats the command. Not
-- unique, since an older store may hold two.
CREATE INDEX entries_funding ON entries (currency, note) WHERE kind = 'funding';

-- The proposals that wait for a second person, so that nobody reads all that
-- were ever decided to find them. The primary key lets a payout have one.

-- +goose Up

CREATE TABLE open_proposals (
    payout_id   BIGINT PRIMARY KEY,
    proposal_id BIGINT NOT NULL UNIQUE REFERENCES proposals (id)
);
INSERT INTO open_proposals (payout_id, proposal_id)
    SELECT q.payout_id, max(q.id) FROM proposals q
    WHERE NOT EXISTS (SELECT 1 FROM decisions d WHERE d.proposal_id = q.id) GROUP BY q.payout_id;

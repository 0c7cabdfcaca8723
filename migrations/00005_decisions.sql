-- What two people decide about one payout, and payouts that pay a failed one
-- again.

-- +goose Up

-- Insert-only. A proposal is open until it has a decision.
CREATE TABLE proposals (
    id          BIGINT PRIMARY KEY,
    payout_id   BIGINT NOT NULL,
    outcome     TEXT   NOT NULL CHECK (outcome IN ('paid', 'failed', 'send-again', 'unblock', 'cancel')),
    reason      TEXT   NOT NULL CHECK (reason <> ''),
    -- A statement line, or the gateway's written word.
    evidence    TEXT   NOT NULL,
    file_name   TEXT   NOT NULL,
    file_digest TEXT   NOT NULL,
    -- What the gateway took, where people know it.
    fee         BIGINT NOT NULL CHECK (fee >= 0),
    fee_known   BIGINT NOT NULL CHECK (fee_known IN (0, 1)),
    -- Where the payout stood when it was proposed. Once it has moved on, the
    -- proposal is void.
    state       TEXT   NOT NULL,
    attempt_id  BIGINT NOT NULL,
    event_id    BIGINT NOT NULL,
    blocked     TEXT   NOT NULL,
    proposed_by BIGINT NOT NULL REFERENCES users (id),
    created_at  BIGINT NOT NULL,
    seal        TEXT   NOT NULL
);
CREATE INDEX proposals_payout ON proposals (payout_id);

-- Insert-only. What became of a proposal.
CREATE TABLE decisions (
    proposal_id BIGINT PRIMARY KEY REFERENCES proposals (id),
    id          BIGINT NOT NULL,
    verdict     TEXT   NOT NULL CHECK (verdict IN ('confirmed', 'refused', 'withdrawn', 'void')),
    note        TEXT   NOT NULL,
    -- The change of state that it made; 0 for none.
    event_id    BIGINT NOT NULL,
    decided_by  BIGINT NOT NULL REFERENCES users (id),
    created_at  BIGINT NOT NULL,
    seal        TEXT   NOT NULL
);

-- The order number that this payout pays again, or ''.
ALTER TABLE payouts ADD COLUMN repays TEXT NOT NULL DEFAULT '';
CREATE INDEX payouts_repays ON payouts (repays) WHERE repays <> '';

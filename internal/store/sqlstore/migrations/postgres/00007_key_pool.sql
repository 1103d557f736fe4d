-- +goose Up

-- The share of the turns that a key has, where its provider takes keys by weight.
ALTER TABLE ai_provider_keys ADD COLUMN weight BIGINT NOT NULL DEFAULT 1;

-- What a token may ask of the gateway; 0 is no limit.
ALTER TABLE api_keys ADD COLUMN rpm BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN concurrency BIGINT NOT NULL DEFAULT 0;

-- How keys fare, for the other replicas to know and for the next start. What one
-- found out last counts. A key that is gone may stand here for a while.
CREATE TABLE key_states (
    key_id     UUID PRIMARY KEY,
    reason     TEXT NOT NULL,
    status     BIGINT NOT NULL,
    since      TIMESTAMPTZ NOT NULL,
    left_until TIMESTAMPTZ NOT NULL,
    wait_ms    BIGINT NOT NULL
);
CREATE INDEX key_states_since ON key_states (since);

-- While a key is drained: how many requests each replica has under way with it, and
-- the configuration it serves from.
CREATE TABLE key_drains (
    key_id     UUID NOT NULL,
    replica_id UUID NOT NULL,
    generation BIGINT NOT NULL,
    in_flight  BIGINT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (key_id, replica_id)
);

-- +goose Down
DROP TABLE key_drains;
DROP TABLE key_states;
ALTER TABLE api_keys DROP COLUMN concurrency;
ALTER TABLE api_keys DROP COLUMN rpm;
ALTER TABLE ai_provider_keys DROP COLUMN weight;

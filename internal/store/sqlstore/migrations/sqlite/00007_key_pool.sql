-- +goose Up

-- The share of the turns that a key has, where its provider takes keys by weight.
ALTER TABLE ai_provider_keys ADD COLUMN weight INTEGER NOT NULL DEFAULT 1;

-- What a token may ask of the gateway; 0 is no limit.
ALTER TABLE api_keys ADD COLUMN rpm INTEGER NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN concurrency INTEGER NOT NULL DEFAULT 0;

-- How keys fare, for the other replicas to know and for the next start. What one
-- found out last counts. A key that is gone may stand here for a while.
CREATE TABLE key_states (
    key_id     TEXT PRIMARY KEY NOT NULL,
    reason     TEXT NOT NULL,
    status     INTEGER NOT NULL,
    since      TIMESTAMP NOT NULL,
    left_until TIMESTAMP NOT NULL,
    wait_ms    INTEGER NOT NULL
);
CREATE INDEX key_states_since ON key_states (since);

-- While a key is drained: how many requests each replica has under way with it, and
-- the configuration it serves from.
CREATE TABLE key_drains (
    key_id     TEXT NOT NULL,
    replica_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    in_flight  INTEGER NOT NULL,
    at         TIMESTAMP NOT NULL,
    PRIMARY KEY (key_id, replica_id)
);

-- +goose Down
DROP TABLE key_drains;
DROP TABLE key_states;
ALTER TABLE api_keys DROP COLUMN concurrency;
ALTER TABLE api_keys DROP COLUMN rpm;
ALTER TABLE ai_provider_keys DROP COLUMN weight;

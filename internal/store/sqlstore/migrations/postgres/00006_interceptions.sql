-- +goose Up

-- The requests to the gateway. Ids of others are text and refer to nothing: what
-- they name may be removed for good, and the record stays.
CREATE TABLE interceptions (
    id                 UUID PRIMARY KEY,
    at                 TIMESTAMPTZ NOT NULL,
    hour               BIGINT NOT NULL, -- hours since 1970: what days and hours are summed up by
    token_id           TEXT NOT NULL,
    token_name         TEXT NOT NULL,
    owner_id           TEXT NOT NULL,
    client             TEXT NOT NULL,
    provider_id        TEXT NOT NULL,
    provider           TEXT NOT NULL,
    key_id             TEXT NOT NULL, -- of the last attempt
    model              TEXT NOT NULL,
    actual_model       TEXT NOT NULL,
    endpoint           TEXT NOT NULL,
    path               TEXT NOT NULL,
    status             BIGINT NOT NULL,
    reason             TEXT NOT NULL,
    outcome            TEXT NOT NULL CHECK (outcome IN ('complete', 'unknown')),
    attempts           TEXT NOT NULL, -- a JSON array
    attempt_count      BIGINT NOT NULL,
    first_byte_us      BIGINT NOT NULL,
    duration_us        BIGINT NOT NULL,
    request_bytes      BIGINT NOT NULL,
    response_bytes     BIGINT NOT NULL,
    tokens_known       BOOLEAN NOT NULL,
    input_tokens       BIGINT NOT NULL,
    output_tokens      BIGINT NOT NULL,
    cache_read_tokens  BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens   BIGINT NOT NULL
);
CREATE INDEX interceptions_at ON interceptions (at, id);
CREATE INDEX interceptions_owner ON interceptions (owner_id, at, id);
CREATE INDEX interceptions_token ON interceptions (token_id, at, id);
CREATE INDEX interceptions_provider ON interceptions (provider, at, id);
CREATE INDEX interceptions_model ON interceptions (model, at, id);

-- +goose Down
DROP TABLE interceptions;

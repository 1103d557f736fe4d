-- +goose Up

-- One row: which installation this is, and how often its configuration changed.
-- Updating the row is the lock that makes writers take turns.
CREATE TABLE installation (
    singleton  BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    id         UUID NOT NULL,
    generation BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL
);

-- What each generation changed, so that a replica re-reads that alone.
CREATE TABLE changes (
    generation  BIGINT NOT NULL,
    resource    TEXT COLLATE "C" NOT NULL,
    resource_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (generation, resource, resource_id)
);

-- Data keys, each wrapped by the key-encrypting key that kek_id names.
CREATE TABLE dbcrypt_keys (
    number             BIGINT PRIMARY KEY,
    active_key_digest  TEXT COLLATE "C" NULL UNIQUE,
    revoked_key_digest TEXT COLLATE "C" NULL UNIQUE,
    purpose            TEXT NOT NULL CHECK (purpose IN ('seal', 'fingerprint')),
    wrapped_key        BYTEA NOT NULL,
    kek_id             TEXT NOT NULL,
    check_value        BYTEA NOT NULL,
    created_at         TIMESTAMPTZ NOT NULL,
    revoked_at         TIMESTAMPTZ NULL,
    CHECK ((active_key_digest IS NULL) <> (revoked_key_digest IS NULL))
);

CREATE TABLE users (
    id         UUID PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    disabled   BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

-- The tokens that people and tools present, by their SHA-256.
CREATE TABLE api_keys (
    id           UUID PRIMARY KEY,
    name         TEXT NOT NULL,
    owner_id     UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BYTEA NOT NULL UNIQUE,
    scopes       TEXT NOT NULL,
    providers    TEXT NOT NULL DEFAULT '',
    models       TEXT NOT NULL DEFAULT '',
    expires_at   TIMESTAMPTZ NULL,
    last_used_at TIMESTAMPTZ NULL,
    created_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX api_keys_owner ON api_keys (owner_id);

CREATE TYPE ai_provider_type AS ENUM ('openai', 'anthropic');

CREATE TABLE ai_providers (
    id              UUID PRIMARY KEY,
    type            ai_provider_type NOT NULL,
    name            TEXT COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
    display_name    TEXT NULL,
    enabled         BOOLEAN NOT NULL DEFAULT TRUE,
    deleted         BOOLEAN NOT NULL DEFAULT FALSE,
    base_url        TEXT NOT NULL,
    settings        BYTEA NULL,
    settings_key_id TEXT NULL REFERENCES dbcrypt_keys (active_key_digest),
    settings_public TEXT NOT NULL DEFAULT '',
    strategy        TEXT NOT NULL DEFAULT 'in_order',
    revision        BIGINT NOT NULL DEFAULT 1,
    secret_revision BIGINT NOT NULL DEFAULT 0,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    CHECK ((settings IS NULL) = (settings_key_id IS NULL)),
    CHECK (NOT (deleted AND enabled))
);
-- The name of a deleted provider can be used again.
CREATE UNIQUE INDEX ai_providers_name_unique ON ai_providers (name) WHERE deleted = FALSE;
CREATE INDEX ai_providers_name_id ON ai_providers (name, id);

CREATE TABLE ai_provider_keys (
    id              UUID PRIMARY KEY,
    provider_id     UUID NOT NULL REFERENCES ai_providers (id) ON DELETE CASCADE,
    api_key         BYTEA NOT NULL,
    api_key_key_id  TEXT NOT NULL REFERENCES dbcrypt_keys (active_key_digest),
    position        BIGINT NOT NULL,
    label           TEXT NOT NULL DEFAULT '',
    hint            TEXT NOT NULL DEFAULT '',
    fingerprint     TEXT COLLATE "C" NOT NULL,
    disabled        BOOLEAN NOT NULL DEFAULT FALSE,
    expires_at      TIMESTAMPTZ NULL,
    last_used_at    TIMESTAMPTZ NULL,
    secret_revision BIGINT NOT NULL DEFAULT 1,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL
);
CREATE INDEX ai_provider_keys_order ON ai_provider_keys (provider_id, position, created_at, id);
CREATE UNIQUE INDEX ai_provider_keys_fingerprint_unique ON ai_provider_keys (provider_id, fingerprint);

-- Ids stand here without foreign keys, so that history outlives what it is about.
CREATE TABLE audit_logs (
    entry_index BIGINT PRIMARY KEY,
    at          TIMESTAMPTZ NOT NULL,
    actor_kind  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    actor_name  TEXT NOT NULL,
    token_id    TEXT NOT NULL,
    token_name  TEXT NOT NULL,
    action      TEXT NOT NULL,
    resource    TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    target      TEXT NOT NULL,
    request_id  TEXT NOT NULL,
    address     TEXT NOT NULL,
    user_agent  TEXT NOT NULL,
    diff        TEXT NOT NULL
);

-- +goose Down
DROP TABLE audit_logs;
DROP TABLE ai_provider_keys;
DROP TABLE ai_providers;
DROP TYPE ai_provider_type;
DROP TABLE api_keys;
DROP TABLE users;
DROP TABLE dbcrypt_keys;
DROP TABLE changes;
DROP TABLE installation;

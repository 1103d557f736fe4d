-- +goose Up

-- One row: which installation this is, and how often its configuration changed.
-- Updating the row is the lock that makes writers take turns.
CREATE TABLE installation (
    singleton  BOOLEAN PRIMARY KEY NOT NULL DEFAULT TRUE CHECK (singleton),
    id         TEXT NOT NULL,
    generation BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMP NOT NULL
);

-- What each generation changed, so that a replica re-reads that alone.
CREATE TABLE changes (
    generation  BIGINT NOT NULL,
    resource    TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    PRIMARY KEY (generation, resource, resource_id)
);

-- Data keys, each wrapped by the key-encrypting key that kek_id names.
CREATE TABLE dbcrypt_keys (
    number             INTEGER PRIMARY KEY NOT NULL,
    active_key_digest  TEXT NULL UNIQUE,
    revoked_key_digest TEXT NULL UNIQUE,
    purpose            TEXT NOT NULL CHECK (purpose IN ('seal', 'fingerprint')),
    wrapped_key        BLOB NOT NULL,
    kek_id             TEXT NOT NULL,
    check_value        BLOB NOT NULL,
    created_at         TIMESTAMP NOT NULL,
    revoked_at         TIMESTAMP NULL,
    CHECK ((active_key_digest IS NULL) <> (revoked_key_digest IS NULL))
);

CREATE TABLE users (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    disabled   BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

-- The tokens that people and tools present, by their SHA-256.
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL,
    owner_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BLOB NOT NULL UNIQUE,
    scopes       TEXT NOT NULL,
    providers    TEXT NOT NULL DEFAULT '',
    models       TEXT NOT NULL DEFAULT '',
    expires_at   TIMESTAMP NULL,
    last_used_at TIMESTAMP NULL,
    created_at   TIMESTAMP NOT NULL
);
CREATE INDEX api_keys_owner ON api_keys (owner_id);

CREATE TABLE ai_providers (
    id              TEXT PRIMARY KEY NOT NULL,
    type            TEXT NOT NULL CHECK (type IN ('openai', 'anthropic')),
    name            TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
    display_name    TEXT NULL,
    enabled         BOOLEAN NOT NULL DEFAULT TRUE,
    deleted         BOOLEAN NOT NULL DEFAULT FALSE,
    base_url        TEXT NOT NULL,
    settings        BLOB NULL,
    settings_key_id TEXT NULL REFERENCES dbcrypt_keys (active_key_digest),
    settings_public TEXT NOT NULL DEFAULT '',
    strategy        TEXT NOT NULL DEFAULT 'in_order',
    revision        BIGINT NOT NULL DEFAULT 1,
    secret_revision BIGINT NOT NULL DEFAULT 0,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL,
    CHECK ((settings IS NULL) = (settings_key_id IS NULL)),
    CHECK (NOT (deleted AND enabled))
);
-- The name of a deleted provider can be used again.
CREATE UNIQUE INDEX ai_providers_name_unique ON ai_providers (name) WHERE deleted = FALSE;
CREATE INDEX ai_providers_name_id ON ai_providers (name, id);

CREATE TABLE ai_provider_keys (
    id              TEXT PRIMARY KEY NOT NULL,
    provider_id     TEXT NOT NULL REFERENCES ai_providers (id) ON DELETE CASCADE,
    api_key         BLOB NOT NULL,
    api_key_key_id  TEXT NOT NULL REFERENCES dbcrypt_keys (active_key_digest),
    position        BIGINT NOT NULL,
    label           TEXT NOT NULL DEFAULT '',
    hint            TEXT NOT NULL DEFAULT '',
    fingerprint     TEXT NOT NULL,
    disabled        BOOLEAN NOT NULL DEFAULT FALSE,
    expires_at      TIMESTAMP NULL,
    last_used_at    TIMESTAMP NULL,
    secret_revision BIGINT NOT NULL DEFAULT 1,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL
);
CREATE INDEX ai_provider_keys_order ON ai_provider_keys (provider_id, position, created_at, id);
CREATE UNIQUE INDEX ai_provider_keys_fingerprint_unique ON ai_provider_keys (provider_id, fingerprint);

-- Ids stand here without foreign keys, so that history outlives what it is about.
CREATE TABLE audit_logs (
    entry_index INTEGER PRIMARY KEY NOT NULL,
    at          TIMESTAMP NOT NULL,
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

DROP TABLE api_keys;
DROP TABLE users;
DROP TABLE dbcrypt_keys;
DROP TABLE changes;
DROP TABLE installation;

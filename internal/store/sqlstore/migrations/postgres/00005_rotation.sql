-- +goose Up

-- When a data key became the one to seal under; NULL: not yet, or never.
ALTER TABLE dbcrypt_keys ADD COLUMN promoted_at TIMESTAMPTZ NULL;
UPDATE dbcrypt_keys SET promoted_at = created_at;
-- What was asked for, of the data key to seal under.
ALTER TABLE dbcrypt_keys ADD COLUMN rotation TEXT NOT NULL DEFAULT '' CHECK (rotation IN ('', 'rewrap', 'full'));
-- The key-encrypting keys that wrapped it before kek_id, one a line.
ALTER TABLE dbcrypt_keys ADD COLUMN former_kek_ids TEXT NOT NULL DEFAULT '';

-- Raised by each change of dbcrypt_keys: who seals must know the newest.
ALTER TABLE installation ADD COLUMN key_epoch BIGINT NOT NULL DEFAULT 1;

-- What is sealed under which data key.
CREATE INDEX ai_providers_settings_key ON ai_providers (settings_key_id, id);
CREATE INDEX ai_provider_keys_api_key_key ON ai_provider_keys (api_key_key_id, id);

-- The servers that share this database, and which data keys they have.
CREATE TABLE replicas (
    id         UUID PRIMARY KEY,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    key_epoch  BIGINT NOT NULL,
    kek_ids    TEXT NOT NULL,
    key_error  TEXT NOT NULL DEFAULT '',
    started_at TIMESTAMPTZ NOT NULL,
    seen_at    TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE replicas;
DROP INDEX ai_provider_keys_api_key_key;
DROP INDEX ai_providers_settings_key;
ALTER TABLE installation DROP COLUMN key_epoch;
ALTER TABLE dbcrypt_keys DROP COLUMN former_kek_ids;
ALTER TABLE dbcrypt_keys DROP COLUMN rotation;
ALTER TABLE dbcrypt_keys DROP COLUMN promoted_at;

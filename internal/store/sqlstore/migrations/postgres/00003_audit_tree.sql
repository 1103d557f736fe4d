-- +goose Up

-- The canonical form of an entry is the record; the columns are an index over it.
ALTER TABLE audit_logs ADD COLUMN occurrences BIGINT NOT NULL DEFAULT 1;
ALTER TABLE audit_logs ADD COLUMN leaf BYTEA NOT NULL DEFAULT '';
-- What the entry completed in the Merkle tree over the leaves, its own hash first.
ALTER TABLE audit_logs ADD COLUMN hashes BYTEA NOT NULL DEFAULT '';
-- Text is searched by its beginning, and by its bytes.
ALTER TABLE audit_logs
    ALTER COLUMN actor_name TYPE TEXT COLLATE "C",
    ALTER COLUMN target TYPE TEXT COLLATE "C",
    ALTER COLUMN resource_id TYPE TEXT COLLATE "C",
    ALTER COLUMN request_id TYPE TEXT COLLATE "C";
CREATE INDEX audit_logs_at ON audit_logs (at);
CREATE INDEX audit_logs_resource ON audit_logs (resource, entry_index);
CREATE INDEX audit_logs_action ON audit_logs (action, entry_index);
CREATE INDEX audit_logs_actor_id ON audit_logs (actor_id, entry_index);
CREATE INDEX audit_logs_actor_name ON audit_logs (actor_name, entry_index);
CREATE INDEX audit_logs_target ON audit_logs (target, entry_index);
CREATE INDEX audit_logs_resource_id ON audit_logs (resource_id, entry_index);
CREATE INDEX audit_logs_request_id ON audit_logs (request_id, entry_index);

-- The hashes of entries that retention removed: the tree is needed whole.
CREATE TABLE audit_tree (
    entry_index BIGINT PRIMARY KEY,
    hashes      BYTEA NOT NULL
);

-- One row: the size of the tree, and the hashes of its largest complete
-- subtrees.
CREATE TABLE audit_head (
    singleton BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    size      BIGINT NOT NULL,
    edge      BYTEA NOT NULL
);
INSERT INTO audit_head (size, edge) VALUES (0, '');

-- Data keys can be for signing checkpoints of the log.
ALTER TABLE dbcrypt_keys DROP CONSTRAINT dbcrypt_keys_purpose_check;
ALTER TABLE dbcrypt_keys ADD CONSTRAINT dbcrypt_keys_purpose_check CHECK (purpose IN ('seal', 'fingerprint', 'sign'));

-- +goose Down
ALTER TABLE dbcrypt_keys DROP CONSTRAINT dbcrypt_keys_purpose_check;
DELETE FROM dbcrypt_keys WHERE purpose = 'sign';
ALTER TABLE dbcrypt_keys ADD CONSTRAINT dbcrypt_keys_purpose_check CHECK (purpose IN ('seal', 'fingerprint'));
DROP TABLE audit_head;
DROP TABLE audit_tree;
DROP INDEX audit_logs_request_id;
DROP INDEX audit_logs_resource_id;
DROP INDEX audit_logs_target;
DROP INDEX audit_logs_actor_name;
DROP INDEX audit_logs_actor_id;
DROP INDEX audit_logs_action;
DROP INDEX audit_logs_resource;
DROP INDEX audit_logs_at;
ALTER TABLE audit_logs DROP COLUMN hashes;
ALTER TABLE audit_logs DROP COLUMN leaf;
ALTER TABLE audit_logs DROP COLUMN occurrences;

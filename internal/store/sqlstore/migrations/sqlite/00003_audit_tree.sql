-- +goose Up

-- The canonical form of an entry is the record; the columns are an index over it.
ALTER TABLE audit_logs ADD COLUMN occurrences INTEGER NOT NULL DEFAULT 1;
ALTER TABLE audit_logs ADD COLUMN leaf BLOB NOT NULL DEFAULT x'';
-- What the entry completed in the Merkle tree over the leaves, its own hash first.
ALTER TABLE audit_logs ADD COLUMN hashes BLOB NOT NULL DEFAULT x'';
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
    entry_index INTEGER PRIMARY KEY NOT NULL,
    hashes      BLOB NOT NULL
);

-- One row: the size of the tree, and the hashes of its largest complete
-- subtrees.
CREATE TABLE audit_head (
    singleton BOOLEAN PRIMARY KEY NOT NULL DEFAULT TRUE CHECK (singleton),
    size      INTEGER NOT NULL,
    edge      BLOB NOT NULL
);
INSERT INTO audit_head (size, edge) VALUES (0, x'');

-- Data keys can be for signing checkpoints of the log.
ALTER TABLE dbcrypt_keys ADD COLUMN use_for TEXT NOT NULL DEFAULT 'seal' CHECK (use_for IN ('seal', 'fingerprint', 'sign'));
UPDATE dbcrypt_keys SET use_for = purpose;
ALTER TABLE dbcrypt_keys DROP COLUMN purpose;
ALTER TABLE dbcrypt_keys RENAME COLUMN use_for TO purpose;

-- +goose Down
DELETE FROM dbcrypt_keys WHERE purpose = 'sign';
ALTER TABLE dbcrypt_keys ADD COLUMN use_for TEXT NOT NULL DEFAULT 'seal' CHECK (use_for IN ('seal', 'fingerprint'));
UPDATE dbcrypt_keys SET use_for = purpose;
ALTER TABLE dbcrypt_keys DROP COLUMN purpose;
ALTER TABLE dbcrypt_keys RENAME COLUMN use_for TO purpose;
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

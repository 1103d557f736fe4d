-- +goose Up

-- Roles that people made, beside those that are built in.
CREATE TABLE roles (
    id          UUID PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
    description TEXT NOT NULL DEFAULT '',
    permissions TEXT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);

-- A user has any number of roles, one name a line.
ALTER TABLE users RENAME COLUMN role TO roles;

-- What whoever made a token could do then. Until now tokens were made by owners
-- and members, for themselves, and nobody could change a role.
ALTER TABLE api_keys ADD COLUMN ceiling TEXT NOT NULL DEFAULT 'all';

-- +goose Down
ALTER TABLE api_keys DROP COLUMN ceiling;
ALTER TABLE users RENAME COLUMN roles TO role;
DROP TABLE roles;

-- +goose Up

-- Models of our own naming, each with the targets that it stands for. A target
-- names its provider by id, without a foreign key: it may be deleted and purged.
CREATE TABLE ai_routes (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
    description TEXT,
    enabled     BOOLEAN NOT NULL DEFAULT TRUE,
    strategy    TEXT NOT NULL DEFAULT 'in_order',
    targets     TEXT NOT NULL,
    revision    INTEGER NOT NULL DEFAULT 1,
    created_at  TIMESTAMP NOT NULL,
    updated_at  TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE ai_routes;

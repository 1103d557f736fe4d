-- +goose Up

-- Models of our own naming, each with the targets that it stands for. A target
-- names its provider by id, without a foreign key: it may be deleted and purged.
CREATE TABLE ai_routes (
    id          UUID PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
    description TEXT,
    enabled     BOOLEAN NOT NULL DEFAULT TRUE,
    strategy    TEXT NOT NULL DEFAULT 'in_order',
    targets     TEXT NOT NULL,
    revision    BIGINT NOT NULL DEFAULT 1,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE ai_routes;

-- name: GetInstallation :one
SELECT * FROM installation;

-- name: InsertInstallation :exec
INSERT INTO installation (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: LockInstallation :exec
UPDATE installation SET generation = generation;

-- name: RaiseGeneration :one
UPDATE installation SET generation = generation + 1 RETURNING generation;

-- name: InsertChange :exec
INSERT INTO changes (generation, resource, resource_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: GetChangesSince :many
SELECT * FROM changes WHERE generation > @generation ORDER BY generation LIMIT @max_rows;

-- name: GetOldestChange :one
SELECT CAST(COALESCE(MIN(generation), 0) AS BIGINT) FROM changes;

-- name: DeleteChangesBefore :exec
DELETE FROM changes WHERE generation < @generation;

-- name: RaiseKeyEpoch :exec
UPDATE installation SET key_epoch = key_epoch + 1;

-- name: GetAPIKeyByID :one
SELECT sqlc.embed(api_keys), users.name AS owner_name
FROM api_keys JOIN users ON users.id = api_keys.owner_id
WHERE api_keys.id = $1;

-- name: GetAPIKeyByTokenHash :one
SELECT sqlc.embed(api_keys), sqlc.embed(users)
FROM api_keys JOIN users ON users.id = api_keys.owner_id
WHERE token_hash = $1;

-- name: GetAPIKeys :many
SELECT sqlc.embed(api_keys), users.name AS owner_name
FROM api_keys JOIN users ON users.id = api_keys.owner_id
WHERE (CAST(@every_owner AS BOOLEAN) OR owner_id = @owner_id) AND api_keys.id > @after_id
ORDER BY api_keys.id LIMIT @max_rows;

-- name: CountAPIKeysOfOwner :one
SELECT COUNT(*) FROM api_keys WHERE owner_id = $1;

-- name: InsertAPIKey :exec
INSERT INTO api_keys (id, name, owner_id, token_hash, scopes, ceiling, providers, models, expires_at, created_at, rpm, concurrency)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: UpdateAPIKey :exec
UPDATE api_keys
SET name = @name, scopes = @scopes, providers = @providers, models = @models, expires_at = @expires_at,
    rpm = @rpm, concurrency = @concurrency
WHERE id = @id;

-- name: TouchAPIKey :exec
UPDATE api_keys SET last_used_at = @last_used_at
WHERE id = @id AND (last_used_at IS NULL OR last_used_at < @last_used_at);

-- name: DeleteAPIKey :exec
DELETE FROM api_keys WHERE id = $1;

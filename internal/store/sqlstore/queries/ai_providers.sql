-- name: GetAIProviderByID :one
SELECT * FROM ai_providers WHERE id = $1;

-- name: GetAIProviderByName :one
SELECT * FROM ai_providers WHERE name = $1 AND deleted = FALSE;

-- name: GetAIProviders :many
SELECT * FROM ai_providers
WHERE (deleted = FALSE OR CAST(@include_deleted AS BOOLEAN))
  AND (enabled OR deleted OR CAST(@include_disabled AS BOOLEAN))
  AND (name, id) > (@after_name, @after_id)
  AND (CAST(@pattern AS TEXT) = '' OR lower(name) LIKE @pattern ESCAPE '\' OR lower(display_name) LIKE @pattern ESCAPE '\')
ORDER BY name, id
LIMIT @max_rows;

-- name: InsertAIProvider :one
INSERT INTO ai_providers (
    id, type, name, display_name, enabled, base_url, settings, settings_key_id, settings_public,
    strategy, revision, secret_revision, created_at, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, $13)
RETURNING *;

-- name: UpdateAIProvider :one
UPDATE ai_providers
SET display_name = @display_name, enabled = @enabled, deleted = FALSE, base_url = @base_url, settings = @settings,
    settings_key_id = @settings_key_id, settings_public = @settings_public, strategy = @strategy,
    revision = revision + 1, secret_revision = @secret_revision, updated_at = @updated_at
WHERE id = @id
RETURNING *;

-- name: TouchAIProvider :exec
UPDATE ai_providers SET revision = revision + 1, updated_at = @updated_at WHERE id = @id;

-- name: UpdateEncryptedAIProviderSettings :execrows
UPDATE ai_providers SET settings = @settings, settings_key_id = @settings_key_id
WHERE id = @id AND secret_revision = @secret_revision AND settings_key_id = @old_key_id;

-- name: DeleteAIProviderByID :exec
UPDATE ai_providers
SET deleted = TRUE, enabled = FALSE, settings = NULL, settings_key_id = NULL, settings_public = '',
    revision = revision + 1, updated_at = @updated_at
WHERE id = @id AND deleted = FALSE;

-- name: PurgeAIProviderByID :exec
DELETE FROM ai_providers WHERE id = $1 AND deleted;

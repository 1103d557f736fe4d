-- name: GetAIProviderKeyByID :one
SELECT sqlc.embed(ai_provider_keys), ai_providers.base_url
FROM ai_provider_keys JOIN ai_providers ON ai_providers.id = ai_provider_keys.provider_id
WHERE ai_provider_keys.id = $1;

-- name: GetAIProviderKeysByProviderID :many
SELECT sqlc.embed(ai_provider_keys), ai_providers.base_url
FROM ai_provider_keys JOIN ai_providers ON ai_providers.id = ai_provider_keys.provider_id
WHERE ai_provider_keys.provider_id = $1
ORDER BY ai_provider_keys.position, ai_provider_keys.created_at, ai_provider_keys.id;

-- name: GetAIProviderKeys :many
SELECT sqlc.embed(ai_provider_keys), ai_providers.base_url
FROM ai_provider_keys JOIN ai_providers ON ai_providers.id = ai_provider_keys.provider_id
ORDER BY ai_provider_keys.provider_id, ai_provider_keys.position, ai_provider_keys.created_at, ai_provider_keys.id;

-- name: GetAIProviderKeysOfProviders :many
SELECT sqlc.embed(ai_provider_keys), ai_providers.base_url
FROM ai_provider_keys JOIN ai_providers ON ai_providers.id = ai_provider_keys.provider_id
WHERE ai_provider_keys.provider_id IN (
    SELECT p.id FROM ai_providers p
    WHERE (p.deleted = FALSE OR CAST(@include_deleted AS BOOLEAN))
      AND (p.enabled OR p.deleted OR CAST(@include_disabled AS BOOLEAN))
      AND (p.name, p.id) > (@after_name, @after_id)
      AND (CAST(@pattern AS TEXT) = '' OR lower(p.name) LIKE @pattern ESCAPE '\' OR lower(p.display_name) LIKE @pattern ESCAPE '\')
    ORDER BY p.name, p.id LIMIT @max_rows
  )
ORDER BY ai_provider_keys.provider_id, ai_provider_keys.position, ai_provider_keys.created_at, ai_provider_keys.id;

-- name: CountAIProviderKeys :one
SELECT COUNT(*) FROM ai_provider_keys WHERE provider_id = $1;

-- name: InsertAIProviderKey :one
INSERT INTO ai_provider_keys (
    id, provider_id, api_key, api_key_key_id, position, label, hint, fingerprint, disabled,
    expires_at, secret_revision, created_at, updated_at, weight
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING *;

-- name: UpdateAIProviderKey :one
UPDATE ai_provider_keys
SET api_key = @api_key, api_key_key_id = @api_key_key_id, position = @position, weight = @weight, label = @label, hint = @hint,
    fingerprint = @fingerprint, disabled = @disabled, expires_at = @expires_at,
    secret_revision = @secret_revision, updated_at = @updated_at
WHERE id = @id
RETURNING *;

-- name: UpdateEncryptedAIProviderKey :execrows
UPDATE ai_provider_keys SET api_key = @api_key, api_key_key_id = @api_key_key_id
WHERE id = @id AND secret_revision = @secret_revision AND api_key_key_id = @old_key_id;

-- name: TouchAIProviderKey :exec
UPDATE ai_provider_keys SET last_used_at = @last_used_at
WHERE id = @id AND (last_used_at IS NULL OR last_used_at < @last_used_at);

-- name: DeleteAIProviderKey :one
DELETE FROM ai_provider_keys WHERE id = $1 RETURNING *;

-- name: CountAIProviderSettings :many
SELECT settings_key_id, COUNT(*) AS cells FROM ai_providers WHERE settings_key_id IS NOT NULL GROUP BY settings_key_id;

-- name: CountAIProviderAPIKeys :many
SELECT api_key_key_id, COUNT(*) AS cells FROM ai_provider_keys GROUP BY api_key_key_id;

-- name: GetSealedAIProviders :many
SELECT * FROM ai_providers
WHERE settings_key_id IS NOT NULL AND settings_key_id <> CAST(@not_under AS TEXT) AND id > @after
ORDER BY id LIMIT @max_rows;

-- name: GetSealedAIProviderKeys :many
SELECT sqlc.embed(ai_provider_keys), ai_providers.base_url
FROM ai_provider_keys JOIN ai_providers ON ai_providers.id = ai_provider_keys.provider_id
WHERE ai_provider_keys.api_key_key_id <> CAST(@not_under AS TEXT) AND ai_provider_keys.id > @after
ORDER BY ai_provider_keys.id LIMIT @max_rows;

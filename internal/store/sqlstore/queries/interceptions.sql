-- name: InsertInterception :exec
INSERT INTO interceptions (
    id, at, hour, token_id, token_name, owner_id, client, provider_id, provider, key_id, model, actual_model, endpoint, path, status, reason,
    outcome, attempts, attempt_count, first_byte_us, duration_us, request_bytes, response_bytes, tokens_known, input_tokens, output_tokens,
    cache_read_tokens, cache_write_tokens, reasoning_tokens
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)
ON CONFLICT (id) DO NOTHING;

-- name: GetInterceptionByID :one
SELECT * FROM interceptions WHERE id = $1;

-- name: DeleteInterceptionsBefore :execrows
DELETE FROM interceptions WHERE id IN (SELECT i.id FROM interceptions i WHERE i.at < @before ORDER BY i.at, i.id LIMIT @max_rows);

-- The next five select by the same conditions. Each but the first repeats one of
-- them without its way out, so that the database can use the index on it.

-- name: GetInterceptions :many
SELECT * FROM interceptions
WHERE at >= @since AND at < @until AND at <= @before_at AND (at < @before_at OR id < @before_id)
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
ORDER BY at DESC, id DESC LIMIT @max_rows;

-- name: GetInterceptionsByOwner :many
SELECT * FROM interceptions
WHERE at >= @since AND at < @until AND at <= @before_at AND (at < @before_at OR id < @before_id)
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
  AND owner_id = @owner_id
ORDER BY at DESC, id DESC LIMIT @max_rows;

-- name: GetInterceptionsByToken :many
SELECT * FROM interceptions
WHERE at >= @since AND at < @until AND at <= @before_at AND (at < @before_at OR id < @before_id)
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
  AND token_id = @token_id
ORDER BY at DESC, id DESC LIMIT @max_rows;

-- name: GetInterceptionsByProvider :many
SELECT * FROM interceptions
WHERE at >= @since AND at < @until AND at <= @before_at AND (at < @before_at OR id < @before_id)
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
  AND provider = @provider
ORDER BY at DESC, id DESC LIMIT @max_rows;

-- name: GetInterceptionsByModel :many
SELECT * FROM interceptions
WHERE at >= @since AND at < @until AND at <= @before_at AND (at < @before_at OR id < @before_id)
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
  AND model = @model
ORDER BY at DESC, id DESC LIMIT @max_rows;

-- The sums, each for everybody and for one owner. A kind of group that there is
-- no word for here is everything in one.

-- name: GetUsage :many
SELECT CAST(CASE CAST(@grouping AS TEXT)
        WHEN 'provider' THEN provider WHEN 'model' THEN model WHEN 'token' THEN token_id WHEN 'owner' THEN owner_id WHEN 'client' THEN client
        ELSE '' END AS TEXT) AS label,
    CAST(MAX(token_name) AS TEXT) AS token_name, COUNT(*) AS requests,
    CAST(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) AS BIGINT) AS errors,
    CAST(SUM(CASE WHEN outcome = 'unknown' THEN 1 ELSE 0 END) AS BIGINT) AS unknown,
    CAST(SUM(attempt_count) AS BIGINT) AS attempts,
    CAST(SUM(CASE WHEN tokens_known THEN 1 ELSE 0 END) AS BIGINT) AS metered,
    CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(output_tokens) AS BIGINT) AS output_tokens,
    CAST(SUM(cache_read_tokens) AS BIGINT) AS cache_read_tokens, CAST(SUM(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(SUM(duration_us) AS BIGINT) AS duration_us,
    CAST(SUM(first_byte_us) AS BIGINT) AS first_byte_us, CAST(SUM(CASE WHEN first_byte_us > 0 THEN 1 ELSE 0 END) AS BIGINT) AS answered,
    CAST(SUM(request_bytes) AS BIGINT) AS request_bytes, CAST(SUM(response_bytes) AS BIGINT) AS response_bytes
FROM interceptions
WHERE at >= @since AND at < @until
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
GROUP BY 1 ORDER BY requests DESC, label LIMIT @max_rows;

-- name: GetUsageOfOwner :many
SELECT CAST(CASE CAST(@grouping AS TEXT)
        WHEN 'provider' THEN provider WHEN 'model' THEN model WHEN 'token' THEN token_id WHEN 'owner' THEN owner_id WHEN 'client' THEN client
        ELSE '' END AS TEXT) AS label,
    CAST(MAX(token_name) AS TEXT) AS token_name, COUNT(*) AS requests,
    CAST(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) AS BIGINT) AS errors,
    CAST(SUM(CASE WHEN outcome = 'unknown' THEN 1 ELSE 0 END) AS BIGINT) AS unknown,
    CAST(SUM(attempt_count) AS BIGINT) AS attempts,
    CAST(SUM(CASE WHEN tokens_known THEN 1 ELSE 0 END) AS BIGINT) AS metered,
    CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(output_tokens) AS BIGINT) AS output_tokens,
    CAST(SUM(cache_read_tokens) AS BIGINT) AS cache_read_tokens, CAST(SUM(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(SUM(duration_us) AS BIGINT) AS duration_us,
    CAST(SUM(first_byte_us) AS BIGINT) AS first_byte_us, CAST(SUM(CASE WHEN first_byte_us > 0 THEN 1 ELSE 0 END) AS BIGINT) AS answered,
    CAST(SUM(request_bytes) AS BIGINT) AS request_bytes, CAST(SUM(response_bytes) AS BIGINT) AS response_bytes
FROM interceptions
WHERE at >= @since AND at < @until
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
  AND owner_id = @owner_id
GROUP BY 1 ORDER BY requests DESC, label LIMIT @max_rows;

-- name: GetUsageByTime :many
SELECT CAST(hour / CAST(@hours AS BIGINT) AS BIGINT) AS bucket, COUNT(*) AS requests,
    CAST(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) AS BIGINT) AS errors,
    CAST(SUM(CASE WHEN outcome = 'unknown' THEN 1 ELSE 0 END) AS BIGINT) AS unknown,
    CAST(SUM(attempt_count) AS BIGINT) AS attempts,
    CAST(SUM(CASE WHEN tokens_known THEN 1 ELSE 0 END) AS BIGINT) AS metered,
    CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(output_tokens) AS BIGINT) AS output_tokens,
    CAST(SUM(cache_read_tokens) AS BIGINT) AS cache_read_tokens, CAST(SUM(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(SUM(duration_us) AS BIGINT) AS duration_us,
    CAST(SUM(first_byte_us) AS BIGINT) AS first_byte_us, CAST(SUM(CASE WHEN first_byte_us > 0 THEN 1 ELSE 0 END) AS BIGINT) AS answered,
    CAST(SUM(request_bytes) AS BIGINT) AS request_bytes, CAST(SUM(response_bytes) AS BIGINT) AS response_bytes
FROM interceptions
WHERE at >= @since AND at < @until
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
GROUP BY 1 ORDER BY 1 DESC LIMIT @max_rows;

-- name: GetUsageByTimeOfOwner :many
SELECT CAST(hour / CAST(@hours AS BIGINT) AS BIGINT) AS bucket, COUNT(*) AS requests,
    CAST(SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) AS BIGINT) AS errors,
    CAST(SUM(CASE WHEN outcome = 'unknown' THEN 1 ELSE 0 END) AS BIGINT) AS unknown,
    CAST(SUM(attempt_count) AS BIGINT) AS attempts,
    CAST(SUM(CASE WHEN tokens_known THEN 1 ELSE 0 END) AS BIGINT) AS metered,
    CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(output_tokens) AS BIGINT) AS output_tokens,
    CAST(SUM(cache_read_tokens) AS BIGINT) AS cache_read_tokens, CAST(SUM(cache_write_tokens) AS BIGINT) AS cache_write_tokens,
    CAST(SUM(reasoning_tokens) AS BIGINT) AS reasoning_tokens,
    CAST(SUM(duration_us) AS BIGINT) AS duration_us,
    CAST(SUM(first_byte_us) AS BIGINT) AS first_byte_us, CAST(SUM(CASE WHEN first_byte_us > 0 THEN 1 ELSE 0 END) AS BIGINT) AS answered,
    CAST(SUM(request_bytes) AS BIGINT) AS request_bytes, CAST(SUM(response_bytes) AS BIGINT) AS response_bytes
FROM interceptions
WHERE at >= @since AND at < @until
  AND (CAST(@owner_id AS TEXT) = '' OR owner_id = @owner_id) AND (CAST(@token_id AS TEXT) = '' OR token_id = @token_id)
  AND (CAST(@token_name AS TEXT) = '' OR token_name = @token_name) AND (CAST(@provider AS TEXT) = '' OR provider = @provider)
  AND (CAST(@provider_id AS TEXT) = '' OR provider_id = @provider_id) AND (CAST(@model AS TEXT) = '' OR model = @model)
  AND status >= @status_from AND status <= @status_to AND (CAST(@outcome AS TEXT) = '' OR outcome = @outcome)
  AND (CAST(@key_id AS TEXT) = '' OR attempts LIKE '%' || @key_id || '%')
  AND (CAST(@client AS TEXT) = '' OR client = @client OR substr(client, 1, length(@client) + 1) = @client || '/')
  AND owner_id = @owner_id
GROUP BY 1 ORDER BY 1 DESC LIMIT @max_rows;

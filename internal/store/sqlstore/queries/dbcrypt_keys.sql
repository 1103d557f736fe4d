-- name: GetDBCryptKey :one
SELECT * FROM dbcrypt_keys
WHERE active_key_digest = CAST(@digest AS TEXT) OR revoked_key_digest = CAST(@digest AS TEXT);

-- name: GetDBCryptKeys :many
SELECT * FROM dbcrypt_keys ORDER BY number;

-- name: InsertDBCryptKey :one
INSERT INTO dbcrypt_keys (number, active_key_digest, purpose, wrapped_key, kek_id, check_value, promoted_at, created_at)
VALUES ((SELECT CAST(COALESCE(MAX(number), 0) + 1 AS BIGINT) FROM dbcrypt_keys), $1, $2, $3, $4, $5, $6, $7) RETURNING *;

-- name: UpdateDBCryptKey :one
UPDATE dbcrypt_keys
SET active_key_digest = @active_key_digest, revoked_key_digest = @revoked_key_digest, wrapped_key = @wrapped_key,
    kek_id = @kek_id, former_kek_ids = @former_kek_ids, promoted_at = @promoted_at, rotation = @rotation, revoked_at = @revoked_at
WHERE number = @number
RETURNING *;

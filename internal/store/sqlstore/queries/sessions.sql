-- name: GetSessionByID :one
SELECT sqlc.embed(sessions), users.name AS user_name
FROM sessions JOIN users ON users.id = sessions.user_id
WHERE sessions.id = $1;

-- name: GetSessionBySecretHash :one
SELECT sqlc.embed(sessions), sqlc.embed(users)
FROM sessions JOIN users ON users.id = sessions.user_id
WHERE secret_hash = $1;

-- name: GetSessions :many
SELECT sqlc.embed(sessions), users.name AS user_name
FROM sessions JOIN users ON users.id = sessions.user_id
WHERE (CAST(@every_owner AS BOOLEAN) OR user_id = @owner_id) AND sessions.id > @after_id
ORDER BY sessions.id LIMIT @max_rows;

-- name: InsertSession :exec
INSERT INTO sessions (id, user_id, secret_hash, method, address, user_agent, created_at, last_seen_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: TouchSession :exec
UPDATE sessions SET last_seen_at = @last_seen_at WHERE id = @id AND last_seen_at < @last_seen_at;

-- name: UpdateSession :exec
UPDATE sessions SET expires_at = @expires_at WHERE id = @id;

-- name: DeleteSession :exec
DELETE FROM sessions WHERE id = $1;

-- name: DeleteSessionsOfUser :exec
DELETE FROM sessions WHERE user_id = $1;

-- name: DeleteSessionsBefore :exec
DELETE FROM sessions WHERE expires_at <= @expires_before;

-- name: GetUserByID :one
SELECT * FROM users WHERE id = $1;

-- name: GetUserByName :one
SELECT * FROM users WHERE name = $1;

-- name: GetUserBySubject :one
SELECT * FROM users WHERE issuer = $1 AND subject = $2 AND subject <> '';

-- name: GetUsers :many
SELECT * FROM users
WHERE (CAST(@see_all AS BOOLEAN) OR id = @owner_id) AND id > @after_id
ORDER BY id LIMIT @max_rows;

-- name: InsertUser :one
INSERT INTO users (id, name, roles, disabled, issuer, subject, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *;

-- name: UpdateUser :one
UPDATE users SET name = @name, roles = @roles, disabled = @disabled, issuer = @issuer, subject = @subject, updated_at = @updated_at WHERE id = @id RETURNING *;

-- name: DeleteUser :one
DELETE FROM users WHERE id = $1 RETURNING *;

-- name: CountUsersOfRole :one
SELECT COUNT(*) FROM users
WHERE replace(CAST(@edge AS TEXT) || roles || @edge, CAST(@held AS TEXT), '') <> @edge || roles || @edge;

-- name: GetUserByID :one
SELECT * FROM users WHERE id = $1;

-- name: GetUserByName :one
SELECT * FROM users WHERE name = $1;

-- name: GetUsers :many
SELECT * FROM users
WHERE (CAST(@see_all AS BOOLEAN) OR id = @owner_id) AND id > @after_id
ORDER BY id LIMIT @max_rows;

-- name: InsertUser :one
INSERT INTO users (id, name, roles, disabled, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *;

-- name: UpdateUser :one
UPDATE users SET name = @name, roles = @roles, disabled = @disabled, updated_at = @updated_at WHERE id = @id RETURNING *;

-- name: DeleteUser :one
DELETE FROM users WHERE id = $1 RETURNING *;

-- name: CountUsersOfRole :one
SELECT COUNT(*) FROM users
WHERE replace(CAST(@edge AS TEXT) || roles || @edge, CAST(@held AS TEXT), '') <> @edge || roles || @edge;

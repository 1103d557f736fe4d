-- name: GetRoleByID :one
SELECT * FROM roles WHERE id = $1;

-- name: GetRoleByName :one
SELECT * FROM roles WHERE name = $1;

-- name: GetRoles :many
SELECT * FROM roles WHERE id > @after_id ORDER BY id LIMIT @max_rows;

-- name: InsertRole :one
INSERT INTO roles (id, name, description, permissions, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *;

-- name: UpdateRole :one
UPDATE roles SET description = @description, permissions = @permissions, updated_at = @updated_at WHERE id = @id RETURNING *;

-- name: DeleteRole :one
DELETE FROM roles WHERE id = $1 RETURNING *;

-- name: GetAIRouteByID :one
SELECT * FROM ai_routes WHERE id = $1;

-- name: GetAIRouteByName :one
SELECT * FROM ai_routes WHERE name = $1;

-- name: GetAIRoutes :many
SELECT * FROM ai_routes WHERE name > @after_name ORDER BY name LIMIT @max_rows;

-- name: InsertAIRoute :one
INSERT INTO ai_routes (id, name, description, enabled, strategy, targets, revision, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)
RETURNING *;

-- name: UpdateAIRoute :one
UPDATE ai_routes
SET description = @description, enabled = @enabled, strategy = @strategy, targets = @targets,
    revision = revision + 1, updated_at = @updated_at
WHERE id = @id
RETURNING *;

-- name: DeleteAIRoute :one
DELETE FROM ai_routes WHERE id = $1 RETURNING *;

-- name: UpsertKeyState :exec
INSERT INTO key_states (key_id, reason, status, since, left_until, wait_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key_id) DO UPDATE
SET reason = excluded.reason, status = excluded.status, since = excluded.since, left_until = excluded.left_until, wait_ms = excluded.wait_ms
WHERE key_states.since < excluded.since;

-- name: GetKeyStates :many
SELECT * FROM key_states WHERE since >= @since ORDER BY key_id;

-- name: DeleteKeyStatesBefore :exec
DELETE FROM key_states WHERE since < @before;

-- name: UpsertKeyDrain :exec
INSERT INTO key_drains (key_id, replica_id, generation, in_flight, at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (key_id, replica_id) DO UPDATE
SET generation = excluded.generation, in_flight = excluded.in_flight, at = excluded.at;

-- name: GetKeyDrains :many
SELECT * FROM key_drains ORDER BY key_id, replica_id;

-- name: DeleteKeyDrain :exec
DELETE FROM key_drains WHERE key_id = $1;

-- name: DeleteKeyDrainsBefore :exec
DELETE FROM key_drains WHERE at < @before;

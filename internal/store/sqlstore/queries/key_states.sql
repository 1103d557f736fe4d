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

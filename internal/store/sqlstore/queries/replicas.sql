-- name: UpsertReplica :exec
INSERT INTO replicas (id, name, version, key_epoch, kek_ids, key_error, started_at, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE
SET key_epoch = excluded.key_epoch, kek_ids = excluded.kek_ids, key_error = excluded.key_error, seen_at = excluded.seen_at;

-- name: GetReplicas :many
SELECT * FROM replicas ORDER BY started_at, id;

-- name: DeleteReplica :exec
DELETE FROM replicas WHERE id = $1;

-- name: DeleteReplicasBefore :exec
DELETE FROM replicas WHERE seen_at < @before;

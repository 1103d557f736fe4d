-- name: InsertAuditLog :exec
INSERT INTO audit_logs (
    entry_index, at, actor_kind, actor_id, actor_name, token_id, token_name, action, resource, resource_id, target,
    request_id, address, user_agent, occurrences, diff, leaf, hashes
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18);

-- name: UpdateAuditHead :exec
UPDATE audit_head SET size = @size, edge = @edge;

-- name: GetAuditHead :one
SELECT size, edge FROM audit_head;

-- The next five select by the same conditions. Each but the first repeats one of
-- them without its way out, so that the database can use the index on it.

-- name: GetAuditLogs :many
SELECT * FROM audit_logs
WHERE entry_index > @after AND entry_index < @before AND at >= @since AND at < @until
  AND (CAST(@resource AS TEXT) = '' OR resource = @resource) AND (CAST(@action AS TEXT) = '' OR action = @action)
  AND (CAST(@actor_id AS TEXT) = '' OR actor_id = @actor_id) AND (CAST(@actor_name AS TEXT) = '' OR actor_name = @actor_name)
ORDER BY entry_index DESC LIMIT @max_rows;

-- name: GetAuditLogsByResource :many
SELECT * FROM audit_logs
WHERE entry_index > @after AND entry_index < @before AND at >= @since AND at < @until
  AND (CAST(@resource AS TEXT) = '' OR resource = @resource) AND (CAST(@action AS TEXT) = '' OR action = @action)
  AND (CAST(@actor_id AS TEXT) = '' OR actor_id = @actor_id) AND (CAST(@actor_name AS TEXT) = '' OR actor_name = @actor_name)
  AND resource = @resource
ORDER BY entry_index DESC LIMIT @max_rows;

-- name: GetAuditLogsByAction :many
SELECT * FROM audit_logs
WHERE entry_index > @after AND entry_index < @before AND at >= @since AND at < @until
  AND (CAST(@resource AS TEXT) = '' OR resource = @resource) AND (CAST(@action AS TEXT) = '' OR action = @action)
  AND (CAST(@actor_id AS TEXT) = '' OR actor_id = @actor_id) AND (CAST(@actor_name AS TEXT) = '' OR actor_name = @actor_name)
  AND action = @action
ORDER BY entry_index DESC LIMIT @max_rows;

-- name: GetAuditLogsByActorID :many
SELECT * FROM audit_logs
WHERE entry_index > @after AND entry_index < @before AND at >= @since AND at < @until
  AND (CAST(@resource AS TEXT) = '' OR resource = @resource) AND (CAST(@action AS TEXT) = '' OR action = @action)
  AND (CAST(@actor_id AS TEXT) = '' OR actor_id = @actor_id) AND (CAST(@actor_name AS TEXT) = '' OR actor_name = @actor_name)
  AND actor_id = @actor_id
ORDER BY entry_index DESC LIMIT @max_rows;

-- name: GetAuditLogsByActorName :many
SELECT * FROM audit_logs
WHERE entry_index > @after AND entry_index < @before AND at >= @since AND at < @until
  AND (CAST(@resource AS TEXT) = '' OR resource = @resource) AND (CAST(@action AS TEXT) = '' OR action = @action)
  AND (CAST(@actor_id AS TEXT) = '' OR actor_id = @actor_id) AND (CAST(@actor_name AS TEXT) = '' OR actor_name = @actor_name)
  AND actor_name = @actor_name
ORDER BY entry_index DESC LIMIT @max_rows;

-- name: GetAuditLogsByText :many
SELECT * FROM audit_logs
WHERE audit_logs.entry_index > @after AND audit_logs.entry_index < @before AND audit_logs.at >= @since AND audit_logs.at < @until
  AND (CAST(@resource AS TEXT) = '' OR audit_logs.resource = @resource) AND (CAST(@action AS TEXT) = '' OR audit_logs.action = @action)
  AND (CAST(@actor_id AS TEXT) = '' OR audit_logs.actor_id = @actor_id) AND (CAST(@actor_name AS TEXT) = '' OR audit_logs.actor_name = @actor_name)
  AND audit_logs.entry_index IN (
    SELECT a.entry_index FROM audit_logs a WHERE a.actor_name >= @low AND a.actor_name < @high
    UNION SELECT t.entry_index FROM audit_logs t WHERE t.target >= @low AND t.target < @high
    UNION SELECT i.entry_index FROM audit_logs i WHERE i.resource_id >= @low AND i.resource_id < @high
    UNION SELECT r.entry_index FROM audit_logs r WHERE r.request_id >= @low AND r.request_id < @high
  )
ORDER BY audit_logs.entry_index DESC LIMIT @max_rows;

-- name: GetAuditIndexBefore :one
SELECT entry_index FROM audit_logs WHERE at < $1 ORDER BY at DESC LIMIT 1;

-- name: GetAuditIndexSince :one
SELECT entry_index FROM audit_logs WHERE at >= $1 ORDER BY at LIMIT 1;

-- name: GetAuditRows :many
SELECT leaf, hashes, CONCAT_WS(
    CAST(@separator AS TEXT), entry_index, occurrences, at, actor_kind, actor_id, actor_name, token_id, token_name, action, resource,
    resource_id, target, request_id, address, user_agent, diff
) AS joined
FROM audit_logs WHERE entry_index >= @from_index ORDER BY entry_index LIMIT @max_rows;

-- name: GetAuditTree :many
SELECT * FROM audit_tree WHERE entry_index >= @from_index ORDER BY entry_index LIMIT @max_rows;

-- name: GetAuditHashes :one
SELECT hashes FROM audit_logs WHERE audit_logs.entry_index = $1
UNION ALL SELECT hashes FROM audit_tree WHERE audit_tree.entry_index = $1
LIMIT 1;

-- name: GetOldestAuditIndex :one
SELECT entry_index FROM audit_logs ORDER BY entry_index LIMIT 1;

-- name: GetOldestAuditIndexSince :one
SELECT entry_index FROM audit_logs WHERE at >= $1 ORDER BY entry_index LIMIT 1;

-- name: KeepAuditHashesBelow :exec
INSERT INTO audit_tree (entry_index, hashes) SELECT audit_logs.entry_index, audit_logs.hashes FROM audit_logs WHERE audit_logs.entry_index < $1;

-- name: DeleteAuditLogsBelow :execrows
DELETE FROM audit_logs WHERE entry_index < $1;

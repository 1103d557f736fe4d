-- name: InsertAuditLog :exec
INSERT INTO audit_logs (
    entry_index, at, actor_kind, actor_id, actor_name, token_id, token_name, action, resource, resource_id, target,
    request_id, address, user_agent, diff
) VALUES (
    (SELECT CAST(COALESCE(MAX(entry_index), 0) + 1 AS BIGINT) FROM audit_logs),
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
);

-- name: GetAuditLogs :many
SELECT * FROM audit_logs WHERE entry_index < @before ORDER BY entry_index DESC LIMIT @max_rows;

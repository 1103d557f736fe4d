-- name: GetPassword :one
SELECT sqlc.embed(user_passwords), users.name AS user_name
FROM user_passwords JOIN users ON users.id = user_passwords.user_id
WHERE user_passwords.user_id = $1;

-- name: GetPasswords :many
SELECT sqlc.embed(user_passwords), users.name AS user_name
FROM user_passwords JOIN users ON users.id = user_passwords.user_id
WHERE (CAST(@see_all AS BOOLEAN) OR user_passwords.user_id = @owner_id) AND user_passwords.user_id > @after_id
ORDER BY user_passwords.user_id LIMIT @max_rows;

-- name: InsertPassword :exec
INSERT INTO user_passwords (user_id, hash, must_change, created_at, updated_at) VALUES ($1, $2, $3, $4, $5);

-- name: UpdatePassword :exec
UPDATE user_passwords SET hash = @hash, must_change = @must_change, updated_at = @updated_at WHERE user_id = @user_id;

-- name: DeletePassword :exec
DELETE FROM user_passwords WHERE user_id = $1;

-- +goose Up
-- Nothing: the indexes of records change with SQLite alone, see docs/adr/0019.
SELECT 1;

-- +goose Down
SELECT 1;

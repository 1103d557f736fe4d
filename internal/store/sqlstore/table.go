package sqlstore

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// update is the Update of every table: read, edit, and write if the edit
// changed anything.
func update[T store.Record](
	ctx context.Context, t *tx, id string,
	get func(context.Context, string) (T, error), edit func(*T) error, write func(T) (T, error),
) (T, error) {
	var zero T
	if err := t.lock(ctx); err != nil {
		return zero, err
	}
	before, err := get(ctx, id)
	if err != nil {
		return zero, err
	}
	after := before
	if err := edit(&after); err != nil {
		return zero, err
	}
	if after == before {
		return before, nil
	}
	return write(after)
}

func mapRows[R, T any](rows []R, f func(R) T) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = f(r)
	}
	return out
}

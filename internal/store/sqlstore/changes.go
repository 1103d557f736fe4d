package sqlstore

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

const (
	// changesKept is how many generations of changes are kept. A replica that
	// is further behind compiles its snapshot whole.
	changesKept = 10_000
	// pruneEvery is how many generations pass between two prunings.
	pruneEvery = 1_000
	// changesRead is the most changes that are worth applying one by one.
	changesRead = 5_000
)

// changes implements [store.Changes].
type changes struct{ *tx }

func (t changes) Lock(ctx context.Context) error { return t.lock(ctx) }

func (t changes) Generation(ctx context.Context) (int64, error) {
	r, err := t.q.GetInstallation(ctx)
	return r.Generation, t.mapErr(err)
}

func (t changes) KeyEpoch(ctx context.Context) (int64, error) {
	if t.writes {
		if err := t.lock(ctx); err != nil {
			return 0, err
		}
	}
	r, err := t.q.GetInstallation(ctx)
	return r.KeyEpoch, t.mapErr(err)
}

func (t changes) Since(ctx context.Context, generation int64) ([]store.Change, bool, error) {
	oldest, err := t.q.GetOldestChange(ctx)
	if err != nil {
		return nil, false, t.mapErr(err)
	}
	rows, err := t.q.GetChangesSince(ctx, sqlcgen.GetChangesSinceParams{Generation: generation, MaxRows: changesRead + 1})
	if err != nil {
		return nil, false, t.mapErr(err)
	}
	if oldest > generation+1 || len(rows) > changesRead {
		return nil, false, nil
	}
	return mapRows(rows, func(r sqlcgen.Change) store.Change {
		return store.Change{Generation: r.Generation, Resource: rbac.Resource(r.Resource), ID: r.ResourceID}
	}), true, nil
}

package sqlstore

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// replicas implements [store.Replicas].
type replicas struct{ *tx }

func (t replicas) Beat(ctx context.Context, r store.Replica) error {
	return t.mapErr(t.q.UpsertReplica(ctx, sqlcgen.UpsertReplicaParams{
		ID: r.ID, Name: r.Name, Version: r.Version, KeyEpoch: r.KeyEpoch, KEKIDs: r.KEKs.String(), KeyError: r.KeyError,
		StartedAt: timestamp(r.StartedAt), SeenAt: t.now(),
	}))
}

func (t replicas) List(ctx context.Context) ([]store.Replica, error) {
	rows, err := t.q.GetReplicas(ctx)
	return mapRows(rows, func(r sqlcgen.Replica) store.Replica {
		return store.Replica{
			ID: r.ID, Name: r.Name, Version: r.Version, KeyEpoch: r.KeyEpoch, KEKs: store.ParseSet(r.KEKIDs),
			KeyError: r.KeyError, StartedAt: r.StartedAt.UTC(), SeenAt: r.SeenAt.UTC(),
		}
	}), t.mapErr(err)
}

func (t replicas) Forget(ctx context.Context, id string, before time.Time) error {
	if id != "" {
		if err := t.q.DeleteReplica(ctx, idOr(id)); err != nil {
			return t.mapErr(err)
		}
	}
	return t.mapErr(t.q.DeleteReplicasBefore(ctx, timestamp(before)))
}

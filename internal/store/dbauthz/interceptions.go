package dbauthz

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// interceptions belong to the owner of the token that a request was made with.
type interceptions struct {
	next  store.Interceptions
	guard guard
}

func (i interceptions) Record(ctx context.Context, batch []store.Interception) error {
	if err := i.guard.everywhere(rbac.Interception, rbac.Create); err != nil {
		return err
	}
	return i.next.Record(ctx, batch)
}

func (i interceptions) Get(ctx context.Context, id string) (store.Interception, error) {
	reach, err := i.guard.reach(rbac.Interception, rbac.Read)
	if err != nil {
		return store.Interception{}, err
	}
	rec, err := i.next.Get(ctx, id)
	if err != nil {
		return store.Interception{}, err
	}
	if !i.guard.owns(reach, store.Ref{Owner: rec.OwnerID}) {
		return store.Interception{}, store.ErrNotFound
	}
	return rec, nil
}

func (i interceptions) List(ctx context.Context, q store.InterceptionQuery) (_ []store.Interception, err error) {
	if q.Scope, err = i.Scope(ctx); err != nil {
		return nil, err
	}
	return i.next.List(ctx, q)
}

func (i interceptions) Usage(ctx context.Context, by store.UsageGroup, q store.InterceptionQuery) (_ []store.Usage, err error) {
	if q.Scope, err = i.Scope(ctx); err != nil {
		return nil, err
	}
	return i.next.Usage(ctx, by, q)
}

// Scope is what the actor may read, and needs nothing from underneath.
func (i interceptions) Scope(context.Context) (store.Scope, error) {
	reach, err := i.guard.reach(rbac.Interception, rbac.Read)
	if err != nil {
		return store.Scope{}, err
	}
	return i.guard.scope(reach), nil
}

func (i interceptions) Prune(ctx context.Context, before time.Time, limit int) (int64, error) {
	if err := i.guard.everywhere(rbac.Interception, rbac.Delete); err != nil {
		return 0, err
	}
	return i.next.Prune(ctx, before, limit)
}

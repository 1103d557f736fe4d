package sqlstore

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// routes keeps [store.Route], in the order of their names. In place of an id it
// takes a name.
type routes struct{ *tx }

func (t routes) Get(ctx context.Context, id string) (store.Route, error) {
	if isID(id) {
		r, err := t.q.GetAIRouteByID(ctx, id)
		return route(r), t.mapErr(err)
	}
	if !isText(id) {
		return store.Route{}, store.ErrNotFound
	}
	r, err := t.q.GetAIRouteByName(ctx, id)
	return route(r), t.mapErr(err)
}

func (t routes) List(ctx context.Context, q store.Query) ([]store.Route, error) {
	if !q.Scope.All || !isText(q.After) {
		return nil, nil // routes have no owner
	}
	rows, err := t.q.GetAIRoutes(ctx, sqlcgen.GetAIRoutesParams{AfterName: q.After, MaxRows: rowLimit(q.Limit)})
	return mapRows(rows, route), t.mapErr(err)
}

func (t routes) Insert(ctx context.Context, r store.Route) (store.Route, error) {
	if err := t.lock(ctx); err != nil {
		return store.Route{}, err
	}
	now := t.now()
	row, err := t.q.InsertAIRoute(ctx, sqlcgen.InsertAIRouteParams{
		ID: r.ID, Name: r.Name, Description: nullString(r.Description), Enabled: r.Enabled, Strategy: string(r.Strategy),
		Targets: r.Targets.String(), CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return store.Route{}, t.mapErr(err)
	}
	return route(row), t.changed(ctx, rbac.AIRoute, row.ID)
}

// Update changes where a route leads. Its name stays: clients ask for it by that.
func (t routes) Update(ctx context.Context, id string, edit func(*store.Route) error) (store.Route, error) {
	return update(ctx, t.tx, id, t.Get, edit, func(r store.Route) (store.Route, error) {
		row, err := t.q.UpdateAIRoute(ctx, sqlcgen.UpdateAIRouteParams{
			ID: r.ID, Description: nullString(r.Description), Enabled: r.Enabled, Strategy: string(r.Strategy),
			Targets: r.Targets.String(), UpdatedAt: t.now(),
		})
		if err != nil {
			return store.Route{}, t.mapErr(err)
		}
		return route(row), t.changed(ctx, rbac.AIRoute, row.ID)
	})
}

func (t routes) Delete(ctx context.Context, id string) (store.Route, error) {
	if !isID(id) {
		return store.Route{}, store.ErrNotFound
	}
	if err := t.lock(ctx); err != nil {
		return store.Route{}, err
	}
	row, err := t.q.DeleteAIRoute(ctx, id)
	if err != nil {
		return store.Route{}, t.mapErr(err)
	}
	return route(row), t.changed(ctx, rbac.AIRoute, row.ID)
}

func route(r sqlcgen.AIRoute) store.Route {
	return store.Route{
		ID: r.ID, Name: r.Name, Description: r.Description.String, Enabled: r.Enabled, Strategy: store.RouteStrategy(r.Strategy),
		Targets: store.ParseTargets(r.Targets), Revision: r.Revision, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

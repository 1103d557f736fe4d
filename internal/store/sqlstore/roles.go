package sqlstore

import (
	"context"
	"fmt"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// roles keeps [store.Role]. In place of an id it takes a name.
type roles struct{ *tx }

func (t roles) Get(ctx context.Context, id string) (store.Role, error) {
	if isID(id) {
		r, err := t.q.GetRoleByID(ctx, id)
		return role(r), t.mapErr(err)
	}
	if !isText(id) {
		return store.Role{}, store.ErrNotFound
	}
	r, err := t.q.GetRoleByName(ctx, id)
	return role(r), t.mapErr(err)
}

func (t roles) List(ctx context.Context, q store.Query) ([]store.Role, error) {
	if !q.Scope.All {
		return nil, nil // roles have no owner
	}
	rows, err := t.q.GetRoles(ctx, sqlcgen.GetRolesParams{AfterID: idOr(q.After), MaxRows: rowLimit(q.Limit)})
	return mapRows(rows, role), t.mapErr(err)
}

func (t roles) Insert(ctx context.Context, r store.Role) (store.Role, error) {
	if err := t.lock(ctx); err != nil {
		return store.Role{}, err
	}
	now := t.now()
	row, err := t.q.InsertRole(ctx, sqlcgen.InsertRoleParams{
		ID: r.ID, Name: r.Name, Description: r.Description, Permissions: r.Permissions.String(), CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return store.Role{}, t.mapErr(err)
	}
	return role(row), t.changed(ctx, rbac.CustomRole, row.ID)
}

// Update changes what a role grants. Its name stays: users have it by that.
func (t roles) Update(ctx context.Context, id string, edit func(*store.Role) error) (store.Role, error) {
	return update(ctx, t.tx, id, t.Get, edit, func(r store.Role) (store.Role, error) {
		row, err := t.q.UpdateRole(ctx, sqlcgen.UpdateRoleParams{
			ID: r.ID, Description: r.Description, Permissions: r.Permissions.String(), UpdatedAt: t.now(),
		})
		if err != nil {
			return store.Role{}, t.mapErr(err)
		}
		return role(row), t.changed(ctx, rbac.CustomRole, row.ID)
	})
}

// Delete removes a role that no user has: whoever still had it by its name would
// have the next one of that name, too. Else it is a [store.ConflictError].
func (t roles) Delete(ctx context.Context, id string) (store.Role, error) {
	if !isID(id) {
		return store.Role{}, store.ErrNotFound
	}
	if err := t.lock(ctx); err != nil {
		return store.Role{}, err
	}
	r, err := t.q.GetRoleByID(ctx, id)
	if err != nil {
		return store.Role{}, t.mapErr(err)
	}
	n, err := t.q.CountUsersOfRole(ctx, sqlcgen.CountUsersOfRoleParams{Edge: "\n", Held: "\n" + r.Name + "\n"})
	if err != nil {
		return store.Role{}, t.mapErr(err)
	}
	if n > 0 {
		return store.Role{}, &store.ConflictError{Field: "role", Reason: fmt.Sprintf("this role is given to users, %d in number: take it from them first", n)}
	}
	row, err := t.q.DeleteRole(ctx, id)
	if err != nil {
		return store.Role{}, t.mapErr(err)
	}
	return role(row), t.changed(ctx, rbac.CustomRole, row.ID)
}

func role(r sqlcgen.Role) store.Role {
	return store.Role{
		ID: r.ID, Name: r.Name, Description: r.Description, Permissions: store.ParseSet(r.Permissions),
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

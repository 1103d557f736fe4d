package sqlstore

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// users keeps [store.User]. In place of an id it takes a name.
type users struct{ *tx }

func (t users) Get(ctx context.Context, id string) (store.User, error) {
	if isID(id) {
		r, err := t.q.GetUserByID(ctx, id)
		return user(r), t.mapErr(err)
	}
	if !isText(id) {
		return store.User{}, store.ErrNotFound
	}
	r, err := t.q.GetUserByName(ctx, id)
	return user(r), t.mapErr(err)
}

func (t users) List(ctx context.Context, q store.Query) ([]store.User, error) {
	rows, err := t.q.GetUsers(ctx, sqlcgen.GetUsersParams{
		SeeAll: q.Scope.All, OwnerID: idOr(q.Scope.Owner), AfterID: idOr(q.After), MaxRows: rowLimit(q.Limit),
	})
	return mapRows(rows, user), t.mapErr(err)
}

func (t users) Insert(ctx context.Context, u store.User) (store.User, error) {
	if err := t.lock(ctx); err != nil {
		return store.User{}, err
	}
	now := t.now()
	r, err := t.q.InsertUser(ctx, sqlcgen.InsertUserParams{
		ID: u.ID, Name: u.Name, Roles: u.Roles.String(), Disabled: u.Disabled, Issuer: u.Issuer, Subject: u.Subject, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return store.User{}, t.mapErr(err)
	}
	return user(r), t.changed(ctx, rbac.User, r.ID)
}

// Update changes a user. One who is disabled, has other roles, or is somebody else at
// an identity provider, has to sign in again: it ends all their sessions.
func (t users) Update(ctx context.Context, id string, edit func(*store.User) error) (store.User, error) {
	var before store.User
	noting := func(u *store.User) error {
		before = *u
		return edit(u)
	}
	return update(ctx, t.tx, id, t.Get, noting, func(u store.User) (store.User, error) {
		if u.Roles != before.Roles || u.Disabled != before.Disabled || u.Issuer != before.Issuer || u.Subject != before.Subject {
			if err := t.endSessions(ctx, u.ID); err != nil {
				return store.User{}, err
			}
		}
		r, err := t.q.UpdateUser(ctx, sqlcgen.UpdateUserParams{
			ID: u.ID, Name: u.Name, Roles: u.Roles.String(), Disabled: u.Disabled, Issuer: u.Issuer, Subject: u.Subject, UpdatedAt: t.now(),
		})
		if err != nil {
			return store.User{}, t.mapErr(err)
		}
		return user(r), t.changed(ctx, rbac.User, r.ID)
	})
}

// Delete removes a user. Their tokens must be gone already, each with its own
// entry in the audit log: else it is a [store.ConflictError], and other writers
// wait.
func (t users) Delete(ctx context.Context, id string) (store.User, error) {
	if !isID(id) {
		return store.User{}, store.ErrNotFound
	}
	if err := t.lock(ctx); err != nil {
		return store.User{}, err
	}
	n, err := t.q.CountAPIKeysOfOwner(ctx, id)
	if err != nil {
		return store.User{}, t.mapErr(err)
	}
	if n > 0 {
		return store.User{}, &store.ConflictError{Field: "user", Reason: "this user still has tokens: revoke them first"}
	}
	r, err := t.q.DeleteUser(ctx, id)
	if err != nil {
		return store.User{}, t.mapErr(err)
	}
	return user(r), t.changed(ctx, rbac.User, r.ID)
}

func user(r sqlcgen.User) store.User {
	return store.User{
		ID: r.ID, Name: r.Name, Roles: store.ParseSet(r.Roles), Disabled: r.Disabled, Issuer: r.Issuer, Subject: r.Subject,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

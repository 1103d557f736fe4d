package sqlstore

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// passwords keeps [store.Password]. The gateway knows nothing of them, so that
// no change of one raises the generation. Each ends the sessions of the user.
type passwords struct{ *tx }

func (t passwords) Get(ctx context.Context, userID string) (store.Password, error) {
	if !isID(userID) {
		return store.Password{}, store.ErrNotFound
	}
	r, err := t.q.GetPassword(ctx, userID)
	return password(r.UserPassword, r.UserName), t.mapErr(err)
}

func (t passwords) List(ctx context.Context, q store.Query) ([]store.Password, error) {
	rows, err := t.q.GetPasswords(ctx, sqlcgen.GetPasswordsParams{
		SeeAll: q.Scope.All, OwnerID: idOr(q.Scope.Owner), AfterID: idOr(q.After), MaxRows: rowLimit(q.Limit),
	})
	return mapRows(rows, func(r sqlcgen.GetPasswordsRow) store.Password { return password(r.UserPassword, r.UserName) }), t.mapErr(err)
}

func (t passwords) Insert(ctx context.Context, p store.Password) (store.Password, error) {
	if err := t.lock(ctx); err != nil {
		return store.Password{}, err
	}
	now := t.now()
	if err := t.q.InsertPassword(ctx, sqlcgen.InsertPasswordParams{
		UserID: p.UserID, Hash: p.Hash.Reveal(), MustChange: p.MustChange, CreatedAt: now, UpdatedAt: now,
	}); err != nil {
		return store.Password{}, t.mapErr(err)
	}
	if err := t.endSessions(ctx, p.UserID); err != nil {
		return store.Password{}, err
	}
	return t.Get(ctx, p.UserID)
}

func (t passwords) Update(ctx context.Context, userID string, edit func(*store.Password) error) (store.Password, error) {
	return update(ctx, t.tx, userID, t.Get, edit, func(p store.Password) (store.Password, error) {
		if err := t.q.UpdatePassword(ctx, sqlcgen.UpdatePasswordParams{
			UserID: p.UserID, Hash: p.Hash.Reveal(), MustChange: p.MustChange, UpdatedAt: t.now(),
		}); err != nil {
			return store.Password{}, t.mapErr(err)
		}
		if err := t.endSessions(ctx, p.UserID); err != nil {
			return store.Password{}, err
		}
		return t.Get(ctx, p.UserID)
	})
}

func (t passwords) Delete(ctx context.Context, userID string) (store.Password, error) {
	if err := t.lock(ctx); err != nil {
		return store.Password{}, err
	}
	p, err := t.Get(ctx, userID)
	if err != nil {
		return store.Password{}, err
	}
	if err := t.q.DeletePassword(ctx, p.UserID); err != nil {
		return store.Password{}, t.mapErr(err)
	}
	return p, t.endSessions(ctx, p.UserID)
}

func password(r sqlcgen.UserPassword, userName string) store.Password {
	return store.Password{
		UserID: r.UserID, UserName: userName, Hash: secret.New(r.Hash), MustChange: r.MustChange,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

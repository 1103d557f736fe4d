package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// apiKeys keeps [store.APIKey].
type apiKeys struct{ *tx }

func (t apiKeys) Get(ctx context.Context, id string) (store.APIKey, error) {
	if !isID(id) {
		return store.APIKey{}, store.ErrNotFound
	}
	r, err := t.q.GetAPIKeyByID(ctx, id)
	return apiKey(r.APIKey, r.OwnerName), t.mapErr(err)
}

func (t apiKeys) List(ctx context.Context, q store.Query) ([]store.APIKey, error) {
	owner := q.Scope.Owner
	if q.Scope.All {
		owner = q.OwnerID
	}
	rows, err := t.q.GetAPIKeys(ctx, sqlcgen.GetAPIKeysParams{
		EveryOwner: q.Scope.All && owner == "", OwnerID: idOr(owner), AfterID: idOr(q.After), MaxRows: rowLimit(q.Limit),
	})
	return mapRows(rows, func(r sqlcgen.GetAPIKeysRow) store.APIKey { return apiKey(r.APIKey, r.OwnerName) }), t.mapErr(err)
}

func (t apiKeys) Insert(ctx context.Context, k store.APIKey) (store.APIKey, error) {
	if err := t.lock(ctx); err != nil {
		return store.APIKey{}, err
	}
	if err := t.q.InsertAPIKey(ctx, sqlcgen.InsertAPIKeyParams{
		ID: k.ID, Name: k.Name, OwnerID: k.OwnerID, TokenHash: k.TokenHash[:], Scopes: k.Scopes.String(), Ceiling: k.Ceiling.String(),
		Providers: k.Providers.String(), Models: k.Models.String(), ExpiresAt: nullTime(k.ExpiresAt), CreatedAt: t.now(),
		RPM: k.RPM, Concurrency: k.Concurrency,
	}); err != nil {
		return store.APIKey{}, t.mapErr(err)
	}
	if err := t.changed(ctx, rbac.APIKey, k.ID); err != nil {
		return store.APIKey{}, err
	}
	return t.Get(ctx, k.ID)
}

func (t apiKeys) Update(ctx context.Context, id string, edit func(*store.APIKey) error) (store.APIKey, error) {
	return update(ctx, t.tx, id, t.Get, edit, func(k store.APIKey) (store.APIKey, error) {
		if err := t.q.UpdateAPIKey(ctx, sqlcgen.UpdateAPIKeyParams{
			ID: k.ID, Name: k.Name, Scopes: k.Scopes.String(), Providers: k.Providers.String(),
			Models: k.Models.String(), ExpiresAt: nullTime(k.ExpiresAt), RPM: k.RPM, Concurrency: k.Concurrency,
		}); err != nil {
			return store.APIKey{}, t.mapErr(err)
		}
		if err := t.changed(ctx, rbac.APIKey, k.ID); err != nil {
			return store.APIKey{}, err
		}
		return t.Get(ctx, k.ID)
	})
}

func (t apiKeys) Delete(ctx context.Context, id string) (store.APIKey, error) {
	if err := t.lock(ctx); err != nil {
		return store.APIKey{}, err
	}
	k, err := t.Get(ctx, id)
	if err != nil {
		return store.APIKey{}, err
	}
	if err := t.q.DeleteAPIKey(ctx, k.ID); err != nil {
		return store.APIKey{}, t.mapErr(err)
	}
	return k, t.changed(ctx, rbac.APIKey, k.ID)
}

func apiKey(r sqlcgen.APIKey, ownerName string) store.APIKey {
	k := store.APIKey{
		ID: r.ID, Name: r.Name, OwnerID: r.OwnerID, OwnerName: ownerName, Scopes: store.ParseSet(r.Scopes),
		Ceiling: store.ParseSet(r.Ceiling), Providers: store.ParseSet(r.Providers), Models: store.ParseSet(r.Models), RPM: r.RPM, Concurrency: r.Concurrency,
		ExpiresAt: timeOf(r.ExpiresAt), LastUsedAt: timeOf(r.LastUsedAt), CreatedAt: r.CreatedAt.UTC(),
	}
	copy(k.TokenHash[:], r.TokenHash)
	return k
}

// credentials implements [store.Credentials].
type credentials struct{ *tx }

func (t credentials) ByTokenHash(ctx context.Context, hash [32]byte) (store.APIKey, store.User, []store.Role, error) {
	r, err := t.q.GetAPIKeyByTokenHash(ctx, hash[:])
	if err != nil {
		return store.APIKey{}, store.User{}, nil, t.mapErr(err)
	}
	owner := user(r.User)
	var custom []store.Role
	for name := range owner.Roles.All() {
		if rbac.Role(name).ForPeople() {
			continue
		}
		rec, err := t.q.GetRoleByName(ctx, name)
		if errors.Is(err, sql.ErrNoRows) {
			continue // it grants nothing
		}
		if err != nil {
			return store.APIKey{}, store.User{}, nil, t.mapErr(err)
		}
		custom = append(custom, role(rec))
	}
	return apiKey(r.APIKey, owner.Name), owner, custom, nil
}

// lastUse implements [store.LastUse].
type lastUse struct{ *tx }

func (t lastUse) Touch(ctx context.Context, uses []store.Use) error {
	for _, u := range uses {
		var err error
		switch u.Resource {
		case rbac.AIProviderKey:
			err = t.q.TouchAIProviderKey(ctx, sqlcgen.TouchAIProviderKeyParams{ID: u.ID, LastUsedAt: nullTime(u.At)})
		case rbac.APIKey:
			err = t.q.TouchAPIKey(ctx, sqlcgen.TouchAPIKeyParams{ID: u.ID, LastUsedAt: nullTime(u.At)})
		default:
			return &store.InvalidError{Field: "resource", Reason: "has no last use"}
		}
		if err != nil {
			return t.mapErr(err)
		}
	}
	return nil
}

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
	custom, err := t.customRoles(ctx, owner)
	return apiKey(r.APIKey, owner.Name), owner, custom, err
}

func (t credentials) ByUser(ctx context.Context, ref string) (store.Person, error) {
	u, err := users(t).Get(ctx, ref)
	if err != nil {
		return store.Person{}, err
	}
	return t.person(ctx, u)
}

func (t credentials) BySubject(ctx context.Context, issuer, subject string) (store.Person, error) {
	if !isText(issuer) || !isText(subject) {
		return store.Person{}, store.ErrNotFound
	}
	r, err := t.q.GetUserBySubject(ctx, sqlcgen.GetUserBySubjectParams{Issuer: issuer, Subject: subject})
	if err != nil {
		return store.Person{}, t.mapErr(err)
	}
	return t.person(ctx, user(r))
}

func (t credentials) BySessionHash(ctx context.Context, hash [32]byte) (store.Session, store.Person, error) {
	r, err := t.q.GetSessionBySecretHash(ctx, hash[:])
	if err != nil {
		return store.Session{}, store.Person{}, t.mapErr(err)
	}
	p, err := t.person(ctx, user(r.User))
	return session(r.Session, p.User.Name), p, err
}

func (t credentials) person(ctx context.Context, u store.User) (store.Person, error) {
	pw, err := passwords(t).Get(ctx, u.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Person{}, err
	}
	custom, err := t.customRoles(ctx, u)
	return store.Person{User: u, Custom: custom, Password: pw}, err
}

// customRoles returns the roles of u that are not built in. One that is gone
// grants nothing.
func (t credentials) customRoles(ctx context.Context, u store.User) (custom []store.Role, err error) {
	for name := range u.Roles.All() {
		if rbac.Role(name).ForPeople() {
			continue
		}
		rec, err := t.q.GetRoleByName(ctx, name)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, t.mapErr(err)
		}
		custom = append(custom, role(rec))
	}
	return custom, nil
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

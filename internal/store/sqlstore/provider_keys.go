package sqlstore

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// providerKeys keeps [store.ProviderKey]. A change of a key raises the
// revision of its provider.
type providerKeys struct{ *tx }

func (t providerKeys) Get(ctx context.Context, id string) (store.ProviderKey, error) {
	if !isID(id) {
		return store.ProviderKey{}, store.ErrNotFound
	}
	r, err := t.q.GetAIProviderKeyByID(ctx, id)
	return joinedKey(r), t.mapErr(err)
}

func (t providerKeys) List(ctx context.Context, q store.Query) ([]store.ProviderKey, error) {
	if !q.Scope.All {
		return nil, nil // keys have no owner
	}
	var keys []store.ProviderKey
	switch {
	case q.OfProviders != nil:
		rows, err := t.q.GetAIProviderKeysOfProviders(ctx, sqlcgen.GetAIProviderKeysOfProvidersParams(selectProviders(*q.OfProviders)))
		if err != nil {
			return nil, t.mapErr(err)
		}
		keys = mapRows(rows, func(r sqlcgen.GetAIProviderKeysOfProvidersRow) store.ProviderKey {
			return joinedKey(sqlcgen.GetAIProviderKeyByIDRow(r))
		})
	case q.ProviderID != "":
		rows, err := t.q.GetAIProviderKeysByProviderID(ctx, q.ProviderID)
		if err != nil {
			return nil, t.mapErr(err)
		}
		keys = mapRows(rows, func(r sqlcgen.GetAIProviderKeysByProviderIDRow) store.ProviderKey {
			return joinedKey(sqlcgen.GetAIProviderKeyByIDRow(r))
		})
	default:
		rows, err := t.q.GetAIProviderKeys(ctx)
		if err != nil {
			return nil, t.mapErr(err)
		}
		keys = mapRows(rows, func(r sqlcgen.GetAIProviderKeysRow) store.ProviderKey {
			return joinedKey(sqlcgen.GetAIProviderKeyByIDRow(r))
		})
	}
	if position, id, ok := strings.Cut(q.After, " "); ok {
		keys = behind(keys, position, id)
	}
	return keys[:min(len(keys), int(rowLimit(q.Limit)))], nil
}

// behind returns the keys that come after the one that stood at a position,
// whether it is still there or not.
func behind(keys []store.ProviderKey, position, id string) []store.ProviderKey {
	if i := slices.IndexFunc(keys, func(k store.ProviderKey) bool { return k.ID == id }); i >= 0 {
		return keys[i+1:]
	}
	p, err := strconv.ParseInt(position, 10, 64)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(keys, func(k store.ProviderKey) bool {
		return k.Position < p || k.Position == p && k.ID < id // ids are in the order of their making
	})
}

func (t providerKeys) Insert(ctx context.Context, k store.ProviderKey) (store.ProviderKey, error) {
	sealed, keyID, err := storable(k.APIKey, k.KeyID)
	if err != nil {
		return store.ProviderKey{}, err
	}
	if err := t.lock(ctx); err != nil {
		return store.ProviderKey{}, err
	}
	now := t.now()
	r, err := t.q.InsertAIProviderKey(ctx, sqlcgen.InsertAIProviderKeyParams{
		ID: k.ID, ProviderID: k.ProviderID, APIKey: sealed, APIKeyKeyID: keyID.String, Position: k.Position,
		Label: k.Label, Hint: k.Hint, Fingerprint: k.Fingerprint, Disabled: k.Disabled,
		ExpiresAt: nullTime(k.ExpiresAt), SecretRevision: k.SecretRevision, CreatedAt: now, UpdatedAt: now, Weight: k.Weight,
	})
	if err != nil {
		return store.ProviderKey{}, t.mapErr(err)
	}
	return providerKey(r), t.touchProvider(ctx, r.ProviderID)
}

func (t providerKeys) Update(ctx context.Context, id string, edit func(*store.ProviderKey) error) (store.ProviderKey, error) {
	return update(ctx, t.tx, id, t.Get, edit, func(k store.ProviderKey) (store.ProviderKey, error) {
		sealed, keyID, err := storable(k.APIKey, k.KeyID)
		if err != nil {
			return store.ProviderKey{}, err
		}
		r, err := t.q.UpdateAIProviderKey(ctx, sqlcgen.UpdateAIProviderKeyParams{
			ID: k.ID, APIKey: sealed, APIKeyKeyID: keyID.String, Position: k.Position, Weight: k.Weight, Label: k.Label, Hint: k.Hint,
			Fingerprint: k.Fingerprint, Disabled: k.Disabled, ExpiresAt: nullTime(k.ExpiresAt),
			SecretRevision: k.SecretRevision, UpdatedAt: t.now(),
		})
		if err != nil {
			return store.ProviderKey{}, t.mapErr(err)
		}
		return providerKey(r), t.touchProvider(ctx, r.ProviderID)
	})
}

func (t providerKeys) Delete(ctx context.Context, id string) (store.ProviderKey, error) {
	if !isID(id) {
		return store.ProviderKey{}, store.ErrNotFound
	}
	if err := t.lock(ctx); err != nil {
		return store.ProviderKey{}, err
	}
	r, err := t.q.DeleteAIProviderKey(ctx, id)
	if err != nil {
		return store.ProviderKey{}, t.mapErr(err)
	}
	return providerKey(r), t.touchProvider(ctx, r.ProviderID)
}

func (t providerKeys) touchProvider(ctx context.Context, id string) error {
	if err := t.q.TouchAIProvider(ctx, sqlcgen.TouchAIProviderParams{ID: id, UpdatedAt: t.now()}); err != nil {
		return t.mapErr(err)
	}
	return t.changed(ctx, rbac.AIProvider, id)
}

// joinedKey is a key with what is read of its provider.
func joinedKey(r sqlcgen.GetAIProviderKeyByIDRow) store.ProviderKey {
	k := providerKey(r.AIProviderKey)
	k.BaseURL = r.BaseURL
	return k
}

func providerKey(r sqlcgen.AIProviderKey) store.ProviderKey {
	return store.ProviderKey{
		ID: r.ID, ProviderID: r.ProviderID, APIKey: secret.FromSealed(r.APIKey), KeyID: r.APIKeyKeyID,
		Position: r.Position, Weight: r.Weight, Label: r.Label, Hint: r.Hint, Fingerprint: r.Fingerprint, Disabled: r.Disabled,
		ExpiresAt: timeOf(r.ExpiresAt), LastUsedAt: timeOf(r.LastUsedAt), SecretRevision: r.SecretRevision,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

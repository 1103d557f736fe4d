package catalog

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Testable returns a provider and its keys for them to be tried. That takes the
// permission to change the provider: trying sends the keys out, and what it shows
// changes which are used.
func Testable(ctx context.Context, tx store.Tx, ref string) (store.Provider, []store.ProviderKey, error) {
	p, err := Get(ctx, tx, ref)
	if err != nil {
		return store.Provider{}, nil, err
	}
	// An edit that changes nothing writes nothing.
	if _, err := tx.Providers.Update(ctx, p.ID, func(*store.Provider) error { return nil }); err != nil {
		return store.Provider{}, nil, err
	}
	keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
	return p, keys, err
}

// ReplaceKey adds a key in the place of another, with its position, weight and
// label, and switches that one off. The new one does not expire.
func ReplaceKey(ctx context.Context, tx store.Tx, ref, keyID string, revision int64, apiKey secret.Text) (store.ProviderKey, error) {
	p, err := lock(ctx, tx, ref, revision)
	if err != nil {
		return store.ProviderKey{}, err
	}
	old, err := keyOf(ctx, tx, p.ID, keyID)
	if err != nil {
		return store.ProviderKey{}, err
	}
	added, err := AddKey(ctx, tx, p.ID, AnyRevision, NewKey{
		APIKey: apiKey, Label: old.Label, Position: &old.Position, Weight: &old.Weight, Disabled: old.Disabled,
	})
	if err != nil || old.Disabled {
		return added, err
	}
	_, err = tx.ProviderKeys.Update(ctx, old.ID, func(k *store.ProviderKey) error {
		k.Disabled = true
		return nil
	})
	return added, err
}

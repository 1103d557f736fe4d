package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A NewKey describes a key to add.
type NewKey struct {
	APIKey    secret.Text
	Label     string
	Position  *int64 // nil is behind all others
	Weight    *int64 // nil is 1
	Disabled  bool
	ExpiresAt time.Time // zero is never
}

// AddKey adds a key to the provider, by id or name.
func AddKey(ctx context.Context, tx store.Tx, ref string, revision int64, n NewKey) (store.ProviderKey, error) {
	p, err := lock(ctx, tx, ref, revision)
	if err != nil {
		return store.ProviderKey{}, err
	}
	var bad invalid
	bad.join(checkAPIKey("api_key", n.APIKey))
	doc := SettingsOf(p)
	bad.join(checkSources(doc, "api_key", 1))
	bad.join(checkForm(doc, "api_key", n.APIKey))
	bad.check("label", checkText(n.Label))
	rec := store.ProviderKey{ProviderID: p.ID, APIKey: n.APIKey, Weight: 1, Label: n.Label, Disabled: n.Disabled, ExpiresAt: n.ExpiresAt}
	if n.Weight != nil {
		bad.check("weight", checkWeight(*n.Weight))
		rec.Weight = *n.Weight
	}
	if n.Position != nil {
		bad.check("position", checkPosition(*n.Position))
		rec.Position = *n.Position
	} else {
		keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
		if err != nil {
			return store.ProviderKey{}, err
		}
		rec.Position = 1
		if len(keys) > 0 {
			rec.Position = keys[len(keys)-1].Position + 1
		}
	}
	if err := bad.err(); err != nil {
		return store.ProviderKey{}, err
	}
	if rec.ID, err = newID(); err != nil {
		return store.ProviderKey{}, err
	}
	return tx.ProviderKeys.Insert(ctx, rec)
}

func insertKey(ctx context.Context, tx store.Tx, rec store.ProviderKey) (err error) {
	if rec.ID, err = newID(); err != nil {
		return err
	}
	_, err = tx.ProviderKeys.Insert(ctx, rec)
	return err
}

// A KeyEdit describes a change of a key. A nil field keeps what is there.
type KeyEdit struct {
	Label     *string
	Position  *int64
	Weight    *int64
	Disabled  *bool
	ExpiresAt *time.Time // zero clears
}

// UpdateKey changes a key of a provider.
func UpdateKey(ctx context.Context, tx store.Tx, ref, keyID string, revision int64, e KeyEdit) (store.ProviderKey, error) {
	p, err := lock(ctx, tx, ref, revision)
	if err != nil {
		return store.ProviderKey{}, err
	}
	var bad invalid
	if e.Label != nil {
		bad.check("label", checkText(*e.Label))
	}
	if e.Position != nil {
		bad.check("position", checkPosition(*e.Position))
	}
	if e.Weight != nil {
		bad.check("weight", checkWeight(*e.Weight))
	}
	if err := bad.err(); err != nil {
		return store.ProviderKey{}, err
	}
	return tx.ProviderKeys.Update(ctx, keyID, func(k *store.ProviderKey) error {
		if k.ProviderID != p.ID {
			return store.ErrNotFound
		}
		if e.Label != nil {
			k.Label = *e.Label
		}
		if e.Position != nil {
			k.Position = *e.Position
		}
		if e.Weight != nil {
			k.Weight = *e.Weight
		}
		if e.Disabled != nil {
			k.Disabled = *e.Disabled
		}
		if e.ExpiresAt != nil {
			k.ExpiresAt = *e.ExpiresAt
		}
		return nil
	})
}

// DeleteKey removes a key of a provider.
func DeleteKey(ctx context.Context, tx store.Tx, ref, keyID string, revision int64) error {
	p, err := lock(ctx, tx, ref, revision)
	if err != nil {
		return err
	}
	if _, err := keyOf(ctx, tx, p.ID, keyID); err != nil {
		return err
	}
	_, err = tx.ProviderKeys.Delete(ctx, keyID)
	return err
}

// GetKey returns a key of a live provider.
func GetKey(ctx context.Context, tx store.Tx, ref, keyID string) (store.ProviderKey, error) {
	p, err := Get(ctx, tx, ref)
	if err != nil {
		return store.ProviderKey{}, err
	}
	return keyOf(ctx, tx, p.ID, keyID)
}

func keyOf(ctx context.Context, tx store.Tx, providerID, keyID string) (store.ProviderKey, error) {
	k, err := tx.ProviderKeys.Get(ctx, keyID)
	if err == nil && k.ProviderID != providerID {
		return store.ProviderKey{}, store.ErrNotFound
	}
	return k, err
}

// within says in which element of a list a conflict is.
func within(list string, i int, err error) error {
	var c *store.ConflictError
	if errors.As(err, &c) {
		return &store.ConflictError{Field: element(list, i)}
	}
	return err
}

func element(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

package custody

import (
	"context"
	"errors"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Wipe removes every secret that does not open: a provider key as a whole, of a
// provider its settings. It returns what it removed. Each is in the audit log.
func Wipe(ctx context.Context, db *store.DB, who store.Actor) ([]store.Ref, error) {
	var lost []store.Ref
	err := db.View(ctx, who, func(tx store.Tx) error {
		lost = nil
		return eachCell(ctx, tx, func(rec store.Sealed) error {
			err := tx.Secrets.Check(ctx, rec)
			if errors.Is(err, store.ErrUnreadable) {
				lost = append(lost, rec.Ref())
				return nil
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var wiped []store.Ref
	for _, ref := range lost {
		gone := false
		err := db.Update(ctx, who, func(tx store.Tx) (err error) {
			gone, err = wipe(ctx, tx, ref)
			return err
		})
		if err != nil {
			return wiped, err
		}
		if gone {
			wiped = append(wiped, ref)
		}
	}
	return wiped, nil
}

// wipe removes the secret of one record, unless it opens by now.
func wipe(ctx context.Context, tx store.Tx, ref store.Ref) (bool, error) {
	if err := tx.Changes.Lock(ctx); err != nil {
		return false, err
	}
	k, err := tx.ProviderKeys.Get(ctx, ref.ID)
	switch {
	case errors.Is(err, store.ErrNotFound): // it is a provider, or gone
		return wipeSettings(ctx, tx, ref)
	case err != nil:
		return false, err
	}
	if err := tx.Secrets.Check(ctx, &k); !errors.Is(err, store.ErrUnreadable) {
		return false, err
	}
	_, err = tx.ProviderKeys.Delete(ctx, k.ID)
	return err == nil, err
}

func wipeSettings(ctx context.Context, tx store.Tx, ref store.Ref) (bool, error) {
	p, err := tx.Providers.Get(ctx, ref.ID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := tx.Secrets.Check(ctx, &p); !errors.Is(err, store.ErrUnreadable) {
		return false, err
	}
	_, err = tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error {
		p.Settings, p.SettingsPublic = secret.Text{}, ""
		return nil
	})
	return err == nil, err
}

package dbcrypt

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// cells implements [store.Cells]: on the way down, secrets are sealed again
// under the primary data key. They keep their revision, their hint and their
// fingerprint: what they hold is the same.
type cells struct {
	crypt crypt
	tx    store.Tx // the tables under this layer
}

func (c cells) Count(ctx context.Context) ([]store.CellCount, error) { return c.tx.Cells.Count(ctx) }

func (c cells) List(ctx context.Context, q store.CellQuery) ([]store.Sealed, error) {
	return c.tx.Cells.List(ctx, q)
}

func (c cells) Reseal(ctx context.Context, recs []store.Resealing) (store.Resealed, error) {
	if err := c.crypt.newest(ctx); err != nil {
		return store.Resealed{}, err
	}
	var unreadable []store.Ref
	for i := range recs {
		var err error
		recs[i].New, err = c.reseal(ctx, recs[i].Old)
		switch {
		case errors.Is(err, store.ErrUnreadable):
			unreadable = append(unreadable, recs[i].Old.Ref())
		case err != nil:
			return store.Resealed{}, err
		}
	}
	done, err := c.tx.Cells.Reseal(ctx, recs)
	done.Unreadable = unreadable
	return done, err
}

// reseal returns a copy of rec with every secret under the primary data key, nil
// if they are already.
func (c cells) reseal(ctx context.Context, rec store.Sealed) (store.Sealed, error) {
	ref := rec.Ref()
	binding, err := rec.Binding(ctx, c.tx)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", ref.Resource, ref.ID, err)
	}
	out, changed := rec.Copy(), false
	for _, s := range out.Sealings() {
		if s.Value.IsZero() || *s.KeyID == c.crypt.keys.Primary.Digest {
			continue
		}
		if *s.Value, err = c.crypt.open(ctx, s, ref.ID, binding); err != nil {
			return nil, fmt.Errorf("%s %s: %s: %w", ref.Resource, ref.ID, s.Column, err)
		}
		if err := c.crypt.close(s, ref.ID, binding); err != nil {
			return nil, fmt.Errorf("%s %s: seal %s: %w", ref.Resource, ref.ID, s.Column, err)
		}
		changed = true
	}
	if !changed {
		return nil, nil
	}
	return out, nil
}

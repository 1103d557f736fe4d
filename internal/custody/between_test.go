package custody_test

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func now() time.Time { return time.Now() }

// layeredBy returns the store with one more layer on top, in which something
// happens in the middle of what is tested.
func layeredBy(s *storetest.Store, layer func(store.Tx) store.Tx) *store.DB {
	return store.New(s.Backend, dbcrypt.Layer(s.Ring, s.Backend.Installation()), dbaudit.Layer(now, nil), func(who store.Actor, tx store.Tx) store.Tx {
		return layer(dbauthz.Layer(who, tx))
	})
}

// afterLast runs then once a list of cells was read to its end.
type afterLast struct {
	store.Cells
	then func()
}

func (a afterLast) List(ctx context.Context, q store.CellQuery) ([]store.Sealed, error) {
	recs, err := a.Cells.List(ctx, q)
	if len(recs) == 0 && err == nil {
		a.then()
	}
	return recs, err
}

// beforeOpen runs first before a secret is opened, which fails with its error.
type beforeOpen struct {
	store.Secrets
	first func() error
}

func (b beforeOpen) Open(ctx context.Context, rec store.Sealed) (map[string]secret.Text, error) {
	if err := b.first(); err != nil {
		return nil, err
	}
	return b.Secrets.Open(ctx, rec)
}

package sqlstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var canary = secret.New("sk-canary-0123456789-abcdefghij")

// A store whose sealing layer is missing must not write plaintext.
func TestUnsealedSecretIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{})
		none := func(_ store.Actor, tx store.Tx) store.Tx { return tx }
		bare := store.New(s.Backend, none, dbaudit.Layer(time.Now, nil), dbauthz.Layer)
		err := bare.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.ProviderKeys.Insert(t.Context(), store.ProviderKey{ID: dbgen.ID(), ProviderID: p.ID, APIKey: canary, KeyID: s.Ring.Current().Primary.Digest})
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "not sealed") {
			t.Errorf("insert of a key: %v", err)
		}
		err = bare.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Providers.Update(t.Context(), p.ID, func(p *store.Provider) error { p.Settings = canary; return nil })
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "not sealed") {
			t.Errorf("update of settings: %v", err)
		}
	})
}

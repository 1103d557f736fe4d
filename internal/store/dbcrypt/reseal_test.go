package dbcrypt_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// cells returns every record that has cells.
func cells(t *testing.T, s *storetest.Store) (recs []store.Sealed) {
	t.Helper()
	err := s.View(t.Context(), authn.Rotator, func(tx store.Tx) (err error) {
		recs, err = tx.Cells.List(t.Context(), store.CellQuery{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func reseal(t *testing.T, s *storetest.Store, recs []store.Sealed) (done store.Resealed) {
	t.Helper()
	var all []store.Resealing
	for _, r := range recs {
		all = append(all, store.Resealing{Old: r})
	}
	err := s.Update(t.Context(), authn.Rotator, func(tx store.Tx) (err error) {
		done, err = tx.Cells.Reseal(t.Context(), all)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestSealedAgainHoldsTheSame(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{Settings: secret.New(`{"a":1}`), SettingsPublic: `{"a":1}`})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New("sk-one-0123456789-0123456789")})
		bad := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		edited := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		s.Exec(t, "UPDATE ai_provider_keys SET secret_revision = 9 WHERE id = $1", bad.ID)
		read := cells(t, s)
		if len(read) != 4 {
			t.Fatalf("%d records have cells", len(read))
		}
		old, fresh := s.Ring.Current().Primary.Digest, s.Rotate(t)
		// Somebody writes one of them meanwhile: that is already under the new key.
		err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.ProviderKeys.Update(t.Context(), edited.ID, func(k *store.ProviderKey) error { k.APIKey = secret.New("sk-new-0123456789-0123456789"); return nil })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		before := len(s.Audit(t))
		done := reseal(t, s, read)
		if len(done.Written) != 2 || len(done.Unreadable) != 1 || done.Unreadable[0].ID != bad.ID {
			t.Errorf("resealed %+v", done)
		}
		for id, want := range map[string]string{k.ID: "sk-one-0123456789-0123456789", edited.ID: "sk-new-0123456789-0123456789"} {
			if got, err := openKey(t, s, id); err != nil || got != want {
				t.Errorf("it opens to %d characters, %v", len(got), err)
			}
		}
		for _, r := range cells(t, s) {
			sealing := r.Sealings()[0]
			want, revision := fresh, int64(1)
			switch r.Ref().ID {
			case bad.ID:
				want, revision = old, 9
			case edited.ID:
				revision = 2
			}
			if *sealing.KeyID != want || *sealing.Revision != revision {
				t.Errorf("%s %s: under %s, revision %d", sealing.Table, r.Ref().ID, *sealing.KeyID, *sealing.Revision)
			}
		}
		entries := s.Audit(t)[before:]
		if len(entries) != 2 || entries[0].Action != "rotate" || entries[0].Resource != "ai_provider" || entries[0].Count != 1 || entries[1].Resource != "ai_provider_key" || entries[1].Count != 1 {
			t.Errorf("the entries: %+v", entries)
		}
		if again := reseal(t, s, read); len(again.Written) != 0 || len(s.Audit(t)) != before+2 {
			t.Errorf("a second time: %+v", again)
		}
	})
}

// A process that slept through a rotation seals nothing under the old key,
// whether its row is still there or not; and it opens what is under the new one.
func TestWhoHasOldKeysLoadsTheNewOnes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{})
		ring := keyring.NewRing(s.Backend.Installation(), s.KEKs)
		if err := ring.Reload(ctx, s.DB, authn.Keyholder); err != nil {
			t.Fatal(err)
		}
		asleep := store.New(s.Backend, dbcrypt.Layer(ring, s.Backend.Installation()), dbaudit.Layer(time.Now, nil), dbauthz.Layer)
		fresh := s.Rotate(t)
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		add := func() (added store.ProviderKey, err error) {
			err = asleep.Update(ctx, dbgen.Owner, func(tx store.Tx) (err error) {
				added, err = tx.ProviderKeys.Insert(ctx, store.ProviderKey{ID: dbgen.ID(), ProviderID: p.ID, APIKey: secret.New("sk-asleep"), Position: 7})
				return err
			})
			return added, err
		}
		read := func() error {
			return asleep.View(ctx, authn.Compiler, func(tx store.Tx) error { _, err := tx.Secrets.Open(ctx, &k); return err })
		}
		if _, err := add(); !errors.Is(err, store.ErrKeysChanged) {
			t.Errorf("sealed with old keys: %v", err)
		}
		if err := read(); !errors.Is(err, store.ErrKeysChanged) {
			t.Errorf("opened with old keys: %v", err)
		}
		asleep.OnKeysChanged(func(ctx context.Context) error { return ring.Reload(ctx, asleep, authn.Keyholder) })
		if err := read(); err != nil {
			t.Errorf("opened with new keys: %v", err)
		}
		s.Rotate(t)
		if added, err := add(); err != nil || added.KeyID == fresh || added.KeyID != s.Ring.Current().Primary.Digest {
			t.Errorf("sealed under %s, %v", added.KeyID, err)
		}
	})
}

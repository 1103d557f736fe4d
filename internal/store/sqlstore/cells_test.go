package sqlstore_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// What rotation walks is what the records say is secret, and what the schema
// holds under a data key: neither can have a column that the other has not.
func TestEveryCellIsWalked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		var said []string
		for _, kind := range store.SealedKinds() {
			for _, sealing := range kind.Sealings() {
				said = append(said, sealing.Table+"."+sealing.Column)
			}
		}
		slices.Sort(said)

		query := `SELECT m.name, f."from" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f."table" = 'dbcrypt_keys' AND f."to" = 'active_key_digest'`
		if s.Postgres {
			query = `SELECT r.relname, a.attname FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = c.conkey[1]
				WHERE c.contype = 'f' AND c.confrelid = 'dbcrypt_keys'::regclass`
		}
		rows, err := s.Raw.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		var held []string
		for rows.Next() {
			var table, column string
			if err := rows.Scan(&table, &column); err != nil {
				t.Fatal(err)
			}
			held = append(held, table+"."+column[:len(column)-len("_key_id")])
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(held)
		if diff := cmp.Diff(said, held); diff != "" {
			t.Errorf("records and schema differ (-records +schema):\n%s", diff)
		}

		p := dbgen.Provider(t, s.DB, store.Provider{Settings: secret.New("{}"), SettingsPublic: "{}"})
		dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		var counted, listed []string
		err = s.View(t.Context(), authn.Rotator, func(tx store.Tx) error {
			counts, err := tx.Cells.Count(t.Context())
			if err != nil {
				return err
			}
			for _, c := range counts {
				counted = append(counted, c.Table+"."+c.Column)
			}
			recs, err := tx.Cells.List(t.Context(), store.CellQuery{})
			for _, r := range recs {
				for _, sealing := range r.Sealings() {
					listed = append(listed, sealing.Table+"."+sealing.Column)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(counted)
		slices.Sort(listed)
		if diff := cmp.Diff([][]string{said, said}, [][]string{counted, listed}); diff != "" {
			t.Errorf("counted and listed (-want +got):\n%s", diff)
		}
	})
}

func TestCellsAreListedOnceEach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		want := map[string]bool{}
		for range 3 {
			p := dbgen.Provider(t, s.DB, store.Provider{Settings: secret.New("{}"), SettingsPublic: "{}"})
			want[p.ID] = true
			for range 2 {
				want[dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID}).ID] = true
			}
		}
		dbgen.Provider(t, s.DB, store.Provider{}) // has none
		digest := s.Ring.Current().Primary.Digest
		for limit := range len(want) + 2 {
			got := map[string]bool{}
			var after store.Ref
			for {
				var page []store.Sealed
				err := s.View(t.Context(), authn.Rotator, func(tx store.Tx) (err error) {
					page, err = tx.Cells.List(t.Context(), store.CellQuery{After: after, Limit: limit})
					if under, err := tx.Cells.List(t.Context(), store.CellQuery{NotUnder: digest}); err != nil || len(under) != 0 {
						t.Errorf("under another key: %d, %v", len(under), err)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if limit > 0 && len(page) > limit {
					t.Errorf("a page of %d with the limit %d", len(page), limit)
				}
				if len(page) == 0 {
					break
				}
				for _, r := range page {
					if after = r.Ref(); got[after.ID] {
						t.Errorf("limit %d: %s twice", limit, after.ID)
					}
					got[after.ID] = true
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %d (-want +got):\n%s", limit, diff)
			}
		}
	})
}

// The database itself refuses to retire a data key that a row is sealed under.
func TestAKeyInUseCannotBeRetired(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		old := s.Ring.Current().Primary.Digest
		s.Rotate(t)
		retire := func() error {
			return s.Update(t.Context(), authn.Rotator, func(tx store.Tx) error {
				_, err := tx.EncryptionKeys.Update(t.Context(), old, func(k *store.EncryptionKey) error {
					k.RevokedDigest, k.ActiveDigest, k.RevokedAt = k.ActiveDigest, "", k.CreatedAt
					return nil
				})
				return err
			})
		}
		if err := retire(); err == nil {
			t.Fatal("a key is retired that a row is sealed under")
		}
		err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { _, err := tx.ProviderKeys.Delete(t.Context(), k.ID); return err })
		if err != nil {
			t.Fatal(err)
		}
		if err := retire(); err != nil {
			t.Errorf("a key that nothing is sealed under: %v", err)
		}
	})
}

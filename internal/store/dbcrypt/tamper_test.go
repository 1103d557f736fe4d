package dbcrypt_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// openSettings opens settings as the snapshot compiler does.
func openSettings(t *testing.T, s *storetest.Store, id string) (string, error) {
	t.Helper()
	var text string
	err := s.View(t.Context(), authn.Compiler, func(tx store.Tx) error {
		p, err := tx.Providers.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := tx.Secrets.Open(t.Context(), &p)
		text = opened["settings"].Reveal()
		return err
	})
	return text, err
}

// swap exchanges columns of two rows of a table. It goes by a copy: SQLite lets a
// statement see what it has changed.
func swap(t *testing.T, s *storetest.Store, table, a, b string, columns ...string) {
	t.Helper()
	conn, err := s.Raw.Conn(t.Context()) // a temporary table belongs to one
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var sets []string
	for _, c := range columns {
		sets = append(sets, fmt.Sprintf("%s = (SELECT o.%s FROM was o WHERE o.id <> %s.id)", c, c, table))
	}
	rows := fmt.Sprintf("WHERE id IN ('%s', '%s')", a, b)
	for _, statement := range []string{
		"CREATE TEMPORARY TABLE was AS SELECT * FROM " + table + " " + rows,
		"UPDATE " + table + " SET " + strings.Join(sets, ", ") + " " + rows,
		"DROP TABLE was",
	} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Two keys that change places, in whichever columns, are both out of use, though
// each row is in itself as it could be.
func TestSwappedKeysDoNotOpen(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"cells":                          {"api_key"},
		"cells with their key ids":       {"api_key", "api_key_key_id"},
		"cells with all that is beside":  {"api_key", "api_key_key_id", "hint", "fingerprint", "secret_revision"},
		"providers":                      {"provider_id"},
		"providers, and their positions": {"provider_id", "position"},
	}
	storetest.Each(t, func(t *testing.T, s *storetest.Store) { // one for all cases: to make a database is dear
		for name, columns := range cases {
			t.Run(name, func(t *testing.T) {
				var keys []store.ProviderKey
				for i := range 2 {
					p := dbgen.Provider(t, s.DB, store.Provider{BaseURL: "https://vendor.example/v1"})
					keys = append(keys, dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, Label: fmt.Sprint(i)}))
				}
				for _, k := range keys {
					if _, err := openKey(t, s, k.ID); err != nil {
						t.Fatal(err)
					}
				}
				swap(t, s, "ai_provider_keys", keys[0].ID, keys[1].ID, columns...)
				for _, k := range keys {
					if got, err := openKey(t, s, k.ID); !errors.Is(err, store.ErrUnreadable) || got != "" {
						t.Errorf("%d characters, %v", len(got), err)
					}
				}
				// The control: swapped back, they open.
				swap(t, s, "ai_provider_keys", keys[0].ID, keys[1].ID, columns...)
				for _, k := range keys {
					if _, err := openKey(t, s, k.ID); err != nil {
						t.Error(err)
					}
				}
			})
		}
	})
}

func TestSettingsOpenOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	const doc = `{"shown":1,"hidden":"canary"}`
	set := func(assignment string, args ...any) func(*testing.T, *storetest.Store, store.Provider, store.Provider) {
		return func(t *testing.T, s *storetest.Store, mine, _ store.Provider) {
			s.Exec(t, "UPDATE ai_providers SET "+assignment+" WHERE id = '"+mine.ID+"'", args...)
		}
	}
	swapped := func(columns ...string) func(*testing.T, *storetest.Store, store.Provider, store.Provider) {
		return func(t *testing.T, s *storetest.Store, mine, other store.Provider) {
			swap(t, s, "ai_providers", mine.ID, other.ID, columns...)
		}
	}
	cases := map[string]func(t *testing.T, s *storetest.Store, mine, other store.Provider){
		"swapped with those of another provider":         swapped("settings"),
		"swapped with all that is beside":                swapped("settings", "settings_key_id", "settings_public", "secret_revision"),
		"re-aimed by another host":                       set("base_url = 'https://thief.example/v1'"),
		"re-aimed by another port":                       set("base_url = 'https://provider.example:444/v1'"),
		"re-aimed by another scheme":                     set("base_url = 'http://provider.example:443/v1'"),
		"re-aimed by a host that folds into the old one": set("base_url = 'https://provİder.example/v1'"),
		"shown differently":                              set(`settings_public = '{"shown":2}'`),
		"shown the same, in other bytes":                 set(`settings_public = '{"shown": 1}'`),
		"not shown":                                      set("settings_public = ''"),
		"planted as plaintext":                           set("settings = $1", []byte(doc+doc+doc+doc+doc+doc)),
		"with an older revision":                         set("secret_revision = 0"),
		"with a revision yet to come":                    set("secret_revision = secret_revision + 1"),
		"under the name of another data key, which is kept": func(t *testing.T, s *storetest.Store, mine, _ store.Provider) {
			s.Exec(t, "UPDATE ai_providers SET settings_key_id = $1 WHERE id = $2", s.Ring.Current().Fingerprinting.Digest, mine.ID)
		},
		"a key in the place of settings": func(t *testing.T, s *storetest.Store, mine, _ store.Provider) {
			k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ID: mine.ID, ProviderID: mine.ID})
			s.Exec(t, "UPDATE ai_providers SET settings = (SELECT api_key FROM ai_provider_keys WHERE id = $1) WHERE id = $2", k.ID, mine.ID)
		},
	}
	storetest.Each(t, func(t *testing.T, s *storetest.Store) { // one for all cases: to make a database is dear
		for name, tamper := range cases {
			t.Run(name, func(t *testing.T) {
				base := store.Provider{BaseURL: "https://provider.example/v1", Settings: secret.New(doc), SettingsPublic: `{"shown":1}`}
				mine, other := dbgen.Provider(t, s.DB, base), dbgen.Provider(t, s.DB, base)
				if got, err := openSettings(t, s, mine.ID); err != nil || got != doc {
					t.Fatalf("before: %q, %v", got, err)
				}
				tamper(t, s, mine, other)
				if got, err := openSettings(t, s, mine.ID); !errors.Is(err, store.ErrUnreadable) || got != "" {
					t.Errorf("after: %d characters, %v", len(got), err)
				}
			})
		}
	})
}

// A secret that was taken away is no secret: it opens to nothing, which whoever
// uses it must not take for a credential. What is written here is that it is not
// an error.
func TestNothingOpensToNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		s.Exec(t, "UPDATE ai_provider_keys SET api_key = $1 WHERE id = $2", []byte{}, k.ID)
		if got, err := openKey(t, s, k.ID); err != nil || got != "" {
			t.Errorf("%d characters, %v", len(got), err)
		}
	})
}

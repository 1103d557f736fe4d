package dbcrypt_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// openKey opens a key as the snapshot compiler does.
func openKey(t *testing.T, s *storetest.Store, id string) (string, error) {
	t.Helper()
	var text string
	err := s.View(t.Context(), authn.Compiler, func(tx store.Tx) error {
		k, err := tx.ProviderKeys.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := tx.Secrets.Open(t.Context(), &k)
		text = opened["api_key"].Reveal()
		return err
	})
	return text, err
}

func TestASecretOpensOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	plain := "sk-real-0123456789-0123456789"
	for name, tamper := range map[string]func(t *testing.T, s *storetest.Store, mine, other store.ProviderKey){
		"copied over another key of the provider": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			twin := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: mine.ProviderID})
			s.Exec(t, "UPDATE ai_provider_keys SET api_key = (SELECT api_key FROM ai_provider_keys WHERE id = $1) WHERE id = $2", twin.ID, mine.ID)
		},
		"copied from another provider": func(t *testing.T, s *storetest.Store, mine, other store.ProviderKey) {
			s.Exec(t, "UPDATE ai_provider_keys SET api_key = (SELECT api_key FROM ai_provider_keys WHERE id = $1) WHERE id = $2", other.ID, mine.ID)
		},
		"row moved to another provider": func(t *testing.T, s *storetest.Store, mine, other store.ProviderKey) {
			s.Exec(t, "UPDATE ai_provider_keys SET provider_id = $1 WHERE id = $2", other.ProviderID, mine.ID)
		},
		"re-aimed by another host": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_providers SET base_url = 'https://thief.example/v1' WHERE id = $1", mine.ProviderID)
		},
		"re-aimed by a host that folds into the old one": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_providers SET base_url = 'https://provİder.example/v1' WHERE id = $1", mine.ProviderID)
		},
		"re-aimed by another scheme": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_providers SET base_url = 'http://provider.example/v1' WHERE id = $1", mine.ProviderID)
		},
		"re-aimed by another port": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_providers SET base_url = 'https://provider.example:444/v1' WHERE id = $1", mine.ProviderID)
		},
		"planted as plaintext": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_provider_keys SET api_key = $1 WHERE id = $2", []byte("sk-planted-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789"), mine.ID)
		},
		"emptied": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_provider_keys SET api_key = $1 WHERE id = $2", []byte{1}, mine.ID)
		},
		"under the name of another data key": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_provider_keys SET api_key_key_id = $1 WHERE id = $2", s.Ring.Current().Fingerprinting.Digest, mine.ID)
		},
		"with an older revision": func(t *testing.T, s *storetest.Store, mine, _ store.ProviderKey) {
			s.Exec(t, "UPDATE ai_provider_keys SET secret_revision = 0 WHERE id = $1", mine.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, s *storetest.Store) {
				a := dbgen.Provider(t, s.DB, store.Provider{BaseURL: "https://provider.example/v1"})
				b := dbgen.Provider(t, s.DB, store.Provider{BaseURL: "https://provider.example/v1"})
				mine := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: a.ID, APIKey: secret.New(plain)})
				other := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: b.ID})
				if got, err := openKey(t, s, mine.ID); err != nil || got != plain {
					t.Fatalf("before: %d characters, %v", len(got), err)
				}
				tamper(t, s, mine, other)
				got, err := openKey(t, s, mine.ID)
				if !errors.Is(err, store.ErrUnreadable) || got != "" {
					t.Errorf("after: %d characters, %v", len(got), err)
				}
				if err != nil && strings.Contains(err.Error(), "sk-") {
					t.Error("the error shows a secret")
				}
				if _, err := openKey(t, s, other.ID); err != nil {
					t.Errorf("the other key: %v", err)
				}
			})
		})
	}
}

func TestSettingsAreBoundToTheirPublicPart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{Settings: secret.New(`{"a":1}`), SettingsPublic: `{"a":1}`})
		open := func() error {
			return s.View(t.Context(), authn.Compiler, func(tx store.Tx) error {
				p, err := tx.Providers.Get(t.Context(), p.ID)
				if err != nil {
					t.Fatal(err)
				}
				_, err = tx.Secrets.Open(t.Context(), &p)
				return err
			})
		}
		if err := open(); err != nil {
			t.Fatal(err)
		}
		s.Exec(t, `UPDATE ai_providers SET settings_public = '{"a":2}' WHERE id = $1`, p.ID)
		if err := open(); !errors.Is(err, store.ErrUnreadable) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestEditsLeaveSecretsAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{Settings: secret.New("{}"), SettingsPublic: "{}"})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New("sk-one")})
		edit := func(fn func(*store.ProviderKey) error) (out store.ProviderKey, err error) {
			err = s.Update(ctx, dbgen.Owner, func(tx store.Tx) (err error) {
				out, err = tx.ProviderKeys.Update(ctx, k.ID, fn)
				return err
			})
			return out, err
		}
		relabelled, err := edit(func(k *store.ProviderKey) error { k.Label = "new"; return nil })
		if err != nil || relabelled.APIKey != k.APIKey || relabelled.SecretRevision != 1 {
			t.Errorf("a new label: revision %d, sealed again: %v, %v", relabelled.SecretRevision, relabelled.APIKey != k.APIKey, err)
		}
		replaced, err := edit(func(k *store.ProviderKey) error { k.APIKey = secret.New("sk-two-01234567890123456789"); return nil })
		if err != nil || replaced.SecretRevision != 2 || replaced.Hint != "sk-…6789" || replaced.Fingerprint == k.Fingerprint {
			t.Errorf("a new secret: %+v, %v", replaced, err)
		}
		if got, err := openKey(t, s, k.ID); err != nil || got != "sk-two-01234567890123456789" {
			t.Errorf("opens to %d characters, %v", len(got), err)
		}
		// What was sealed elsewhere is not taken, and a new origin demands the
		// secret again.
		if _, err := edit(func(k *store.ProviderKey) error { k.APIKey = p.Settings; return nil }); !invalid(err, "api_key") {
			t.Errorf("a cell from elsewhere: %v", err)
		}
		err = s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { p.BaseURL = "https://elsewhere"; return nil })
			return err
		})
		if !invalid(err, "settings") {
			t.Errorf("a new origin with the old settings: %v", err)
		}
	})
}

func invalid(err error, field string) bool {
	e, ok := errors.AsType[*store.InvalidError](err)
	return ok && e.Field == field
}

func TestOnlyTheCompilerOpensSecrets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		for _, who := range []store.Actor{{}, dbgen.Owner, authn.Bootstrap, authn.Recorder} {
			err := s.View(t.Context(), who, func(tx store.Tx) error { _, err := tx.Secrets.Open(t.Context(), &k); return err })
			if !errors.Is(err, store.ErrDenied) {
				t.Errorf("%s %s: %v", who.Kind, who.Name, err)
			}
		}
	})
}

// Every secret field of a record is among its sealings, so nothing is sealed,
// rotated or wiped by a list of its own.
func TestEverySecretFieldIsSealed(t *testing.T) {
	t.Parallel()
	found := 0
	for _, rec := range []any{&store.Provider{}, &store.ProviderKey{}, &store.User{}, &store.APIKey{}, &store.EncryptionKey{}} {
		v := reflect.ValueOf(rec).Elem()
		pointers := map[*secret.Text]bool{}
		if s, ok := rec.(store.Sealed); ok {
			for _, sealing := range s.Sealings() {
				pointers[sealing.Value] = true
			}
		}
		for i := range v.NumField() {
			if p, ok := v.Field(i).Addr().Interface().(*secret.Text); ok {
				found++
				if !pointers[p] {
					t.Errorf("%s.%s is not among the sealings", v.Type(), v.Type().Field(i).Name)
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("found %d secret fields, want 2", found)
	}
}

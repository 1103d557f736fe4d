package catalog_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

const vendor = "https://api.example.com/v1"

// do runs fn as an owner and returns what it returned.
func do[T any](t *testing.T, s *storetest.Store, fn func(tx store.Tx) (T, error)) (out T, err error) {
	t.Helper()
	err = s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		out, err = fn(tx)
		return err
	})
	return out, err
}

func create(t *testing.T, s *storetest.Store, n catalog.NewProvider) store.Provider {
	t.Helper()
	if n.Type == "" {
		n.Type = "openai"
	}
	if n.BaseURL == "" {
		n.BaseURL = vendor
	}
	p, err := do(t, s, func(tx store.Tx) (store.Provider, error) { return catalog.Rules{}.Create(t.Context(), tx, n) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func edit(t *testing.T, s *storetest.Store, ref string, e catalog.ProviderEdit) (store.Provider, error) {
	t.Helper()
	return do(t, s, func(tx store.Tx) (store.Provider, error) {
		return catalog.Rules{}.Update(t.Context(), tx, ref, catalog.AnyRevision, e)
	})
}

func keysOf(t *testing.T, s *storetest.Store, providerID string) []store.ProviderKey {
	t.Helper()
	keys, err := do(t, s, func(tx store.Tx) ([]store.ProviderKey, error) {
		return tx.ProviderKeys.List(t.Context(), store.Query{ProviderID: providerID})
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// opened returns what the snapshot compiler reads of a provider: its settings
// and its keys in order, in the clear.
func opened(t *testing.T, s *storetest.Store, ref string) (out []string) {
	t.Helper()
	err := s.View(t.Context(), authn.Compiler, func(tx store.Tx) error {
		p, err := tx.Providers.Get(t.Context(), ref)
		if err != nil {
			return err
		}
		keys, err := tx.ProviderKeys.List(t.Context(), store.Query{ProviderID: p.ID})
		if err != nil {
			return err
		}
		all := []store.Sealed{&p}
		for _, k := range keys {
			all = append(all, &k)
		}
		for _, rec := range all {
			secrets, err := tx.Secrets.Open(t.Context(), rec)
			if err != nil {
				return err
			}
			for _, v := range secrets {
				if !v.IsZero() {
					out = append(out, v.Reveal())
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wrong returns the fields that err says are invalid.
func wrong(err error) (fields []string) {
	switch e := err.(type) {
	case nil:
	case *store.InvalidError:
		fields = append(fields, e.Field)
	case interface{ Unwrap() []error }:
		for _, e := range e.Unwrap() {
			fields = append(fields, wrong(e)...)
		}
	case interface{ Unwrap() error }:
		fields = wrong(e.Unwrap())
	}
	slices.Sort(fields)
	return fields
}

func TestAllThatIsWrongComesBackAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		const canary = "canary-0123456789"
		rules := catalog.Rules{Reserved: []string{"v1"}, CheckHost: func(host string) error { return errors.New("not " + host) }}
		_, err := do(t, s, func(tx store.Tx) (store.Provider, error) {
			return rules.Create(t.Context(), tx, catalog.NewProvider{
				Type: canary, Name: "v1", DisplayName: canary + "\n", BaseURL: "https://" + canary, Settings: []byte(`"` + canary + `"`),
				APIKeys: []secret.Text{secret.New(canary + " "), secret.New("ok"), secret.New("ok")},
			})
		})
		if diff := cmp.Diff([]string{"api_keys", "api_keys[0]", "base_url", "display_name", "name", "settings", "type"}, wrong(err)); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("the error has what was sent: %v", err)
		}
	})
}

func TestZeroRulesAllowEveryHostAndName(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		create(t, s, catalog.NewProvider{Name: "v1", BaseURL: "http://169.254.169.254/v1"})
	})
}

func TestCheckHostIsAskedForTheHostAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for sent, want := range map[string]string{
			"https://API.example.com:8443/v1": "API.example.com", "http://[::1]:80/": "::1", "http://0x7f.1": "0x7f.1",
		} {
			var got string
			rules := catalog.Rules{CheckHost: func(host string) error {
				got = host
				return errors.New("refused")
			}}
			_, err := do(t, s, func(tx store.Tx) (store.Provider, error) {
				return rules.Create(t.Context(), tx, catalog.NewProvider{Type: "openai", Name: "p", BaseURL: sent})
			})
			if got != want || !slices.Equal(wrong(err), []string{"base_url"}) {
				t.Errorf("%s: asked for %q, %v", sent, got, err)
			}
		}
	})
}

func TestSecretsAreSealedAndOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		settings := `{"_type":"openai","_version":1,"organization":"o"}`
		p := create(t, s, catalog.NewProvider{Name: "p", Settings: []byte(settings), APIKeys: []secret.Text{secret.New("key-1"), secret.New("key-2")}})
		if diff := cmp.Diff([]string{settings, "key-1", "key-2"}, opened(t, s, "p")); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		before := p
		same := []byte(`{"organization":"o","_version":1,"_type":"openai"}`)
		p, err := edit(t, s, "p", catalog.ProviderEdit{DisplayName: new("P"), Settings: &same})
		if err != nil || p.SecretRevision != before.SecretRevision || p.Settings != before.Settings {
			t.Errorf("the same settings were sealed again: %v", err)
		}
		// A path of the same origin keeps what is sealed, and it opens still.
		if _, err := edit(t, s, "p", catalog.ProviderEdit{BaseURL: new("https://api.example.com/v2")}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{settings, "key-1", "key-2"}, opened(t, s, "p")); diff != "" {
			t.Errorf("after another path (-want +got):\n%s", diff)
		}
		// Another origin has everything sealed anew, even where it is the same.
		_, err = edit(t, s, "p", catalog.ProviderEdit{
			BaseURL: new("http://api.example.com/v2"), Settings: &same,
			APIKeys: &[]catalog.KeepOrAdd{{APIKey: secret.New("key-2")}, {APIKey: secret.New("key-3")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{settings, "key-2", "key-3"}, opened(t, s, "p")); diff != "" {
			t.Errorf("after another origin (-want +got):\n%s", diff)
		}
	})
}

func TestChangeOfOriginIsRefusedWithWhatItNeeds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		settings := []byte(`{"_type":"openai","_version":1}`)
		p := create(t, s, catalog.NewProvider{Name: "p", Settings: settings, APIKeys: []secret.Text{secret.New("key-1")}})
		kept := []catalog.KeepOrAdd{{ID: keysOf(t, s, p.ID)[0].ID}}
		none, noSettings := []catalog.KeepOrAdd{}, []byte(nil)
		moved := new("https://eu.example.com/v1")
		for _, c := range []struct {
			name string
			edit catalog.ProviderEdit
			want []string
		}{
			{"alone", catalog.ProviderEdit{BaseURL: moved}, []string{"api_keys", "settings"}},
			{"with a key kept", catalog.ProviderEdit{BaseURL: moved, APIKeys: &kept, Settings: &noSettings}, []string{"api_keys"}},
			{"without settings", catalog.ProviderEdit{BaseURL: moved, APIKeys: &none}, []string{"settings"}},
			{"with a bad URL", catalog.ProviderEdit{BaseURL: new("ftp://x")}, []string{"base_url"}},
			{"with none of either", catalog.ProviderEdit{BaseURL: moved, APIKeys: &none, Settings: &noSettings}, nil},
		} {
			if _, err := edit(t, s, "p", c.edit); !slices.Equal(wrong(err), c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: got %v, want errors of %v", c.name, err, c.want)
			}
		}
	})
}

func TestRevisionDecides(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := create(t, s, catalog.NewProvider{Name: "p", APIKeys: []secret.Text{secret.New("key-1")}})
		id := keysOf(t, s, p.ID)[0].ID
		ctx := t.Context()
		changes := map[string]func(tx store.Tx, revision int64) error{
			"update": func(tx store.Tx, revision int64) error {
				_, err := catalog.Rules{}.Update(ctx, tx, "p", revision, catalog.ProviderEdit{Enabled: new(true)})
				return err
			},
			"add a key": func(tx store.Tx, revision int64) error {
				_, err := catalog.AddKey(ctx, tx, "p", revision, catalog.NewKey{APIKey: secret.New("key-2")})
				return err
			},
			"update a key": func(tx store.Tx, revision int64) error {
				_, err := catalog.UpdateKey(ctx, tx, "p", id, revision, catalog.KeyEdit{Label: new("l")})
				return err
			},
			"delete a key": func(tx store.Tx, revision int64) error { return catalog.DeleteKey(ctx, tx, "p", id, revision) },
			"delete":       func(tx store.Tx, revision int64) error { return catalog.Delete(ctx, tx, "p", revision) },
		}
		undo := errors.New("undo")
		for name, change := range changes {
			for _, revision := range []int64{p.Revision, catalog.AnyRevision} {
				err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { return errors.Join(undo, change(tx, revision)) })
				if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 1 {
					t.Errorf("%s at revision %d: %v", name, revision, err)
				}
			}
			for _, revision := range []int64{p.Revision - 1, p.Revision + 1} {
				if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { return change(tx, revision) }); !errors.Is(err, store.ErrStale) {
					t.Errorf("%s at revision %d: %v", name, revision, err)
				}
			}
		}
	})
}

func TestDuplicateSaysWhichKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := create(t, s, catalog.NewProvider{Name: "p", APIKeys: []secret.Text{secret.New("key-1")}})
		kept := catalog.KeepOrAdd{ID: keysOf(t, s, p.ID)[0].ID}
		_, err := edit(t, s, "p", catalog.ProviderEdit{APIKeys: &[]catalog.KeepOrAdd{kept, {APIKey: secret.New("key-2")}, {APIKey: secret.New("key-1")}}})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Field != "api_keys[2]" {
			t.Errorf("got %v", err)
		}
		if got := opened(t, s, "p"); !slices.Equal(got, []string{"key-1"}) {
			t.Errorf("a refused edit left %d keys", len(got))
		}
	})
}

func TestDeleteLeavesNothingThatOpens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := create(t, s, catalog.NewProvider{
			Name: "p", Enabled: true, Settings: []byte(`{"_type":"openai","_version":1}`), APIKeys: []secret.Text{secret.New("key-1"), secret.New("key-2")},
		})
		before := len(s.Audit(t))
		if err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { return catalog.Delete(t.Context(), tx, p.ID, catalog.AnyRevision) }); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range s.Audit(t)[before:] {
			got = append(got, string(e.Action)+" "+string(e.Resource)+" "+e.Target)
		}
		if diff := cmp.Diff([]string{"delete ai_provider_key " + p.ID, "delete ai_provider_key " + p.ID, "delete ai_provider p"}, got); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		rec, err := do(t, s, func(tx store.Tx) (store.Provider, error) { return tx.Providers.Get(t.Context(), p.ID) })
		if err != nil || !rec.Deleted || rec.Enabled || !rec.Settings.IsZero() || rec.SettingsKeyID != "" || rec.SettingsPublic != "" {
			t.Errorf("the row is %+v, %v", rec, err)
		}
		if n := len(keysOf(t, s, p.ID)); n != 0 {
			t.Errorf("%d keys are left", n)
		}
		for _, ref := range []string{"p", p.ID} {
			if _, err := do(t, s, func(tx store.Tx) (store.Provider, error) { return catalog.Get(t.Context(), tx, ref) }); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("get by %s: %v", ref, err)
			}
		}
	})
}

func TestKeyOfAnotherProviderIsNotThere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		create(t, s, catalog.NewProvider{Name: "p"})
		q := create(t, s, catalog.NewProvider{Name: "q", APIKeys: []secret.Text{secret.New("key-1")}})
		id := keysOf(t, s, q.ID)[0].ID
		ctx := t.Context()
		for name, fn := range map[string]func(tx store.Tx) (store.ProviderKey, error){
			"get": func(tx store.Tx) (store.ProviderKey, error) { return catalog.GetKey(ctx, tx, "p", id) },
			"update": func(tx store.Tx) (store.ProviderKey, error) {
				return catalog.UpdateKey(ctx, tx, "p", id, 0, catalog.KeyEdit{Label: new("l")})
			},
			"delete": func(tx store.Tx) (store.ProviderKey, error) {
				return store.ProviderKey{}, catalog.DeleteKey(ctx, tx, "p", id, 0)
			},
		} {
			if _, err := do(t, s, fn); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestRulesAreNoWayAroundTheStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		create(t, s, catalog.NewProvider{Name: "p", APIKeys: []secret.Text{secret.New("key-1")}})
		member := dbgen.Actor(store.User{ID: dbgen.ID(), Roles: store.SetOf(string(rbac.Member))}, rbac.ScopeAll)
		for _, who := range []store.Actor{{}, member, authn.Compiler} {
			err := s.Update(t.Context(), who, func(tx store.Tx) error {
				return catalog.Delete(t.Context(), tx, "p", catalog.AnyRevision)
			})
			if !errors.Is(err, store.ErrDenied) {
				t.Errorf("%q: %v", who.Name, err)
			}
		}
	})
}

package seed_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/seed"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

const canary = "sk-canary-0123456789-abcdef"

// vendor is the environment of one provider.
func vendor(more ...string) []string {
	return append([]string{
		"PATH=/bin", "GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=vendor",
		"GATEHOUSE_PROVIDER_1_BASE_URL=https://API.example.com/v1/", "GATEHOUSE_PROVIDER_1_KEYS=" + canary + "-1, " + canary + "-2",
	}, more...)
}

func apply(t *testing.T, s *storetest.Store, mode seed.Mode, environ []string) ([]seed.Result, error) {
	t.Helper()
	providers, err := seed.FromEnviron(environ, false)
	if err != nil {
		t.Fatal(err)
	}
	return seed.Apply(t.Context(), s.DB, authn.Seeder, catalog.Rules{}, providers, mode)
}

func mustApply(t *testing.T, s *storetest.Store, mode seed.Mode, environ []string) string {
	t.Helper()
	results, err := apply(t, s, mode, environ)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range results {
		out = append(out, strings.TrimSpace(r.Name+" "+r.Outcome+" "+strings.Join(r.Differs, ",")))
	}
	return strings.Join(out, "; ")
}

func stored(t *testing.T, s *storetest.Store) (p store.Provider, keys []store.ProviderKey) {
	t.Helper()
	err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) {
		if p, err = tx.Providers.Get(t.Context(), "vendor"); err == nil {
			keys, err = tx.ProviderKeys.List(t.Context(), store.Query{ProviderID: p.ID})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, keys
}

func TestProvidersOfTheEnvironment(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("one\n\n two \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	providers, err := seed.FromEnviron([]string{
		"GATEHOUSE_PROVIDER_10_NAME=b", "GATEHOUSE_PROVIDER_10_KEYS_FILE=" + file, "GATEHOUSE_PROVIDER_10_ENABLED=false",
		"GATEHOUSE_PROVIDER_2_NAME=a", "GATEHOUSE_PROVIDER_2_TYPE=anthropic", "GATEHOUSE_PROVIDER_2_DISPLAY_NAME=A", "GATEHOUSE_PROVIDER_2_KEYS=",
		`GATEHOUSE_PROVIDER_2_SETTINGS={"_type":"bedrock"}`, "OPENAI_API_KEY=k", "ANTHROPIC_API_KEY=l", "ANTHROPIC_BASE_URL=http://127.0.0.1:1",
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range providers {
		got = append(got, fmt.Sprintf("%s %s %q %s %d keys, %t, enabled %t, settings %s", p.Type, p.Name, p.DisplayName, p.BaseURL, len(p.APIKeys), p.HasKeys, p.Enabled, p.Settings))
	}
	want := []string{
		`anthropic a "A"  0 keys, false, enabled true, settings {"_type":"bedrock"}`,
		` b ""  2 keys, true, enabled false, settings `,
		`openai openai "" https://api.openai.com/v1 1 keys, true, enabled true, settings `,
		`anthropic anthropic "" http://127.0.0.1:1 1 keys, true, enabled true, settings `,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	if providers, err := seed.FromEnviron([]string{"OPENAI_API_KEY=k"}, false); err != nil || providers != nil {
		t.Errorf("without the flag: %d providers, %v", len(providers), err)
	}
}

func TestVariablesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"GATEHOUSE_PROVIDER_1_BASEURL", "GATEHOUSE_PROVIDER_X_NAME", "GATEHOUSE_PROVIDER_NAME", "GATEHOUSE_PROVIDER_-1_NAME", "GATEHOUSE_PROVIDER_1_ENABLED",
		"GATEHOUSE_PROVIDER_1_KEYS_FILE",
	} {
		_, err := seed.FromEnviron([]string{name + "=" + canary}, false)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeedingHappensOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		var servers sync.WaitGroup
		for range 4 { // replicas that start together
			servers.Go(func() {
				if _, err := apply(t, s, seed.Fail, vendor()); err != nil {
					t.Error(err)
				}
			})
		}
		servers.Wait()
		p, keys := stored(t, s)
		if p.BaseURL != "https://api.example.com/v1" || !p.Enabled || len(keys) != 2 || keys[0].Hint == keys[1].Hint {
			t.Errorf("stored %+v with %d keys", p, len(keys))
		}
		var entries []string
		for _, e := range s.Audit(t) {
			if e.ActorName == "seeder" {
				entries = append(entries, string(e.Action)+" "+string(e.Resource))
			}
			if strings.Contains(e.Diff, "canary") {
				t.Error("an entry shows a key")
			}
		}
		if diff := cmp.Diff([]string{"create ai_provider", "create ai_provider_key", "create ai_provider_key"}, entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		if got := mustApply(t, s, seed.Overwrite, vendor()); got != "vendor same" {
			t.Errorf("again: %s", got)
		}
	})
}

func TestModes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		mustApply(t, s, seed.Keep, vendor())
		before, keys := stored(t, s)
		other := vendor("GATEHOUSE_PROVIDER_1_DISPLAY_NAME=V", "GATEHOUSE_PROVIDER_1_ENABLED=0", "GATEHOUSE_PROVIDER_1_KEYS="+canary+"-2,"+canary+"-3",
			`GATEHOUSE_PROVIDER_1_SETTINGS={"_type":"openai","_version":1,"organization":"o"}`, "GATEHOUSE_PROVIDER_1_STRATEGY=least_loaded")
		other = append(other[:4], other[5:]...) // without the first KEYS
		if got := mustApply(t, s, seed.Keep, other); got != "vendor kept display_name,enabled,strategy,settings,api_keys" {
			t.Errorf("keep: %s", got)
		}
		_, err := apply(t, s, seed.Fail, other)
		if err == nil || !strings.Contains(err.Error(), "api_keys") || strings.Contains(err.Error(), "canary") {
			t.Errorf("fail: %v", err)
		}
		if now, _ := stored(t, s); now != before {
			t.Error("keep or fail changed the provider")
		}
		if got := mustApply(t, s, seed.Overwrite, other); !strings.HasPrefix(got, "vendor overwritten") {
			t.Errorf("overwrite: %s", got)
		}
		p, after := stored(t, s)
		if p.DisplayName != "V" || p.Enabled || p.Strategy != store.LeastLoaded || !strings.Contains(p.SettingsPublic, "organization") || len(after) != 2 || after[0].ID != keys[1].ID {
			t.Errorf("overwritten to %+v, %d keys", p, len(after))
		}
		if got := mustApply(t, s, seed.Fail, other); got != "vendor same" {
			t.Errorf("after it: %s", got)
		}
		// Another origin needs the keys again, which the environment has.
		moved := append(other, "GATEHOUSE_PROVIDER_1_BASE_URL=https://eu.example.com/v1")
		moved = append(moved[:3], moved[4:]...)
		if got := mustApply(t, s, seed.Overwrite, moved); !strings.HasPrefix(got, "vendor overwritten base_url") {
			t.Errorf("another origin: %s", got)
		}
		if p, now := stored(t, s); p.BaseURL != "https://eu.example.com/v1" || len(now) != 2 || now[0].ID == after[0].ID {
			t.Errorf("moved to %s, %d keys", p.BaseURL, len(now))
		}
		// So does another proxy.
		moved = append(moved[:len(moved):len(moved)], `GATEHOUSE_PROVIDER_1_SETTINGS={"_type":"openai","_version":1,"proxy":"http://p:1"}`)
		moved = slices.DeleteFunc(moved, func(v string) bool { return strings.Contains(v, "organization") })
		_, kept := stored(t, s)
		if got := mustApply(t, s, seed.Overwrite, moved); got != "vendor overwritten settings" {
			t.Errorf("another proxy: %s", got)
		}
		if p, now := stored(t, s); !strings.Contains(p.SettingsPublic, "http://p:1") || len(now) != 2 || now[0].ID == kept[0].ID {
			t.Errorf("settings are %s, with %d keys", p.SettingsPublic, len(now))
		}
		if got := mustApply(t, s, seed.Fail, moved); got != "vendor same" {
			t.Errorf("after it: %s", got)
		}
	})
}

func TestDeletedProviderIsNotBroughtBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		mustApply(t, s, seed.Keep, vendor())
		if err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { return catalog.Delete(t.Context(), tx, "vendor", catalog.AnyRevision) }); err != nil {
			t.Fatal(err)
		}
		for _, mode := range seed.Modes() {
			if got := mustApply(t, s, mode, vendor()); got != "vendor deleted" {
				t.Errorf("%s: %s", mode, got)
			}
		}
	})
}

func TestAllOrNoneAndSaysWhichVariable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for _, c := range []struct{ variable, value string }{
			{"GATEHOUSE_PROVIDER_2_NAME", "Bad Name"}, {"GATEHOUSE_PROVIDER_2_TYPE", canary}, {"GATEHOUSE_PROVIDER_2_BASE_URL", canary},
			{"GATEHOUSE_PROVIDER_2_SETTINGS", canary}, {"GATEHOUSE_PROVIDER_2_KEYS", "same,same"}, {"GATEHOUSE_PROVIDER_2_KEYS", canary + "…"},
		} {
			environ := vendor()
			for name, v := range map[string]string{"NAME": "second", "TYPE": "openai", "BASE_URL": "https://h/v1"} {
				if c.variable != "GATEHOUSE_PROVIDER_2_"+name {
					environ = append(environ, "GATEHOUSE_PROVIDER_2_"+name+"="+v)
				}
			}
			_, err := apply(t, s, seed.Keep, append(environ, c.variable+"="+c.value))
			if err == nil || !strings.Contains(err.Error(), c.variable) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", c.variable, err)
			}
		}
		err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Providers.Get(t.Context(), "vendor")
			return err
		})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the first was added without the second: %v", err)
		}
	})
}

func TestSeederCanDoNoMore(t *testing.T) {
	t.Parallel()
	for _, p := range rbac.Permissions() {
		may := authn.Seeder.Reach(p) != rbac.None
		if may && p.Resource != rbac.AIProvider && p.Resource != rbac.AIProviderKey || may && p.Action == rbac.Open {
			t.Errorf("the seeder has %s", p)
		}
	}
}
